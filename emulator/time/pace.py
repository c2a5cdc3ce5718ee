"""When an emulated instant is due by the wall clock."""

from __future__ import annotations

import math
import time
from typing import Final

from .agenda import END_NS

SLOWEST: Final = 1e-9  # an emulated second in thirty years


class Pace:
    """A rate (emulated seconds per wall second) and an origin: instant t is due at origin + t / rate.

    The wall clock is CLOCK_MONOTONIC in ns. At an infinite rate everything is due at once; nobody need ask then.
    """

    __slots__ = ("_origin_ns", "_paused_ns", "rate")

    def __init__(self, rate: float) -> None:
        self.rate = _checked(rate)
        self._origin_ns = time.monotonic_ns()
        self._paused_ns: int | None = None  # the emulated time at which it was paused

    @property
    def paused(self) -> bool:
        """Whether a person has stopped the wall clock, so to speak."""
        return self._paused_ns is not None

    def lag_ns(self, time_ns: int) -> int:
        """Return how long ago, by the wall clock, an emulated instant was due; negative if it is not due yet."""
        return time.monotonic_ns() - self._origin_ns - int(time_ns / self.rate)

    def emulated_ns(self, now_ns: int) -> int:
        """Return the emulated instant that is due just now: `now_ns`, or as much later as the wall clock has come."""
        if self._paused_ns is not None:
            return max(now_ns, self._paused_ns)
        if self.rate == math.inf:
            return now_ns
        return max(now_ns, int(min((time.monotonic_ns() - self._origin_ns) * self.rate, END_NS)))

    def restart(self, time_ns: int, rate: float | None = None, *, wall_ns: int | None = None) -> None:
        """Let an emulated instant be due now, or when the wall clock shows so much, at a new rate if one is given."""
        if rate is not None:
            self.rate = _checked(rate)
        self._origin_ns = (time.monotonic_ns() if wall_ns is None else wall_ns) - int(time_ns / self.rate)
        if self._paused_ns is not None:
            self._paused_ns = time_ns

    def pause(self, now_ns: int) -> None:
        """Stop, unless it is paused already."""
        self._paused_ns = self.emulated_ns(now_ns)

    def resume(self) -> None:
        """Go on as if no wall time had passed since the pause."""
        if self._paused_ns is not None:
            self.restart(self._paused_ns)
            self._paused_ns = None


def _checked(rate: float) -> float:
    if not rate > 0:  # not `<= 0`, which lets NaN pass
        raise ValueError(f"rate must be greater than 0 (1: real time, math.inf: as fast as possible), got {rate!r}")
    if rate < SLOWEST:
        raise ValueError(f"rate must be at least {SLOWEST}, got {rate!r}; to stop time, pause or hold it")
    return float(rate)
