"""Who runs on which host: cut where fibres are long, since that is how far hosts may be apart in emulated time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import networkx as nx

from emulator import Network

# The actors of each host, sorted.
Placement: TypeAlias = dict[str, list[str]]

_IMBALANCE: Final = 1.5  # of the load of a host, against the mean
_NEAR_NS: Final = 1_000  # who is nearer to each other is not divided: emulated time would creep


@dataclass(frozen=True, slots=True)
class Cut:
    """What a placement costs: between which hosts the least lookahead is, and which channel makes it so short."""

    hosts: tuple[str, str]
    channel: tuple[str, str]
    lookahead_ns: int

    def realtime_factor(self, round_trip_s: float) -> float:
        """Return how fast emulated time can go at best: hosts that wait for each other take a round trip per two."""
        return 2 * self.lookahead_ns / 1e9 / round_trip_s if round_trip_s > 0 else float("inf")


def place(
    network: Network, hosts: Sequence[str], weights: Mapping[str, float], *, among: Collection[str] = ()
) -> Placement:
    """Return a placement of actors that cuts the longest fibres it can and still balances the load.

    weights: how much work each actor is expected to be; 1 for whom it does not name; among: whom to place (nobody
    named: all). Raises ValueError if there are more hosts than actors.
    """
    ways = _ways(network, set(among or network.names))
    if len(ways) < len(hosts):
        raise ValueError(f"{len(ways)} actors cannot be divided among {len(hosts)} hosts")
    if len(hosts) == 1:
        return {hosts[0]: sorted(ways)}
    best: tuple[float, Placement] | None = None
    lengths_ns = {max(data["ns"], _NEAR_NS) for *_, data in ways.edges(data=True)} or {_NEAR_NS}
    for least_ns in sorted(lengths_ns, reverse=True):
        parts = _parts(ways, least_ns)
        if len(parts) < len(hosts):
            continue
        placement = _dealt(parts, hosts, weights)
        loads = [sum(weights.get(actor, 1.0) for actor in actors) for actors in placement.values()]
        imbalance = max(loads) * len(loads) / sum(loads) if all(placement.values()) else float("inf")
        if imbalance <= _IMBALANCE:
            return placement
        if best is None or imbalance < best[0]:
            best = imbalance, placement
    if best is None or best[0] == float("inf"):
        raise ValueError(f"{len(ways)} actors cannot be divided among {len(hosts)} hosts")
    return best[1]


def cut(network: Network, placement: Placement) -> Cut | None:
    """Return the worst place where a placement cuts; None if it cuts nowhere."""
    homes = {actor: host for host, actors in placement.items() for actor in actors}
    found = None
    for source, sink, least_ns in _channels(network):
        a, b = homes[source], homes[sink]
        if a != b and (found is None or least_ns < found.lookahead_ns):
            found = Cut((a, b), (source, sink), least_ns)
    return found


def loads(routes: Sequence[Sequence[str]], network: Network) -> dict[str, float]:
    """Return the work to be expected of each actor: some for itself, and some for each route over it."""
    over = Counter(name for route in routes for name in route)
    found = {name: 1.0 + count for name, count in over.items()}
    for name in network.names:
        if network.cell(name).actor.role == "station":
            found[name] = 1.0 + max((over[node] for node in network.cell(name).channels), default=0)
    return found


def _channels(network: Network) -> Iterator[tuple[str, str, int]]:
    for name in network.names:
        for sink, channel in network.cell(name).channels.items():
            yield name, sink, channel.least_ns


def _ways(network: Network, among: Collection[str]) -> nx.Graph[str]:
    ways: nx.Graph[str] = nx.Graph()
    ways.add_nodes_from(sorted(among))
    ways.add_edges_from((a, b, {"ns": least_ns}) for a, b, least_ns in _channels(network) if a in among and b in among)
    return ways


def _parts(ways: nx.Graph[str], least_ns: int) -> list[list[str]]:
    """Return the sets of actors that nothing shorter joins, in an order in which neighbours are near each other."""
    near: nx.Graph[str] = nx.Graph()
    near.add_nodes_from(ways)
    near.add_edges_from((a, b) for a, b, data in ways.edges(data=True) if data["ns"] < least_ns)
    parts = sorted(sorted(part) for part in nx.connected_components(near))
    distances: dict[str, float] = {parts[0][0]: 0}
    for _ in range(2):  # from anywhere to the farthest, and from there
        start = max(sorted(distances), key=lambda name: distances[name])
        distances = nx.single_source_dijkstra_path_length(ways, start, weight="ns")
    return sorted(parts, key=lambda part: (min(distances.get(name, 0) for name in part), part))


def _dealt(parts: list[list[str]], hosts: Sequence[str], weights: Mapping[str, float]) -> Placement:
    """Deal the parts to the hosts in their order, so that each gets about the same load."""
    placement: Placement = {host: [] for host in hosts}
    sizes = [sum(weights.get(actor, 1.0) for actor in part) for part in parts]
    total, before = sum(sizes), 0.0
    for part, size in zip(parts, sizes, strict=True):
        number = min(len(hosts) - 1, int((before + size / 2) / total * len(hosts)))
        placement[hosts[number]] += part
        before += size
    return {host: sorted(actors) for host, actors in placement.items()}
