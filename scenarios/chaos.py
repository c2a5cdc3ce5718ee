"""The search for fault schedules that break an invariant, or that a network does not recover from.

A run has two phases. While faults act, no invariant may break, whatever they are. When they are over, pairs have to
come again, and at the end nothing may be left over. What fails is shrunk to the least that fails, and written as a
scenario file that fails again with one command.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_SHARE: Final = 20  # one in so many of the pairs that come then without faults have to come with them
_OFTEN: Final = 40  # pairs, of a route or in all, that come then without faults: if fewer, none may come by chance


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of the search: what is thrown at the scenario, and the seed of its random numbers."""

    seed: int
    faults: tuple[Mapping[str, Any], ...]
    routes: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """What was found: the shrunk trial, what it breaks, and a scenario file that breaks it again."""

    trial: Trial
    violations: tuple[Violation, ...]
    text: str


class Campaign:
    """A scenario to be searched, `for_s` seconds of emulated time each run, with some kinds of faults (none: all)."""

    def __init__(
        self, scenario: str, *, settings: Sequence[str] = (), for_s: float = 5.0, kinds: Sequence[str] = ()
    ) -> None:
        self.label, self._text = read(scenario)
        self.settings = tuple(settings)
        self.for_s = for_s
        self._late_s = QUIET * for_s
        _, plan, world = prepare_text(self.label, self._text, self.settings)
        self.targets = targets_of(world.network, kinds)
        self.ends = sorted(name for name, node in plan.nodes.items() if node.kind in ("processing", "photonic"))
        self._baseline = self._late_pairs()

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
            run = self._run(self.text(trial), trial.seed)
        except ActorCrashError as error:
            return [Violation("crash", error.time_ns, (error.actor,), f"{error}: {error.__cause__!r}")]
        leaks = run.outcome.leaks.items()
        left = [Violation("leak", run.outcome.emulated_ns, (), f"{count} {what} left over") for what, count in leaks]
        return run.broken + left

    def text(self, trial: Trial) -> str:
        """Return the scenario file of a trial: what is thrown at it, and what is expected nevertheless."""
        tables = [("route", table) for table in trial.routes] + [("fault", table) for table in trial.faults]
        tables += [("expect", table) for table in self._expected(trial)]
        return f"{self._text.rstrip()}\n" + "".join(f"\n[[{name}]]\n{_toml(table)}" for name, table in tables)

    def _expected(self, trial: Trial) -> Iterator[dict[str, Any]]:
        if (total := sum(self._baseline.values())) >= _OFTEN:
            yield {"pairs": math.ceil(total / _SHARE), "from_s": self._late_s}
        for (a, b), count in () if trial.routes else self._baseline.items():  # others may have taken all the memory
            if count >= _OFTEN:
                yield {"a": a, "b": b, "pairs": 1, "from_s": self._late_s}

    def _late_pairs(self) -> dict[tuple[str, str], int]:
        """Return how many pairs come late in a run without faults, by their ends."""
        late: dict[tuple[str, str], int] = {}

        def count(record: Any) -> None:
            if record.time_ns >= self._late_s * 1e9 and record.fields[2] == 0:
                route = record.fields[0], record.fields[1]
                late[route] = late.get(route, 0) + 1

        self._run(self._text, 0, count)
        return late

    def _run(self, text: str, seed: int, on_pair: Callable[[Any], None] | None = None) -> Run:
        scenario, _, world = prepare_text(self.label, text, self.settings, seed=seed)
        if on_pair is not None:
            world.network.history.observe("pair", on_pair)
        outcome = world.network.run(for_ns=round(self.for_s * 1e9))
        return Run(scenario.name, seed, float("inf"), world, outcome, 0.0)


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
            found.append(Failure(trial, tuple(violations), _told(campaign.text(trial), violations)))
            raise AssertionError(violations[0].invariant)

    try:
        attempt()
    except AssertionError:
        return found[-1]
    return None


def _told(text: str, violations: Sequence[Violation]) -> str:
    why = "\n".join(f"# {violation}" for violation in violations[:5])
    return f"# Found by a search for faults:\n{why}\n\n{text}"


def _toml(table: Mapping[str, Any]) -> str:
    """Write a table of plain values; those within it as inline tables."""
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)
