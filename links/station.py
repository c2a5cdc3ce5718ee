"""The heralding station: an actor at (or near) the mid-point of a link that announces Bell pairs.

Attempts are no events. When both sides offer a position, the station draws how many attempts it will take, and the
click becomes one event; cost grows with the pairs that are delivered, not with the rate of attempts. Everything that
nodes can notice is real, though: sessions start, stop, time out and herald by messages that take their time in the
fibre, and a pair decoheres from the moment its photons left.

A station has two arms, or many, of which an optical switch brings any two together (the entanglement generation switch
of a hub). It may have an analyser for whoever comes, or a bounded number of them, which are then given out in turn for
a slot of time or until a pair came of it.

At the end of an arm there may be a receiver: a node that detects photons, and does not send any. Then nothing meets at
the station, light passes, and a click is at the receiver; all times count from when the light passes here. Light that a
program sends (`Light`) passes in the same way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import msgspec

from emulator import (
    MS,
    Actor,
    Begin,
    Enquire,
    Envelope,
    Figures,
    Handler,
    Herald,
    Light,
    LinkFigures,
    Message,
    Paused,
    QubitId,
    Start,
    Stop,
    Stopped,
    TimedOut,
    Timer,
    Unknown,
)
from emulator.faults import Disturb, Heralds

from .analysers import AnalyserQueue
from .calibration import Calibration
from .disturbed import Disturbances, StationLink, Told
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


# When attempts come to an end that never succeed: in 73 years.
_NEVER_NS: Final = 1 << 61

# Which two arms meet, by their numbers, the smaller first.
Crossing: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Arm:
    """One fibre to a station: which node is at its end, and how long light takes from it.

    preparation_ns: what the node needs between the news of a failure and its next photon; transmission: of the fibre;
    receives: the node detects photons and does not send any.
    """

    node: str
    latency_ns: int
    preparation_ns: int = 0
    transmission: float = 1.0
    receives: bool = False


def light_ns(a: Arm, b: Arm) -> int:
    """Return how long an attempt takes for the light alone: to where it is detected, and the news of that back.

    To the station, or from the sender all the way to a receiver. A source between two receivers waits for no news.
    """
    if a.receives and b.receives:
        return 0
    if a.receives or b.receives:
        return 2 * (a.latency_ns + b.latency_ns)
    return 2 * max(a.latency_ns, b.latency_ns)


@dataclass(frozen=True, slots=True)
class Switch:
    """A bounded number of analysers: how many, how long switching one takes, and how long it serves while others wait.

    at: the node beside which it is, if it is beside one that has an arm. An optical switch of micro-mirrors needs some
    milliseconds.
    """

    analysers: int
    dead_ns: int = MS
    slot_ns: int = 50 * MS
    at: str = ""


def _told(model: HeraldedStateModel) -> tuple[Told, Told]:
    """Return what the two arms are told of the pairs that a model makes, each of its own half first."""
    (sign, first_z, second_z), (first, second, both) = model.bias, model.loaded
    contrasts = model.contrasts
    one = (contrasts, (sign, first_z, second_z), (first, both))
    return one, (contrasts, (sign, second_z, first_z), (second, both))


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
    link: StationLink
    patience: int | None  # attempts that are left; None: any number
    end: Timer | None = None
    granted_ns: int = 0
    begun_ns: int = 0
    setting: Crossing | None = None  # whom its analyser really joins, if the switch has stuck

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
    whoever comes). An attempt takes the preparation and the way of the light, see `light_ns`.
    """

    role = "station"

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
        self._links: dict[tuple[Crossing, float], StationLink] = {}
        self._disturbances = Disturbances()
        self._stuck: Callable[[], None] | None = None
        self._outages: dict[int, tuple[int, Callable[[], None]]] = {}
        self._out_of_order = 0  # analysers that are to be so
        self._taken_out = 0  # and those that are
        self.lose()

    def lose(self) -> None:
        """Lose all sessions; pair numbers go on, so that no pair's name comes back."""
        self._sessions: dict[tuple[int, int], _Session] = {}
        self._lagging: set[tuple[int, int]] = set()  # sessions with a pair, of which the news is not here yet
        self._waiting: dict[str, deque[_Session]] = {}  # of a label, all on one side
        self._lives = [0] * len(self.arms)
        self._queue = AnalyserQueue[_Match](self._longest_slot_ns())
        self._taken_out = self._out_of_order
        self._idle: list[Crossing | None] = [None] * (self.analysers - self._taken_out)
        self._overstaying: dict[_Match, None] = {}  # served for more than a slot, since nobody waited

    def _longest_slot_ns(self) -> int:
        """Return how long a match may be served while others wait: switching, and a slot or one attempt at least."""
        if self.switch is None:
            return 1
        farthest_ns = max(arm.latency_ns for arm in self.arms)
        ways = 4 if any(arm.receives for arm in self.arms) else 2  # at most, see `light_ns`
        attempt_ns = max(arm.preparation_ns for arm in self.arms) + ways * farthest_ns
        return self.switch.dead_ns + max(self.switch.slot_ns, attempt_ns)

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return what the station listens to."""
        return {Start: self.on_start, Stop: self.on_stop, Enquire: self.on_enquire, Light: self.on_light}

    def neighbour_began(self, name: str) -> None:
        """Drop the sessions of a node's earlier life, even if its new one begins no others."""
        if name in self._sides:
            self._drop_all(self._sides[name])

    def held(self) -> Mapping[str, int]:
        """Return the sessions that have not ended."""
        return {"sessions": len(self._sessions) + len(self._lagging)}

    def on_start(self, message: Start, envelope: Envelope) -> None:
        """Take a session; attempts begin when the other side has one with the same label."""
        side = self._sides[envelope.sender]
        known = (side, message.session) in self._sessions or (side, message.session) in self._lagging
        if envelope.incarnation < self._lives[side] or known:
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
        if (side, message.session) in self._lagging:
            return  # its herald will be the answer
        session = self._sessions.get((side, message.session))
        if session is None:
            self.send(envelope.sender, Unknown(message.session))
            return
        partner = self._withdraw(session)
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
        light_ns = _herald_ns(self.arms[first], self.arms[second])
        link = self.link((min(first, second), max(first, second)), min_fidelity)
        mine, other = link.told if first < second else link.told[::-1]
        contrasts, bias, (full, both) = mine
        dead_ns, slot_ns = (self.switch.dead_ns, self.switch.slot_ns) if self.switch else (0, 0)
        loaded = (full, other[2][0], both)
        p = link.calibrated.p_success
        return LinkFigures(p, link.period_ns, contrasts, light_ns, dead_ns, slot_ns, bias, loaded)

    def on_light(self, message: Light, envelope: Envelope) -> None:
        """Let light pass to the arm of whom it is for, less what the fibres of both arms take."""
        far = self._sides.get(message.to)
        if far is not None:
            arms = self.arms[self._sides[envelope.sender]], self.arms[far]
            transmission = message.transmission * arms[0].transmission * arms[1].transmission
            flight_ns = message.flight_ns + arms[0].latency_ns + arms[1].latency_ns
            self.send(message.to, msgspec.structs.replace(message, transmission=transmission, flight_ns=flight_ns))

    def _meet_incarnation(self, side: int, incarnation: int) -> None:
        """Drop the sessions of a node's earlier life: its positions are no more."""
        if incarnation > self._lives[side]:
            self._lives[side] = incarnation
            self._drop_all(side)

    def _drop_all(self, side: int) -> None:
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

    def link(self, crossing: Crossing, min_fidelity: float) -> StationLink:
        """Return what attempts between two arms are like; worked out once for each."""
        found = self._links.get((crossing, min_fidelity))
        if found is None:
            a, b = (self.arms[side] for side in crossing)
            model = self.calibration.model(a.node, b.node, min_fidelity)
            preparation_ns = max(a.preparation_ns, b.preparation_ns)
            period_ns = max(1, preparation_ns + light_ns(a, b))
            emission_ns = (
                a.latency_ns if a.receives else -a.latency_ns,
                b.latency_ns if b.receives else -b.latency_ns,
            )
            senders_ns = max((arm.latency_ns for arm in (a, b) if not arm.receives), default=0)
            first_ns = max(1, preparation_ns + 2 * senders_ns)
            found = StationLink(model, model, period_ns, first_ns, emission_ns, _lags_ns(a, b), _told(model))
            found = self._disturbances.disturbed(found, self.calibration, a.node, b.node, min_fidelity)
            self._links[crossing, min_fidelity] = found
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
        for _, met in self._outages.values() if not self._idle else ():
            met()

    def _give_analyser(self, switch: Switch) -> None:
        """Let whoever is next have an idle analyser, one that is set for them if there is any."""
        match = self._queue.next(self.now_ns)
        if match is None:
            return
        set_already = match.crossing in self._idle
        setting = match.crossing if set_already else self._idle[0]
        self._idle.remove(setting)
        match.setting = setting if self._stuck is not None else match.crossing
        match.granted_ns = self.now_ns
        self._attempt(match, 0 if set_already else switch.dead_ns)

    def _release_analyser(self, match: _Match) -> None:
        switch = self.switch
        if switch is None:
            return
        if self._taken_out < self._out_of_order:
            self._taken_out += 1
        else:
            self._idle.append(match.setting)
        served_ns = self.now_ns - match.granted_ns
        if match in self._overstaying:  # beyond its slot it had what nobody else wanted
            del self._overstaying[match]
            served_ns = min(served_ns, switch.dead_ns + max(switch.slot_ns, match.link.period_ns))
        self._queue.served(match, match.label, match.share, served_ns, self.now_ns)
        if self._idle:
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
        match.begun_ns = self.now_ns + delay_ns + link.first_ns - link.period_ns
        for session, told in zip(match.sessions, link.told, strict=True):
            first_ns = match.begun_ns + link.period_ns - self.arms[session.side].latency_ns
            self._tell(session, Begin(session.number, first_ns, link.period_ns, *told, link.calibrated.p_success))
        slot_ns = None if self.switch is None else delay_ns + max(self.switch.slot_ns, link.period_ns)
        self._draw(match, slot_ns)

    def _draw(self, match: _Match, slot_ns: int | None) -> None:
        """Draw how the attempts from now on end: with a click, because patience has run out, or with their slot."""
        link, model = match.link, match.link.model
        for met in link.met:
            met()
        if self._stuck is not None and match.setting != match.crossing and self.switch is not None:
            self._stuck()
            model = None
        uniform = self.random("attempts").uniform()
        end, fn, news_ns = None if model is None else model.draw_attempts(uniform), self._click, 0
        if match.patience is not None and (end is None or end > match.patience):
            end, fn, news_ns = match.patience, self._time_out, max(link.lag_ns)  # of the last attempt, too
        delay_ns = _NEVER_NS if end is None else match.begun_ns + end * link.period_ns + news_ns - self.now_ns
        if slot_ns is not None and delay_ns > slot_ns and self.switch is not None:
            match.end = self.alarm(slot_ns, self._slot_ends, match, self.switch)
        else:
            match.end = self.alarm(delay_ns, fn, match)

    def _click(self, match: _Match) -> None:
        random = self.random("states")
        model = match.link.model
        assert model is not None
        state = model.draw_state(random.uniform())
        mode = model.draw_mode(random.uniform())
        self._sequence += 1
        a, b = match.sessions
        emission_ns = match.link.emission_ns
        times_ns = self.now_ns + emission_ns[0], self.now_ns + emission_ns[1]
        heralds: Heralds = []
        for session, emitted_ns in zip(match.sessions, times_ns, strict=True):
            del self._sessions[session.side, session.number]
            herald = Herald(session.number, self._sequence, int(state.bell), emitted_ns, mode)
            heralds.append((self.arms[session.side].node, herald))
        heralds, bell = self._disturbances.announced(heralds, int(state.bell))
        self._source.new_pair(
            state.pauli,
            a.qubit,
            b.qubit,
            times_ns=times_ns,
            bell=bell,
            loaded=(state.loaded_a, state.loaded_b),
        )
        lags_ns = {self.arms[s.side].node: lag for s, lag in zip(match.sessions, match.link.lag_ns, strict=True)}
        for node, herald in heralds:
            if lags_ns[node]:
                self._lagging.add((self._sides[node], herald.session))
                self.after(lags_ns[node], self._tell_late, node, herald)
            else:
                self.send(node, herald)
        self._release_analyser(match)

    def _tell_late(self, node: str, herald: Herald) -> None:
        self._lagging.discard((self._sides[node], herald.session))
        self.send(node, herald)

    def _time_out(self, match: _Match) -> None:
        for session in match.sessions:
            del self._sessions[session.side, session.number]
            self._tell(session, TimedOut(session.number))
        self._release_analyser(match)

    def _tell(self, session: _Session, message: Message) -> None:
        self.send(self.arms[session.side].node, message)

    # -- what faults do --------------------------------------------------------------------------------------------

    @property
    def analysers(self) -> int:
        """Return how many analysers are behind the switch; 0: there is no switch."""
        return self.switch.analysers if self.switch else 0

    def arms_to(self, a: str, b: str) -> tuple[str, ...]:
        """Return the nodes at the ends of the arms that the fibre between two nodes consists of; none if there is none.

        Where the station is at one of the two, as that behind the switch of a hub, the fibre is the other's arm.
        """
        if a == b or a not in self._sides or b not in self._sides:
            return ()
        if self.switch is None:
            return a, b
        return tuple(node for node, other in ((a, b), (b, a)) if other == self.switch.at)

    def disturb(self, key: int, disturb: Disturb | None, met: Callable[[], None]) -> None:
        """Let attempts differ from the calibration, from now on; call `met` whenever some begin that do."""
        self._disturbances.disturb(key, disturb, met)
        self._links.clear()
        self._draw_anew()

    def forge(self, key: int, forge: Callable[[Heralds], Heralds] | None) -> None:
        """Let what is announced of a pair be something else; None: not any more."""
        self._disturbances.forge(key, forge)

    def take_out(self, key: int, analysers: int, met: Callable[[], None]) -> None:
        """Take analysers out of order, idle ones first; 0 brings them back. Call `met` whenever somebody lacks one."""
        assert self.switch is not None
        self._outages.pop(key, None)
        if analysers:
            self._outages[key] = analysers, met
        self._out_of_order = min(self.analysers, sum(count for count, _ in self._outages.values()))
        while self._taken_out < self._out_of_order and self._idle:
            self._idle.pop()
            self._taken_out += 1
        for match in self._matches():
            if self._taken_out < self._out_of_order and match.end is not None:
                self._pause(match, self.switch)
        while self._taken_out > self._out_of_order:
            self._taken_out -= 1
            self._idle.append(None)
            self._give_analyser(self.switch)

    def stick(self, met: Callable[[], None] | None) -> None:
        """Let the switch not move, though it says so; None: it moves again, and is set as it should be."""
        self._stuck = met
        if met is None:
            wrong = [match for match in self._matches() if match.end is not None and match.setting != match.crossing]
            for match in wrong:
                match.setting = match.crossing
                self._draw_match_anew(match)

    def recount(self) -> int:
        """Count pairs from 1 again; return how many it had counted."""
        counted, self._sequence = self._sequence, 0
        return counted

    def _matches(self) -> list[_Match]:
        return list(dict.fromkeys(s.match for s in self._sessions.values() if s.match is not None))

    def _draw_anew(self) -> None:
        """Draw anew how attempts end that are under way, as they are not what they were."""
        for match in self._matches():
            self._draw_match_anew(match)

    def _draw_match_anew(self, match: _Match) -> None:
        match.link = self.link(match.crossing, max(session.min_fidelity for session in match.sessions))
        if match.end is None:
            return
        match.end.cancel()
        self._count_attempts(match)
        slot_ns = None
        if self.switch is not None and match not in self._overstaying:
            most_ns = self.switch.dead_ns + max(self.switch.slot_ns, match.link.period_ns)
            slot_ns = max(1, match.granted_ns + most_ns - self.now_ns)
        self._draw(match, slot_ns)


def _lags_ns(a: Arm, b: Arm) -> tuple[int, int]:
    """Return, for each side, how long after the light the news is here that the other side has detected it."""
    return (2 * b.latency_ns if b.receives else 0), (2 * a.latency_ns if a.receives else 0)


def _herald_ns(a: Arm, b: Arm) -> tuple[int, int]:
    """Return how long each side waits for a herald from the detection on, here or at the receivers."""
    if a.receives and b.receives:
        return a.latency_ns + b.latency_ns, a.latency_ns + b.latency_ns
    if a.receives or b.receives:
        both_ns = a.latency_ns + b.latency_ns
        return (0, both_ns) if a.receives else (both_ns, 0)
    return a.latency_ns, b.latency_ns
