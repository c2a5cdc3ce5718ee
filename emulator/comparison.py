"""Comparing the history of a running network with a recorded one, bit by bit, as it grows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

import msgspec

from .inputs import INPUT, OUTSIDE
from .recording import Recording, records_in
from .records import History, Record

_BEFORE: Final = 3  # records that are shown of what came before a difference
_EVERY_BYTES: Final = 1 << 12  # so soon that a replay need not go on for long after a difference


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference: the last equal records, then what was recorded and what came now (None: nothing)."""

    before: tuple[Record, ...]
    recorded: Record | None
    now: Record | None

    @property
    def time_ns(self) -> int:
        """Return when the two histories part."""
        return min(record.time_ns for record in (self.recorded, self.now) if record is not None)

    @property
    def interrupted(self) -> bool:
        """Whether it is no more than that somebody has interrupted the replay."""
        return self.now is not None and self.now[1:] == (OUTSIDE, INPUT, ("interrupt",))


class ComparisonOverError(Exception):
    """There is nothing left to compare: they differ, or the record ends here because its run was killed."""


class Comparison:
    """Compares a history with a recording, whose `inputs` the network should replay.

    At the first difference, or where a record of a killed run ends, it calls `stop` with a ComparisonOverError.
    """

    def __init__(self, recording: Recording, history: History, stop: Callable[[ComparisonOverError], None]) -> None:
        self.difference: Difference | None = None
        self.over = False
        self._recording = recording
        self._blocks = recording.blocks()
        self._history = history
        self._stop = stop
        self._rest = b""  # of the recording: it begins where `_take` goes on
        self._last = b""  # the last piece of history, which was equal
        history.stream(self._take, every_bytes=_EVERY_BYTES)

    def finish(self) -> None:
        """Compare what is left when the run has ended."""
        self._history.close()
        if not self.over:
            self._fill(1)
            if self._rest:
                self._tell(b"")

    def _take(self, piece: bytes) -> None:
        if self.over:
            return
        self._fill(len(piece))
        if self._rest.startswith(piece):
            self._rest = self._rest[len(piece) :]
            self._last = piece
        else:
            self._tell(piece)
            self._stop(ComparisonOverError())

    def _fill(self, length: int) -> None:
        while len(self._rest) < length and (more := next(self._blocks, b"")):
            self._rest += more

    def _tell(self, piece: bytes) -> None:
        """Find the first record that differs: the record and the piece begin at the same place."""
        self.over = True
        found = first_difference(records_in(self._rest), records_in(piece), before=records_in(self._last))
        if found is not None and (found.recorded is not None or self._recording.ending is not None):
            self.difference = found


def first_difference(
    recorded: Iterable[Record], now: Iterable[Record], *, before: Iterable[Record] = ()
) -> Difference | None:
    """Return where two histories part, or None if they are the same, bit by bit; `before` is what came before both."""
    last = deque(before, maxlen=_BEFORE)
    for one, other in zip_longest(recorded, now):
        if _bits(one) != _bits(other):
            return Difference(tuple(last), one, other)
        last.append(other)
    return None


def _bits(record: Record | None) -> bytes:
    """Return what is hashed: 1 and 1.0 are equal, but not the same, and what is no number does not equal itself."""
    return msgspec.msgpack.encode(record)
