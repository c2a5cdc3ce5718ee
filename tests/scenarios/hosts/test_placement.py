"""Who runs where: everybody once, long fibres cut, about as much work for each host."""

from __future__ import annotations

import math
import random
from functools import cache
from itertools import pairwise

import pytest

from emulator import US, Actor, Network
from scenarios.hosts.gather import Elsewhere
from scenarios.hosts.placement import Cut, Placement, cut, loads, place
from scenarios.load import load
from scenarios.run import prepare_text, read

MS = 1_000_000
NS_PER_KM = 4_890


@cache
def world(name: str, *settings: str) -> tuple[Network, dict[str, float]]:
    """Return the network of a scenario, and what work is to be expected."""
    _, plan, built = prepare_text(*read(name), settings, share=Elsewhere())
    return built.network, loads([path for _, path in plan.demands], built.network)


def hosts(count: int) -> list[str]:
    return [f"host-{k}" for k in range(1, count + 1)]


def homes(placement: Placement) -> dict[str, str]:
    return {actor: host for host, actors in placement.items() for actor in actors}


def imbalance(placement: Placement, weights: dict[str, float]) -> float:
    work = [sum(weights.get(actor, 1.0) for actor in actors) for actors in placement.values()]
    return max(work) * len(work) / sum(work)


CASES = [("berlin-frankfurt",), ("berlin-frankfurt", "end_nodes=50"), ("metro",), ("chain", "links=12"), ("chain",)]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_everybody_is_placed_once_and_every_time_alike(case: tuple[str, ...], count: int) -> None:
    network, weights = world(*case)
    placement = place(network, hosts(count), weights)
    assert list(placement) == hosts(count)
    assert sorted(actor for actors in placement.values() for actor in actors) == network.names
    assert all(actors == sorted(actors) for actors in placement.values())
    assert all(placement.values())
    shuffled = list(weights.items())
    random.Random(count).shuffle(shuffled)
    assert place(network, hosts(count), dict(shuffled)) == placement
    assert (
        place(prepare_text(*read(case[0]), case[1:], share=Elsewhere())[2].network, hosts(count), weights) == placement
    )


@pytest.mark.parametrize(("count", "least_km"), [(2, 30.0), (3, 30.0), (4, 30.0)])
def test_the_backbone_is_cut_and_not_the_cities(count: int, least_km: float) -> None:
    network, weights = world("berlin-frankfurt", "end_nodes=50")
    placement = place(network, hosts(count), weights)
    worst = cut(network, placement)
    assert worst is not None
    assert worst.lookahead_ns >= least_km * NS_PER_KM
    where = homes(placement)
    for city in ("berlin", "frankfurt"):
        assert len({where[name] for name in network.names if name.startswith(city)}) == 1, city
    if count == 2:
        assert imbalance(placement, weights) <= 1.5
        assert where["berlin"] != where["frankfurt"]


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("case", [("berlin-frankfurt",), ("metro",), ("chain", "links=12")], ids=" ".join)
def test_no_host_has_much_more_to_do_than_the_others(case: tuple[str, ...], count: int) -> None:
    network, weights = world(*case)
    placement = place(network, hosts(count), weights)
    total = sum(weights.get(name, 1.0) for name in network.names)
    hubs = sum(weights.get(name, 1.0) for name in network.names if name in ("city", "city~switch", "controller"))
    heaviest = max(hubs, *(weights.get(name, 1.0) for name in network.names))  # what is in one place stays on one host
    assert imbalance(placement, weights) <= max(1.5, 1.2 * heaviest * count / total), placement


def test_what_is_in_one_place_is_not_divided() -> None:
    network = joined(("a", "b", 10), ("b", "c", 900))
    network.add(Actor("b~switch"))
    network.connect("b", "b~switch", latency_ns=1)
    where = homes(place(network, hosts(3), {}))
    assert where["b"] == where["b~switch"]
    with pytest.raises(ValueError, match="4 actors cannot be divided among 4 hosts"):
        place(network, hosts(4), {})


def test_neighbours_stay_together_along_a_chain() -> None:
    network, weights = world("chain", "links=12")
    where = homes(place(network, hosts(3), weights))
    between = sum(
        where[name] != where[other] for name in network.names for other in network.cell(name).channels if name < other
    )
    _, plan = load("chain", ["links=12"])
    ((_, path),) = plan.demands
    changes = sum(where[a] != where[b] for a, b in pairwise(path))
    assert changes == 2
    assert between <= 8  # a controller talks to somebody everywhere


def joined(*ways: tuple[str, str, int]) -> Network:
    """Return a network of actors that do nothing, with channels of some latencies in us."""
    network = Network()
    for name in sorted({name for a, b, _ in ways for name in (a, b)}):
        network.add(Actor(name))
    for a, b, latency_ns in ways:
        network.connect(a, b, latency_ns=latency_ns * US)
    return network


def test_the_longest_fibre_is_cut_if_that_leaves_the_hosts_about_as_much_work() -> None:
    network = joined(("a", "b", 10), ("b", "c", 900), ("c", "d", 20))
    assert place(network, ["west", "east"], {}) in (
        {"west": ["a", "b"], "east": ["c", "d"]},
        {"west": ["c", "d"], "east": ["a", "b"]},
    )
    loaded = place(network, ["west", "east"], {"a": 97.0})  # then a shorter one, for the balance
    assert ["a"] in loaded.values()


def test_some_can_be_placed_by_hand_and_the_others_among_the_rest() -> None:
    network = joined(("a", "b", 10), ("b", "c", 900), ("c", "d", 20), ("d", "e", 5))
    placement = place(network, ["west", "east"], {}, among=["a", "b", "c", "d"])
    assert sorted(map(tuple, placement.values())) == [("a", "b"), ("c", "d")]


def test_actors_that_nothing_joins_are_placed_too() -> None:
    network = Network()
    for name in "abcd":
        network.add(Actor(name))
    with pytest.raises(ValueError, match="4 actors cannot be divided among 5 hosts"):
        place(network, hosts(5), {})
    network.connect("a", "b", latency_ns=5 * US)
    network.connect("c", "d", latency_ns=9 * US)
    placement = place(network, hosts(2), {})
    assert sorted(map(tuple, placement.values())) == [("a", "b"), ("c", "d")]
    assert cut(network, placement) is None


def test_more_hosts_than_actors_are_too_many() -> None:
    network = joined(("a", "b", 10))
    assert sorted(place(network, hosts(2), {}).values()) == [["a"], ["b"]]
    with pytest.raises(ValueError, match="2 actors cannot be divided among 3 hosts"):
        place(network, hosts(3), {})


def test_the_worst_cut_is_where_the_least_lookahead_is() -> None:
    network = joined(("a", "b", 10), ("b", "c", 900), ("c", "d", 20))
    assert cut(network, {"west": ["a", "b"], "east": ["c", "d"]}) == Cut(("west", "east"), ("b", "c"), 900 * US)
    assert cut(network, {"west": ["a", "b", "c"], "east": ["d"]}) == Cut(("west", "east"), ("c", "d"), 20 * US)
    found = cut(network, {"west": ["a", "c"], "east": ["b", "d"]})
    assert found is not None
    assert (found.lookahead_ns, set(found.channel)) == (10 * US, {"a", "b"})
    assert cut(network, {"west": ["a", "b", "c", "d"]}) is None


def test_hosts_that_wait_for_each_other_come_two_lookaheads_further_in_a_round_trip() -> None:
    found = Cut(("west", "east"), ("b", "c"), 3 * MS // 2)
    assert found.realtime_factor(0.003) == pytest.approx(1.0)
    assert found.realtime_factor(0.03) == pytest.approx(0.1)
    assert found.realtime_factor(0.0) == math.inf


def test_who_is_on_many_routes_has_much_to_do() -> None:
    network, weights = world("chain", "links=3")
    _, plan = load("chain", ["links=3"])
    ((_, path),) = plan.demands
    assert all(weights[name] == 2.0 for name in path)
    stations = [name for name in network.names if network.cell(name).actor.role == "station"]
    assert stations
    assert all(weights[name] == 2.0 for name in stations)
