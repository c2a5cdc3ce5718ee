"""How a test uses a timeline under pytest-trio."""

import pytest
import trio

from emulator.time import Place, Timeline


@pytest.fixture
def timeline() -> Timeline:  # not async: such a fixture is made inside the run, too late to be its clock
    return Timeline()


async def test_a_fixture_is_the_clock_of_the_test(timeline: Timeline) -> None:
    reply = Place()
    async with timeline.running():
        timeline.at(5_000, reply.wake)
        with trio.fail_after(1):
            await reply.park()
        await trio.sleep(3600)
        await timeline.sleep(1)
        assert timeline.now_ns == 3_600_000_005_001
    await trio.sleep(1)
    await timeline.sleep(1)
    assert timeline.now_ns == 3_601_000_005_002


async def test_an_error_in_a_handler_is_raised_by_the_block(timeline: Timeline) -> None:
    timeline.at(5, int, "no number")
    with pytest.raises(ValueError, match="invalid literal"):
        async with timeline.running():
            await trio.sleep_forever()


async def test_a_cancelled_block_ends_quietly(timeline: Timeline) -> None:
    with trio.move_on_after(1) as scope:
        async with timeline.running():
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert timeline.now_ns == 10**9


async def test_trio_alone_works_before_and_without_the_block(timeline: Timeline) -> None:
    await trio.sleep(3600)
    assert timeline.now_ns == 3_600_000_000_000


async def test_a_paced_timeline_works_before_the_block_too() -> None:
    async def main() -> None:
        await trio.sleep(1e-3)

    paced = Timeline(1)
    await trio.to_thread.run_sync(lambda: trio.run(main, clock=paced))
    assert paced.now_ns == 1_000_000
