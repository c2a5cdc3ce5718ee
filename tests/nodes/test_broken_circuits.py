"""Nodes and stations that lose their memory: circuits are given up at once, and made anew. Nothing is left."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from emulator import MS, Envelope, S
from nodes import ProgramNode
from scenarios.build import World

NAMES = ("alice", "r1", "r2", "r3", "bob")
STATIONS = tuple(f"{a}~{b}" for a, b in pairwise(NAMES))


class Loss:
    """A channel fault that loses 10 of 100 envelopes."""

    def __init__(self, seed: str) -> None:
        self._rng = random.Random(seed)

    def deliveries(self, envelope: Envelope, arrival_ns: int) -> Iterable[tuple[Envelope, int]]:
        return [] if self._rng.random() < 0.1 else [(envelope, arrival_ns)]


def document(worlds: SimpleNamespace, **route: Any) -> dict[str, Any]:
    found: dict[str, Any] = worlds.line(*NAMES, memories=8, success_probability=0.03, fidelity=0.95)
    found["route"] = [{"a": "alice", "b": "bob"} | route]
    return found


def crash(world: World, name: str, at_ns: int, *, back_after_ns: int = 20 * MS) -> None:
    world.network._restart_ns[name] = back_after_ns
    world.network.timeline.at(at_ns, world.network.crash, name)


def delivered_after(world: World, time_ns: int) -> list[int]:
    """Return a list that fills with the times of pairs delivered after a time."""
    times: list[int] = []
    world.network.history.observe("pair", lambda r: times.append(r.time_ns) if r.time_ns > time_ns else None)
    return times


def assert_whole(world: World, leaks: dict[str, int]) -> None:
    assert (leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)


@pytest.mark.parametrize("name", [*NAMES, *STATIONS])
@pytest.mark.parametrize("terms", [{"lanes": 2, "order": "nested"}, {"lanes": 4, "distil": "dejmps"}], ids=str)
def test_whoever_loses_their_memory_pairs_come_again_and_nothing_leaks(
    worlds: SimpleNamespace, name: str, terms: dict[str, Any]
) -> None:
    world = worlds.read(document(worlds, **terms))
    crash(world, name, 100 * MS)
    late = delivered_after(world, 300 * MS)
    outcome = world.network.run(for_ns=400 * MS)
    assert_whole(world, outcome.leaks)
    assert len(late) > 4
    broken = [record for record in worlds.records_of(world) if record.kind == "broken"]
    told = {"alice": {"bob"}, "bob": {"alice"}}.get(name, {"alice", "bob"})
    assert {record.actor for record in broken} == told
    assert {record.fields for record in broken} == {("alice>bob:1.1", "alice", "bob", name)}


@pytest.mark.parametrize("lossy", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_crashes_at_random_moments_leave_nothing_behind(worlds: SimpleNamespace, seed: int, *, lossy: bool) -> None:
    rng = random.Random(seed)
    terms = rng.choice([{}, {"lanes": 3, "order": "nested"}, {"lanes": 3, "distil": "dejmps"}, {"cutoff_s": 0.002}])
    world = worlds.read(document(worlds, **terms, pairs=rng.choice([0, 3]), pause_s=0.001), seed=seed)
    for _ in range(rng.randrange(2, 12)):
        crash(world, rng.choice(NAMES + STATIONS), rng.randrange(1, 600 * MS), back_after_ns=rng.randrange(1, 90 * MS))
    if lossy:
        for name, actor in world.network.actors.items():
            for neighbour, channel in actor._cell.channels.items():
                channel.faults.append(Loss(f"{name} to {neighbour}"))
                world.network.timeline.at(800 * MS, channel.faults.clear)
    late = delivered_after(world, 1500 * MS)
    outcome = world.network.run(for_ns=2 * S)
    assert_whole(world, outcome.leaks)
    assert len(late) > 4


def test_programs_at_both_ends_go_on_when_a_node_between_them_has_crashed(worlds: SimpleNamespace) -> None:
    world = worlds.read(document(worlds) | {"route": []})
    got: dict[str, list[tuple[int, object]]] = {"alice": [], "bob": []}

    async def alice(node: ProgramNode) -> None:
        async with node.circuit(to="bob") as circuit:
            await take(node, circuit)

    async def bob(node: ProgramNode) -> None:
        async with node.accept("alice") as circuit:
            await take(node, circuit)

    async def take(node: ProgramNode, circuit: Any) -> None:
        while node.now_ns < 400 * MS:
            pair = await circuit.pair()
            got[node.name].append((node.now_ns, pair.name))
            node.discard(pair.qubit)

    world.install("alice", alice)
    world.install("bob", bob)
    crash(world, "r2", 100 * MS)
    outcome = world.network.run(for_ns=S)
    assert_whole(world, outcome.leaks)
    assert world.programs.failures == []
    for pairs in got.values():
        times = [time_ns for time_ns, _ in pairs]
        assert min(times) < 90 * MS
        assert any(time_ns > 300 * MS for time_ns in times)
    names = [{name for time_ns, name in pairs if time_ns < 90 * MS or time_ns > 300 * MS} for pairs in got.values()]
    assert len(names[0] ^ names[1]) <= 2, "but for what was under way at the limits"


def test_when_the_head_end_has_crashed_the_program_at_the_tail_end_is_told(worlds: SimpleNamespace) -> None:
    world = worlds.read(document(worlds) | {"route": []})
    ends: list[str] = []

    async def alice(node: ProgramNode) -> None:
        async with node.circuit(to="bob") as circuit:
            while True:
                node.discard((await circuit.pair()).qubit)  # type: ignore[arg-type]

    async def bob(node: ProgramNode) -> None:
        for _ in range(2):
            async with node.accept("alice") as circuit:
                try:
                    while node.now_ns < 400 * MS:
                        node.discard((await circuit.pair()).qubit)  # type: ignore[arg-type]
                except Exception as error:  # noqa: BLE001
                    ends.append(type(error).__name__)

    world.install("alice", alice)
    world.install("bob", bob)
    crash(world, "alice", 100 * MS)
    outcome = world.network.run(for_ns=S)
    assert_whole(world, outcome.leaks)
    assert world.programs.failures == []
    assert ends == ["CircuitClosedError"]
