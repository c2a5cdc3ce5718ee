"""What comes into the emulated world from outside while it runs: a command of a person, a fault, a word of an app.

An input has a kind and fields. It takes effect at one instant, after all that the actors do at that instant, and is
written into the history when it does. So whoever has the history can let the same inputs come at the same instants, and
the whole history comes out again, though the rate and the host are others.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, TypeAlias

import msgpack
import msgspec

from .records import History
from .time import INPUT_RANK, Alarm, Timeline

OUTSIDE: Final = "(outside)"  # who writes the records of inputs: no actor has this name
INPUT: Final = "input"  # the kind of those records; their fields are the kind of input, and its own fields
LOST: Final = "host lost"  # the kind of the record of a host without which a run of several went on

Function: TypeAlias = Callable[..., object]


class Input(NamedTuple):
    """One input: when it takes effect, its kind, and its fields (plain values: numbers, strings, tuples of them)."""

    time_ns: int
    kind: str
    fields: tuple[Any, ...]


class Inputs:
    """The inputs of a network: kinds are registered, inputs come at once (`put`) or at an instant (`schedule`)."""

    def __init__(self, timeline: Timeline, history: History) -> None:
        self._timeline = timeline
        self._history = history
        self._kinds: dict[str, tuple[Function, Function, Function]] = {}
        self._planned: list[Input] | None = []  # before the run
        self._alarms: list[Alarm] = []
        self._closed = False

    def register(
        self, kind: str, apply: Function, *, check: Function = lambda *_: None, check_now: Function = lambda *_: None
    ) -> None:
        """Let inputs of a kind call `apply(*fields)` when they take effect.

        `check(*fields)` raises ValueError or LookupError when somebody puts in what is wrong at any time; `check_now`
        does so for what is wrong at present, and is not asked of inputs that are scheduled or replayed. An error in
        `apply` ends the run. Raises ValueError if the kind is registered already.
        """
        if kind in self._kinds:
            raise ValueError(f"inputs of kind {kind!r} are registered already")
        self._kinds[kind] = (apply, check, check_now)

    def put(self, kind: str, *fields: Any) -> int:
        """Let an input come now; return the instant in ns at which it takes effect.

        That is the emulated time by the wall clock, at least the next nanosecond. To be called in the run: by a task or
        a watcher, or from a thread by `trio.from_thread.run_sync(..., trio_token=network.token)`.

        Raises ValueError for a kind that is not registered, TypeError for fields that do not fit or are no plain
        values, whatever the kind's checks raise, and RuntimeError if the span of the run is over.
        """
        fields = self.checked(kind, fields)
        if self._closed:
            raise RuntimeError(f"the run is over, so that no {kind!r} can come in any more")
        self._kinds[kind][2](*fields)
        return self._timeline.inject(self._take, kind, fields)

    def schedule(self, time_ns: int, kind: str, *fields: Any) -> None:
        """Let an input come at an instant, before the run or while it goes on. Raises as `put` does.

        If the span of the run ends before, it does not come.
        """
        planned = Input(time_ns, kind, self.checked(kind, fields))
        if self._planned is None:
            self._set(planned)
        else:
            self._planned.append(planned)

    def replay(self, inputs: Iterable[Input]) -> None:
        """Let exactly these inputs come, which another run has recorded, whatever was scheduled before.

        To be called before the run. Raises as `put` does.
        """
        self._planned = [Input(time_ns, kind, self.checked(kind, fields)) for time_ns, kind, fields in inputs]

    def begin(self) -> None:
        """Begin the run; the network does this."""
        planned, self._planned = self._planned or [], None
        for entry in planned:
            self._set(entry)

    def close(self) -> None:
        """End the span of the run: what has not come does not come any more."""
        self._closed = True
        for alarm in self._alarms:
            alarm.cancel()

    def _set(self, entry: Input) -> None:
        alarm = self._timeline.alarm(entry.time_ns, self._take, entry.kind, entry.fields, rank=INPUT_RANK)
        self._alarms.append(alarm)

    def _take(self, kind: str, fields: tuple[Any, ...]) -> None:
        if not self._closed:
            self._history.add(self._timeline.now_ns, OUTSIDE, INPUT, (kind, *fields))
            self._kinds[kind][0](*fields)

    def checked(self, kind: str, fields: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the fields as a replay will read them from the history: it must not get other values.

        Raises as `put` does, but for what is wrong at present only.
        """
        if kind not in self._kinds:
            raise ValueError(f"no input is of kind {kind!r}; there are {', '.join(sorted(self._kinds))}")
        apply, check, _ = self._kinds[kind]
        same: tuple[Any, ...] = msgpack.unpackb(msgspec.msgpack.encode(fields), use_list=False, strict_map_key=False)
        inspect.signature(apply).bind(*same)
        check(*same)
        return same
