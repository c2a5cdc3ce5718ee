"""The command `qie`. Exit codes: 0 good, 1 the run failed or an invariant broke, 2 bad input, 130 interrupted."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from cyclopts import App, CycloptsError, Parameter

from .load import InputError
from .version import version

if TYPE_CHECKING:
    from . import campaign
    from .chaos import Failure
    from .report import Run

app = App(
    name="qie",
    help="A live, exact emulator of the quantum internet.",
    version=version,
    version_flags=["--version"],
)


_PROCESSES_MAX = 64
_PORTS = 1 << 16


def _fail(lines: list[str], code: int) -> NoReturn:
    for line in lines:
        print(f"qie: {line}", file=sys.stderr)
    raise SystemExit(code)


def _rate(text: str) -> float:
    from .spec import rate_of  # noqa: PLC0415  (keeps --help fast)

    return rate_of(text, what="--rate")


def _positive(option: str, value: float) -> float:
    if not (value > 0 and math.isfinite(value)):
        _fail([f"{option} {value:g}: expected a number of seconds greater than 0"], 2)
    return value


def _write(option: str, path: str, text: str) -> None:
    if path == "-":
        print(text)
        return
    try:
        Path(path).write_text(text + "\n", "utf-8")
    except OSError as error:
        _fail([f"{option} {path}: cannot be written: {error.strerror}"], 2)


def _write_json(path: str, data: dict[str, Any]) -> None:
    _write("--json", path, json.dumps(data, indent=2, allow_nan=False))


@app.command
def run(
    scenario: str,
    *,
    rate: str = "1",
    for_: Annotated[float, Parameter(name="--for")] = 20.0,
    seed: int = 0,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    fault: Annotated[tuple[str, ...], Parameter(name="--fault", negative="")] = (),
    record: str | None = None,
    live: Annotated[bool, Parameter(name="--live", negative="")] = False,
    json_: Annotated[str | None, Parameter(name="--json", allow_leading_hyphen=True)] = None,
) -> int:
    """Run a scenario: a built-in name (see `qie scenarios`) or a TOML file.

    Parameters
    ----------
    scenario
        Name or file.
    rate
        Emulated seconds per wall second: 1 is real time, 0.1 ten times slower, max as fast as possible.
    for_
        Seconds of emulated time.
    seed
        Of all random numbers: the same seed gives the same history.
    set_
        KEY=VALUE: a parameter of the scenario (links=8), or a key by its path (override.t2_s=0.1). Can be repeated.
    fault
        KIND:TARGET@START..END,ATTRIBUTE=VALUE,...: break something, see `qie faults`. Can be repeated.
    record
        Record the run to this new file, for `qie replay FILE` and `qie records FILE`.
    live
        Take commands from standard input, one a line: pause, resume, rate 0.1, fault KIND:TARGET..., heal NAME, stop.
    json_
        Write the result as JSON to this file (- for standard output).
    """
    speed, span_s = _rate(rate), _positive("--for", for_)
    from emulator import ActorCrashError  # noqa: PLC0415  (keeps --help fast)

    from .load import read  # noqa: PLC0415
    from .run import run_spec  # noqa: PLC0415
    from .spec import RunSpec  # noqa: PLC0415

    label, text = read(scenario)
    spec = RunSpec(
        label=label, text=text, settings=set_, seed=seed, for_ns=round(span_s * 1e9), rate=speed, faults=fault
    )
    try:
        done = run_spec(spec, record=record, **_showing(live=live))
    except ActorCrashError as error:
        cause = error.__cause__
        _fail([f"{error}: {type(cause).__name__}: {cause}"], 1)
    return _finished(done, json_)


def _showing(*, live: bool) -> dict[str, Any]:
    """Return how a run is shown and steered: a table would be in the way of whoever types."""
    from .live import listen  # noqa: PLC0415  (keeps --help fast)

    hear = partial(listen, sys.stdin.fileno(), tell=_say) if live else None
    return {"show": "lines" if live else "auto", "tell": _say, "live": hear}


def _finished(done: Run, json_: str | None) -> int:
    """Say how a run was; return the exit code."""
    from .report import as_json, summary  # noqa: PLC0415

    if json_ is not None:
        _write_json(json_, as_json(done))
    if json_ != "-":
        for line in summary(done):
            print(line)
    if done.outcome.interrupted:
        return 130
    return 0 if done.good else 1


@app.command
def replay(
    file: str,
    *,
    rate: str = "max",
    any_version: Annotated[bool, Parameter(name="--any-version", negative="")] = False,
    json_: Annotated[str | None, Parameter(name="--json", allow_leading_hyphen=True)] = None,
) -> int:
    """Run a recorded run again, from its record alone, and compare bit by bit; exit code 1 at a difference.

    Parameters
    ----------
    file
        What `qie run --record` wrote.
    rate
        Emulated seconds per wall second, or max; it need not be that of the record.
    any_version
        Take a record of another version of the software too: does that version have the same history?
    json_
        Write the result as JSON to this file (- for standard output).
    """
    speed = _rate(rate)
    from .replay import as_json, summary  # noqa: PLC0415  (keeps --help fast)
    from .replay import replay as run_again  # noqa: PLC0415

    done = run_again(file, rate=speed, show="auto", any_version=any_version)
    data = as_json(done)
    if json_ is not None:
        _write_json(json_, data)
    if json_ != "-":
        for line in summary(done):
            print(line)
    if done.interrupted:
        return 130
    return 0 if data["identical"] else 1


@app.command
def records(
    file: str,
    *,
    actor: str = "*",
    kind: str = "*",
    from_: Annotated[float, Parameter(name="--from")] = 0.0,
    to: float = math.inf,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Print the records of a recorded run, one a line.

    Parameters
    ----------
    file
        What `qie run --record` wrote.
    actor
        Only those of this actor, or of all whose name fits a pattern, such as berlin-*.
    kind
        Only those of this kind, or pattern.
    from_
        Only those from this second of emulated time on.
    to
        Only those up to this second of emulated time.
    json_
        Print each as a JSON object.
    """
    from .listing import listed  # noqa: PLC0415  (keeps --help fast)

    for text in listed(file, actor=actor, kind=kind, from_s=from_, to_s=to, as_json=json_):
        print(text)
    return 0


@app.command
def scenarios(*, json_: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """List the built-in scenarios and their parameters.

    Parameters
    ----------
    json_
        Print the list as JSON.
    """
    from .load import built_in, load  # noqa: PLC0415

    found = {name: load(name)[0] for name in built_in()}
    if json_:
        entries = [{"name": n, "description": s.description, "parameters": s.parameters} for n, s in found.items()]
        print(json.dumps({"scenarios": entries}, indent=2))
        return 0
    for name, scenario in found.items():
        print(f"{name}\n  {' '.join(scenario.description.split())}")
        print("  " + "  ".join(f"{key}={value}" for key, value in scenario.parameters.items()))
    return 0


@app.command
def check(
    file: str,
    *,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Check a scenario file: all that is wrong, with line, key and what would be right.

    Parameters
    ----------
    file
        A TOML file, or the name of a built-in scenario.
    set_
        KEY=VALUE, as for `qie run`.
    json_
        Print the result as JSON.
    """
    from .run import prepare  # noqa: PLC0415

    try:
        scenario, plan, _ = prepare(file, set_)
    except InputError as error:
        if json_:
            print(json.dumps({"file": file, "errors": error.lines}, indent=2))
            return 2
        raise
    figures = {"nodes": len(plan.nodes), "links": len(plan.links), "demands": len(plan.demands)}
    if json_:
        print(json.dumps({"file": file, "errors": [], **figures}, indent=2))
    else:
        counts = (f"{count} {what if count != 1 else what.removesuffix('s')}" for what, count in figures.items())
        print(f"{scenario.name} is right: " + ", ".join(counts))
    return 0


@app.command(name="import")
def import_(
    file: str, *, end_nodes: int = 1, out: Annotated[str, Parameter(name="--out", allow_leading_hyphen=True)] = "-"
) -> int:
    """Make a scenario from a GraphML file: a hub with end nodes for each node, a link for each edge.

    Parameters
    ----------
    file
        A GraphML file, such as those of the Topology Zoo.
    end_nodes
        End nodes at each hub, 5 km from it.
    out
        Write the scenario to this file (- for standard output).
    """
    if not 1 <= end_nodes <= 100_000:
        _fail([f"--end-nodes {end_nodes}: expected a whole number from 1 to 100000"], 2)
    from . import graphml  # noqa: PLC0415  (keeps --help fast)

    text = graphml.scenario_text(graphml.read(Path(file)), source=file, end_nodes=end_nodes)
    _write("--out", out, text.rstrip("\n"))
    return 0


@Parameter(name="*")
@dataclass(frozen=True)
class Probe:
    """How a question about the way between two end nodes is asked.

    Parameters
    ----------
    scenario
        Name or file; its own demands are left out.
    for_
        Seconds of emulated time at most.
    rate
        Emulated seconds per wall second, or max.
    seed
        Of all random numbers.
    set_
        KEY=VALUE, as for `qie run`.
    json_
        Write the result as JSON to this file (- for standard output).
    """

    scenario: str = "berlin-frankfurt"
    for_: Annotated[float, Parameter(name="--for")] = 60.0
    rate: str = "max"
    seed: int = 0
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = ()
    json_: Annotated[str | None, Parameter(name="--json", allow_leading_hyphen=True)] = None

    def options(self, pairs: int) -> dict[str, Any]:
        """Return what an application is given, if all of it is right."""
        speed, span_s = _rate(self.rate), _positive("--for", self.for_)
        if pairs < 1:
            _fail([f"--pairs {pairs}: expected at least 1"], 2)
        return {
            "scenario": self.scenario,
            "pairs": pairs,
            "for_s": span_s,
            "rate": speed,
            "seed": self.seed,
            "settings": self.set_,
        }


_PROBE = Probe()


@app.command
def qping(a: str, b: str, *, pairs: int = 60, probe: Probe = _PROBE) -> int:
    """Ask for pairs from one end node to another, and estimate rate and fidelity by measuring them at both ends.

    Parameters
    ----------
    a
        End node that asks.
    b
        End node that answers.
    pairs
        How many pairs to measure.
    """
    from .apps import qping as application  # noqa: PLC0415  (keeps --help fast)

    tally, done = application.qping(a, b, **probe.options(pairs))
    data = application.as_json(a, b, tally)
    _tell(data, probe.json_, application.summary(data))
    return _code(done, some=bool(tally.total))


@app.command
def qtrace(a: str, b: str, *, pairs: int = 20, probe: Probe = _PROBE) -> int:
    """Ask for pairs from one end node to another, and tell by which links and swaps they came.

    Parameters
    ----------
    a
        End node that asks.
    b
        End node at the other end.
    pairs
        How many pairs to follow.
    """
    from .apps import qtrace as application  # noqa: PLC0415  (keeps --help fast)

    found, done = application.qtrace(a, b, **probe.options(pairs))
    data = application.as_json(a, b, found)
    _tell(data, probe.json_, application.summary(data))
    return _code(done, some=bool(found))


def _tell(data: dict[str, Any], json_: str | None, lines: Iterable[str]) -> None:
    if json_ is not None:
        _write_json(json_, data)
    if json_ != "-":
        for line in lines:
            print(line)


def _code(done: Run, *, some: bool) -> int:
    for violation in done.violations:
        print(f"qie: {violation}", file=sys.stderr)
    if done.outcome.interrupted:
        return 130
    return 0 if done.good and some else 1


@app.command
def faults(*, json_: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """List the kinds of faults, what they act on, and their attributes.

    Parameters
    ----------
    json_
        Print the list as JSON.
    """
    from .faults import known  # noqa: PLC0415

    found = known()
    if json_:
        print(json.dumps({"faults": found}, indent=2))
        return 0
    for kind in found:
        print(f"{kind['kind']}:{kind['example']}\n  {kind['description']}")
        for attribute in kind["attributes"]:
            print(f"  {attribute['name']}={attribute['default']}  {attribute['meaning']}; {attribute['values']}")
    return 0


@app.command
def schema() -> int:
    """Print the JSON Schema of scenario files, for editors."""
    from .schema import Scenario  # noqa: PLC0415

    print(json.dumps(Scenario.model_json_schema(), indent=2))
    return 0


@app.command
def chaos(
    scenario: str,
    *,
    runs: int = 100,
    seed: int = 0,
    for_: Annotated[float, Parameter(name="--for")] = 5.0,
    jobs: int = 0,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    kind: Annotated[tuple[str, ...], Parameter(name="--kind", negative="")] = (),
    json_: Annotated[str | None, Parameter(name="--json", allow_leading_hyphen=True)] = None,
) -> int:
    """Search random faults and demands for what breaks an invariant, or what a scenario does not recover from.

    What fails is written as a scenario file, with the command that fails again.

    Parameters
    ----------
    scenario
        Name or file.
    runs
        How many runs.
    seed
        Of the search: the same seed tries the same, with the same version and as many processes.
    for_
        Seconds of emulated time of each run. Faults act in the first half of it.
    jobs
        How many processes (0: as many as there are cores).
    set_
        KEY=VALUE, as for `qie run`.
    kind
        A kind of fault, as in `qie faults`; only those given are tried. Can be repeated.
    json_
        Write the result as JSON to this file (- for standard output).
    """
    span_s = _positive("--for", for_)
    if runs < 1 or jobs < 0:
        _fail([f"--runs {runs} --jobs {jobs}: expected at least 1 run, and no negative number of processes"], 2)
    try:
        from . import campaign  # noqa: PLC0415
    except ImportError as error:
        _fail([f"qie chaos needs the package {error.name}: install quantum-internet-emulator[campaign]"], 2)
    from emulator.faults import kinds  # noqa: PLC0415

    for name in kind:
        if name not in kinds():
            _fail([f"--kind {name}: there is no such kind of fault; `qie faults` lists them"], 2)
    order = campaign.Order(scenario, set_, span_s, kind, seed, runs)
    with _progress(runs) as tell:
        result = campaign.run(order, jobs=jobs or os.cpu_count() or 1, tell=tell)
    files = [_write_failure(order, failure) for failure in result.failures]
    data = {
        "runs": result.runs,
        "runs_to_shrink": result.shrinking,
        "violations": [str(violation) for failure in result.failures for violation in failure.violations],
        "files": [file for file, _ in files],
        "wall_s": round(result.wall_s, 3),
        "interrupted": result.interrupted,
    }
    _tell(data, json_, _chaos_lines(result, files))
    if result.interrupted:
        return 130
    return 1 if result.failures else 0


@contextmanager
def _progress(runs: int) -> Iterator[Callable[[int, int], None]]:
    """Show a bar of the runs that were asked for on a terminal, and how many more there are to shrink failures."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    columns = (BarColumn(), MofNCompleteColumn(), "runs", TimeRemainingColumn(), "{task.description}")
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=runs)

        def tell(done: int, shrinking: int) -> None:
            description = f"shrinking a failure: {shrinking} more" if shrinking else ""
            progress.update(task, completed=done, description=description)

        yield tell


def _write_failure(order: campaign.Order, failure: Failure) -> tuple[str, str]:
    """Write a scenario file that fails as was found; return its name, and the command that runs it."""
    stem = f"chaos-{Path(order.scenario).stem}-{order.seed}"
    path = next(p for k in count(1) if not (p := Path(f"{stem}-{k}.toml")).exists())
    path.write_text(failure.text, "utf-8")
    settings = "".join(f" --set {shlex.quote(setting)}" for setting in order.settings)
    command = f"qie run {path} --seed {failure.trial.seed} --for {order.for_s:g} --rate max{settings}"
    return str(path), command


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _chaos_lines(result: campaign.Result, files: list[tuple[str, str]]) -> Iterator[str]:
    ended = " (interrupted)" if result.interrupted else ""
    more = f" (and {result.shrinking} to shrink what failed)" if result.shrinking else ""
    runs, failures = _counted(result.runs, "run"), _counted(len(result.failures), "failure")
    yield f"{runs}{more} in {result.wall_s:.1f} s{ended}: {failures}"
    for failure, (_, command) in zip(result.failures, files, strict=True):
        for violation in failure.violations[:5]:
            yield f"VIOLATION: {violation}"
        yield f"  {len(failure.trial.faults)} faults, {len(failure.trial.routes)} demands; to run it again: {command}"


@app.command
def deploy(
    scenario: str,
    *,
    hosts: str | None = None,
    local: int | None = None,
    rate: str = "1",
    for_: Annotated[float, Parameter(name="--for")] = 20.0,
    seed: int = 0,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    fault: Annotated[tuple[str, ...], Parameter(name="--fault", negative="")] = (),
    record: str | None = None,
    live: Annotated[bool, Parameter(name="--live", negative="")] = False,
    json_: Annotated[str | None, Parameter(name="--json", allow_leading_hyphen=True)] = None,
) -> int:
    """Run a scenario on several hosts, as if it were one process: the same history, bit by bit.

    Parameters
    ----------
    scenario
        Name or file.
    hosts
        A file that says which hosts there are and who runs on them; each of them runs `qie host NAME`.
    local
        So many processes of this machine instead, without any configuration.
    rate
        Emulated seconds per wall second: 1 is real time, 0.1 ten times slower, max as fast as possible.
    for_
        Seconds of emulated time.
    seed
        Of all random numbers: the same seed gives the same history.
    set_
        KEY=VALUE: a parameter of the scenario (links=8), or a key by its path (override.t2_s=0.1). Can be repeated.
    fault
        KIND:TARGET@START..END,ATTRIBUTE=VALUE,...: break something, see `qie faults`. Can be repeated.
    record
        Record the run to this new file, for `qie replay FILE` and `qie records FILE`.
    live
        Take commands from standard input, one a line: pause, resume, rate 0.1, fault KIND:TARGET..., heal NAME, stop.
    json_
        Write the result as JSON to this file (- for standard output).
    """
    speed, span_s = _rate(rate), _positive("--for", for_)
    if (hosts is None) == (local is None):
        _fail(["expected either --hosts FILE, or --local N for N processes on this machine"], 2)
    if local is not None and not 1 <= local <= _PROCESSES_MAX:
        _fail([f"--local {local}: expected a number of processes from 1 to {_PROCESSES_MAX}"], 2)
    _needs_hosts("qie deploy")
    from .hosts import deploy as deploying  # noqa: PLC0415  (keeps --help fast)
    from .hosts.hosts_file import read_hosts  # noqa: PLC0415
    from .load import read  # noqa: PLC0415
    from .spec import RunSpec  # noqa: PLC0415

    label, text = read(scenario)
    spec = RunSpec(
        label=label, text=text, settings=set_, seed=seed, for_ns=round(span_s * 1e9), rate=speed, faults=fault
    )
    where = read_hosts(hosts) if hosts is not None else local or 1
    done = deploying.deploy(spec, where, file=hosts or "", record=record, **_showing(live=live))
    return _finished(done, json_)


@app.command
def host(
    name: str,
    *,
    certificates: str | None = None,
    conductor: str = "conductor",
    plain: Annotated[bool, Parameter(name="--plain", negative="")] = False,
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
        _fail(["expected either --certificates FOLDER, or --plain for connections on the loopback only"], 2)
    if not 0 <= port < _PORTS:
        _fail([f"--port {port}: expected a number from 0 to {_PORTS - 1}"], 2)
    _needs_hosts("qie host")
    from emulator.wire.credentials import CredentialsError  # noqa: PLC0415  (keeps --help fast)
    from emulator.wire.security import server_context  # noqa: PLC0415

    from .hosts.daemon import Daemon  # noqa: PLC0415

    folder = None if certificates is None else Path(certificates)
    try:
        if folder is not None:
            server_context(folder, name)
        Daemon(name, conductor, address, port, folder, _say).serve(runs=runs)
    except CredentialsError as error:
        _fail([str(error)], 2)
    except OSError as error:
        _fail([f"cannot listen at {address}:{port}: {error.strerror or error}"], 2)
    except KeyboardInterrupt:
        return 130
    return 0


def _needs_hosts(command: str) -> None:
    try:
        import greenback  # noqa: F401, PLC0415
    except ImportError as error:
        _fail([f"{command} needs the package {error.name}: install quantum-internet-emulator[hosts]"], 2)


def _say(line: str) -> None:
    print(f"qie: {line}", file=sys.stderr, flush=True)


@app.command
def certs(
    folder: str,
    name: tuple[str, ...],
    /,
    *,
    days: int = 365,
    renew: Annotated[bool, Parameter(name="--renew", negative="")] = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
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

    try:
        from emulator.wire import certificates  # noqa: PLC0415
    except ImportError as error:
        _fail([f"qie certs needs the package {error.name}: install quantum-internet-emulator[hosts]"], 2)
    try:
        issued = certificates.create(Path(folder), name, days=days, renew=renew)
    except CredentialsError as error:
        _fail([str(error)], 2)
    if json_:
        print(json.dumps({"folder": folder, "hosts": [entry.as_json() for entry in issued]}, indent=2))
        return 0
    for entry in issued:
        what = "made" if entry.new else "kept"
        print(f"{entry.name}: {what}, good until {entry.until:%Y-%m-%d}: {entry.certificate}, {entry.key}")
    return 0


@app.command
def bench(
    name: str, *, json_: Annotated[str | None, Parameter(name="--json", allow_leading_hyphen=True)] = None
) -> int:
    """Measure: kernel (events), swap (of two pairs), chain (ten links), star, metro (of 50 to 1000), hosts.

    Parameters
    ----------
    name
        kernel, swap, chain, star, metro or hosts.
    json_
        Write the figures as JSON to this file (- for standard output).
    """
    from .bench import BENCHES, measure  # noqa: PLC0415

    if name not in BENCHES:
        _fail([f"no benchmark {name!r}; there are {', '.join(BENCHES)}"], 2)
    result = measure(name)
    if json_ is not None:
        _write_json(json_, result)
    if json_ != "-":
        for figure, value in result["figures"].items():
            print(f"{figure:<28} {value:,.6g}" if isinstance(value, (int, float)) else f"{figure:<28} {value}")
    return 0


def main() -> NoReturn:
    """Run the command line."""
    # States are small: threads of the linear algebra would cost time, and could change the last bit of a sum.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = app(exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except InputError as error:
        _fail(error.lines, 2)
    except CycloptsError as error:
        _fail([" ".join(str(error).split()) + " See qie --help."], 2)
    except BrokenPipeError:  # whoever read our output has had enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        _fail(["interrupted before there was anything to sum up"], 130)
    raise SystemExit(code if isinstance(code, int) else 0)
