"""Taking connections: a stranger costs nobody else anything.

A connection is a stranger until its security and handshake are done, for which it has a limited time. There is room for
so many strangers at one time; one more, and the one that is a stranger for the longest is dropped. So a flood of them
neither fills the memory nor shuts out a host, whose handshake takes milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias, TypeVar

import trio

from .framing import WireError

LOOPBACK: Final = "127.0.0.1"
_HANDSHAKE_S: Final = 10.0
_STRANGERS_MAX: Final = 64

T = TypeVar("T")
Tell: TypeAlias = Callable[[str], object]
Admit: TypeAlias = Callable[[trio.SocketStream], Awaitable[T]]
Serve: TypeAlias = Callable[[T], Awaitable[object]]


async def listen(port: int, *, address: str = LOOPBACK) -> list[trio.SocketListener]:
    """Return what listens at a port of this machine, on its loopback unless told otherwise. Raises OSError."""
    return await trio.open_tcp_listeners(port, host=address)


async def take_connections(
    listeners: list[trio.SocketListener],
    admit: Admit[T],
    serve: Serve[T],
    *,
    tell: Tell,
    handshake_s: float = _HANDSHAKE_S,
    strangers_max: int = _STRANGERS_MAX,
) -> None:
    """Take connections for ever: `await admit(stream)`, security and handshake, then `await serve(what it returned)`.

    Each has a task of its own, and is closed at its end. If it fails by a WireError, a broken connection or the time
    limit, which is of the clock of this trio run, `tell` gets one line. All other errors of `admit` and `serve` are
    raised, and end everything.
    """
    strangers = _Strangers(strangers_max, handshake_s)

    async def take(stream: trio.SocketStream) -> None:
        async with stream:
            who = _where(stream)
            try:
                with strangers.one() as patience:
                    admitted = await admit(stream)
                if patience.cancelled_caught:
                    tell(f"{who}: {strangers.why(patience)}")
                    return
                await serve(admitted)
            except WireError as error:
                tell(f"{who}: {error}")
            except trio.BrokenResourceError:
                tell(f"{who}: the connection broke")

    await trio.serve_listeners(take, listeners)


class _Strangers:
    """The connections that are not admitted yet, by when they came."""

    def __init__(self, most: int, patience_s: float) -> None:
        self._most = most
        self._patience_s = patience_s
        self._waiting: dict[trio.CancelScope, None] = {}

    @contextmanager
    def one(self) -> Iterator[trio.CancelScope]:
        """Give one its time; drop the oldest if they are too many."""
        if len(self._waiting) >= self._most:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.deadline = math.inf  # see `why`
            oldest.cancel()
        scope = trio.CancelScope(deadline=trio.current_time() + self._patience_s)
        self._waiting[scope] = None
        try:
            with scope:
                yield scope
        finally:
            self._waiting.pop(scope, None)

    def why(self, scope: trio.CancelScope) -> str:
        """Say why one has been given up."""
        if math.isinf(scope.deadline):
            return f"dropped: {self._most} connections that came later are in their handshakes"
        return f"no handshake within {self._patience_s:g} s"


def _where(stream: trio.SocketStream) -> str:
    try:
        address, port, *_ = stream.socket.getpeername()
    except OSError:  # it has gone already
        return "a connection"
    return f"{address} port {port}"
