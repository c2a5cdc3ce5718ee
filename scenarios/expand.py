"""From what a scenario says to the plain lists of nodes, links and demands that it means."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice, pairwise
from typing import Any

from pydantic import ValidationError

from nodes.hardware import Profile, load

from .paths import Topology
from .schema import Chain, Kind, Link, Node, Route, Scenario, Star

CONTROLLER = "controller"  # the name of the actor that a table [controller] makes
_LINK_KEYS = (
    "loss_db", "loss_db_per_km", "station_at", "memories", "modes", "scheme", "attempt_ms", "session_timeout_s",
    "success_probability", "fidelity", "processing_us", "bit_rate_per_s",
)  # fmt: skip


class ScenarioError(ValueError):
    """A scenario that cannot be run. `errors` are (where, what is wrong and what would be right)."""

    def __init__(self, errors: list[tuple[tuple[str | int, ...], str]]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, where))}: {what}" for where, what in errors))
        self.errors = errors


def station_name(link: Link) -> str:
    """Return the name of the heralding station that a link has to itself."""
    return f"{link.a}~{link.b}"


def switch_name(hub: str) -> str:
    """Return the name of the heralding stations behind a hub's optical switch."""
    return f"{hub}~switch"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a scenario means.

    nodes, profiles: by name; links, links_of: all, and those of each node; hubs: the stars by the name of their hub;
    demands: for each route the path between its two ends.
    """

    nodes: dict[str, Node]
    profiles: dict[str, Profile]
    links: tuple[Link, ...]
    links_of: dict[str, list[Link]]
    hubs: dict[str, Star]
    demands: tuple[tuple[Route, tuple[str, ...]], ...]

    @property
    def switches(self) -> dict[str, Star]:
        """Return the stars whose end nodes share the heralding stations at the hub."""
        return {name: star for name, star in self.hubs.items() if star.analysers}

    def bank(self, node: str, link: Link) -> tuple[str, int]:
        """Return which memory bank of a node serves one of its links, and how many positions it has."""
        peer = link.b if node == link.a else link.a
        if node in self.hubs and self._is_end(peer):
            return "end nodes", self.hubs[node].hub_memories
        return f"towards {peer}", link.memories or self.profiles[node].memories_per_link

    def station(self, link: Link) -> str:
        """Return the name of the heralding station of a link."""
        for hub, peer in ((link.a, link.b), (link.b, link.a)):
            star = self.hubs.get(hub)
            if star is not None and star.analysers and peer.startswith(f"{hub}-") and self._is_end(peer):
                return switch_name(hub)
        return station_name(link)

    def light_station(self, name: str, peer: str) -> str | None:
        """Return the station through which light can go from one end node to another; None: there is no way."""
        if peer not in self.nodes or not self._is_end(peer):
            return None
        found = {self.station(link) for link in self.links_of[name]}
        shared = found.intersection(self.station(link) for link in self.links_of[peer])
        return min(shared, default=None)

    def _is_end(self, name: str) -> bool:
        return self.nodes[name].kind in ("processing", "photonic")


def expand(scenario: Scenario) -> Plan:
    """Return the plan of a scenario; raises ScenarioError with all that is wrong with its names and routes."""
    errors: list[tuple[tuple[str | int, ...], str]] = []
    nodes: dict[str, Node] = {}
    links: list[Link] = list(scenario.link)
    groups = [(("node", k), [n], list[Link]()) for k, n in enumerate(scenario.node)]
    groups += [(("chain", k), *_chain(c)) for k, c in enumerate(scenario.chain)]
    groups += [(("star", k), *_star(s)) for k, s in enumerate(scenario.star)]
    for where, members, own_links in groups:
        links += own_links
        for node in members:
            if node.name in nodes:
                errors.append(((*where, "name"), f"there is a node named {node.name!r} already; names must differ"))
            nodes[node.name] = node
    if not nodes:
        errors.append(((), "a scenario needs at least one node, chain or star"))
    profiles = _profiles(scenario, nodes, errors)
    errors += _link_errors(links, nodes, len(scenario.link))
    demands = list(_demands(scenario, nodes, links, errors))
    links_of: dict[str, list[Link]] = {name: [] for name in nodes}
    for link in links:
        for name in (link.a, link.b):
            links_of.setdefault(name, []).append(link)
    plan = Plan(nodes, profiles, tuple(links), links_of, {star.name: star for star in scenario.star}, tuple(demands))
    errors += _controller_errors(scenario, nodes)
    errors += _expect_errors(scenario, nodes)
    if not errors:
        errors += _role_errors(plan, len(scenario.link))
        errors += _scheme_errors(plan, len(scenario.link))
        errors += _lane_errors(scenario, plan)
    if errors:
        raise ScenarioError(errors)
    return plan


def _profiles(
    scenario: Scenario, nodes: dict[str, Node], errors: list[tuple[tuple[str | int, ...], str]]
) -> dict[str, Profile]:
    """Return each node's hardware: its profile, with what the scenario and the node say otherwise."""
    found = {}
    for k, node in enumerate(nodes.values()):
        override = scenario.override.model_dump(exclude_none=True)
        own = node.override.model_dump(exclude_none=True)
        try:
            found[node.name] = Profile.model_validate(
                load(node.hardware or _default_hardware(scenario, node)).model_dump() | override | own
            )
        except ValidationError as error:
            where: tuple[str | int, ...] = ("node", k, "override") if own else ("override",)
            message = f"{node.name}: {error.errors()[0]['ctx']['error']}"
            if (where, message) not in errors:
                errors.append((where, message))
            if not own:
                break  # it is the same for all
    return found


def _default_hardware(scenario: Scenario, node: Node) -> str:
    if node.kind != "photonic":
        return scenario.hardware
    return "photonic.today" if scenario.hardware.endswith(".today") else "photonic.near_future"


def _chain(chain: Chain) -> tuple[list[Node], list[Link]]:
    names = [f"{chain.name}-a", *(f"{chain.name}-{k}" for k in range(1, chain.links)), f"{chain.name}-b"]
    kinds: list[Kind] = ["processing", *["repeater"] * (chain.links - 1), "processing"]  # type: ignore[list-item]
    nodes = [Node(name=n, kind=k, hardware=chain.hardware) for n, k in zip(names, kinds, strict=True)]
    shared = chain.model_dump(include=set(_LINK_KEYS))
    links = [Link(a=a, b=b, length_km=chain.length_km, **shared) for a, b in pairwise(names)]
    return nodes, links


def _star(star: Star) -> tuple[list[Node], list[Link]]:
    nodes = [Node(name=star.name, kind="hub", hardware=star.hub_hardware)]
    links = []
    shared = star.model_dump(include=set(_LINK_KEYS))
    farthest_km = star.length_km if star.farthest_km is None else star.farthest_km
    for k in range(star.end_nodes):
        client = k >= star.end_nodes - star.photonic_clients
        name = f"{star.name}-{k + 1}"
        share = k / (star.end_nodes - 1) if star.end_nodes > 1 else 0.0
        length_km = round(star.length_km + share * (farthest_km - star.length_km), 3)
        hardware = star.client_hardware if client else star.hardware
        nodes.append(Node(name=name, kind="photonic" if client else "processing", hardware=hardware))
        links.append(Link(a=name, b=star.name, length_km=length_km, **shared))
    return nodes, links


def name_errors(document: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield duplicate and unknown names of a document that may be wrong in other ways too."""

    def entries(kind: str) -> Iterable[tuple[int, dict[str, Any]]]:
        found = document.get(kind, ())
        return ((k, e) for k, e in enumerate(found) if isinstance(e, dict)) if isinstance(found, (list, tuple)) else ()

    names: list[str] = []
    for k, node in entries("node"):
        if (name := str(node.get("name"))) in names:
            yield ("node", k, "name"), f"there is a node named {name!r} already; names must differ"
        names.append(name)
    groups = [str(group.get("name")) for kind in ("chain", "star") for _, group in entries(kind)]
    for k, link in entries("link"):
        for side in ("a", "b"):
            name = str(link.get(side, names[0] if names else ""))
            if name not in names and not any(name == g or name.startswith(f"{g}-") for g in groups):
                yield ("link", k, side), f"there is no node named {name!r}{_nearest(name, names)}"


def _link_errors(
    links: list[Link], nodes: dict[str, Node], explicit: int
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    degree = dict.fromkeys(nodes, 0)
    joined: set[frozenset[str]] = set()
    for k, link in enumerate(links):
        where: tuple[str | int, ...] = ("link", k) if k < explicit else ()
        for side, name in (("a", link.a), ("b", link.b)):
            if name not in nodes:
                yield (*where, side), f"there is no node named {name!r}{_nearest(name, nodes)}"
            else:
                degree[name] += 1
        if (ends := frozenset((link.a, link.b))) in joined:
            yield where, f"there is a link between {link.a} and {link.b} already; give it more memories instead"
        joined.add(ends)
    for k, node in enumerate(nodes.values()):
        if node.kind == "repeater" and degree[node.name] != 2:
            yield ("node", k, "kind"), f"repeater {node.name!r} has {degree[node.name]} links; a repeater has 2"


def _controller_errors(scenario: Scenario, nodes: dict[str, Node]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if scenario.controller is not None:
        if CONTROLLER in nodes:
            yield (
                ("controller",),
                f"the controller is named {CONTROLLER!r}, so no node can be; call that node otherwise",
            )
        if scenario.controller.at not in nodes:
            at = scenario.controller.at
            yield ("controller", "at"), f"there is no node named {at!r}{_nearest(at, nodes)}"
        return
    for k, route in enumerate(scenario.route):
        for key in ("rate_hz", "fidelity", "duration_s", "patience_s", "priority"):
            if getattr(route, key):
                yield ("route", k, key), 'only a controller can promise this; add a table [controller] with at = "..."'


def _expect_errors(scenario: Scenario, nodes: dict[str, Node]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for k, expect in enumerate(scenario.expect):
        for side, pattern in (("a", expect.a), ("b", expect.b)):
            if not _matching(pattern, nodes):
                yield ("expect", k, side), f"no end nodes match {pattern!r}{_nearest(pattern, nodes)}"


def _role_errors(plan: Plan, explicit: int) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for name, node in plan.nodes.items():
        if plan.profiles[name].role == "receives" and node.kind != "photonic":
            yield (), f'{name} is a {node.kind} node, which cannot have role = "receives"; only a photonic client can'
    for k, link in enumerate(plan.links):
        ends = {name: plan.profiles[name] for name in (link.a, link.b)}
        receivers = [name for name, profile in ends.items() if profile.role == "receives"]
        if not receivers or link.success_probability is not None:
            continue
        where: tuple[str | int, ...] = ("link", k) if k < explicit else ()
        if link.scheme is not None:
            yield (
                where,
                f"{receivers[0]} detects the photons itself, so no scheme of heralding applies: leave `scheme` out",
            )
        for name, profile in ends.items():
            if name not in receivers and profile.scheme == "pair_source":
                yield where, f"{name} has a pair source, which cannot send single photons to {receivers[0]}"


def _scheme_errors(plan: Plan, explicit: int) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for k, link in enumerate(plan.links):
        a, b = plan.profiles[link.a].scheme, plan.profiles[link.b].scheme
        roles = plan.profiles[link.a].role, plan.profiles[link.b].role
        if a != b and link.scheme is None and link.success_probability is None and "receives" not in roles:
            where: tuple[str | int, ...] = ("link", k) if k < explicit else ()
            message = f"{link.a} is made for {a}, {link.b} for {b}; say which `scheme` the link is to use"
            yield where, message


def _lane_errors(scenario: Scenario, plan: Plan) -> Iterator[tuple[tuple[str | int, ...], str]]:
    links = {frozenset((link.a, link.b)): link for link in plan.links}
    found: set[tuple[int, str]] = set()
    for route, path in plan.demands:
        number = next(k for k, r in enumerate(scenario.route) if r is route)
        for node in path:
            if node in plan.switches and len(path) == 3:
                continue  # the photons only pass
            wanted: dict[str, int] = {}
            for a, b in pairwise(path):
                if node in (a, b):
                    bank, positions = plan.bank(node, links[frozenset((a, b))])
                    wanted[bank] = wanted.get(bank, 0) + route.lanes
                    if wanted[bank] > positions and (number, node) not in found:
                        found.add((number, node))
                        where = "for its end nodes" if bank == "end nodes" else bank
                        message = f"lanes = {route.lanes} takes {wanted[bank]} memory positions of {node} {where}"
                        yield ("route", number, "lanes"), f"{message}, which has {positions}"


def _nearest(name: str, nodes: Collection[str]) -> str:
    import difflib  # noqa: PLC0415  (only for an error message)

    close = difflib.get_close_matches(name, nodes, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(list(nodes)[:8]) or 'none'}"


def _demands(
    scenario: Scenario,
    nodes: dict[str, Node],
    links: list[Link],
    errors: list[tuple[tuple[str | int, ...], str]],
) -> Iterator[tuple[Route, tuple[str, ...]]]:
    topology = Topology(nodes, links)
    for k, route in enumerate(scenario.route):
        ends = list(_match(route, nodes))
        if not ends and route.most != 0:
            missing = next((p for p in (route.a, route.b) if not _matching(p, nodes)), route.a)
            errors.append((("route", k), f"no end nodes match {missing!r}{_nearest(missing, nodes)}"))
        for a, b in ends:
            end_errors = [n for n in (a, b) if nodes[n].kind in ("hub", "repeater")]
            path = topology.path(a, b)
            if end_errors:
                errors.append((("route", k), f"{end_errors[0]!r} is a {nodes[end_errors[0]].kind}, not an end node"))
            elif path is None:
                errors.append((("route", k), f"there is no path of links from {a!r} to {b!r}"))
            elif route.distil and (clients := [n for n in (a, b) if nodes[n].kind == "photonic"]):
                errors.append((("route", k, "distil"), f"{clients[0]!r} is a photonic client, which cannot distil"))
            else:
                yield route, path


def _matching(pattern: str, nodes: dict[str, Node]) -> list[str]:
    if "*" not in pattern:
        return [pattern] if pattern in nodes else []
    return [n for n, node in nodes.items() if node.kind in ("processing", "photonic") and fnmatchcase(n, pattern)]


def _match(route: Route, nodes: dict[str, Node]) -> Iterator[tuple[str, str]]:
    a, b = _matching(route.a, nodes), _matching(route.b, nodes)
    if route.pick == "random":
        shuffle = random.Random(f"{route.a} {route.b}").shuffle
        shuffle(a)
        shuffle(b)
    pairs = zip(a[::2], a[1::2], strict=False) if route.a == route.b else zip(a, b, strict=False)
    yield from islice(pairs, route.most)
