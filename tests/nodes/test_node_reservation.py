"""Reservations of paths in emulated time: granted, refused, given back, and crossing everything that is under way."""

from types import SimpleNamespace
from typing import Any

import pytest

from emulator import MS, US, Record, S, Start, StorageLaw
from nodes import Demand, Terms
from nodes.circuits import Refuse, Reserve

US_PER_KM = 4.89


def refusals(world: Any) -> list[tuple[str, str, str]]:
    world.network.history.sha256()  # or the records of the last instant would not be there yet
    return [r.fields for r in world.network.history.kept if r.kind == "refused"]


def ask(world: Any, demand: Demand, *, first: bool = False) -> None:
    """Have a node ask for what a scenario would not let through."""
    demands = world.network.actors[demand.path[0]].demands
    demands.insert(0 if first else len(demands), demand)


def reserved(world: Any) -> dict[str, int]:
    actors = world.network.actors.values()
    return {actor.name: actor.memory.reserved for actor in actors if hasattr(actor, "memory")}


def starts(world: Any) -> dict[str, int]:
    """Return when each node began to offer memory to a link."""
    found: dict[str, int] = {}
    for record in world.network.history.kept or ():
        if record.kind == "message" and isinstance(record.fields[3], Start):
            sender, _, sent_ns, _ = record.fields
            found[sender] = min(sent_ns, found.get(sender, sent_ns))
    return found


def test_a_granted_reservation_sets_memory_aside_on_both_sides_of_each_link(worlds: SimpleNamespace) -> None:
    document = worlds.line("alice", "r1", "r2", "bob", memories=5)
    document["route"][0]["lanes"] = 3
    world = worlds.read(document)
    seen: list[dict[str, int]] = []
    world.network.watch(5 * MS, lambda: seen.append(reserved(world)))
    outcome = world.network.run(for_ns=7 * MS)
    assert seen[0] == {"alice": 3, "bob": 3, "r1": 6, "r2": 6}
    assert reserved(world) == {"alice": 0, "bob": 0, "r1": 0, "r2": 0}
    assert outcome.leaks == {}
    assert refusals(world) == []


@pytest.mark.parametrize("lengths_km", [(10, 10, 10), (1, 50, 7), (80, 0, 3)])
def test_all_links_of_a_circuit_start_at_one_instant_after_all_have_reserved(
    worlds: SimpleNamespace, lengths_km: tuple[float, ...]
) -> None:
    document = worlds.line("alice", "r1", "r2", "bob")
    for link, length_km in zip(document["link"], lengths_km, strict=True):
        link["length_km"] = length_km
    world = worlds.read(document)
    outcome = world.network.run(for_ns=5 * MS)
    (instant_ns,) = set(starts(world).values())
    assert set(starts(world)) == {"alice", "r1", "r2", "bob"}
    assert instant_ns >= 2 * sum(lengths_km) * US_PER_KM * US
    assert outcome.leaks == {}


def test_a_circuit_whose_nodes_hear_late_of_the_start_works_all_the_same(worlds: SimpleNamespace) -> None:
    # Each hop takes longer than the margin in the confirmed start allows, so nodes near the head-end start later.
    document = worlds.line("alice", "r1", "r2", "bob", processing_us=300)
    world = worlds.read(document)
    outcome = world.network.run(for_ns=50 * MS)
    started = starts(world)
    assert started["alice"] > started["r1"] > started["r2"]
    assert world.monitor.routes["alice", "bob"].delivered > 10
    assert (outcome.leaks, world.invariants.violations, worlds.strays_of(world)) == ({}, [], 0)


def test_a_head_end_without_memory_refuses_its_own_request(worlds: SimpleNamespace) -> None:
    world = worlds.read(worlds.line("alice", "r", "bob", memories=2) | {"route": []})
    ask(world, Demand(("alice", "r", "bob"), Terms(lanes=3)))
    outcome = world.network.run(for_ns=30 * MS)
    circuit, node, reason = refusals(world)[0]
    assert circuit.startswith("alice>bob:")
    assert (node, reason) == ("alice", "no free memory towards r")
    assert worlds.pairs_of(world) == []
    assert outcome.leaks == {}


def test_a_refusal_in_the_middle_names_node_and_reason_and_gives_everything_back(worlds: SimpleNamespace) -> None:
    document = worlds.line("alice", "r1", "r2", "bob", memories=4) | {"route": []}
    document["link"][2]["memories"] = 1
    world = worlds.read(document)
    ask(world, Demand(("alice", "r1", "r2", "bob"), Terms(lanes=2)))
    when_refused: list[dict[str, int]] = []
    world.network.history.observe("refused", lambda _: when_refused.append(reserved(world)))
    outcome = world.network.run(for_ns=2 * S)
    assert {fields[1:] for fields in refusals(world)} == {("r2", "no free memory towards bob")}
    assert len(when_refused) > 1, "a refused node asks again, later"
    assert all(not any(left.values()) for left in when_refused)
    assert world.network.actors["alice"].refusals == len(when_refused)
    assert outcome.leaks == {}


def test_what_a_refused_request_gave_back_serves_another(worlds: SimpleNamespace) -> None:
    document = worlds.line("alice", "r1", "r2", "bob", memories=2)
    document["link"][2]["memories"] = 1
    world = worlds.read(document)  # whose route takes one lane
    ask(world, Demand(("alice", "r1", "r2", "bob"), Terms(lanes=2)), first=True)
    outcome = world.network.run(for_ns=S // 5)
    assert refusals(world)
    assert world.monitor.routes["alice", "bob"].delivered > 100
    assert (outcome.leaks, world.invariants.violations) == ({}, [])


def test_nodes_refuse_to_be_what_they_cannot_be(worlds: SimpleNamespace) -> None:
    document = {
        "node": [{"name": n} for n in ("a", "b", "c")],
        "link": [{"a": "a", "b": "b", "length_km": 1}, {"a": "b", "b": "c", "length_km": 1}],
    }
    world = worlds.read(document)
    ask(world, Demand(("a", "b", "c")))
    outcome = world.network.run(for_ns=MS)
    assert refusals(world)[0][1:] == ("b", "this node cannot swap")
    assert outcome.leaks == {}


def test_two_circuits_share_a_link_and_their_pairs_are_kept_apart(worlds: SimpleNamespace) -> None:
    ends = ("a1", "a2", "b1", "b2")
    link = {"length_km": 5, "success_probability": 0.3, "fidelity": 1.0}
    document = {
        "node": [{"name": n} for n in ends] + [{"name": h, "kind": "hub"} for h in ("west", "east")],
        "link": [{"a": n, "b": "west" if n[0] == "a" else "east"} | link for n in ends]
        + [{"a": "west", "b": "east", "memories": 2} | link],
        "route": [{"a": "a1", "b": "b1"}, {"a": "b2", "b": "a2"}],
    }
    world = worlds.read(document)
    outcome = world.network.run(for_ns=S // 10)
    assert refusals(world) == []
    assert set(world.monitor.routes) == {("a1", "b1"), ("b2", "a2")}
    for statistics in world.monitor.routes.values():
        assert statistics.delivered > 100
        assert statistics.fidelity_mean == pytest.approx(1, abs=1e-9)
    assert (outcome.leaks, world.invariants.violations, worlds.strays_of(world)) == ({}, [], 0)


def test_a_hub_shares_one_bank_between_its_ports(worlds: SimpleNamespace) -> None:
    # Four end nodes, two pairs of them; the bank has room for one circuit, which takes a position towards each side.
    city = {
        "name": "city", "end_nodes": 4, "hub_memories": 2, "length_km": 2, "farthest_km": 9, "success_probability": 0.5,
        "fidelity": 1.0,
    }  # fmt: skip
    world = worlds.read({"star": [city], "route": [{"a": "city-*", "b": "city-*", "pairs": 20, "pause_s": 0.01}]})
    hub = world.network.actors["city"]
    most = [0, 0]

    def look() -> None:
        most[:] = [max(most[0], hub.memory.in_use), max(most[1], hub.memory.reserved)]

    world.network.watch(20 * US, look)
    outcome = world.network.run(for_ns=S)
    assert most == [2, 2]
    assert {fields[1] for fields in refusals(world)} == {"city"}
    assert {fields[2] for fields in refusals(world)} <= {
        "no free memory towards city-1",
        "no free memory towards city-3",
    }
    assert min(s.delivered for s in world.monitor.routes.values()) >= 100
    assert len(world.monitor.routes) == 2
    assert (outcome.leaks, world.invariants.violations, worlds.strays_of(world)) == ({}, [], 0)


def test_a_bank_of_one_position_cannot_serve_both_sides_of_a_circuit(worlds: SimpleNamespace) -> None:
    world = worlds.read({"star": [{"name": "city", "end_nodes": 2, "hub_memories": 1, "length_km": 2}]})
    ask(world, Demand(("city-1", "city", "city-2")))
    outcome = world.network.run(for_ns=MS)
    assert refusals(world)[0][1:] == ("city", "no free memory towards city-1")
    assert outcome.leaks == {}


@pytest.mark.parametrize("nested", [False, True])
def test_the_end_may_come_at_any_moment_of_a_circuits_life(worlds: SimpleNamespace, *, nested: bool) -> None:
    # From before the request is granted to long after; steps that share no factor with any period in the chain.
    document = worlds.line("alice", "r1", "r2", "r3", "bob", success_probability=0.4, memories=2)
    document["link"][1]["length_km"] = 3
    document["route"][0] |= {"lanes": 2, "order": "nested" if nested else "asap", "cutoff_s": 0.0004}
    for for_ns in range(1, 1500 * US, 19_983):
        world = worlds.read(document, seed=for_ns, keep_history=False)
        outcome = world.network.run(for_ns=for_ns)
        state = (outcome.leaks, world.invariants.violations, world.monitor.unmatched, worlds.strays_of(world))
        assert state == ({}, [], 0, 0), f"ended at {for_ns} ns"


def test_words_that_come_behind_the_release_are_waited_for(worlds: SimpleNamespace) -> None:
    # The repeater keeps its halves for long, and hears from the tail-end that all is given back when the head-end's
    # words are still on the long way: they must find the circuit.
    document = worlds.line("alice", "r", "bob")
    document["link"][0]["length_km"] = 40
    document["link"][1] |= {"length_km": 0.2, "success_probability": 0.001}
    waited = 0
    for for_ns in range(500 * US, 1500 * US, 9_973):
        world = worlds.read(document, seed=for_ns)
        outcome = world.network.run(for_ns=for_ns)
        assert (outcome.leaks, worlds.strays_of(world)) == ({}, 0), f"ended at {for_ns} ns"
        kinds = [kind_of(r) for r in worlds.records_of(world) if r.actor == "r"]
        waited += "Track" in kinds[kinds.index("Released") :]
    assert waited > 10


@pytest.mark.parametrize("order", ["asap", "nested"])
@pytest.mark.parametrize("lengths_km", [(10, 10, 10), (40, 0.2, 0.2), (0.2, 0.2, 40)])
def test_tear_down_after_tear_down_crosses_heralds_and_words_and_leaks_nothing(
    worlds: SimpleNamespace, lengths_km: tuple[float, ...], order: str
) -> None:
    document = worlds.line("alice", "r1", "r2", "bob", success_probability=0.3, memories=3, session_timeout_s=0.0003)
    for link, length_km in zip(document["link"], lengths_km, strict=True):
        link["length_km"] = length_km
    document["route"][0] |= {"lanes": 3, "pairs": 1, "order": order}
    world = worlds.read(document)
    outcome = world.network.run(for_ns=S // 6)
    kinds = [kind_of(record) for record in worlds.records_of(world)]
    assert kinds.count("Released") > 3 * 60
    assert {"Expire", "Stopped", "Track"} <= set(kinds)
    assert world.monitor.routes["alice", "bob"].fidelity_mean == pytest.approx(1, abs=1e-9)
    assert world.monitor.unmatched == 0
    assert (outcome.leaks, world.invariants.violations, worlds.strays_of(world)) == ({}, [], 0)


def test_sessions_that_time_out_are_begun_again(worlds: SimpleNamespace) -> None:
    document = worlds.line("alice", "r", "bob", success_probability=0.1, session_timeout_s=0.0002)
    world = worlds.read(document)
    outcome = world.network.run(for_ns=S // 10)
    kinds = [kind_of(record) for record in worlds.records_of(world)]
    assert kinds.count("TimedOut") > 200
    assert world.monitor.routes["alice", "bob"].delivered > 50
    assert (outcome.leaks, world.invariants.violations, worlds.strays_of(world)) == ({}, [], 0)


def kind_of(record: Record) -> str:
    return type(record.fields[3]).__name__ if record.kind == "message" else record.kind


@pytest.mark.parametrize(
    "path", [(), ("alice", "bob"), ("r", "alice"), ("bob", "r"), ("alice", "r", "bob", "r"), ("mars", "alice", "bob")]
)
def test_a_request_whose_path_does_not_lead_from_its_sender_to_here_is_refused(
    worlds: SimpleNamespace, path: tuple[str, ...]
) -> None:
    world = worlds.read(worlds.line("alice", "r", "bob", memories=2) | {"route": []})
    actors = world.network.actors
    seen: list[tuple[int, str, str]] = []
    world.network.timeline.at(MS, actors["alice"].send, "r", Reserve("odd", path, Terms(), (), 0, StorageLaw()))
    world.network.watch(2 * MS, lambda: seen.append((actors["r"].memory.reserved, *refusals_sent(world)[-1])))
    outcome = world.network.run(for_ns=2 * MS)
    assert set(seen) == {(0, "r", "alice")}
    assert outcome.leaks == {}


def refusals_sent(world: Any) -> list[tuple[str, str]]:
    records = [r for r in world.network.history.kept or () if r.kind == "message"]
    return [(r.fields[0], r.actor) for r in records if isinstance(r.fields[3], Refuse)]
