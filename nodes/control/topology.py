"""The map that a controller draws from the reports of the nodes, and the ways through it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

import networkx as nx

from .messages import NodeReport, PortReport

_MOST_PATHS = 3


@dataclass(frozen=True, slots=True)
class Hop:
    """A link of a circuit: the two nodes that will share its pairs, and its heralding station."""

    a: str
    b: str
    station: str


class Topology:
    """Nodes by name, and the links between hubs and repeaters. End nodes hang on it and are not part of any way."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeReport] = {}
        self._ports: dict[str, dict[str, PortReport]] = {}
        self._positions: dict[tuple[str, str], int] = {}
        self._core = nx.Graph()
        self._core_paths: dict[tuple[str, str], list[list[str]]] = {}

    def add(self, name: str, report: NodeReport) -> None:
        """Take the report of a node."""
        self.nodes[name] = report
        self._ports[name] = {port.peer: port for port in report.ports}
        self._positions.update({(name, port.bank): port.positions for port in report.ports})
        self._core_paths.clear()
        if name in self._core:
            self._core.remove_node(name)
        if report.may_swap:
            self._core.add_node(name)
            for port in report.ports:
                if port.peer in self._core and self.are_joined(name, port.peer):
                    self._core.add_edge(name, port.peer, weight=port.latency_ns)

    def are_joined(self, a: str, b: str) -> bool:
        """Return whether two nodes have reported, and each named the other and the same station."""
        there, back = self._ports.get(a, {}).get(b), self._ports.get(b, {}).get(a)
        return there is not None and back is not None and there.station == back.station

    def contradicts(self, path: tuple[str, ...]) -> bool:
        """Return whether nodes that have reported do not know a path that is said to lead through them."""
        return any(a in self.nodes and b in self.nodes and not self.are_joined(a, b) for a, b in pairwise(path)) or any(
            name in self.nodes and peer not in self._ports[name]
            for a, b in pairwise(path)
            for name, peer in ((a, b), (b, a))
        )

    def paths(self, a: str, b: str) -> Iterator[tuple[str, ...]]:
        """Yield the shortest ways from one end node to another, the shortest first; a few at most."""
        if self.are_joined(a, b):
            yield a, b
            return
        found: list[tuple[int, tuple[str, ...]]] = []
        for first in self._doors(a):
            for last in self._doors(b):
                ends_ns = self.port(a, first).latency_ns + self.port(b, last).latency_ns
                for core in self._between(first, last):
                    length_ns = sum(self._core.edges[x, y]["weight"] for x, y in pairwise(core))
                    found.append((ends_ns + length_ns, (a, *core, b)))
        yield from (path for _, path in sorted(found)[:_MOST_PATHS])

    def port(self, node: str, peer: str) -> PortReport:
        """Return a node's way to a neighbour."""
        return self._ports[node][peer]

    def positions(self, node: str, bank: str) -> int:
        """Return how many positions a node's memory bank has."""
        return self._positions[node, bank]

    def hops(self, path: tuple[str, ...]) -> list[Hop]:
        """Return the links of a path. Where both sides of a hub are behind its switch, photons pass it: one link."""
        if len(path) == 3 and self.is_optical(path):
            return [Hop(path[0], path[2], self.nodes[path[1]].switch)]
        return [Hop(a, b, self.port(a, b).station) for a, b in pairwise(path)]

    def is_optical(self, path: tuple[str, ...]) -> bool:
        """Return whether a path of three nodes leads through an optical switch only."""
        a, hub, b = path
        switch = self.nodes[hub].switch
        return bool(switch) and self.port(a, hub).station == switch == self.port(b, hub).station

    def _doors(self, end: str) -> list[str]:
        ports = self.nodes[end].ports
        return [port.peer for port in ports if port.peer in self._core and self.are_joined(end, port.peer)]

    def _between(self, first: str, last: str) -> list[list[str]]:
        """Return the shortest ways between two hubs or repeaters; looked for once, until the map changes."""
        found = self._core_paths.get((first, last))
        if found is None:
            if first == last:
                found = [[first]]
            elif nx.has_path(self._core, first, last):
                found = list(islice(nx.shortest_simple_paths(self._core, first, last, weight="weight"), _MOST_PATHS))
            else:
                found = []
            self._core_paths[first, last] = found
        return found
