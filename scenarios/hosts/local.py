"""Several processes on this machine, joined by socket pairs that they inherit: no address, no certificate.

`python -m scenarios.hosts.local NAME FD NAME=FD...` is such a process: it gets its name, the file descriptor of its
line to the conductor, and those of its lines to the others.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from itertools import combinations
from typing import TypeVar

import trio

from emulator.wire.frames import CONDUCTOR_CODEC, PEER_CODEC, Abort, Beat, Failed, Go, Job, Ready
from emulator.wire.framing import Frame, WireError
from emulator.wire.peer import Peer

from ..load import InputError
from .worker import HostRun, plan_digest

F = TypeVar("F", bound=Frame)


def spawn(names: Sequence[str]) -> tuple[dict[str, socket.socket], list[subprocess.Popen[bytes]]]:
    """Start a process for each name; return the conductor's ends of the lines, and the processes."""
    lines: dict[str, dict[str, socket.socket]] = {name: {} for name in names}
    for a, b in combinations(names, 2):
        lines[a][b], lines[b][a] = socket.socketpair()
    ends: dict[str, socket.socket] = {}
    processes = []
    for name in names:
        ends[name], theirs = socket.socketpair()
        fds = [theirs.fileno(), *(line.fileno() for line in lines[name].values())]
        words = [f"{other}={line.fileno()}" for other, line in lines[name].items()]
        command = [sys.executable, "-m", "scenarios.hosts.local", name, str(theirs.fileno()), *words]
        processes.append(subprocess.Popen(command, pass_fds=fds, env=os.environ | {"OMP_NUM_THREADS": "1"}))
        theirs.close()
    for held in lines.values():
        for line in held.values():
            line.close()
    return ends, processes


def stream_of(line: socket.socket) -> trio.SocketStream:
    """Return the stream of a socket."""
    return trio.SocketStream(trio.socket.from_stdlib_socket(line))


async def prepare(me: str, conductor: Peer) -> HostRun | None:
    """Wait for the job, build it, and wait for the word to begin. None: it cannot be built, and the conductor knows."""
    job = await next_of(conductor, Job)
    try:
        run = HostRun(me, job)
    except InputError as error:
        await conductor.say(Failed("input", str(error)))
        return None
    await conductor.say(Ready(plan_digest(run.network)))
    await next_of(conductor, Go)
    return run


async def next_of(peer: Peer, wanted: type[F]) -> F:
    """Return the next frame, which must be of a type, but for beats. Raises WireError."""
    while isinstance(frame := await peer.next(), Beat):
        pass
    if isinstance(frame, Abort):
        raise WireError(frame.reason)
    if not isinstance(frame, wanted):
        raise WireError(f"it says {type(frame).__name__}, and {wanted.__name__} was expected")
    return frame


def main(words: Sequence[str]) -> int:
    """Be one of the processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the conductor
    me, fd, *others = words
    conductor = Peer("conductor", stream_of(socket.socket(fileno=int(fd))), CONDUCTOR_CODEC)
    pairs = (word.rpartition("=") for word in others)
    peers = {name: Peer(name, stream_of(socket.socket(fileno=int(line))), PEER_CODEC) for name, _, line in pairs}
    try:
        run = trio.run(prepare, me, conductor)
    except WireError:
        return 1
    if run is not None:
        run.run(conductor, peers)
    trio.run(conductor.close)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
