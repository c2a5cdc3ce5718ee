"""What both ends believe of a pair, from messages alone, is what is true: chains in emulated time."""

from types import SimpleNamespace
from typing import Any

import pytest

from emulator import MS, US, Herald
from nodes import QuantumNode
from nodes.circuits import Expire, SwapRole


def chain(worlds: SimpleNamespace, links: int, order: str, **link: Any) -> dict[str, Any]:
    names = ("alice", *(f"r{k}" for k in range(1, links)), "bob")
    document: dict[str, Any] = worlds.line(*names, **({"success_probability": 0.4, "memories": 3} | link))
    document["route"][0] |= {"lanes": 3, "order": order}
    return document


def swap_outcomes(worlds: SimpleNamespace, world: Any) -> list[int]:
    return [r.fields[3] for r in worlds.records_of(world) if r.kind == "swap"]


def check_clean(worlds: SimpleNamespace, world: Any, outcome: Any) -> None:
    assert outcome.leaks == {}
    assert world.invariants.violations == []
    assert world.monitor.unmatched == 0
    assert worlds.strays_of(world) == 0
    statistics = world.monitor.routes["alice", "bob"]
    assert statistics.samples == statistics.delivered
    assert statistics.fidelity_mean == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("order", ["asap", "nested"])
@pytest.mark.parametrize("links", range(1, 7))
def test_both_ends_know_the_bell_state_of_each_pair(worlds: SimpleNamespace, links: int, order: str) -> None:
    world = worlds.read(chain(worlds, links, order))
    outcome = world.network.run(for_ns=40 * MS)
    check_clean(worlds, world, outcome)
    pairs = worlds.pairs_of(world)
    assert len(pairs) == 2 * world.monitor.routes["alice", "bob"].delivered > 200
    # All four Bell states come up, so that a lost bit would show; a link alone announces Psi+.
    assert {p.bell for p in pairs} == ({0, 1, 2, 3} if links > 1 else {2})


@pytest.mark.parametrize("links", range(2, 7))
def test_nested_order_delivers_about_as_often_as_asap_when_nothing_decays(worlds: SimpleNamespace, links: int) -> None:
    delivered = {}
    for order in ("asap", "nested"):
        world = worlds.read(chain(worlds, links, order), keep_history=False)
        world.network.run(for_ns=40 * MS)
        delivered[order] = world.monitor.routes["alice", "bob"].delivered
    # Messages between nodes cost nested order time, but it must not stall.
    assert 0.3 * delivered["asap"] < delivered["nested"] <= delivered["asap"]


@pytest.mark.parametrize("order", ["asap", "nested"])
@pytest.mark.parametrize("station_at", [0.0, 0.2, 1.0])
def test_stations_off_the_middle_change_nothing_of_this(worlds: SimpleNamespace, order: str, station_at: float) -> None:
    world = worlds.read(chain(worlds, 4, order, station_at=station_at, bit_rate_per_s=2e6))
    outcome = world.network.run(for_ns=60 * MS)
    check_clean(worlds, world, outcome)
    assert world.monitor.routes["alice", "bob"].delivered > 50


@pytest.mark.parametrize("order", ["asap", "nested"])
@pytest.mark.parametrize("override", [{"swap_efficiency": 0.8}, {"linear_optics": True}])
@pytest.mark.parametrize("cutoff_s", [None, 0.0005])
def test_failing_swaps_and_cutoffs_expire_pairs_and_leave_nothing(
    worlds: SimpleNamespace, order: str, override: dict[str, Any], cutoff_s: float | None
) -> None:
    document = chain(worlds, 4, order, success_probability=0.15)
    document["override"] = override
    if cutoff_s is not None:
        document["route"][0]["cutoff_s"] = cutoff_s
    world = worlds.read(document)
    outcome = world.network.run(for_ns=150 * MS)
    check_clean(worlds, world, outcome)
    outcomes = swap_outcomes(worlds, world)
    failed = sum(o < 0 for o in outcomes) / len(outcomes)
    # n > 600 swaps: Hoeffding's bound for a false alarm of 1e-6 is 0.11.
    assert len(outcomes) > 600
    assert abs(failed - (0.2 if "swap_efficiency" in override else 0.5)) < 0.11
    assert any(r.kind == "message" and isinstance(r.fields[3], Expire) for r in worlds.records_of(world))
    assert world.monitor.routes["alice", "bob"].delivered > 20


@pytest.mark.parametrize(
    ("order", "lengths_km"), [("asap", (10, 10, 10)), ("nested", (2, 2, 60, 60)), ("nested", (30, 1, 1, 30))]
)
def test_nothing_waits_or_is_swapped_that_is_older_than_the_cutoff(
    worlds: SimpleNamespace, order: str, lengths_km: tuple[float, ...]
) -> None:
    cutoff_ns = 900 * US

    def oldest_ns(cutoff_s: float | None) -> tuple[int, int]:
        document = chain(worlds, len(lengths_km), order, success_probability=0.1)
        for link, length_km in zip(document["link"], lengths_km, strict=True):
            link["length_km"] = length_km
        if cutoff_s is not None:
            document["route"][0]["cutoff_s"] = cutoff_s
        world = worlds.read(document)
        oldest_waiting_ns = 0

        def look() -> None:
            nonlocal oldest_waiting_ns
            now_ns = world.network.timeline.now_ns
            for node in world.network.actors.values():
                roles = [c.role for c in node._circuits.values()] if isinstance(node, QuantumNode) else []
                halves = [half for role in roles if isinstance(role, SwapRole) for half in role.waiting]
                oldest_waiting_ns = max([oldest_waiting_ns, *(now_ns - half.emitted_ns for half in halves)])

        world.network.watch(7 * US, look)
        outcome = world.network.run(for_ns=150 * MS)
        check_clean(worlds, world, outcome)
        emitted: dict[tuple[str, tuple[str, int]], int] = {}
        ages = []
        for r in worlds.records_of(world):
            if r.kind == "message" and isinstance(r.fields[3], Herald):
                emitted[r.actor, (r.fields[0], r.fields[3].sequence)] = r.fields[3].emitted_ns
            elif r.kind == "swap":
                ages += [r.time_ns - 1 - emitted[r.actor, tuple(pair)] for pair in r.fields[1:3]]
        assert len(ages) > 50
        return max(ages), oldest_waiting_ns

    swapped_ns, waiting_ns = oldest_ns(cutoff_ns / 1e9)
    assert swapped_ns <= cutoff_ns
    assert waiting_ns < cutoff_ns
    assert min(oldest_ns(None)) > cutoff_ns, "there is something to cut off"


def test_a_swap_that_lasts_beyond_the_cutoff_costs_no_more_events_than_any_other(worlds: SimpleNamespace) -> None:
    document = chain(worlds, 2, "asap", success_probability=1.0)
    document["override"] = {"swap_us": 300}
    document["route"][0]["cutoff_s"] = 0.0001
    world = worlds.read(document)
    outcome = world.network.run(for_ns=5 * MS)
    check_clean(worlds, world, outcome)
    assert len(swap_outcomes(worlds, world)) > 20
    assert world.network.timeline.events < 100 * len(swap_outcomes(worlds, world))
