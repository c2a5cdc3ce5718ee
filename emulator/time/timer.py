"""Alarms by the wall clock that are finer than a millisecond.

Trio sleeps in epoll, whose time-out is rounded up to whole milliseconds: a wake-up in 50 us comes 1 ms late. A timer
that is a file (Linux' timerfd) ends epoll's wait on time, within some 40 us. Where there is none, trio's loop sleeps by
a plain time-out, and everything is up to 1 ms late: the lag shows it, the history stays the same.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import sys
import time
from typing import Final, Protocol

import trio
from trio import lowlevel

_ABSOLUTE: Final = 1  # TFD_TIMER_ABSTIME


class Timer(Protocol):
    """An alarm of CLOCK_MONOTONIC, the clock that `time.monotonic_ns` reads."""

    def arm(self, at_ns: int) -> float:
        """Wake trio's loop at an instant, and at no earlier choice; return how many seconds it may sleep at most."""

    async def drain(self) -> None:
        """Hear the alarm, for ever; a task must run this while the timer is used."""

    def close(self) -> None:
        """Give the file back. Closing twice is fine."""


def open_timer() -> Timer:
    """Open the best timer that this platform has. Close it in the end."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # a C library without it, a sandbox that forbids it
            return TimerFile()
    return LoopTimer()


class TimerFile:
    """A timer as a file descriptor (timerfd). Raises OSError or AttributeError if there is no such thing."""

    def __init__(self) -> None:
        if sys.version_info >= (3, 13):
            self._fd = os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)
        else:
            libc = ctypes.CDLL(None, use_errno=True)
            self._settime = libc.timerfd_settime
            self._settime.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
            self._spec = (ctypes.c_long * 4)()  # struct itimerspec: interval s, ns; value s, ns
            self._spec_address = ctypes.addressof(self._spec)
            self._fd = _checked(libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))

    def arm(self, at_ns: int) -> float:
        """Wake trio's loop at an instant; it may sleep for ever, since the file ends the wait."""
        at_ns = max(1, at_ns)  # 0 would disarm
        if sys.version_info >= (3, 13):
            os.timerfd_settime_ns(self._fd, flags=os.TFD_TIMER_ABSTIME, initial=at_ns)
        else:
            self._spec[2], self._spec[3] = divmod(at_ns, 1_000_000_000)
            _checked(self._settime(self._fd, _ABSOLUTE, self._spec_address, None))
        return math.inf

    @lowlevel.enable_ki_protection  # a Ctrl-C belongs to main; it must not end the alarm
    async def drain(self) -> None:
        """Hear the alarm, for ever: a timer that is not read stays readable, and trio's loop would spin."""
        while True:
            await lowlevel.wait_readable(self._fd)
            with contextlib.suppress(BlockingIOError):  # armed anew since it rang
                os.read(self._fd, 8)

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class LoopTimer:
    """What to do without a timer file: let trio's loop sleep by itself, as finely as its time-outs go."""

    def arm(self, at_ns: int) -> float:
        """Return the seconds until the instant: trio's loop wakes of its own accord."""
        return max(0, at_ns - time.monotonic_ns()) / 1e9

    async def drain(self) -> None:
        """Nothing rings."""
        await trio.sleep_forever()

    def close(self) -> None:
        """Nothing is open."""


def _checked(result: int) -> int:
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
    return result
