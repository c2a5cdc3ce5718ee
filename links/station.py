"""The heralding station: an actor at (or near) the mid-point of a link that announces Bell pairs.

Attempts are no events. When both sides offer a position, the station draws how many attempts it will take, and the
click becomes one event; cost grows with the pairs that are delivered, not with the rate of attempts. Everything that
nodes can notice is real, though: sessions start, stop, time out and herald by messages that take their time in the
fibre, and a pair decoheres from the moment its photons left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from emulator import Actor, Begin, Envelope, Handler, Herald, Message, QubitId, Start, Stop, Stopped, TimedOut
from emulator.time import Alarm

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


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of a link: which node is there, and how long light takes from it to the station."""

    node: str
    latency_ns: int


@dataclass(slots=True, eq=False)
class _Session:
    side: int
    number: int
    label: str
    qubit: QubitId
    patience_ns: int
    match: _Match | None = None


@dataclass(slots=True, eq=False)
class _Match:
    """Two sessions whose photons meet, and what they are heading for."""

    sessions: tuple[_Session, _Session]
    end: Alarm | None = None


class HeraldingStation(Actor):
    """Joins the sessions of two nodes and heralds pairs between them.

    model: what an attempt leads to; preparation_ns: what a node needs between the news of a failure and its next
    photon. An attempt takes `period_ns`: the preparation, the photon's way here, and the herald's way back, of the
    longer arm.
    """

    def __init__(
        self,
        name: str,
        source: PairSource,
        model: HeraldedStateModel,
        arms: tuple[Arm, Arm],
        *,
        preparation_ns: int = 0,
    ) -> None:
        super().__init__(name)
        self.model = model
        self.arms = arms
        self.period_ns = max(1, preparation_ns + 2 * max(arm.latency_ns for arm in arms))
        self._source = source
        self._sides = {arm.node: side for side, arm in enumerate(arms)}
        self._sequence = 0

    def begin(self) -> None:
        """Start a life without sessions; pair numbers go on, so that no pair's name comes back."""
        self._sessions: dict[tuple[int, int], _Session] = {}
        self._waiting: dict[tuple[str, int], deque[_Session]] = {}
        self._lives = [0, 0]

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return what the station listens to."""
        return {Start: self.on_start, Stop: self.on_stop}

    def held(self) -> Mapping[str, int]:
        """Return the sessions that have not ended."""
        return {"sessions": len(self._sessions)}

    def on_start(self, message: Start, envelope: Envelope) -> None:
        """Take a session; attempts begin when the other side has one with the same label."""
        side = self._sides[envelope.sender]
        if envelope.incarnation < self._lives[side] or (side, message.session) in self._sessions:
            return  # from before a crash, or for the second time
        self._meet_incarnation(side, envelope.incarnation)
        qubit = (envelope.sender, message.position, message.generation)
        session = _Session(side, message.session, message.label, qubit, message.patience_ns)
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

    def _meet_incarnation(self, side: int, incarnation: int) -> None:
        """Drop the sessions of a node's earlier life: its positions are no more."""
        if incarnation > self._lives[side]:
            self._lives[side] = incarnation
            old = [s for s in self._sessions.values() if s.side == side]
            for partner in [self._withdraw(session) for session in old]:
                if partner is not None:
                    self._offer(partner)

    def _offer(self, session: _Session) -> None:
        others = self._waiting.get((session.label, 1 - session.side))
        if not others:
            self._waiting.setdefault((session.label, session.side), deque()).append(session)
            return
        other = others.popleft()
        if not others:
            del self._waiting[session.label, other.side]
        self._meet((session, other) if session.side == 0 else (other, session))

    def _meet(self, sessions: tuple[_Session, _Session]) -> None:
        match = _Match(sessions)
        for session in sessions:
            session.match = match
            first_ns = self.now_ns + self.period_ns - self.arms[session.side].latency_ns
            self._tell(session, Begin(session.number, first_ns, self.period_ns))
        attempts = self.model.draw_attempts(self.random("attempts").uniform())
        allowed = min((max(1, s.patience_ns // self.period_ns) for s in sessions if s.patience_ns), default=attempts)
        if attempts <= allowed:
            match.end = self.alarm(attempts * self.period_ns, self._click, match)
        else:
            match.end = self.alarm(allowed * self.period_ns, self._time_out, match)

    def _click(self, match: _Match) -> None:
        random = self.random("states")
        state = self.model.draw_state(random.uniform())
        mode = self.model.draw_mode(random.uniform())
        self._sequence += 1
        a, b = match.sessions
        times_ns = (self.now_ns - self.arms[0].latency_ns, self.now_ns - self.arms[1].latency_ns)
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

    def _time_out(self, match: _Match) -> None:
        for session in match.sessions:
            del self._sessions[session.side, session.number]
            self._tell(session, TimedOut(session.number))

    def _withdraw(self, session: _Session) -> _Session | None:
        """Take a session away; return its partner, if it had one, which then needs another."""
        del self._sessions[session.side, session.number]
        match = session.match
        if match is None:
            key = session.label, session.side
            self._waiting[key].remove(session)
            if not self._waiting[key]:
                del self._waiting[key]
            return None
        assert match.end is not None
        match.end.cancel()
        partner = match.sessions[1 - session.side]
        partner.match = None
        return partner

    def _tell(self, session: _Session, message: Message) -> None:
        self.send(self.arms[session.side].node, message)
