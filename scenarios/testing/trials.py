"""The networks that one test has run: what of them is to be good at its end, and what is said of them if it fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from scenarios import faults
from scenarios.report import Run, summary

from .assertions import assert_no_leaks, assert_no_violations
from .networks import CheckedNetwork

Checked: TypeAlias = Run | CheckedNetwork


@dataclass(slots=True)
class Trial:
    """One network of a test. `result`: None as long as its run is not over."""

    label: str
    seed: int
    may_break: bool
    result: Checked | None = None

    def lines(self) -> Iterator[str]:
        """Yield what is said of it."""
        if isinstance(self.result, Run):
            yield from summary(self.result)
        elif self.result is not None and self.result.outcome is not None:
            yield from _lines(self.result, self.result.outcome.leaks)
        else:
            yield f"{self.label}, seed {self.seed}: its run did not come to its end"


@dataclass(slots=True)
class Trials:
    """All of them, in the order in which they began."""

    trials: list[Trial] = field(default_factory=list)

    def add(self, label: str, seed: int, *, may_break: bool) -> Trial:
        """Begin another one."""
        self.trials.append(Trial(label, seed, may_break))
        return self.trials[-1]

    def check(self) -> None:
        """Raise AssertionError if one leaked or broke something that must not."""
        __tracebackhide__ = True
        for trial in self.trials:
            if trial.may_break or trial.result is None or trial.result.outcome is None:
                continue
            assert_no_violations(trial.result)
            assert_no_leaks(trial.result)

    def lines(self) -> Iterator[str]:
        """Yield what is said of all of them."""
        for trial in self.trials:
            yield from trial.lines()


def _lines(network: CheckedNetwork, leaks: dict[str, int]) -> Iterator[str]:
    now_s = network.timeline.now_ns / 1e9
    yield f"a network of {len(network.names)} actors: {now_s:.3f} s of emulated time, seed {network.seed}"
    yield f"{network.history.counts.get('message', 0)} messages, history {network.history.sha256()[:16]}"
    yield from faults.summary(faults.as_json(network))
    for what, count in leaks.items():
        yield f"LEAK: {count} {what}"
    for violation in network.violations:
        yield f"VIOLATION: {violation}"
