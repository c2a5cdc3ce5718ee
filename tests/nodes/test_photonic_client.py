"""Clients without memory: their outcomes obey the parity rule of the Bell state that they were told."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from emulator import MS, US, Readout, parity
from nodes import NodePhysics, PhotonicClient

ALARM = 1e-6  # probability of a false alarm of each statistical assertion


def network(worlds: SimpleNamespace, head: str, tail: str, between: int, **options: Any) -> Any:
    """Build a path whose ends are of the given kinds, with so many hubs between."""
    names = ("alice", *(f"hub{k}" for k in range(1, between + 1)), "bob")
    document = worlds.line(*names, length_km=4, success_probability=0.5, memories=2)
    kinds = [head, *["hub"] * between, tail]
    document["node"] = [{"name": n, "kind": k, "hardware": "ideal"} for n, k in zip(names, kinds, strict=True)]
    for end in (document["node"][0], document["node"][-1]):
        end["override"] = options.pop("override", {})
    document["route"][0] |= {"lanes": 2, "order": options.pop("order", "asap")}
    return worlds.read(document, **options)


def rounds(worlds: SimpleNamespace, world: Any) -> list[Any]:
    """Match both ends' records of each pair: basis and outcome of each end, and the Bell index."""
    heads = {(p.head, p.tail): p for p in worlds.pairs_of(world) if p.end == 0}
    tails = {(p.head, p.tail): p for p in worlds.pairs_of(world) if p.end == 1}
    assert heads.keys() == tails.keys()
    return [
        SimpleNamespace(
            bell=head.bell,
            bases=(-head.position, -tails[key].position),
            outcomes=(head.generation, tails[key].generation),
        )
        for key, head in heads.items()
    ]


def errors(found: list[Any], *, flip: int = 0) -> int:
    """Count the rounds with equal bases whose outcomes break the parity rule of the Bell index, or of a wrong one."""
    same = [r for r in found if r.bases[0] == r.bases[1]]
    return sum(r.outcomes[0] ^ r.outcomes[1] != parity(r.bell ^ flip, r.bases[0]) for r in same)


def hoeffding(n: int) -> float:
    """Return how far the mean of n values between 0 and 1 may be from its expectation."""
    return math.sqrt(math.log(2 / ALARM) / (2 * n))


@pytest.mark.parametrize("order", ["asap", "nested"])
@pytest.mark.parametrize("hubs", [0, 1, 3])
def test_two_clients_never_break_the_parity_rule(worlds: SimpleNamespace, hubs: int, order: str) -> None:
    world = network(worlds, "photonic", "photonic", hubs, order=order)
    outcome = world.network.run(for_ns=40 * MS)
    found = rounds(worlds, world)
    assert len(found) > 300
    assert {r.bell for r in found} == ({0, 1, 2, 3} if hubs else {2})
    assert errors(found) == 0
    same = sum(r.bases[0] == r.bases[1] for r in found)
    for flip in (1, 2, 3):  # the oracle has power: with a wrong Bell index, two of three bases break it
        assert abs(errors(found, flip=flip) / same - 2 / 3) < hoeffding(same)
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)


def test_bases_and_outcomes_of_clients_are_random(worlds: SimpleNamespace) -> None:
    world = network(worlds, "photonic", "photonic", 1)
    world.network.run(for_ns=60 * MS)
    found = rounds(worlds, world)
    for end in (0, 1):
        for basis in (1, 2, 3):
            share = sum(r.bases[end] == basis for r in found) / len(found)
            assert abs(share - 1 / 3) < hoeffding(len(found))
        ones = sum(r.outcomes[end] for r in found) / len(found)
        assert abs(ones - 1 / 2) < hoeffding(len(found))
    unequal = [r for r in found if r.bases[0] != r.bases[1]]
    agree = sum(r.outcomes[0] == r.outcomes[1] for r in unequal) / len(unequal)
    assert abs(agree - 1 / 2) < hoeffding(len(unequal))


@pytest.mark.parametrize("hubs", [0, 1, 3])
@pytest.mark.parametrize(("head", "tail"), [("photonic", "processing"), ("processing", "photonic")])
def test_a_clients_outcome_agrees_with_the_qubit_at_the_other_end(
    worlds: SimpleNamespace, head: str, tail: str, hubs: int
) -> None:
    world = network(worlds, head, tail, hubs)
    outcome = world.network.run(for_ns=25 * MS)
    statistics = world.monitor.routes["alice", "bob"]
    assert statistics.samples == statistics.delivered > 100
    # Each sample is 1 if the qubit is in the state that the outcome says, and -1/2 in the opposite one.
    assert statistics.fidelity_sum == pytest.approx(statistics.samples, abs=1e-9)
    assert statistics.fidelity_squares == pytest.approx(statistics.samples, abs=1e-9)
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)


def test_a_client_holds_nothing_but_the_photons_under_way(worlds: SimpleNamespace) -> None:
    world = network(worlds, "photonic", "photonic", 3)
    clients = [world.network.actors[name] for name in ("alice", "bob")]
    looked = [0, 0]

    def look() -> None:
        for client in clients:
            sessions = [s for port in client.ports.values() for s in port.sessions.values()]
            active = [c for c in client._circuits.values() if c.role is not None and not c.closing]
            assert client.memory.in_use == len(sessions)
            assert not active or len(sessions) == 2, "each lane is at work again at once"
            held = [q for q in world.network.engine.qubits if q[0] == client.name]
            assert {*held} <= {s.qubit.id for s in sessions}
            looked[0] += 1
            waiting = [role.halves for c in client._circuits.values() if (role := c.role) is not None]
            looked[1] += any(waiting)
            assert all(half.qubit is None for halves in waiting for half in halves)

    world.network.watch(3 * US, look)
    outcome = world.network.run(for_ns=20 * MS)
    assert looked[1] > looked[0] / 10, "halves whose fate is open are known by name only"
    assert outcome.leaks == {}
    for client in clients:
        assert client._outcomes == {}


def test_a_client_keeps_no_account_of_attempts_beside_what_it_has_measured(worlds: SimpleNamespace) -> None:
    world = network(worlds, "photonic", "photonic", 1, override={"attempts_1_over_e": 50.0})
    client = world.network.actors["alice"]
    most = 0

    def look() -> None:
        nonlocal most
        roles = [circuit.role for circuit in client._circuits.values() if circuit.role is not None]
        waiting = sum(len(role.halves) for role in roles)
        assert len(client._marks) == waiting
        most = max(most, waiting)

    world.network.watch(7 * US, look)
    outcome = world.network.run(for_ns=20 * MS)
    assert most > 0
    assert errors(rounds(worlds, world)) == 0
    assert (outcome.leaks, world.invariants.violations) == ({}, [])


def test_outcomes_of_halves_that_expire_are_forgotten(worlds: SimpleNamespace) -> None:
    world = network(worlds, "photonic", "photonic", 2)
    for name in ("hub1", "hub2"):
        hub = world.network.actors[name]
        hub.physics = NodePhysics(bsm=type(hub.physics.bsm)(efficiency=0.6))
    outcome = world.network.run(for_ns=50 * MS)
    assert 50 < len(rounds(worlds, world)) < world.network.actors["hub1"].swaps / 2
    assert errors(rounds(worlds, world)) == 0
    assert [world.network.actors[name]._outcomes for name in ("alice", "bob")] == [{}, {}]
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)


def test_a_detector_that_gives_no_answer_leaves_no_basis(worlds: SimpleNamespace) -> None:
    world = network(worlds, "photonic", "photonic", 1)
    client = world.network.actors["alice"]
    assert isinstance(client, PhotonicClient)
    client.physics = NodePhysics(readout=Readout(efficiency=0.7))
    outcome = world.network.run(for_ns=40 * MS)
    found = rounds(worlds, world)
    dark = [r for r in found if r.bases[0] == 0]
    assert abs(len(dark) / len(found) - 0.3) < hoeffding(len(found))
    assert all(r.outcomes[0] == 0 for r in dark)
    assert errors(found) == 0
    assert world.monitor.routes["alice", "bob"].fidelity_mean == 1
    assert (outcome.leaks, world.invariants.violations) == ({}, [])
