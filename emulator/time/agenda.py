"""What is still to happen: the heap of timeline events."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop
from types import MethodType
from typing import Any, Final

from trio import lowlevel

from .place import Place

NEVER_NS: Final = 1 << 62  # later than anything: 146 years
END_NS: Final = NEVER_NS - 1  # the last instant there is

Event = tuple[int, int, int, Callable[..., object], tuple[Any, ...]]  # time_ns, rank, sequence, handler, arguments


class Agenda:
    """The heap of events, and how many of them are of no use any more because their sleeper or alarm was cancelled.

    The heap is a plain list for heapq, never replaced, so that the hot path can use it without a call.
    """

    __slots__ = ("abandoned", "heap", "ran")

    def __init__(self) -> None:
        self.heap: list[Event] = []
        self.abandoned = 0
        self.ran = 0  # events so far

    def sweep(self) -> None:
        """Take abandoned events off the top of the heap: time must not go on for them alone."""
        heap = self.heap
        if self.abandoned > 64 + len(heap) // 2:
            heap[:] = [event for event in heap if not _is_abandoned(event)]
            heapify(heap)
            self.abandoned = 0
        while self.abandoned and heap and _is_abandoned(heap[0]):
            heappop(heap)
            self.abandoned -= 1

    def sleeper_is_next(self) -> bool:
        """Whether the next event does no more than wake a task, so that even trio's clock can do it."""
        fn = self.heap[0][3]
        return type(fn) is MethodType and isinstance(fn.__self__, Place)

    def next_sleeper_ns(self) -> int:
        """Drop the handlers of a world that has ended, up to the next one who sleeps; return when (or NEVER_NS)."""
        self.sweep()
        while self.heap and not self.sleeper_is_next():
            heappop(self.heap)
            self.sweep()
        return self.heap[0][0] if self.heap else NEVER_NS


class Sleeper(Place):
    """Where one sleep of a task waits. If it is cancelled its event stays in the agenda, until that is swept."""

    __slots__ = ("_agenda", "abandoned")

    def __init__(self, agenda: Agenda) -> None:
        super().__init__()
        self._agenda = agenda
        self.abandoned = False

    def wake(self) -> bool:
        """Let the task go on, if it still sleeps."""
        if self.abandoned:  # it ran before it was swept, which depends on the rate, so that it must not count
            self._agenda.abandoned -= 1
            self._agenda.ran -= 1
        return super().wake()

    def _forget(self, raise_cancel: object) -> lowlevel.Abort:
        self.abandoned = True
        self._agenda.abandoned += 1
        return super()._forget(raise_cancel)


class Alarm:
    """An event that can be cancelled without a trace: dead entries would fill the heap and hold up time."""

    __slots__ = ("_agenda", "_args", "_fn", "abandoned")

    def __init__(self, agenda: Agenda, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._agenda = agenda
        self._fn: Callable[..., object] | None = fn  # None once it has rung
        self._args = args
        self.abandoned = False

    def ring(self) -> None:
        """Call the function, unless it was cancelled."""
        if self.abandoned:
            self._agenda.abandoned -= 1
            self._agenda.ran -= 1
        elif self._fn is not None:
            fn, self._fn = self._fn, None
            fn(*self._args)

    def cancel(self) -> None:
        """Let it not ring. Does nothing if it has rung or was cancelled."""
        if self._fn is not None and not self.abandoned:
            self.abandoned = True
            self._agenda.abandoned += 1


def _is_abandoned(event: Event) -> bool:
    fn = event[3]
    return type(fn) is MethodType and isinstance(fn.__self__, (Sleeper, Alarm)) and fn.__self__.abandoned
