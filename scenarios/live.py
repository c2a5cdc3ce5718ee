"""What a person, or a script, says to a running network: a command a line, from a file descriptor.

    pause
    resume
    rate 0.1
    fault loss:berlin>schaepe,percent=20,name=rain
    heal rain
    stop

Faults are given as to `qie run`; without a start they begin at once. `heal` without a name ends all of them. What is
wrong is told in a line, and changes nothing. Faults and the end are inputs: they are in the record, and replay.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import trio

from emulator import Network

from .faults import parse
from .load import InputError
from .spec import rate_of

_READ_BYTES: Final = 1 << 12


class Steered(Protocol):
    """A running network, whether on one host or on several."""

    def pause(self) -> None:
        """Let emulated time stand still."""

    def resume(self) -> None:
        """Let it go on."""

    def set_rate(self, rate: float) -> None:
        """Let it go on at another rate."""

    def put(self, kind: str, *fields: Any) -> None:
        """Let an input come now. Raises ValueError, LookupError or TypeError if it is wrong, RuntimeError if late."""

    def interrupt(self) -> None:
        """End the span of the run now."""


class OneHost:
    """A network that runs in this process. `tell` takes lines for people."""

    def __init__(self, network: Network, tell: Callable[[str], None]) -> None:
        self._network = network
        self._tell = tell

    def pause(self) -> None:
        """Let emulated time stand still."""
        self._network.timeline.pause()
        self._tell(pause_line(self._network.timeline.now_ns))

    def resume(self) -> None:
        """Let it go on."""
        self._network.timeline.resume()

    def set_rate(self, rate: float) -> None:
        """Let it go on at another rate."""
        if not self._network.is_draining:
            self._network.timeline.rate = rate
            self._tell(rate_line(self._network.timeline.now_ns, rate))

    def put(self, kind: str, *fields: Any) -> None:
        """Let an input come now."""
        self._network.input(kind, *fields)

    def interrupt(self) -> None:
        """End the span of the run now."""
        self._network.interrupt()


def pause_line(time_ns: int) -> str:
    """Say that emulated time stands still."""
    return f"paused at {time_ns / 1e9:.9f} s"


def rate_line(time_ns: int, rate: float) -> str:
    """Say that it goes at another rate."""
    speed = "as fast as possible" if rate == math.inf else f"at {rate:g} x real time"
    return f"from {time_ns / 1e9:.9f} s on {speed}"


def obey(steered: Steered, line: str) -> None:
    """Do what a line says. Raises InputError."""
    word, _, rest = line.strip().partition(" ")
    if not word:
        return
    if word not in _COMMANDS:
        raise InputError([f"{word}: there is no such command; there are {', '.join(_COMMANDS)}"])
    takes, do = _COMMANDS[word]
    if not takes and rest:
        raise InputError([f"{word}: expected nothing after it, got {rest!r}"])
    try:
        do(steered, rest.strip())
    except (ValueError, LookupError, TypeError, RuntimeError) as error:
        raise InputError([f"{word} {rest}: {error}"]) from None


def _fault(steered: Steered, text: str) -> None:
    fault = parse(text, what="fault")
    start_ns, end_ns = (None if s is None else round(s * 1e9) for s in (fault.start_s or None, fault.end_s))
    wanted = fault.kind, fault.target, dict(fault.attributes), fault.probability, start_ns, end_ns, fault.name
    steered.put("fault", *wanted)


def _heal(steered: Steered, name: str) -> None:
    steered.put("heal", *([name] if name else []))


# By word: whether anything follows it, and what it does.
_COMMANDS: Final[dict[str, tuple[bool, Callable[[Steered, str], None]]]] = {
    "pause": (False, lambda steered, _: steered.pause()),
    "resume": (False, lambda steered, _: steered.resume()),
    "rate": (True, lambda steered, text: steered.set_rate(rate_of(text))),
    "fault": (True, _fault),
    "heal": (True, _heal),
    "stop": (False, lambda steered, _: steered.interrupt()),
}


def listen(fd: int, steered: Steered, tell: Callable[[str], None]) -> None:
    """Do what the lines of a file say, beside the present trio run; `tell` takes what is wrong with them."""
    token = trio.lowlevel.current_trio_token()

    def take(line: str) -> None:
        try:
            obey(steered, line)
        except InputError as error:
            for text in error.lines:
                tell(text)

    def read() -> None:
        for line in _lines(fd):
            try:
                token.run_sync_soon(take, line)
            except trio.RunFinishedError:
                return

    threading.Thread(target=read, name="commands", daemon=True).start()


def _lines(fd: int) -> Iterator[str]:
    """Yield the lines of a file; unlike those of `sys.stdin`, they hold no lock that the end of the program wants."""
    rest = b""
    while data := os.read(fd, _READ_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
        rest = rest[-_READ_BYTES:]
    if rest:
        yield rest.decode(errors="replace")
