"""What of the network's memory and heralding stations has been promised to whom."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from .messages import Promise
from .topology import Topology

_ROUNDING = 1e-9


class Ledger:
    """The promises in force, and what they take: memory positions of banks, and shares of heralding stations."""

    def __init__(self, topology: Topology) -> None:
        self.promises: dict[str, Promise] = {}
        self._topology = topology
        self._positions: Counter[tuple[str, str]] = Counter()  # by node and bank
        self._shares: dict[str, float] = {}  # by hub

    def add(self, promise: Promise) -> None:
        """Enter a promise."""
        if promise.demand not in self.promises:
            self.promises[promise.demand] = promise
            self._book(promise, 1)

    def remove(self, demand: str) -> None:
        """Strike a promise out; one that is not known is none."""
        if (promise := self.promises.pop(demand, None)) is not None:
            self._book(promise, -1)

    def remove_all(self, head_end: str) -> None:
        """Strike out all promises to the users of a node."""
        for demand in [name for name, promise in self.promises.items() if promise.path[0] == head_end]:
            self.remove(demand)

    def lanes(self, path: tuple[str, ...]) -> tuple[int, str]:
        """Return how many memory positions a further circuit can have on each link, and where there are fewest."""
        wanted = self._wanted(path, 1)
        free = [(self._free(*place) // per_lane, place[0]) for place, per_lane in wanted.items()]
        return min(free)

    def share(self, hub: str) -> float:
        """Return how much of the time of a hub's heralding stations is left: 1 is all the time of one."""
        return self._topology.nodes[hub].analysers - self._shares.get(hub, 0.0) + _ROUNDING

    def _book(self, promise: Promise, sign: int) -> None:
        path, terms = promise.path, promise.terms
        for place, positions in self._wanted(path, terms.lanes).items():
            self._positions[place] += sign * positions
        for hub, share in self.shares(path, terms.shares).items():
            self._shares[hub] = self._shares.get(hub, 0.0) + sign * share

    def shares(self, path: tuple[str, ...], shares: tuple[float, float]) -> dict[str, float]:
        """Return which hub gives what: that of the head-end, and that of the tail-end if it is another."""
        nodes = self._topology.nodes
        hubs = {path[1]: shares[0]} if nodes[path[1]].switch else {}
        if len(path) > 3 and nodes[path[-2]].switch:
            hubs[path[-2]] = shares[1]
        return hubs

    def _wanted(self, path: tuple[str, ...], lanes: int) -> Counter[tuple[str, str]]:
        wanted: Counter[tuple[str, str]] = Counter()
        for a, b in pairwise(path):
            for node, peer in ((a, b), (b, a)):
                wanted[node, self._topology.port(node, peer).bank] += lanes
        if len(path) == 3 and self._topology.is_optical(path):
            wanted = Counter({place: n for place, n in wanted.items() if place[0] != path[1]})
        return wanted

    def _free(self, node: str, bank: str) -> int:
        positions = next(port.positions for port in self._topology.nodes[node].ports if port.bank == bank)
        return positions - self._positions[node, bank]
