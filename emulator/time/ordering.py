# ruff: noqa: SLF001  (this is the one module that touches private parts of trio)
"""Make trio's order reproducible: the same tasks, the same events, the same history, whatever the memory addresses.

Trio leaves the order of tasks open on purpose, and an emulator needs it closed. What is open, and how it is closed:

- Each batch of ready tasks is reversed or not by the toss of a coin. Now the coin always falls first in, first out.
- Equal deadlines expire in the order of memory addresses. Now in the order of registration, by a counter.
- All deadlines that are due expire at once, the second before what the first woke has come to rest. Now one at a time.
- `Event` keeps its waiters in a set, so they wake by address. Now in a container in order of insertion.
- So do cancel scopes with their tasks and child scopes: the tasks of a cancelled scope unwind by address. The same.
- So do the ends of memory channels: the waiters of an end that is closed wake by address. The same.
- Hypothesis, once imported, has batches sorted and shuffled: another order under test than in production. Switched off.

To make the coin seeded instead of constant would not do: the order would depend on how many batches ran, so on I/O and
pacing. Locks, semaphores, conditions, limiters and the queues of channels are in order as they are. Left over are
`task_status.started()` called with scopes open below it, and async generators that the garbage collector finalises.

The price: a cancel scope 1 us, an Event 0.3 us. There is no public switch for any of this in trio (its issues 32 and
2675 discuss one), so everything is checked before anything is changed, and a trio that differs is refused.
"""

from __future__ import annotations

import heapq
import itertools
import random
import sys
from collections.abc import Callable
from importlib.metadata import version
from types import ModuleType
from typing import Any

import trio


def order_trio() -> None:
    """Close what trio leaves open in the order of tasks, for all runs of this process. Idempotent.

    Call it before each run: importing Hypothesis or pytest-trio undoes a part. Raises RuntimeError, and changes
    nothing, if this version of trio is not what the cures were made for.
    """
    run: Any = sys.modules.get("trio._core._run")
    if not isinstance(getattr(run, "_r", None), _FirstInFirstOut):
        sets = _check(run)
        for cls, names in sets.items():
            _keep_in_order(cls, names)
        _order_deadlines(run)
        _ignore_hypothesis(run)
        run._r = _FirstInFirstOut()
    run._ALLOW_DETERMINISTIC_SCHEDULING = False


class _FirstInFirstOut(random.Random):
    """The coin that trio tosses for each batch: below 0.5 it reverses the batch, which it then takes from the end."""

    def random(self) -> float:
        return 0.0


class _OrderedSet(dict[Any, None]):
    """As much of a set as trio uses, in order of insertion."""

    add = dict.setdefault
    remove = dict.__delitem__

    def discard(self, item: object) -> None:
        self.pop(item, None)


def _check(run: ModuleType | None) -> dict[type, tuple[str, ...]]:
    """Find every private part that is going to be changed; return the classes with the sets they are born with."""
    if run is None:
        raise _changed("trio._core._run (not there)")
    deadlines = getattr(run, "Deadlines", None)
    for owner, name in (
        *((run, name) for name in ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING", "_hypothesis_plugin_setup")),
        *((run, name) for name in ("DEADLINE_HEAP_MIN_PRUNE_THRESHOLD", "CancelReason", "CancelStatus")),
        *((deadlines, name) for name in ("add", "expire", "next_deadline", "_prune", "_heap", "_active")),
        *((trio.CancelScope, name) for name in ("_cancel", "_registered_deadline")),
    ):
        if not hasattr(owner, name):
            raise _changed(f"{getattr(owner, '__name__', 'Deadlines')}.{name} (not there)")
    send, receive = trio.open_memory_channel[None](0)
    newborn: dict[object, tuple[str, ...]] = {
        trio.Event(): ("_tasks",),
        run.CancelStatus(scope=trio.CancelScope()): ("_tasks", "_children"),
        send: ("_tasks",),
        receive: ("_tasks",),
    }
    for owner, names in newborn.items():
        for name in names:
            found = getattr(owner, name, None)
            if type(found) is not set or found:
                raise _changed(f"{type(owner).__name__}.{name} (found {found!r} instead of an empty set)")
    send.close()
    receive.close()
    return {type(owner): names for owner, names in newborn.items()}


def _changed(part: str) -> RuntimeError:
    return RuntimeError(
        f"trio {version('trio')} has changed {part}, on which the reproducible order of tasks rests: "
        f"install the version of trio that this package asks for, or revise {__name__}"
    )


def _keep_in_order(cls: Any, names: tuple[str, ...]) -> None:
    plain: Callable[..., None] = cls.__init__

    def init(self: object, *args: object, **kwargs: object) -> None:
        plain(self, *args, **kwargs)
        for name in names:
            setattr(self, name, _OrderedSet())

    cls.__init__ = init


def _order_deadlines(run: Any) -> None:
    count = itertools.count()

    def add(self: Any, deadline: float, cancel_scope: trio.CancelScope) -> None:
        heapq.heappush(self._heap, (deadline, next(count), cancel_scope))
        self._active += 1

    def expire(self: Any, now: float) -> bool:
        """Cancel the first scope that is due, where trio cancels all of them."""
        if len(self._heap) > self._active * 2 + run.DEADLINE_HEAP_MIN_PRUNE_THRESHOLD:
            self._prune()
        if self.next_deadline() > now:  # which also discards what has been given up
            return False
        _, _, cancel_scope = heapq.heappop(self._heap)
        cancel_scope._cancel(run.CancelReason(source="deadline"))
        return True

    run.Deadlines.add = add
    run.Deadlines.expire = expire


def _ignore_hypothesis(run: Any) -> None:
    plain: Callable[[], None] = run._hypothesis_plugin_setup

    def setup() -> None:  # called when Hypothesis is imported, which may be in the middle of a run
        plain()
        run._ALLOW_DETERMINISTIC_SCHEDULING = False

    run._hypothesis_plugin_setup = setup
