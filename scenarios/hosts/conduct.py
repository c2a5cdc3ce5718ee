"""The conductor of a run on several hosts: it starts them, gathers what they tell, and ends the run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec
import trio

from emulator import Outcome
from emulator.inputs import LOST, OUTSIDE
from emulator.wire.frames import (
    CONDUCTOR_CODEC,
    Abort,
    Beat,
    Begun,
    Failed,
    Finish,
    Go,
    GoOn,
    Halted,
    Job,
    Lost,
    Pace,
    Progress,
    Quiet,
    Ready,
    Records,
    Standing,
    Summary,
    View,
)
from emulator.wire.framing import Frame, WireError
from emulator.wire.peer import Peer
from scenarios.build import World
from scenarios.report import Work
from scenarios.spec import RunSpec

from . import placement, totals
from .gather import Gather, Witness
from .settling import Settling
from .steering import Steering
from .worker import plan_digest

_LOOK_S: Final = 0.25
_CREEP: Final = 0.1  # times real time: slower than that is told even if nobody waits for real time
_LAST_WORDS_S: Final = 1.0
_HEAD_START_S: Final = 0.05  # from the word that time goes on to when it does, so that all have heard of it
_GRACE_S: Final = 2.0  # beyond the limit: so that it is known who is silent before all that wait for it give up


class ConductError(Exception):
    """The run could not go on; the message says who and why."""


@dataclass(frozen=True, slots=True)
class Blame:
    """What another host says of one that it cannot reach, and since when."""

    reason: str
    since_s: float


@dataclass(slots=True)
class HostState:
    """What a host has told of itself."""

    peer: Peer
    ready: Ready | None = None
    begun: bool = False
    now_ns: int = 0
    lag_ns: int = 0
    awaited: list[str] = field(default_factory=list)
    summary: Summary | None = None
    failed: str | None = None
    crashed: bool = False  # because of an error of an actor, which is no loss of a host
    blames: dict[str, Blame] = field(default_factory=dict)  # by who says it


class Conductor:
    """One run. `tell` takes lines for people: whom the run waits for, and what went wrong."""

    def __init__(
        self,
        spec: RunSpec,
        world: World,
        actors: Mapping[str, list[str]],
        streams: Mapping[str, trio.abc.Stream],
        *,
        tell: Callable[[str], None],
        limit_s: float = 30.0,
        goes_on: bool = False,
    ) -> None:
        self.spec = spec
        self.world = world
        self.hosts = {name: HostState(Peer(name, stream, CONDUCTOR_CODEC)) for name, stream in sorted(streams.items())}
        self._actors = dict(actors)
        self._tell = tell
        self._limit_s = limit_s
        self._goes_on = goes_on
        self.lost: dict[str, str] = {}  # hosts that were given up, and why
        network = self.world.network
        self.gather = Gather(network.history, self._actors, network.history.observed_messages)
        self._come: list[int] = []  # how far hosts had come when one came further last, and when that was
        self._came_s = 0.0
        self._standstill: str | None = None
        self._changed = trio.Event()
        self._settling = Settling(self.hosts, self._say)
        self.steering = Steering(self.hosts, spec.rate, say=self._say, tell=tell)
        self._all_ready = self._finishing = self._over = False
        self._going = trio.Event()
        self.wall_s: float | None = None  # from the word to begin until everything had come to rest
        self.interrupted = False

    async def run(self, addresses: list[tuple[str, str, int]]) -> Outcome:
        """Run it. Raises ConductError."""
        spec = msgspec.msgpack.encode(self.spec)
        async with trio.open_nursery() as nursery:
            for name, host in self.hosts.items():
                nursery.start_soon(self._read, name, host)
                nursery.start_soon(self._write, name, host)
                host.peer.send(Job(spec, addresses, self._actors, self._limit_s, self._goes_on))
                host.peer.flush()
            nursery.start_soon(self._watch)
            try:
                await self._until(lambda: all(host.ready for host in self.hosts.values()), "to be ready")
                self._check()
                self._all_ready = True
                self._say(Go())
                await self._until(lambda: all(host.begun for host in self.hosts.values()), "to begin")
                self._say(Pace())
                self._going.set()
                started_s = time.perf_counter() + (_HEAD_START_S if math.isfinite(self.spec.rate) else 0.0)
                await self._until(self._settling.is_over, None)
                self.wall_s = time.perf_counter() - started_s
                self._finishing = True
                self._say(Finish())
                await self._until(lambda: all(host.summary for host in self.hosts.values()), "to account for the rest")
            except ConductError as error:
                self._say(Abort(str(error)))
                await self._give_up()
                raise
            finally:
                self._over = True
                nursery.cancel_scope.cancel()
        return self._outcome()

    def _check(self) -> None:
        """See that all have built the same, and whether emulated time can keep up with the wall clock."""
        mine = plan_digest(self.world.network)
        others = [name for name, host in self.hosts.items() if host.ready is not None and host.ready.digest != mine]
        if others:
            raise ConductError(f"{', '.join(others)} built another network than the conductor of the same scenario")
        trips = [
            (s, (a, b)) for a, host in self.hosts.items() if host.ready for b, s in host.ready.round_trips_s.items()
        ]
        found = placement.cut(self.world.network, self._actors)
        if found is None or not trips:
            return
        round_trip_s = max((s for s, pair in trips if set(pair) == set(found.hosts)), default=max(trips)[0])
        factor = found.realtime_factor(round_trip_s)
        if factor < (self.spec.rate if math.isfinite(self.spec.rate) else _CREEP):
            self._tell(
                f"the cut between {' and '.join(found.hosts)} has a lookahead of {found.lookahead_ns / 1e3:.0f} us "
                f"({' to '.join(found.channel)}), and a round trip takes {round_trip_s * 1e3:.2f} ms: "
                f"emulated time can go at {factor:.2g} x real time at most"
            )

    async def _give_up(self) -> None:
        """Let the hosts hear that it is over, and say the last of what they know, those that still can."""
        with trio.move_on_after(_LAST_WORDS_S):
            while not all(host.failed for host in self.hosts.values()):
                self._changed = trio.Event()
                await self._changed.wait()

    async def begin(self) -> None:
        """Wait until emulated time is let go."""
        await self._going.wait()

    @property
    def began(self) -> bool:
        """Return whether emulated time was let go."""
        return self._going.is_set()

    def put(self, kind: str, *fields: Any) -> None:
        """Let an input come at one emulated instant everywhere. Raises as `Inputs.put` does, if it can be seen here."""
        self.steering.put(kind, *self.world.network.inputs.checked(kind, fields))

    def pause(self) -> None:
        """Let emulated time stand still, at one instant everywhere."""
        self.steering.pause()

    def resume(self) -> None:
        """Let it go on."""
        self.steering.resume()

    def set_rate(self, rate: float) -> None:
        """Let it go on at another rate. Raises ValueError if there can be no such rate."""
        self.steering.set_rate(rate)

    def interrupt(self) -> None:
        """End the span of the run at one emulated instant everywhere: the input of a person who presses Ctrl-C."""
        self.interrupted = True
        if self.began:
            self.steering.put("interrupt")
            self.steering.resume()
        self._changed.set()

    # -- waiting ---------------------------------------------------------------------------------------------------

    async def _until(self, ready: Callable[[], bool], what: str | None) -> None:
        """Wait for something; `what`: of the hosts, within the limit; None: for as long as the run goes on."""
        started_s, count = time.monotonic(), len(self.hosts)
        while not ready():
            if self.interrupted and not self.began:
                raise ConductError("interrupted before the run began")
            self._look_for_failures()
            if count != len(self.hosts):  # who are left have to hear of it first
                started_s, count = time.monotonic(), len(self.hosts)
            if what is not None and time.monotonic() - started_s > self._limit_s + _GRACE_S:
                raise ConductError(f"waited {self._limit_s:g} s for all hosts {what}")
            self._changed = trio.Event()
            with trio.move_on_after(_LOOK_S):
                await self._changed.wait()

    def _look_for_failures(self) -> None:
        """Go on without a host that has failed, if the run is to and somebody is left. Raises ConductError."""
        if self._standstill is not None:
            raise ConductError(self._standstill)
        failed = {name: host.failed for name, host in self.hosts.items() if host.failed}
        if not failed:
            return
        crashed = any(self.hosts[name].crashed for name in failed)
        if crashed or not (self._goes_on and self._all_ready and len(failed) < len(self.hosts)):
            raise ConductError("; ".join(f"{name}: {reason}" for name, reason in failed.items()))
        for name, reason in failed.items():
            self._go_on_without(name, reason)

    def _go_on_without(self, name: str, reason: str) -> None:
        gone = self.hosts.pop(name)
        gone.peer.send(Abort(f"given up: {reason}"))
        gone.peer.flush()
        self.lost[name] = reason
        self.gather.give_up(name)
        # Up to here it is the history of one process. What survivors do from now on depends on when they hear of it.
        self.gather.add((self.gather.now_ns, OUTSIDE, LOST, (name, reason, tuple(self._actors[name]))))
        self._say(Lost(name, reason))
        self._tell(f"{name} is lost ({reason}): its {len(self._actors[name])} actors have crashed for good")
        for host in self.hosts.values():
            host.blames.pop(name, None)
        self.steering.give_up(name)
        self._settling.give_up(name)

    async def _watch(self) -> None:
        """Look now and then who is silent, and say whom the run waits for."""
        told: set[str] = set()
        while True:
            slept_s = time.monotonic()
            await trio.sleep(_LOOK_S)
            if time.monotonic() - slept_s > 4 * _LOOK_S:  # this process itself stood still
                self._came_s = time.monotonic()
                continue
            self._look_at_progress()
            self._look_at_blames()
            for name, host in self.hosts.items():
                host.peer.send(Beat())
                host.peer.flush()
                if host.peer.idle_s > self._limit_s and not self._over:
                    host.failed = host.failed or f"nothing was heard of it for {self._limit_s:g} s"
                elif host.peer.stuck:
                    host.failed = host.failed or "it takes nothing any more"
                elif self._all_ready and host.peer.idle_s > 2.0 and name not in told:
                    told.add(name)
                    self._tell(f"emulated time stands still: {name} is awaited")
                elif host.peer.idle_s < 1.0 and name in told:
                    told.discard(name)
                    self._tell(f"{name} is back")

    def _look_at_blames(self) -> None:
        """Lose a host that others cannot reach, once all that is said of it, and by itself, has had time to come.

        Where two cannot reach each other, it is whom more of the others cannot reach, or else the one named later: so
        it does not hang on whose word comes first.
        """
        blamed = {name: host for name, host in self.hosts.items() if host.blames and host.failed is None}
        since_s = min((blame.since_s for host in blamed.values() for blame in host.blames.values()), default=math.inf)
        if not self._finishing and time.monotonic() - since_s > _LAST_WORDS_S:
            name = max(blamed, key=lambda name: (len(blamed[name].blames), name))
            by, blame = min(blamed[name].blames.items())
            self._lose(blamed[name], f"{by} cannot reach it: {blame.reason}")

    def _look_at_progress(self) -> None:
        """Give up if nobody comes any further though all are there: that must not be, and nobody is to wait for it."""
        come = [host.now_ns for host in self.hosts.values()]
        now_s = time.monotonic()
        awaited = {name: host.awaited for name, host in self.hosts.items() if host.awaited}
        if (late := self.steering.awaited) and not awaited:
            awaited = {"the conductor": late}
        if not self.began or come != self._come or not awaited or self.steering.is_standing:
            self._come, self._came_s = come, now_s
        elif now_s - self._came_s > self._patience_s:
            whom = "; ".join(f"{name} awaits {', '.join(others)}" for name, others in awaited.items())
            self._standstill = f"nobody has come further for {self._limit_s:g} s: {whom}"

    @property
    def _patience_s(self) -> float:
        """Return how long nobody may come further: slow time takes its time, and whoever is silent is lost before."""
        return self._limit_s / min(1.0, self.steering.rate) + _GRACE_S

    def _say(self, frame: Frame) -> None:
        start_s = time.monotonic() + _HEAD_START_S
        for host in self.hosts.values():
            if isinstance(frame, Pace | GoOn):  # a host that hears of it may take the processor from whoever tells
                frame = msgspec.structs.replace(frame, after_s=max(0.0, start_s - time.monotonic()))
            host.peer.send(frame)
            host.peer.flush()

    # -- what hosts say --------------------------------------------------------------------------------------------

    async def _write(self, name: str, host: HostState) -> None:
        try:
            await host.peer.write()
        except trio.BrokenResourceError:
            self._lose(host, "the connection broke")

    async def _read(self, name: str, host: HostState) -> None:
        try:
            await host.peer.read(partial(self._take, name, host))
            self._lose(host, "it has closed the connection")
        except trio.BrokenResourceError:
            self._lose(host, "the connection broke")
        except WireError as error:
            self._lose(host, str(error))

    def _lose(self, host: HostState, reason: str) -> None:
        if host.summary is None:
            host.failed = host.failed or reason
        self._changed.set()

    def _take(self, name: str, host: HostState, frames: list[Frame]) -> None:
        if name not in self.hosts:  # given up
            return
        for frame in frames:
            if isinstance(frame, Records):
                self._add(name, frame)
            elif isinstance(frame, View):
                engine = self.world.network.engine
                assert isinstance(engine, Witness)
                self.gather.check_actor(name, frame.actor)
                engine.put(frame.actor, frame.snapshot)
            else:
                self._note(name, host, frame)
        self._changed.set()

    def _note(self, name: str, host: HostState, frame: Frame) -> None:
        """Take what a host says of itself."""
        match frame:
            case Progress():
                host.now_ns, host.lag_ns, host.awaited = frame.now_ns, frame.lag_ns, frame.awaited
            case Begun():
                host.begun = True
            case Ready():
                host.ready = frame
            case Quiet():
                self._settling.hear(name, frame)
            case Halted() | Standing():
                self.steering.hear(name, frame)
            case Summary():
                totals.check(frame, self.world.network, self._summaries.values())
                host.summary = frame
            case Lost():
                if frame.host in self.hosts and host.failed is None:
                    self.hosts[frame.host].blames.setdefault(name, Blame(frame.reason, time.monotonic()))
            case Failed():
                host.failed = host.failed or frame.reason
                host.crashed = frame.kind == "crash"
            case _:
                raise WireError(f"it says {type(frame).__name__}, which is not its to say")

    def _add(self, name: str, frame: Records) -> None:
        timeline = self.world.network.timeline
        for entry in self.gather.take(name, frame.until_ns, frame.data):
            timeline.now_ns = entry[0]
            self.gather.add(entry)

    def _outcome(self) -> Outcome:
        network = self.world.network
        try:
            for entry in self.gather.finish():
                network.timeline.now_ns = entry[0]
                self.gather.add(entry)
        except WireError as error:
            raise ConductError(f"the end of the history is wrong: {error}") from error
        return totals.outcome(self._summaries, network)

    @property
    def _summaries(self) -> dict[str, Summary]:
        return {name: host.summary for name, host in self.hosts.items() if host.summary is not None}

    @property
    def lag_ns(self) -> int:
        """Return the 99th percentile of the lags of the host that is latest."""
        return max(host.lag_ns for host in self.hosts.values())

    def work(self) -> Work:
        """Return what the run was to all hosts."""
        trips_s = {name: host.ready.round_trips_s for name, host in self.hosts.items() if host.ready is not None}
        return totals.work(self._summaries, self._actors, trips_s, self.lost)
