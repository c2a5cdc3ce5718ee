"""Faults of nodes and of signalling, in worlds of a few nodes: what they do, and that the circuits survive them."""

from __future__ import annotations

import math
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from emulator import MS, Bank, Engine, FaultError, MemoryFullError, MemoryNoise, QuantumMemory, Qubit, S
from emulator.faults.hardware import Hastened
from nodes import CircuitClosedError, ProgramNode
from scenarios.build import World

P = 0.3


def line(worlds: SimpleNamespace, lanes: int = 2, **changes: Any) -> World:
    """Return alice, r and bob; ideal pairs, and what `changes` says of the links."""
    hardware = changes.pop("override", {})
    document = worlds.line("alice", "r", "bob", memories=lanes, **({"success_probability": P} | changes))
    document["route"] = [{"a": "alice", "b": "bob", "lanes": lanes}]
    return worlds.read(document | {"override": hardware})  # type: ignore[no-any-return]


def run(world: World, for_ns: int = 300 * MS) -> list[int]:
    """Run a world, and return when pairs came to the head-end; nothing may be wrong or left."""
    times: list[int] = []
    world.network.history.observe("pair", lambda r: times.append(r.time_ns) if r.fields[2] == 0 else None)
    outcome = world.network.run(for_ns=for_ns)
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)
    return times


def rate(times: list[int], start_ns: int, end_ns: int) -> int:
    return sum(start_ns < time_ns <= end_ns for time_ns in times)


def fidelity(world: World) -> tuple[float, float]:
    statistics = world.monitor.routes["alice", "bob"]
    assert statistics.fidelity_mean is not None
    return statistics.fidelity_mean, statistics.fidelity_sem or 0.0


# -- hardware ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "attributes", "expected"),
    [
        # A Werner pair after depolarising; two flipped bits, which leave one Bell state of four.
        ("gate-errors", {"depolarising": 0.2}, 0.8 + 0.2 / 4),
        ("readout-errors", {"error": 0.1}, 0.9**2),
    ],
)
def test_swaps_of_worn_hardware_are_as_bad_as_it_says(
    worlds: SimpleNamespace, kind: str, attributes: dict[str, float], expected: float
) -> None:
    world = line(worlds)
    fault = world.network.inject(kind, "r", **attributes)
    times = run(world)
    mean, sem = fidelity(world)
    assert mean == pytest.approx(expected, abs=5 * sem + 1e-9)
    assert fault.fired >= len(times)


def test_worn_hardware_is_as_it_was_when_the_fault_is_over(worlds: SimpleNamespace) -> None:
    world = line(worlds)
    for kind in ("gate-errors", "readout-errors", "memory-noise"):
        world.network.inject(kind, "r", start_ns=10 * MS, end_ns=20 * MS)
    run(world, 21 * MS)
    after = line(worlds)
    after.network.inject("gate-errors", "r", start_ns=2, end_ns=3, depolarising=1.0)
    run(after)
    assert fidelity(after)[0] == pytest.approx(1.0)
    assert fidelity(world)[0] < 0.99
    assert world.network.actors["r"]._device is world.network.engine  # type: ignore[attr-defined]


def test_wear_of_several_kinds_comes_together(worlds: SimpleNamespace) -> None:
    world = line(worlds)
    world.network.inject("gate-errors", "r", depolarising=0.2)
    world.network.inject("gate-errors", "r", depolarising=0.1)
    world.network.inject("readout-errors", "r", error=0.1)
    run(world)
    mean, sem = fidelity(world)
    intact = 0.8 * 0.9
    assert mean == pytest.approx(intact * 0.81 + (1 - intact) / 4, abs=5 * sem)


def test_fast_noise_acts_on_what_is_stored_too() -> None:
    engine = Engine()
    noise = MemoryNoise(t1_s=2.0, t2_s=1.0)
    memory = QuantumMemory(engine, "a", {"m": Bank(2, noise)})
    memory.reserve("m", ("c", "b"), 2)
    a, b = memory.take("m", ("c", "b")), memory.take("m", ("c", "b"))
    engine.new_pair((1, *(0,) * 4, 1, *(0,) * 4, -1, *(0,) * 4, 1), a.id, b.id, times_ns=(0, 0), bell=0)
    engine.store(a.id, Hastened(noise, 10.0), S)
    engine.store(a.id, noise, 2 * S)
    xx = engine.snapshot(a.id, b.id).at(3 * S, 0).r[5]
    assert xx == pytest.approx(math.exp(-1 - 10 - 1))


def test_memories_that_decohere_faster_make_worse_pairs_and_nobody_knows(worlds: SimpleNamespace) -> None:
    found = {}
    for factor in (1.0, 0.05):
        world = line(worlds, success_probability=0.05, override={"t2_s": 0.05})
        world.network.inject("memory-noise", "r", factor=factor)
        run(world)
        believed = [r.fields for r in worlds.records_of(world) if r.kind == "message" and r.actor == "bob"]
        tracks = [fields[3].contrasts[0] for fields in believed if hasattr(fields[3], "announced")]
        found[factor] = fidelity(world)[0], sum(tracks) / len(tracks)
    assert found[0.05][0] < found[1.0][0] - 0.05
    assert found[0.05][1] == pytest.approx(found[1.0][1])


def test_a_node_that_is_calibrated_makes_no_attempts_and_goes_on_afterwards(worlds: SimpleNamespace) -> None:
    world = line(worlds)
    world.network.inject("calibration", "r", start_ns=100 * MS, end_ns=150 * MS)
    world.network.inject("calibration", "r", start_ns=120 * MS, end_ns=200 * MS)
    times = run(world)
    assert rate(times, 101 * MS, 200 * MS) == 0
    assert rate(times, 200 * MS, 300 * MS) > 0.8 * rate(times, 0, 100 * MS) > 50


# -- memory positions --------------------------------------------------------------------------------------------------


def take(memory: QuantumMemory, n: int) -> list[Qubit]:
    return [memory.take("m", ("c", "b")) for _ in range(n)]


def test_a_position_that_has_leaked_is_never_used_and_nobody_can_reserve_it() -> None:
    memory = QuantumMemory(Engine(), "a", {"m": Bank(4)})
    assert memory.reserve("m", ("c", "b"), 3)
    memory.spoil("m", 2)
    assert (memory.spare("m", ("c", "b")), memory.available("m")) == (2, -1)
    assert not memory.reserve("m", ("d", "b"), 1)
    qubits = take(memory, 2)
    assert len({qubit.id[1] for qubit in qubits}) == 2
    with pytest.raises(MemoryFullError):
        memory.take("m", ("c", "b"))
    memory.spoil("m", 1)  # as soon as one is free
    memory.free(qubits.pop())
    assert memory.spare("m", ("c", "b")) == 0
    memory.spoil("m", -3)
    assert memory.spare("m", ("c", "b")) == 2
    for qubit in qubits + take(memory, 2):
        memory.free(qubit)
    memory.unreserve("m", ("c", "b"), 3)
    assert memory.available("m") == 4


def test_mending_what_has_not_leaked_yet_leaves_it_in_use() -> None:
    memory = QuantumMemory(Engine(), "a", {"m": Bank(1)})
    memory.reserve("m", ("c", "b"), 1)
    (qubit,) = take(memory, 1)
    memory.spoil("m", 1)
    memory.spoil("m", -1)
    memory.free(qubit)
    memory.free(memory.take("m", ("c", "b")))


def test_a_circuit_over_a_node_whose_positions_have_leaked_waits(worlds: SimpleNamespace) -> None:
    world = line(worlds, lanes=1)
    world.network.inject("leaked-qubit", "r", bank="towards bob", start_ns=100 * MS, end_ns=200 * MS)
    times = run(world)
    assert rate(times, 102 * MS, 200 * MS) == 0
    assert rate(times, 200 * MS, 300 * MS) > 50
    for attributes, words in ({"bank": "x"}, "no bank 'x'"), ({"positions": 2}, "1 positions in bank 'towards alice'"):
        with pytest.raises(FaultError, match=words):
            world.network.inject("leaked-qubit", "r", **attributes)  # type: ignore[arg-type]


# -- signalling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("message", "node"), [("reserve", "r"), ("reserve", "bob"), ("confirm", "r")])
def test_a_circuit_that_some_nodes_do_not_know_of_is_given_up_and_asked_for_anew(
    worlds: SimpleNamespace, message: str, node: str
) -> None:
    world = line(worlds)
    fault = world.network.inject("partial-installation", node, message=message)
    times = run(world, S + 400 * MS)
    assert fault.fired == 1
    assert min(times) > S, "the patience of the head-end"
    assert rate(times, S + 200 * MS, S + 400 * MS) > 50
    refused = [r.fields[2] for r in worlds.records_of(world) if r.kind == "refused"]
    assert refused == ["no answer to the reservation"]


def test_a_run_that_ends_before_the_patience_is_over_leaves_nothing(worlds: SimpleNamespace) -> None:
    world = line(worlds)
    world.network.inject("partial-installation", "r")
    assert run(world, 10 * MS) == []


def test_an_end_of_a_request_that_a_node_overlooks_does_no_harm(worlds: SimpleNamespace) -> None:
    world = worlds.read(worlds.line("alice", "r", "bob", memories=2) | {"route": []})
    fault = world.network.inject("lost-complete", "r", messages=100)
    got: list[int] = []

    async def alice(node: ProgramNode) -> None:
        async with node.circuit(to="bob", delivery=None) as circuit:
            for number in (1, 2, 3):
                async with circuit.request(pairs=5) as request:
                    for _ in range(5):
                        pair = await request.pair()
                        got.append(number)
                        node.discard(pair.qubit)
                await trio.sleep(0.005)

    async def bob(node: ProgramNode) -> None:
        async with node.accept("alice") as circuit:
            with suppress(CircuitClosedError):
                while True:
                    node.discard((await circuit.pair()).qubit)

    world.install("alice", alice)
    world.install("bob", bob)
    run(world)
    assert got == [1] * 5 + [2] * 5 + [3] * 5
    assert fault.fired > 0


def test_an_overload_is_refused_or_waits_and_is_over(worlds: SimpleNamespace) -> None:
    world = line(worlds)
    fault = world.network.inject("overload", "alice>bob", start_ns=50 * MS, circuits=10, pairs=2)
    times = run(world)
    assert fault.fired == 10
    assert len([r for r in worlds.records_of(world) if r.kind == "refused"]) == 10
    assert rate(times, 200 * MS, 300 * MS) > 50
    for target, words in (
        ("alice>r", "'r' is no end node"),
        ("alice>alice", "no path"),
        ("alice", "no pair of end nodes"),
    ):
        with pytest.raises(FaultError, match=words):
            world.network.inject("overload", target)


def test_an_overload_that_finds_room_gets_its_pairs(worlds: SimpleNamespace) -> None:
    document = worlds.line("alice", "bob", memories=4)
    document["route"] = [{"a": "alice", "b": "bob"}]
    world = worlds.read(document)
    world.network.inject("overload", "bob>alice", start_ns=50 * MS, circuits=3, pairs=4)
    run(world, 100 * MS)
    assert world.monitor.routes["bob", "alice"].delivered >= 12


# -- wrong targets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "target", "words"),
    [
        ("memory-noise", "alice~r", "is a station; this fault is for a node, such as 'alice'"),
        ("controller-crash", "r", "is a node; this fault is for a controller, and there is none"),
        ("wrong-bell", "alice~x", "no station 'alice~x'; did you mean 'alice~r'"),
        ("cut", "alice-bob", "no fibre joins 'alice' and 'bob'; from 'alice' there are fibres to 'r'"),
        ("clock-offset", "alice~r", "is a station; this fault is for a node"),
        ("pause", "carol", "nobody named 'carol'"),
    ],
)
def test_a_target_that_cannot_have_the_fault_is_refused_with_one_that_can(
    worlds: SimpleNamespace, kind: str, target: str, words: str
) -> None:
    with pytest.raises(FaultError, match=words) as error:
        line(worlds).network.inject(kind, target)
    assert error.value.part == "target"
