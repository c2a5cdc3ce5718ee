"""How the conductor reaches the hosts of a deployment, and hosts each other: by TCP, secured unless told otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from emulator.wire.credentials import CredentialsError
from emulator.wire.framing import WireError
from emulator.wire.handshake import Hello, greet
from emulator.wire.security import check_plain, client_context, secure
from scenarios.load import InputError

from .hosts_file import HostsFile

_HANDSHAKE_S: Final = 10.0


async def call(
    where: tuple[str, int], mine: Hello, name: str, certificates: Path | None, *, limit_s: float = _HANDSHAKE_S
) -> trio.abc.Stream:
    """Return a stream to a host of a name at an address; no certificates: without TLS, on the loopback.

    Raises WireError that says what is wrong, CredentialsError if the certificates cannot be used.
    """
    context = None if certificates is None else client_context(certificates, mine.name)
    try:
        with trio.fail_after(limit_s):
            plain = await trio.open_tcp_stream(*where)
            try:
                if context is None:
                    check_plain(plain)
                    stream: trio.abc.Stream = plain
                else:
                    stream = await secure(plain, context, server_side=False, peer=name)
                await greet(stream, mine, expected_name=name)
            except BaseException:
                await trio.aclose_forcefully(plain)
                raise
    except trio.TooSlowError:
        raise WireError(f"no answer within {limit_s:g} s; is it busy with another run?") from None
    except OSError as error:
        raise WireError(f"cannot be reached: {error.strerror or error}") from error
    return stream


@asynccontextmanager
async def connected(
    hosts: HostsFile, mine: Hello, certificates: Path | None
) -> AsyncIterator[dict[str, trio.abc.Stream]]:
    """Yield a stream to each host of a file. Raises InputError that names all who cannot be reached, and why."""
    streams: dict[str, trio.abc.Stream] = {}
    errors: dict[str, str] = {}

    async def reach(name: str, where: tuple[str, int]) -> None:
        try:
            streams[name] = await call(where, mine, name, certificates)
        except (WireError, CredentialsError) as error:
            errors[name] = f"host {name} at {where[0]}:{where[1]}: {error}"

    async with AsyncExitStack() as stack:
        async with trio.open_nursery() as nursery:
            for host in hosts.host:
                nursery.start_soon(reach, host.name, host.where)
        for stream in streams.values():
            stack.push_async_callback(trio.aclose_forcefully, stream)
        if errors:
            raise InputError([errors[host.name] for host in hosts.host if host.name in errors])
        yield streams
