"""Which way from one end node to another: the map that end nodes are configured with."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

from .schema import Link, Node

_BETWEEN = ("hub", "repeater")  # the kinds of nodes that a path can lead through


class Topology:
    """Nodes and the links between them. Links to nodes that do not exist are left out."""

    def __init__(self, nodes: Mapping[str, Node], links: Iterable[Link]) -> None:
        self._through = {name for name, node in nodes.items() if node.kind in _BETWEEN}
        self._neighbours: dict[str, dict[str, float]] = {name: {} for name in nodes}  # km
        for link in links:
            if link.a in nodes and link.b in nodes:
                self._neighbours[link.a][link.b] = self._neighbours[link.b][link.a] = link.length_km

    def distances_km(self, origin: str) -> dict[str, float]:
        """Return how far each node is along the fibres; nodes that cannot be reached are left out."""
        queue, found = [(0.0, origin)], dict[str, float]()
        while queue:
            length_km, name = heapq.heappop(queue)
            if name not in found:
                found[name] = length_km
                for neighbour, km in self._neighbours[name].items():
                    heapq.heappush(queue, (length_km + km, neighbour))
        return found

    def path(self, a: str, b: str) -> tuple[str, ...] | None:
        """Return the path of least length through hubs and repeaters, or None. Ties go to the smaller names."""
        queue: list[tuple[float, tuple[str, ...]]] = [(0.0, (a,))]
        seen: set[str] = set()
        while queue:
            length_km, path = heapq.heappop(queue)
            last = path[-1]
            if last == b:
                return path
            if last in seen or (last != a and last not in self._through):
                continue
            seen.add(last)
            for neighbour, km in self._neighbours.get(last, {}).items():
                if neighbour not in seen:
                    heapq.heappush(queue, (length_km + km, (*path, neighbour)))
        return None
