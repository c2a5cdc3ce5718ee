"""The only place where the parts meet: actors are added, joined by channels, and run together under supervision."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import trio

from .actor import MS, RANK_BITS, Actor, Cell, S, UnknownActorError
from .channel import Channel, ChannelAbroad
from .faults import Attribute, Injection, Schedule, from_outside
from .inputs import OUTSIDE, Inputs
from .share import Share, Whole
from .time import LAST_RANK, Timeline

A = TypeVar("A", bound=Actor)


class ActorCrashError(RuntimeError):
    """An actor raised, and its restart policy is to end the run."""

    def __init__(self, actor: str, time_ns: int) -> None:
        super().__init__(f"{actor} crashed at {time_ns / 1e9:.9f} s of emulated time")
        self.actor = actor
        self.time_ns = time_ns


class InjectedCrash(RuntimeError):  # noqa: N818  (it is no error of the actor that crashes)
    """The end of an actor's life from outside, by a fault."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: when, whether a person interrupted it, and what is still held though nothing goes on (leaks)."""

    emulated_ns: int
    interrupted: bool
    leaks: dict[str, int]


class Network:
    """Actors, the channels between them, the quantum states they share, one clock and one history.

    >>> network = Network(seed=1)
    >>> alice, bob = network.add(Actor("alice")), network.add(Actor("bob"))
    >>> network.connect("alice", "bob", latency_ns=5_000)
    >>> network.run(for_ns=1_000_000).leaks
    {}
    """

    def __init__(
        self, *, seed: int = 0, rate: float = math.inf, keep_history: bool = False, share: Share | None = None
    ) -> None:
        self.seed = seed
        self.share: Share = share or Whole()
        self.timeline = Timeline(rate)
        self.timeline.rate = math.inf  # until everybody has begun
        self._rate = rate
        self.history = self.share.history(keep=keep_history)
        self.engine = self.share.engine()
        self.inputs = Inputs(self.timeline, self.history)
        self.inputs.register("crash", self.crash, check=self._known)
        self.inputs.register("interrupt", self._interrupt)
        self.token: trio.lowlevel.TrioToken | None = None  # of the run, for threads that want something of it
        self.ticks = 0  # events of the timeline that are none of the world: watchers, begins and ends of faults
        self._cells: dict[str, Cell] = {}
        self._restart_ns: dict[str, int] = {}
        self._failure: Exception | None = None
        self._interrupted = False
        self._draining = False
        self._last_lives: set[str] = set()  # who was restarted while the run ends
        self._taken_down: set[str] = set()  # who stays down until `revive`
        self.faults = Schedule(self)
        from_outside.register(self.inputs, self.faults)
        self._nursery: trio.Nursery
        self._main_scope = trio.CancelScope()
        self._span_scope = trio.CancelScope()

    # -- building --------------------------------------------------------------------------------------------------

    def add(self, actor: A, *, restart_after_ns: int | None = None) -> A:
        """Add an actor. If it crashes, it is restarted after a while, or (None) the run ends with ActorCrashError."""
        if actor.name in self._cells:
            raise ValueError(f"there is an actor named {actor.name!r} already")
        if actor.name == OUTSIDE:
            raise ValueError(f"no actor can be named {OUTSIDE!r}: that is who writes the records of inputs")
        cell = Cell(actor, self.timeline, self.history, self.seed, self._crashed)
        actor.attach(cell)
        self._cells[actor.name] = cell
        if restart_after_ns is not None:
            self._restart_ns[actor.name] = restart_after_ns
        return actor

    def connect(
        self,
        a: str,
        b: str,
        *,
        latency_ns: int,
        processing_ns: int = 0,
        bit_rate_per_s: float | None = None,
    ) -> None:
        """Join two actors by a channel in each direction.

        Raises UnknownActorError for a name that nobody has, ValueError if they are joined already.
        """
        self._known(a)
        self._known(b)
        if a == b or b in self._cells[a].channels:
            raise ValueError(f"{a!r} and {b!r} are one, or are joined already")
        physics = {"latency_ns": latency_ns, "processing_ns": processing_ns, "bit_rate_per_s": bit_rate_per_s}
        for source, sink in ((a, b), (b, a)):
            channel: Channel
            if self.share.is_here(source) and not self.share.is_here(sink):
                channel = ChannelAbroad(self.timeline, partial(self.share.carry, source, sink), **physics)
            else:
                channel = Channel(self.timeline, self._cells[sink].deliver, **physics)  # type: ignore[arg-type]
            self._cells[source].connect(sink, channel, round_trip_ns=2 * (latency_ns + processing_ns))

    @property
    def actors(self) -> dict[str, Actor]:
        """Return the actors by name, sorted: for records and tests; no actor sees this."""
        return {name: self._cells[name].actor for name in sorted(self._cells)}

    def channel(self, source: str, sink: str) -> Channel:
        """Return one direction between two actors, such as to put a fault into it. Raises UnknownActorError."""
        self._known(source)
        channel = self._cells[source].channels.get(sink)
        if channel is None:
            raise UnknownActorError(f"there is no channel from {source!r} to {sink!r}")
        return channel

    def _known(self, name: str) -> None:
        if name not in self._cells:
            raise UnknownActorError(f"there is no actor named {name!r}")

    # -- running ---------------------------------------------------------------------------------------------------

    def run(self, *, for_ns: int, drain_ns: int = 30 * S) -> Outcome:
        """Run for a span of emulated time, then let everything be given back (at most `drain_ns`), and account for it.

        Ctrl-C ends the span early: it is an input of kind "interrupt". Raises ActorCrashError if an actor crashed that
        is not to be restarted, and whatever error `stop` was given.
        """
        outcome: Outcome = self.timeline.run(self._main, for_ns, drain_ns)
        return outcome

    def watch(self, period_ns: int, watcher: Callable[[], None]) -> None:
        """Call something periodically that looks but does not touch, such as a display. Not part of the history."""

        def tick() -> None:
            self.ticks += 1
            watcher()
            if not self._draining:
                self.timeline.at(self.timeline.now_ns + period_ns, tick, rank=LAST_RANK)

        self.timeline.at(self.timeline.now_ns + period_ns, tick, rank=LAST_RANK)

    def input(self, kind: str, *fields: Any) -> int:
        """Let something come in from outside now, such as `input("crash", "alice")`: see `Inputs.put`."""
        return self.inputs.put(kind, *fields)

    def interrupt(self) -> None:
        """End the span of the run now: an input, as Ctrl-C is. Raises RuntimeError if it is over."""
        self.timeline.resume()
        self.timeline.forgive()  # if it is late: whoever interrupts means what has happened so far
        self.input("interrupt")

    def stop(self, error: Exception) -> None:
        """End the run at once: `run` raises the error. Nothing is given back. Only the first call counts."""
        if self._failure is None:
            self._failure = error
            self._main_scope.cancel()

    # -- faults ----------------------------------------------------------------------------------------------------

    def inject(
        self,
        kind: str,
        target: str,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        probability: float = 1.0,
        name: str = "",
        **attributes: Attribute,
    ) -> Injection:
        """Inject a fault, from a start (None: now) to an end (None: none); see `emulator.faults`. Raises FaultError.

        What is returned ends the fault by its `end`, or as the context manager of a `with` block. In a run this is for
        what is a part of it, such as the task of an actor: whoever is outside uses `input("fault", ...)`.
        """
        return self.faults.inject(
            kind, target, start_ns=start_ns, end_ns=end_ns, probability=probability, name=name, attributes=attributes
        )

    def crash(self, name: str, error: Exception | None = None) -> None:
        """Crash an actor from outside; whether and when it begins again is what was said when it was added."""
        self._cells[name].crash(error or InjectedCrash("crashed on purpose"))

    def take_down(self, name: str) -> bool:
        """Crash an actor that stays down until `revive`; return whether it was up."""
        cell = self._cells[name]
        if not (cell.alive or cell.paused):
            return False
        self._taken_down.add(name)
        cell.crash(InjectedCrash("a fault"))
        return True

    def revive(self, name: str) -> None:
        """Let an actor begin a new life that was taken down."""
        self._taken_down.discard(name)
        self._begin(self._cells[name])

    @property
    def is_draining(self) -> bool:
        """Return whether the span of the run is over: no input comes any more, and nothing is paced."""
        return self._draining

    @property
    def names(self) -> list[str]:
        """Return the names of all actors, sorted."""
        return sorted(self._cells)

    def is_here(self, name: str) -> bool:
        """Return whether an actor runs here: on other hosts, if it does not."""
        return self.share.is_here(name)

    @property
    def names_here(self) -> list[str]:
        """Return the names of the actors that run here, sorted."""
        return [name for name in self.names if self.share.is_here(name)]

    def cell(self, name: str) -> Cell:
        """Return where an actor lives: for faults; no actor sees this. Raises UnknownActorError."""
        self._known(name)
        return self._cells[name]

    async def _main(self, for_ns: int, drain_ns: int) -> Outcome:
        self.token = trio.lowlevel.current_trio_token()
        self._rank_all()
        await self.share.enter()
        self.inputs.begin()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await self.share.begin(nursery)
            for name in self.names_here:
                cell = self._cells[name]
                self.timeline.at(0, self._begin, cell, rank=cell.rank << RANK_BITS | cell.rank)
            with self._main_scope:
                with self._span_scope:
                    await self._span(for_ns)
                emulated_ns = self.timeline.now_ns
                self._begin_drain()
                try:
                    await self._drain(emulated_ns + drain_ns)
                except KeyboardInterrupt:
                    if self._interrupted:  # a second time: no more patience
                        raise
                    self._interrupted = True
                    await self._drain(emulated_ns + drain_ns)
            if self._failure is None:
                leaks = self._leaks()
            await self.share.end()
            nursery.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure
        return Outcome(emulated_ns, self._interrupted, leaks)

    async def _span(self, for_ns: int) -> None:
        try:
            # All begin at one instant, which takes a while and is not to count as lag.
            await self.timeline.sleep_until(1, rank=LAST_RANK)
            wall_ns = await self.share.together()
            self.timeline.go_on(self.timeline.now_ns, self._rate, wall_ns=wall_ns)
            await self.timeline.sleep_until(max(1, for_ns), rank=LAST_RANK)
            self.ticks += 2
        except KeyboardInterrupt:
            self.interrupt()
            await trio.sleep_forever()

    def _interrupt(self) -> None:
        self._interrupted = True
        self._span_scope.cancel()

    def _rank_all(self) -> None:
        for rank, name in enumerate(sorted(self._cells), start=1):
            self._cells[name].rank = rank
        for cell in self._cells.values():
            for name, channel in cell.channels.items():
                channel.rank = self._cells[name].rank << RANK_BITS | cell.rank

    def _begin(self, cell: Cell) -> None:
        if not self.share.is_here(cell.actor.name):
            return
        cell.begin()
        if cell.alive and type(cell.actor).run is not Actor.run:
            cell.running += 1
            self._nursery.start_soon(self._live, cell, cell.incarnation, name=cell.actor.name)
        if self._draining:
            self._close(cell)

    async def _live(self, cell: Cell, incarnation: int) -> None:
        await self.share.enter()
        try:
            with cell.scope:  # within the try: it takes the cancellations out of a group of errors
                await cell.actor.run()
        except Exception as error:  # noqa: BLE001  (a crash of this actor, not of the network)
            if cell.incarnation == incarnation:
                cell.crash(error)
        finally:
            cell.running -= 1

    def _crashed(self, cell: Cell, error: Exception) -> None:
        name, now_ns = cell.actor.name, self.timeline.now_ns
        if name in self._taken_down:
            return
        if name in self._restart_ns:
            if self._draining and name in self._last_lives:
                return  # or one that crashes again and again would keep the end of the run from coming
            if self._draining:
                self._last_lives.add(name)
            rank = cell.rank << RANK_BITS | cell.rank
            self.timeline.at(now_ns + max(1, self._restart_ns[name]), self._begin, cell, rank=rank)
            return
        failure = ActorCrashError(name, now_ns)
        failure.__cause__ = error
        self.stop(failure)

    def _begin_drain(self) -> None:
        # Nobody watches any more: the rest need not be paced, and pacing is no part of the history.
        self.timeline.rate = math.inf
        self.faults.heal()
        self._draining = True
        self.inputs.close()
        for name in self.names_here:
            self._close(self._cells[name])

    def _close(self, cell: Cell) -> None:
        rank = cell.rank << RANK_BITS | cell.rank
        self.timeline.at(self.timeline.now_ns + 1, cell.fire, cell.incarnation, cell.actor.close, (), rank=rank)

    async def _drain(self, deadline_ns: int) -> None:
        while (left_ns := deadline_ns - self.timeline.now_ns) > 0:
            await self.timeline.sleep(min(MS, left_ns), rank=LAST_RANK)
            self.ticks += 1
            rests = self.timeline.next_event_ns() is None and not any(c.running for c in self._cells.values())
            if rests and await self.share.settled():
                return
        await self.share.over()

    def _leaks(self) -> dict[str, int]:
        found = {"qubits": len(self.engine), "light under way": len(self.engine.trains)}
        for name, cell in sorted(self._cells.items()):
            arriving = [c.under_way for sink, c in cell.channels.items() if self.share.is_here(sink)]
            found[f"{name} messages under way"] = sum(arriving)
        for name in self.names_here:
            cell = self._cells[name]
            found[f"{name} task"] = cell.running
            found[f"{name} messages unacknowledged"] = sum(c.unacknowledged for c in cell.connections.values())
            for kind, count in cell.actor.held().items():
                found[f"{name} {kind}"] = count
        return {what: count for what, count in found.items() if count}
