"""Several processes on this machine, joined by socket pairs that they inherit: no address, no certificate.

`python -m scenarios.hosts.local NAME FD NAME=FD...` is such a process: it gets its name, the file descriptor of its
line to the conductor, and those of its lines to the others.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Final

import trio

from emulator.wire.frames import CONDUCTOR_CODEC, PEER_CODEC, Job
from emulator.wire.framing import WireError
from emulator.wire.peer import Peer

from .lobby import accept, be_ready, hang_up, next_of
from .worker import HostRun

_PATIENCE_S: Final = 5.0


@contextmanager
def processes(names: Sequence[str]) -> Iterator[dict[str, trio.SocketStream]]:
    """Start a process for each name, and end them all after the block; yield the conductor's ends of the lines."""
    lines: dict[str, dict[str, socket.socket]] = {name: {} for name in names}
    for a, b in combinations(names, 2):
        lines[a][b], lines[b][a] = socket.socketpair()
    ends: dict[str, trio.SocketStream] = {}
    started = []
    try:
        for name in names:
            mine, theirs = socket.socketpair()
            ends[name] = _stream(mine)
            started.append(_start(name, theirs, lines[name]))
            theirs.close()
        for line in (line for held in lines.values() for line in held.values()):
            line.close()
        yield ends
    finally:
        for stream in ends.values():
            stream.socket.close()
        _end(started)


def _start(name: str, conductor: socket.socket, others: Mapping[str, socket.socket]) -> subprocess.Popen[bytes]:
    words = [f"{other}={line.fileno()}" for other, line in others.items()]
    return subprocess.Popen(  # noqa: S603  (this very program)
        [sys.executable, "-m", "scenarios.hosts.local", name, str(conductor.fileno()), *words],
        pass_fds=[conductor.fileno(), *(line.fileno() for line in others.values())],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,  # Ctrl-C is for the conductor
    )


def _end(started: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in started:
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _stream(line: socket.socket) -> trio.SocketStream:
    return trio.SocketStream(trio.socket.from_stdlib_socket(line))


async def _prepare(me: str, conductor: Peer, peers: Mapping[str, Peer]) -> HostRun:
    run = await accept(me, await next_of(conductor, Job), conductor)
    await be_ready(me, run, conductor, peers)
    return run


def main(words: Sequence[str]) -> int:
    """Be one of the processes."""
    me, fd, *others = words
    conductor = Peer("conductor", _stream(socket.socket(fileno=int(fd))), CONDUCTOR_CODEC)
    pairs = (word.rpartition("=") for word in others)
    peers = {name: Peer(name, _stream(socket.socket(fileno=int(line))), PEER_CODEC) for name, _, line in pairs}
    try:
        run = trio.run(_prepare, me, conductor, peers)
    except (WireError, trio.BrokenResourceError):
        return 1  # the conductor knows, or is gone
    run.run(conductor, peers)
    trio.run(hang_up, conductor, list(peers.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
