"""Clients that receive entangled photons: exact times, the closed forms of their links, and biased bases."""

from __future__ import annotations

import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from emulator import MS, S, parity
from links import MidpointSource, SenderReceiver
from nodes import ProgramNode, bases
from scenarios.load import InputError
from scenarios.run import prepare

ALARM = 1e-6
FIBRE_NS = 10 * 4890
PERFECT = {"detector_efficiency": 1.0, "dark_probability": 0.0, "optical_error": 0.0, "preparation_us": 0.0}


def document(a: dict[str, Any], b: dict[str, Any], **link: Any) -> dict[str, Any]:
    return {
        "node": [{"name": "alice"} | a, {"name": "bob"} | b],
        "link": [{"a": "alice", "b": "bob", "length_km": 10, "station_at": 0.3} | link],
        "route": [{"a": "alice", "b": "bob"}],
    }


def receiver(**override: Any) -> dict[str, Any]:
    return {"kind": "photonic", "hardware": "receiver.today", "override": PERFECT | override}


def processing(**override: Any) -> dict[str, Any]:
    return {"kind": "processing", "hardware": "ideal", "override": override}


def z_of(k: int, n: int, p: float) -> float:
    return abs(k - n * p) / math.sqrt(n * p * (1 - p))


@pytest.mark.parametrize("station_at", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("swapped", [False, True])
def test_the_first_pair_comes_when_the_light_has_come_and_its_news_gone_back(
    worlds: SimpleNamespace,
    station_at: float,
    swapped: bool,  # noqa: FBT001
) -> None:
    ends = [processing(preparation_us=7.0), receiver()]
    source = document(*(ends[::-1] if swapped else ends), loss_db=0, station_at=station_at)
    world = worlds.read(source)
    world.network.run(for_ns=5 * MS)
    station = world.network.actors["alice~bob"]
    near_ns, far_ns = (arm.latency_ns for arm in station.arms)
    whole_ns = near_ns + far_ns
    assert whole_ns - FIBRE_NS in (0, 1)  # nothing is instantaneous, not even a fibre of no length
    mine = "bob" if swapped else "alice"
    heralds = {}
    for record in worlds.records_of(world):
        if record.kind == "message" and type(record.fields[3]).__name__ == "Herald":
            heralds.setdefault(record.actor, []).append((record.time_ns, record.fields[3].emitted_ns))
    sender, client = heralds[mine], heralds["alice" if swapped else "bob"]
    for (told_ns, emitted_ns), (seen_ns, detected_ns) in zip(sender, client, strict=False):
        assert detected_ns == seen_ns == emitted_ns + whole_ns
        assert told_ns == seen_ns + whole_ns
    # The position is free again at once, and every attempt succeeds; so a pair takes the way there and back, Start
    # and Begin between station and sender, and the preparation.
    own_ns = near_ns if mine == "alice" else far_ns
    assert {b[0] - a[0] for a, b in pairwise(sender)} == {2 * whole_ns + 7_000 + 2 * own_ns}


@pytest.mark.parametrize("station_at", [0.0, 0.3, 1.0])
def test_nobody_learns_of_a_time_out_before_the_last_photon_s_news(worlds: SimpleNamespace, station_at: float) -> None:
    source = document(processing(), receiver(), loss_db=200, station_at=station_at, session_timeout_s=1e-3)
    world = worlds.read(source)
    outcome = world.network.run(for_ns=10 * MS)
    whole_ns = sum(arm.latency_ns for arm in world.network.actors["alice~bob"].arms)
    attempts = MS // (2 * whole_ns)
    told = [(r.time_ns, r.fields[3]) for r in worlds.records_of(world) if r.kind == "message" and r.actor == "alice"]
    begins = [m.first_emission_ns for _, m in told if type(m).__name__ == "Begin"]
    ends = [time_ns for time_ns, m in told if type(m).__name__ == "TimedOut"]
    assert len(ends) > 3
    assert [end - first for first, end in zip(begins, ends, strict=False)] == [attempts * 2 * whole_ns] * len(ends)
    assert outcome.leaks == {}


@pytest.mark.parametrize("lossy", [False, True])
def test_rate_and_fidelity_are_those_of_the_closed_form(worlds: SimpleNamespace, lossy: bool) -> None:  # noqa: FBT001
    client = receiver(detector_efficiency=0.8, dark_probability=2e-3, optical_error=0.02)
    source = document(processing(collection=0.3, emission_fidelity=0.96), client, loss_db=3 if lossy else 0)
    world = worlds.read(source)
    outcome = world.network.run(for_ns=S // 2)
    model = SenderReceiver(0.3 * 0.8 * (10**-0.3 if lossy else 1), 2e-3, 0.96, 0.02).model()
    statistics = world.monitor.routes["alice", "bob"]
    # Between two pairs there are the attempts, one round trip each, and Start and Begin from and to the nearer node.
    station = world.network.actors["alice~bob"]
    own_ns = station.arms[0].latency_ns
    attempts = (S // 2 - statistics.delivered * 2 * own_ns) / (2 * FIBRE_NS)
    assert statistics.delivered > 300
    assert z_of(statistics.delivered, round(attempts), model.p_success) < 5
    assert statistics.fidelity_sem is not None
    assert abs(statistics.fidelity_mean - model.fidelity) < 5 * statistics.fidelity_sem + 1e-9
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)


def test_a_source_between_two_receivers(worlds: SimpleNamespace) -> None:
    client = {"dark_probability": 1e-3, "optical_error": 0.01, "pairs_per_mode": 0.2, "preparation_us": 0.1}
    source = document(receiver(**client), receiver(**client), loss_db=2)
    source["route"][0]["lanes"] = 1
    world = worlds.read(source)
    outcome = world.network.run(for_ns=S // 5)
    model = MidpointSource(0.2, 10**-0.06, 10**-0.14, 1e-3, 1e-3, 0.01, 0.01).model()
    statistics = world.monitor.routes["alice", "bob"]
    assert statistics.delivered > 1000
    assert statistics.fidelity_sem is not None
    assert abs(statistics.fidelity_mean - model.fidelity) < 5 * statistics.fidelity_sem + 1e-9
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)


def test_a_client_that_sends_and_one_that_receives_make_a_prepare_and_measure_link(worlds: SimpleNamespace) -> None:
    sender = {"kind": "photonic", "hardware": "ideal"}
    world = worlds.read(document(sender, receiver(), loss_db=3))
    outcome = world.network.run(for_ns=S // 5)
    statistics = world.monitor.routes["alice", "bob"]
    assert statistics.samples > 100
    assert statistics.fidelity_mean == 1
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)


def test_receivers_behind_a_switch_get_pairs_from_other_end_nodes_and_over_the_backbone(
    worlds: SimpleNamespace,
) -> None:
    star = {"end_nodes": 3, "photonic_clients": 2, "length_km": 1, "farthest_km": 5, "memories": 2, "analysers": 1}
    source = {
        "star": [{"name": name, "client_hardware": "receiver.today"} | star for name in ("east", "west")],
        "link": [{"a": "east", "b": "west", "length_km": 20, "memories": 4}],
        "route": [
            {"a": "east-1", "b": "east-2"},
            {"a": "east-3", "b": "west-3", "pairs": 50},
            {"a": "west-1", "b": "east-2"},
        ],
    }
    world = worlds.read(source)
    outcome = world.network.run(for_ns=S // 2)
    assert [world.monitor.routes[r].delivered > 20 for r in world.routes] == [True] * 3
    for route in world.routes:
        assert world.monitor.routes[route].fidelity_mean > 0.9
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)


@pytest.mark.parametrize("at_us", [1, 95, 100, 105, 130, 150, 160, 200])
def test_a_circuit_given_back_at_any_moment_leaves_nothing(worlds: SimpleNamespace, at_us: int) -> None:
    world = worlds.read(document(processing(), receiver(), loss_db=0))
    outcome = world.network.run(for_ns=at_us * 1000)
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)


def test_a_controller_promises_what_a_receiver_will_get(worlds: SimpleNamespace) -> None:
    source = document(processing(collection=0.3), receiver(detector_efficiency=0.8, dark_probability=1e-3))
    source |= {"controller": {"at": "alice"}}
    source["route"][0] |= {"rate_hz": 300.0, "fidelity": 0.95}
    world = worlds.read(source)
    outcome = world.network.run(for_ns=S)
    granted = [r.fields for r in worlds.records_of(world) if r.kind == "granted"]
    assert len(granted) == 1
    _, _, rate_hz, fidelity = granted[0]
    statistics = world.monitor.routes["alice", "bob"]
    assert statistics.delivered > rate_hz * 0.95
    assert statistics.fidelity_mean > fidelity - 5 * (statistics.fidelity_sem or 0)
    assert outcome.leaks == {}


# -- bases -------------------------------------------------------------------------------------------------------------


def test_programs_of_clients_choose_their_bases_at_both_ends(worlds: SimpleNamespace) -> None:
    source = document({"kind": "photonic", "hardware": "ideal"}, receiver(), success_probability=0.5, fidelity=1)
    source["route"] = []
    world = worlds.read(source)
    seen: dict[str, list[Any]] = {"alice": [], "bob": []}

    async def alice(node: ProgramNode) -> None:
        async with node.circuit("bob", bases=(0.2, 0.0, 0.8)) as circuit:
            seen["alice"] += [await circuit.pair() for _ in range(400)]

    async def bob(node: ProgramNode) -> None:
        async with node.accept("alice", bases=(1.0, 0.0, 0.0)) as circuit:
            seen["bob"] += [await circuit.pair() for _ in range(400)]

    world.install("alice", alice)
    world.install("bob", bob)
    outcome = world.network.run(for_ns=S)
    assert (outcome.leaks, world.programs.failures, world.invariants.violations) == ({}, [], [])
    assert {p.basis for p in seen["bob"]} == {1}
    assert {p.basis for p in seen["alice"]} == {1, 3}
    assert z_of(sum(p.basis == 3 for p in seen["alice"]), 400, 0.8) < 5
    same = [(p, q) for p, q in zip(seen["alice"], seen["bob"], strict=True) if p.basis == q.basis]
    assert same
    assert all(p.outcome ^ q.outcome == parity(p.bell, p.basis) for p, q in same)
    # Such outcomes are no fair samples of the fidelity, so none is made of them.
    assert world.monitor.routes["alice", "bob"].fidelity_mean is None
    assert world.network.history.counts["bases"] == 2


@pytest.mark.parametrize("wrong", [(0.5, 0.5), (0.5, 0.5, 0.5), (-0.5, 0.5, 1.0), (math.nan, 0, 1)])
def test_probabilities_that_are_none_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="three probabilities, of X, Y and Z, whose sum is 1"):
        bases.checked_bases(wrong)


# -- scenarios ---------------------------------------------------------------------------------------------------------

RECEIVER = '{ name = "bob", kind = "photonic", hardware = "receiver.today" }'


@pytest.mark.parametrize(
    ("nodes", "link", "message"),
    [
        (
            '[{ name = "alice" }, { name = "bob", hardware = "receiver.today" }]',
            "",
            'bob is a processing node, which cannot have role = "receives"; only a photonic client can',
        ),
        (
            f'[{{ name = "alice" }}, {RECEIVER}]',
            ', scheme = "double_click"',
            "bob detects the photons itself, so no scheme of heralding applies: leave `scheme` out",
        ),
        (
            f'[{{ name = "alice", hardware = "afc.today" }}, {RECEIVER}]',
            "",
            "alice has a pair source, which cannot send single photons to bob",
        ),
        (
            f'[{{ name = "alice" }}, {RECEIVER}]',
            ", attempt_ms = 0.06",
            "attempt_ms = 0.06 is less than the light needs: at least 0.0978",
        ),
        (
            '[{ name = "alice" }, { name = "bob", kind = "photonic", override = { role = "watches" } }]',
            "",
            "role",
        ),
    ],
)
def test_what_receivers_cannot_do_is_said(tmp_path: Any, nodes: str, link: str, message: str) -> None:
    file = tmp_path / "receiver.toml"
    file.write_text(
        f'name = "receiver"\nnode = {nodes}\nlink = [{{ a = "alice", b = "bob", length_km = 10{link} }}]\n', "utf-8"
    )
    with pytest.raises(InputError) as error:
        prepare(str(file))
    assert any(message in line for line in error.value.lines), error.value.lines
