"""Whole circuits as state machines, with events in any order: each half has one end, and both ends agree.

Messages keep their order on each wire; heralds, ends of swaps, cutoffs and the tear-down come whenever they like. These
machines do not promise to survive loss or duplication of messages: with them, words may be awaited for ever.
"""

import random
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SCRIPT = st.lists(st.integers(0, (1 << 16) - 1), max_size=120)
RUNS = settings(derandomize=True, deadline=None, max_examples=250, database=None)


@pytest.mark.parametrize("nested", [False, True])
@given(links=st.integers(1, 6), script=SCRIPT, seed=st.integers(0, 999))
@RUNS
def test_each_half_ends_once_and_both_ends_agree_whatever_the_order_of_events(
    machines: SimpleNamespace, *, nested: bool, links: int, script: list[int], seed: int
) -> None:
    chain = machines.Chain(links, nested=nested)
    for choice in script:
        chain.step(choice)
        chain.check()
    chain.finish(seed)
    chain.check_over()


@pytest.mark.parametrize("nested", [False, True])
@given(links=st.integers(1, 7), pairs=st.integers(1, 5), seed=st.integers(0, 999), script=SCRIPT)
@RUNS
def test_all_pairs_reach_the_ends_if_nothing_goes_wrong(
    machines: SimpleNamespace, *, nested: bool, links: int, pairs: int, seed: int, script: list[int]
) -> None:
    chain = machines.Chain(links, nested=nested)
    births = [link for link in range(links) for _ in range(pairs)]
    random.Random(seed).shuffle(births)
    for link, choice in zip(births, script + [0] * len(births), strict=False):
        chain.birth(link, choice % 4)
        chain.step(choice // 4, births=False, harm=False)
    chain.drain(seed)
    assert [len(chain.deliveries[end]) for end in (0, links)] == [pairs, pairs]
    assert [role.pending for role in chain.roles] == [0] * (links + 1)
    chain.finish(seed)
    chain.check_over()


@pytest.mark.parametrize("nested", [False, True])
@given(links=st.integers(2, 7), script=SCRIPT, seed=st.integers(0, 999))
@settings(RUNS, max_examples=100)
def test_pairs_still_come_after_things_went_wrong(
    machines: SimpleNamespace, *, nested: bool, links: int, script: list[int], seed: int
) -> None:
    chain = machines.Chain(links, nested=nested)
    for choice in script:
        if choice % 23 != 22:  # anything but the tear-down
            chain.step(choice)
    chain.drain(seed)
    before, old = len(chain.deliveries[0]), sum(chain.births)
    # An old half can spoil no more than one new pair of each link, so with this many, one meets only new ones.
    for _ in range(1 + old):
        for link in range(links):
            chain.birth(link, 0)
    chain.drain(seed)
    assert len(chain.deliveries[0]) == len(chain.deliveries[links]) > before
    chain.finish(seed)
    chain.check_over()


def test_the_random_orders_meet_every_race(machines: SimpleNamespace) -> None:
    seen: Counter[str] = Counter()
    for seed in range(400):
        order = random.Random(seed)
        chain = machines.Chain(1 + seed % 6, nested=bool(seed & 8))
        for _ in range(100):
            chain.step(order.randrange(1 << 16))
        chain.finish(seed)
        chain.check_over()
        seen += chain.seen
        seen["delivered"] += len(chain.deliveries[0])
    rare = {what: count for what, count in seen.items() if count < 20}
    assert not rare
    races = {f"{w} when {f}" for w in ("track", "expire") for f in ("waits", "swapping", "swapped", "not heralded")}
    races |= {f"{w} when {f}" for w in ("track", "expire") for f in ("freed", "lost")}
    races |= {"track after stop", "expire after stop", "cut off", "swap fails", "swap works", "delivered"}
    races |= {"extended before the herald"}
    assert races <= set(seen)
