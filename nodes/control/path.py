"""What is worked out once for a path of links and nodes, and what storage along it leaves of a pair.

What a pair is worth follows from how long its halves were stored: the contrasts of links multiply along a chain, and
each node says by which law its memory changes what it stores. Where storage only shrinks contrasts, that is one
exponent for the coherences and one for the populations. Where memories relax towards a pole, the two halves of a
link's pair are looked at together (`emulator.storage` says why that is enough).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import mul
from typing import Final, NamedTuple

import msgspec

from emulator import UNKNOWN, Bias, Contrasts, LinkFigures, StorageLaw, after_storage, multiplied
from nodes.distillation import NOISELESS, Gates

_FULL: Final = (1.0, 1.0, 1.0)


class NodeFigures(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a node says of itself: its memory, and its measurements.

    storage: of a memory position (nothing happens to what photonic clients keep); swap_probability: of two memories
    that give back what they hold; measures: whether it is such a client, which measures at once and so has its position
    free again with the herald; gates, distil_ns: noise and duration of one step of distillation at this end.
    """

    storage: StorageLaw
    swap_ns: int
    swap_probability: float
    swap_contrasts: tuple[float, float, float]
    measures: bool = False
    gates: Gates = NOISELESS
    distil_ns: int = 0


class Delivery(NamedTuple):
    """One end-to-end pair: when it came to the head-end, how long each half was stored, what attempts did beside them.

    disturbed: the exponent of the loss of coherence by attempts.
    """

    time_ns: int
    stored_ns: Sequence[int]
    disturbed: float = 0.0


@dataclass(frozen=True, slots=True)
class Path:
    """A path of links, with a node more than there are links.

    probabilities: of an attempt, shares included; spans_ns: a message's way from node to node along each link.

    Halves are numbered from west to east, two of each link; they are at `holders`.
    """

    links: Sequence[LinkFigures]
    nodes: Sequence[NodeFigures]
    probabilities: tuple[float, ...]
    slopes: tuple[float, ...]  # from the logarithm of a uniform number to a number of failures
    spans_ns: tuple[int, ...]
    attempts: tuple[float, ...]  # really made, for each that is counted with a share of the time
    contrasts: Contrasts  # but for storage; without Z of the links whose memories drift
    holders: tuple[StorageLaw, ...]
    rates: tuple[tuple[float, ...], tuple[float, ...]]  # exponential decay of each half per ns, X and Y, then Z
    stretched: tuple[tuple[int, float, float], ...]  # halves with further dephasing: its time in ns, and exponent
    drifting: tuple[tuple[int, Contrasts, Bias], ...]  # links whose memories relax towards a pole

    @classmethod
    def of(cls, links: Sequence[LinkFigures], nodes: Sequence[NodeFigures], shares: tuple[float, float]) -> Path:
        """Work it out; shares: which part of the time the first and the last link are attempted at all."""
        last = len(links) - 1
        parts = [1.0] * len(links)
        parts[0] = min(shares) if last == 0 else shares[0]
        if last:
            parts[last] = shares[1]
        probabilities = tuple(link.success_probability * part for link, part in zip(links, parts, strict=True))
        slopes = tuple(1 / math.log1p(-p) if 0 < p < 1 else 0.0 for p in probabilities)
        holders = tuple(node.storage for pair in pairwise(nodes) for node in pair)
        contrasts: Contrasts = (1.0, 1.0, 1.0)
        for node in nodes[1:-1]:
            contrasts = multiplied(contrasts, node.swap_contrasts)
        drifting: list[tuple[int, Contrasts, Bias]] = []
        longitudinal = [law.longitudinal_per_s * 1e-9 for law in holders]
        for k, link in enumerate(links):
            fresh, bias = _swappable(link, inner=(k > 0, k < last))
            if holders[2 * k].equilibrium or holders[2 * k + 1].equilibrium:
                drifting.append((k, (1.0, 1.0, fresh[2]), bias))
                fresh = (fresh[0], fresh[1], 1.0)
                longitudinal[2 * k] = longitudinal[2 * k + 1] = 0.0
            contrasts = multiplied(contrasts, fresh)
        return cls(
            links,
            nodes,
            probabilities,
            slopes,
            tuple(sum(link.light_ns) for link in links),
            tuple(parts),
            contrasts,
            holders,
            (tuple(law.transverse_per_s * 1e-9 for law in holders), tuple(longitudinal)),
            tuple(
                (k, law.dephasing_s * 1e9, law.dephasing_exponent)
                for k, law in enumerate(holders)
                if law.dephasing_s != math.inf
            ),
            tuple(drifting),
        )

    @property
    def is_sure(self) -> bool:
        """Return whether every swap works."""
        return all(node.swap_probability >= 1 and not may_miss(node.storage) for node in self.nodes[1:-1]) and all(
            link.loaded == _FULL for link in self.links
        )

    @property
    def is_disturbed(self) -> bool:
        """Return whether attempts disturb what is stored beside them."""
        return any(node.storage.attempts_1_over_e != math.inf for node in self.nodes)

    def left(self, stored_ns: Sequence[int], disturbed: float) -> Contrasts:
        """Return a pair's contrasts after the storage of all its halves; disturbed: a further exponent."""
        transverse, longitudinal = self.rates
        exponent = disturbed + sum(map(mul, transverse, stored_ns))
        for half, tau_ns, power in self.stretched:
            exponent += (stored_ns[half] / tau_ns) ** power
        c, z = math.exp(-exponent), math.exp(-sum(map(mul, longitudinal, stored_ns)))
        for k, fresh, bias in self.drifting:
            west, east = (self.holders[half].stored(stored_ns[half]) for half in (2 * k, 2 * k + 1))
            z *= after_storage(fresh, bias, west, east)[2]
        return multiplied(self.contrasts, (c, c, z))


def may_miss(law: StorageLaw) -> bool:
    """Return whether a memory may not give back what it holds."""
    return law.retrieval_efficiency < 1 or law.retrieval_decay_s != math.inf


def _swappable(link: LinkFigures, inner: tuple[bool, bool]) -> tuple[Contrasts, Bias]:
    """Return contrasts and bias of the pairs of a link whose halves are full where they are swapped."""
    first, second, both = link.loaded
    share = both if all(inner) else first if inner[0] else second if inner[1] else 1.0
    if share <= 0:
        return UNKNOWN, (link.bias[0], 0.0, 0.0)
    x, y, z = (contrast / share for contrast in link.contrasts)
    sign, first_z, second_z = link.bias
    return (x, y, z), (sign, first_z / share, second_z / share)
