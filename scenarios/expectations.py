"""How many pairs a scenario expects to come (`[[expect]]`), and whether they came. No actor sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from emulator import History, Record

from .invariants import Violation
from .schema import Expect


class Expectations:
    """Counts the pairs that are delivered at their head-ends."""

    def __init__(self, expected: Sequence[Expect]) -> None:
        self._counts = [(expect, round(expect.from_s * 1e9), [0]) for expect in expected]

    def watch(self, history: History) -> None:
        """Begin to count."""
        if self._counts:
            history.observe("pair", self._on_pair)

    def unmet(self, now_ns: int) -> Iterator[Violation]:
        """Yield what has not come by the end of a run; what was to come later is not judged."""
        for expect, from_ns, (count,) in self._counts:
            if count < expect.pairs and from_ns < now_ns:
                ends = () if expect.a == expect.b == "*" else (expect.a, expect.b)
                where = " between " + " and ".join(ends) if ends else ""
                text = f"{count} pairs came{where} from {expect.from_s:g} s on, at least {expect.pairs} were expected"
                yield Violation("liveness", now_ns, ends, text)

    def _on_pair(self, record: Record) -> None:
        a, b, end = record.fields[:3]
        if end:
            return
        for expect, from_ns, count in self._counts:
            if record.time_ns >= from_ns and fnmatchcase(a, expect.a) and fnmatchcase(b, expect.b):
                count[0] += 1
