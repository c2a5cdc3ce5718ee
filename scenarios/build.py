"""From a plan to a network that can run: actors, channels, memories, heralding stations."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

from emulator import MS, PERFECT, US, Bank, History, Network, Port, S, Share
from links import Arm, Fibre, HeraldingStation, Switch, light_ns
from nodes import (
    Contract,
    Demand,
    EndNode,
    Hub,
    PhotonicClient,
    ProcessingNode,
    Program,
    Programs,
    QuantumNode,
    Repeater,
    Terms,
)

from .expand import CONTROLLER, Plan, ScenarioError, station_name, switch_name
from .expectations import Expectations
from .faults import inject_all
from .invariants import Invariants
from .monitor import Monitor
from .optics import Optics
from .paths import Topology
from .promises import Promises
from .schema import Link, Node, Route, Scenario, Star
from .stalls import Stalls

# What of a run is observed.
Watched: TypeAlias = Literal["all", "statistics", "nothing"]


@dataclass(frozen=True, slots=True)
class World:
    """A network ready to run, who watches it, the demands on it, and the programs of its end nodes."""

    network: Network
    monitor: Monitor
    invariants: Invariants
    routes: tuple[tuple[str, str], ...]
    programs: Programs
    promises: Promises
    stalls: Stalls
    expectations: Expectations

    def install(self, name: str, program: Program) -> None:
        """Let an end node run a program. Raises LookupError if there is no such end node."""
        node = self.network.actors.get(name)
        if not isinstance(node, EndNode):
            what = "there is no node of that name" if node is None else "it is no end node"
            raise LookupError(f"no program can run on {name!r}: {what}")  # noqa: TRY004  (a name is wrong, not a type)
        self.programs.install(node, program)


def build(
    scenario: Scenario,
    plan: Plan,
    *,
    seed: int = 0,
    rate: float = math.inf,
    keep_history: bool = False,
    share: Share | None = None,
    watched: Watched = "all",
) -> World:
    """Return the world of a scenario; raises ScenarioError for a link that could never deliver, or a wrong fault.

    share: what of it runs here, None: all of it; watched: less than "all" is to measure what it costs to check
    invariants and to keep statistics.
    """
    network = Network(seed=seed, rate=rate, keep_history=keep_history, share=share)
    routes = tuple(dict.fromkeys((path[0], path[-1]) for _, path in plan.demands))
    seen = History() if watched == "nothing" else network.history
    invariants = Invariants(network, network.history if watched == "all" else History())
    monitor = Monitor(network.engine, seen, routes, invariants.report)
    topology = Topology(plan.nodes, plan.links)
    for node in plan.nodes.values():
        actor = _node(scenario, plan, node, network)
        if isinstance(actor, EndNode):
            actor.find_path = partial(topology.path, node.name)
            actor.light.find_station = partial(plan.light_station, node.name)
        restart_ns = None if node.restart_after_s is None else round(node.restart_after_s * S)
        network.add(actor, restart_after_ns=restart_ns)
    for hub, star in plan.switches.items():
        _switch(scenario, plan, hub, star, network)
    for number, link in enumerate(plan.links):
        if plan.station(link) == station_name(link):
            _join(scenario, plan, link, ("link", number) if number < len(scenario.link) else (), network)
    if scenario.controller is not None:
        _add_controller(scenario, topology, network)
    promises = Promises(monitor)
    promises.watch(seen)
    stalls = Stalls()
    stalls.watch(seen)
    expectations = Expectations(scenario.expect)
    expectations.watch(seen)
    inject_all(network, scenario.fault)
    return World(network, monitor, invariants, routes, Programs(), promises, stalls, expectations)


def _fibre(scenario: Scenario, link: Link) -> Fibre:
    assert link.loss_db is not None
    return Fibre(link.length_km, link.loss_db, latency_ns_per_km=scenario.latency_us_per_km * US)


def _node(scenario: Scenario, plan: Plan, node: Node, network: Network) -> QuantumNode:
    profile = plan.profiles[node.name]
    noise = profile.noise()
    banks: dict[str, Bank] = {}
    ports: dict[str, Port] = {}
    by_station: dict[str, Port] = {}
    for link in plan.links_of[node.name]:
        peer = link.b if node.name == link.a else link.a
        bank, positions = plan.bank(node.name, link)
        banks[bank] = Bank(positions, PERFECT if node.kind == "photonic" else noise)
        station = plan.station(link)
        if station not in by_station:
            by_station[station] = Port(station, bank, patience_ns=round(link.session_timeout_s * S))
        ports[peer] = by_station[station]
    physics = profile.physics()
    if node.kind == "repeater":
        return Repeater(node.name, network.engine, banks, ports, physics)
    if node.kind == "hub":
        star = plan.switches.get(node.name)
        switch = {} if star is None else {"switch": switch_name(node.name), "analysers": star.analysers}
        return Hub(node.name, network.engine, banks, ports, physics, **switch)  # type: ignore[arg-type]
    controlled = scenario.controller is not None
    demands = [_demand(route, path, controlled=controlled) for route, path in plan.demands if path[0] == node.name]
    end: type[EndNode] = PhotonicClient if node.kind == "photonic" else ProcessingNode
    if node.kind == "processing" and profile.processor_qubits:
        banks["processor"] = Bank(profile.processor_qubits, noise)
    return end(node.name, network.engine, banks, ports, physics, demands)


def _demand(route: Route, path: tuple[str, ...], *, controlled: bool) -> Demand:
    cutoff_ns = 0 if route.cutoff_s is None else max(1, round(route.cutoff_s * S))
    terms = Terms(route.lanes, route.order == "nested", cutoff_ns, distil=route.distil or "", rounds=route.rounds)
    contract = Contract(
        route.rate_hz,
        route.fidelity,
        round(route.duration_s * S),
        round(route.patience_s * S),
        route.priority,
        route.may_distil,
        terms,
    )
    return Demand(path, terms, route.pairs, round(route.pause_s * S), contract if controlled else None)


def _add_controller(scenario: Scenario, topology: Topology, network: Network) -> None:
    """Add the controller, with a channel to each node and heralding station as long as the fibres to there."""
    from nodes.control.controller import Controller  # noqa: PLC0415  (networkx takes .4 s to import)

    assert scenario.controller is not None
    per_km_ns = scenario.latency_us_per_km * US
    distances_km = topology.distances_km(scenario.controller.at)
    managed = {name: max(1, round(km * per_km_ns)) for name, km in distances_km.items()}
    restart_ns = round(scenario.controller.restart_after_s * S)
    actors = network.actors
    controller = network.add(Controller(CONTROLLER, sorted(managed)), restart_after_ns=restart_ns)
    for name, latency_ns in managed.items():
        network.connect(controller.name, name, latency_ns=latency_ns)
    for name, actor in actors.items():
        if isinstance(actor, HeraldingStation):
            arms_ns = [managed[arm.node] + arm.latency_ns for arm in actor.arms if arm.node in managed]
            if arms_ns:
                network.connect(controller.name, name, latency_ns=min(arms_ns))
    for actor in actors.values():
        if isinstance(actor, EndNode) and actor.name in managed:
            actor.controller = controller.name


def _join(scenario: Scenario, plan: Plan, link: Link, where: tuple[str | int, ...], network: Network) -> None:
    """Join two nodes by a link with a heralding station of its own."""
    fibre = _fibre(scenario, link)
    halves = dict(zip((link.a, link.b), fibre.split(link.station_at), strict=True))
    optics = Optics(dict.fromkeys(halves, link), plan.profiles, halves)
    if optics.model(link.a, link.b, 0.0).p_success <= 0:
        raise ScenarioError([(where, f"no attempt between {link.a} and {link.b} can ever succeed")])
    preparation_us = max(plan.profiles[name].preparation_us for name in halves)
    arms = [_arm(plan, name, half, round(preparation_us * US)) for name, half in halves.items()]
    if link.attempt_ms is not None:
        needed_ns = light_ns(arms[0], arms[1])
        if round(link.attempt_ms * MS) < needed_ns:
            message = f"attempt_ms = {link.attempt_ms:g} is less than the light needs: at least {needed_ns / MS:g}"
            raise ScenarioError([(where, f"{link.a} and {link.b}: {message}")])
        arms = [replace(arm, preparation_ns=round(link.attempt_ms * MS) - needed_ns) for arm in arms]
    station = network.add(HeraldingStation(plan.station(link), network.engine, optics, arms))
    for arm in arms:
        network.connect(arm.node, station.name, latency_ns=arm.latency_ns, **_classical(link))
    network.connect(link.a, link.b, latency_ns=max(2, fibre.latency_ns), **_classical(link))


def _switch(scenario: Scenario, plan: Plan, hub: str, star: Star, network: Network) -> None:
    """Join the end nodes of a star by the switch at its hub: the heralding stations, and the hub's own memory."""
    links = {link.a: link for link in plan.links_of[hub] if plan.station(link) == switch_name(hub)}
    fibres = {name: _fibre(scenario, link) for name, link in links.items()}
    own = Fibre(0.0, 0.0, latency_ns_per_km=scenario.latency_us_per_km * US)
    optics = Optics(links | {hub: next(iter(links.values()))}, plan.profiles, fibres | {hub: own})
    arms = [
        _arm(plan, name, fibre, round(plan.profiles[name].preparation_us * US)) for name, fibre in optics.fibres.items()
    ]
    switch = Switch(star.analysers, round(star.switch_ms * MS), round(star.slot_ms * MS), hub)
    station = network.add(HeraldingStation(switch_name(hub), network.engine, optics, arms, switch=switch))
    for arm in arms:
        classical = _classical(links[arm.node]) if arm.node in links else {}
        network.connect(arm.node, station.name, latency_ns=arm.latency_ns, **classical)
        if arm.node != hub:
            network.connect(arm.node, hub, latency_ns=max(2, arm.latency_ns), **classical)


def _arm(plan: Plan, name: str, fibre: Fibre, preparation_ns: int) -> Arm:
    receives = plan.profiles[name].role == "receives"
    return Arm(name, max(1, fibre.latency_ns), preparation_ns, fibre.transmission, receives)


def _classical(link: Link) -> dict[str, Any]:
    return {"processing_ns": round(link.processing_us * US), "bit_rate_per_s": link.bit_rate_per_s}
