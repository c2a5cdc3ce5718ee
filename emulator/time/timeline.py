"""Emulated time: integer nanoseconds, moved only when the world is at rest.

Theory of operation
-------------------
Trio asks its clock how long it may sleep exactly when no task can run (`deadline_to_sleep_time`, "the hook"). That
question is the test for rest, and the only place where emulated time moves from one instant to the next:

- The next instant is that of the first timeline event or of trio's first deadline, whichever is earlier.
- If it is an event, the hook wakes the driver, a task that calls the handlers of events one by one. The driver stops as
  soon as a handler has woken a task, so that the task and all it wakes come to rest before the next event.
- If it is a deadline, the hook lets trio expire that one deadline, and all it wakes comes to rest as well.
- At one instant events come before deadlines, so a message that arrives exactly at its time-out is received.
- The wall clock decides when the next instant may run, never which one is next. Hence every rate gives the same history.

The driver goes back to the hook after a burst of events, so that sockets and signals are looked at. It does so by
parking, not by a checkpoint: a task that I/O woke may have set a deadline earlier than the driver's next event, and only
the hook knows.

Trio's loop and its tasks ask for the time through one method and must get different answers. Tasks get now. The loop
asks in order to expire deadlines, and gets the one whose turn it is, to the last bit, or minus infinity: one ulp less
than the deadline and the loop would spin for ever; more, and others would expire before their turn.

An exception in the hook or in `current_time` kills the run, one in an instrument takes the instrument off. So no
foreign code runs in them.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count, repeat
from typing import Any, Final, NoReturn, TypeVar, TypeVarTuple

import trio
from trio import lowlevel

from .garbage import CalmGarbage
from .lag import LagHistogram
from .ordering import order_trio
from .pace import Pace
from .place import Place
from .timer import Timer, open_timer

NEVER_NS: Final = 1 << 62  # later than anything: 146 years
END_NS: Final = NEVER_NS - 1  # the last instant there is
LAST_RANK: Final = 1 << 62  # for events that come after all others of their instant: inputs from outside, displays

_BURST: Final = 128  # events that the driver runs at most before sockets and signals are looked at
_STOP: Final = -1  # a limit before all instants
_LATEST_S: Final = END_NS / 1e9
_DAY_NS: Final = 86_400 * 10**9  # trio looks at its clock once a day anyway

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")
_Event = tuple[int, int, int, Callable[..., object], tuple[Any, ...]]  # time_ns, rank, sequence, handler, arguments


class Timeline(trio.abc.Clock, trio.abc.Instrument):
    """Emulated time as trio's clock, for one run.

    `rate` is emulated seconds per wall second: `math.inf` as fast as possible, 1 real time, 0.1 ten times slower. Raises
    ValueError unless it is greater than 0. `spin_ns` is how long, before each paced instant, the processor waits in a
    loop, since it wakes up from sleep some 40 us late; 0 saves that and costs lag, never order.

    Attributes that anyone may read: `now_ns`, the emulated time in ns since the start; `events`, how many timeline
    events have run; `lag`, how late by the wall clock each event and each deadline came (empty at an infinite rate).

        timeline = Timeline()
        timeline.at(5, print, "five nanoseconds")
        timeline.run(trio.sleep, 3600)

    In a test under pytest-trio, return a timeline from a plain (not async) fixture and use it as
    `async with timeline.running():`.
    """

    def __init__(self, rate: float = math.inf, *, spin_ns: int = 60_000) -> None:
        order_trio()
        self.now_ns = 0
        self.events = 0
        self.lag = LagHistogram()
        self._heap: list[_Event] = []
        self._sequence = count()
        self._abandoned = 0  # entries of the heap whose sleeper was cancelled
        self._pace = Pace(rate)
        self._paced = self._pace.rate != math.inf
        self._spin_ns = spin_ns
        self._garbage = CalmGarbage()
        self._timer: Timer | None = None  # while running
        self._over = False  # has the driver ended?
        self._runs = 0
        self._driver, self._gate = Place(), Place()
        self._horizon_ns = END_NS
        self._holds, self._hold = 0, _Hold(self)
        self._paused_ns: int | None = None  # the emulated time at which a person stopped it
        self._limit_ns = _STOP  # the driver runs nothing later; any change of plan sets it to _STOP: ask the hook again
        self._deadline_ns = NEVER_NS  # trio's first deadline, as of the last rest
        self._turn = -math.inf  # the deadline that trio is to expire in this pass of its loop
        # Trio calls an instrument once or more per wake-up, so both hooks are built-in functions rather than methods:
        # has a task been made ready since this was cleared? and, is it trio's loop that asks for the time next?
        self._woken: deque[object] = deque(maxlen=1)
        self._loop_asks: deque[object] = deque(maxlen=1)
        self.task_scheduled = self._woken.append
        self.before_io_wait = self._loop_asks.append

    def __repr__(self) -> str:
        return f"<Timeline at {self.now_ns} ns, rate {self.rate}, {len(self._heap)} events to come>"

    # -- running ---------------------------------------------------------------------------------------------------

    def run(self, main: Callable[[*_Args], Awaitable[_T]], *args: *_Args) -> _T:
        """Run an async function on this timeline, as trio.run does, and return its result.

        Ctrl-C raises KeyboardInterrupt in `main`, at its next checkpoint, and nowhere else. An error in a handler
        cancels `main` and is raised. A group that holds one error only is unwrapped: the caller sees the error itself.
        Raises RuntimeError if this timeline has had a run, or if trio has changed where its order rests on it.
        """

        async def supervised() -> _T:
            async with self.running():
                result = await main(*args)
            return result

        self._assert_fresh(0)
        order_trio()
        return trio.run(supervised, clock=self, restrict_keyboard_interrupt_to_checkpoints=True)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run timeline events within the block, whose trio run must have this timeline as its clock; `run` does both.

        Before the block trio's deadlines alone are served, and after it those and sleeps, so that clean-up may wait.
        Errors as in `run`.
        """
        self._begin()
        try:
            with self._garbage if self._paced else _nothing_to_calm(self._garbage):
                yield
        finally:
            pass
