"""What the fixtures of the pytest plugin are: they run networks with the seed of the tests, and keep track of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypedDict, Unpack

from nodes import Program
from scenarios.build import World
from scenarios.report import Run
from scenarios.schema import Fault

from .networks import CheckedNetwork
from .runs import Source, name_of, run_in_virtual_time
from .trials import Trials


class Options(TypedDict, total=False):
    """Options of `run_in_virtual_time` that are handed on as they are."""

    for_s: float
    settings: Iterable[str]
    faults: Iterable[str | Fault]
    demands: bool | None
    prepare: Callable[[World], object] | None
    keep_history: bool


class RunScenario:
    """The fixture `qie_run`: runs scenarios."""

    def __init__(self, trials: Trials, seed: int) -> None:
        self._trials = trials
        self._seed = seed

    def __call__(
        self,
        scenario: Source,
        programs: Mapping[str, Program] | None = None,
        *,
        seed: int | None = None,
        may_break: bool = False,
        **options: Unpack[Options],
    ) -> Run:
        """Run a scenario: for the options see `run_in_virtual_time`; seed: that of the tests if it is None.

        It may leave something held, and break invariants, if it `may_break`; else the test fails at its end.
        """
        seed = self._seed if seed is None else seed
        trial = self._trials.add(name_of(scenario), seed, may_break=may_break)
        run = trial.result = run_in_virtual_time(scenario, programs, seed=seed, **options)
        return run


class MakeNetwork:
    """The fixture `qie_network`: makes bare networks, which the test builds and runs."""

    def __init__(self, trials: Trials, seed: int) -> None:
        self._trials = trials
        self._seed = seed

    def __call__(
        self, *, seed: int | None = None, keep_history: bool = True, may_break: bool = False
    ) -> CheckedNetwork:
        """Return a network without actors; seed: that of the tests if it is None.

        It may leave something held, and have crashes, if it `may_break`; else the test fails at its end. Histories that
        are not kept can be compared, but where they differ is not told.
        """
        network = CheckedNetwork(seed=self._seed if seed is None else seed, keep_history=keep_history)
        self._trials.add("a network", network.seed, may_break=may_break).result = network
        return network
