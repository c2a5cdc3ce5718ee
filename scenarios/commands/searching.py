"""Searching random faults and demands for what breaks."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from scenarios.load import InputError

from .answers import For, JsonFile, Set, code, needing, seconds, tell

if TYPE_CHECKING:
    from scenarios import campaign
    from scenarios.chaos import Failure


def chaos(
    scenario: str,
    *,
    runs: int = 100,
    seed: int = 0,
    for_: For = 5.0,
    jobs: int = 0,
    set_: Set = (),
    kind: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    json_: JsonFile = None,
) -> int:
    """Search random faults and demands for what breaks an invariant, or what a scenario does not recover from.

    What fails is written as a scenario file, with the command that fails again.

    Parameters
    ----------
    scenario
        Name or file.
    runs
        How many runs.
    seed
        Of the search: the same seed tries the same, with the same version and as many processes.
    for_
        Seconds of emulated time of each run. Faults act in the first half of it.
    jobs
        How many processes (0: as many as there are cores).
    set_
        KEY=VALUE, as for `qie run`.
    kind
        A kind of fault, as in `qie faults`; only those given are tried. Can be repeated.
    json_
        Write the result as JSON to this file (- for standard output).
    """
    span_s = seconds("--for", for_)
    if runs < 1 or jobs < 0:
        raise InputError([f"--runs {runs} --jobs {jobs}: expected at least 1 run, and no negative number of processes"])
    with needing("campaign", "qie chaos"):
        from scenarios import campaign  # noqa: PLC0415
    from emulator.faults import kinds  # noqa: PLC0415

    for name in kind:
        if name not in kinds():
            raise InputError([f"--kind {name}: there is no such kind of fault; `qie faults` lists them"])
    order = campaign.Order(scenario, set_, span_s, kind, seed, runs)
    with _progress(runs) as show:
        result = campaign.run(order, jobs=jobs or os.cpu_count() or 1, tell=show)
    files = [_write_failure(order, failure) for failure in result.failures]
    tell(_as_json(result, files), json_, _summary(result, files))
    return code(good=not result.failures, interrupted=result.interrupted)


@contextmanager
def _progress(runs: int) -> Iterator[Callable[[int, int], None]]:
    """Show a bar of the runs that were asked for on a terminal, and how many more there are to shrink failures."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    columns = (BarColumn(), MofNCompleteColumn(), "runs", TimeRemainingColumn(), "{task.description}")
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=runs)

        def show(done: int, shrinking: int) -> None:
            description = f"shrinking a failure: {shrinking} more" if shrinking else ""
            progress.update(task, completed=done, description=description)

        yield show


def _write_failure(order: campaign.Order, failure: Failure) -> tuple[str, str]:
    """Write a scenario file that fails as was found; return its name, and the command that runs it."""
    stem = f"chaos-{Path(order.scenario).stem}-{order.seed}"
    path = next(p for k in count(1) if not (p := Path(f"{stem}-{k}.toml")).exists())
    path.write_text(failure.text, "utf-8")
    settings = "".join(f" --set {shlex.quote(setting)}" for setting in order.settings)
    command = f"qie run {path} --seed {failure.trial.seed} --for {order.for_s:g} --rate max{settings}"
    return str(path), command


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _as_json(result: campaign.Result, files: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "runs": result.runs,
        "runs_to_shrink": result.shrinking,
        "violations": [str(violation) for failure in result.failures for violation in failure.violations],
        "files": [file for file, _ in files],
        "wall_s": round(result.wall_s, 3),
        "interrupted": result.interrupted,
    }


def _summary(result: campaign.Result, files: list[tuple[str, str]]) -> Iterator[str]:
    ended = " (interrupted)" if result.interrupted else ""
    more = f" (and {result.shrinking} to shrink what failed)" if result.shrinking else ""
    runs, failures = _counted(result.runs, "run"), _counted(len(result.failures), "failure")
    yield f"{runs}{more} in {result.wall_s:.1f} s{ended}: {failures}"
    for failure, (_, command) in zip(result.failures, files, strict=True):
        for violation in failure.violations[:5]:
            yield f"VIOLATION: {violation}"
        yield f"  {len(failure.trial.faults)} faults, {len(failure.trial.routes)} demands; to run it again: {command}"
