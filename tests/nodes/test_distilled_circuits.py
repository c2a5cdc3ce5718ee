"""Circuits whose pairs are distilled: fidelity, yield, Bell states, hardware, refusals, tear-down; in emulated time."""

from __future__ import annotations

import math
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from emulator import MS, Record, S, parity
from nodes import CircuitRefusedError, Demand, Pair, ProgramNode, Terms
from nodes.circuits import Track
from nodes.distillation import PROTOCOLS, werner
from scenarios.load import InputError
from scenarios.report import Run
from scenarios.run import run_programs

X_AXIS = (1.0, 0.0, 0.0)


def chain(worlds: SimpleNamespace, links: int, distil: str, rounds: int = 1, **link: Any) -> dict[str, Any]:
    names = ("alice", *(f"r{k}" for k in range(1, links)), "bob")
    lanes = link.pop("lanes", rounds + 1)
    document: dict[str, Any] = worlds.line(*names, **({"success_probability": 0.4, "memories": lanes} | link))
    document["route"][0] |= {"lanes": lanes, "distil": distil, "rounds": rounds}
    return document


def attempts_by_round(worlds: SimpleNamespace, world: Any) -> Counter[int]:
    """Return how often the head-end has done its part in each round."""
    records = [r for r in worlds.records_of(world) if r.kind == "distil" and r.actor == "alice"]
    return Counter(r.fields[1] for r in records)


def check_clean(worlds: SimpleNamespace, world: Any, outcome: Any) -> Any:
    assert outcome.leaks == {}
    assert world.invariants.violations == []
    assert world.monitor.unmatched == 0
    assert worlds.strays_of(world) == 0
    return world.monitor.routes["alice", "bob"]


def check_share(found: int, of: int, expected: float, margin: int) -> None:
    """Check a relative frequency to three standard errors; as many as `margin` may have been cut short at the end."""
    assert abs(found - of * expected) < 3 * math.sqrt(of * expected * (1 - expected)) + margin


@pytest.mark.parametrize("links", [1, 2])
@pytest.mark.parametrize("rounds", [1, 2])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_fidelity_and_yield_of_werner_links_are_as_forecast(
    worlds: SimpleNamespace, name: str, rounds: int, links: int
) -> None:
    fidelity = 0.92
    world = worlds.read(chain(worlds, links, name, rounds, fidelity=fidelity))
    outcome = world.network.run(for_ns=400 * MS)
    statistics = check_clean(worlds, world, outcome)
    weights = werner((1 + 3 * ((4 * fidelity - 1) / 3) ** links) / 4)
    attempts = attempts_by_round(worlds, world)
    for k in range(rounds):
        forecast = PROTOCOLS[name].forecast(weights, weights)
        weights = forecast.weights
        kept = statistics.delivered if k + 1 == rounds else 2 * attempts[k + 1]
        assert attempts[k] > 50
        check_share(kept, attempts[k], forecast.success, margin=3)
    assert abs(statistics.fidelity_mean - weights[0]) < 3 * statistics.fidelity_sem + 1e-9


@pytest.mark.parametrize("order", ["asap", "nested"])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_perfect_pairs_in_all_bell_states_stay_perfect_and_both_ends_know_which(
    worlds: SimpleNamespace, name: str, order: str
) -> None:
    document = chain(worlds, 3, name, 2)
    document["route"][0]["order"] = order
    world = worlds.read(document)
    outcome = world.network.run(for_ns=300 * MS)
    statistics = check_clean(worlds, world, outcome)
    assert statistics.fidelity_mean == pytest.approx(1, abs=1e-9)
    assert {p.bell for p in worlds.pairs_of(world)} == {0, 1, 2, 3}
    ends: dict[Any, set[int]] = {}
    for pair in worlds.pairs_of(world):
        ends.setdefault((pair.head, pair.tail), set()).add(pair.bell)
    assert all(len(bells) == 1 for bells in ends.values())


@pytest.mark.parametrize("order", ["asap", "nested"])
@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_one_lane_more_than_rounds_never_runs_into_a_deadlock(worlds: SimpleNamespace, rounds: int, order: str) -> None:
    document = chain(worlds, 2, "dejmps", rounds, fidelity=0.9, station_at=0.3, bit_rate_per_s=1e7)
    document["route"][0]["order"] = order
    world = worlds.read(document)
    halves = []
    delivered = lambda: world.monitor.routes["alice", "bob"].delivered  # noqa: E731
    world.network.watch(200 * MS, lambda: halves.append(delivered()))
    outcome = world.network.run(for_ns=401 * MS)
    check_clean(worlds, world, outcome)
    assert 0 < halves[0] < halves[1]


def test_the_same_seed_has_the_same_history(worlds: SimpleNamespace) -> None:
    histories = []
    for _ in range(2):
        world = worlds.read(chain(worlds, 2, "bbpssw", 2, fidelity=0.9))
        world.network.run(for_ns=50 * MS)
        histories.append(world.network.history.sha256())
    assert histories[0] == histories[1]


def test_noisy_gates_lower_fidelity_and_yield_as_they_should(worlds: SimpleNamespace) -> None:
    p = 0.04
    document = chain(worlds, 1, "epl") | {"override": {"two_qubit_depolarising": p}}
    document["route"][0]["distil"] = "dejmps"
    world = worlds.read(document)
    outcome = world.network.run(for_ns=400 * MS)
    statistics = check_clean(worlds, world, outcome)
    intact = (1 - p) ** 2  # else one end's qubits are mixed: half of such pairs are kept, and those are worth nothing
    success = intact + (1 - intact) / 2
    attempts = attempts_by_round(worlds, world)
    check_share(statistics.delivered, attempts[0], success, margin=2)
    assert statistics.fidelity_mean == pytest.approx((intact + (1 - intact) / 8) / success, abs=1e-9)


def test_wrong_read_outs_cost_perfect_pairs_but_spoil_none(worlds: SimpleNamespace) -> None:
    document = chain(worlds, 1, "dejmps")
    document["override"] = {"readout_error_0": 0.1, "readout_error_1": 0.1}
    world = worlds.read(document)
    outcome = world.network.run(for_ns=300 * MS)
    statistics = check_clean(worlds, world, outcome)
    check_share(statistics.delivered, attempts_by_round(worlds, world)[0], 0.9**2 + 0.1**2, margin=2)
    assert statistics.fidelity_mean == pytest.approx(1, abs=1e-9)


def test_a_read_out_without_an_answer_costs_the_pair(worlds: SimpleNamespace) -> None:
    document = chain(worlds, 1, "dejmps") | {"override": {"readout_efficiency": 0.8}}
    world = worlds.read(document)
    outcome = world.network.run(for_ns=300 * MS)
    statistics = check_clean(worlds, world, outcome)
    check_share(statistics.delivered, attempts_by_round(worlds, world)[0], 0.64, margin=2)


@pytest.mark.parametrize(("name", "turns"), [("dejmps", 2), ("epl", 0)])
def test_each_end_takes_the_time_of_its_gates_and_its_read_out(worlds: SimpleNamespace, name: str, turns: int) -> None:
    document = chain(worlds, 1, name) | {"override": {"one_qubit_us": 10, "two_qubit_us": 200, "readout_us": 3000}}
    world = worlds.read(document)
    world.network.run(for_ns=30 * MS)
    records = [r for r in worlds.records_of(world) if r.actor == "alice"]
    first = next(r.time_ns for r in records if r.kind == "distil")
    tracks = [r.time_ns for r in records if r.kind == "message" and isinstance(r.fields[3], Track)]
    assert first - tracks[1] == (turns * 10 + 200 + 3000) * 1000


def test_pairs_go_through_rounds_behind_an_optical_switch(worlds: SimpleNamespace) -> None:
    star = {"name": "city", "end_nodes": 2, "analysers": 1, "length_km": 5, "memories": 3}
    optics = {"success_probability": 0.5, "fidelity": 0.9}
    route = {"a": "city-1", "b": "city-2", "lanes": 3, "distil": "dejmps", "rounds": 2}
    world = worlds.read({"star": [star | optics], "route": [route]})
    outcome = world.network.run(for_ns=S // 2)
    statistics = world.monitor.routes["city-1", "city-2"]
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)
    assert statistics.delivered > 20
    forecast = PROTOCOLS["dejmps"].forecast(werner(0.9), werner(0.9))
    second = PROTOCOLS["dejmps"].forecast(forecast.weights, forecast.weights)
    assert statistics.fidelity_mean == pytest.approx(second.weights[0], abs=1e-9)


def test_epl_makes_pure_pairs_over_a_lossy_single_click_link(worlds: SimpleNamespace) -> None:
    document = chain(worlds, 1, "epl", length_km=20)
    link = {key: value for key, value in document["link"][0].items() if key not in {"success_probability", "fidelity"}}
    document["link"] = [link | {"scheme": "single_click"}]
    document["override"] = {"bright_population": 0.3}
    raw = worlds.read(document | {"route": [{"a": "alice", "b": "bob"}]})
    raw.network.run(for_ns=100 * MS)
    fidelity = raw.monitor.routes["alice", "bob"].fidelity_mean
    assert fidelity is not None
    assert 0.5 < fidelity < 0.9
    world = worlds.read(document)
    outcome = world.network.run(for_ns=300 * MS)
    statistics = check_clean(worlds, world, outcome)
    assert statistics.delivered > 50
    assert statistics.fidelity_mean == pytest.approx(1, abs=1e-9)
    check_share(statistics.delivered, attempts_by_round(worlds, world)[0], fidelity**2 / 2, margin=2)


@pytest.mark.parametrize("pairs", [1, 3])
def test_many_short_circuits_leave_nothing_half_done(worlds: SimpleNamespace, pairs: int) -> None:
    document = chain(worlds, 2, "dejmps", 2, lanes=4, fidelity=0.9)
    document["route"][0] |= {"pairs": pairs, "pause_s": 0.0001}
    document["override"] = {"two_qubit_us": 300}
    world = worlds.read(document)
    outcome = world.network.run(for_ns=400 * MS)
    statistics = check_clean(worlds, world, outcome)
    circuits = {r.fields[0] for r in worlds.records_of(world) if r.kind == "distil"}
    assert statistics.delivered >= pairs * (len(circuits) - 1) > 20


@pytest.mark.parametrize("until_ms", range(20, 60, 5))
def test_a_run_may_end_at_any_moment(worlds: SimpleNamespace, until_ms: int) -> None:
    document = chain(worlds, 3, "bbpssw", 2, lanes=4, fidelity=0.9) | {"override": {"readout_us": 1500}}
    world = worlds.read(document)
    outcome = world.network.run(for_ns=until_ms * MS + 123_456)
    check_clean(worlds, world, outcome)


def test_attempts_beside_a_pair_disturb_it_between_rounds_too(worlds: SimpleNamespace) -> None:
    disturbed = {}
    for attempts in (1e9, 40):
        document = chain(worlds, 1, "dejmps", 2, fidelity=1.0, success_probability=0.2)
        document["override"] = {"attempts_1_over_e": attempts}
        world = worlds.read(document)
        outcome = world.network.run(for_ns=300 * MS)
        disturbed[attempts] = check_clean(worlds, world, outcome).fidelity_mean
    assert disturbed[1e9] == pytest.approx(1, abs=1e-5)
    assert 0.5 < disturbed[40] < 0.995


# -- refusals ----------------------------------------------------------------------------------------------------------


def refusals(worlds: SimpleNamespace, document: dict[str, Any], demand: Demand) -> set[tuple[str, str]]:
    world = worlds.read(document | {"route": []})
    world.network.actors[demand.path[0]].demands.append(demand)
    outcome = world.network.run(for_ns=20 * MS)
    assert outcome.leaks == {}
    found: list[Record] = [r for r in worlds.records_of(world) if r.kind == "refused"]
    return {r.fields[1:] for r in found}


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        (Terms(distil="dejmps"), "distillation needs more lanes than rounds, not 1 for 1"),
        (Terms(lanes=3, distil="epl", rounds=3), "distillation needs more lanes than rounds, not 3 for 3"),
        (Terms(lanes=3, distil="epl", rounds=0), "0 rounds of distillation; it takes at least 1"),
        (Terms(lanes=3, distil="still"), "no distillation protocol 'still'; there are bbpssw, dejmps, epl"),
    ],
)
def test_a_distillation_that_cannot_be_done_is_refused(worlds: SimpleNamespace, terms: Terms, reason: str) -> None:
    document = worlds.line("alice", "bob", memories=4)
    assert refusals(worlds, document, Demand(("alice", "bob"), terms)) == {("alice", reason)}


def test_a_photonic_client_refuses_to_distil(worlds: SimpleNamespace) -> None:
    document = worlds.line("alice", "bob", memories=4)
    document["node"][1]["kind"] = "photonic"
    demand = Demand(("alice", "bob"), Terms(lanes=2, distil="dejmps"))
    assert refusals(worlds, document, demand) == {("bob", "this node cannot distil")}


def test_a_scenario_that_wants_the_impossible_is_refused_at_once(worlds: SimpleNamespace) -> None:
    document = chain(worlds, 1, "dejmps", 2, lanes=2)
    with pytest.raises(InputError, match=r"rounds = 2 of distillation takes lanes = 3 or more"):
        worlds.read(document)
    document = chain(worlds, 1, "dejmps")
    document["node"][1]["kind"] = "photonic"
    with pytest.raises(InputError, match=r"distil: 'bob' is a photonic client, which cannot distil"):
        worlds.read(document)


# -- programs ----------------------------------------------------------------------------------------------------------

LINK = ("links=1", "length_km=10", "hardware=ideal", "chain.0.success_probability=0.3", "chain.0.memories=4")


def collect(
    fidelity: float, *settings: str, distil: str = "dejmps", rounds: int = 2, count: int = 20
) -> tuple[list[Pair], Run]:
    """Return the pairs that two programs got and measured in X, those at the head-end, and the run."""
    seen: dict[str, list[tuple[Pair, int | None]]] = {"chain-a": [], "chain-b": []}

    async def take(node: ProgramNode, circuit: Any) -> None:
        for _ in range(count):
            pair = await circuit.pair()
            seen[node.name].append((pair, await node.measure(pair.qubit, X_AXIS)))

    async def alice(node: ProgramNode) -> None:
        async with node.circuit(to="chain-b", lanes=4, distil=distil, rounds=rounds) as circuit:
            await take(node, circuit)

    async def bob(node: ProgramNode) -> None:
        async with node.accept("chain-a") as circuit:
            await take(node, circuit)

    run: Run = run_programs(
        "chain",
        {"chain-a": alice, "chain-b": bob},
        for_s=2,
        settings=(*LINK, f"chain.0.fidelity={fidelity}", *settings),
    )
    assert (run.violations, run.outcome.leaks) == ([], {})
    assert len(seen["chain-a"]) == count
    for (mine, a), (theirs, b) in zip(seen["chain-a"], seen["chain-b"], strict=True):
        assert (mine.name, mine.bell) == (theirs.name, theirs.bell)
        assert mine.fidelity == pytest.approx(theirs.fidelity, abs=0.01), "told at different moments"
        if fidelity == 1:
            assert a is not None
            assert b is not None
            assert a ^ b == parity(mine.bell, 1)
    return [pair for pair, _ in seen["chain-a"]], run


def test_programs_get_distilled_pairs() -> None:
    collect(1.0)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_pair_comes_with_the_fidelity_that_distillation_has_given_it(name: str) -> None:
    weights = werner(0.9)
    for _ in range(2):
        weights = PROTOCOLS[name].forecast(weights, weights).weights
    for pair in collect(0.9, distil=name)[0]:
        assert pair.fidelity == pytest.approx(weights[0], abs=1e-9)


def test_the_estimate_counts_storage_before_between_and_after_the_rounds() -> None:
    pairs, run = collect(0.95, "override.depolarising_s=0.02", count=100)
    (statistics,) = run.world.monitor.routes.values()
    weights = werner(0.95)
    for _ in range(2):
        weights = PROTOCOLS["dejmps"].forecast(weights, weights).weights
    assert statistics.fidelity_mean is not None
    assert statistics.fidelity_mean < weights[0] - 0.01
    # Neither end counts how long the other stores the spent pair while a message is on its way.
    assert sum(pair.fidelity for pair in pairs) / len(pairs) == pytest.approx(statistics.fidelity_mean, abs=0.005)


def test_a_program_hears_why_its_pairs_cannot_be_distilled() -> None:
    refused: list[str] = []

    async def alice(node: ProgramNode) -> None:
        with pytest.raises(CircuitRefusedError) as caught:
            async with node.circuit(to="chain-b", lanes=2, distil="dejmps", rounds=2):
                pass
        refused.append(str(caught.value))

    run_programs("chain", {"chain-a": alice}, for_s=0.1, settings=(*LINK, "chain.0.fidelity=1"))
    assert refused == ["chain-a refused: distillation needs more lanes than rounds, not 2 for 2 (NORES)"]
