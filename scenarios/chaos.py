"""The search for fault schedules that break an invariant, or that a network does not recover from.

A run has two phases. While faults act, no invariant may break, whatever they are. When they are over, pairs have to
come again, and at the end nothing may be left over. What fails is shrunk to the least that fails, and written as a
scenario file that fails again with one command.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from hypothesis import HealthCheck, Phase, Verbosity, assume, given, seed, settings
from hypothesis import strategies as st

from emulator import ActorCrashError

from .invariants import Violation
from .load import InputError, read
from .report import Run
from .run import prepare_text
from .strategies import demands, fault_schedules, targets_of

FAULTY: Final = 0.5  # of a run, in which faults act; then they are over
QUIET: Final = 0.75  # of a run, after which pairs have to come again
_OFTEN: Final = 40  # pairs of a route in the last quarter without faults: then there must be some with them


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of the search: what is thrown at the scenario, and the seed of its random numbers."""

    seed: int
    faults: tuple[Mapping[str, Any], ...]
    routes: tuple[Mapping[str, Any], ...]

    def text(self) -> str:
        """Return the tables to be added to the scenario's file."""
        tables = [("route", table) for table in self.routes] + [("fault", table) for table in self.faults]
        return "".join(f"\n[[{name}]]\n{_toml(table)}" for name, table in tables)


@dataclass(frozen=True, slots=True)
class Failure:
    """What was found: the shrunk trial, and what it breaks."""

    trial: Trial
    violations: tuple[Violation, ...]


class Campaign:
    """A scenario to be searched, `for_s` seconds of emulated time each run, with some kinds of faults (none: all)."""

    def __init__(
        self, scenario: str, *, settings: Sequence[str] = (), for_s: float = 5.0, kinds: Sequence[str] = ()
    ) -> None:
        self.label, self.text = read(scenario)
        self.settings = tuple(settings)
        self.for_s = for_s
        _, plan, world = prepare_text(self.label, self.text, self.settings)
        self.targets = targets_of(world.network, kinds)
        self.ends = sorted(name for name, node in plan.nodes.items() if node.kind in ("processing", "photonic"))
        self.baseline: dict[tuple[str, str], int] = self._late_pairs(Trial(0, (), ()))[1]

    def trials(self) -> st.SearchStrategy[Trial]:
        """Return a strategy of trials; they shrink to few faults of the mildest kind."""
        schedules = fault_schedules(self.targets, until_s=FAULTY * self.for_s)
        return st.builds(
            Trial,
            st.integers(0, 2**16),
            schedules.map(tuple),
            demands(self.ends).map(tuple),
        )

    def check(self, trial: Trial) -> list[Violation]:
        """Run a trial, and return what it breaks. Raises InputError if its faults contradict each other."""
        try:
            run, late = self._late_pairs(trial)
        except ActorCrashError as error:
            return [Violation("crash", error.time_ns, (error.actor,), f"{error}: {error.__cause__!r}")]
        found = run.broken
        now_ns = run.outcome.emulated_ns
        for what, count in run.outcome.leaks.items():
            found.append(Violation("leak", now_ns, (), f"{count} {what} left over"))
        total = sum(late.values())
        if self.baseline and total < sum(self.baseline.values()) / 20:
            text = f"{total} pairs came in the last quarter, {sum(self.baseline.values())} without faults"
            found.append(Violation("liveness", now_ns, (), text))
        for route, count in () if trial.routes else self.baseline.items():  # others may have taken all the memory
            if count >= _OFTEN and not late.get(route):
                text = f"no pair came in the last quarter, {count} without faults"
                found.append(Violation("liveness", now_ns, route, text))
        return found

    def _late_pairs(self, trial: Trial) -> tuple[Run, dict[tuple[str, str], int]]:
        scenario, _, world = prepare_text(self.label, self.text + trial.text(), self.settings, seed=trial.seed)
        from_ns, late = round(QUIET * self.for_s * 1e9), dict[tuple[str, str], int]()

        def count(record: Any) -> None:
            if record.time_ns >= from_ns and record.fields[2] == 0:
                route = record.fields[0], record.fields[1]
                late[route] = late.get(route, 0) + 1

        world.network.history.observe("pair", count)
        outcome = world.network.run(for_ns=round(self.for_s * 1e9))
        return Run(scenario.name, trial.seed, float("inf"), world, outcome, 0.0), late


Step: TypeAlias = Literal["run", "shrinking"]


def search(
    campaign: Campaign, runs: int, first_seed: int, tell: Callable[[Step], None], *, shrink: bool = True
) -> Failure | None:
    """Run trials until so many have run, or one fails, which is then shrunk.

    tell: what has just been done, one of the runs that were asked for, or a further one to shrink what was found.
    """
    found: list[Failure] = []

    @seed(first_seed)
    @settings(
        max_examples=runs,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
    )
    @given(campaign.trials())
    def attempt(trial: Trial) -> None:
        try:
            violations = campaign.check(trial)
        except InputError:
            assume(condition=False)  # its faults contradict each other
            return
        tell("shrinking" if found else "run")
        if violations:
            found.append(Failure(trial, tuple(violations)))
            raise AssertionError(violations[0].invariant)

    try:
        attempt()
    except AssertionError:
        return found[-1]
    return None


def scenario_of(text: str, failure: Failure) -> str:
    """Return a scenario file that fails as was found; text: the one that was searched."""
    why = "\n".join(f"# {violation}" for violation in failure.violations[:5])
    return f"# Found by a search for faults:\n{why}\n\n{text.rstrip()}\n{failure.trial.text()}"


def _toml(table: Mapping[str, Any]) -> str:
    """Write a table of plain values; those within it as inline tables."""
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)
