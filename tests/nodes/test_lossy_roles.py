"""The state machines of a circuit over channels that lose, double, delay and reorder: nothing but time is lost.

The roles meet over the real transport, without a clock: time is a heap of events here. What each channel does to an
envelope is drawn from a seeded generator, and so are the moments at which heralds, swaps, cutoffs and tear-down come.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import MS, Message

RUNS = settings(derandomize=True, deadline=None, max_examples=300, database=None)


def chain_in(weather: Any, machines: SimpleNamespace, links: int, *, nested: bool) -> Any:
    """Return a chain of roles whose messages go through the weather."""
    chain = machines.Chain(links, nested=nested)
    posts: dict[tuple[int, int], Callable[[Message], None]] = {}

    def taker(wire: tuple[int, int]) -> Callable[[Message], None]:
        def take(message: Message) -> None:
            chain.wires[wire].append(message)
            chain.arrive(wire)

        return take

    for k in range(links):
        west, east = machines.joined(weather, taker((k + 1, k)), taker((k, k + 1)))
        posts[k, k + 1], posts[k + 1, k] = machines.post_over(weather, west), machines.post_over(weather, east)
    chain.post = lambda source, target, message: posts[source, target](message)
    return chain


@pytest.mark.parametrize("nested", [False, True])
@given(links=st.integers(1, 6), seed=st.integers(0, 9999), births=st.integers(0, 25))
@RUNS
def test_each_half_ends_once_and_both_ends_agree_whatever_the_channels_lose(
    machines: SimpleNamespace, *, nested: bool, links: int, seed: int, births: int
) -> None:
    weather = machines.Weather(seed)
    rng = weather.rng
    chain = chain_in(weather, machines, links, nested=nested)
    begin_swap = chain.begin_swap

    def swap_for_a_while(swap: Any) -> None:
        begin_swap(swap)
        weather.after(rng.randrange(1, 3 * MS), finish, swap)

    def finish(swap: Any) -> None:
        chain.finish_swap(chain.swaps.index(swap), rng.choice((0, 1, 2, 3, 3, None)))

    def birth(link: int) -> None:
        chain.birth(link, rng.randrange(4), (rng.randrange(8), rng.randrange(8)))
        for herald in chain.heralds[-2:]:
            weather.after(rng.randrange(1, 4 * MS), lambda h=herald: chain.herald(chain.heralds.index(h)))

    def cut_off() -> None:
        waiting = [node for node in range(1, links) if chain.waits[node]]
        if waiting:
            chain.cut_off(rng.choice(waiting), rng.randrange(9))

    chain.begin_swap = swap_for_a_while
    for _ in range(births):
        weather.after(rng.randrange(50 * MS), birth, rng.randrange(links))
        weather.after(rng.randrange(90 * MS), cut_off)
    weather.after(rng.randrange(1, 100 * MS), chain.stop, 0)
    weather.run()
    chain.check_over()
    assert chain.stopped == set(range(links + 1))


@given(links=st.integers(1, 5), seed=st.integers(0, 9999), pairs=st.integers(1, 12))
@RUNS
def test_without_harm_all_pairs_reach_the_ends_however_much_is_lost(
    machines: SimpleNamespace, *, links: int, seed: int, pairs: int
) -> None:
    weather = machines.Weather(seed)
    rng = weather.rng
    chain = chain_in(weather, machines, links, nested=bool(seed % 2))
    begin_swap = chain.begin_swap

    def swap_at_once(swap: Any) -> None:
        begin_swap(swap)
        weather.after(1, lambda: chain.finish_swap(chain.swaps.index(swap), rng.randrange(4)))

    def birth(link: int) -> None:
        chain.birth(link, rng.randrange(4))
        for herald in chain.heralds[-2:]:
            weather.after(rng.randrange(1, 4 * MS), lambda h=herald: chain.herald(chain.heralds.index(h)))

    chain.begin_swap = swap_at_once
    for link in range(links):
        for _ in range(pairs):
            weather.after(rng.randrange(50 * MS), birth, link)
    weather.run()
    chain.check()
    assert [len(chain.deliveries[end]) for end in (0, links)] == [pairs, pairs]
    chain.stop(0)
    weather.run()
    chain.check_over()


def test_the_weather_is_bad(machines: SimpleNamespace) -> None:
    seen = [0, 0, 0]
    for seed in range(20):
        weather = machines.Weather(seed)
        chain = chain_in(weather, machines, 4, nested=False)
        for k in range(20):
            weather.after(k * MS, chain.birth, k % 4, 0)
        weather.after(30 * MS, chain.stop, 0)
        weather.run()
        seen = [a + b for a, b in zip(seen, (weather.lost, weather.doubled, weather.overtaken), strict=True)]
    assert min(seen) > 20, "lost, doubled, overtaken"
