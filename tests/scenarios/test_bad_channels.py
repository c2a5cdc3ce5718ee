"""A scenario whose classical channels lose and double what they carry: all is slower, and nothing is wrong."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from emulator import MS, Envelope, S
from scenarios.build import World
from scenarios.report import as_json
from scenarios.run import Run, prepare


class LossAndDoubling:
    """A channel fault that loses 20 of 100 envelopes, and doubles 10."""

    def __init__(self, seed: str) -> None:
        self._rng = random.Random(seed)

    def deliveries(self, envelope: Envelope, arrival_ns: int) -> Iterable[tuple[Envelope, int]]:
        copies = self._rng.choices((0, 1, 2), (0.2, 0.7, 0.1))[0]
        return [(envelope, arrival_ns)] * copies


def spoil(world: World) -> None:
    """Put the fault into every channel."""
    for name, actor in world.network.actors.items():
        for neighbour, channel in actor._cell.channels.items():
            channel.faults.append(LossAndDoubling(f"{name} to {neighbour}"))


def bad_run(*settings: str) -> Run:
    scenario, _, world = prepare("chain", settings, seed=3)
    spoil(world)
    return Run(scenario.name, 3, 1.0, world, world.network.run(for_ns=10 * 10**9), 1.0)


DISTIL = ("chain.0.memories=3", "lanes=3", "pairs=0", "route.0.distil=dejmps", "route.0.rounds=2")


@pytest.mark.parametrize("settings", [(), DISTIL], ids=["plain", "distil"])
def test_with_loss_and_doubling_pairs_are_delivered_and_nothing_leaks(settings: tuple[str, ...]) -> None:
    first, second = as_json(bad_run(*settings)), as_json(bad_run(*settings))
    assert sum(pair["delivered"] for pair in first["pairs"]) > 20
    assert first["violations"] == []
    assert first["leaks"] == {}
    assert first["lost_messages"] == 0
    assert first["history_sha256"] == second["history_sha256"]


def test_when_a_station_begins_a_new_life_its_nodes_begin_new_sessions() -> None:
    _, _, world = prepare("chain", seed=3)
    network, deliveries_ns = world.network, []
    network.history.observe("pair", lambda record: deliveries_ns.append(record.time_ns))
    network._restart_ns["chain-1~chain-2"] = MS
    network.timeline.at(S, network.crash, "chain-1~chain-2")
    outcome = network.run(for_ns=2 * S)
    assert outcome.leaks == {}
    halves = [sum(time_ns // S == second for time_ns in deliveries_ns) for second in (0, 1)]
    assert halves[1] > 0.9 * halves[0] > 100


def mend(world: World) -> None:
    """Take all faults away."""
    for actor in world.network.actors.values():
        for channel in actor._cell.channels.values():
            channel.faults.clear()


@pytest.mark.parametrize("period_ms", [3, 40, 700])
def test_faults_that_come_and_go_leave_nothing_behind(period_ms: int) -> None:
    # What is sent without a fault needs no acknowledgement; what is sent with one does, and both are in one stream.
    scenario, _, world = prepare("chain", ["links=3", "pairs=5"], seed=4)
    for k in range(0, 4_000 // period_ms, 2):
        world.network.timeline.at((k * period_ms + 1) * MS, spoil, world)
        world.network.timeline.at((k + 1) * period_ms * MS + 2, mend, world)
    run = Run(scenario.name, 4, 1.0, world, world.network.run(for_ns=5 * S), 1.0)
    data = as_json(run)
    assert (data["leaks"], data["violations"], data["lost_messages"]) == ({}, [], 0)
    assert sum(pair["delivered"] for pair in data["pairs"]) > 50
