"""What tests say of runs; what they raise says what was there instead."""

from __future__ import annotations

from typing import Final

from emulator import History, Network, Outcome, Record, first_difference
from scenarios import faults
from scenarios.replay import line
from scenarios.report import Run

from .networks import CheckedNetwork

_SHOWN: Final = 20  # lines of one kind in a message


def assert_no_leaks(what: Run | CheckedNetwork | Outcome) -> None:
    """Let nothing be held when nothing goes on any more: no qubit, circuit, request, task, message under way."""
    __tracebackhide__ = True
    leaks = _outcome(what).leaks
    if leaks:
        held = _some([f"{count} {kind}" for kind, count in leaks.items()])
        raise AssertionError("\n  ".join([f"{_name(what)}: still held though nothing goes on:", *held]))


def assert_no_violations(what: Run | CheckedNetwork) -> None:
    """Let no invariant be broken, and no program or actor have ended by an error.

    The first error of a program is the cause of what is raised, so that its traceback is shown.
    """
    __tracebackhide__ = True
    _outcome(what)
    if not what.violations:
        return
    lines = [f"{_name(what)}: broken:"]
    for violation in what.broken:
        lines += [str(violation), *(f"  {entry}" for entry in (*violation.lineage, *violation.before))]
    failures = what.world.programs.failures if isinstance(what, Run) else []
    raise AssertionError("\n  ".join(_some(lines))) from (failures[0][1] if failures else None)


def assert_delivered(run: Run, a: str, b: str, *, at_least: int = 1) -> None:
    """Let so many pairs have been delivered at both ends, between two end nodes, whoever asked for them."""
    __tracebackhide__ = True
    routes = run.world.monitor.routes
    delivered = sum(routes[way].delivered for way in ((a, b), (b, a)) if way in routes)
    if delivered >= at_least:
        return
    lines = [f"{_name(run)}: {delivered} pairs were delivered between {a} and {b}, at least {at_least} were wanted"]
    lines += [f"there is no actor named {name!r}" for name in (a, b) if name not in run.world.network.actors]
    lines += [f"{statistics.delivered} pairs between {x} and {y}" for (x, y), statistics in routes.items()]
    if refused := run.world.network.history.counts.get("refused", 0):
        lines.append(f"{refused} requests for circuits were refused")
    lines += faults.summary(faults.as_json(run.world.network))
    raise AssertionError("\n  ".join(_some(lines)))


def assert_faults_fired(what: Run | Network) -> None:
    """Let each fault have begun and met something: a run whose faults never met anything says nothing of them."""
    __tracebackhide__ = True
    entries = faults.as_json(_network(what))
    idle = list(faults.summary(entry for entry in entries if not entry["fired"]))
    if not entries:
        idle = ["there was no fault at all"]
    if idle:
        raise AssertionError("\n  ".join([f"{_name(what)}:", *_some(idle)]))


def assert_same_history(a: Run | Network | History, b: Run | Network | History) -> None:
    """Let two runs have the same history, bit by bit; the first record that differs is told if both were kept."""
    __tracebackhide__ = True
    first, second = _history(a), _history(b)
    if first.sha256() == second.sha256():
        return
    if first.kept is None or second.kept is None:
        hashes = f"{first.sha256()[:16]} and {second.sha256()[:16]}"
        raise AssertionError(f"the histories differ, {hashes}; keep both (keep_history=True) to be told where")
    found = first_difference(first.kept, second.kept)
    assert found is not None, "what is hashed is what is kept"
    lines = [f"the histories differ from {found.time_ns / 1e9:.9f} s on:"]
    lines += [f"both    {line(record)}" for record in found.before]
    lines += [f"first   {_line(found.recorded)}", f"second  {_line(found.now)}"]
    raise AssertionError("\n  ".join(lines))


def _line(record: Record | None) -> str:
    return "nothing more" if record is None else line(record)


def _some(lines: list[str]) -> list[str]:
    more = len(lines) - _SHOWN
    return lines if more <= 0 else [*lines[:_SHOWN], f"... and {more} more"]


def _network(what: Run | Network) -> Network:
    return what.world.network if isinstance(what, Run) else what


def _history(what: Run | Network | History) -> History:
    return what if isinstance(what, History) else _network(what).history


def _outcome(what: Run | CheckedNetwork | Outcome) -> Outcome:
    if isinstance(what, Outcome):
        return what
    assert what.outcome is not None, "this network has not run to its end"
    return what.outcome


def _name(what: Run | Network | Outcome) -> str:
    if isinstance(what, Outcome):
        return "the network"
    return f"{what.scenario}, seed {what.seed}" if isinstance(what, Run) else f"the network, seed {what.seed}"
