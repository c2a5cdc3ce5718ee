"""Running a scenario on several hosts: check, place, start, gather; see `Conductor`."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import trio

from emulator import Outcome
from emulator.wire.handshake import PROTOCOL, Hello
from scenarios.build import World
from scenarios.display import Lines, Progress, Table
from scenarios.invariants import Violation
from scenarios.live import Steered
from scenarios.load import InputError, load_text
from scenarios.report import Run, Work, as_json
from scenarios.run import Show, open_recorder
from scenarios.spec import RunSpec
from scenarios.version import version

from . import placement
from .conduct import ConductError, Conductor
from .connecting import connected
from .gather import Elsewhere
from .hosts_file import HostsFile, placed
from .local import processes
from .placement import Placement
from .worker import build_world

_SHOW_S: Final = 0.5
_LIMIT_S: Final = 30.0
_NICE: Final = 10


def deploy(
    spec: RunSpec,
    hosts: HostsFile | int,
    *,
    file: str = "",
    show: Show = "nothing",
    record: str | Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
    live: Callable[[Steered], None] | None = None,
) -> Run:
    """Run a scenario on the hosts of a file, or on so many processes of this machine, as if it were one process.

    file: where the hosts come from, for messages; tell: takes lines for people; live: called once emulated
    time goes, with what steers it. Raises InputError before anything starts. If the run cannot go on, the result has
    what there was until then, and the reason among its violations.
    """
    scenario, _ = load_text(spec.label, spec.text, spec.settings)
    world = build_world(spec, Elsewhere())
    places = _placed(spec, world, hosts, file)
    session = _Session(scenario.name, spec, world, places, hosts, file, show, tell, live)
    if record is None:
        return session.run()
    with open_recorder(record, spec, world) as recorder:
        done = session.run()
        if not done.trouble:  # else the record is one that was cut off: good up to there
            recorder.finish({"error": None, "summary": as_json(done)})
    return replace(done, record_error=recorder.error)


def give_way() -> None:
    """Let other processes of this machine, such as hosts, go first from now on: a conductor is never in a hurry."""
    os.setpriority(os.PRIO_PROCESS, 0, _NICE)


def _placed(spec: RunSpec, world: World, hosts: HostsFile | int, file: str) -> Placement:
    _, plan = load_text(spec.label, spec.text, spec.settings)
    weights = placement.loads([path for _, path in plan.demands], world.network)
    if isinstance(hosts, HostsFile):
        return placed(file, hosts, world.network, weights)
    try:
        return placement.place(world.network, [f"host-{k}" for k in range(1, hosts + 1)], weights)
    except ValueError as error:
        raise InputError([f"--local {hosts}: {error}"]) from None


@dataclass(frozen=True, slots=True)
class _Session:
    """One run, from the first connection to the result."""

    name: str
    spec: RunSpec
    world: World
    places: Placement
    hosts: HostsFile | int
    file: str
    show: Show
    tell: Callable[[str], None]
    live: Callable[[Steered], None] | None

    def run(self) -> Run:
        started_s = time.perf_counter()
        outcome, work, trouble, ran_s = trio.run(self._run, restrict_keyboard_interrupt_to_checkpoints=True)
        wall_s = time.perf_counter() - started_s if ran_s is None else ran_s
        return Run(self.name, self.spec.seed, self.spec.rate, self.world, outcome, wall_s, work=work, trouble=trouble)

    async def _run(self) -> tuple[Outcome, Work, tuple[Violation, ...], float | None]:
        async with self._streams() as streams:
            file = self.hosts if isinstance(self.hosts, HostsFile) else None
            conductor = Conductor(
                self.spec,
                self.world,
                self.places,
                streams,
                tell=self.tell,
                limit_s=_LIMIT_S if file is None else file.limit_s,
                goes_on=file is not None and file.lost_host == "crash",
            )
            trouble: tuple[Violation, ...] = ()
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._hear_interrupts, conductor)
                    nursery.start_soon(self._live, conductor)
                    if self.show != "nothing":
                        nursery.start_soon(self._display, conductor)
                    outcome = await conductor.run(self._addresses)
                    nursery.cancel_scope.cancel()
            except* ConductError as group:
                error: BaseException = group
                while isinstance(error, BaseExceptionGroup):
                    error = error.exceptions[0]
                now_ns = conductor.gather.now_ns
                outcome = Outcome(now_ns, interrupted=conductor.interrupted, leaks={})
                if conductor.began or not conductor.interrupted:
                    trouble = (Violation("hosts", now_ns, (), str(error)),)
            return outcome, conductor.work(), trouble, conductor.wall_s

    @property
    def _addresses(self) -> list[tuple[str, str, int]]:
        if not isinstance(self.hosts, HostsFile):
            return []
        return [(host.name, *host.where) for host in self.hosts.host]

    @asynccontextmanager
    async def _streams(self) -> AsyncIterator[Mapping[str, trio.abc.Stream]]:
        if isinstance(self.hosts, HostsFile):
            mine = Hello(
                PROTOCOL,
                version(),
                "conductor",
                self.hosts.conductor,
                scenario_sha256=self.spec.digest,
                seed=self.spec.seed,
            )
            async with connected(self.hosts, mine, self.hosts.folder(self.file)) as streams:
                yield streams
        else:
            with processes(list(self.places)) as streams:
                yield streams

    async def _hear_interrupts(self, conductor: Conductor) -> None:
        with trio.open_signal_receiver(signal.SIGINT) as signals:
            async for _ in signals:
                conductor.interrupt()

    async def _live(self, conductor: Conductor) -> None:
        await conductor.begin()
        if self.live is not None:
            self.live(conductor)

    async def _display(self, conductor: Conductor) -> None:
        terminal = self.show == "auto" and sys.stderr.isatty() and sys.stdout.isatty()
        display = Table() if terminal else Lines(sys.stderr)
        every_s = _SHOW_S if terminal else 2.0
        paced = math.isfinite(self.spec.rate)
        progress = Progress(display, self.world, for_ns=self.spec.for_ns, paced=paced, every_s=every_s)
        try:
            while True:
                await trio.sleep(every_s)
                if conductor.gather.now_ns:
                    progress.look(conductor.gather.now_ns, lambda _: conductor.lag_ns)
        finally:
            display.close()
