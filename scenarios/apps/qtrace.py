"""qtrace: by which links and swaps does a pair reach another end node? Answered from inside the network.

The circuit's `Track`s gather what each node on the way did to the pair: which two it swapped, when, how long it had
stored them, and what came out. Fidelities are estimates, by what stations and nodes know of themselves.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from emulator import BellState
from nodes import Pair, ProgramNode
from scenarios.load import InputError, load
from scenarios.report import Run
from scenarios.run import run_programs

_ENDS = ("processing", "photonic")


@dataclass(frozen=True, slots=True)
class Hop:
    """A link of the path: its ends, the name of its pair, and its fidelity when it was fresh, as estimated."""

    a: str
    b: str
    pair: str
    fidelity: float


def qtrace(
    a: str, b: str, *, scenario: str, pairs: int, for_s: float, rate: float, seed: int, settings: Iterable[str] = ()
) -> tuple[list[tuple[int, Pair]], Run]:
    """Return pairs of end nodes a and b, with the times in ns at which they came to a.

    Raises InputError if one of the two is no end node.
    """
    _, plan = load(scenario, settings)
    for name in (a, b):
        node = plan.nodes.get(name)
        if node is None or node.kind not in _ENDS:
            what = "there is no such node" if node is None else f"it is a {node.kind} node"
            raise InputError([f"{scenario}: qtrace needs two end nodes, but {name!r} is not one: {what}"])
    if a == b:
        raise InputError([f"{scenario}: qtrace needs two nodes, but both are {a!r}"])
    found: list[tuple[int, Pair]] = []

    async def origin(node: ProgramNode) -> None:
        async with node.circuit(to=b, trace=True) as circuit:
            while len(found) < pairs:
                pair = await circuit.pair()
                found.append((node.now_ns, pair))
                if pair.qubit is not None:
                    node.discard(pair.qubit)

    run = run_programs(scenario, {a: origin}, for_s=for_s, rate=rate, seed=seed, settings=settings)
    return found, run


def hops(a: str, b: str, pair: Pair) -> list[Hop]:
    """Return the links by which a pair came, from a to b."""
    notes = pair.history
    nodes = [a, *(note.node for note in notes), b]
    names = [pair.name[0], *(note.east for note in notes)]
    fidelities = [*(note.fidelities[0] for note in notes), notes[-1].fidelities[1] if notes else pair.fidelity]
    return [
        Hop(x, y, f"{station} {number}", fidelity)
        for (x, y), (station, number), fidelity in zip(pairwise(nodes), names, fidelities, strict=True)
    ]


def as_json(a: str, b: str, found: list[tuple[int, Pair]]) -> dict[str, Any]:
    """Return the figures for scripts."""
    return {"a": a, "b": b, "pairs": [_pair_json(a, b, time_ns, pair) for time_ns, pair in found]}


def _pair_json(a: str, b: str, time_ns: int, pair: Pair) -> dict[str, Any]:
    return {
        "time_s": time_ns / 1e9,
        "bell": pair.bell.name,
        "fidelity": pair.fidelity,
        "age_ms": pair.age_ns / 1e6,
        "links": [{"a": h.a, "b": h.b, "pair": h.pair, "fidelity": h.fidelity} for h in hops(a, b, pair)],
        "swaps": [
            {
                "node": note.node,
                "time_s": note.time_ns / 1e9,
                "outcome": BellState(note.outcome).name,
                "ages_ms": [age_ns / 1e6 for age_ns in note.ages_ns],
            }
            for note in pair.history
        ],
    }


def summary(data: dict[str, Any]) -> Iterator[str]:
    """Yield the lines for people: the first pair hop by hop, and what is typical of all."""
    pairs = data["pairs"]
    yield f"{data['a']} - {data['b']}: {len(pairs)} pairs"
    if not pairs:
        return
    first = pairs[0]
    yield f"  the first, after {first['time_s']:.4f} s: {first['bell']}, F {first['fidelity']:.3f} as estimated"
    width = max(len(f"{link['a']} - {link['b']}") for link in first["links"])
    for k, link in enumerate(first["links"]):
        if k:
            swap = first["swaps"][k - 1]
            west, east = swap["ages_ms"]
            yield f"      {swap['node']} swapped: {swap['outcome']}, halves {west:.3f} and {east:.3f} ms old"
        yield f"    {link['a'] + ' - ' + link['b']:<{width}}  F {link['fidelity']:.3f} fresh  {link['pair']}"
    if len(pairs) > 1:
        yield from _typical(pairs)


def _typical(pairs: list[dict[str, Any]]) -> Iterator[str]:
    fidelity = statistics.fmean(pair["fidelity"] for pair in pairs)
    age_ms = statistics.median(pair["age_ms"] for pair in pairs)
    yield f"  all: F {fidelity:.3f} (mean), {age_ms:.1f} ms old (median)"
    ages: dict[str, list[float]] = {}
    outcomes: dict[str, Counter[str]] = {}
    for pair in pairs:
        for swap in pair["swaps"]:
            ages.setdefault(swap["node"], []).append(max(swap["ages_ms"]))
            outcomes.setdefault(swap["node"], Counter())[swap["outcome"]] += 1
    for node, stored_ms in ages.items():
        counts = ", ".join(f"{count} {name}" for name, count in sorted(outcomes[node].items()))
        yield f"    {node}: the older half waited {statistics.median(stored_ms):.3f} ms (median); {counts}"
