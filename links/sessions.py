"""The sessions of nodes at a heralding station, and which of them meet. Sans-io."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from emulator import QubitId, Timer

from .arms import Crossing
from .disturbed import StationLink


@dataclass(slots=True, eq=False)
class Session:
    """What a node has asked a station for, at one memory position."""

    side: int
    number: int
    label: str
    qubit: QubitId
    patience_ns: int
    min_fidelity: float
    share: float
    match: Match | None = None


@dataclass(slots=True, eq=False)
class Match:
    """Two sessions whose photons meet, and what they are heading for."""

    sessions: tuple[Session, Session]
    link: StationLink
    patience: int | None  # attempts that are left; None: any number
    end: Timer | None = None
    granted_ns: int = 0
    begun_ns: int = 0
    setting: Crossing | None = None  # whom its analyser really joins, if the switch has stuck

    @property
    def crossing(self) -> Crossing:
        """Return which arms are to meet."""
        return self.sessions[0].side, self.sessions[1].side

    @property
    def label(self) -> str:
        """Return the label that both sessions bear."""
        return self.sessions[0].label

    @property
    def share(self) -> float:
        """Return the part of one analyser's time that was set aside for it."""
        return max(session.share for session in self.sessions)

    @property
    def min_fidelity(self) -> float:
        """Return the fidelity that both sessions are content with."""
        return max(session.min_fidelity for session in self.sessions)

    def count_attempts(self, now_ns: int) -> None:
        """Take the attempts that came to their end off the patience; at least one is left, to time out by."""
        done = max(0, now_ns - self.begun_ns) // self.link.period_ns
        self.begun_ns += done * self.link.period_ns
        if self.patience is not None:
            self.patience = max(1, self.patience - done)


class Unmatched:
    """The sessions that wait for another with the same label; those of one label are all on one side."""

    def __init__(self) -> None:
        self._by_label: dict[str, deque[Session]] = {}

    def __len__(self) -> int:
        return len(self._by_label)

    def meet(self, session: Session) -> tuple[Session, Session] | None:
        """Return a session and whom it meets, that of the smaller side first; None: it waits."""
        others = self._by_label.setdefault(session.label, deque())
        if not others or others[0].side == session.side:
            others.append(session)
            return None
        other = others.popleft()
        if not others:
            del self._by_label[session.label]
        return (session, other) if session.side < other.side else (other, session)

    def remove(self, session: Session) -> None:
        """Let a session wait no more."""
        others = self._by_label[session.label]
        others.remove(session)
        if not others:
            del self._by_label[session.label]
