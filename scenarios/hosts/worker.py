"""What one host does in a run: it builds the whole network, runs its share of it, and tells the conductor."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import msgspec
import trio

from emulator import ActorCrashError, Network, Outcome, Share, Snapshot
from emulator.wire.frames import (
    Abort,
    Beat,
    Begun,
    Failed,
    Finish,
    GoOn,
    Halt,
    Halted,
    Job,
    Lost,
    Pace,
    Progress,
    Put,
    Quiet,
    Records,
    Settle,
    Stand,
    Standing,
    Summary,
    View,
)
from emulator.wire.framing import Frame, WireError
from emulator.wire.host import HostShare
from emulator.wire.noises import noise_data
from emulator.wire.peer import Peer
from scenarios.build import World
from scenarios.faults import inject_options
from scenarios.run import prepare_text
from scenarios.spec import RunSpec

_EVERY_S: Final = 0.25  # wall time between two looks at the wall clock
_PIECE_BYTES: Final = 1 << 12  # of history: small, so that the conductor never takes a processor for long


class RunAbortedError(Exception):
    """The run was given up, for a reason that concerns more than this host."""


def build_world(spec: RunSpec, share: Share) -> World:
    """Return the world of a run, of which a share runs here. Raises InputError."""
    _, _, world = prepare_text(spec.label, spec.text, spec.settings, seed=spec.seed, rate=spec.rate, share=share)
    inject_options(world.network, spec.faults)
    return world


class HostRun:
    """One host's part of one run, from the job to the summary.

    Raises InputError if the scenario is wrong, ValueError if the job is.
    """

    def __init__(self, me: str, job: Job) -> None:
        self.me = me
        self.spec = msgspec.msgpack.decode(job.spec, type=RunSpec)
        if not 0 < job.limit_s < math.inf:
            raise ValueError(f"limit_s = {job.limit_s} must be a number of seconds greater than 0")
        self._limit_s = job.limit_s
        self._goes_on = job.goes_on
        homes = {actor: host for host, actors in job.actors.items() for actor in actors}
        self.share = HostShare(me, homes)
        self._wave = 0
        self._conductor: Peer
        self.world = build_world(self.spec, self.share)
        if set(homes) != set(self.network.names) or not job.actors.get(me):
            raise ValueError("not every actor is placed, or none here, or some that there is not")
        self._looked_s = time.monotonic()
        self._planned = len(self.network.faults.injections)  # faults; the rest comes as inputs
        self.trouble: str | None = None  # why the run ended before its end

    @property
    def network(self) -> Network:
        """Return the network."""
        return self.world.network

    def run(self, conductor: Peer, peers: Mapping[str, Peer]) -> None:
        """Run to the end. The streams are open, and everybody else is ready."""
        self._conductor = conductor
        self.share.join(self.network, peers, self)
        self.network.history.stream(self._records, every_bytes=_PIECE_BYTES)
        cpu_s = time.process_time()
        with self._ticking():
            try:
                outcome = self.network.run(for_ns=self.spec.for_ns)
            except ActorCrashError as error:
                self._fail("crash", f"{error}: {error.__cause__!r}")
            except RunAbortedError as error:
                self._fail("aborted", str(error))
            else:
                self._finish(outcome, time.process_time() - cpu_s)

    def _fail(self, kind: str, reason: str) -> None:
        self.trouble = reason
        self.network.history.close()
        self._conductor.send(Records(self.network.timeline.now_ns + 1, b""))
        self._conductor.send(Failed(kind, reason))
        self._conductor.flush()

    # -- what the conductor says -----------------------------------------------------------------------------------

    async def talk(self, nursery: trio.Nursery) -> None:
        """Talk to the conductor as long as the run goes on."""
        nursery.start_soon(self._read)
        nursery.start_soon(self._write)

    def lines(self) -> Iterable[Peer]:
        """Return the line to the conductor."""
        return (self._conductor,)

    async def _read(self) -> None:
        try:
            await self._conductor.read(self._take)
            reason = "the conductor has closed the connection"
        except WireError as error:
            reason = f"the conductor breaks the protocol: {error}"
        except trio.BrokenResourceError:
            reason = "the connection to the conductor broke"
        self.network.stop(RunAbortedError(reason))

    async def _write(self) -> None:
        try:
            await self._conductor.write()
        except trio.BrokenResourceError:
            self.network.stop(RunAbortedError("the connection to the conductor broke"))

    def _take(self, frames: list[Frame]) -> None:
        for frame in frames:
            match frame:
                case Beat():
                    pass
                case Halt():
                    self._conductor.send(Halted(self.share.halt()))
                case Stand():
                    self.share.stand(frame.time_ns)
                case Put():
                    self._put(frame)
                case GoOn():
                    self.share.go_on(frame.rate, _later_ns(frame.after_s))
                case Pace():
                    self.share.pace(_later_ns(frame.after_s))
                case _:
                    self._end(frame)
        self._conductor.flush()

    def _end(self, frame: Frame) -> None:
        """Take what has to do with the end: of the run, or of a host."""
        match frame:
            case Settle():
                self._wave = frame.wave
                if self.share.is_settling:
                    self.quiet(*self.share.counts)
            case Finish():
                self.share.finish()
            case Lost():
                self.share.give_up(frame.host)
            case Abort():
                self.network.stop(RunAbortedError(frame.reason))
            case _:
                raise WireError(f"the conductor says {type(frame).__name__}, which is not for now")

    def _put(self, frame: Put) -> None:
        if not self.network.is_draining:
            try:
                self.network.inputs.schedule(frame.time_ns, frame.kind, *msgspec.msgpack.decode(frame.fields))
            except (ValueError, LookupError, TypeError, msgspec.MsgspecError) as error:
                raise WireError(f"it puts in what cannot be: {error}") from error

    # -- what the conductor is told --------------------------------------------------------------------------------

    def begun(self) -> None:
        """Say that all actors here have begun."""
        self._conductor.send(Begun())
        self._conductor.flush()

    def standing(self) -> None:
        """Say that all is done here up to the instant at which this host was to stand."""
        self._conductor.send(Standing())
        self._conductor.flush()

    def quiet(self, sent: int, received: int) -> None:
        """Say that nothing goes on here after the end of the span."""
        self._conductor.send(Quiet(sent, received, self._wave))
        self._conductor.flush()

    def lost(self, host: str, reason: str) -> None:
        """Say that another host cannot be reached any more."""
        if self._goes_on or self.share.is_settling:  # the conductor decides, and tells everybody; maybe all is over
            self._conductor.send(Lost(host, reason))
            self._conductor.flush()
        else:
            self.network.stop(RunAbortedError(f"{self.me} lost {host}: {reason}"))

    def _records(self, data: bytes) -> None:
        until_ns = self.network.history.handed_on_before(self.network.timeline.now_ns)
        self._conductor.send(Records(until_ns, data))

    def witness(self, actor: str, truth: Snapshot) -> None:
        """Say what is true of a pair that an actor is about to record."""
        memories = [(noise_data(noise), begun_ns, touched_ns) for noise, begun_ns, touched_ns in truth.memories]
        self._conductor.send(View(actor, (list(truth.r), truth.bells, memories, list(truth.dephased))))

    @contextmanager
    def _ticking(self) -> Iterator[None]:
        """Have the wall clock looked at now and then, whatever emulated time does."""
        over = threading.Event()

        def tick() -> None:
            while not over.wait(_EVERY_S):
                if (token := self.network.token) is not None:
                    try:
                        token.run_sync_soon(self._look, idempotent=True)
                    except trio.RunFinishedError:
                        return

        thread = threading.Thread(target=tick, name="wall clock", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _look(self) -> None:
        network = self.network
        network.history.flush()
        now_ns = network.timeline.now_ns
        self._conductor.send(Records(network.history.handed_on_before(now_ns), b""))
        awaited = self.share.awaited
        self._conductor.send(Progress(self.share.come_ns, network.timeline.lag.percentile(99), awaited))
        self._conductor.flush()
        looked_s, self._looked_s = self._looked_s, time.monotonic()
        has_slept = self._looked_s - looked_s > 4 * _EVERY_S  # then it is no wonder that nothing was heard
        for name, peer in list(self.share.peers.items()):
            self.share.send(name, Beat())
            peer.flush()
            if not has_slept:
                self._look_at(name, peer)
        self._look_at("the conductor", self._conductor)

    def _look_at(self, name: str, peer: Peer) -> None:
        """Give up whoever is silent for too long, or takes nothing any more."""
        if peer.idle_s > self._limit_s:
            self.lost(name, f"nothing was heard of it for {self._limit_s:g} s")
        elif peer.stuck:
            self.lost(name, "it takes nothing any more")

    def _finish(self, outcome: Outcome, cpu_s: float) -> None:
        network, faults = self.network, self.network.faults.injections
        network.history.close()
        lag = network.timeline.lag
        self._conductor.send(
            Summary(
                outcome.emulated_ns,
                outcome.interrupted,
                outcome.leaks,
                network.timeline.events - network.ticks,
                lag.counts,
                lag.max_ns,
                [(injection.fired, injection.begun_ns, injection.ended_ns) for injection in faults],
                [injection.wanted for injection in faults[self._planned :]],
                cpu_s,
                self.share.figures(),
            )
        )


def _later_ns(after_s: float) -> int:
    return time.monotonic_ns() + round(after_s * 1e9)


def plan_digest(network: Network) -> str:
    """Return what must be the same on all hosts of a run: who there is, and how far from each other."""
    ways = [
        (name, sink, channel.latency_ns)
        for name in network.names
        for sink, channel in network.cell(name).channels.items()
    ]
    return hashlib.sha256(msgspec.msgpack.encode(sorted(ways))).hexdigest()
