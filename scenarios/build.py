"""From a plan to a network that can run: actors, channels, memories, heralding stations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from emulator import MS, PERFECT, US, Bank, Network, Port, S
from links import AbstractLink, Arm, DoubleClick, Fibre, HeraldedStateModel, HeraldingStation, PairSource, SingleClick
from nodes import (
    Demand,
    EndNode,
    Hub,
    PhotonicClient,
    ProcessingNode,
    Program,
    Programs,
    QuantumNode,
    Repeater,
)
from nodes.hardware import Profile

from .expand import Plan, ScenarioError
from .monitor import Monitor
from .paths import Topology
from .schema import Link, Node, Route, Scenario


@dataclass(frozen=True, slots=True)
class World:
    """A network ready to run, who watches it, the demands on it, and the programs of its end nodes."""

    network: Network
    monitor: Monitor
    routes: tuple[tuple[str, str], ...]
    programs: Programs

    def install(self, name: str, program: Program) -> None:
        """Let an end node run a program. Raises LookupError if there is no such end node."""
        node = self.network.actors.get(name)
        if not isinstance(node, EndNode):
            what = "there is no node of that name" if node is None else "it is no end node"
            raise LookupError(f"no program can run on {name!r}: {what}")  # noqa: TRY004  (a name is wrong, not a type)
        self.programs.install(node, program)


def build(
    scenario: Scenario, plan: Plan, *, seed: int = 0, rate: float = math.inf, keep_history: bool = False
) -> World:
    """Return the world of a scenario; raises ScenarioError if a link could never deliver a pair."""
    network = Network(seed=seed, rate=rate, keep_history=keep_history)
    routes = tuple(dict.fromkeys((path[0], path[-1]) for _, path in plan.demands))
    monitor = Monitor(network.engine, network.history, routes)
    topology = Topology(plan.nodes, plan.links)
    for node in plan.nodes.values():
        actor = _node(scenario, plan, node, network)
        if isinstance(actor, EndNode):
            actor.find_path = partial(topology.path, node.name)
        restart_ns = None if node.restart_after_s is None else round(node.restart_after_s * S)
        network.add(actor, restart_after_ns=restart_ns)
    for number, link in enumerate(plan.links):
        _join(scenario, plan, link, number, network)
    return World(network, monitor, routes, Programs())


def station_name(link: Link) -> str:
    """Return the name of a link's heralding station."""
    return f"{link.a}~{link.b}"


def _fibre(scenario: Scenario, link: Link) -> Fibre:
    assert link.loss_db is not None
    return Fibre(link.length_km, link.loss_db, latency_ns_per_km=scenario.latency_us_per_km * US)


def _node(scenario: Scenario, plan: Plan, node: Node, network: Network) -> QuantumNode:
    profile = plan.profiles[node.name]
    banks: dict[str, Bank] = {}
    ports: list[Port] = []
    noise = profile.noise()
    for link in plan.links:
        if node.name not in (link.a, link.b):
            continue
        peer = link.b if node.name == link.a else link.a
        bank, positions = plan.bank(node.name, link)
        banks[bank] = Bank(positions, PERFECT if node.kind == "photonic" else noise)
        fibre = _fibre(scenario, link)
        ports.append(
            Port(
                peer,
                station_name(link),
                bank,
                latency_ns=max(2, fibre.latency_ns),
                patience_ns=round(link.session_timeout_s * S),
            )
        )
    physics = profile.physics()
    if node.kind in ("hub", "repeater"):
        return (Hub if node.kind == "hub" else Repeater)(node.name, network.engine, banks, ports, physics)
    demands = [_demand(route, path) for route, path in plan.demands if path[0] == node.name]
    end: type[EndNode] = PhotonicClient if node.kind == "photonic" else ProcessingNode
    if node.kind == "processing" and profile.processor_qubits:
        banks["processor"] = Bank(profile.processor_qubits, noise)
    return end(node.name, network.engine, banks, ports, physics, demands)


def _demand(route: Route, path: tuple[str, ...]) -> Demand:
    cutoff_ns = 0 if route.cutoff_s is None else max(1, round(route.cutoff_s * S))
    return Demand(path, route.lanes, route.pairs, round(route.pause_s * S), route.order == "nested", cutoff_ns)


def _join(scenario: Scenario, plan: Plan, link: Link, number: int, network: Network) -> None:
    fibre = _fibre(scenario, link)
    arms = fibre.split(link.station_at)
    ends = plan.profiles[link.a], plan.profiles[link.b]
    model = heralded_states(link, ends, arms)
    where = ("link", number) if number < len(scenario.link) else ()
    if model.p_success <= 0:
        raise ScenarioError([(where, f"no attempt between {link.a} and {link.b} can ever succeed")])
    preparation_us = max(end.preparation_us for end in ends)
    latencies_ns = [max(1, arm.latency_ns) for arm in arms]
    preparation_ns = round(preparation_us * US)
    if link.attempt_ms is not None:
        light_ms = 2 * max(latencies_ns) / MS
        if link.attempt_ms < light_ms:
            message = f"attempt_ms = {link.attempt_ms:g} is less than the light needs: at least {light_ms:g}"
            raise ScenarioError([(where, f"{link.a} and {link.b}: {message}")])
        preparation_ns = round(link.attempt_ms * MS) - 2 * max(latencies_ns)
    station = HeraldingStation(
        station_name(link),
        network.engine,
        model,
        (Arm(link.a, latencies_ns[0]), Arm(link.b, latencies_ns[1])),
        preparation_ns=preparation_ns,
    )
    network.add(station)
    classical = {"processing_ns": round(link.processing_us * US), "bit_rate_per_s": link.bit_rate_per_s}
    for end, latency_ns in ((link.a, latencies_ns[0]), (link.b, latencies_ns[1])):
        network.connect(end, station.name, latency_ns=latency_ns, **classical)  # type: ignore[arg-type]
    network.connect(link.a, link.b, latency_ns=max(2, fibre.latency_ns), **classical)  # type: ignore[arg-type]


def heralded_states(link: Link, profiles: tuple[Profile, Profile], arms: tuple[Fibre, Fibre]) -> HeraldedStateModel:
    """Return what an attempt on a link leads to, from the hardware at both ends and the fibre to the station."""
    a, b = profiles
    modes = link.modes or max(a.modes, b.modes)
    if link.success_probability is not None and link.fidelity is not None:
        return AbstractLink(link.success_probability, link.fidelity).model().with_modes(link.modes or 1)
    scheme = link.scheme or a.scheme
    efficiency_a, efficiency_b = (p.arm_efficiency(f.transmission) for p, f in zip(profiles, arms, strict=True))
    dark = max(a.dark_probability, b.dark_probability)
    visibility = min(a.visibility, b.visibility)
    if scheme == "single_click":
        source: SingleClick | DoubleClick | PairSource = SingleClick(
            alpha_a=a.bright_population,
            alpha_b=b.bright_population,
            efficiency_a=efficiency_a,
            efficiency_b=efficiency_b,
            dark_probability=dark,
            visibility=visibility,
            phase_std_rad=max(a.phase_std_rad, b.phase_std_rad),
            double_excitation=max(a.double_excitation, b.double_excitation),
        )
    elif scheme == "double_click":
        source = DoubleClick(
            efficiency_a=efficiency_a,
            efficiency_b=efficiency_b,
            dark_probability=dark,
            visibility=visibility,
            double_excitation=max(a.double_excitation, b.double_excitation),
            emission_fidelity_a=a.emission_fidelity,
            emission_fidelity_b=b.emission_fidelity,
        )
    else:
        source = PairSource(
            mean_pairs_a=a.pairs_per_mode,
            mean_pairs_b=b.pairs_per_mode,
            efficiency_a=efficiency_a,
            efficiency_b=efficiency_b,
            write_efficiency_a=a.write_efficiency,
            write_efficiency_b=b.write_efficiency,
            dark_probability=dark,
            visibility=visibility,
        )
    return source.model().with_modes(modes)
