"""What the observer of invariants finds when something is wrong, and that it says where to look."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from emulator import MS, Half, Herald, Network, Port, Record
from nodes import Circuit, QuantumNode
from nodes.circuits import EAST, WEST, SwapRole
from scenarios import bench
from scenarios.build import Watched, World
from scenarios.invariants import Violation
from scenarios.load import load_text, read
from scenarios.report import Run, as_json, summary
from scenarios.run import built, prepare

S = 10**9
SETTINGS = ("links=3", "length_km=10", "hardware=ideal", "chain.0.success_probability=0.2", "chain.0.fidelity=1")


def world_of(*settings: str) -> World:
    return prepare("chain", (*SETTINGS, *settings), seed=3)[2]


def found(world: World, for_s: float = 0.05) -> list[Violation]:
    world.network.run(for_ns=round(for_s * S))
    return world.invariants.violations


def test_a_good_run_breaks_nothing() -> None:
    world = world_of("route.0.cutoff_s=0.002")
    assert found(world, 0.5) == []
    assert world.monitor.routes["chain-a", "chain-b"].delivered > 100


def test_an_actor_that_ends_by_an_error_is_a_violation_and_a_fault_is_not() -> None:
    world = world_of()
    for name in ("chain-1", "chain-2"):
        world.network._restart_ns[name] = 1000

    def oops() -> None:
        world.network.crash("chain-2", ZeroDivisionError("oops"))

    world.network.timeline.at(S // 100, world.network.crash, "chain-1")
    world.network.timeline.at(S // 50, oops)
    (violation,) = found(world)
    assert (violation.invariant, violation.actors) == ("crash", ("chain-2",))
    assert violation.text == "chain-2 ended by ZeroDivisionError"
    assert violation.time_ns == S // 50
    assert all(" chain-2 " in line for line in violation.before)
    assert violation.before


def test_a_forgotten_frame_update_is_found_with_the_swaps_by_which_the_pair_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swapped = SwapRole.swapped

    def forgetful(self: SwapRole, west: Any, east: Any, outcome: Any, *rest: Any) -> None:
        swapped(self, west, east, 0 if outcome is not None and self.index == 1 else outcome, *rest)

    monkeypatch.setattr(SwapRole, "swapped", forgetful)
    violations = found(world_of())
    assert {v.invariant for v in violations} == {"bell"}
    assert violations[0].lineage[0].startswith("chain-1 swapped chain-a~chain-1 ")
    assert len(violations[0].lineage) == 2
    assert violations[0].actors == ("chain-a", "chain-b")


def test_a_cutoff_that_is_not_kept_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def take_half(_: QuantumNode, circuit: Circuit, port: Port, half: Half) -> None:
        if isinstance(circuit.role, SwapRole):
            circuit.role.pair(EAST if port is circuit.ports[EAST] else WEST, half)

    monkeypatch.setattr(QuantumNode, "take_half", take_half)
    violations = found(world_of("route.0.cutoff_s=0.0002"), 0.2)
    assert {v.invariant for v in violations} == {"cutoff"}
    assert "ms old, beyond the cutoff" in violations[0].text


def test_a_herald_that_names_a_pair_again_is_found() -> None:
    world = world_of()
    station = world.network.actors["chain-1~chain-2"]

    def again() -> None:
        for name in ("chain-1", "chain-2"):
            station.send(name, Herald(999, 1, 0, 0, 0))

    world.network.timeline.at(S // 25, again)
    texts = [v.text for v in found(world)]
    assert {v.invariant for v in world.invariants.violations} == {"once"}
    assert texts[0].startswith("pair chain-1~chain-2 1 was announced to chain-1 after chain-1~chain-2 ")


def test_a_half_that_is_delivered_twice_is_found() -> None:
    world = world_of()
    first: list[Record] = []
    world.network.history.observe("pair", lambda record: first.append(record) if not first else None)

    def again() -> None:
        world.network.actors[first[0].actor].record("pair", *first[0].fields[:8], 0, 0)

    world.network.timeline.at(S // 25, again)
    violations = found(world)
    assert [v.invariant for v in violations] == ["once"]
    assert violations[0].text.endswith(f" was delivered at {first[0].actor} a second time")


def test_a_message_that_outruns_light_is_found() -> None:
    network: Network = world_of().network
    world = world_of()
    channel = world.network.channel("chain-1~chain-2", "chain-2")
    assert channel.latency_ns == network.channel("chain-1~chain-2", "chain-2").latency_ns
    channel._delay_ns = 1
    assert {v.invariant for v in found(world, 0.01)} == {"light"}


def test_the_report_tells_all_of_a_violation() -> None:
    world = world_of()
    world.network._restart_ns["chain-1"] = 1000
    world.network.timeline.at(S // 100, lambda: world.network.crash("chain-1", KeyError("x")))
    outcome = world.network.run(for_ns=S // 20)
    run = Run("chain", 3, 1.0, world, outcome, 1.0)
    assert not run.good
    data = as_json(run)
    assert data["violations"] == ["crash: chain-1 ended by KeyError, at 0.010000000 s"]
    assert data["violation_details"][0]["actors"] == ["chain-1"]
    lines = list(summary(run))
    at = lines.index("VIOLATION: crash: chain-1 ended by KeyError, at 0.010000000 s")
    assert lines[at + 1] == "  what its actors did just before:"
    assert "chain-1 crashes KeyError" in lines[-1]


def test_watching_changes_nothing_and_its_cost_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    label, text = read("chain")
    scenario, plan = load_text(label, text, ["links=2"])
    hashes = set()
    for watched in get_args(Watched):
        network = built(label, scenario, plan, seed=3, watched=watched).network
        network.run(for_ns=200 * MS)
        hashes.add(network.history.sha256())
    assert len(hashes) == 1
    monkeypatch.setattr(bench, "WATCHED", {"chain": (0.1, ("links=2",))})
    monkeypatch.setattr(bench, "_ROUNDS", 1)
    figures = bench.measure("invariants")["figures"]
    assert list(figures) == ["chain_invariants_percent", "chain_statistics_percent"]
    assert all(-100 < percent < 100 for percent in figures.values())
