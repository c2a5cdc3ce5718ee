"""Mailboxes: first in, first out by type; waiters in order; nothing lost when one of them gives up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import Envelope, Mailbox, Message, Timeline


class Red(Message, frozen=True, tag="mailbox-red"):
    number: int


class Blue(Message, frozen=True, tag="mailbox-blue"):
    number: int


@pytest.fixture
def timeline() -> Timeline:
    return Timeline()


def letter(kind: type[Message], number: int) -> Envelope:
    return Envelope("alice", 1, 0, kind(number))


def numbers(envelopes: list[Envelope]) -> list[int]:
    return [envelope.message.number for envelope in envelopes]  # type: ignore[attr-defined]


@asynccontextmanager
async def waiters(box: Mailbox, *wanted: tuple[type[Message], ...]) -> AsyncIterator[list[tuple[int, int]]]:
    """Let tasks wait, in this order; the list tells which of them got which number."""
    got: list[tuple[int, int]] = []

    async def wait(who: int) -> None:
        envelope = await box.get(*wanted[who])
        got.append((who, *numbers([envelope])))

    async with trio.open_nursery() as nursery:
        for who in range(len(wanted)):
            nursery.start_soon(wait, who)
            await rest()
        yield got
        nursery.cancel_scope.cancel()


async def rest() -> None:
    for _ in range(3):
        await trio.lowlevel.checkpoint()


async def test_what_waits_is_taken_in_order_by_type() -> None:
    box = Mailbox()
    for number, kind in enumerate([Red, Blue, Red, Blue, Red]):
        assert box.put(letter(kind, number))
    assert numbers([await box.get(Blue), await box.get(), await box.get(Red)]) == [1, 0, 2]
    assert numbers([await box.get(Blue, Red), await box.get(Red, Blue)]) == [3, 4]
    assert len(box) == 0


@settings(derandomize=True, deadline=None, database=None)
@given(st.lists(st.sampled_from([Red, Blue])), st.lists(st.sampled_from([(Red,), (Blue,), (Red, Blue), ()])))
def test_any_sequence_of_takes_agrees_with_a_list(kinds: list[type[Message]], takes: list[tuple[Any, ...]]) -> None:
    box, model = Mailbox(), list(enumerate(kinds))
    for number, kind in model:
        box.put(letter(kind, number))

    async def main() -> None:
        for wanted in takes:
            fitting = [item for item in model if not wanted or item[1] in wanted]
            with trio.move_on_after(0):
                envelope = await box.get(*wanted)
                model.remove(fitting[0])
                assert numbers([envelope]) == [fitting[0][0]]
                continue
            assert not fitting

    Timeline().run(main)
    assert len(box) == len(model)


async def test_who_has_waited_longest_for_such_a_message_gets_it() -> None:
    box = Mailbox()
    async with waiters(box, (Blue,), (Red,), (), (Red, Blue), (Red,)) as got:
        for number, kind in enumerate([Red, Red, Red, Red, Blue]):
            assert box.put(letter(kind, number))
        await rest()
    assert sorted(got) == [(0, 4), (1, 0), (2, 1), (3, 2), (4, 3)]
    assert len(box) == 0


async def test_a_message_that_nobody_waits_for_stays() -> None:
    box = Mailbox()
    async with waiters(box, (Blue,)) as got:
        box.put(letter(Red, 0))
        await rest()
        assert got == []
        assert len(box) == 1
        box.put(letter(Blue, 1))
        await rest()
        assert got == [(0, 1)]
    assert numbers([await box.get()]) == [0]


async def test_a_waiter_that_was_cancelled_takes_nothing() -> None:
    box = Mailbox()
    async with waiters(box, (), ()):
        pass
    assert box.put(letter(Red, 0))
    assert len(box) == 1
    assert numbers([await box.get()]) == [0]


async def test_a_waiter_cancelled_in_the_very_moment_takes_nothing() -> None:
    """Between its cancellation and its next step a task is neither waiting nor gone."""
    box = Mailbox()
    async with waiters(box, ()) as got:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(box.get)
            nursery.start_soon(box.get, Blue)
            await rest()
            nursery.cancel_scope.cancel()
            for number, kind in enumerate([Red, Blue, Red]):
                assert box.put(letter(kind, number))
        await rest()
        assert got == [(0, 0)]
    assert numbers([await box.get(), await box.get()]) == [1, 2]
    assert not box._waiting


async def test_a_message_handed_over_before_the_cancellation_is_not_lost() -> None:
    box, got = Mailbox(), list[Envelope]()

    async def wait() -> None:
        got.append(await box.get())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await rest()
        box.put(letter(Red, 0))
        nursery.cancel_scope.cancel()
    assert numbers(got) == [0]
    assert len(box) == 0


async def test_a_message_that_comes_exactly_at_the_time_out_is_received(timeline: Timeline) -> None:
    box = Mailbox()
    async with timeline.running():
        timeline.at(1_000_000_000, box.put, letter(Red, 0))
        with trio.move_on_after(1) as scope:
            assert numbers([await box.get()]) == [0]
        assert not scope.cancelled_caught
        timeline.at(2_000_000_001, box.put, letter(Red, 1))
        with trio.move_on_after(1) as scope:
            await box.get()
        assert scope.cancelled_caught
        await timeline.sleep(1)
    assert len(box) == 1


async def test_a_full_mailbox_refuses_and_counts() -> None:
    box = Mailbox(capacity=2)
    assert [box.put(letter(Red, number)) for number in range(4)] == [True, True, False, False]
    assert box.refused == 2
    async with waiters(box, (Blue,)) as got:
        assert box.put(letter(Blue, 9))  # it never lies there
        await rest()
        assert got == [(0, 9)]
    assert numbers([await box.get(), await box.get()]) == [0, 1]
    assert box.put(letter(Red, 4))
