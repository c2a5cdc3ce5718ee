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

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from emulator import (
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
    Unknown,
)
from emulator.faults import Disturb, Heralds

from .arms import Arm, Crossing, calibrated_link, herald_ns
from .calibration import Calibration
from .disturbed import Disturbances, StationLink
from .sessions import Match, Session, Unmatched
from .switch import Analysers, Switch


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
        self._analysers = Analysers(switch, arms) if switch else None
        self.lose()

    def lose(self) -> None:
        """Lose all sessions; pair numbers go on, so that no pair's name comes back."""
        self._sessions: dict[tuple[int, int], Session] = {}
        self._lagging: set[tuple[int, int]] = set()  # sessions with a pair, of which the news is not here yet
        self._waiting = Unmatched()
        self._lives = [0] * len(self.arms)
        if self._analysers is not None:
            self._analysers.lose()

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
        session = Session(
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
        light_ns = herald_ns(self.arms[first], self.arms[second])
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

    def _offer(self, session: Session) -> None:
        met = self._waiting.meet(session)
        if met is not None:
            self._meet(met)

    def _meet(self, sessions: tuple[Session, Session]) -> None:
        link = self.link((sessions[0].side, sessions[1].side), max(s.min_fidelity for s in sessions))
        patience = min((max(1, s.patience_ns // link.period_ns) for s in sessions if s.patience_ns), default=None)
        match = Match(sessions, link, patience)
        for session in sessions:
            session.match = match
        if self._analysers is None:
            self._attempt(match, 0)
        else:
            self._want_analyser(match, self._analysers)

    def link(self, crossing: Crossing, min_fidelity: float) -> StationLink:
        """Return what attempts between two arms are like; worked out once for each."""
        found = self._links.get((crossing, min_fidelity))
        if found is None:
            a, b = (self.arms[side] for side in crossing)
            model = self.calibration.model(a.node, b.node, min_fidelity)
            found = calibrated_link(model, a, b)
            found = self._disturbances.disturbed(found, self.calibration, a.node, b.node, min_fidelity)
            self._links[crossing, min_fidelity] = found
        return found

    def _withdraw(self, session: Session) -> Session | None:
        """Take a session away; return its partner, if it had one, which then needs another.

        The partner hears that its attempts rest, if they were under way: it counts them.
        """
        del self._sessions[session.side, session.number]
        match = session.match
        if match is None:
            self._waiting.remove(session)
            return None
        partner = match.sessions[match.sessions[0] is session]
        partner.match = None
        if match.end is not None:
            match.end.cancel()
            self._tell(partner, Paused(partner.number))
            self._release_analyser(match)
        elif self._analysers is not None:
            self._analysers.leave(match, self.now_ns)
        return partner

    # -- analysers -------------------------------------------------------------------------------------------------

    def _want_analyser(self, match: Match, analysers: Analysers) -> None:
        analysers.wait(match, self.now_ns)
        overstayed = analysers.overstayed()
        if overstayed is None:
            self._give_analyser(analysers)
        else:
            self._pause(overstayed, analysers)
        analysers.tell_of_lack()

    def _give_analyser(self, analysers: Analysers) -> None:
        granted = analysers.grant(self.now_ns)
        if granted is not None:
            self._attempt(*granted)

    def _release_analyser(self, match: Match) -> None:
        if self._analysers is not None:
            self._analysers.release(match, self.now_ns)
            self._give_analyser(self._analysers)

    def _slot_ends(self, match: Match, analysers: Analysers) -> None:
        """Go on if nobody waits: the click is drawn anew, which makes no difference to a geometric distribution."""
        if analysers.waiting:
            self._pause(match, analysers)
        else:
            match.count_attempts(self.now_ns)
            analysers.overstay(match)
            self._draw(match, None)

    def _pause(self, match: Match, analysers: Analysers) -> None:
        assert match.end is not None
        match.end.cancel()
        match.end = None
        match.count_attempts(self.now_ns)
        for session in match.sessions:
            self._tell(session, Paused(session.number))
        analysers.wait(match, self.now_ns)
        self._release_analyser(match)

    # -- attempts --------------------------------------------------------------------------------------------------

    def _attempt(self, match: Match, delay_ns: int) -> None:
        """Begin attempts after a delay, for a slot at most where analysers are shared."""
        link = match.link
        match.begun_ns = self.now_ns + delay_ns + link.first_ns - link.period_ns
        for session, told in zip(match.sessions, link.told, strict=True):
            first_ns = match.begun_ns + link.period_ns - self.arms[session.side].latency_ns
            self._tell(session, Begin(session.number, first_ns, link.period_ns, *told, link.calibrated.p_success))
        slot_ns = None if self.switch is None else delay_ns + self.switch.service_ns(link.period_ns)
        self._draw(match, slot_ns)

    def _draw(self, match: Match, slot_ns: int | None) -> None:
        """Draw how the attempts from now on end: with a click, because patience has run out, or with their slot."""
        link, model = match.link, match.link.model
        for met in link.met:
            met()
        if self._analysers is not None and not self._analysers.joins(match):
            model = None
        uniform = self.random("attempts").uniform()
        end, fn, news_ns = None if model is None else model.draw_attempts(uniform), self._click, 0
        if match.patience is not None and (end is None or end > match.patience):
            end, fn, news_ns = match.patience, self._time_out, max(link.lag_ns)  # of the last attempt, too
        delay_ns = _NEVER_NS if end is None else match.begun_ns + end * link.period_ns + news_ns - self.now_ns
        if slot_ns is not None and delay_ns > slot_ns and self._analysers is not None:
            match.end = self.alarm(slot_ns, self._slot_ends, match, self._analysers)
        else:
            match.end = self.alarm(delay_ns, fn, match)

    def _click(self, match: Match) -> None:
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

    def _time_out(self, match: Match) -> None:
        for session in match.sessions:
            del self._sessions[session.side, session.number]
            self._tell(session, TimedOut(session.number))
        self._release_analyser(match)

    def _tell(self, session: Session, message: Message) -> None:
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
        assert self._analysers is not None
        self._analysers.take_out(key, analysers, met)
        for match in self._matches():
            if self._analysers.are_to_fail and match.end is not None:
                self._pause(match, self._analysers)
        while self._analysers.bring_back():
            self._give_analyser(self._analysers)

    def stick(self, met: Callable[[], None] | None) -> None:
        """Let the switch not move, though it says so; None: it moves again, and is set as it should be."""
        assert self._analysers is not None
        self._analysers.stuck = met
        if met is None:
            wrong = [match for match in self._matches() if match.end is not None and match.setting != match.crossing]
            for match in wrong:
                match.setting = match.crossing
                self._draw_match_anew(match)

    def recount(self) -> int:
        """Count pairs from 1 again; return how many it had counted."""
        counted, self._sequence = self._sequence, 0
        return counted

    def _matches(self) -> list[Match]:
        return list(dict.fromkeys(s.match for s in self._sessions.values() if s.match is not None))

    def _draw_anew(self) -> None:
        """Draw anew how attempts end that are under way, as they are not what they were."""
        for match in self._matches():
            self._draw_match_anew(match)

    def _draw_match_anew(self, match: Match) -> None:
        match.link = self.link(match.crossing, match.min_fidelity)
        if match.end is None:
            return
        match.end.cancel()
        match.count_attempts(self.now_ns)
        self._draw(match, None if self._analysers is None else self._analysers.left_ns(match, self.now_ns))
