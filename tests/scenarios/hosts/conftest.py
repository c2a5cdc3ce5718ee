"""Two network namespaces joined by a wire that takes its time. Needs root, iproute2 and /dev/net/tun."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final

import pytest
import trio

_ADDRESSES: Final = ("198.51.100.1", "198.51.100.2")  # set aside for documentation: nobody else has them
_IP: Final = shutil.which("ip") or "ip"
_CLONE_NEWNET: Final = 0x40000000
_TUNSETIFF: Final = 0x400454CA
_TUN_WITHOUT_HEADER: Final = 0x1001
_PACKET_BYTES: Final = 1 << 16


@pytest.fixture
def apart() -> Callable[[float], AbstractContextManager[tuple[str, str]]]:
    """Return `_joined`; skips the test where namespaces cannot be made."""
    if not _can_be_made():
        pytest.skip("needs root, iproute2 and /dev/net/tun")
    return _joined


def _can_be_made() -> bool:
    """Return whether this machine lets us make namespaces and wires: it is tried."""
    name = f"qie-try-{os.getpid()}"
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
        made = subprocess.run([_IP, "netns", "add", name], capture_output=True, check=False).returncode == 0
        gone = subprocess.run([_IP, "netns", "del", name], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
    return made and gone


@contextmanager
def _joined(delay_s: float) -> Iterator[tuple[str, str]]:
    """Yield the names of two namespaces; packets between them take `delay_s` each way."""
    names = (f"qie-a-{os.getpid()}", f"qie-b-{os.getpid()}")
    for name in names:
        _ip("netns", "add", name)
    try:
        ends = [_tun(name, *addresses) for name, addresses in zip(names, (_ADDRESSES, _ADDRESSES[::-1]), strict=True)]
        with _carried(ends, delay_s):
            yield names
    finally:
        for name in names:
            _ip("netns", "del", name)


def _ip(*words: str) -> None:
    subprocess.run([_IP, *words], check=True)


def _tun(namespace: str, address: str, peer: str) -> int:
    """Open a tun device within a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    home, there = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {namespace}")
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", b"fibre", _TUN_WITHOUT_HEADER))
    finally:
        libc.setns(home, _CLONE_NEWNET)
        os.close(home)
        os.close(there)
    _ip("-n", namespace, "addr", "add", address, "peer", peer, "dev", "fibre")
    for device in ("fibre", "lo"):
        _ip("-n", namespace, "link", "set", device, "up")
    return fd


@contextmanager
def _carried(ends: list[int], delay_s: float) -> Iterator[None]:
    """Carry packets between two devices, in a thread, during the block."""
    began = threading.Event()
    stop: list[tuple[trio.lowlevel.TrioToken, trio.CancelScope]] = []

    async def carry() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_one_way, ends[0], ends[1], delay_s)
            nursery.start_soon(_one_way, ends[1], ends[0], delay_s)
            stop.append((trio.lowlevel.current_trio_token(), nursery.cancel_scope))
            began.set()

    thread = threading.Thread(target=trio.run, args=(carry,))
    thread.start()
    began.wait()
    try:
        yield
    finally:
        token, scope = stop[0]
        token.run_sync_soon(scope.cancel)
        thread.join()
        for fd in ends:
            os.close(fd)


async def _one_way(source: int, sink: int, delay_s: float) -> None:
    put, take = trio.open_memory_channel[tuple[float, bytes]](10_000)

    async def deliver() -> None:
        async for due_s, packet in take:
            await trio.sleep_until(due_s)
            with suppress(OSError):
                os.write(sink, packet)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(deliver)
        while True:
            await trio.lowlevel.wait_readable(source)
            with suppress(BlockingIOError):
                while packet := os.read(source, _PACKET_BYTES):
                    put.send_nowait((trio.current_time() + delay_s, packet))
