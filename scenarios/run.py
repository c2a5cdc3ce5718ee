"""Running a scenario from the command line or a test."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from emulator import ActorCrashError, Network, Recorder, Share
from emulator.time import LAST_RANK
from nodes import Program

from .build import Watched, World, build
from .display import Lines, Table, attach
from .expand import Plan, ScenarioError
from .faults import inject_options
from .live import OneHost, Steered
from .load import InputError, load_text, located, read
from .report import Run, as_json
from .schema import Scenario
from .spec import RunSpec, header

Show = Literal["auto", "lines", "nothing"]


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
    install_all(name, world, programs)
    start = time.perf_counter()
    outcome = world.network.run(for_ns=round(for_s * 1e9))
    return Run(scenario.name, seed, rate, world, outcome, time.perf_counter() - start)


def prepare(
    name: str, settings: Iterable[str] = (), *, seed: int = 0, rate: float = math.inf
) -> tuple[Scenario, Plan, World]:
    """Return a scenario, its plan, and the world built from it. Raises InputError."""
    return prepare_text(*read(name), settings, seed=seed, rate=rate)


def prepare_text(
    label: str,
    text: str,
    settings: Iterable[str] = (),
    *,
    seed: int = 0,
    rate: float = math.inf,
    share: Share | None = None,
) -> tuple[Scenario, Plan, World]:
    """Do as `prepare` does with the text of a scenario; `label` names it in errors, `share` is what of it runs here."""
    scenario, plan = load_text(label, text, settings)
    return scenario, plan, built(label, scenario, plan, seed=seed, rate=rate, share=share)


def built(
    label: str,
    scenario: Scenario,
    plan: Plan,
    *,
    seed: int = 0,
    rate: float = math.inf,
    keep_history: bool = False,
    share: Share | None = None,
    watched: Watched = "all",
) -> World:
    """Return the world of a scenario, as `build` does; raises InputError."""
    try:
        return build(scenario, plan, seed=seed, rate=rate, keep_history=keep_history, share=share, watched=watched)
    except ScenarioError as error:
        raise InputError([located(label, "", *entry) for entry in error.errors]) from None


def install_all(label: str, world: World, programs: Mapping[str, Program]) -> None:
    """Let end nodes run programs, by the nodes' names. Raises InputError."""
    try:
        for node, program in programs.items():
            world.install(node, program)
    except LookupError as error:
        raise InputError([f"{label}: {error.args[0]}"]) from None


def run_scenario(
    name: str,
    *,
    for_s: float = 20.0,
    rate: float = math.inf,
    seed: int = 0,
    settings: Iterable[str] = (),
    faults: Iterable[str] = (),
    record: str | Path | None = None,
) -> Run:
    """Run a scenario, by its name or file, for a span of emulated time, with further faults (see `faults.parse`).

    Raises as `run_spec` does.
    """
    label, text = read(name)
    spec = RunSpec(
        label=label,
        text=text,
        settings=tuple(settings),
        seed=seed,
        for_ns=round(for_s * 1e9),
        rate=rate,
        faults=tuple(faults),
    )
    return run_spec(spec, record=record)


def run_spec(
    spec: RunSpec,
    *,
    show: Show = "nothing",
    record: str | Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
    live: Callable[[Steered], None] | None = None,
) -> Run:
    """Run a scenario as it was asked for, and record it to a file that must not exist, if one is given.

    tell: takes lines for people; live: called once the run has begun, with what steers it. Raises InputError, or
    ActorCrashError if an actor crashed.
    """
    scenario, _, world = prepare_text(spec.label, spec.text, spec.settings, seed=spec.seed, rate=spec.rate)
    inject_options(world.network, spec.faults)
    if live is not None:
        _begin_live(world.network, live, tell)
    if record is None:
        return execute(scenario.name, spec, world, rate=spec.rate, show=show)
    with open_recorder(record, spec, world) as recorder:
        try:
            done = execute(scenario.name, spec, world, rate=spec.rate, show=show)
        except ActorCrashError as error:
            recorder.finish({"error": str(error), "summary": None})
            raise
        recorder.finish({"error": None, "summary": as_json(done)})
    return replace(done, record_error=recorder.error)


def _begin_live(network: Network, live: Callable[[Steered], None], tell: Callable[[str], None]) -> None:
    def begin() -> None:
        network.ticks += 1
        live(OneHost(network, tell))

    network.timeline.at(0, begin, rank=LAST_RANK)


def execute(name: str, spec: RunSpec, world: World, *, rate: float, show: Show) -> Run:
    """Run a world that is ready, as a specification says but for the rate. Raises as its network's `run` does."""
    display = None
    if show != "nothing":
        terminal = show == "auto" and sys.stderr.isatty() and sys.stdout.isatty()
        display = Table() if terminal else Lines(sys.stderr)
        attach(display, world, for_ns=spec.for_ns, rate=rate, every_s=0.5 if terminal else 2.0)
    start = time.perf_counter()
    try:
        outcome = world.network.run(for_ns=spec.for_ns)
    finally:
        wall_s = time.perf_counter() - start
        if display is not None:
            display.close()
    return Run(name, spec.seed, rate, world, outcome, wall_s)


def open_recorder(path: str | Path, spec: RunSpec, world: World) -> Recorder:
    """Return what records a world to a new file. Raises InputError."""
    try:
        return Recorder(path, header(spec), world.network)
    except FileExistsError:
        raise InputError([f"--record {path}: there is such a file already, and it is not overwritten"]) from None
    except OSError as error:
        raise InputError([f"--record {path}: cannot be written: {error.strerror}"]) from None
