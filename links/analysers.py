"""A bounded pool of Bell-state analysers behind an optical switch: who gets one next. Sans-io, the time is an argument.

Each label has a share: the part of one analyser's time that was set aside for it (0: none). A label that waits is
*due* at the moment by which the service it has had so far is used up at the rate of its share (a virtual clock, Zhang
1990). Whoever is overdue comes first, the most overdue before the others; so every share is kept if their sum does not
exceed the number of analysers. What is left over goes to all in turn, first come, first served.

How far behind a label is while it waits or is served is never forgotten. While it wants nothing, it saves up at most a
few slots. One that was given more than its share out of what was left over does not have to pay for it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, Generic, TypeVar

_SAVED: Final = 10  # slots that a label may be behind by wanting nothing, and still catch up
_FEW: Final = 64  # accounts, or places of jobs that are gone, for which no clearing up is worth it

Job = TypeVar("Job")


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Job]):
    job: Job
    label: str
    share: float
    gone: bool = False


@dataclass(slots=True)
class _Account:
    """When a label is due, how many of its jobs wait or are served; since when none, and how late it was then."""

    due_ns: float
    jobs: int = 0
    idle_since_ns: int = 0
    late_ns: float = 0.0


class AnalyserQueue(Generic[Job]):
    """The jobs that wait for an analyser, which serves each for a slot of time at most while others wait.

    >>> queue = AnalyserQueue[str](slot_ns=10)
    >>> queue.enter("x", "best effort", 0.0, now_ns=0)
    >>> queue.enter("y", "half of the time", 0.5, now_ns=5)
    >>> queue.next(now_ns=10), queue.next(now_ns=10), queue.next(now_ns=10)
    ('y', 'x', None)
    """

    def __init__(self, slot_ns: int) -> None:
        self._slot_ns = slot_ns
        self._accounts: dict[str, _Account] = {}
        self._by_due: list[tuple[float, int, _Waiting[Job]]] = []
        self._in_turn: deque[_Waiting[Job]] = deque()
        self._entries: dict[Job, _Waiting[Job]] = {}
        self._claims: set[Job] = set()  # served because they were overdue
        self._sequence = count()
        self._many = _FEW

    def __len__(self) -> int:
        return len(self._entries)

    def enter(self, job: Job, label: str, share: float, now_ns: int) -> None:
        """Let a job wait."""
        self._drop_gone()
        entry = self._entries[job] = _Waiting(job, label, share)
        self._in_turn.append(entry)
        if share > 0:
            account = self._accounts.setdefault(label, _Account(now_ns))
            if not account.jobs:
                account.due_ns = max(account.due_ns, now_ns - max(account.late_ns, _SAVED * self._slot_ns))
            account.jobs += 1
            self._push(entry)
            if len(self._accounts) > self._many:
                self._forget_idle(now_ns)

    def leave(self, job: Job, now_ns: int) -> None:
        """Let a job wait no more."""
        entry = self._remove(job)
        self._end_job(entry.label, entry.share, now_ns)

    def next(self, now_ns: int) -> Job | None:
        """Return the job to serve next, which then waits no more; None if nobody waits."""
        entry = self._most_overdue(now_ns)
        if entry is not None:
            self._claims.add(entry.job)
        else:
            entry = self._first_come()
        if entry is not None:
            self._remove(entry.job)
            return entry.job
        return None

    def served(self, job: Job, label: str, share: float, served_ns: int, now_ns: int) -> None:
        """Charge a label for the service of a job: for all that it claimed, and for at most one slot of what was left.

        It may have claimed several analysers at once, and each of them is charged.
        """
        if share > 0:
            account = self._accounts[label]
            most_ns = math.inf if job in self._claims else now_ns + self._slot_ns / share
            account.due_ns = max(account.due_ns, min(account.due_ns + served_ns / share, most_ns))
        self._claims.discard(job)
        self._end_job(label, share, now_ns)

    def _end_job(self, label: str, share: float, now_ns: int) -> None:
        if share > 0:
            account = self._accounts[label]
            account.jobs -= 1
            account.idle_since_ns, account.late_ns = now_ns, now_ns - account.due_ns

    def _remove(self, job: Job) -> _Waiting[Job]:
        entry = self._entries.pop(job)
        entry.gone = True
        return entry

    def _forget_idle(self, now_ns: int) -> None:
        """Drop the accounts of labels that have not come for long."""
        long_ago_ns = now_ns - _SAVED * self._slot_ns
        self._accounts = {
            label: account
            for label, account in self._accounts.items()
            if account.jobs or max(account.due_ns, account.idle_since_ns) > long_ago_ns
        }
        self._many = max(_FEW, 2 * len(self._accounts))

    def _drop_gone(self) -> None:
        """Clear up, now and then: whoever was served from one line still has a place in the other."""
        many = _FEW + 2 * len(self._entries)
        if len(self._in_turn) > many:
            self._in_turn = deque(entry for entry in self._in_turn if not entry.gone)
        if len(self._by_due) > many:
            self._by_due = [place for place in self._by_due if not place[2].gone]
            heapify(self._by_due)

    def _push(self, entry: _Waiting[Job]) -> None:
        heappush(self._by_due, (self._accounts[entry.label].due_ns, next(self._sequence), entry))

    def _most_overdue(self, now_ns: int) -> _Waiting[Job] | None:
        while self._by_due and self._by_due[0][0] <= now_ns:
            noted_ns, _, entry = heappop(self._by_due)
            if entry.gone:
                continue
            if self._accounts[entry.label].due_ns > noted_ns:  # it was served since
                self._push(entry)
                continue
            return entry
        return None

    def _first_come(self) -> _Waiting[Job] | None:
        while self._in_turn:
            entry = self._in_turn.popleft()
            if not entry.gone:
                return entry
        return None
