"""One host's part of a network that runs on several: its clock is kept within what the others promise.

Theory of operation. The network's own loop reads and writes the streams to the other hosts, between events. A task
waits at the timeline's gate, where it finds itself when all is done up to the horizon, or up to a moment for which
another host waits; there it tells the position of this host, asks for what it needs, and serves requests for states.
An operation that has to wait for its turn holds emulated time and lets the loop go on in the middle of its event
(greenback makes that possible), so that nothing but frames moves meanwhile.
"""

from __future__ import annotations

import gc
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, Protocol, Union

import greenback
import msgspec
import trio

from emulator.envelope import Envelope
from emulator.messages import message_types
from emulator.network import Network
from emulator.quantum import Engine, Snapshot
from emulator.records import History
from emulator.time import END_NS, Place

from .clocks import START, Clocks
from .frames import Beat, Clock, Deliver, GaveUp, Held, Moment
from .framing import Frame, WireError
from .peer import Peer
from .portals import Portals
from .states import SharedEngine
from .telling import HostHistory

_LAST_WORDS_S: Final = 0.5
_OVER: Final[Moment] = (END_NS, 0)
_MANY: Final = 8  # times the capacity of a channel: more than faults make of what its host had sent before ours knows


class Conductor(Protocol):
    """Who conducts the run, as its hosts see it."""

    def begun(self) -> None:
        """Hear that all actors here have begun."""

    def quiet(self, sent: int, received: int) -> None:
        """Hear that nothing goes on here after the end of the span."""

    def standing(self) -> None:
        """Hear that all is done here up to the instant at which this host was to stand."""

    def witness(self, actor: str, truth: Snapshot) -> None:
        """Hear what is true of a pair that an actor is about to record."""

    def lost(self, host: str, reason: str) -> None:
        """Hear that another host cannot be reached any more, and why."""

    async def talk(self, nursery: trio.Nursery) -> None:
        """Talk to this host as long as the run goes on."""

    def lines(self) -> Iterable[Peer]:
        """Return the line to the conductor, and whatever else is written to."""


class HostShare:
    """What one host runs of a network: the actors that `homes` gives to `me`. `homes` names the host of each actor."""

    def __init__(self, me: str, homes: Mapping[str, str]) -> None:
        self.me = me
        self.hosts = sorted(set(homes.values()))
        self._homes = homes
        self._network: Network
        self._engine: SharedEngine
        self._clocks: Clocks
        self._peers: dict[str, Peer] = {}
        self._gone: set[str] = set()  # hosts that were given up
        self._conductor: Conductor
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Union[tuple(message_types().values())]).decode  # noqa: UP007
        self._sent: Counter[str] = Counter()  # messages to actors elsewhere, by host
        self._received: Counter[str] = Counter()
        self._blocked: list[Place] = []  # operations that wait for their turn
        self._settled = Place()
        self._portals = Portals()
        self._is_over = self._finished = False
        self._starts_ns: int | None = None
        self._stop_ns = END_NS  # the last instant that may happen here, whatever the others' clocks
        self._is_to_stand = False
        self.promises = 0  # positions told
        self.waits = 0  # operations that waited for others
        self.gates = 0

    # -- what the network asks of it -------------------------------------------------------------------------------

    def engine(self) -> Engine:
        """Return the engine, which shares states with those of other hosts."""
        self._makers: dict[str, frozenset[str]] = {}
        self._engine = SharedEngine(self.me, self._homes, self._makers)
        self._engine.turn = self
        return self._engine

    def history(self, *, keep: bool) -> History:
        """Return what takes the records of the actors here."""
        return HostHistory(self._look)

    def _look(self, actor: str, fields: tuple[Any, ...]) -> None:
        """Tell what is true of a pair that an actor is about to record, if it still has its qubit."""
        *_, position, generation = fields
        if position >= 0 and generation > 0:
            self._conductor.witness(actor, self._engine.view((actor, position, generation)))

    def is_here(self, actor: str) -> bool:
        """Return whether an actor runs here; the host itself, as a target of faults, is the first one."""
        return self._homes.get(actor, self.hosts[0]) == self.me

    def carry(self, source: str, sink: str, arrival_ns: int, envelope: Envelope) -> None:
        """Let an envelope arrive at an actor elsewhere."""
        host = self._homes[sink]
        self._sent[host] += 1
        self.send(
            host,
            Deliver(
                self._numbers[source],
                self._numbers[sink],
                arrival_ns,
                envelope.incarnation,
                envelope.sent_ns,
                envelope.to_incarnation,
                envelope.sequence,
                envelope.acknowledged,
                envelope.sure,
                self._encode(envelope.message),
            ),
        )

    async def begin(self, nursery: trio.Nursery) -> None:
        """Begin to talk to the other hosts."""
        self._portals.leave()
        trio.lowlevel.add_instrument(self._portals)
        for name, peer in self._peers.items():
            nursery.start_soon(self._read, name, peer)
            nursery.start_soon(self._write, name, peer)
        await self._conductor.talk(nursery)
        nursery.start_soon(self._keep_pace)
        while self._network.timeline.driver is None:
            await trio.lowlevel.checkpoint()
        greenback.bestow_portal(self._network.timeline.driver)

    async def enter(self) -> None:
        """Let the present task, and those that it starts, wait in the middle of an event."""
        await self._portals.enter()

    async def together(self) -> int | None:
        """Wait until the conductor says that all have begun; until then others may have to hear of this clock."""
        gc.collect()  # which takes a while here, and another there
        gc.freeze()
        now, place = self._here_and_now, Place()
        self._blocked.append(place)
        self._conductor.begun()
        with self._network.timeline.hold(still=True):
            while self._starts_ns is None:
                self._tell(now, {}, stuck=True)
                await place.park()
        self._blocked.remove(place)
        self._set_milestone(now)
        return self._starts_ns

    def pace(self, wall_ns: int) -> None:
        """Hear that all have begun, and what the wall clock shows when time goes on."""
        self._starts_ns = wall_ns
        for place in self._blocked:
            place.wake()

    async def end(self) -> None:
        """Let what is being written come to its end: a secured stream that is cancelled amid a frame is broken."""
        gc.unfreeze()
        until_s = time.monotonic() + _LAST_WORDS_S
        with self._network.timeline.hold():
            while any(peer.is_writing for peer in self._conductor.lines()) and time.monotonic() < until_s:
                await trio.lowlevel.checkpoint()

    async def settled(self) -> bool:
        """Wait until nothing goes on anywhere, or something does here."""
        if not self._finished:
            self._conductor.quiet(*self.counts)
            await self._settled.park()
        return self._finished

    async def over(self) -> None:
        """Wait until it is over everywhere, and do nothing more until then but let the others go on."""
        with self._network.timeline.hold():
            self._is_over = True
            self._look_again()
            while not await self.settled():
                pass

    # -- joining ---------------------------------------------------------------------------------------------------

    def join(self, network: Network, peers: Mapping[str, Peer], conductor: Conductor) -> None:
        """Join a network that is built with the streams to the other hosts, before it runs."""
        self._network = network
        self._peers = dict(peers)
        self._conductor = conductor
        self._names = network.names
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._clocks = Clocks(lookahead_ns(network, self._homes, self.me))
        for name in self._names:  # a station elsewhere may make pairs for whoever it talks to
            stations = [n for n in network.cell(name).channels if network.cell(n).actor.role == "station"]
            makers = {self._homes[station] for station in stations} - {self.me}
            if makers and self.is_here(name):
                self._makers[name] = frozenset(makers)
        network.timeline.horizon_ns = max(0, self._clocks.horizon_ns)

    # -- standing still --------------------------------------------------------------------------------------------

    def halt(self) -> int:
        """Go no further than the others count on, and return how far that is, until `stand` and `go_on`."""
        now_ns = self._network.timeline.now_ns
        self._stop_at(now_ns if self._is_over else max(now_ns, self._clocks.told_ns))
        return self._stop_ns

    def stand(self, time_ns: int) -> None:
        """Go as far as to an instant, as fast as possible, and tell the conductor when all is done up to there."""
        self._network.timeline.rate = math.inf
        self._stop_at(time_ns)
        self._is_to_stand = True
        self._look_again()
        self._network.timeline.open_gate()  # whatever is looked at: it may stand there already

    def go_on(self, rate: float, wall_ns: int) -> None:
        """Go on from there, at a rate, when the wall clock shows so much; the others do so then, too."""
        from_ns, self._stop_ns = self._stop_ns, END_NS
        self._raise_horizon()
        self._network.timeline.go_on(from_ns, math.inf if self._network.is_draining else rate, wall_ns=wall_ns)
        self._look_again()

    def _stop_at(self, time_ns: int) -> None:
        self._stop_ns = time_ns
        timeline = self._network.timeline
        timeline.horizon_ns = max(timeline.now_ns, min(self._clocks.horizon_ns, time_ns))

    def _raise_horizon(self) -> None:
        timeline = self._network.timeline
        if (horizon_ns := min(self._clocks.horizon_ns, self._stop_ns)) > timeline.horizon_ns:
            timeline.horizon_ns = horizon_ns

    def _say_if_standing(self) -> None:
        if self._is_to_stand and (self._is_over or self._network.timeline.horizon_ns == self._stop_ns):
            self._is_to_stand = False
            self._conductor.standing()

    def give_up(self, host: str) -> None:
        """Go on without another host, as if all its actors had crashed for good."""
        if self._peers.pop(host, None) is None:
            return
        self._gone.add(host)
        self._clocks.give_up(host)
        self._engine.give_up(host)
        self._raise_horizon()
        self._look_again()

    def finish(self) -> None:
        """Hear that nothing goes on anywhere."""
        self._finished = True
        self._settled.wake()

    @property
    def peers(self) -> dict[str, Peer]:
        """Return the other hosts that are not given up."""
        return self._peers

    @property
    def counts(self) -> tuple[int, int]:
        """Return how many messages went to other hosts, and came from them."""
        return sum(self._sent[host] for host in self._peers), sum(self._received[host] for host in self._peers)

    @property
    def is_settling(self) -> bool:
        """Return whether nothing goes on here, and this host waits for the others."""
        return self._settled.task is not None

    @property
    def come_ns(self) -> int:
        """Return how far this host has come: where nothing happens for long, it comes further without an event."""
        return max(self._network.timeline.now_ns, self._clocks.told_ns)

    @property
    def shared_engine(self) -> SharedEngine:
        """Return the engine."""
        return self._engine

    def figures(self) -> dict[str, int]:
        """Return how much work it was to keep together."""
        return {
            "messages": self._sent.total(),
            "promises": self.promises,
            "gates": self.gates,
            "waits": self.waits,
            "states": self._engine.fetched,
            "frames": sum(peer.frames_sent for peer in self._peers.values()),
        }

    @property
    def awaited(self) -> list[str]:
        """Return the hosts without which this one cannot go on now."""
        return sorted({*self._clocks.awaited, *self._engine.awaited})

    # -- frames ----------------------------------------------------------------------------------------------------

    def send(self, host: str, frame: Frame) -> None:
        """Send a frame to another host, unless it was given up; it goes out at the next `flush`."""
        if (peer := self._peers.get(host)) is None:
            return
        try:
            peer.send(frame)
        except WireError as error:
            self._lose(host, str(error))
        if isinstance(frame, GaveUp | Held):  # nobody may come to the gate, where the rest goes out, before others know
            peer.flush()

    async def _write(self, name: str, peer: Peer) -> None:
        try:
            await peer.write()
        except trio.BrokenResourceError:
            self._lose(name, "the connection broke")

    async def _read(self, name: str, peer: Peer) -> None:
        reason = "it has closed the connection"
        try:
            await peer.read(partial(self._take, name))
        except WireError as error:
            reason = str(error)
        except trio.BrokenResourceError:
            reason = "the connection broke"
        self._lose(name, reason)

    def _lose(self, name: str, reason: str) -> None:
        if not self._finished and name in self._peers:
            self._conductor.lost(name, reason)

    def _take(self, host: str, frames: list[Frame]) -> None:
        if host in self._gone:
            return
        for frame in frames:
            if isinstance(frame, Deliver):
                self._arrive(host, frame)
            elif isinstance(frame, Clock):
                self._hear(host, frame)
            elif not isinstance(frame, Beat):
                self._engine.take(host, frame)
        self._look_again()

    def _look_again(self) -> None:
        """Look what can go on now."""
        if self._is_over:
            self._engine.serve(_OVER)
            self._tell(_OVER, {}, stuck=True)
            self._say_if_standing()
        elif self._blocked:
            self._engine.serve(self._here_and_now)
            for place in self._blocked:
                place.wake()
            self._flush()
        else:
            self._set_milestone(START)
            self._network.timeline.open_gate()

    def _hear(self, host: str, frame: Clock) -> None:
        want = (frame.want_ns, frame.want_rank) if frame.want_ns else None
        try:
            self._clocks.hear(host, (frame.time_ns, frame.rank), want)
        except ValueError as error:
            raise WireError(str(error)) from error
        self._raise_horizon()

    def _arrive(self, host: str, frame: Deliver) -> None:
        if not (0 <= frame.source < len(self._names) and 0 <= frame.sink < len(self._names)):
            raise WireError("it sends a message of or to somebody who is not there")
        source, sink = self._names[frame.source], self._names[frame.sink]
        channel = self._network.cell(source).channels.get(sink)
        if channel is None or self._homes[source] != host or self._homes[sink] != self.me:
            raise WireError(f"it sends a message from {source} to {sink}, which is not its to send")
        if frame.arrival_ns < self._clocks.heard[host][0] + channel.least_ns:
            raise WireError(f"it sends a message for {frame.arrival_ns} ns, and had promised none before its clock")
        if channel.under_way >= _MANY * channel.capacity:
            raise WireError(f"{channel.under_way} messages from {source} to {sink} are under way already")
        try:
            message = self._decode(frame.message)
        except msgspec.MsgspecError as error:
            raise WireError(f"not a message: {error}") from error
        self._received[host] += 1
        envelope = Envelope(
            source,
            frame.incarnation,
            frame.sent_ns,
            message,
            frame.to_incarnation,
            frame.sequence,
            frame.acknowledged,
            frame.sure,
        )
        channel.schedule(envelope, frame.arrival_ns)
        self._settled.wake()

    # -- keeping pace with the others ------------------------------------------------------------------------------

    async def _keep_pace(self) -> None:
        timeline = self._network.timeline
        while True:
            due = await timeline.wait_gate()
            self.gates += 1
            horizon_ns = timeline.horizon_ns
            stuck = due[0] > horizon_ns
            position = min(due, (horizon_ns + 1, START[1]))
            self._engine.serve(position)
            waits = stuck and horizon_ns < self._stop_ns
            self._tell(position, self._clocks.needs(due[0]) if waits else {}, stuck=stuck)
            self._set_milestone(position)
            if stuck:
                self._say_if_standing()

    def _set_milestone(self, position: Moment) -> None:
        """Have the gate open at the next moment for which somebody waits."""
        asked = self._clocks.milestone
        moments = [] if asked is None else [asked]
        moments += [(request.time_ns, request.rank) for request in self._engine.waiting]
        self._network.timeline.milestone = min((m for m in moments if m > position), default=None)

    def _tell(self, position: Moment, wants: Mapping[str, Moment], *, stuck: bool) -> None:
        for host, (moment, want) in self._clocks.tell(position, wants, stuck=stuck).items():
            self.promises += 1
            self.send(host, Clock(*moment, *(want or (0, 0))))
        self._flush()

    def _flush(self) -> None:
        for peer in self._peers.values():
            peer.flush()

    # -- operations that wait for their turn -----------------------------------------------------------------------

    @property
    def _here_and_now(self) -> Moment:
        return self._network.timeline.now_ns, self._network.timeline.rank

    def passed(self, host: str, moment: Moment) -> bool:
        """Return whether a host has come to a moment."""
        return self._clocks.heard[host] >= moment

    def until(self, ready: Callable[[Moment, dict[str, Moment]], bool]) -> None:
        """Wait in the middle of an event, while emulated time stands still, until something is ready."""
        now = self._here_and_now
        if ready(now, {}):
            return
        self.waits += 1
        place = Place()
        self._blocked.append(place)
        with self._network.timeline.hold(still=True):
            while True:
                wants: dict[str, Moment] = {}
                self._engine.serve(now)
                if ready(now, wants):
                    break
                self._tell(now, wants, stuck=True)
                greenback.await_(place.park())
        self._blocked.remove(place)
        self._set_milestone(now)


def lookahead_ns(network: Network, homes: Mapping[str, str], me: str) -> dict[str, int | None]:
    """Return, by host, how long whatever comes from there to `me` takes at least; None: nothing comes from there."""
    least: dict[str, int | None] = dict.fromkeys(sorted(set(homes.values()) - {me}))
    for name in network.names:
        there = homes[name]
        for sink, channel in network.cell(name).channels.items():
            if there != me and homes[sink] == me:
                known = least[there]
                least[there] = channel.least_ns if known is None else min(known, channel.least_ns)
    return least
