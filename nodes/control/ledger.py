"""What of the network's memory and heralding stations has been promised to whom."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TypeAlias

from .messages import Promise
from .topology import Topology

# A memory bank: of which node, and which.
Place: TypeAlias = tuple[str, str]
Positions: TypeAlias = Counter[Place]

_ROUNDING = 1e-9


class Ledger:
    """The promises in force, and what they take: memory positions of banks, and shares of heralding stations."""

    def __init__(self, topology: Topology) -> None:
        self.promises: dict[str, Promise] = {}
        self._topology = topology
        self._taken: dict[str, tuple[Positions, dict[str, float]]] = {}  # by each demand
        self._positions: Positions = Counter()
        self._shares: dict[str, float] = {}  # by hub

    def add(self, promise: Promise) -> None:
        """Enter a promise."""
        if promise.demand not in self.promises:
            terms = promise.terms
            positions, shares = self._wanted(promise.path, terms.lanes), self.shares(promise.path, terms.shares)
            self.promises[promise.demand] = promise
            self._taken[promise.demand] = positions, shares
            self._positions.update(positions)
            for hub, share in shares.items():
                self._shares[hub] = self._shares.get(hub, 0.0) + share

    def remove(self, demand: str) -> None:
        """Strike a promise out; one that is not known is none."""
        if self.promises.pop(demand, None) is not None:
            positions, shares = self._taken.pop(demand)
            self._positions.subtract(positions)
            for hub, share in shares.items():
                self._shares[hub] -= share

    def remove_all(self, head_end: str) -> None:
        """Strike out all promises to the users of a node."""
        for demand in [name for name, promise in self.promises.items() if promise.path[0] == head_end]:
            self.remove(demand)

    def lanes(self, path: tuple[str, ...]) -> tuple[int, Place]:
        """Return how many memory positions a further circuit can have on each link, and where there are fewest."""
        wanted = self._wanted(path, 1)
        free = [(self._free(*place) // per_lane, place) for place, per_lane in wanted.items()]
        return min(free)

    def share(self, hub: str) -> float:
        """Return how much of the time of a hub's heralding stations is left: 1 is all the time of one."""
        return self._topology.nodes[hub].analysers - self._shares.get(hub, 0.0) + _ROUNDING

    def shares(self, path: tuple[str, ...], shares: tuple[float, float]) -> dict[str, float]:
        """Return which hub gives what: that of the head-end, and that of the tail-end if it is another."""
        nodes = self._topology.nodes
        hubs = {path[1]: shares[0]} if path[1] in nodes and nodes[path[1]].switch else {}
        if len(path) > 3 and path[-2] in nodes and nodes[path[-2]].switch:
            hubs[path[-2]] = shares[1]
        return hubs

    def _wanted(self, path: tuple[str, ...], lanes: int) -> Positions:
        """Return the positions that a circuit takes of nodes that have reported."""
        known = {node for node in path if node in self._topology.nodes}
        if len(path) == 3 and known == set(path) and self._topology.is_optical(path):
            known.remove(path[1])
        wanted: Positions = Counter()
        for a, b in pairwise(path):
            for node, peer in ((a, b), (b, a)):
                if node in known:
                    wanted[node, self._topology.port(node, peer).bank] += lanes
        return wanted

    def _free(self, node: str, bank: str) -> int:
        positions = self._topology.positions(node, bank)
        return positions - self._positions[node, bank]
