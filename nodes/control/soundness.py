"""What nodes and heralding stations say of themselves can be wrong. This says what cannot be true. Pure.

A controller takes nothing into account that is not sound: a number that is none would spread through its forecasts and
accounts. What is sound and wrong all the same shows in the pairs, not here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from emulator import LinkFigures, StorageLaw
from nodes.distillation import Gates

from .messages import NodeReport, PortReport, Promise
from .path import NodeFigures

_LONGEST_NS = 10**15  # eleven days: of a period, a latency, a measurement
_MOST = 10**6  # positions, heralding stations
_RAREST = 1e-15  # success of an attempt, if it is not 0
_FASTEST_S = 1e-12
_STEEPEST = 10.0
_ROUNDING = 1e-9


def flaw_of_report(sender: str, report: NodeReport) -> str | None:
    """Return what cannot be true of what a node says of itself; None: nothing."""
    return next(_report_flaws(sender, report), None)


def flaw_of_figures(figures: LinkFigures) -> str | None:
    """Return what cannot be true of what a station says of a link; None: nothing."""
    return next(_link_flaws(figures), None)


def flaw_of_promise(sender: str, promise: Promise) -> str | None:
    """Return what cannot be true of a promise in force that a node names; None: nothing."""
    path, terms = promise.path, promise.terms
    checks = (
        (len(path) > 1 and len(set(path)) == len(path), "path"),
        (path[:1] == (sender,), "head-end"),
        (1 <= terms.lanes <= _MOST, "lanes"),
        (all(0 <= share <= terms.lanes for share in terms.shares), "shares"),
        (0 <= promise.rate_hz < math.inf, "rate_hz"),
        (0 <= promise.fidelity <= 1, "fidelity"),
    )
    return next(_failed(checks), None)


def _failed(checks: Iterable[tuple[bool, str]]) -> Iterator[str]:
    return (what for right, what in checks if not right)


def _report_flaws(sender: str, report: NodeReport) -> Iterator[str]:
    yield from _failed(((0 <= report.analysers <= _MOST, "analysers"),))
    yield from _node_flaws(report.figures)
    for port in report.ports:
        yield from _port_flaws(sender, port)
    if len({port.peer for port in report.ports}) < len(report.ports):
        yield "two ports to one neighbour"


def _port_flaws(sender: str, port: PortReport) -> Iterator[str]:
    return _failed(
        (
            (bool(port.peer) and port.peer != sender, "peer"),
            (bool(port.station), "station"),
            (0 <= port.latency_ns <= _LONGEST_NS, "latency_ns"),
            (0 <= port.positions <= _MOST, "positions"),
        )
    )


def _node_flaws(figures: NodeFigures) -> Iterator[str]:
    yield from _law_flaws(figures.storage)
    yield from _gates_flaws(figures.gates)
    yield from _failed(
        (
            (0 <= figures.swap_ns <= _LONGEST_NS, "swap_ns"),
            (0 <= figures.distil_ns <= _LONGEST_NS, "distil_ns"),
            (0 <= figures.swap_probability <= 1, "swap_probability"),
            (_within_one(figures.swap_contrasts), "swap_contrasts"),
        )
    )


def _law_flaws(law: StorageLaw) -> Iterator[str]:
    return _failed(
        (
            (0 <= law.transverse_per_s <= 1 / _FASTEST_S, "transverse_per_s"),
            (0 <= law.longitudinal_per_s <= 1 / _FASTEST_S, "longitudinal_per_s"),
            (-1 <= law.equilibrium <= 1, "equilibrium"),
            (law.dephasing_s >= _FASTEST_S, "dephasing_s"),
            (0 < law.dephasing_exponent <= _STEEPEST, "dephasing_exponent"),
            (law.attempts_1_over_e >= _FASTEST_S, "attempts_1_over_e"),
            (0 <= law.retrieval_efficiency <= 1, "retrieval_efficiency"),
            (law.retrieval_decay_s >= _FASTEST_S, "retrieval_decay_s"),
        )
    )


def _gates_flaws(gates: Gates) -> Iterator[str]:
    shares = (*gates.turned, gates.intact, gates.answered)
    return _failed(((all(0 <= share <= 1 for share in shares) and -1 <= gates.read <= 1, "gates"),))


def _link_flaws(figures: LinkFigures) -> Iterator[str]:
    first, second, both = figures.loaded
    p = figures.success_probability
    return _failed(
        (
            (p == 0 or _RAREST <= p <= 1, "success_probability"),
            (1 <= figures.period_ns <= _LONGEST_NS, "period_ns"),
            (_within_one(figures.contrasts), "contrasts"),
            (_within_one(figures.bias), "bias"),
            (all(0 <= ns <= _LONGEST_NS for ns in (*figures.light_ns, figures.dead_ns, figures.slot_ns)), "times"),
            (0 <= both <= min(first, second) <= max(first, second) <= 1, "loaded"),
            (first + second - both <= 1 + _ROUNDING, "loaded"),
        )
    )


def _within_one(values: Iterable[float]) -> bool:
    return all(-1 - _ROUNDING <= value <= 1 + _ROUNDING for value in values)
