"""A search on several cores: each process runs its share of the trials, and stops at the first that fails."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from typing import Final

from .chaos import Campaign, Failure, search

_APART: Final = 7919  # between the seeds of two processes
_LOOK_S: Final = 0.2  # wall time between two looks at the progress


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be searched; kinds: of faults (none: all)."""

    scenario: str
    settings: tuple[str, ...] = ()
    for_s: float = 5.0
    kinds: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What a campaign has come to: how many trials ran, what failed, and whether a person ended it."""

    runs: int
    failures: tuple[Failure, ...]
    wall_s: float
    interrupted: bool = False


_counter: Synchronized[int] | None = None  # of this worker process: how many trials all of them have run


def run(order: Order, *, runs: int, jobs: int, tell: Callable[[int], None]) -> Result:
    """Run so many trials on so many processes; tell: how many have run so far. Raises InputError."""
    Campaign(order.scenario, settings=order.settings, for_s=order.for_s, kinds=order.kinds)  # is all of it right?
    started = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    counter = context.Value("i", 0)
    shares = [runs // jobs + (k < runs % jobs) for k in range(jobs)]
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(counter,))
    work = [pool.submit(_work, order, share, order.seed + k * _APART) for k, share in enumerate(shares) if share]
    interrupted = False
    try:
        while wait(work, timeout=_LOOK_S).not_done:
            tell(counter.value)
    except KeyboardInterrupt:
        interrupted = True
        for process in list((pool._processes or {}).values()):  # noqa: SLF001  (there is no public way to end them at once)
            process.terminate()
    finally:
        pool.shutdown(wait=not interrupted, cancel_futures=True)
    failures = tuple(failure for future in work for failure in _outcome(future, interrupted=interrupted))
    tell(counter.value)
    return Result(counter.value, failures, time.perf_counter() - started, interrupted)


def _outcome(future: Future[Sequence[Failure]], *, interrupted: bool) -> Sequence[Failure]:
    if interrupted and (not future.done() or future.cancelled() or future.exception() is not None):
        return ()
    return future.result()


def _begin(counter: Synchronized[int]) -> None:
    global _counter  # noqa: PLW0603  (what a pool gives to its processes)
    _counter = counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends the others


def _work(order: Order, runs: int, seed: int) -> Sequence[Failure]:
    campaign = Campaign(order.scenario, settings=order.settings, for_s=order.for_s, kinds=order.kinds)

    def count(_: int) -> None:
        if _counter is not None:
            with _counter.get_lock():
                _counter.value += 1

    while campaign.runs < runs:
        before = campaign.runs
        failure = search(campaign, runs - campaign.runs, seed, count)
        if failure is not None:
            return [failure]
        if campaign.runs == before:
            break  # there is nothing else to be tried
        seed += 1
    return []
