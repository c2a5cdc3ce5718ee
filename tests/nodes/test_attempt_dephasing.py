"""Attempts on one link disturb what is stored beside them: exp(-n / N) of the coherence after n attempts."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from emulator import MS, US, Bank, Network, Port
from links import AbstractLink, Arm, Fixed, HeraldingStation
from nodes import Demand, NodePhysics, ProcessingNode, Repeater
from scenarios.invariants import Invariants
from scenarios.monitor import Monitor

LATENCY_NS = 10 * US  # from each node to the station
PREPARATION_NS = 5 * US


class Attempts:
    """A link whose every pair takes a fixed number of attempts."""

    def __init__(self, attempts: int) -> None:
        self.attempts = attempts
        self._model = AbstractLink(1.0, 1.0).model()
        self.p_success = 1.0
        self.contrasts, self.bias, self.loaded = self._model.contrasts, self._model.bias, self._model.loaded

    def draw_attempts(self, u: float) -> int:
        assert 0 <= u < 1
        return self.attempts

    def draw_state(self, u: float) -> Any:
        return self._model.draw_state(u)

    def draw_mode(self, u: float) -> int:
        return self._model.draw_mode(u)


def chain(west: int, east: int, physics: NodePhysics) -> SimpleNamespace:
    """Join alice, a repeater and bob by links that need fixed numbers of attempts."""
    network = Network(seed=3)
    invariants = Invariants(network, network.history)
    monitor = Monitor(network.engine, network.history, [("alice", "bob")], invariants.report)

    def port(peer: str, station: str) -> dict[str, Port]:
        return {peer: Port(station, f"towards {peer}")}

    def banks(*peers: str) -> dict[str, Bank]:
        return {f"towards {peer}": Bank(1) for peer in peers}

    demand = Demand(("alice", "mid", "bob"), pairs=1, pause_ns=1)
    alice = ProcessingNode("alice", network.engine, banks("mid"), port("mid", "w"), demands=[demand])
    bob = ProcessingNode("bob", network.engine, banks("mid"), port("mid", "e"))
    mid = Repeater("mid", network.engine, banks("alice", "bob"), port("alice", "w") | port("bob", "e"), physics)
    for node in (alice, bob, mid):
        network.add(node)
    for name, end, attempts in (("w", "alice", west), ("e", "bob", east)):
        arms = (Arm(end, LATENCY_NS, PREPARATION_NS), Arm("mid", LATENCY_NS, PREPARATION_NS))
        model: Any = Attempts(attempts)
        network.add(HeraldingStation(name, network.engine, Fixed(model), arms))
        for node_name in (end, "mid"):
            network.connect(node_name, name, latency_ns=LATENCY_NS)
        network.connect(end, "mid", latency_ns=2 * LATENCY_NS)
    return SimpleNamespace(network=network, monitor=monitor, invariants=invariants, mid=mid)


@pytest.mark.parametrize("one_over_e", [3.0, 1000.0])
@pytest.mark.parametrize(("west", "east"), [(1, 1), (1, 2), (1, 50), (50, 1), (7, 30)])
def test_a_stored_pair_loses_coherence_with_each_attempt_on_the_other_link(
    west: int, east: int, one_over_e: float
) -> None:
    world = chain(west, east, NodePhysics(attempts_1_over_e=one_over_e))
    outcome = world.network.run(for_ns=50 * MS)
    # Both links begin together and stop at a pair, so the first one stored sees what the other link does from then on.
    beside = abs(west - east)
    statistics = world.monitor.routes["alice", "bob"]
    assert statistics.delivered > 10
    expected = (1 + math.exp(-beside / one_over_e)) / 2
    assert statistics.fidelity_mean == pytest.approx(expected, abs=1e-9)
    assert (outcome.leaks, world.invariants.violations) == ({}, [])


def test_attempts_do_not_disturb_hardware_that_is_immune_to_them() -> None:
    world = chain(1, 50, NodePhysics())
    world.network.run(for_ns=50 * MS)
    assert world.monitor.routes["alice", "bob"].fidelity_mean == pytest.approx(1, abs=1e-9)


def test_a_retrieval_efficiency_decays_with_the_time_of_storage() -> None:
    # The west pair waits for 40 more attempts of the east link; the east pair is as old as its herald took to come.
    attempts, decay_s = 41, 2e-3
    world = chain(1, attempts, NodePhysics(retrieval_efficiency=0.9, retrieval_decay_s=decay_s))
    outcomes: list[int] = []
    world.network.history.observe("swap", lambda record: outcomes.append(record.fields[3]))
    outcome = world.network.run(for_ns=2400 * MS)
    period_ns = PREPARATION_NS + 2 * LATENCY_NS
    ages_ns = (2 * LATENCY_NS + (attempts - 1) * period_ns + 1, 2 * LATENCY_NS + 1)
    expected = math.prod(0.9 * math.exp(-age_ns * 1e-9 / decay_s) for age_ns in ages_ns)
    works = sum(o >= 0 for o in outcomes) / len(outcomes)
    # Hoeffding's bound for a false alarm of 1e-6.
    assert abs(works - expected) < math.sqrt(math.log(2e6) / (2 * len(outcomes))) < 0.07
    assert outcome.leaks == {}
