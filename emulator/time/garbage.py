"""Garbage collection off the real-time path.

A full collection over 900,000 containers, which is what a large network has, stops the world for 65 ms. Paced runs
therefore freeze what was built before the start, leave the collector next to nothing to do of its own accord, and
collect while nothing is due anyway.
"""

from __future__ import annotations

import gc
import time
from typing import Final

# New containers before Python collects by itself. It is not switched off: a run that is overloaded for hours has no
# idle stretch, and must not fill the memory. 50,000 young containers take some 3 ms.
_RELUCTANT: Final = (50_000, 20, 100)

_ENOUGH: Final = (700, 10, 10)  # counts, per generation, that make a collection worth its while (Python's own defaults)
_WORTH_NS: Final = 5_000_000  # shorter stretches are left alone
_MARGIN: Final = 4  # a stretch must be this many times longer than the same collection took last time


class CalmGarbage:
    """Keeps the collector out of the way between `calm` and `restore`.

    If the collector was disabled before, somebody else has taken charge: then nothing here has any effect.
    """

    def __init__(self) -> None:
        self._before: tuple[int, int, int] | None = None  # thresholds to restore; None while not calm
        self._froze = False
        self._cost_ns = [0, 2_000_000, 25_000_000]  # per generation; guesses until each has been measured

    def calm(self) -> None:
        """Collect everything now, exempt what is left for good, and make the collector reluctant. Idempotent."""
        if self._before is not None or not gc.isenabled():
            return
        self._before = gc.get_threshold()
        gc.collect()
        self._froze = gc.get_freeze_count() == 0  # what others froze is theirs to thaw, and cannot be told from ours
        if self._froze:
            gc.freeze()
        gc.set_threshold(*_RELUCTANT)

    def restore(self) -> None:
        """Put the collector back to what it was before `calm`. Idempotent."""
        if self._before is None:
            return
        gc.set_threshold(*self._before)
        self._before = None
        if self._froze:
            gc.unfreeze()

    def collect_within(self, idle_ns: int) -> None:
        """Use an idle stretch, if it is long enough and there is something to collect."""
        if self._before is None or idle_ns < _WORTH_NS:
            return
        counts = gc.get_count()
        for generation in (2, 1, 0):
            if counts[generation] >= _ENOUGH[generation] and idle_ns >= _MARGIN * self._cost_ns[generation]:
                start_ns = time.monotonic_ns()
                gc.collect(generation)
                self._cost_ns[generation] = time.monotonic_ns() - start_ns
                return
