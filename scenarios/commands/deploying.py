"""Running a scenario on several hosts: the conductor, a host that waits for work, and their certificates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from scenarios.load import InputError

from .answers import AsJson, needing, say, show
from .running import AS_USUAL, Running

if TYPE_CHECKING:
    from scenarios.live import Steered

_PROCESSES_MAX = 64
_PORTS = 1 << 16


def deploy(scenario: str, *, hosts: str | None = None, local: int | None = None, running: Running = AS_USUAL) -> int:
    """Run a scenario on several hosts, as if it were one process: the same history, bit by bit.

    Parameters
    ----------
    scenario
        Name or file.
    hosts
        A file that says which hosts there are and who runs on them; each of them runs `qie host NAME`.
    local
        So many processes of this machine instead, without any configuration.
    """
    if (hosts is None) == (local is None):
        raise InputError(["expected either --hosts FILE, or --local N for N processes on this machine"])
    if local is not None and not 1 <= local <= _PROCESSES_MAX:
        raise InputError([f"--local {local}: expected a number of processes from 1 to {_PROCESSES_MAX}"])
    with needing("hosts", "qie deploy"):
        import greenback  # noqa: F401, PLC0415
    from scenarios.hosts import deploy as deploying  # noqa: PLC0415  (keeps --help fast)
    from scenarios.hosts.hosts_file import read_hosts  # noqa: PLC0415

    spec = running.spec(scenario)
    where = read_hosts(hosts) if hosts is not None else local or 1
    ways = running.ways()
    hear = ways["live"]

    def begin(steered: Steered) -> None:
        deploying.give_way()  # when all processes are there, or they would, too
        if hear is not None:
            hear(steered)

    return running.finish(deploying.deploy(spec, where, file=hosts or "", **ways | {"live": begin}))


def host(
    name: str,
    *,
    certificates: str | None = None,
    conductor: str = "conductor",
    plain: Annotated[bool, Parameter(negative="")] = False,
    address: str = "127.0.0.1",
    port: int = 7411,
    runs: int | None = None,
) -> int:
    """Be a host that waits for work from `qie deploy SCENARIO`, until Ctrl-C.

    Parameters
    ----------
    name
        Of this host, as in the hosts file and in its certificate.
    certificates
        The folder with this host's certificate and key, as `qie certs FOLDER NAME` makes them.
    conductor
        The name of whom it takes work from, as in the hosts file and in the conductor's certificate.
    plain
        Do without certificates; then only this machine's loopback is let in.
    address
        Where to listen: the loopback unless told otherwise.
    port
        At which port; 0 is any that is free.
    runs
        End after so many runs.
    """
    if (certificates is None) == (not plain):
        raise InputError(["expected either --certificates FOLDER, or --plain for connections on the loopback only"])
    if not 0 <= port < _PORTS:
        raise InputError([f"--port {port}: expected a number from 0 to {_PORTS - 1}"])
    with needing("hosts", "qie host"):
        import greenback  # noqa: F401, PLC0415
    from emulator.wire.credentials import CredentialsError  # noqa: PLC0415  (keeps --help fast)
    from emulator.wire.security import server_context  # noqa: PLC0415
    from scenarios.hosts.daemon import Daemon  # noqa: PLC0415

    folder = None if certificates is None else Path(certificates)
    try:
        if folder is not None:
            server_context(folder, name)
        Daemon(name, conductor, address, port, folder, say).serve(runs=runs)
    except CredentialsError as error:
        raise InputError([str(error)]) from None
    except OSError as error:
        raise InputError([f"cannot listen at {address}:{port}: {error.strerror or error}"]) from None
    except KeyboardInterrupt:
        return 130
    return 0


def certs(
    folder: str,
    name: tuple[str, ...],
    /,
    *,
    days: int = 365,
    renew: Annotated[bool, Parameter(negative="")] = False,
    json_: AsJson = False,
) -> int:
    """Make the certificates by which the hosts of a deployment know each other, from an authority of its own.

    Parameters
    ----------
    folder
        Where they are, and the authority's; it is made if it is not there.
    name
        One or more names of hosts, as in the deployment, or the conductor's. What they have already is kept.
    days
        How long new ones are good.
    renew
        Make those of the hosts named anew; the authority stays.
    json_
        Print the result as JSON.
    """
    from emulator.wire.credentials import CredentialsError  # noqa: PLC0415  (keeps --help fast)

    with needing("hosts", "qie certs"):
        from emulator.wire import certificates  # noqa: PLC0415
    try:
        issued = certificates.create(Path(folder), name, days=days, renew=renew)
    except CredentialsError as error:
        raise InputError([str(error)]) from None
    lines = (
        f"{entry.name}: {'made' if entry.new else 'kept'}, good until {entry.until:%Y-%m-%d}: "
        f"{entry.certificate}, {entry.key}"
        for entry in issued
    )
    return show({"folder": folder, "hosts": [entry.as_json() for entry in issued]}, lines, as_json=json_)
