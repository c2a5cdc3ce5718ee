"""What a run says at its end: one object for scripts, a few lines for people."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulator import Outcome
from emulator.time import LagHistogram

from . import faults, stalls
from .build import World
from .invariants import Violation

_MS = 1e6
_FEW = 6  # of what is left over when a host is lost: the rest is in the JSON
_FEWEST = 5  # with fewer samples a mean fidelity says too little to be shown


@dataclass(frozen=True, slots=True)
class Work:
    """What a run was to whoever ran it: events, lags, and, of each host, what `qie deploy` shows of it."""

    events: int
    lag: LagHistogram
    hosts: tuple[dict[str, Any], ...] = ()
    lost: Mapping[str, str] = field(default_factory=dict)  # hosts without which the run went on, and why

    @classmethod
    def of(cls, world: World) -> Work:
        """Return the work of a run in this process."""
        timeline = world.network.timeline
        return cls(timeline.events - world.network.ticks, timeline.lag)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run and how it was asked for."""

    scenario: str
    seed: int
    rate: float
    world: World
    outcome: Outcome
    wall_s: float
    record_error: OSError | None = None  # why the record of the run ends before the run
    work: Work | None = None  # of other hosts; None: all was done here
    trouble: tuple[Violation, ...] = ()  # what else went wrong

    @property
    def broken(self) -> list[Violation]:
        """Return which invariants broke."""
        now_ns = self.outcome.emulated_ns
        found = [*self.trouble, *self.world.invariants.violations]
        unmatched = self.world.monitor.unmatched
        excused = self.outcome.interrupted or self.trouble or self._has_lost_hosts  # or the other end may be gone
        if unmatched and not excused:
            found.append(Violation("both ends", now_ns, (), f"{unmatched} pairs were delivered at one end only"))
        if not self.outcome.interrupted:
            found += self.world.expectations.unmet(now_ns)
        if self.record_error is not None:
            text = f"the record of this run is not whole: {self.record_error.strerror}"
            found.append(Violation("record", now_ns, (), text))
        for node, error in self.world.programs.failures:
            text = f"a program on {node} failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
            found.append(Violation("programs", now_ns, (node,), text))
        return found

    @property
    def violations(self) -> list[str]:
        """Return which invariants broke, a line for each."""
        return [str(violation) for violation in self.broken]

    @property
    def good(self) -> bool:
        """Return whether no invariant broke and nothing leaked, but for what was held together with a lost host."""
        return not self.violations and (self._has_lost_hosts or not self.outcome.leaks)

    @property
    def _has_lost_hosts(self) -> bool:
        return self.work is not None and bool(self.work.lost)


def as_json(run: Run) -> dict[str, Any]:
    """Return the object of `--json`; keys are only added, never renamed."""
    network = run.world.network
    emulated_s = run.outcome.emulated_ns / 1e9
    work = run.work or Work.of(run.world)
    lag = work.lag
    return {
        "scenario": run.scenario,
        "seed": run.seed,
        "rate": "max" if math.isinf(run.rate) else run.rate,
        "emulated_s": emulated_s,
        "wall_s": round(run.wall_s, 6),
        "history_sha256": network.history.sha256(),
        "events": work.events,
        "messages": network.history.counts.get("message", 0),
        "pairs": [route_json(run.world, a, b, emulated_s) for a, b in run.world.monitor.routes],
        "lag_ms": {
            "p50": lag.percentile(50) / _MS,
            "p99": lag.percentile(99) / _MS,
            "max": lag.max_ns / _MS,
        },
        "demands": run.world.promises.as_json(run.outcome.emulated_ns),
        "faults": faults.as_json(network),
        "stalls": run.world.stalls.as_json(run.outcome.emulated_ns),
        "leaks": run.outcome.leaks,
        "violations": run.violations,
        "violation_details": [violation.as_json() for violation in run.broken],
        "interrupted": run.outcome.interrupted,
        "crashes": network.history.counts.get("crashes", 0),
        "refusals": network.history.counts.get("refused", 0),
        "hosts": list(work.hosts),
        "lost_hosts": dict(work.lost),
        "lost_messages": sum(network.history.counts.get(kind, 0) for kind in ("queue full", "mailbox full")),
    }


def route_json(world: World, a: str, b: str, emulated_s: float) -> dict[str, Any]:
    """Return the figures of one route; None where there is nothing to take a mean of."""
    statistics = world.monitor.routes[a, b]
    if not statistics.delivered:
        return {
            "a": a,
            "b": b,
            "delivered": 0,
            "rate_hz": 0.0,
            "fidelity_mean": None,
            "fidelity_sem": None,
            "fidelity_samples": 0,
            "latency_ms_p50": None,
            "age_ms_mean": None,
        }
    age_ns = statistics.age_mean_ns
    return {
        "a": a,
        "b": b,
        "delivered": statistics.delivered,
        "rate_hz": statistics.delivered / emulated_s if emulated_s else 0.0,
        "fidelity_mean": statistics.fidelity_mean,
        "fidelity_sem": statistics.fidelity_sem,
        "fidelity_samples": statistics.samples,
        "latency_ms_p50": statistics.waited.percentile(50) / _MS,
        "age_ms_mean": None if age_ns is None else age_ns / _MS,
    }


def summary(run: Run, *, most: int = 12) -> Iterator[str]:
    """Yield the lines for people."""
    data = as_json(run)
    delivered = sum(p["delivered"] for p in data["pairs"])
    ended = " (interrupted)" if run.outcome.interrupted else ""
    yield f"{run.scenario}: {data['emulated_s']:.3f} s of emulated time in {run.wall_s:.2f} s{ended}, seed {run.seed}"
    yield f"{delivered} pairs delivered, {delivered / data['emulated_s'] if data['emulated_s'] else 0:.2f} per second"
    yield from _demand_lines(data["demands"])
    chosen = busiest(run.world, most)
    shown = [pair for pair in data["pairs"] if (pair["a"], pair["b"]) in chosen]
    width = max((len(f"{p['a']} - {p['b']}") for p in shown), default=0)
    for pair in shown:
        yield f"  {pair['a'] + ' - ' + pair['b']:<{width}}  {route_line(pair)}"
    if delivered:
        yield "  (waited: median from asking to delivery; age: mean since the photon left; both at the first node)"
    if len(data["pairs"]) > most:
        yield f"  ... and {len(data['pairs']) - most} more routes"
    if math.isfinite(run.rate) and (run.work is None or run.work.lag.count):
        lag = data["lag_ms"]
        yield f"lag behind the wall clock: p50 {lag['p50']:.3f} ms, p99 {lag['p99']:.3f} ms, max {lag['max']:.3f} ms"
    yield f"{data['events']} events, {data['messages']} messages, history {data['history_sha256'][:16]}"
    yield from _host_lines(data["hosts"], data["lost_hosts"])
    yield from faults.summary(data["faults"])
    yield from stalls.summary(data["stalls"])
    if data["crashes"]:
        yield f"{data['crashes']} lives of actors ended by an error"
    if data["lost_messages"]:
        yield f"{data['lost_messages']} messages were lost in full queues"
    yield from _left_over_lines(data["leaks"], lost=bool(data["lost_hosts"]))
    for violation in data["violation_details"]:
        yield from _violation_lines(violation)


def _left_over_lines(leaks: dict[str, int], *, lost: bool) -> Iterator[str]:
    lines = [f"{count} {what}" for what, count in leaks.items()]
    if lost and lines:  # who has lost their partners for good cannot give back what takes both: it is no mistake
        more = f", and {len(lines) - _FEW} more: see `leaks` of --json" if len(lines) > _FEW else ""
        yield f"LEFT OVER: {', '.join(lines[:_FEW])}{more}"
    elif lines:
        yield from (f"LEAK: {line}" for line in lines)


def _host_lines(hosts: list[dict[str, Any]], lost: dict[str, str]) -> Iterator[str]:
    for name, reason in lost.items():
        yield f"  {name}: lost, its actors have crashed for good: {reason}"
    for host in hosts:
        yield (
            f"  {host['name']}: {host['actors']} actors, {host['events']} events, {host['cpu_s']:.2f} s of CPU, "
            f"{host['promises']} promises, {host['waits']} waits for states"
        )


def _violation_lines(violation: dict[str, Any]) -> Iterator[str]:
    yield f"VIOLATION: {violation['invariant']}: {violation['text']}, at {violation['time_s']:.9f} s"
    for line in violation["lineage"]:
        yield f"    {line}"
    if violation["before"]:
        yield "  what its actors did just before:"
        for line in violation["before"]:
            yield f"    {line}"


def busiest(world: World, most: int) -> list[tuple[str, str]]:
    """Return the routes that have delivered most, in the order of the scenario."""
    routes = world.monitor.routes  # those of the scenario first, then those of programs
    chosen = sorted(routes, key=lambda route: -routes[route].delivered)[:most]
    return [route for route in routes if route in chosen]


def _demand_lines(demands: list[dict[str, Any]]) -> Iterator[str]:
    """Yield how many demands were admitted, how promises were kept, and the commonest reasons of refusals."""
    waiting = sum(d.get("code") == "OTHER" for d in demands)
    refused = Counter(f"{d['code']}: {d['reason']}" for d in demands if d.get("code", "OTHER") != "OTHER")
    promised = [d for d in demands if d["admitted"] and d["promised_rate_hz"] and d["seconds"] >= 1]
    if promised:
        kept = sum(d["rate_hz"] >= 0.95 * d["promised_rate_hz"] for d in promised)
        yield f"{len(promised)} demands were promised a rate, {kept} got at least 95 % of it"
    if waiting:
        yield f"{waiting} demands still waited to be admitted at the end"
    if refused:
        yield f"{refused.total()} demands were refused"
        for reason, count in refused.most_common(3):
            yield f"  {count} x {reason}"


def route_cells(pair: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """Return a route's figures as text: pairs, rate, fidelity, waiting time, age."""
    mean, sem = pair["fidelity_mean"], pair["fidelity_sem"]
    waited, age = pair["latency_ms_p50"], pair["age_ms_mean"]
    return (
        str(pair["delivered"]),
        f"{pair['rate_hz']:.3f}/s",
        "-" if pair["fidelity_samples"] < _FEWEST else f"{mean:.3f} +- {sem:.3f}",
        "-" if waited is None else f"{waited:.1f} ms",
        "-" if age is None else f"{age:.1f} ms",
    )


def route_line(pair: dict[str, Any]) -> str:
    """Return a route's figures in one line."""
    count, rate, fidelity, waited, age = route_cells(pair)
    if not pair["delivered"]:
        return f"{count:>6} pairs"
    return f"{count:>6} pairs  {rate:>10}  F {fidelity}  waited {waited}, age {age}"
