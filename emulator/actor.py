"""An actor: a name, a mailbox, random streams of its own, and a life that can end and begin again.

What an actor does is either a *handler*, a plain function that runs when a message or a timer arrives and must not
block, or a *behaviour*, an `async` task started by `run`. Handlers cost 1-2 us, waking a task about 10 us.

    class Pinger(Actor):
        def handlers(self):
            return {Pong: self.on_pong}

        async def run(self):
            self.send("bob", Ping(1))
            await self.sleep(10 * MS)

        def on_pong(self, message, envelope):
            self.record("pong", message.count)

An actor touches nothing of another: it sends messages, and knows what it measured or was told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

import outcome
import trio

from .channel import Channel
from .envelope import Envelope
from .mailbox import Mailbox
from .messages import Message
from .randomness import RandomStream
from .records import History
from .time import Alarm, Place, Timeline
from .transport import Connection

Handler: TypeAlias = Callable[[Any, Envelope], None]

R = TypeVar("R")

US: Final = 1_000
MS: Final = 1_000_000
S: Final = 1_000_000_000
RANK_BITS: Final = 20  # actors are numbered below 2^20; a rank packs who acts and who sent


# What is to be called, and with what.
Postponed: TypeAlias = tuple[Callable[..., None], tuple[Any, ...]]

# Whether a message is to be overlooked.
Overlook: TypeAlias = Callable[[Message], bool]


class UnknownActorError(LookupError):
    """A message to an actor to whom no channel leads."""


@dataclass(slots=True)
class Standstill:
    """A pause of an actor: its connections, which it cannot use, and what it is late for."""

    connections: dict[str, Connection]
    postponed: list[Postponed] = field(default_factory=list)


class Cell:
    """Where an actor lives: what its network gives it. One per actor, for all its lives."""

    def __init__(
        self,
        actor: Actor,
        timeline: Timeline,
        history: History,
        seed: int,
        on_crash: Callable[[Cell, Exception], None],
    ) -> None:
        self.actor = actor
        self.timeline = timeline
        self.history = history
        self.seed = seed
        self.channels: dict[str, Channel] = {}
        self.connections: dict[str, Connection] = {}
        self.streams: dict[str, RandomStream] = {}
        self.mailbox = Mailbox()
        self.incarnation = 0
        self.alive = False
        self.running = 0  # how many `run`s go on: a life that has ended may still be cleaning up
        self.rank = 0
        self.lost = 0  # messages that came while it was down
        self.scope = trio.CancelScope()
        self._handlers: Mapping[type[Message], Handler] = {}
        self._on_crash = on_crash
        self._standstill: Standstill | None = None  # while paused, and then it is not `alive`
        self._overlooks: dict[int, tuple[type[Message], Overlook]] = {}

    def connect(self, neighbour: str, channel: Channel, round_trip_ns: int) -> None:
        """Take the channel to a neighbour."""
        self.channels[neighbour] = channel
        self.connections[neighbour] = Connection(self.actor.name, neighbour, self, channel, round_trip_ns=round_trip_ns)

    def begin(self) -> None:
        """Begin a life with empty memory; the network starts `run` thereafter."""
        self.incarnation += 1
        self.alive = True
        self.mailbox = Mailbox()
        self.scope = trio.CancelScope()
        self._listen()
        self.history.add(self.timeline.now_ns, self.actor.name, "begins", (self.incarnation,))
        for connection in self.connections.values():
            connection.begin(self.incarnation, self.timeline.now_ns)
        self.guard(self.actor.begin)

    def deliver(self, envelope: Envelope) -> None:
        """Take an envelope from a channel."""
        if self.alive:
            self.connections[envelope.sender].receive(envelope, self.timeline.now_ns)
        elif not self.postpone(self.deliver, envelope):
            self.lost += 1

    def hand_on(self, envelope: Envelope) -> None:
        """Hand a message to the actor: to its handler, or into the mailbox."""
        message = envelope.message
        fields = (envelope.sender, envelope.incarnation, envelope.sent_ns, message)
        self.history.add(self.timeline.now_ns, self.actor.name, "message", fields)
        handler = self._handlers.get(type(message))
        if handler is None:
            if not self.mailbox.put(envelope):
                self.history.add(self.timeline.now_ns, self.actor.name, "mailbox full", (envelope.sender,))
            return
        try:
            handler(message, envelope)
        except Exception as error:  # noqa: BLE001  (whatever it is, it ends this life, and the supervisor hears of it)
            self.crash(error)

    def wake(self, connection: Connection, delay_ns: int) -> None:
        """Let a connection check after a while what is due."""
        rank = self.rank << RANK_BITS | self.rank
        self.timeline.at(self.timeline.now_ns + delay_ns, self._check, connection, self.incarnation, rank=rank)

    def _check(self, connection: Connection, incarnation: int) -> None:
        if incarnation == connection.life:
            connection.check(self.timeline.now_ns)

    def neighbour_began(self, neighbour: str) -> None:
        """Tell the actor that a neighbour has lost its memory."""
        self.guard(self.actor.neighbour_began, neighbour)

    def fire(self, incarnation: int, fn: Callable[..., None], args: tuple[Any, ...]) -> None:
        """Run a timer, unless it was set in an earlier life."""
        if incarnation == self.incarnation and self.alive:
            self.guard(fn, *args)
        else:
            self.postpone(self.fire, incarnation, fn, args)

    def guard(self, fn: Callable[..., None], *args: Any) -> None:
        """Call something of the actor's; an error in it is a crash."""
        try:
            fn(*args)
        except Exception as error:  # noqa: BLE001
            self.crash(error)

    def crash(self, error: Exception) -> None:
        """End this life: memory is lost, behaviours are cancelled, timers are void; then ask the supervisor."""
        if not self.alive and self._standstill is None:
            return
        self.alive = False
        standstill = self._end_standstill()
        self.history.add(self.timeline.now_ns, self.actor.name, "crashes", (type(error).__name__,))
        self.scope.cancel()
        for connection in self.connections.values():
            connection.end()
        self.actor.lose()
        for (
            fn,
            args,
        ) in standstill:  # nothing comes of them any more, but for tasks that wait for the end of an operation
            fn(*args)
        self._on_crash(self, error)

    # -- what faults do --------------------------------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        """Return whether the actor stands still."""
        return self._standstill is not None

    def pause(self) -> None:
        """Let the actor stand still: nothing reaches it, and nothing that it does goes out, until `resume`."""
        if self.alive:
            self.alive = False
            self._standstill = Standstill(self.connections)
            self.connections = {}

    def resume(self) -> int:
        """Let the actor go on, and have it do at once all that it was late for; return how much that was."""
        if self._standstill is None:  # it crashed meanwhile
            return 0
        postponed = self._end_standstill()
        self.alive = True
        rank = self.rank << RANK_BITS
        for fn, args in postponed:
            self.timeline.at(self.timeline.now_ns, fn, *args, rank=rank)
        return len(postponed)

    def postpone(self, fn: Callable[..., None], *args: Any) -> bool:
        """Call something at the end of the present pause; return False if there is none."""
        if self._standstill is None:
            return False
        self._standstill.postponed.append((fn, args))
        return True

    def _end_standstill(self) -> list[Postponed]:
        standstill, self._standstill = self._standstill, None
        if standstill is None:
            return []
        self.connections = standstill.connections
        return standstill.postponed

    def overlook(self, key: int, kind: type[Message] | None, overlook: Overlook = lambda _: True) -> None:
        """Let the actor overlook messages of a type for which `overlook` is true; None: not any more."""
        self._overlooks.pop(key, None)
        if kind is not None:
            self._overlooks[key] = kind, overlook
        if self.alive:
            self._listen()

    def _listen(self) -> None:
        handlers = dict(self.actor.handlers())
        for key in sorted(self._overlooks):
            kind, overlook = self._overlooks[key]
            if (handler := handlers.get(kind)) is not None:
                handlers[kind] = _unless(overlook, handler)
        self._handlers = handlers


class Timer:
    """A call of an actor's that can be cancelled until it is made, which is late if the actor stands still."""

    __slots__ = ("_alarm", "_args", "_cell", "_fn", "_life")

    def __init__(self, cell: Cell, delay_ns: int, fn: Callable[..., None], args: tuple[Any, ...]) -> None:
        self._cell, self._life = cell, cell.incarnation
        self._fn, self._args = fn, args
        timeline, rank = cell.timeline, cell.rank << RANK_BITS | cell.rank
        self._alarm: Alarm | None = timeline.alarm(timeline.now_ns + delay_ns, self._ring, rank=rank)  # None: cancelled

    def cancel(self) -> None:
        """Let the call not be made. Does nothing if it has been made or cancelled."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        if self._alarm is not None and not self._cell.postpone(self._ring):
            self._cell.fire(self._life, self._fn, self._args)


class Actor:
    """Base of every node, station and controller. Subclasses override the first seven methods."""

    role = "actor"  # what kind of actor it is, in words

    def __init__(self, name: str) -> None:
        self.name = name
        self._cell: Cell

    # -- what a subclass says --------------------------------------------------------------------------------------

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return which function takes which type of message; other messages wait in the mailbox."""
        return {}

    def begin(self) -> None:
        """Set up the state of a new life; also called after a restart."""

    async def run(self) -> None:
        """Behave: the tasks of this life. Returning ends nothing, raising is a crash."""

    def close(self) -> None:
        """Prepare for the end of the run: give back what is held, let `run` return."""

    def lose(self) -> None:
        """Lose all memory, at a crash."""

    def held(self) -> Mapping[str, int]:
        """Return how many of each kind of resource are in use: all zero at quiescence, or something leaks."""
        return {}

    def neighbour_began(self, name: str) -> None:
        """Learn that a neighbour has begun a later life: it knows nothing any more of what it was told before."""

    # -- what it may use -------------------------------------------------------------------------------------------

    def attach(self, cell: Cell) -> None:
        """Take the place in a network; done by `Network.add`."""
        self._cell = cell

    @property
    def now_ns(self) -> int:
        """Return the emulated time."""
        return self._cell.timeline.now_ns

    @property
    def incarnation(self) -> int:
        """Return which life this is, from 1."""
        return self._cell.incarnation

    def send(self, to: str, message: Message) -> None:
        """Send a message over the channel to a neighbour; raises UnknownActorError if there is none.

        It arrives once and in order, however late, unless one of the two crashes. If as many messages are
        unacknowledged as the channel takes, it is lost, and recorded as such ("queue full").
        """
        cell = self._cell
        connection = cell.connections.get(to)
        if connection is None:
            if to in cell.channels and cell.postpone(cell.fire, cell.incarnation, self.send, (to, message)):
                return
            raise UnknownActorError(f"{self.name} has no channel to {to!r}, only to {sorted(cell.channels)}")
        if not connection.send(message, cell.timeline.now_ns):
            self.record("queue full", to)

    def latency_ns_to(self, neighbour: str) -> int:
        """Return how long light takes to a neighbour; raises UnknownActorError if there is none of that name."""
        channel = self._cell.channels.get(neighbour)
        if channel is None:
            raise UnknownActorError(f"{self.name} has no channel to {neighbour!r}")
        return channel.latency_ns

    def after(self, delay_ns: int, fn: Callable[..., None], *args: Any) -> None:
        """Call `fn(*args)` after at least 1 ns, unless this life has ended by then."""
        cell = self._cell
        if delay_ns < 1:
            raise ValueError(f"{self.name}: a delay of {delay_ns} ns must be at least 1 ns")
        rank = cell.rank << RANK_BITS | cell.rank
        cell.timeline.at(cell.timeline.now_ns + delay_ns, cell.fire, cell.incarnation, fn, args, rank=rank)

    def alarm(self, delay_ns: int, fn: Callable[..., None], *args: Any) -> Timer:
        """Do as `after` does, and return what can be cancelled: for what will mostly not happen, such as time-outs."""
        return Timer(self._cell, max(1, delay_ns), fn, args)

    async def sleep(self, delay_ns: int) -> None:
        """Wait exactly; `trio.sleep` works too, in float seconds."""
        cell = self._cell
        await cell.timeline.sleep(max(1, delay_ns), rank=cell.rank << RANK_BITS | cell.rank)

    async def operate(self, duration_ns: int, fn: Callable[..., R], *args: Any) -> R:
        """Wait while an operation takes its time; it is applied at the end, by an event of this actor.

        That is how a behaviour acts on quantum states, so that the order of operations is that of the timeline. What
        has begun comes to its end: a cancellation takes effect thereafter. An error in `fn` is raised here.
        """
        cell, place, life = self._cell, Place(), self._cell.incarnation
        results: list[outcome.Outcome[R]] = []

        def finish() -> None:
            if cell.postpone(finish):
                return
            if cell.alive and cell.incarnation == life:  # else a crash came first, and there is nothing left to act on
                results.append(outcome.capture(fn, *args))
            place.wake()

        rank = cell.rank << RANK_BITS | cell.rank
        cell.timeline.at(cell.timeline.now_ns + max(1, duration_ns), finish, rank=rank)
        with trio.CancelScope(shield=True):
            await place.park()
        if not results:
            await trio.lowlevel.checkpoint_if_cancelled()
            raise RuntimeError(f"{self.name} crashed during an operation")
        return results[0].unwrap()

    def hold(self) -> AbstractContextManager[None]:
        """Let emulated time stand still within a block, for work outside of the emulated world."""
        return self._cell.timeline.hold()

    async def receive(self, *kinds: type[Message]) -> Envelope:
        """Wait for a message that no handler takes, of one of the types given."""
        return await self._cell.mailbox.get(*kinds)

    def random(self, purpose: str = "") -> RandomStream:
        """Return this actor's random stream for a purpose; it goes on through all its lives."""
        streams = self._cell.streams
        if purpose not in streams:
            streams[purpose] = RandomStream(self._cell.seed, self.name, purpose)
        return streams[purpose]

    def record(self, kind: str, *fields: Any) -> None:
        """Write into the history."""
        self._cell.history.add(self._cell.timeline.now_ns, self.name, kind, fields)


def _unless(overlook: Overlook, handler: Handler) -> Handler:
    def handle(message: Message, envelope: Envelope) -> None:
        if not overlook(message):
            handler(message, envelope)

    return handle
