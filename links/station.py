"""The heralding station: an actor at (or near) the mid-point of a link that announces Bell pairs.

Attempts are no events. When both sides offer a position, the station draws how many attempts it will take, and the
click becomes one event; cost grows with the pairs that are delivered, not with the rate of attempts. Everything that
nodes can notice is real, though: sessions start, stop, time out and herald by messages that take their time in the
fibre, and a pair decoheres from the moment its photons left.

A station has two arms, or many, of which an optical switch brings any two together (the entanglement generation switch
of a hub). It may have an analyser for whoever comes, or a bounded number of them, which are then given out in turn for
a slot of time or until a pair came of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from emulator import (
    MS,
    Actor,
    Begin,
    Bias,
    Contrasts,
    Enquire,
    Envelope,
    Figures,
    Handler,
    Herald,
    LinkFigures,
    Loaded,
    Message,
    Paused,
    QubitId,
    Start,
    Stop,
    Stopped,
    TimedOut,
)
from emulator.time import Alarm

from .analysers import AnalyserQueue
from .calibration import Calibration
from .heralding import HeraldedStateModel


class PairSource(Protocol):
    """What a station needs of the engine: to put a heralded pair into two memory positions."""

    def new_pair(
        self,
        r: Sequence[float],
        a: QubitId,
        b: QubitId,
        *,
        times_ns: tuple[int, int],
        bell: int,
        loaded: tuple[bool, bool] = ...,
    ) -> None:
        """Put a pair into two positions."""


# What a node is told of a pair to come: its contrasts, and, from its own side, its bias and how likely it is full.
_Told: TypeAlias = tuple[Contrasts, Bias, Loaded]

# Which two arms meet, by their numbers, the smaller first.
Crossing: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Arm:
    """One fibre to a station: which node is at its end, and how long light takes from it.

    preparation_ns: what the node needs between the news of a failure and its next photon.
    """

    node: str
    latency_ns: int
    preparation_ns: int = 0


@dataclass(frozen=True, slots=True)
class Switch:
    """A bounded number of analysers: how many, how long switching one takes, and how long it serves while others wait.

    An optical switch of micro-mirrors needs some milliseconds.
    """

    analysers: int
    dead_ns: int = MS
    slot_ns: int = 50 * MS


@dataclass(frozen=True, slots=True)
class _Link:
    """What attempts between two arms are like, at one setting."""

    model: HeraldedStateModel
    period_ns: int
    told: tuple[_Told, _Told]  # to the arm of the smaller number, and to the other

    @classmethod
    def of(cls, model: HeraldedStateModel, period_ns: int) -> _Link:
        (sign, first_z, second_z), (first, second, both) = model.bias, model.loaded
        contrasts = model.contrasts
        one = (contrasts, (sign, first_z, second_z), (first, both))
        return cls(model, period_ns, (one, (contrasts, (sign, second_z, first_z), (second, both))))


@dataclass(slots=True, eq=False)
class _Session:
    side: int
    number: int
    label: str
    qubit: QubitId
    patience_ns: int
    min_fidelity: float
    share: float
    match: _Match | None = None


@dataclass(slots=True, eq=False)
class _Match:
    """Two sessions whose photons meet, and what they are heading for."""

    sessions: tuple[_Session, _Session]
    link: _Link
    patience: int | None  # attempts that are left; None: any number
    end: Alarm | None = None
    granted_ns: int = 0
    begun_ns: int = 0

    @property
    def crossing(self) -> Crossing:
        return self.sessions[0].side, self.sessions[1].side

    @property
    def label(self) -> str:
        return self.sessions[0].label

    @property
    def share(self) -> float:
        return max(session.share for session in self.sessions)


class HeraldingStation(Actor):
    """Joins the sessions of nodes that bear the same label, and heralds pairs between them.

    calibration: what an attempt between two arms leads to; switch: the bounded number of its analysers (None: one for
    whoever comes). An attempt takes the preparation, the photon's way here, and the herald's way back, of the longer
    arm.
    """

    def __init__(
        self,
        name: str,
        source: PairSource,
        calibration: Calibration,
        arms: Sequence[Arm],
        *,
        switch: Switch | None = None,
    ) -> None:
        super().__init__(name)
        self.calibration = calibration
        self.arms = tuple(arms)
        self.switch = switch
        self._source = source
        self._sides = {arm.node: side for side, arm in enumerate(arms)}
        self._sequence = 0
        self._links: dict[tuple[Crossing, float], _Link] = {}

    def begin(self) -> None:
        """Start a life without sessions; pair numbers go on, so that no pair's name comes back."""
        self._sessions: dict[tuple[int, int], _Session] = {}
        self._waiting: dict[str, deque[_Session]] = {}  # of a label, all on one side
        self._lives = [0] * len(self.arms)
        self._queue = AnalyserQueue[_Match](self._longest_slot_ns())
        self._idle: list[Crossing | None] = [None] * (self.switch.analysers if self.switch else 0)
        self._overstaying: dict[_Match, None] = {}  # served for more than a slot, since nobody waited

    def _longest_slot_ns(self) -> int:
        """Return how long a match may be served while others wait: switching, and a slot or one attempt at least."""
        if self.switch is None:
            return 1
        attempt_ns = _period_ns(max(arm.preparation_ns for arm in self.arms), max(arm.latency_ns for arm in self.arms))
        return self.switch.dead_ns + max(self.switch.slot_ns, attempt_ns)

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return what the station listens to."""
        return {Start: self.on_start, Stop: self.on_stop, Enquire: self.on_enquire}

    def held(self) -> Mapping[str, int]:
        """Return the sessions that have not ended."""
        return {"sessions": len(self._sessions)}

    def on_start(self, message: Start, envelope: Envelope) -> None:
        """Take a session; attempts begin when the other side has one with the same label."""
        side = self._sides[envelope.sender]
        if envelope.incarnation < self._lives[side] or (side, message.session) in self._sessions:
            return  # from before a crash, or for the second time
        self._meet_incarnation(side, envelope.incarnation)
        session = _Session(
            side,
            message.session,
            message.label,
            (envelope.sender, message.position, message.generation),
            message.patience_ns,
            message.min_fidelity,
            message.share,
        )
        self._sessions[side, session.number] = session
        self._offer(session)

    def on_stop(self, message: Stop, envelope: Envelope) -> None:
        """Withdraw a session. There is always an answer: news of its end, or this station's memory, may be lost."""
        side = self._sides[envelope.sender]
        session = self._sessions.get((side, message.session))
        partner = None if session is None else self._withdraw(session)
        self.send(envelope.sender, Stopped(message.session))
        if partner is not None:
            self._offer(partner)

    def on_enquire(self, message: Enquire, envelope: Envelope) -> None:
        """Say what pairs of two nodes are like; of nodes that are not here, nothing."""
        if message.a in self._sides and message.b in self._sides and message.a != message.b:
            figures = self.figures(message.a, message.b, message.min_fidelity)
            self.send(envelope.sender, Figures(message.a, message.b, message.min_fidelity, figures))

    def figures(self, a: str, b: str, min_fidelity: float) -> LinkFigures:
        """Return what attempts between two nodes of this station lead to."""
        first, second = self._sides[a], self._sides[b]
        light_ns = self.arms[first].latency_ns, self.arms[second].latency_ns
        link = self.link((min(first, second), max(first, second)), min_fidelity)
        mine, other = link.told if first < second else link.told[::-1]
        contrasts, bias, (full, both) = mine
        dead_ns, slot_ns = (self.switch.dead_ns, self.switch.slot_ns) if self.switch else (0, 0)
        loaded = (full, other[2][0], both)
        p = link.model.p_success
        return LinkFigures(p, link.period_ns, contrasts, light_ns, dead_ns, slot_ns, bias, loaded)

    def _meet_incarnation(self, side: int, incarnation: int) -> None:
        """Drop the sessions of a node's earlier life: its positions are no more."""
        if incarnation > self._lives[side]:
            self._lives[side] = incarnation
            old = [s for s in self._sessions.values() if s.side == side]
            for partner in [self._withdraw(session) for session in old]:
                if partner is not None:
                    self._offer(partner)

    # -- who meets whom --------------------------------------------------------------------------------------------

    def _offer(self, session: _Session) -> None:
        others = self._waiting.setdefault(session.label, deque())
        if not others or others[0].side == session.side:
            others.append(session)
            return
        other = others.popleft()
        if not others:
            del self._waiting[session.label]
        self._meet((session, other) if session.side < other.side else (other, session))

    def _meet(self, sessions: tuple[_Session, _Session]) -> None:
        link = self.link((sessions[0].side, sessions[1].side), max(s.min_fidelity for s in sessions))
        patience = min((max(1, s.patience_ns // link.period_ns) for s in sessions if s.patience_ns), default=None)
        match = _Match(sessions, link, patience)
        for session in sessions:
            session.match = match
        if self.switch is None:
            self._attempt(match, 0)
        else:
            self._want_analyser(match, self.switch)

    def link(self, crossing: Crossing, min_fidelity: float) -> _Link:
        """Return what attempts between two arms are like; worked out once for each."""
        found = self._links.get((crossing, min_fidelity))
        if found is None:
            a, b = (self.arms[side] for side in crossing)
            model = self.calibration.model(a.node, b.node, min_fidelity)
            period_ns = _period_ns(max(a.preparation_ns, b.preparation_ns), max(a.latency_ns, b.latency_ns))
            found = self._links[crossing, min_fidelity] = _Link.of(model, period_ns)
        return found

    def _withdraw(self, session: _Session) -> _Session | None:
        """Take a session away; return its partner, if it had one, which then needs another.

        The partner hears that its attempts rest, if they were under way: it counts them.
        """
        del self._sessions[session.side, session.number]
        match = session.match
        if match is None:
            self._waiting[session.label].remove(session)
            if not self._waiting[session.label]:
                del self._waiting[session.label]
            return None
        partner = match.sessions[match.sessions[0] is session]
        partner.match = None
        if match.end is None:
            self._queue.leave(match, self.now_ns)
        else:
            match.end.cancel()
            self._tell(partner, Paused(partner.number))
            self._release_analyser(match)
        return partner

    # -- analysers -------------------------------------------------------------------------------------------------

    def _want_analyser(self, match: _Match, switch: Switch) -> None:
        self._queue.enter(match, match.label, match.share, self.now_ns)
        if not self._idle and self._overstaying:
            self._pause(next(iter(self._overstaying)), switch)
        elif self._idle:
            self._give_analyser(switch)

    def _give_analyser(self, switch: Switch) -> None:
        """Let whoever is next have an idle analyser, one that is set for them if there is any."""
        match = self._queue.next(self.now_ns)
        if match is None:
            return
        set_already = match.crossing in self._idle
        self._idle.remove(match.crossing if set_already else self._idle[0])
        match.granted_ns = self.now_ns
        self._attempt(match, 0 if set_already else switch.dead_ns)

    def _release_analyser(self, match: _Match) -> None:
        switch = self.switch
        if switch is None:
            return
        self._idle.append(match.crossing)
        served_ns = self.now_ns - match.granted_ns
        if match in self._overstaying:  # beyond its slot it had what nobody else wanted
            del self._overstaying[match]
            served_ns = min(served_ns, switch.dead_ns + max(switch.slot_ns, match.link.period_ns))
        self._queue.served(match, match.label, match.share, served_ns, self.now_ns)
        self._give_analyser(switch)

    def _slot_ends(self, match: _Match, switch: Switch) -> None:
        """Go on if nobody waits: the click is drawn anew, which makes no difference to a geometric distribution."""
        if len(self._queue):
            self._pause(match, switch)
        else:
            self._count_attempts(match)
            self._overstaying[match] = None
            self._draw(match, None)

    def _pause(self, match: _Match, switch: Switch) -> None:
        assert match.end is not None
        match.end.cancel()
        match.end = None
        self._count_attempts(match)
        for session in match.sessions:
            self._tell(session, Paused(session.number))
        self._queue.enter(match, match.label, match.share, self.now_ns)
        self._release_analyser(match)

    def _count_attempts(self, match: _Match) -> None:
        """Take the attempts that came to their end off the patience; at least one is left, to time out by."""
        done = max(0, self.now_ns - match.begun_ns) // match.link.period_ns
        match.begun_ns += done * match.link.period_ns
        if match.patience is not None:
            match.patience = max(1, match.patience - done)

    # -- attempts --------------------------------------------------------------------------------------------------

    def _attempt(self, match: _Match, delay_ns: int) -> None:
        """Begin attempts after a delay, for a slot at most where analysers are shared."""
        link = match.link
        match.begun_ns = self.now_ns + delay_ns
        for session, told in zip(match.sessions, link.told, strict=True):
            first_ns = match.begun_ns + link.period_ns - self.arms[session.side].latency_ns
            self._tell(session, Begin(session.number, first_ns, link.period_ns, *told))
        slot_ns = None if self.switch is None else delay_ns + max(self.switch.slot_ns, link.period_ns)
        self._draw(match, slot_ns)

    def _draw(self, match: _Match, slot_ns: int | None) -> None:
        """Draw how the attempts from now on end: with a click, because patience has run out, or with their slot."""
        link = match.link
        attempts = link.model.draw_attempts(self.random("attempts").uniform())
        end, fn = attempts, self._click
        if match.patience is not None and attempts > match.patience:
            end, fn = match.patience, self._time_out
        delay_ns = match.begun_ns + end * link.period_ns - self.now_ns
        if slot_ns is not None and delay_ns > slot_ns and self.switch is not None:
            match.end = self.alarm(slot_ns, self._slot_ends, match, self.switch)
        else:
            match.end = self.alarm(delay_ns, fn, match)

    def _click(self, match: _Match) -> None:
        random = self.random("states")
        model = match.link.model
        state = model.draw_state(random.uniform())
        mode = model.draw_mode(random.uniform())
        self._sequence += 1
        a, b = match.sessions
        times_ns = (self.now_ns - self.arms[a.side].latency_ns, self.now_ns - self.arms[b.side].latency_ns)
        self._source.new_pair(
            state.pauli,
            a.qubit,
            b.qubit,
            times_ns=times_ns,
            bell=state.bell,
            loaded=(state.loaded_a, state.loaded_b),
        )
        for session, emitted_ns in zip(match.sessions, times_ns, strict=True):
            del self._sessions[session.side, session.number]
            self._tell(session, Herald(session.number, self._sequence, int(state.bell), emitted_ns, mode))
        self._release_analyser(match)

    def _time_out(self, match: _Match) -> None:
        for session in match.sessions:
            del self._sessions[session.side, session.number]
            self._tell(session, TimedOut(session.number))
        self._release_analyser(match)

    def _tell(self, session: _Session, message: Message) -> None:
        self.send(self.arms[session.side].node, message)


def _period_ns(preparation_ns: int, latency_ns: int) -> int:
    """Return how long an attempt takes: preparation, the photon's way to the station, and the herald's way back."""
    return max(1, preparation_ns + 2 * latency_ns)
