"""Benchmarks: what the hot paths cost on this machine. Each figure is the best of a few repetitions."""

from __future__ import annotations

import math
import platform
import random
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

import msgspec

from emulator import Actor, BellMeasurement, Engine, Envelope, Handler, MemoryNoise, Message, Network
from emulator.quantum import werner
from emulator.time import Timeline

from .build import Watched
from .load import load_text, read
from .report import as_json
from .run import built, run_scenario
from .spec import RunSpec

_REPETITIONS: Final = 3
_ACTORS: Final = 100
_ROUNDS: Final = 5  # of runs with, with less, and without observers

# Ten links of 50 km with 8 memory pairs each: fresh pairs of fidelity .99, success .0328 per attempt, memories that
# depolarise in 1 s, swaps that work in 95 of 100 cases. With negotiated Barrett-Kok timing an attempt takes five
# times the light of a link.
C10_SETTINGS: Final = (
    "links=10",
    "length_km=50",
    "memories=8",
    "lanes=8",
    "pairs=0",
    "order=nested",
    "hardware=ideal",
    "latency_us_per_km=5",
    "chain.0.success_probability=0.0328",
    "chain.0.fidelity=0.99",
    "chain.0.attempt_ms=1.25",
    "override.swap_efficiency=0.95",
    "override.depolarising_s=1",
    "route.0.cutoff_s=1",
)

HOSTS_END_NODES: Final = 50  # per city
HOSTS_FOR_S: Final = 5.0  # as fast as it goes
HOSTS_PACED_S: Final = 20.0  # in real time

# A hub with 200 end nodes at 10 km, two memories each, 100 flows at once through the hub; otherwise as above.
STAR_LEAVES: Final = 200
STAR_SETTINGS: Final = (
    f"end_nodes={STAR_LEAVES}",
    "photonic_clients=0",
    "nearest_km=10",
    "farthest_km=10",
    f"hub_memories={2 * STAR_LEAVES}",
    "demands=100",
    "rate_hz=0",
    "fidelity=0",
    "pause_s=0",
    "analysers=0",
    "hardware=ideal",
    "latency_us_per_km=5",
    "star.0.station_at=0.5",
    "star.0.memories=2",
    "star.0.success_probability=0.207",
    "star.0.fidelity=0.99",
    "star.0.attempt_ms=0.25",
    "override.swap_efficiency=0.95",
    "override.depolarising_s=1",
    "route.0.lanes=2",
    "route.0.cutoff_s=1",
)


METRO_NODES: Final = (50, 100, 200, 400, 1000)
METRO_SETTINGS: Final = ("photonic_clients=0", "pause_s=0.05")


# Scenarios in which the cost of observers is measured: how long, and how they are set.
WATCHED: Final[dict[str, tuple[float, tuple[str, ...]]]] = {
    "chain": (5.0, C10_SETTINGS),
    "berlin-frankfurt": (20.0, ()),
    "metro": (5.0, METRO_SETTINGS),
}


class _Token(Message, frozen=True, tag="bench-token"):
    hops: int


class _Passer(Actor):
    """Passes a token on to a neighbour drawn at random."""

    def __init__(self, name: str, neighbours: list[str]) -> None:
        super().__init__(name)
        self._neighbours = neighbours

    def handlers(self) -> dict[type[Message], Handler]:
        return {_Token: self.on_token}

    def begin(self) -> None:
        self.send(self._neighbours[0], _Token(0))

    def on_token(self, message: _Token, envelope: Envelope) -> None:
        neighbours = self._neighbours
        self.send(neighbours[self.random().below(len(neighbours))], _Token(message.hops + 1))


def _handler_events(seconds: float = 0.5) -> float:
    """Events a second of handlers that each schedule the next, 100 of them in flight."""
    timeline = Timeline()
    rng = random.Random(1)
    delays = [rng.randrange(5_000, 500_000) for _ in range(1000)]

    def handler(k: int) -> None:
        timeline.at(timeline.now_ns + delays[k % 1000], handler, k + 7, rank=k & 127)

    async def main() -> float:
        for k in range(_ACTORS):
            timeline.at(k + 1, handler, k)
        before, start = timeline.events, time.perf_counter()
        while time.perf_counter() - start < seconds:
            await timeline.sleep(50_000_000)
        return (timeline.events - before) / (time.perf_counter() - start)

    return timeline.run(main)


def _task_wakeups(seconds: float = 0.5) -> float:
    """Wake-ups a second of 100 tasks that sleep exactly."""
    import trio  # noqa: PLC0415

    timeline = Timeline()
    woken = 0

    async def sleeper(k: int) -> None:
        nonlocal woken
        while True:
            await timeline.sleep(100_000 + 37 * k)
            woken += 1

    async def main() -> float:
        async with trio.open_nursery() as nursery:
            for k in range(_ACTORS):
                nursery.start_soon(sleeper, k)
            start = time.perf_counter()
            while time.perf_counter() - start < seconds:
                await timeline.sleep(5_000_000)
            rate = woken / (time.perf_counter() - start)
            nursery.cancel_scope.cancel()
        return rate

    return timeline.run(main)


def _messages(emulated_s: float = 0.2) -> float:
    """Messages a second between 100 actors over channels, recorded in a history."""
    network = Network(seed=1)
    names = [f"actor-{k}" for k in range(_ACTORS)]
    rng = random.Random(2)
    links: dict[str, list[str]] = {name: [] for name in names}
    for name in names:
        for other in rng.sample(names, 2):
            if other != name and other not in links[name]:
                links[name].append(other)
                links[other].append(name)
    for name in names:
        network.add(_Passer(name, links[name]))
    for name in names:
        for other in links[name]:
            if name < other:
                network.connect(name, other, latency_ns=rng.randrange(50_000, 500_000))
    start = time.perf_counter()
    network.run(for_ns=round(emulated_s * 1e9), drain_ns=1)
    return network.history.counts["message"] / (time.perf_counter() - start)


def _swap_us(swaps: int = 5_000) -> float:
    """Return the cost in us of a full noisy swap: four decoherence updates, measurement with flips, Pauli frame."""
    engine, noise = Engine(), MemoryNoise(t1_s=1.3, t2_s=0.9, depolarising_s=4.0)
    bsm = BellMeasurement(efficiency=0.98, depolarising=0.01, flip_x=0.01, flip_z=0.01)
    template, rng, spent = werner(0.95, bell=2), random.Random(3), 0.0
    for k in range(swaps):
        a, b, c, d = ids = [("a", 0, k), ("r", 0, k), ("r", 1, k), ("d", 0, k)]
        for qubit in ids:
            engine.open(qubit, noise)
        engine.new_pair(template, a, b, times_ns=(0, 0), bell=2)
        engine.new_pair(template, c, d, times_ns=(0, 0), bell=2)
        u = (rng.random(), rng.random(), rng.random())
        start = time.perf_counter()
        outcome = engine.swap(b, c, 1_000_000, u=u, bsm=bsm)
        engine.frame(a, 0, 2_000_000)
        engine.frame(d, outcome or 0, 2_000_000)
        spent += time.perf_counter() - start
        for qubit in ids:
            engine.close(qubit)
    return spent / swaps * 1e6


def _kernel() -> dict[str, Any]:
    return {
        "handler_events_per_s": max(_handler_events() for _ in range(_REPETITIONS)),
        "task_wakeups_per_s": max(_task_wakeups() for _ in range(_REPETITIONS)),
        "messages_per_s": max(_messages() for _ in range(_REPETITIONS)),
    }


def _swap() -> dict[str, Any]:
    return {"noisy_swap_us": min(_swap_us() for _ in range(_REPETITIONS))}


def _chain() -> dict[str, Any]:
    return _scenario("chain", 20.0, C10_SETTINGS)


def _star() -> dict[str, Any]:
    return _scenario("metro", 0.2, STAR_SETTINGS)


def _metro() -> dict[str, Any]:
    """Cost per delivered pair from 50 to 1000 end nodes, with half as many demands that are promised a rate."""
    figures: dict[str, Any] = {}
    for nodes in METRO_NODES:
        settings = (f"end_nodes={nodes}", f"demands={nodes // 2}", f"analysers={nodes * 12 // 100}", *METRO_SETTINGS)
        found = _scenario("metro", 2.0, settings)
        figures |= {f"{key}_{nodes}": found[key] for key in ("wall_ms_per_pair", "events_per_delivered_pair")}
    costs = [figures[f"wall_ms_per_pair_{nodes}"] for nodes in METRO_NODES]
    figures["wall_ms_per_pair"] = costs[-1]
    figures["growth_per_doubling"] = max(
        (dear / cheap) ** (1 / math.log2(many / few))
        for (few, cheap), (many, dear) in pairwise(zip(METRO_NODES, costs, strict=True))
    )
    return figures


def _hosts() -> dict[str, Any]:
    """Run the default scenario on one process, two and three as fast as it goes, and on two in real time."""
    from .hosts.deploy import deploy, give_way  # noqa: PLC0415  (needs an extra)

    label, text = read("berlin-frankfurt")
    spec = RunSpec(
        label=label,
        text=text,
        settings=(f"end_nodes={HOSTS_END_NODES}",),
        seed=1,
        for_ns=round(HOSTS_FOR_S * 1e9),
        rate=math.inf,
    )
    figures: dict[str, Any] = {}
    for hosts in (1, 2, 3):
        run = deploy(spec, hosts)
        data = as_json(run)
        pairs = sum(pair["delivered"] for pair in data["pairs"])
        figures |= {
            f"emulated_per_wall_{hosts}": HOSTS_FOR_S / run.wall_s,
            f"events_per_s_{hosts}": data["events"] / run.wall_s,
            f"promises_per_s_{hosts}": sum(host["promises"] for host in data["hosts"]) / run.wall_s,
            f"round_trips_per_delivered_pair_{hosts}": sum(host["waits"] for host in data["hosts"]) / pairs,
        }
        figures |= {f"cpu_s_{hosts}_{host['name']}": host["cpu_s"] for host in data["hosts"]}
    spec = msgspec.structs.replace(spec, rate=1.0, for_ns=round(HOSTS_PACED_S * 1e9))
    paced = deploy(spec, 2, live=lambda _: give_way())  # as the command does
    lag = as_json(paced)["lag_ms"]
    return figures | {
        "realtime_factor": HOSTS_PACED_S / paced.wall_s,
        "lag_ms_p99": lag["p99"],
        "lag_ms_max": lag["max"],
    }


def _invariants() -> dict[str, Any]:
    """Return which part of a run's time is taken by the invariants, and which by the statistics, in percent."""
    figures: dict[str, Any] = {}
    for name, (emulated_s, settings) in WATCHED.items():
        label, text = read(name)
        scenario, plan = load_text(label, text, settings)
        fastest_s: dict[Watched, float] = {}
        for watched in ("nothing", "statistics", "all") * _ROUNDS:
            world = built(label, scenario, plan, seed=1, watched=watched)
            start = time.process_time()
            world.network.run(for_ns=round(emulated_s * 1e9))
            fastest_s[watched] = min(time.process_time() - start, fastest_s.get(watched, math.inf))
        whole_s, statistics_s, bare_s = fastest_s["all"], fastest_s["statistics"], fastest_s["nothing"]
        figures[f"{name}_invariants_percent"] = 100 * (whole_s - statistics_s) / whole_s
        figures[f"{name}_statistics_percent"] = 100 * (statistics_s - bare_s) / whole_s
    return figures


def _scenario(name: str, emulated_s: float, settings: tuple[str, ...]) -> dict[str, Any]:
    run = run_scenario(name, for_s=emulated_s, seed=1, settings=settings)
    routes = run.world.monitor.routes.values()
    delivered, events = sum(r.delivered for r in routes), run.world.network.timeline.events
    return {
        "emulated_per_wall": emulated_s / run.wall_s,
        "delivered_per_emulated_s": delivered / emulated_s,
        "fidelity_mean": sum(r.fidelity_sum for r in routes) / sum(r.samples for r in routes),
        "wall_ms_per_pair": run.wall_s * 1e3 / delivered,
        "events_per_delivered_pair": events / delivered,
        "events_per_s": events / run.wall_s,
    }


BENCHES: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "kernel": _kernel,
    "swap": _swap,
    "chain": _chain,
    "star": _star,
    "metro": _metro,
    "invariants": _invariants,
    "hosts": _hosts,
}


def measure(name: str) -> dict[str, Any]:
    """Run a benchmark and return its figures, with the Python and the processor they are of."""
    return {"bench": name, "figures": BENCHES[name](), "python": platform.python_version(), "cpu": _cpu()}


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")
    except OSError:
        return platform.processor() or "unknown"
