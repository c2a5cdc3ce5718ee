"""How a run on several hosts is paused, how its rate changes, and how inputs come into it. Sans-io.

Theory of operation. Each host is at another instant, and may not be told to do anything at one that is past for it. So
all are brought to one: they *halt*, each no further than the others count on, and say how far that is; then they
*stand* where the latest of them is. There inputs are put in, for the next nanosecond, and from there all go on at
once, at the rate that is wanted, unless they are to stand still for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias

import msgspec

from emulator.time import SLOWEST
from emulator.wire.frames import GoOn, Halt, Halted, Put, Stand, Standing
from emulator.wire.framing import Frame, WireError
from scenarios.live import pause_line, rate_line

Phase: TypeAlias = Literal["going", "halting", "coming to stand", "standing"]


class Steering:
    """The clocks of some hosts. `say` tells all of them something; `tell` takes a line for people."""

    def __init__(
        self, hosts: Iterable[str], rate: float, *, say: Callable[[Frame], None], tell: Callable[[str], None]
    ) -> None:
        self._phase: Phase = "going"
        self._hosts = set(hosts)
        self._missing: set[str] = set()  # who has not said that it halts, or stands
        self._stand_ns = 0
        self._rate, self._wanted_rate = rate, rate
        self._pauses = False
        self._inputs: list[tuple[str, bytes]] = []
        self._say = say
        self._tell = tell

    @property
    def rate(self) -> float:
        """Return the rate at which time goes, or will once it goes on."""
        return self._rate

    @property
    def awaited(self) -> list[str]:
        """Return the hosts that have to come to halt, or to stand."""
        return sorted(self._missing)

    @property
    def is_standing(self) -> bool:
        """Return whether all hosts stand still at one instant."""
        return self._phase == "standing"

    def pause(self) -> None:
        """Let emulated time stand still."""
        self._pauses = True
        self._begin()

    def resume(self) -> None:
        """Let it go on."""
        self._pauses = False
        self._act()

    def set_rate(self, rate: float) -> None:
        """Let it go on at another rate. Raises ValueError if there can be no such rate."""
        if not rate >= SLOWEST:
            raise ValueError(f"a rate is at least {SLOWEST:g}, not {rate!r}")
        self._wanted_rate = rate
        self._begin()

    def put(self, kind: str, *fields: Any) -> None:
        """Let an input come as soon as possible."""
        self._inputs.append((kind, msgspec.msgpack.encode(fields)))
        self._begin()

    def hear(self, host: str, frame: Halted | Standing) -> None:
        """Hear that a host halts or stands. Raises WireError if it was not to."""
        phase = "halting" if isinstance(frame, Halted) else "coming to stand"
        if self._phase != phase or host not in self._missing:
            raise WireError(f"it is {phase}, and was not to be")
        self._missing.discard(host)
        if isinstance(frame, Halted):
            self._stand_ns = max(self._stand_ns, frame.time_ns)
        self._act()

    def give_up(self, host: str) -> None:
        """Wait for a host no more."""
        self._hosts.discard(host)
        self._missing.discard(host)
        self._act()

    def _begin(self) -> None:
        if self._phase == "going":
            self._stand_ns = 0
            self._ask("halting", Halt())
        self._act()

    def _ask(self, phase: Phase, frame: Frame) -> None:
        self._phase = phase
        self._missing = self._hosts.copy()
        self._say(frame)

    def _act(self) -> None:
        """Go on to the next phase, if nobody is awaited in this one."""
        if self._phase == "halting" and not self._missing:
            self._ask("coming to stand", Stand(self._stand_ns))
        if self._phase == "coming to stand" and not self._missing:
            self._phase = "standing"
            if self._pauses:
                self._tell(pause_line(self._stand_ns))
        if self._phase == "standing":
            self._steer()

    def _steer(self) -> None:
        for kind, fields in self._inputs:
            self._say(Put(self._stand_ns + 1, kind, fields))
        self._inputs.clear()
        if self._wanted_rate != self._rate:
            self._rate = self._wanted_rate
            self._tell(rate_line(self._stand_ns, self._rate))
        if not self._pauses:
            self._phase = "going"
            self._say(GoOn(self._rate))
