"""The gate, where a host finds itself when all is done that may be: at the horizon, or before a milestone."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import greenback
import pytest
import trio

from emulator.time import END_NS, NEVER_NS, Place, Timeline
from emulator.time.timeline import DEADLINE_RANK, Moment

Trace = list[object]


async def look_again(passes: int = 5) -> None:
    """Let trio's loop look at sockets and signals, and ask its clock again, a few times."""
    token, place = trio.lowlevel.current_trio_token(), Place()
    for _ in range(passes):
        token.run_sync_soon(place.wake)
        await place.park()


def with_events(*moments: Moment) -> tuple[Timeline, Trace]:
    """Return a timeline with events that leave their moments in a trace."""
    timeline, trace = Timeline(), []
    for moment in moments:
        timeline.at(moment[0], trace.append, moment, rank=moment[1])
    return timeline, trace


def run(timeline: Timeline, *tasks: Callable[[], object], end_ns: int = 1_000) -> None:
    """Run tasks until an instant."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for task in tasks:
                nursery.start_soon(task)
            await timeline.sleep_until(end_ns)
            nursery.cancel_scope.cancel()

    timeline.run(main)


@pytest.mark.parametrize("milestone", [(20, 5), (20, 0), (11, 9), (11, 0)])
def test_the_gate_opens_once_when_all_before_the_milestone_is_done(milestone: Moment) -> None:
    timeline, trace = with_events((10, 1), (10, 7), (20, 5), (30, 5))
    timeline.milestone = milestone

    async def watch() -> None:
        while True:
            trace.append(("gate", await timeline.wait_gate(), timeline.milestone))

    run(timeline, watch)
    assert trace == [(10, 1), (10, 7), ("gate", (20, 5), None), (20, 5), (30, 5)]


def test_at_one_instant_the_gate_opens_between_the_ranks() -> None:
    moments = [(10, rank) for rank in (1, 2, 4, 6)]
    timeline, trace = with_events(*moments)
    timeline.milestone = 10, 3

    async def watch() -> None:
        trace.append(await timeline.wait_gate())
        timeline.milestone = 10, 5
        trace.append(await timeline.wait_gate())

    run(timeline, watch)
    assert trace == [(10, 1), (10, 2), (10, 4), (10, 4), (10, 6), (10, 6)]


def test_a_milestone_may_be_before_a_deadline_of_trio_or_before_nothing() -> None:
    timeline, trace = Timeline(), []
    timeline.milestone = 70, 0

    async def watch() -> None:
        trace.append(await timeline.wait_gate())
        timeline.milestone = 100, DEADLINE_RANK
        trace.append(await timeline.wait_gate())

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await trio.sleep(100e-9)
            trace.append(timeline.now_ns)
            nursery.start_soon(wait_for_nothing)

    async def wait_for_nothing() -> None:
        timeline.horizon_ns = 5_000
        trace.append(await timeline.wait_gate())

    timeline.run(main)
    assert trace == [(100, DEADLINE_RANK), (100, DEADLINE_RANK), 100, (NEVER_NS, DEADLINE_RANK)]


def test_at_the_horizon_the_gate_opens_once_until_it_or_what_comes_next_is_another() -> None:
    timeline, trace = with_events((10, 0), (20, 0), (30, 0))
    timeline.horizon_ns = 15

    async def watch() -> None:
        while True:
            trace.append(("gate", await timeline.wait_gate()))

    async def outside() -> None:
        await look_again()
        trace.append("a nearer event")
        timeline.at(18, trace.append, (18, 0))
        await look_again()
        trace.append("a little more")
        timeline.horizon_ns = 17
        await look_again()
        trace.append("enough for two")
        timeline.horizon_ns = 20
        await look_again()
        trace.append("somebody wants to know")
        timeline.open_gate()
        await look_again()
        trace.append("no end")
        timeline.horizon_ns = END_NS

    run(timeline, watch, outside)
    assert trace == [
        *((10, 0), ("gate", (20, 0))),
        *("a nearer event", ("gate", (18, 0))),
        *("a little more", ("gate", (18, 0))),
        *("enough for two", (18, 0), (20, 0), ("gate", (30, 0))),
        *("somebody wants to know", ("gate", (30, 0))),
        *("no end", (30, 0)),
    ]


def test_a_gate_that_was_opened_while_time_goes_on_stays_shut_until_the_horizon() -> None:
    timeline, trace = with_events((10, 0), (20, 0))
    timeline.horizon_ns = 15

    async def watch() -> None:
        timeline.open_gate()
        timeline.open_gate()
        trace.append(("gate", await timeline.wait_gate()))
        timeline.horizon_ns = END_NS

    run(timeline, watch)
    assert trace == [(10, 0), ("gate", (20, 0)), (20, 0)]


def test_what_the_gate_opens_for_is_what_happens_next() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        moments = sorted({(rng.randrange(1, 40), rng.randrange(4)) for _ in range(30)})
        timeline, trace = with_events(*moments)
        wanted = sorted({(rng.randrange(1, 45), rng.randrange(4)) for _ in range(10)})
        timeline.milestone = wanted[0]

        async def watch(timeline: Timeline = timeline, trace: Trace = trace, wanted: list[Moment] = wanted) -> None:
            for number, milestone in enumerate(wanted, start=1):
                trace.append(("gate", milestone, await timeline.wait_gate()))
                if number < len(wanted):
                    timeline.milestone = wanted[number]

        run(timeline, watch)
        expected = [(m, 1, m) for m in moments]
        after = [*moments, (1_000, 0)]
        expected += [(m, 0, ("gate", m, next(e for e in after if e >= m))) for m in wanted]
        assert trace == [entry for *_, entry in sorted(expected)], f"seed {seed}"


@pytest.mark.parametrize("still", [True, False])
def test_in_the_middle_of_an_event_nothing_moves_but_what_comes_from_outside(still: bool) -> None:  # noqa: FBT001
    timeline, trace = with_events((10, 1), (10, 9), (20, 0))
    place = Place()

    async def wait() -> None:
        await place.park()

    def handler() -> None:
        trace.append("begins")
        with timeline.hold(still=still):
            greenback.await_(wait())
        trace.append("ends")

    timeline.at(10, handler, rank=5)
    timeline.milestone = 10, 7  # is not reached either

    async def watch() -> None:
        trace.append(("gate", await timeline.wait_gate()))

    async def outside() -> None:
        while timeline.driver is None:
            await trio.lowlevel.checkpoint()
        greenback.bestow_portal(timeline.driver)
        while "begins" not in trace:
            await look_again(1)
        await look_again(20)
        assert timeline.driver is None
        trace.append(("from outside", timeline.now_ns, timeline.rank))
        place.wake()

    async def sleep(until_ns: int) -> None:
        await trio.sleep_until(until_ns / 1e9)
        trace.append(("slept until", until_ns))

    run(timeline, outside, partial(sleep, 10), partial(sleep, 12), watch)
    slept = ("slept until", 10)
    assert trace == [
        *((10, 1), "begins", *([] if still else [slept]), ("from outside", 10, 5), "ends"),
        *(("gate", (10, 9)), (10, 9), *([slept] if still else []), ("slept until", 12), (20, 0)),
    ]


def test_the_rank_of_the_event_that_runs_is_known_and_that_of_deadlines_is_last() -> None:
    timeline, seen = Timeline(), []
    for rank in (3, 8):
        timeline.at(10, lambda: seen.append(timeline.rank), rank=rank)

    async def main() -> None:
        await trio.sleep(10e-9)
        seen.append(timeline.rank)
        await timeline.sleep(5, rank=6)
        seen.append(timeline.rank)

    timeline.run(main)
    assert seen == [3, 8, DEADLINE_RANK, 6]


def test_one_task_at_a_time_waits_at_the_gate() -> None:
    timeline = Timeline()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(timeline.wait_gate)
            await look_again(1)
            with pytest.raises(RuntimeError, match="use one for each"):
                await timeline.wait_gate()
            nursery.cancel_scope.cancel()

    timeline.run(main)
