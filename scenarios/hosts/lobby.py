"""How hosts come together before a run: the job, the lines between them, and the word to begin.

Here the clock is the wall's. The streams outlive this: the run itself, whose clock is emulated time, goes on with them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

import trio

from emulator.wire.frames import Abort, Beat, Failed, Go, Job, Ready
from emulator.wire.framing import Frame, WireError
from emulator.wire.peer import Peer
from scenarios.load import InputError

from .worker import HostRun, plan_digest

_PINGS: Final = 8
_LAST_WORDS_S: Final = 1.0

F = TypeVar("F", bound=Frame)


async def next_of(peer: Peer, wanted: type[F]) -> F:
    """Return the next frame, which must be of a type, but for beats. Raises WireError."""
    while isinstance(frame := await peer.next(), Beat):
        pass
    if isinstance(frame, Abort | Failed):
        raise WireError(frame.reason)
    if not isinstance(frame, wanted):
        raise WireError(f"it says {type(frame).__name__}, and {wanted.__name__} was expected")
    return frame


async def accept(me: str, job: Job, conductor: Peer) -> HostRun:
    """Build what a job asks for. Raises WireError if it cannot be built; the conductor is told why."""
    try:
        return HostRun(me, job)
    except (InputError, ValueError) as error:  # of msgspec, too
        await conductor.say(Failed("input", str(error)))
        raise WireError(f"the job cannot be done: {error}") from None


async def be_ready(me: str, run: HostRun, conductor: Peer, peers: Mapping[str, Peer]) -> None:
    """Measure the lines to the other hosts, say that all is ready, and wait for the word to begin. Raises WireError."""
    round_trips_s = {}
    for name in sorted(peers):
        if me < name:
            round_trips_s[name] = await _ping(peers[name])
        else:
            await _echo(peers[name])
    await conductor.say(Ready(plan_digest(run.network), round_trips_s))
    await next_of(conductor, Go)


async def hang_up(conductor: Peer | None, peers: Sequence[Peer]) -> None:
    """Close all lines after a run, that to the conductor last, so that it hears the last word."""
    for peer in peers:
        with trio.move_on_after(_LAST_WORDS_S):
            await peer.close()
    if conductor is not None:
        with trio.move_on_after(_LAST_WORDS_S):
            await conductor.close(linger=True)


async def _ping(peer: Peer) -> float:
    """Return the least time that a frame takes to a peer and back, in seconds."""
    least_s = float("inf")
    for _ in range(_PINGS):
        started_s = time.perf_counter()
        await peer.say(Beat())
        await peer.next()
        least_s = min(least_s, time.perf_counter() - started_s)
    return least_s


async def _echo(peer: Peer) -> None:
    for _ in range(_PINGS):
        await peer.next()
        await peer.say(Beat())
