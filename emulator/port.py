"""One side of a link as its node sees it, and the messages between a node and the heralding station of the link.

A *session* offers one memory position to the station. The station joins sessions from both sides that bear the same
label (the circuit they serve), tells both when to emit (`Begin`), and announces success (`Herald`) or that time is up
(`TimedOut`). A node may withdraw (`Stop`); of that answer and news that crosses it, the first to come ends the session.

    node                            station
     | -- Start(label, position) -->  |    one session
     | <-- Begin(first emission) ---  |    the other side has one too: attempts begin
     | <-- Paused ------------------  |    others are served, or the other side withdrew; another Begin may follow
     | <-- Herald(pair, bell) ------  |    or TimedOut, or (after a Stop) Stopped: the session has ended
     | -- Stop -------------------->  |    of a session of which the station knows nothing (any more)
     | <-- Unknown -----------------  |    so that news of its end comes before this, or was lost
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from .memory import Owner, QuantumMemory, Qubit
from .messages import Message, PairId
from .storage import FRESH, UNBIASED, UNKNOWN, Bias, Contrasts, Stored

# How likely a memory really holds an excitation after a herald: the node's own, and both.
Loaded: TypeAlias = tuple[float, float]

FULL: Final[Loaded] = (1.0, 1.0)

# From when on (ns) attempts beside a half take its coherence, and at which rate per second, as far as is known then.
Disturbed: TypeAlias = tuple[int, float]

UNDISTURBED: Final[Disturbed] = (0, 0.0)


class Start(Message, frozen=True, tag="link-start"):
    """Node to station: a position is ready to emit for a label; give up after `patience_ns` of attempts (0: never).

    min_fidelity: the least fidelity of a fresh pair that is of use (0: whatever gives most pairs); share: what part of
    an analyser's time was set aside for this label, where analysers are shared.
    """

    label: str
    session: int
    position: int
    generation: int
    patience_ns: int
    min_fidelity: float
    share: float


class Stop(Message, frozen=True, tag="link-stop"):
    """Node to station: withdraw a session."""

    session: int


class Begin(Message, frozen=True, tag="link-begin"):
    """Station to node: attempts run from `first_emission_ns` on, one each `period_ns`.

    contrasts, success: what the station's calibration says of a pair that comes of it, |<XX>|, |<YY>|, |<ZZ>|, and of
    the probability that one attempt makes one; bias: the means of the announced sign of ZZ and of it times <Z> of the
    receiver's half and of the other; loaded: see `Loaded`.
    """

    session: int
    first_emission_ns: int
    period_ns: int
    contrasts: Contrasts
    bias: Bias
    loaded: Loaded
    success: float


class Paused(Message, frozen=True, tag="link-paused"):
    """Station to node: attempts rest, since the analyser serves others or the other side has withdrawn."""

    session: int


class Herald(Message, frozen=True, tag="link-herald"):
    """Station to node: a pair. `sequence` counts the station's pairs, `mode` says which multiplexed mode it was."""

    session: int
    sequence: int
    bell: int
    emitted_ns: int
    mode: int


class TimedOut(Message, frozen=True, tag="link-timed-out"):
    """Station to node: no pair within the patience of the session."""

    session: int


class Stopped(Message, frozen=True, tag="link-stopped"):
    """Station to node: the session was withdrawn."""

    session: int


class Unknown(Message, frozen=True, tag="link-unknown"):
    """Station to node: there is no such session (any more); if the node has heard of no end, that news was lost."""

    session: int


@dataclass(slots=True, eq=False)
class Half:
    """A node's half of a Bell pair: what it was told (`pair`, `bell`) and its qubit.

    counted_ns: the time until which the contrasts of its pair count storage already (0: none of it); until_measured:
    what storage had done to it when it was measured.
    """

    pair: PairId
    bell: int
    qubit: Qubit | None  # None once it was measured
    emitted_ns: int
    contrasts: Contrasts = UNKNOWN  # of the pair when it was fresh
    bias: Bias = UNBIASED
    loaded: Loaded = FULL
    disturbed: Disturbed = UNDISTURBED
    counted_ns: int = 0
    until_measured: Stored = FRESH


@dataclass(slots=True)
class Session:
    """A session under way: the position it offers, and since when it emits (None: not now).

    success: probability of one attempt, as the station says; earlier: how many heralds were to be expected of the
    attempts before.
    """

    label: str
    qubit: Qubit
    emitting_since_ns: int | None = None
    period_ns: int = 1
    contrasts: Contrasts = UNKNOWN
    bias: Bias = UNBIASED
    loaded: Loaded = FULL
    stopping: bool = False
    success: float = 0.0
    earlier: float = 0.0

    def expected(self, now_ns: int) -> float:
        """Return how many heralds were to be expected of all its attempts so far."""
        return self.earlier + _attempts(self, now_ns) * self.success


# So many heralds of a session, or of a label, should have come, and none has: by chance that is so once in 10^13.
OVERDUE: Final = 30.0

# How a port sends to its station.
Send: TypeAlias = Callable[[str, Message], None]


class Port:
    """A node's fibre to a station. It keeps as many sessions under way as the memory reserved for a label allows.

    station: the heralding station at the other end of the fibre; bank: the memory bank that serves this port;
    patience_ns: give up a session after that long of attempts (0: never).
    """

    def __init__(self, station: str, bank: str, *, patience_ns: int = 0) -> None:
        self.station = station
        self.bank = bank
        self.patience_ns = patience_ns
        self.sessions: dict[int, Session] = {}
        self.emitted = 0  # attempts of sessions that have ended
        self.latest = 0  # the greatest number of a pair so far
        self.watched = False  # does somebody look after its sessions now and then?
        self.fruitless: dict[str, float] = {}  # heralds that should have come of sessions since a label's last herald
        self.fruit_ns: dict[str, int] = {}  # when each label had its last herald
        self._next = 1

    def fill(
        self, owner: Owner, memory: QuantumMemory, send: Send, *, min_fidelity: float = 0.0, share: float = 0.0
    ) -> None:
        """Offer every spare position reserved for an owner to the station; the owner's first part is the label."""
        for _ in range(memory.spare(self.bank, owner)):
            self.offer(memory.take(self.bank, owner), send, min_fidelity=min_fidelity, share=share)

    def offer(self, qubit: Qubit, send: Send, *, min_fidelity: float = 0.0, share: float = 0.0) -> None:
        """Offer a position to the station; the first part of its owner is the label."""
        label = qubit.owner[0]
        session, self._next = self._next, self._next + 1
        self.sessions[session] = Session(label, qubit)
        _, position, generation = qubit.id
        send(self.station, Start(label, session, position, generation, self.patience_ns, min_fidelity, share))

    def withdraw(self, label: str, send: Send) -> None:
        """Stop all sessions of a label; each ends when the station has answered."""
        for number, session in self.sessions.items():
            if session.label == label:
                self.stop(number, send)

    def stop(self, number: int, send: Send) -> None:
        """Stop a session, unless that has been done; it ends when the station has answered."""
        session = self.sessions[number]
        if not session.stopping:
            session.stopping = True
            send(self.station, Stop(number))

    def overdue(self, now_ns: int) -> list[int]:
        """Return the sessions that should have had a herald long ago."""
        return [n for n, s in self.sessions.items() if not s.stopping and s.expected(now_ns) > OVERDUE]

    def ended_in_vain(self, session: Session, now_ns: int) -> bool:
        """Note that a session ended without a herald; return whether its label is stalled from now on."""
        if self.fruit_ns.get(session.label, -1) >= (session.emitting_since_ns or 0):
            return False  # others of its label had heralds meanwhile
        before = self.fruitless.get(session.label, 0.0)
        after = self.fruitless[session.label] = before + session.expected(now_ns)
        return before <= OVERDUE < after

    def flows(self, label: str) -> bool:
        """Note that a label gets pairs; return whether it was stalled."""
        return self.fruitless.pop(label, 0.0) > OVERDUE

    def forget(self, label: str) -> bool:
        """Forget a label that is gone; return whether it was stalled."""
        self.fruit_ns.pop(label, None)
        return self.fruitless.pop(label, 0.0) > OVERDUE

    def withdraw_all(self, send: Send) -> None:
        """Stop every session, even again: the station has begun a new life, in which it knows none of them."""
        for number, session in self.sessions.items():
            session.stopping = True
            send(self.station, Stop(number))

    def begun(self, message: Begin) -> None:
        """Note that a session's attempts begin."""
        if (session := self.sessions.get(message.session)) is not None:
            attempts = _attempts(session, message.first_emission_ns)  # with an earlier partner
            self.emitted += attempts
            session.earlier += attempts * session.success
            session.emitting_since_ns = message.first_emission_ns
            session.period_ns = message.period_ns
            session.contrasts, session.bias, session.loaded = message.contrasts, message.bias, message.loaded
            session.success = message.success

    def paused(self, number: int, now_ns: int) -> None:
        """Note that a session's attempts rest."""
        if (session := self.sessions.get(number)) is not None:
            attempts = _attempts(session, now_ns)
            self.emitted += attempts
            session.earlier += attempts * session.success
            session.emitting_since_ns = None

    def ended(self, number: int, now_ns: int) -> Session | None:
        """End a session on the station's word; return it, or None if it is not known (any more)."""
        session = self.sessions.pop(number, None)
        if session is not None:
            self.emitted += _attempts(session, now_ns)
        return session

    def attempts(self, now_ns: int) -> int:
        """Return how many attempts this port has made: each of them disturbs the other qubits of some platforms."""
        return self.emitted + sum(_attempts(s, now_ns) for s in self.sessions.values())

    @property
    def attempts_per_s(self) -> float:
        """Return how fast attempts are made now."""
        return sum(1e9 / s.period_ns for s in self.sessions.values() if s.emitting_since_ns is not None)

    def lose(self) -> None:
        """Forget all sessions, at a crash."""
        self.sessions.clear()
        self.fruitless.clear()
        self.fruit_ns.clear()
        self.latest, self.watched = 0, False


def _attempts(session: Session, now_ns: int) -> int:
    """Count the attempts before now: news that arrives just as the next photon would leave holds it back."""
    since = session.emitting_since_ns
    return 0 if since is None or now_ns <= since else (now_ns - since - 1) // session.period_ns + 1
