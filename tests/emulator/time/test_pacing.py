import contextlib
import gc
import hashlib
import itertools
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

import emulator.time.timeline
from emulator.time import END_NS, Place, Timeline
from emulator.time.garbage import CalmGarbage
from emulator.time.timer import LoopTimer, Timer, TimerFile, open_timer

US = 1_000
MS = 1_000_000


async def village(timeline: Timeline, span_ns: int, *, stall_s: float = 0.0) -> str:
    """Eight actors who ask each other and give up after a time, with ties on a 5 us grid; return a hash of it all."""
    rng, trace = random.Random(7), list[tuple[object, ...]]()
    delay_ns = [[rng.randrange(5, 101) * 5 * US for _ in range(8)] for _ in range(8)]

    def asked(b: int, a: int, k: int, reply: Place) -> None:
        trace.append((timeline.now_ns, "asked", b, a, k))
        timeline.at(timeline.now_ns + delay_ns[b][a], reply.wake, rank=a << 3 | b)

    async def actor(i: int) -> None:
        own = random.Random(f"7/{i}")
        for k in itertools.count():
            reply, b = Place(), own.randrange(8)
            timeline.at(timeline.now_ns + delay_ns[i][b], asked, b, i, k, reply, rank=b << 3 | i)
            with trio.move_on_after(600e-6) as patience:
                await reply.park()
            trace.append((timeline.now_ns, "gave up" if patience.cancelled_caught else "heard", i, k))
            await trio.sleep(own.randrange(20, 400) * 5e-6)

    timeline.at(span_ns // 2, time.sleep, stall_s)
    async with trio.open_nursery() as nursery:
        for i in range(8):
            nursery.start_soon(actor, i)
        await timeline.sleep_until(span_ns)
        nursery.cancel_scope.cancel()
    assert len(trace) > 8 * span_ns // MS // 4
    return hashlib.sha256(repr((trace, timeline.now_ns, timeline.events)).encode()).hexdigest()


def test_every_rate_gives_the_same_history() -> None:
    timelines = [Timeline(rate) for rate in (math.inf, 1, 0.5)]
    digests = {timeline.run(village, timeline, 50 * MS) for timeline in timelines}
    assert len(digests) == 1
    assert timelines[0].lag.count == 0
    assert timelines[1].lag.count >= timelines[1].events  # and as many deadlines as expired


def test_pacing_takes_its_time() -> None:
    timeline = Timeline(0.5)
    start_s = time.monotonic()
    timeline.run(timeline.sleep, 10 * MS)
    assert time.monotonic() - start_s >= 0.02


def test_a_stall_of_the_host_changes_no_time_stamp() -> None:
    undisturbed, stalled = Timeline(), Timeline(1)
    assert undisturbed.run(village, undisturbed, 30 * MS) == stalled.run(
        partial(village, stall_s=0.1), stalled, 30 * MS
    )
    assert stalled.lag.max_ns >= 80 * MS  # it is late, and says so


def test_without_a_timer_file_it_is_later_but_no_different(monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = Timeline()
    digest = undisturbed.run(village, undisturbed, 20 * MS)
    monkeypatch.setattr(emulator.time.timeline, "open_timer", LoopTimer)
    paced = Timeline(1)
    assert paced.run(village, paced, 20 * MS) == digest


def test_a_new_rate_goes_on_from_now() -> None:
    timeline = Timeline(1e-6)
    trace: list[int] = []

    async def main() -> None:
        for time_ns in (0, MS, 2 * MS, 3 * MS):
            timeline.at(time_ns, trace.append, time_ns)
        timeline.at(0, setattr, timeline, "rate", math.inf)  # or the next event would take a thousand seconds
        await timeline.sleep(2 * MS)
        timeline.rate = 0.1
        start_s = time.monotonic()
        await timeline.sleep(MS)
        assert time.monotonic() - start_s >= 0.01
        assert timeline.rate == 0.1

    timeline.run(main)
    assert trace == [0, MS, 2 * MS, 3 * MS]


def test_a_pause_takes_no_emulated_time() -> None:
    timeline = Timeline(1)

    async def main() -> None:
        timeline.pause()
        timeline.at(MS, list)
        await trio.to_thread.run_sync(time.sleep, 0.01)
        assert timeline.now_ns == 0
        timeline.resume()
        await timeline.sleep(5 * MS)

    timeline.run(main)
    assert timeline.now_ns == 5 * MS


class WallClock:
    """A wall clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.ns = 10**12

    def monotonic_ns(self) -> int:
        return self.ns


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    clock = WallClock()
    monkeypatch.setattr("emulator.time.pace.time", clock)
    return clock


@pytest.mark.parametrize("rate", [1.0, 0.25])
def test_a_pause_is_no_lag_but_the_lag_before_it_stays(wall_clock: WallClock, rate: float) -> None:
    timeline = Timeline(rate)
    wall_clock.ns += round(3 * MS / rate)
    timeline.pause()
    wall_clock.ns += 10**12
    timeline.resume()
    assert timeline._pace.lag_ns(MS) == round(2 * MS / rate)
    assert timeline._pace.lag_ns(5 * MS) == -round(2 * MS / rate)


def test_time_that_is_late_catches_up_unless_it_is_forgiven(wall_clock: WallClock) -> None:
    timeline = Timeline(1)
    timeline.at(7 * MS, list)
    wall_clock.ns += 5 * MS
    timeline.forgive()
    assert timeline._pace.lag_ns(7 * MS) == -2 * MS  # nothing was late
    wall_clock.ns += 5 * MS
    assert timeline._pace.lag_ns(7 * MS) == 3 * MS
    timeline.forgive()
    assert timeline._pace.lag_ns(7 * MS) == 0


def test_a_new_rate_forgives_lag_and_keeps_what_has_passed(wall_clock: WallClock) -> None:
    timeline = Timeline(1)
    timeline.at(7 * MS, list)
    wall_clock.ns += 3 * MS
    timeline.rate = 0.5
    assert timeline._pace.lag_ns(3 * MS) == 0
    assert timeline._pace.lag_ns(7 * MS) == -8 * MS
    wall_clock.ns += 10**12
    timeline.rate = 2
    assert timeline._pace.lag_ns(7 * MS) == 0
    timeline.pause()
    timeline.rate = 4
    wall_clock.ns += 10**12
    timeline.resume()
    assert timeline._pace.lag_ns(11 * MS) == -MS


def test_the_garbage_collected_at_a_new_rate_is_no_lag(wall_clock: WallClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def calm(_: CalmGarbage) -> None:
        wall_clock.ns += 10**9

    async def main() -> None:
        timeline.rate = 1
        assert timeline._pace.lag_ns(0) == 0
        timeline.rate = math.inf

    monkeypatch.setattr(CalmGarbage, "calm", calm)
    timeline = Timeline()
    timeline.run(main)


def test_an_input_is_stamped_by_the_wall_clock_but_later_than_now(wall_clock: WallClock) -> None:
    timeline = Timeline(2)
    assert timeline.inject(list) == 1
    wall_clock.ns += 5 * MS
    assert timeline.inject(list) == 10 * MS
    timeline.pause()
    wall_clock.ns += 5 * MS
    assert timeline.inject(list) == 10 * MS
    timeline.resume()
    assert timeline.inject(list) == 10 * MS
    timeline.rate = 1e300
    wall_clock.ns += 10**12
    assert timeline.inject(list) == END_NS
    timeline.rate = 2
    timeline.now_ns = 30 * MS  # it runs ahead of the wall clock only at an infinite rate, but let it
    assert timeline.inject(list) == 30 * MS + 1


def test_an_input_while_idle_is_stamped_with_the_time_by_the_wall_clock() -> None:
    timeline = Timeline(2)
    trace: list[int] = []

    async def main() -> int:
        timeline.at(10**12, list)  # far away
        await trio.to_thread.run_sync(time.sleep, 0.02)
        assert timeline.now_ns == 0  # nothing has happened, so it is still the last instant at which something did
        came = Place()
        stamp_ns = timeline.inject(came.wake)
        await came.park()
        trace.append(timeline.now_ns)
        await trio.sleep(1e-3)
        trace.append(timeline.now_ns)
        return stamp_ns

    stamp_ns = timeline.run(main)
    assert stamp_ns >= 40 * MS
    assert trace == [stamp_ns, stamp_ns + MS]


class Watched(Timeline):
    """Counts how often trio asks how long it may sleep."""

    asked = 0

    def deadline_to_sleep_time(self, deadline: float) -> float:
        self.asked += 1
        return super().deadline_to_sleep_time(deadline)


@pytest.mark.parametrize("state", ["idle", "held", "paused"])
def test_whoever_waits_for_the_wall_clock_does_not_spin(state: str) -> None:
    timeline = Watched(1)

    async def main() -> None:
        await timeline.sleep(MS)  # the alarm has rung once; unread it would ring for ever
        timeline.at(2 * MS, list)
        if state == "held":
            with timeline.hold():
                await trio.to_thread.run_sync(time.sleep, 0.05)
        elif state == "paused":
            timeline.pause()
            await trio.to_thread.run_sync(time.sleep, 0.05)
            timeline.resume()
        else:
            await timeline.sleep(50 * MS)

    timeline.run(main)
    assert timeline.asked < 40


def test_a_slow_rate_is_not_beyond_what_the_clocks_can_hold() -> None:
    timeline = Timeline(1e-9)

    async def main() -> None:
        timeline.at(2**62 - 1, list)
        await trio.to_thread.run_sync(time.sleep, 0.001)
        timeline.rate = 1e300
        await timeline.sleep(10**12)
        assert timeline.inject(list) > timeline.now_ns

    timeline.run(main)


def test_no_file_is_left_open() -> None:
    def files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def main() -> None:
        await trio.sleep(1e-6)

    def runs() -> None:
        for k in range(100):
            timeline = Timeline(math.inf if k % 10 else 1000)
            timeline.at(0, list if k % 3 else int, "no number")
            with contextlib.suppress(ValueError):
                timeline.run(main)

    Timeline().run(main)
    before = files()
    runs()
    assert files() == before


# -- the timer ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [open_timer, LoopTimer])
async def test_a_timer_ends_the_sleep_of_the_loop(make: Callable[[], Timer]) -> None:
    timer = make()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timer.drain)
        await trio.lowlevel.checkpoint()
        start_ns = time.monotonic_ns()
        assert timer.arm(start_ns + 5 * MS) > 0.001
        assert timer.arm(start_ns - 1) >= 0  # long past
        nursery.cancel_scope.cancel()
    timer.close()
    timer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="there is no timerfd")
async def test_the_timer_file_is_read() -> None:
    timer = TimerFile()
    assert timer.arm(time.monotonic_ns() + MS) == math.inf
    with trio.fail_after(10):
        await trio.lowlevel.wait_readable(timer._fd)
    timer.arm(0)  # the kernel takes 0 for "never"
    with trio.fail_after(10):
        await trio.lowlevel.wait_readable(timer._fd)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timer.drain)
        await trio.testing.wait_all_tasks_blocked(0.01)
        with pytest.raises(BlockingIOError):
            os.read(timer._fd, 8)
        nursery.cancel_scope.cancel()
    timer.close()


# -- garbage -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def collector() -> Iterator[None]:
    before, enabled, frozen = gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()
    assert frozen == 0
    yield
    gc.set_threshold(*before)
    if enabled:
        gc.enable()
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_a_paced_run_keeps_the_collector_away_and_restores_it() -> None:
    before = gc.get_threshold()
    seen = []

    def look() -> None:
        seen.append((gc.get_threshold(), gc.get_freeze_count() > 0))

    async def main() -> None:
        look()
        timeline.rate = math.inf
        look()
        timeline.rate = 1000
        look()

    timeline = Timeline(1000)
    timeline.run(main)
    look()
    calm, plain = ((50_000, 20, 100), True), (before, False)
    assert seen == [calm, plain, calm, plain]


@pytest.mark.usefixtures("collector")
def test_who_has_taken_charge_of_the_collector_keeps_it() -> None:
    timeline = Timeline(1000)
    gc.disable()
    before = gc.get_threshold()

    async def main() -> None:
        assert gc.get_threshold() == before
        assert gc.get_freeze_count() == 0

    timeline.run(main)
    assert not gc.isenabled()
    gc.enable()
    gc.freeze()
    garbage = CalmGarbage()
    garbage.calm()
    garbage.restore()
    assert gc.get_freeze_count() > 0


@pytest.mark.usefixtures("collector")
def test_garbage_is_collected_in_idle_stretches() -> None:
    timeline = Timeline(0.1)
    gone: list[str] = []

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            gone.append("gone")

    async def main() -> None:
        keep = [[] for _ in range(1000)]  # so that it is worth its while
        Cycle()
        await timeline.sleep(MS // 10)
        assert gone == []  # too short a stretch
        await timeline.sleep(20 * MS)
        assert gone == ["gone"]
        assert len(keep) == 1000

    timeline.run(main)
