"""How late things happen: a histogram of fixed size, cheap enough for every event of a real-time run."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate
from typing import Final

# Each octave has 32 classes, so a value is known to 1/32 = 3 % at worst. Values below 64 have a class of their own.
_OCTAVE_BITS: Final = 5
_EXACT_BITS: Final = _OCTAVE_BITS + 1
_LARGEST: Final = (1 << 63) - 1  # ns: 292 years
_CLASSES: Final = (_LARGEST.bit_length() - _EXACT_BITS + 2) << _OCTAVE_BITS


class LagHistogram:
    """A histogram of lags in ns with classes that grow with the value: relative resolution 3 %, 15 kB, no growth.

    It is exact for the number of values and the largest one; it does not keep the values, so a run of any length costs
    the same memory.
    """

    __slots__ = ("_counts", "max_ns")

    def __init__(self) -> None:
        self.max_ns = 0  # the largest lag so far
        self._counts = [0] * _CLASSES

    def add(self, ns: int) -> None:
        """Count one lag. A negative one counts as 0: nothing runs before its time, but clocks are read one by one."""
        if ns > self.max_ns:  # noqa: PLR1730  (a call of max would double the cost)
            self.max_ns = ns
        if ns < 64:
            self._counts[max(ns, 0)] += 1
        else:
            shift = min(ns, _LARGEST).bit_length() - _EXACT_BITS
            self._counts[(shift << _OCTAVE_BITS) + (min(ns, _LARGEST) >> shift)] += 1

    def add_all(self, counts: Mapping[int, int], max_ns: int) -> None:
        """Count what another histogram has counted: its `counts` and its largest lag. ValueError if it has not."""
        if any(not 0 <= index < _CLASSES or count < 0 for index, count in counts.items()):
            raise ValueError(f"no counts of lags: {dict(counts)}")
        self.max_ns = max(self.max_ns, max_ns)
        for index, count in counts.items():
            self._counts[index] += count

    @property
    def counts(self) -> dict[int, int]:
        """How many lags were counted in each class, by its index, where there are any."""
        return {index: count for index, count in enumerate(self._counts) if count}

    @property
    def count(self) -> int:
        """How many lags were counted."""
        return sum(self._counts)

    def percentile(self, percent: float) -> int:
        """Return the lag in ns that `percent` of the values do not exceed (50 is the median); 0 if there are none.

        It is the upper end of its class, so never too favourable, and at most 3 % too high. Raises ValueError unless
        0 <= percent <= 100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"percent must be between 0 and 100, got {percent!r}")
        seen = list(accumulate(self._counts))  # fast, as displays ask while time goes on
        index = bisect_left(seen, max(1.0, seen[-1] * percent / 100))
        return min(_upper_ns(index), self.max_ns) if index < len(seen) else 0

    def __repr__(self) -> str:
        p50, p99 = self.percentile(50) / 1e3, self.percentile(99) / 1e3
        return f"<LagHistogram {self.count} lags, us: p50 {p50:.1f}, p99 {p99:.1f}, max {self.max_ns / 1e3:.1f}>"


def _upper_ns(index: int) -> int:
    if index < 64:
        return index
    shift = (index >> _OCTAVE_BITS) - 1
    return (((index - (shift << _OCTAVE_BITS)) + 1) << shift) - 1
