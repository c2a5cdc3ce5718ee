"""Scenarios with programs and faults, in virtual time, for tests."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from emulator import FaultError
from nodes import Program
from scenarios.build import World
from scenarios.expand import Plan
from scenarios.faults import inject, inject_options
from scenarios.load import InputError, apply_settings, load_text, parse, read
from scenarios.report import Run
from scenarios.run import built, install_all
from scenarios.schema import Fault, Scenario

# A built-in name, a file, the text of one (it has lines), or what a file would say, as data.
Source: TypeAlias = str | Path | Mapping[str, Any]


def run_in_virtual_time(  # noqa: PLR0913  (a run has many options, all by keyword)
    scenario: Source,
    programs: Mapping[str, Program] | None = None,
    *,
    for_s: float = 1.0,
    seed: int = 0,
    settings: Iterable[str] = (),
    faults: Iterable[str | Fault] = (),
    demands: bool | None = None,
    prepare: Callable[[World], object] | None = None,
    keep_history: bool = True,
) -> Run:
    """Run a scenario as fast as the host can; whatever leaks or breaks is in the result.

    scenario: a built-in name, a file, the text of one, or what it says as data; programs: by the names of end nodes;
    for_s: emulated time; settings: `KEY=VALUE`, as for `--set`; faults: as for `--fault`, or `scenarios.schema.Fault`;
    demands: whether the scenario's own demands are there (None: if there are no programs); prepare: called with the
    world before it runs, such as to observe its history, or to inject faults from Python.

    Raises InputError, and ActorCrashError if an actor crashed that is not to be restarted.
    """
    programs = programs or {}
    if not (demands if demands is not None else not programs):
        settings = (*settings, "route=[]")
    label, found, plan = _load(scenario, settings)
    world = built(label, found, plan, seed=seed, keep_history=keep_history)
    install_all(label, world, programs)
    for fault in faults:
        _inject(world, fault)
    if prepare is not None:
        prepare(world)
    start = time.perf_counter()
    outcome = world.network.run(for_ns=round(for_s * 1e9))
    if outcome.interrupted:
        raise KeyboardInterrupt  # which is to end the tests, and not this run alone
    return Run(found.name, seed, math.inf, world, outcome, time.perf_counter() - start)


def name_of(scenario: Source) -> str:
    """Return what a scenario is called before it has been read."""
    if isinstance(scenario, Mapping):
        return "a document"
    text = str(scenario)
    return "a text" if "\n" in text else text


def _load(scenario: Source, settings: Iterable[str]) -> tuple[str, Scenario, Plan]:
    """Return a label for errors, the scenario and its plan. Raises InputError."""
    if isinstance(scenario, Mapping):
        label = name_of(scenario)
        return label, *parse(apply_settings(dict(scenario), settings), label)
    text = str(scenario)
    label, text = (name_of(scenario), text) if "\n" in text else read(text)
    return label, *load_text(label, text, settings)


def _inject(world: World, fault: str | Fault) -> None:
    if isinstance(fault, str):
        inject_options(world.network, [fault])
        return
    try:
        inject(world.network, fault)
    except FaultError as error:
        raise InputError([f"fault {fault.kind} on {fault.target}: {error}"]) from None
