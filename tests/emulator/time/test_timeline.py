import math
import random
import signal
import time
from typing import Any

import pytest
import trio

from emulator.time import END_NS, INPUT_RANK, LAST_RANK, NEVER_NS, Place, Timeline

HOUR_S = 3600
US = 1_000
MS = 1_000_000


# -- rest --------------------------------------------------------------------------------------------------------------


class Watched(Timeline):
    """Counts how often trio asks how long it may sleep."""

    asked = 0

    def deadline_to_sleep_time(self, deadline: float) -> float:
        self.asked += 1
        return super().deadline_to_sleep_time(deadline)


def test_trio_asks_how_long_it_may_sleep_only_when_no_task_can_run() -> None:
    timeline = Watched()

    async def busy() -> None:
        for _ in range(100):
            await trio.lowlevel.checkpoint()

    async def main() -> int:
        await trio.sleep(1)
        before = timeline.asked
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(busy)
        return timeline.asked - before

    assert timeline.run(main) == 0


def test_an_hour_takes_no_time() -> None:
    timeline = Timeline()
    start_s = time.monotonic()
    timeline.run(trio.sleep, HOUR_S)
    assert timeline.now_ns == HOUR_S * 10**9
    assert time.monotonic() - start_s < 60


def test_the_time_that_tasks_see_is_the_instant() -> None:
    timeline = Timeline()
    seen: list[float] = []

    async def main() -> None:
        start_s = trio.current_time()
        for _ in range(50):
            with trio.move_on_after(0.1):  # 0.1 is no sum of powers of two: the deadlines lie an ulp off the instants
                await trio.sleep(0.3)
            seen.append(trio.current_time() - timeline.now_ns / 1e9)
        assert start_s == 0

    timeline.run(main)
    assert set(seen) == {0.0}
    assert timeline.now_ns == 5_000_000_000


# -- order at one instant ----------------------------------------------------------------------------------------------


def test_events_run_by_time_then_rank_then_order_of_scheduling() -> None:
    timeline = Timeline()
    trace: list[str] = []
    for time_ns, rank, name in [(2, 0, "f"), (1, 5, "c"), (1, 2, "a"), (1, 5, "d"), (1, LAST_RANK, "e"), (1, 2, "b")]:
        timeline.at(time_ns, trace.append, name, rank=rank)
    timeline.run(timeline.sleep_until, 3)
    assert trace == list("abcdef")
    assert timeline.events == 7
    assert timeline.next_event_ns() is None


@pytest.mark.parametrize("seed", range(5))
def test_at_one_instant_events_come_before_deadlines_and_each_is_followed_by_rest(seed: int) -> None:
    rng = random.Random(seed)
    timeline = Timeline()
    trace: list[tuple[int, int, int, int]] = []  # instant, kind, number, step

    async def settle(kind: int, number: int) -> None:
        for step in range(rng.randrange(1, 4)):
            trace.append((timeline.now_ns, kind, number, step))
            await trio.lowlevel.checkpoint()

    async def sleeper(number: int, time_ns: int) -> None:
        await trio.sleep_until(time_ns / 1e9)
        await settle(1, number)

    async def main() -> None:
        instants = [rng.randrange(1, 10**12) for _ in range(60)]
        async with trio.open_nursery() as nursery:
            for number in range(300):
                time_ns = rng.choice(instants)
                if rng.random() < 0.5:
                    timeline.at(time_ns, nursery.start_soon, settle, 0, number)
                else:
                    nursery.start_soon(sleeper, number, time_ns)

    timeline.run(main)
    assert trace == sorted(trace), f"seed {seed}"


def test_a_message_that_arrives_exactly_at_its_time_out_is_received() -> None:
    timeline = Timeline()
    rng = random.Random(1)

    async def main() -> list[bool]:
        late = []
        for _ in range(300):
            delay_s = rng.randrange(1, 10**9) / 1e9
            reply = Place()
            timeline.at(timeline.now_ns + round(delay_s * 1e9), reply.wake)
            timeline.at(timeline.now_ns + round(delay_s * 1e9), list)
            with trio.move_on_after(delay_s) as patience:
                await reply.park()
            late.append(patience.cancelled_caught)
        return late

    assert not any(timeline.run(main))


def test_a_new_event_of_this_instant_comes_before_the_next_deadline_of_it() -> None:
    timeline = Timeline()
    trace: list[str] = []

    async def sleeper(name: str) -> None:
        await trio.sleep(1)
        trace.append(name)
        timeline.at(timeline.now_ns, trace.append, f"event of {name}")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleeper, "a")
            nursery.start_soon(sleeper, "b")
        await timeline.sleep(0)

    timeline.run(main)
    assert trace == ["a", "event of a", "b", "event of b"]


def test_a_deadline_set_to_now_expires_after_the_events_of_now() -> None:
    timeline = Timeline()
    trace: list[str] = []

    async def main() -> None:
        await trio.sleep(1)
        timeline.at(timeline.now_ns, trace.append, "event")
        with trio.CancelScope() as scope:
            scope.deadline = trio.current_time()
            await trio.sleep_forever()
        trace.append("deadline")

    timeline.run(main)
    assert trace == ["event", "deadline"]


def test_a_short_sleep_amid_a_stream_of_events_takes_as_long_as_it_says() -> None:
    timeline = Timeline()

    def stream() -> None:
        timeline.at(timeline.now_ns + US, stream)

    async def main() -> set[int]:
        timeline.at(0, stream)
        took = set()
        for _ in range(30):
            await trio.to_thread.run_sync(int)  # wakes by I/O, in the middle of the stream
            start_ns = timeline.now_ns
            await trio.sleep(10e-6)
            took.add(timeline.now_ns - start_ns)
        return took

    assert timeline.run(main) <= {9_999, 10_000, 10_001}  # it is a float


@pytest.mark.parametrize("deadline", [-math.inf, -1.0, -1e300, 0.0, 1e-300])
def test_a_deadline_long_past_expires_now(deadline: float) -> None:
    timeline = Timeline()

    async def main() -> None:
        await trio.sleep(1)
        with trio.CancelScope() as scope:
            scope.deadline = deadline  # on entry, trio itself would see that it is past
            await trio.sleep_forever()
        assert scope.cancelled_caught

    timeline.run(main)
    assert timeline.now_ns == 10**9


@pytest.mark.parametrize("deadline", [math.inf, 1e300, 1e10])
def test_a_deadline_beyond_all_time_never_expires(deadline: float) -> None:
    timeline = Timeline()
    timeline.at(END_NS, timeline.horizon_ns.bit_length)  # something else to do, as late as can be

    async def main() -> None:
        with trio.move_on_at(deadline):
            await timeline.sleep_until(END_NS)

    timeline.run(main)
    assert timeline.now_ns == END_NS


# -- sleeping ----------------------------------------------------------------------------------------------------------


def test_the_past_cannot_be_scheduled() -> None:
    timeline = Timeline()

    async def main() -> None:
        await timeline.sleep(10)
        with pytest.raises(ValueError, match="at 9 ns comes too late: it is 10 ns already"):
            timeline.at(9, list)
        with pytest.raises(ValueError, match="too late"):
            await timeline.sleep(-1)

    timeline.run(main)


def test_a_cancelled_sleep_leaves_nothing_to_come() -> None:
    timeline = Timeline()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for k in range(200):
                nursery.start_soon(timeline.sleep, HOUR_S * 10**9 + k)
            timeline.at(10**9, nursery.cancel_scope.cancel)
            await trio.sleep(1e-3)
            nursery.cancel_scope.cancel()
        assert timeline.next_event_ns() == 10**9
        await trio.sleep(2)
        assert timeline.next_event_ns() is None

    timeline.run(main)
    assert timeline.now_ns == 2_001_000_000
    assert timeline.events == 1


def test_a_cancelled_sleep_is_not_counted_if_its_event_runs_in_a_burst() -> None:
    timeline = Timeline()

    async def main() -> None:
        timeline.at(10, list)
        with trio.move_on_after(0):
            await timeline.sleep(15)
        timeline.at(20, list)
        await timeline.sleep(25)
        assert timeline.next_event_ns() is None

    timeline.run(main)
    assert timeline.events == 3
    assert timeline._agenda.abandoned == 0


def test_time_does_not_go_on_for_a_cancelled_sleep() -> None:
    timeline = Timeline()

    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await timeline.sleep(10)
        await trio.to_thread.run_sync(time.sleep, 0.002)
        assert timeline.now_ns == 0
        with trio.CancelScope() as scope:
            scope.cancel()
            await timeline.sleep(10)
        assert timeline.next_event_ns() is None

    timeline.run(main)


def test_many_cancelled_sleeps_amid_events_leave_the_events_in_order() -> None:
    timeline = Timeline()
    rng = random.Random(5)
    trace: list[int] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(500):
                nursery.start_soon(timeline.sleep, rng.randrange(1000, 2000))
                time_ns = rng.randrange(1000, 2000)
                if rng.random() < 0.5:
                    timeline.at(time_ns, trace.append, time_ns)
            await timeline.sleep(500)
            nursery.cancel_scope.cancel()
        await timeline.sleep(0)
        assert len(timeline._heap) < 300
        await timeline.sleep(2000)

    timeline.run(main)
    assert len(trace) > 200
    assert trace == sorted(trace)


def test_a_place_holds_one_task_and_forgets_a_cancelled_one() -> None:
    timeline, place = Timeline(), Place()

    async def main() -> None:
        assert not place.wake()
        with trio.move_on_after(1):
            await place.park()
        assert not place.wake()  # a second reschedule would end the run
        async with trio.open_nursery() as nursery:
            nursery.start_soon(place.park)
            await trio.sleep(1)
            with pytest.raises(RuntimeError, match="parked here already"):
                await place.park()
            assert place.wake()
            assert not place.wake()

    timeline.run(main)


# -- hold, pause, horizon ----------------------------------------------------------------------------------------------


def test_a_hold_taken_in_a_handler_stops_the_next_event() -> None:
    timeline = Timeline()
    trace: list[int] = []
    hold = timeline.hold()

    async def main() -> None:
        timeline.at(10, hold.__enter__)
        timeline.at(10, trace.append, 10)
        timeline.at(11, trace.append, 11)
        for _ in range(5):
            await trio.to_thread.run_sync(time.sleep, 0.001)
        assert timeline.now_ns == 10
        assert trace == []
        hold.__exit__(None, None, None)
        await timeline.sleep(5)
        assert trace == [10, 11]

    timeline.run(main)


def test_holds_nest_and_no_deadline_later_than_now_expires_in_one() -> None:
    timeline = Timeline()
    expired = trio.Event()

    async def wait() -> None:
        await trio.sleep(1e-9)
        expired.set()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            with timeline.hold():
                nursery.start_soon(wait)
                with timeline.hold():
                    pass
                await trio.to_thread.run_sync(time.sleep, 0.005)
                assert not expired.is_set()
                with trio.move_on_after(0):
                    await trio.sleep_forever()
                with trio.CancelScope() as scope:
                    scope.deadline = trio.current_time()  # this one must expire, or it would hang
                    await trio.sleep_forever()
                assert timeline.now_ns == 0
            await expired.wait()

    timeline.run(main)
    assert timeline.now_ns == 1


def test_while_paused_nothing_happens_and_inputs_come_just_after_now() -> None:
    timeline = Timeline()
    trace: list[int] = []

    async def main() -> None:
        timeline.at(10, trace.append, 10)
        timeline.pause()
        timeline.pause()
        await trio.to_thread.run_sync(time.sleep, 0.005)
        with trio.CancelScope() as scope:
            scope.deadline = 0
            await trio.sleep_forever()
        assert timeline.now_ns == 0
        assert timeline.inject(trace.append, 1) == 1
        timeline.resume()
        timeline.resume()
        await timeline.sleep(20)
        assert trace == [1, 10]

    timeline.run(main)


def test_nothing_happens_beyond_the_horizon() -> None:
    timeline = Timeline()
    trace: list[int] = []

    async def raise_horizon() -> None:
        for horizon_ns, then_ns in [(15, 20), (24, 25), (40, 10**9), (10**9, NEVER_NS)]:
            timeline.horizon_ns = horizon_ns
            assert (await timeline.wait_gate())[0] == then_ns
            assert timeline.now_ns <= horizon_ns
        timeline.horizon_ns = NEVER_NS + 5  # as one host would say to another: nothing will ever come from me
        assert timeline.horizon_ns == END_NS
        assert (await timeline.wait_gate())[0] == NEVER_NS
        with pytest.raises(ValueError, match="the horizon cannot be 7 ns: it is 1000000000 ns already"):
            timeline.horizon_ns = 7

    async def wait_a_second() -> None:
        await trio.sleep(1)
        trace.append(timeline.now_ns)

    async def main() -> None:
        for time_ns in (10, 15, 20, 25):
            timeline.at(time_ns, trace.append, time_ns)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raise_horizon)
            nursery.start_soon(wait_a_second)

    timeline.run(main)
    assert trace == [10, 15, 20, 25, 10**9]


def test_a_horizon_lowered_in_a_handler_stops_the_next_event() -> None:
    timeline = Timeline()
    trace: list[int] = []

    async def main() -> None:
        timeline.at(10, setattr, timeline, "horizon_ns", 12)
        timeline.at(12, trace.append, 12)
        timeline.at(13, trace.append, 13)
        assert (await timeline.wait_gate())[0] == 13

    timeline.run(main)
    assert trace == [12]


# -- errors and ends ---------------------------------------------------------------------------------------------------


class BoomError(Exception):
    pass


def boom() -> None:
    raise BoomError


def test_an_error_in_a_handler_ends_the_run_with_that_error() -> None:
    timeline = Timeline()
    trace: list[str] = []

    async def main() -> None:
        timeline.at(5, boom)
        timeline.at(6, trace.append, "a later event")
        try:
            await trio.sleep(1)
        finally:
            trace.append(f"main ends at {timeline.now_ns}")

    with pytest.raises(BoomError) as caught:
        timeline.run(main)
    assert trace == ["main ends at 5"]
    assert caught.value.__context__ is None


def test_an_error_in_main_comes_out_with_its_own_cause() -> None:
    cause = KeyError("why")

    async def crash() -> None:
        raise BoomError from cause

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash)

    with pytest.raises(BoomError) as caught:
        Timeline().run(main)
    assert caught.value.__cause__ is cause


def test_several_errors_come_out_as_a_group() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(trio.to_thread.run_sync, boom)

    with pytest.raises(BaseExceptionGroup) as caught:
        Timeline().run(main)
    assert caught.group_contains(BoomError)


@pytest.mark.parametrize("rate", [math.inf, 1.0])
@pytest.mark.parametrize("sleep", ["trio", "timeline"])
@pytest.mark.parametrize("obstacle", ["none", "paused", "held", "horizon"])
def test_shielded_clean_up_may_sleep_after_the_driver_has_ended(rate: float, sleep: str, obstacle: str) -> None:
    timeline = Timeline(rate)
    trace: list[int] = []
    hold = timeline.hold()

    async def main() -> None:
        timeline.at(5 * MS, boom)
        timeline.at(6 * MS, trace.append, -1)  # a handler of a world that has ended
        try:
            await trio.sleep(1)
        finally:
            if obstacle == "paused":
                timeline.pause()
            elif obstacle == "held":
                hold.__enter__()
            elif obstacle == "horizon":
                timeline.horizon_ns = 5 * MS
            with trio.CancelScope(shield=True):
                if sleep == "trio":
                    await trio.sleep(2e-3)
                else:
                    await timeline.sleep(2 * MS)
            trace.append(timeline.now_ns)

    with pytest.raises(BoomError):
        timeline.run(main)
    assert trace == [7 * MS]


def test_a_clean_up_already_asleep_when_the_driver_ends_wakes_up() -> None:
    timeline = Timeline()
    trace: list[int] = []

    async def main() -> None:
        timeline.at(5, boom)
        with trio.CancelScope(shield=True):
            await timeline.sleep(10)
        trace.append(timeline.now_ns)

    with pytest.raises(BoomError):
        timeline.run(main)
    assert trace == [10]


def test_ctrl_c_in_a_handler_goes_to_main_and_the_handler_finishes() -> None:
    timeline = Timeline()
    trace: list[str] = []

    def handler() -> None:
        signal.raise_signal(signal.SIGINT)
        trace.append("handler finishes")
        stream()

    def stream() -> None:  # something to do until the signal has been looked at
        timeline.at(timeline.now_ns + 1, stream)

    async def bystander() -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            trace.append("bystander cancelled")
            raise

    async def main() -> str:
        timeline.at(5, handler)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bystander)
            try:
                await trio.sleep(HOUR_S)
            except KeyboardInterrupt:
                trace.append("main interrupted")
            assert timeline.now_ns < MS
            nursery.cancel_scope.cancel()
        return "summary"

    assert timeline.run(main) == "summary"
    assert trace == ["handler finishes", "main interrupted", "bystander cancelled"]


def test_ctrl_c_in_a_handler_goes_to_main_in_a_run_of_someone_else_too() -> None:
    timeline = Timeline()
    trace: list[str] = []

    def handler() -> None:
        signal.raise_signal(signal.SIGINT)
        trace.append("handler finishes")

    async def main() -> None:
        async with timeline.running():
            timeline.at(5, handler)
            try:
                await trio.sleep_forever()
            except KeyboardInterrupt:
                trace.append("main interrupted")

    trio.run(main, clock=timeline)
    assert trace == ["handler finishes", "main interrupted"]


def test_ctrl_c_in_a_task_goes_to_main_and_the_task_gets_on_to_its_next_checkpoint() -> None:
    timeline = Timeline()
    trace: list[str] = []

    async def worker() -> None:
        signal.raise_signal(signal.SIGINT)
        trace.append("worker gets on")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker)
            try:
                await trio.sleep_forever()
            except KeyboardInterrupt:
                trace.append("main interrupted")

    timeline.run(main)
    assert trace == ["worker gets on", "main interrupted"]


def test_ctrl_c_that_main_does_not_catch_comes_out_of_the_run() -> None:
    timeline = Timeline()

    async def main() -> None:
        timeline.at(5, signal.raise_signal, signal.SIGINT)
        async with trio.open_nursery():
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        timeline.run(main)


def test_ctrl_c_stops_a_run_that_is_never_at_rest_for_long() -> None:
    timeline = Timeline()

    def stream() -> None:
        timeline.at(timeline.now_ns + 1, stream)
        if timeline.events == 1000:
            signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        timeline.at(0, stream)
        await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        timeline.run(main)
    assert timeline.events < 100_000


def test_a_timeline_has_one_run() -> None:
    timeline = Timeline()
    timeline.run(trio.sleep, 1)
    with pytest.raises(RuntimeError, match="make a new Timeline"):
        timeline.run(trio.sleep, 1)


def test_a_timeline_is_driven_once_and_by_its_own_run() -> None:
    timeline = Timeline()

    async def main() -> None:
        with pytest.raises(RuntimeError, match="driven already"):
            async with timeline.running():
                pass
        with pytest.raises(RuntimeError, match="not the clock of this trio run"):
            async with Timeline().running():
                pass

    timeline.run(main)


def test_without_a_driver_sleeps_are_refused_and_events_are_not_overtaken() -> None:
    timeline = Timeline()

    async def main() -> None:
        with pytest.raises(RuntimeError, match="nothing drives this timeline yet"):
            await timeline.sleep(1)
        timeline.at(5, list)
        await trio.sleep(1)
        assert timeline.now_ns == 10**9
        with pytest.raises(RuntimeError, match="an event was due at 5 ns"):
            async with timeline.running():
                pass

    trio.run(main, clock=timeline)


@pytest.mark.parametrize("rate", [0, -1, math.nan, -math.inf, 1e-300])
def test_a_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(ValueError, match="rate must be"):
        Timeline(rate)
    timeline = Timeline(2)
    with pytest.raises(ValueError, match="rate must be"):
        timeline.rate = rate
    assert timeline.rate == 2


# -- the outside -------------------------------------------------------------------------------------------------------


def test_an_input_comes_after_all_other_events_of_its_instant() -> None:
    timeline = Timeline()
    trace: list[str] = []

    async def main() -> None:
        assert timeline.inject(trace.append, "input") == 1
        assert timeline.inject(trace.append, "second input") == 1
        timeline.at(1, trace.append, "event", rank=INPUT_RANK - 1)
        await timeline.sleep(2)

    timeline.run(main)
    assert trace == ["event", "input", "second input"]


def test_a_run_with_inputs_from_outside_is_replayed_by_their_stamps() -> None:
    def world(timeline: Timeline, trace: list[Any]) -> None:
        def tick(k: int) -> None:
            trace.append((timeline.now_ns, "tick"))
            if k < 4000:
                timeline.at(timeline.now_ns + US, tick, k + 1)

        timeline.at(0, tick, 0)

    live: list[Any] = []
    stamps: list[int] = []
    timeline = Timeline()

    async def person() -> None:
        world(timeline, live)
        for k in range(5):
            await trio.to_thread.run_sync(time.sleep, 1e-4)  # at no instant in particular
            stamps.append(timeline.inject(live.append, k))
        await timeline.sleep(5 * MS)

    timeline.run(person)
    replayed: list[Any] = []
    replay = Timeline()
    world(replay, replayed)
    for k, stamp_ns in enumerate(stamps):
        replay.at(stamp_ns, replayed.append, k, rank=INPUT_RANK)
    replay.run(replay.sleep, 10 * MS)
    assert replayed == live
    assert sorted(set(stamps)) == stamps
