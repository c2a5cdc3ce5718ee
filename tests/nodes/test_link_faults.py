"""Faults of links and stations, in worlds of a few nodes: what they do to pairs, and that the circuits survive them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from emulator import MS, Begin, FaultError, S
from scenarios.build import World

P, F = 0.05, 0.9
LIGHT_NS = 49_000  # over 10 km


def link(worlds: SimpleNamespace, seed: int = 1, **changes: Any) -> World:
    """Return alice and bob, joined by a link of 10 km, on which 2 positions make pairs."""
    document = worlds.line("alice", "bob", memories=2, **({"success_probability": P, "fidelity": F} | changes))
    document["route"] = [{"a": "alice", "b": "bob", "lanes": 2}]
    return worlds.read(document, seed=seed)


def run(world: World, for_ns: int = S) -> list[int]:
    """Run a world, and return when pairs came to the head-end; nothing may be wrong or left."""
    times: list[int] = []
    world.network.history.observe("pair", lambda r: times.append(r.time_ns) if r.fields[2] == 0 else None)
    outcome = world.network.run(for_ns=for_ns)
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)
    return times


def rate(times: list[int], start_ns: int, end_ns: int) -> int:
    return sum(start_ns < time_ns <= end_ns for time_ns in times)


def fidelity(world: World) -> tuple[float, float]:
    """Return mean and standard error."""
    statistics = world.monitor.routes["alice", "bob"]
    assert statistics.fidelity_mean is not None
    return statistics.fidelity_mean, statistics.fidelity_sem or 0.0


def test_a_cut_stops_pairs_within_the_light_time_until_the_splice(worlds: SimpleNamespace) -> None:
    world = link(worlds)
    fault = world.network.inject("cut", "alice-bob", start_ns=300 * MS, end_ns=600 * MS)
    times = run(world)
    assert fault.fired > 0
    assert rate(times, 300 * MS + 2 * LIGHT_NS, 600 * MS) == 0
    before, after = rate(times, 0, 300 * MS), rate(times, 600 * MS, 900 * MS)
    assert abs(before - after) < 5 * math.sqrt(before + after)
    assert before > 100


def test_a_cut_of_the_cable_stops_its_messages_too(worlds: SimpleNamespace) -> None:
    world = link(worlds)
    world.network.inject("cut", "alice-bob", start_ns=300 * MS, end_ns=600 * MS, classical=True)
    heard = []
    world.network.history.observe(
        "message", lambda r: heard.append(r) if r.actor in ("alice", "bob", "alice~bob") else None
    )
    times = run(world)
    during = [r for r in heard if 300 * MS + 2 * LIGHT_NS < r.time_ns <= 600 * MS]
    assert during == []
    assert rate(times, 300 * MS + 2 * LIGHT_NS, 600 * MS) == 0
    assert rate(times, 700 * MS, S) > 100


@pytest.mark.parametrize(
    ("kind", "attributes", "factor"),
    [
        ("added-loss", {"loss_db": 3.0}, 10**-0.3),
        ("detector-dead", {}, 0.25),
        ("visibility", {"factor": 0.5}, 1.0),
        ("dark-counts", {"rate_hz": 1e6}, 1 + 4 * (1 - math.exp(-0.1)) ** 2 * (1 - P) / P),
        ("false-herald", {"rate_hz": 400.0}, 1 + (1 - math.exp(-400 * 2 * LIGHT_NS / 2e9)) * (1 - P) / P),
        ("clock-offset", {"offset_ns": 7.0}, 1.0),
        ("clock-offset", {"offset_ns": 51.0}, 0.0),
    ],
)
def test_the_rate_changes_as_it_should(
    worlds: SimpleNamespace, kind: str, attributes: dict[str, Any], factor: float
) -> None:
    world = link(worlds)
    target = "alice" if kind.startswith("clock") else "alice-bob"
    world.network.inject(kind, target, start_ns=400 * MS, end_ns=800 * MS, **attributes)
    times = run(world, 800 * MS)
    # A session takes its attempts, and one more period for its herald and the next offer.
    plain, changed = rate(times, 0, 400 * MS), rate(times, 400 * MS + LIGHT_NS, 800 * MS)
    expected = plain * (1 / P + 1) / (1 / P / factor + 1) if factor else 0
    assert abs(changed - expected) < 5 * math.sqrt(plain + expected)


@pytest.mark.parametrize(
    ("kind", "attributes", "left"),
    [
        ("visibility", {"factor": 0.5}, 0.5),
        ("clock-offset", {"offset_ns": 7.0}, math.exp(-0.49)),
        ("clock-offset", {"offset_ns": -7.0, "coherence_ns": 14.0}, math.exp(-0.25)),
        ("added-loss", {"loss_db": 6.0}, 1.0),
    ],
)
def test_the_true_fidelity_falls_and_what_is_believed_of_it_does_not(
    worlds: SimpleNamespace, kind: str, attributes: dict[str, Any], left: float
) -> None:
    world = link(worlds, modes=20)
    world.network.inject(kind, "alice" if kind.startswith("clock") else "alice-bob", **attributes)
    run(world, 40 * MS)
    w = (4 * F - 1) / 3
    mean, sem = fidelity(world)
    assert mean == pytest.approx((1 + w + 2 * w * left) / 4, abs=5 * sem + 1e-9)
    heard = [r.fields[3] for r in worlds.records_of(world) if r.kind == "message" and r.actor == "alice"]
    (believed,) = {message.contrasts for message in heard if isinstance(message, Begin)}
    assert believed == pytest.approx((w, w, w))


def test_a_drift_takes_visibility_bit_by_bit(worlds: SimpleNamespace) -> None:
    world = link(worlds, modes=20)
    world.network.inject("visibility", "alice-bob", factor=0.0, drift_per_s=4)
    run(world, 200 * MS)
    w = (4 * F - 1) / 3
    left = 1 - 4 * (0 + 0.05 + 0.1 + 0.15) / 4  # it is looked at each 50 ms
    assert fidelity(world)[0] == pytest.approx((1 + w + 2 * w * left) / 4, abs=0.01)


@pytest.mark.parametrize("kind", ["clock-drift", "holdover"])
def test_a_clock_that_drifts_is_right_again_at_the_end(worlds: SimpleNamespace, kind: str) -> None:
    world = link(worlds)
    world.network.inject(kind, "bob", start_ns=100 * MS, end_ns=500 * MS, drift_ppb=1e4)
    times = run(world)
    assert rate(times, 480 * MS, 500 * MS) == 0, "beyond the window"
    assert rate(times, 520 * MS, S) > 250


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("deaf", ["first", "second", "either"])
def test_a_herald_that_only_one_side_hears_is_noticed_by_the_other(
    worlds: SimpleNamespace, deaf: str, lanes: int
) -> None:
    document = worlds.line("alice", "r", "bob", memories=lanes, success_probability=P, fidelity=F)
    document["route"][0]["lanes"] = lanes
    world = worlds.read(document)
    fault = world.network.inject(
        "one-sided-herald", "alice-r", start_ns=100 * MS, end_ns=103 * MS, percent=100, deaf=deaf
    )
    times = run(world, 1200 * MS)
    assert fault.fired > 0
    broken = [r for r in worlds.records_of(world) if r.kind == "broken"]
    assert {r.fields[3] for r in broken} == {"alice~r"}
    assert {r.actor for r in broken} == {"alice", "bob"}
    assert rate(times, 1000 * MS, 2 * S) > 20
    assert not [r for r in worlds.records_of(world) if r.kind == "stalled"]


def test_a_herald_that_was_lost_is_noticed_at_the_tear_down_too(worlds: SimpleNamespace) -> None:
    world = link(worlds)
    world.network.inject("one-sided-herald", "alice-bob", start_ns=90 * MS, percent=100)
    run(world, 100 * MS)
    assert [r for r in worlds.records_of(world) if r.kind == "broken"]


@pytest.mark.parametrize("side", ["first", "second"])
@pytest.mark.parametrize("kind", ["plain", "nested", "distil"])
def test_if_the_sides_of_a_link_are_told_different_bell_states_both_ends_give_the_pair_up(
    worlds: SimpleNamespace, side: str, kind: str
) -> None:
    document = worlds.line("alice", "r1", "r2", "bob", memories=3, success_probability=0.3, fidelity=0.95)
    terms = {"nested": {"order": "nested"}, "distil": {"distil": "dejmps"}}.get(kind, {})
    document["route"] = [{"a": "alice", "b": "bob", "lanes": 3} | terms]
    world = worlds.read(document)
    faults = [
        world.network.inject("wrong-bell", target, start_ns=1, percent=30, side=side, flip=flip)
        for flip, target in enumerate(("alice-r1", "r1~r2", "r2-bob"), start=1)
    ]
    times = run(world, 150 * MS)
    assert all(fault.fired > 10 for fault in faults)
    assert len(times) > 15
    assert fidelity(world)[0] > 0.7, "no pair of which they believe the wrong thing"


def test_if_both_sides_are_told_the_wrong_bell_state_only_the_true_fidelity_shows_it(worlds: SimpleNamespace) -> None:
    world = link(worlds, success_probability=1.0)
    world.network.inject("wrong-bell", "alice~bob", percent=40)
    run(world, 60 * MS)
    mean, sem = fidelity(world)
    assert mean == pytest.approx(0.6 * F + 0.4 * (1 - F) / 3, abs=5 * sem)


def test_names_of_pairs_that_come_back_break_the_circuits_over_the_station(worlds: SimpleNamespace) -> None:
    document = worlds.line("alice", "r", "bob", memories=4, success_probability=P, fidelity=F)
    document["route"][0]["lanes"] = 4
    world = worlds.read(document)
    for k in range(1, 10):
        world.network.inject("sequence-reset", "alice-r", start_ns=k * 30 * MS)
    times = run(world, 500 * MS)
    assert len([r for r in worlds.records_of(world) if r.kind == "broken" and r.actor == "alice"]) >= 5
    assert rate(times, 400 * MS, S) > 20


def test_a_station_without_a_switch_can_lose_its_only_analyser(worlds: SimpleNamespace) -> None:
    world = link(worlds)
    world.network.inject("analyser-down", "alice~bob", start_ns=100 * MS, end_ns=200 * MS)
    times = run(world, 300 * MS)
    assert rate(times, 101 * MS, 200 * MS) == 0
    assert rate(times, 200 * MS, 300 * MS) > 50
    with pytest.raises(FaultError, match="alice~bob has 1"):
        world.network.inject("analyser-down", "alice~bob", analysers=2)
    with pytest.raises(FaultError, match="alice~bob has no switch"):
        world.network.inject("switch-stuck", "alice~bob")


def star(worlds: SimpleNamespace, analysers: int, demands: int) -> World:
    shared = {"length_km": 10, "success_probability": 0.2, "fidelity": F, "memories": 1}
    routes = [{"a": f"hub-{2 * k + 1}", "b": f"hub-{2 * k + 2}"} for k in range(demands)]
    table = {"name": "hub", "end_nodes": 2 * demands, "analysers": analysers, "slot_ms": 5} | shared
    return worlds.read({"star": [table], "route": routes})  # type: ignore[no-any-return]


def test_analysers_that_are_down_take_their_part_of_the_capacity(worlds: SimpleNamespace) -> None:
    counts = {}
    for down in (0, 1, 3):
        world = star(worlds, 4, 8)
        if down:
            world.network.inject("analyser-down", "hub~switch", start_ns=1, end_ns=250 * MS, analysers=down)
        counts[down] = len(run(world, 250 * MS))
    assert counts[1] == pytest.approx(0.75 * counts[0], rel=0.1)
    assert counts[3] == pytest.approx(0.25 * counts[0], rel=0.15)


def test_analysers_go_down_in_use_and_come_back_and_nobody_is_forgotten(worlds: SimpleNamespace) -> None:
    world = star(worlds, 2, 4)
    for k in range(1, 20):
        world.network.inject("analyser-down", "hub~switch", start_ns=20 * k * MS, end_ns=(20 * k + 10) * MS)
        if k % 3 == 0:
            world.network.inject(
                "analyser-down", "hub~switch", start_ns=(20 * k + 2) * MS, end_ns=(20 * k + 15) * MS, analysers=2
            )
    world.network.inject("crash", "hub~switch", start_ns=115 * MS, end_ns=125 * MS)
    times = run(world, 500 * MS)
    assert rate(times, 450 * MS, 500 * MS) > 20


def test_a_switch_that_is_stuck_serves_only_those_it_joins(worlds: SimpleNamespace) -> None:
    world = star(worlds, 1, 2)
    fault = world.network.inject("switch-stuck", "hub~switch", start_ns=203 * MS, end_ns=400 * MS)
    pairs: list[tuple[int, str]] = []
    world.network.history.observe("pair", lambda r: pairs.append((r.time_ns, r.fields[0])))
    run(world, 600 * MS)
    assert fault.fired > 0
    assert len({head for time_ns, head in pairs if 204 * MS < time_ns < 400 * MS}) == 1
    for start_ns, end_ns in ((0, 203 * MS), (400 * MS, 600 * MS)):
        assert len({head for time_ns, head in pairs if start_ns < time_ns < end_ns}) == 2


def test_a_cut_arm_of_a_switch_is_that_of_one_node(worlds: SimpleNamespace) -> None:
    world = star(worlds, 2, 2)
    world.network.inject("cut", "hub-1-hub", start_ns=100 * MS, end_ns=300 * MS, classical=True)
    pairs: list[tuple[int, str]] = []
    world.network.history.observe("pair", lambda r: pairs.append((r.time_ns, r.fields[0])))
    run(world, 500 * MS)
    assert {head for time_ns, head in pairs if 101 * MS < time_ns < 300 * MS} == {"hub-3"}
    assert {head for time_ns, head in pairs if time_ns > 400 * MS} == {"hub-1", "hub-3"}
    with pytest.raises(FaultError, match="no fibre joins 'hub-1' and 'hub-2'"):
        world.network.inject("cut", "hub-1-hub-2")


def test_two_losses_on_one_link_come_together_and_two_cuts_contradict(worlds: SimpleNamespace) -> None:
    world = link(worlds)
    for _ in range(2):
        world.network.inject("added-loss", "alice-bob", start_ns=1, loss_db=3.0)
    station: Any = world.network.actors["alice~bob"]
    seen = []
    world.network.timeline.at(5, lambda: seen.append(station.link((0, 1), 0.0).model.p_success))
    world.network.inject("cut", "alice-bob", start_ns=50 * MS, end_ns=60 * MS)
    with pytest.raises(FaultError, match="contradicts 'cut alice-bob'"):
        world.network.inject("cut", "bob|alice", start_ns=55 * MS)
    run(world, 100 * MS)
    assert seen == [pytest.approx(P * 10**-0.6)]


def test_a_circuit_whose_link_makes_nothing_says_so_until_it_does_again(worlds: SimpleNamespace) -> None:
    world = link(worlds)
    world.network.inject("cut", "alice-bob", start_ns=100 * MS, end_ns=1500 * MS)
    run(world, 1600 * MS)
    ((stall),) = world.stalls.as_json(1600 * MS)
    assert stall["circuit"] == "alice>bob:1.1"
    assert stall["station"] == "alice~bob"
    # 30 heralds should have come by 60 ms after the cut; nodes look twice a second.
    assert 0.16 < stall["since_s"] < 0.7
    assert stall["since_s"] + stall["seconds"] == pytest.approx(1.5, abs=0.01)
