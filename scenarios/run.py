"""Running a scenario from the command line or a test."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Literal

from nodes import Program

from .build import World, build
from .display import Lines, Table, attach
from .expand import Plan, ScenarioError
from .faults import inject_options
from .load import InputError, load, located
from .report import Run
from .schema import Scenario

Show = Literal["auto", "nothing"]


def run_programs(
    name: str,
    programs: Mapping[str, Program],
    *,
    for_s: float = 20.0,
    rate: float = math.inf,
    seed: int = 0,
    settings: Iterable[str] = (),
    demands: bool = False,
) -> Run:
    """Run programs on end nodes of a scenario (by the nodes' names), without its own demands unless they are wanted.

    Raises InputError. Errors of programs are among the violations of the result, and in `world.programs.failures`.
    """
    if not demands:
        settings = (*settings, "route=[]")
    scenario, _, world = prepare(name, settings, seed=seed, rate=rate)
    try:
        for node, program in programs.items():
            world.install(node, program)
    except LookupError as error:
        raise InputError([f"{name}: {error.args[0]}"]) from None
    start = time.perf_counter()
    outcome = world.network.run(for_ns=round(for_s * 1e9))
    return Run(scenario.name, seed, rate, world, outcome, time.perf_counter() - start)


def prepare(
    name: str, settings: Iterable[str] = (), *, seed: int = 0, rate: float = math.inf
) -> tuple[Scenario, Plan, World]:
    """Return a scenario, its plan, and the world built from it. Raises InputError."""
    scenario, plan = load(name, settings)
    try:
        return scenario, plan, build(scenario, plan, seed=seed, rate=rate)
    except ScenarioError as error:
        raise InputError([located(name, "", *entry) for entry in error.errors]) from None


def run_scenario(
    name: str,
    *,
    for_s: float = 20.0,
    rate: float = math.inf,
    seed: int = 0,
    settings: Iterable[str] = (),
    faults: Iterable[str] = (),
    show: Show = "nothing",
) -> Run:
    """Run a scenario for a span of emulated time, with further faults (see `faults.parse`).

    Raises InputError, or ActorCrashError if an actor crashed.
    """
    scenario, _, world = prepare(name, settings, seed=seed, rate=rate)
    inject_options(world.network, faults)
    for_ns = round(for_s * 1e9)
    display = None
    if show == "auto":
        terminal = sys.stderr.isatty() and sys.stdout.isatty()
        display = Table() if terminal else Lines(sys.stderr)
        attach(display, world, for_ns=for_ns, rate=rate, every_s=0.5 if terminal else 2.0)
    start = time.perf_counter()
    try:
        outcome = world.network.run(for_ns=for_ns)
    finally:
        wall_s = time.perf_counter() - start
        if display is not None:
            display.close()
    return Run(scenario.name, seed, rate, world, outcome, wall_s)
