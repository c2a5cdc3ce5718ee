"""What the summaries of all hosts come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from emulator import FaultError, Network, Outcome
from emulator.time import LagHistogram
from emulator.wire.frames import Summary
from emulator.wire.framing import WireError
from scenarios.report import Work


def check(summary: Summary, network: Network, others: Iterable[Summary]) -> None:
    """Raise WireError if a summary cannot be that of a host of this network, of which others have told this."""
    known = len(network.faults.injections) + len(summary.inputs)
    if len(summary.faults) != known:
        raise WireError(f"its summary tells of {len(summary.faults)} faults, of {known}")
    if any(other.inputs != summary.inputs for other in others):
        raise WireError("its summary tells of other faults than those of other hosts")
    try:
        for wanted in summary.inputs:
            network.faults.check(wanted)
    except FaultError as error:
        raise WireError(f"its summary tells of a fault that cannot be: {error}") from error
    try:
        LagHistogram().add_all(summary.lag_counts, summary.lag_max_ns)
    except ValueError as error:
        raise WireError(f"its summary has no lags: {error}") from error


def outcome(summaries: Mapping[str, Summary], network: Network) -> Outcome:
    """Return how the run ended, and note in the network how often its faults have met something."""
    leaks: Counter[str] = Counter()
    for summary in summaries.values():
        leaks.update(summary.leaks)
    first = next(iter(summaries.values()))
    for wanted in first.inputs:
        network.faults.note(wanted)
    for number, injection in enumerate(network.faults.injections):
        injection.active.fired = sum(summary.faults[number][0] for summary in summaries.values())
        injection.begun_ns, injection.ended_ns = first.faults[number][1:]
    return Outcome(first.emulated_ns, first.interrupted, dict(sorted(leaks.items())))


def work(
    summaries: Mapping[str, Summary],
    actors: Mapping[str, list[str]],
    round_trips_s: Mapping[str, dict[str, float]],
    lost: Mapping[str, str],
) -> Work:
    """Return what the run was to all hosts."""
    lag = LagHistogram()
    hosts: list[dict[str, Any]] = []
    for name, summary in summaries.items():
        lag.add_all(summary.lag_counts, summary.lag_max_ns)
        figures = {"name": name, "actors": len(actors[name]), "events": summary.events, "cpu_s": summary.cpu_s}
        hosts.append(figures | summary.work | {"round_trips_s": round_trips_s.get(name, {})})
    return Work(sum(summary.events for summary in summaries.values()), lag, tuple(hosts), dict(lost))
