"""A search on several cores: each process runs its share of the trials, and stops at the first that fails.

`python -m scenarios.campaign` is such a process: it gets its order as an argument, and writes a line for each trial
that has run ("run", or "shrinking" if it is one more to shrink a failure), and one for what it has found.
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

from .chaos import Campaign, Failure, Step, search

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
    """What a campaign has come to: how many trials ran, what failed, and whether a person ended it.

    shrinking: how many more trials ran to shrink what failed.
    """

    runs: int
    shrinking: int
    failures: tuple[Failure, ...]
    wall_s: float
    interrupted: bool = False


def run(order: Order, *, jobs: int, tell: Callable[[int, int], None]) -> Result:
    """Run the trials of an order on so many processes; tell: how many have run, and how many more to shrink failures.

    Raises InputError.
    """
    order.campaign()  # is all of it right?
    started = time.perf_counter()
    done: dict[Step, int] = {"run": 0, "shrinking": 0}
    failures, interrupted = list[Failure](), False

    def report(news: Step | Failure) -> None:
        if isinstance(news, Failure):
            failures.append(news)
        else:
            done[news] += 1
            tell(done["run"], done["shrinking"])

    try:
        trio.run(_all, order, jobs, report)
    except* KeyboardInterrupt:
        interrupted = True
    return Result(done["run"], done["shrinking"], tuple(failures), time.perf_counter() - started, interrupted)


async def _all(order: Order, jobs: int, report: Callable[[Step | Failure], None]) -> None:
    async with trio.open_nursery() as nursery:
        for k in range(min(jobs, order.runs)):
            share = order.runs // jobs + (k < order.runs % jobs)
            nursery.start_soon(_one, replace(order, seed=order.seed + k * _APART, runs=share), report)


async def _one(order: Order, report: Callable[[Step | Failure], None]) -> None:
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
                report(msgspec.json.decode(line, type=Step | Failure))
        if await process.wait():
            raise subprocess.CalledProcessError(process.returncode or 0, command)
    finally:
        if process.returncode is None:
            process.kill()


def _work(order: Order) -> None:
    campaign, seed, left = order.campaign(), order.seed, order.runs

    def say(news: Step | Failure) -> None:
        nonlocal left
        left -= news == "run"
        sys.stdout.buffer.write(msgspec.json.encode(news) + b"\n")
        sys.stdout.buffer.flush()

    failure = None
    while failure is None and left:
        before = left
        failure = search(campaign, left, seed, say)
        if left == before:
            return  # there is nothing else to be tried
        seed += 1
    if failure is not None:
        say(failure)


if __name__ == "__main__":
    _work(msgspec.json.decode(sys.argv[1], type=Order))
