"""A search on several cores: each process runs its share of the trials, and stops at the first that fails.

`python -m scenarios.campaign` is such a process: it gets its order as an argument, and writes a line for each trial
that has run ("null"), and one for what it has found.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import trio

from .chaos import Campaign, Failure, search

_APART: Final = 7919  # between the seeds of two processes


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be searched, and how long; kinds: of faults (none: all)."""

    scenario: str
    settings: tuple[str, ...] = ()
    for_s: float = 5.0
    kinds: tuple[str, ...] = ()
    seed: int = 0
    runs: int = 100

    def campaign(self) -> Campaign:
        """Return the campaign. Raises InputError."""
        return Campaign(self.scenario, settings=self.settings, for_s=self.for_s, kinds=self.kinds)


@dataclass(frozen=True, slots=True)
class Result:
    """What a campaign has come to: how many trials ran, what failed, and whether a person ended it."""

    runs: int
    failures: tuple[Failure, ...]
    wall_s: float
    interrupted: bool = False


def run(order: Order, *, jobs: int, tell: Callable[[int], None]) -> Result:
    """Run the trials of an order on so many processes; tell: how many have run so far. Raises InputError."""
    order.campaign()  # is all of it right?
    started = time.perf_counter()
    runs, failures, interrupted = 0, list[Failure](), False

    def report(failure: Failure | None) -> None:
        nonlocal runs
        if failure is None:
            runs += 1
            tell(runs)
        else:
            failures.append(failure)

    try:
        trio.run(_all, order, jobs, report)
    except* KeyboardInterrupt:
        interrupted = True
    return Result(runs, tuple(failures), time.perf_counter() - started, interrupted)


async def _all(order: Order, jobs: int, report: Callable[[Failure | None], None]) -> None:
    async with trio.open_nursery() as nursery:
        for k in range(min(jobs, order.runs)):
            share = order.runs // jobs + (k < order.runs % jobs)
            nursery.start_soon(_one, replace(order, seed=order.seed + k * _APART, runs=share), report)


async def _one(order: Order, report: Callable[[Failure | None], None]) -> None:
    """Have a process do its share. Raises CalledProcessError if it ends by an error."""
    command = [sys.executable, "-m", "scenarios.campaign", msgspec.json.encode(order).decode()]
    # In a session of its own it does not hear of Ctrl-C: whoever waits here ends it.
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    try:
        rest = b""
        async for data in process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                report(msgspec.json.decode(line, type=Failure | None))
        if await process.wait():
            raise subprocess.CalledProcessError(process.returncode or 0, command)
    finally:
        if process.returncode is None:
            process.kill()


def _work(order: Order) -> None:
    campaign, seed = order.campaign(), order.seed

    def say(failure: Failure | None) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(failure) + b"\n")
        sys.stdout.buffer.flush()

    failure = None
    while failure is None and campaign.runs < order.runs:
        before = campaign.runs
        failure = search(campaign, order.runs - before, seed, lambda _: say(None))
        if campaign.runs == before:
            return  # there is nothing else to be tried
        seed += 1
    if failure is not None:
        say(failure)


if __name__ == "__main__":
    _work(msgspec.json.decode(sys.argv[1], type=Order))
