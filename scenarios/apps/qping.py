"""qping: how good is the way to another end node? Answered from inside the network, by measurement alone.

Both ends measure each pair in one of the bases X, Y, Z, which follows from the pair's name, and compare their outcomes
over classical sockets. From the error rates Q of the three bases the fidelity is F = 1 - (Qx + Qy + Qz) / 2. Read-out
errors count as errors of the pair: nobody inside the network can tell them apart.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack

from emulator import PairId, parity
from nodes import AXES, CircuitEnd, ProgramNode
from scenarios.load import InputError, load
from scenarios.report import Run
from scenarios.run import run_programs

NAMES: Final = {1: "x", 2: "y", 3: "z"}


@dataclass(slots=True)
class Tally:
    """What one qping has found: rounds and errors per basis, waiting times."""

    rounds: dict[int, int] = field(default_factory=lambda: dict.fromkeys(AXES, 0))
    errors: dict[int, int] = field(default_factory=lambda: dict.fromkeys(AXES, 0))
    waited_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """Return how many pairs were compared."""
        return sum(self.rounds.values())

    def error_rate(self, basis: int) -> float | None:
        """Return the share of errors in a basis, if it was measured at all."""
        return self.errors[basis] / self.rounds[basis] if self.rounds[basis] else None

    @property
    def fidelity(self) -> float | None:
        """Return the estimate, if all three bases were measured."""
        rates = [self.error_rate(basis) for basis in AXES]
        return None if None in rates else 1 - sum(q for q in rates if q is not None) / 2

    @property
    def fidelity_error(self) -> float | None:
        """Return the standard error of the estimate, by rates (errors + 1) / (rounds + 2): 0 errors of n prove no 0."""
        if self.fidelity is None:
            return None
        smooth = {b: (self.errors[b] + 1) / (self.rounds[b] + 2) for b in AXES}
        return math.sqrt(sum(q * (1 - q) / self.rounds[b] for b, q in smooth.items())) / 2


def qping(
    a: str, b: str, *, scenario: str, pairs: int, for_s: float, rate: float, seed: int, settings: Iterable[str] = ()
) -> tuple[Tally, Run]:
    """Ping from end node a to end node b. Raises InputError if one of them cannot take part."""
    _, plan = load(scenario, settings)
    for name in (a, b):
        node = plan.nodes.get(name)
        if node is None or node.kind != "processing":
            what = "there is no such node" if node is None else f"it is a {node.kind} node"
            raise InputError([f"{scenario}: qping needs two processing nodes, but {name!r} is not one: {what}"])
    if a == b:
        raise InputError([f"{scenario}: qping needs two nodes, but both are {a!r}"])
    tally = Tally()

    async def origin(node: ProgramNode) -> None:
        socket, started_ns = node.socket(b, "qping"), node.now_ns
        async with node.circuit(to=b) as circuit:
            for _ in range(pairs):
                asked_ns = node.now_ns
                name, bell, basis, outcome = await _measure(node, circuit)
                tally.waited_ms.append((node.now_ns - asked_ns) / 1e6)
                far_name, far_outcome = msgpack.unpackb(await socket.receive(), use_list=False)
                if far_name == name and None not in (outcome, far_outcome):
                    tally.rounds[basis] += 1
                    tally.errors[basis] += outcome ^ far_outcome != parity(bell, basis)
                tally.seconds = (node.now_ns - started_ns) / 1e9

    async def target(node: ProgramNode) -> None:
        socket = node.socket(a, "qping")
        async with node.accept(a) as circuit:
            for _ in range(pairs):
                name, _, _, outcome = await _measure(node, circuit)
                socket.send(msgpack.packb((name, outcome)))

    run = run_programs(scenario, {a: origin, b: target}, for_s=for_s, rate=rate, seed=seed, settings=settings)
    return tally, run


async def _measure(node: ProgramNode, circuit: CircuitEnd) -> tuple[tuple[PairId, PairId], int, int, int | None]:
    pair = await circuit.pair()
    basis = 1 + (pair.name[0][1] + pair.name[1][1]) % 3
    return pair.name, pair.bell, basis, await node.measure(pair.qubit, AXES[basis])


def as_json(a: str, b: str, tally: Tally) -> dict[str, Any]:
    """Return the figures for scripts; None where there is nothing to tell."""
    return {
        "a": a,
        "b": b,
        "pairs": tally.total,
        "rate_hz": tally.total / tally.seconds if tally.seconds else 0.0,
        "error_rate": {NAMES[basis]: tally.error_rate(basis) for basis in AXES},
        "fidelity": tally.fidelity,
        "fidelity_error": tally.fidelity_error,
        "waited_ms_p50": statistics.median(tally.waited_ms) if tally.waited_ms else None,
        "waited_ms_max": max(tally.waited_ms, default=None),
    }


def summary(data: dict[str, Any]) -> Iterator[str]:
    """Yield the lines for people."""
    yield f"{data['a']} - {data['b']}: {data['pairs']} pairs, {data['rate_hz']:.3f} per second"
    if not data["pairs"]:
        return
    rates = ((name, rate) for name, rate in data["error_rate"].items() if rate is not None)
    yield "  errors: " + ", ".join(f"{rate:.3f} in {name.upper()}" for name, rate in rates)
    if data["fidelity"] is not None:
        yield f"  fidelity {data['fidelity']:.3f} +- {data['fidelity_error']:.3f}, by measurement"
    yield f"  waited {data['waited_ms_p50']:.1f} ms (median), {data['waited_ms_max']:.1f} ms (most)"
