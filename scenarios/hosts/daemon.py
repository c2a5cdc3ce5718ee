"""A host that waits for work: `qie host`. One run at a time; whoever calls meanwhile waits until it is over."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec
import trio

from emulator.wire.credentials import CredentialsError
from emulator.wire.frames import CONDUCTOR_CODEC, PEER_CODEC, Job
from emulator.wire.framing import WireError, one_line
from emulator.wire.handshake import PROTOCOL, Hello, greet
from emulator.wire.listening import listen, take_connections
from emulator.wire.peer import Peer
from emulator.wire.security import check_plain, peer_name, secure, server_context
from scenarios.version import version

from .connecting import call
from .lobby import accept, be_ready, hang_up, next_of
from .worker import HostRun, RunAbortedError

_LIMIT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Daemon:
    """Who this host is, and where it listens; certificates: None for none, on the loopback; conductor: its name."""

    name: str
    conductor: str
    address: str
    port: int
    certificates: Path | None
    tell: Callable[[str], None]

    def serve(self, *, runs: int | None = None) -> None:
        """Wait for work and do it, for ever or for so many runs. Raises OSError if the address is not to be had."""
        with ExitStack() as stack:
            sockets = [stack.enter_context(listener) for listener in trio.run(self._listen)]
            while runs is None or runs > 0:
                lobby = Lobby(self)
                trio.run(lobby.come_together, sockets)
                if lobby.run is None:
                    continue
                self._work(lobby)
                if runs is not None:
                    runs -= 1

    async def _listen(self) -> list[socket.socket]:
        """Return what listens, for one trio run after the other."""
        found = []
        for listener in await listen(self.port, address=self.address):
            found.append(socket.socket(fileno=os.dup(listener.socket.fileno())))
            await listener.aclose()
        self.tell(f"{self.name} listens at {self.address}:{found[0].getsockname()[1]}")
        return found

    def _work(self, lobby: Lobby) -> None:
        run, conductor, peers = lobby.run, lobby.conductor, lobby.peers
        assert run is not None
        assert conductor is not None
        self.tell(f"runs its share of {run.spec.label}: {len(run.network.names_here)} actors")

        def stop(_number: int, _frame: FrameType | None) -> None:
            if (token := run.network.token) is not None:
                token.run_sync_soon(run.network.stop, RunAbortedError(f"{self.name} was ended by a person"))

        before = signal.signal(signal.SIGINT, stop)
        try:
            run.run(conductor, peers)
        finally:
            signal.signal(signal.SIGINT, before)
            trio.run(hang_up, conductor, list(peers.values()))
        self.tell("the run is over" if run.trouble is None else f"the run is over: {run.trouble}")


@dataclass(slots=True)
class Lobby:
    """Everybody who has come for one run."""

    daemon: Daemon
    conductor: Peer | None = None
    run: HostRun | None = None
    peers: dict[str, Peer] = field(default_factory=dict)
    job: Job | None = None
    changed: trio.Event = field(default_factory=trio.Event)

    async def come_together(self, sockets: list[socket.socket]) -> None:
        """Wait until there is a job, and all who do it are connected and ready; `sockets` listen."""
        daemon = self.daemon
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._take_connections, sockets)
            try:
                await self._prepare()
            except (WireError, CredentialsError, trio.BrokenResourceError) as error:
                daemon.tell(f"no run: {error}")
                self.run = None
                await hang_up(self.conductor, list(self.peers.values()))
            nursery.cancel_scope.cancel()

    async def _take_connections(self, sockets: list[socket.socket]) -> None:
        own = [trio.socket.from_stdlib_socket(each.dup()) for each in sockets]  # they are closed when this ends
        listeners = [trio.SocketListener(each) for each in own]
        await take_connections(listeners, self._admit, self._keep, tell=self.daemon.tell)

    async def _admit(self, stream: trio.SocketStream) -> tuple[Hello, Peer]:
        # The connection outlives this trio run, so it gets a socket of its own, which nobody closes here.
        own = trio.SocketStream(stream.socket.dup())
        try:
            return await self._admitted(own)
        except BaseException:
            await trio.aclose_forcefully(own)
            raise

    async def _admitted(self, plain: trio.SocketStream) -> tuple[Hello, Peer]:
        daemon = self.daemon
        if daemon.certificates is None:
            check_plain(plain)
            stream: trio.abc.Stream = plain
            name = None
        else:
            context = self._own_context(daemon.certificates)
            secured = await secure(plain, context, server_side=True, peer=None)
            stream, name = secured, peer_name(secured)
        theirs = await greet(stream, self._hello, expected_name=name, object_to=self._object_to)
        if theirs.role == "conductor":
            return theirs, Peer(theirs.name, stream, CONDUCTOR_CODEC)
        await self._until(lambda: self.job is not None)
        assert self.job is not None
        if theirs.name not in self.job.actors or theirs.name in self.peers:
            raise WireError(f"{theirs.name} is not awaited in this run")
        return theirs, Peer(theirs.name, stream, PEER_CODEC)

    def _object_to(self, theirs: Hello) -> str | None:
        daemon = self.daemon
        if theirs.role != "conductor":
            return None
        if theirs.name != daemon.conductor:
            return f"{daemon.name} takes work from {daemon.conductor} only, not from {one_line(theirs.name)}"
        return f"{daemon.name} is busy with another run" if self.conductor is not None else None

    def _own_context(self, certificates: Path) -> ssl.SSLContext:
        try:
            return server_context(certificates, self.daemon.name)
        except CredentialsError as error:
            raise WireError(f"this host cannot be known: {error}") from error

    @property
    def _hello(self) -> Hello:
        mine = Hello(PROTOCOL, version(), "host", self.daemon.name)
        if self.run is None:
            return mine
        return msgspec.structs.replace(mine, scenario_sha256=self.run.spec.digest, seed=self.run.spec.seed)

    async def _keep(self, admitted: tuple[Hello, Peer]) -> None:
        hello, peer = admitted
        if hello.role == "conductor":
            self.conductor = peer
        else:
            self.peers[peer.name] = peer
        self._change()

    def _change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    async def _until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            await self.changed.wait()

    async def _job(self, conductor: Peer) -> Job:
        with trio.move_on_after(_LIMIT_S):
            return await next_of(conductor, Job)
        raise WireError(f"{conductor.name} has sent no job for {_LIMIT_S:g} s")

    async def _prepare(self) -> None:
        await self._until(lambda: self.conductor is not None)
        assert self.conductor is not None
        me = self.daemon.name
        job = await self._job(self.conductor)
        self.run = await accept(me, job, self.conductor)
        self.job = job
        self._change()
        with trio.move_on_after(job.limit_s) as patience:
            for name, address, port in job.hosts:
                if me < name:
                    stream = await call((address, port), self._hello, name, self.daemon.certificates)
                    self.peers[name] = Peer(name, stream, PEER_CODEC)
            await self._until(lambda: len(self.peers) == len(job.actors) - 1)
            await be_ready(me, self.run, self.conductor, self.peers)
        if patience.cancelled_caught:
            missing = sorted(set(job.actors) - set(self.peers) - {me})
            raise WireError(f"waited {job.limit_s:g} s for {', '.join(missing) or 'the word to begin'}")
