"""When an emulated instant is due by the wall clock."""

from __future__ import annotations

import math
import time
from typing import Final

_SLOWEST: Final = 1e-9  # an emulated second in thirty years


class Pace:
    """A rate (emulated seconds per wall second) and an origin: instant t is due at origin + t / rate.

    The wall clock is CLOCK_MONOTONIC in ns. At an infinite rate everything is due; nobody need ask then.
    """

    __slots__ = ("_origin_ns", "rate")

    def __init__(self, rate: float) -> None:
        self.rate = _checked(rate)
        self._origin_ns = time.monotonic_ns()

    def due_ns(self, time_ns: int) -> int:
        """Return the wall time at which an emulated instant is due."""
        return self._origin_ns + int(time_ns / self.rate)

    def lag_ns(self, time_ns: int) -> int:
        """Return how long ago, by the wall clock, an emulated instant was due; negative if it is not due yet."""
        return time.monotonic_ns() - self._origin_ns - int(time_ns / self.rate)

    def emulated_ns(self, latest_ns: int) -> int:
        """Return the emulated instant that is due just now, at most `latest_ns`. The rate must be finite."""
        return int(min((time.monotonic_ns() - self._origin_ns) * self.rate, latest_ns))

    def restart(self, time_ns: int, rate: float | None = None) -> None:
        """Let an emulated instant be due just now, and time go on from there, at a new rate if one is given."""
        if rate is not None:
            self.rate = _checked(rate)
        self._origin_ns = time.monotonic_ns() - int(time_ns / self.rate)


def _checked(rate: float) -> float:
    if not rate > 0:  # not `<= 0`, which lets NaN pass
        raise ValueError(f"rate must be greater than 0 (1: real time, math.inf: as fast as possible), got {rate!r}")
    if rate < _SLOWEST:
        raise ValueError(f"rate must be at least {_SLOWEST}, got {rate!r}; to stop time, pause or hold it")
    return math.inf if rate == math.inf else float(rate)
