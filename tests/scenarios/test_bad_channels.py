"""A scenario whose classical channels lose and double what they carry: all is slower, and nothing is wrong."""

from __future__ import annotations

import random
from collections.abc import Iterable

from emulator import Envelope
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


def bad_run() -> Run:
    scenario, _, world = prepare("chain", seed=3)
    spoil(world)
    return Run(scenario.name, 3, 1.0, world, world.network.run(for_ns=5 * 10**9), 1.0)


def test_with_loss_and_doubling_pairs_are_delivered_and_nothing_leaks() -> None:
    first, second = as_json(bad_run()), as_json(bad_run())
    assert sum(pair["delivered"] for pair in first["pairs"]) > 10
    assert first["violations"] == []
    assert first["leaks"] == {}
    assert first["lost_messages"] == 0
    assert first["history_sha256"] == second["history_sha256"]
