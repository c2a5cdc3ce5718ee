"""Every kind of actor crashes at random moments, 200 in all: the network recovers, and both ends agree on all pairs."""

from __future__ import annotations

import random

import pytest

from links import HeraldingStation
from nodes import Hub, PhotonicClient, ProcessingNode, Repeater
from nodes.control.controller import Controller
from scenarios.testing import assert_faults_fired, assert_no_leaks, assert_no_violations, run_in_virtual_time

TOWN = """
name = "town"
hardware = "ion.near_future"

[[star]]
name = "town"
end_nodes = 3
photonic_clients = 1
length_km = 5
analysers = 2
success_probability = 0.005
fidelity = 0.95

[[node]]
name = "relay"
kind = "repeater"

[[node]]
name = "far"

[[link]]
a = "town"
b = "relay"
length_km = 20
success_probability = 0.005
fidelity = 0.95

[[link]]
a = "relay"
b = "far"
length_km = 20
success_probability = 0.005
fidelity = 0.95

[[route]]
a = "town-1"
b = "far"
pairs = 5
pause_s = 0.1
patience_s = 60

[[route]]
a = "town-2"
b = "town-3"
pairs = 5
pause_s = 0.1
patience_s = 60

[controller]
at = "town"

[[expect]]
a = "town-1"
b = "far"
from_s = 2

[[expect]]
a = "town-2"
b = "town-3"
from_s = 2
"""
ACTORS = {
    "a head-end": "town-1",
    "a head-end behind a switch": "town-2",
    "a photonic client": "town-3",
    "a tail-end": "far",
    "a hub": "town",
    "a repeater": "relay",
    "the station at a hub": "town~relay",
    "the station at an end node": "relay~far",
    "a switch": "town~switch",
    "the controller": "controller",
}
SEEDS = 20  # for each of them


@pytest.mark.parametrize("seeds", [range(SEEDS // 2), range(SEEDS // 2, SEEDS)], ids=["early seeds", "late seeds"])
@pytest.mark.parametrize("kind", ACTORS)
def test_the_network_recovers_from_a_crash_at_any_moment(kind: str, seeds: range) -> None:
    actor = ACTORS[kind]
    fault = "controller-crash" if actor == "controller" else "crash"
    for seed in seeds:
        moments = random.Random(f"{actor} {seed}")
        start_s = moments.uniform(0.01, 0.6)
        end_s = start_s + moments.uniform(0.002, 0.3)
        crash = f"{fault}:{actor}@{start_s}..{end_s}"
        run = run_in_virtual_time(TOWN, for_s=3, seed=seed, faults=[crash], keep_history=False)
        assert_faults_fired(run)
        assert_no_leaks(run)
        assert_no_violations(run)  # such as pairs that do not come again, or on which the ends disagree


def test_every_kind_of_actor_is_among_them() -> None:
    network = run_in_virtual_time(TOWN, for_s=0.001).world.network
    assert sorted(ACTORS.values()) == network.names
    kinds = {type(actor) for actor in network.actors.values()}
    assert kinds == {Controller, HeraldingStation, Hub, PhotonicClient, ProcessingNode, Repeater}
