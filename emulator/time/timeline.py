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
- The wall clock decides when the next instant may run, never which one is next: every rate gives the same history.

The driver goes back to the hook after a burst of events, so that sockets and signals are looked at. It does so by
parking, not by a checkpoint: a task that I/O woke may have set a deadline earlier than the driver's next event, and
only the hook knows. An event that does no more than wake a task (a sleep) is not worth a pass of the driver: the hook
wakes the task.

Trio's loop and its tasks ask for the time through one method and must get different answers. Tasks get now. The loop
asks in order to expire deadlines, and gets the one whose turn it is, to the last bit, or minus infinity: one ulp less
than the deadline and the loop would spin for ever; more, and others would expire before their turn.

An exception in the hook or in `current_time` kills the run, one in an instrument takes the instrument off. So no
foreign code runs in them.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from heapq import heappop, heappush
from itertools import count, repeat
from typing import Final, TypeAlias, TypeVar, TypeVarTuple

import trio
from trio import lowlevel

from .agenda import END_NS, NEVER_NS, Agenda, Alarm, Sleeper
from .errors import raise_sole_error
from .garbage import CalmGarbage
from .lag import LagHistogram
from .ordering import order_trio
from .pace import Pace
from .place import Place
from .timer import Timer, open_timer

LAST_RANK: Final = 1 << 62  # for events that come after all others of their instant: displays, the end of the run
DEADLINE_RANK: Final = 1 << 63  # trio's deadlines come after all events of their instant
INPUT_RANK: Final = LAST_RANK - 1  # for inputs from outside, which come after all that the actors do at that instant

_BURST: Final = 128  # events that the driver runs at most before sockets and signals are looked at
_STOP: Final = -1  # a limit before all instants
_LATEST_S: Final = END_NS / 1e9
_DAY_NS: Final = 86_400 * 10**9  # trio looks at its clock once a day anyway

# An instant, and a rank at that instant: what comes before it is over.
Moment: TypeAlias = tuple[int, int]

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


class Timeline(trio.abc.Clock, trio.abc.Instrument):
    """Emulated time as trio's clock, for one run.

    `rate` is emulated seconds per wall second: `math.inf` as fast as possible, 1 real time, 0.1 ten times slower.
    Raises ValueError unless it is greater than 0. `spin_ns` is how long, before each paced instant, the processor waits
    in a loop, since it wakes up from sleep some 40 us late; 0 saves that and costs lag, never order.

    Attributes that anyone may read: `now_ns`, the emulated time in ns since the start; `lag`, how late by the wall
    clock each event and each deadline came (empty at an infinite rate).

        timeline = Timeline()
        timeline.at(5, print, "five nanoseconds")
        timeline.run(trio.sleep, 3600)

    In a test under pytest-trio, return a timeline from a plain (not async) fixture and use it as
    `async with timeline.running():`.
    """

    def __init__(self, rate: float = math.inf, *, spin_ns: int = 60_000) -> None:
        order_trio()
        self.now_ns = 0
        self.rank = 0  # of the event that runs, or ran last
        self.lag = LagHistogram()
        self._agenda = Agenda()
        self._heap = self._agenda.heap  # the same list, for short
        self._sequence = count()
        self._pace = Pace(rate)
        self._paced = self._pace.rate != math.inf
        self._spin_ns = spin_ns
        self._garbage = CalmGarbage()
        self._timer: Timer | None = None  # while running
        self._runs = 0
        self._begun = self._over = False  # has the driver been started, has it ended?
        self._driver, self._gate = Place(), Place()
        self._horizon_ns = END_NS
        self._milestone: Moment | None = None
        self._stopped_at = (-1, -1)  # horizon, and what was due beyond it, when the gate opened last
        self._holds = self._stills = 0
        self._most = _BURST  # how many events the driver runs before the hook is asked
        self._limit_ns = _STOP  # the driver runs nothing later; any change of plan sets it to _STOP: ask the hook again
        self._deadline_ns = NEVER_NS  # trio's first deadline, as of the last rest
        self._turn = -math.inf  # the deadline that trio is to expire in this pass of its loop
        self._woken = False  # has a task been made ready since the driver looked?
        self._loop_asks = False  # is the next to ask for the time trio's loop?

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
                return await main(*args)
            raise AssertionError("running() let an error pass")  # for the type checker: a context may swallow one

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
        timer = self._timer = open_timer()
        try:
            self._go_on_from(self._pace.emulated_ns(self.now_ns))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(timer.drain)
                nursery.start_soon(self._drive)
                yield
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise_sole_error(group)
        finally:
            self._over = True
            self._timer = None
            timer.close()
            self._garbage.restore()

    # -- events and sleeps -----------------------------------------------------------------------------------------

    def at(self, time_ns: int, fn: Callable[[*_Args], object], *args: *_Args, rank: int = 0) -> None:
        """Call fn(*args) at an emulated instant, in ns since the start.

        Events of one instant run by rank, then in the order of these calls. The handler must not block, nor move a
        trio deadline to an earlier time without waking a task; it may schedule events, wake tasks and start them. An
        error in it ends the run. Raises ValueError if the instant is in the past.
        """
        if time_ns < self.now_ns:
            raise ValueError(f"{fn} at {time_ns} ns comes too late: it is {self.now_ns} ns already")
        heappush(self._heap, (time_ns, rank, next(self._sequence), fn, args))

    def alarm(self, time_ns: int, fn: Callable[[*_Args], object], *args: *_Args, rank: int = 0) -> Alarm:
        """Do as `at` does, and return what can be cancelled; it costs a little more."""
        alarm = Alarm(self._agenda, fn, args)
        self.at(time_ns, alarm.ring, rank=rank)
        return alarm

    async def sleep_until(self, time_ns: int, rank: int = 0) -> None:
        """Sleep until an emulated instant: like trio.sleep_until, but exact, cheaper and in order with the events.

        Raises ValueError if the instant is in the past, RuntimeError if nobody would wake the task: see `running`.
        """
        if not self._begun:
            raise RuntimeError("nothing drives this timeline yet: use `run`, or `async with timeline.running():`")
        sleeper = Sleeper(self._agenda)
        self.at(time_ns, sleeper.wake, rank=rank)
        await sleeper.park()

    async def sleep(self, delay_ns: int, rank: int = 0) -> None:
        """Sleep for a span of emulated time in ns; see `sleep_until`."""
        await self.sleep_until(self.now_ns + delay_ns, rank)

    @property
    def events(self) -> int:
        """How many timeline events have run so far, the present one included."""
        return self._agenda.ran

    def next_event_ns(self) -> int | None:
        """Return the instant of the next timeline event (trio's deadlines are not events), or None if there is none.

        Together with tasks that all wait for events, None means that nothing will ever happen again by itself.
        """
        self._agenda.sweep()
        return self._heap[0][0] if self._heap else None

    def inject(self, fn: Callable[[*_Args], object], *args: *_Args) -> int:
        """Let something come in from outside, such as a command or a packet; return the instant at which fn will run.

        That is the emulated time by the wall clock, but at least the next nanosecond, and after all that the actors do
        at that instant. Whoever records the instant can replay it with `at` and INPUT_RANK, and gets the same history.
        To be called in a trio task; from a thread, through trio.from_thread.run_sync.
        """
        time_ns = self._pace.emulated_ns(self.now_ns + 1)
        self.at(time_ns, fn, *args, rank=INPUT_RANK)
        return time_ns

    # -- control of time -------------------------------------------------------------------------------------------

    @property
    def rate(self) -> float:
        """Emulated seconds per wall second. A new rate takes effect at once, and time goes on from now without lag.

        Raises ValueError unless it is greater than 0 (and at least 1e-9).
        """
        return self._pace.rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self.go_on(self._without_lag_ns(), rate)

    def go_on(self, from_ns: int, rate: float, *, wall_ns: int | None = None) -> None:
        """Let time go on from an instant at a rate, now or when the wall clock (CLOCK_MONOTONIC) shows so much.

        Several hosts do so at once, where it takes them longer or shorter to hear of it. Raises as `rate` does.
        """
        self._pace.restart(from_ns, rate, wall_ns=wall_ns)
        self._paced = self._pace.rate != math.inf
        self._limit_ns = _STOP
        if self._timer is not None:
            self._go_on_from(from_ns, wall_ns)

    @property
    def horizon_ns(self) -> int:
        """The last instant that may happen, END_NS unless somebody bounds it: other hosts must not be overtaken.

        When it is raised time goes on; lowered, it takes effect before the next event. Raises ValueError if it is set
        to an instant in the past.
        """
        return self._horizon_ns

    @horizon_ns.setter
    def horizon_ns(self, time_ns: int) -> None:
        if time_ns < self.now_ns:
            raise ValueError(f"the horizon cannot be {time_ns} ns: it is {self.now_ns} ns already")
        self._horizon_ns = min(time_ns, END_NS)  # NEVER_NS must stay beyond it
        self._limit_ns = _STOP  # whoever sets it is running, so the hook is asked before anything else happens

    @property
    def milestone(self) -> Moment | None:
        """The moment at which `wait_gate` is to return once, None if there is none: other hosts want to know of it.

        It is None again thereafter.
        """
        return self._milestone

    @milestone.setter
    def milestone(self, moment: Moment | None) -> None:
        self._milestone = moment
        self._limit_ns = _STOP

    def open_gate(self) -> None:
        """Let `wait_gate` return at the horizon though nothing is new there: somebody wants to know something."""
        self._stopped_at = (-1, -1)

    async def wait_gate(self) -> Moment:
        """Wait until all is done up to the horizon, or before the milestone; return when something happens next.

        That may be NEVER_NS. Nothing happens before the caller waits again for anything. At the horizon that returns
        once, until the horizon or what comes next is another. One task at a time may wait.
        """
        await self._gate.park()
        return self.next_moment()

    def next_moment(self) -> Moment:
        """Return when something happens next as things stand, if the world is at rest."""
        self._agenda.sweep()
        if self._heap and self._heap[0][0] <= self._deadline_ns:
            return self._heap[0][:2]
        return self._deadline_ns, DEADLINE_RANK

    @property
    def driver(self) -> lowlevel.Task | None:
        """The task that runs events, while it waits for one."""
        return self._driver.task

    @contextmanager
    def hold(self, *, still: bool = False) -> Iterator[None]:
        """Let emulated time stand still within the block, for work of the real world that takes no emulated time.

        No event runs, and no deadline expires that is later than now; tasks and I/O go on. Holds may overlap and nest.
        still: no deadline expires at all, since an event is not over that comes before the deadlines of its instant.
        In paced runs time is late afterwards and catches up, unless `forgive` is called.
        """
        self._holds += 1
        self._stills += still
        self._limit_ns = _STOP
        try:
            yield
        finally:
            self._holds -= 1
            self._stills -= still

    def pause(self) -> None:
        """Stop emulated time until `resume`, for a person. Does nothing if it is paused."""
        self._pace.pause(self.now_ns)
        self._limit_ns = _STOP

    def resume(self) -> None:
        """Let time go on from where it was paused; the pause is no lag. Does nothing if it is not paused."""
        self._pace.resume()

    def forgive(self) -> None:
        """Do not catch up: let the next instant be due now if it is late, such as after a long hold."""
        self._pace.restart(self._without_lag_ns())

    # -- what trio calls: no foreign code in here, nothing that can raise ------------------------------------------

    def start_clock(self) -> None:
        """Start at 0 (trio calls this at the start of a run)."""
        order_trio()
        self._runs += 1
        self._pace.restart(self.now_ns)
        lowlevel.add_instrument(self)

    def before_io_wait(self, timeout: float) -> None:
        """Note that the next to ask for the time is trio's loop, to expire deadlines."""
        self._loop_asks = True

    def task_scheduled(self, task: lowlevel.Task) -> None:
        """Note that a task is ready to run, so that the driver stops."""
        self._woken = True

    def current_time(self) -> float:
        """Return now in seconds to tasks, and to trio's loop the deadline that is to expire."""
        if self._loop_asks:
            self._loop_asks = False
            turn, self._turn = self._turn, -math.inf
            return turn
        return self.now_ns / 1e9

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Move time, or say how many seconds to wait for the outside: trio asks when the world is at rest."""
        deadline_ns = self._deadline_ns = self._instant_ns(deadline)
        if self._driver.task is None and (self._over or not self._holds):
            return self._serve_alone(deadline)
        if self._holds or self._pace.paused:  # a deadline that is set to now may still expire, or it would hang
            return self._expire(deadline) if deadline_ns <= self.now_ns and not self._stills else math.inf
        if self._agenda.abandoned:
            self._agenda.sweep()
        event_ns = self._heap[0][0] if self._heap else NEVER_NS
        due_ns = min(event_ns, deadline_ns)
        if due_ns > self._horizon_ns:
            return self._stop_at_gate(due_ns)
        if self._milestone is not None and self._is_reached(self._milestone, event_ns, deadline_ns):
            self._milestone = None
            if self._gate.wake():
                return 0.0
        if self._paced and due_ns > self.now_ns and (wait_s := self._wait_for_wall_clock(due_ns)):
            return wait_s
        return self._run_event() if event_ns <= deadline_ns else self._expire(deadline)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _stop_at_gate(self, due_ns: int) -> float:
        """Open the gate once for each horizon and what is due beyond it."""
        stop = self._horizon_ns, due_ns
        if stop != self._stopped_at and self._gate.wake():
            self._stopped_at = stop
            return 0.0
        return math.inf

    def _is_reached(self, milestone: Moment, event_ns: int, deadline_ns: int) -> bool:
        if event_ns <= deadline_ns:
            return self._heap[0][:2] >= milestone
        return (deadline_ns, DEADLINE_RANK) >= milestone

    def _expire(self, deadline: float) -> float:
        time_ns = self._deadline_ns
        if time_ns > self.now_ns:  # a deadline set in the past, as by move_on_after(0) after a long wait, is not late
            self.now_ns = time_ns
            if self._paced:
                self.lag.add(self._pace.lag_ns(time_ns))
        if not self._holds:  # or it expires in the middle of an event, which keeps its rank
            self.rank = DEADLINE_RANK
        self._turn = deadline
        return 0.0

    def _run_event(self) -> float:
        if self._agenda.sleeper_is_next():  # it needs no driver, which saves a pass of trio's loop, half of the cost
            return self._wake_sleeper()
        self._limit_ns = min(self._deadline_ns, self._horizon_ns)
        self._most = _BURST
        if self._milestone is not None and self._milestone[0] <= self._limit_ns:
            if self._milestone[0] > (time_ns := self._heap[0][0]):
                self._limit_ns = self._milestone[0] - 1
            else:  # at its instant: one by one
                self._limit_ns, self._most = time_ns, 1
        self._driver.wake()  # ready before what I/O is about to wake, so it runs first, and the limit still holds
        return 0.0

    def _wake_sleeper(self) -> float:
        self.now_ns, self.rank, _, wake, _ = heappop(self._heap)
        self._agenda.ran += 1
        if self._paced:
            self.lag.add(self._pace.lag_ns(self.now_ns))
        wake()
        return 0.0

    def _wait_for_wall_clock(self, time_ns: int) -> float:
        """Return how many seconds trio may sleep, 0 once the instant is due; spin through the last microseconds."""
        while (lag_ns := self._pace.lag_ns(time_ns)) < 0:
            if lag_ns < -self._spin_ns:
                assert self._timer is not None
                wake_ns = time.monotonic_ns() + min(-lag_ns, _DAY_NS) - self._spin_ns
                self._garbage.collect_within(-lag_ns)
                return self._timer.arm(wake_ns)
        return 0.0

    def _serve_alone(self, deadline: float) -> float:
        """Before the driver starts, and after it has ended: shielded clean-up that sleeps must come to its end."""
        event_ns = self._agenda.next_sleeper_ns() if self._over else NEVER_NS
        due_ns = min(event_ns, self._deadline_ns)
        if due_ns == NEVER_NS:
            return math.inf
        if self._paced and (lag_ns := self._pace.lag_ns(due_ns)) < 0:
            return -lag_ns / 1e9  # nobody hears the timer
        if event_ns > self._deadline_ns:
            return self._expire(deadline)
        return self._wake_sleeper()

    @lowlevel.enable_ki_protection  # Ctrl-C goes to main, never into the middle of a handler
    async def _drive(self) -> None:
        try:
            while True:
                await self._driver.park()
                self._woken = False
                if self._paced:
                    self._run_paced_burst()
                else:
                    self._run_burst()
        finally:
            self._over = True

    def _run_burst(self) -> None:
        """Run events until one wakes a task, which must come to rest before the next."""
        agenda, heap = self._agenda, self._heap
        for _ in repeat(None, self._most):
            if not heap or heap[0][0] > self._limit_ns:  # a handler may change the limit
                return
            self.now_ns, self.rank, _, fn, args = heappop(heap)
            agenda.ran += 1
            fn(*args)
            if self._woken:
                return

    def _run_paced_burst(self) -> None:
        """Do the same, as far as the wall clock has come."""
        agenda, heap = self._agenda, self._heap
        lag_ns, add_lag = self._pace.lag_ns, self.lag.add
        for _ in repeat(None, self._most):
            if not heap or (time_ns := heap[0][0]) > self._limit_ns or (late_ns := lag_ns(time_ns)) < 0:
                return
            self.now_ns, self.rank, _, fn, args = heappop(heap)
            agenda.ran += 1
            add_lag(late_ns)
            fn(*args)
            if self._woken:
                return

    def _instant_ns(self, deadline: float) -> int:
        """Round a deadline of trio, exact to 104 days; it may be infinite, or long past."""
        if deadline >= _LATEST_S:
            return NEVER_NS
        return self.now_ns if deadline * 1e9 <= self.now_ns else max(self.now_ns, round(deadline * 1e9))

    def _without_lag_ns(self) -> int:
        """Return the instant by the wall clock, but none later than the next that is still to happen."""
        next_ns = min(self._heap[0][0] if self._heap else NEVER_NS, self._deadline_ns)
        return max(self.now_ns, min(self._pace.emulated_ns(self.now_ns), next_ns))

    def _go_on_from(self, time_ns: int, wall_ns: int | None = None) -> None:
        if self._paced:
            self._garbage.calm()
        else:
            self._garbage.restore()
        self._pace.restart(time_ns, wall_ns=wall_ns)  # afterwards: to collect garbage took its time

    def _assert_fresh(self, runs: int) -> None:
        if self._runs > runs:
            raise RuntimeError("this timeline has had its run, and time does not go back: make a new Timeline")

    def _begin(self) -> None:
        if lowlevel.current_clock() is not self:
            raise RuntimeError("this timeline is not the clock of this trio run: use `run`, or pass it as `clock=`")
        self._assert_fresh(1)
        if self._begun:
            raise RuntimeError("this timeline is driven already, or has been: one `running` block for each timeline")
        if self._heap and self._heap[0][0] < self.now_ns:
            raise RuntimeError(
                f"it is {self.now_ns} ns, and an event was due at {self._heap[0][0]} ns: drive it earlier"
            )
        self._begun = True
