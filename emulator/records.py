"""The history of a run: what happened, when, to whom, in the canonical order, and its SHA-256.

The raw order of records of different actors at one instant depends on where the actors run. So the records of an
instant are put in order of actor before they are hashed: (time, actor, the actor's own sequence).
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

import msgspec


class Record(NamedTuple):
    """One thing that happened: `fields` are plain values or messages."""

    time_ns: int
    actor: str
    kind: str
    fields: tuple[Any, ...]


Observer: TypeAlias = Callable[[Record], None]
MessageObserver: TypeAlias = Callable[[int, str, tuple[Any, ...]], None]
Sink: TypeAlias = Callable[[bytes], object]
_FLUSH_BYTES = 1 << 16


class History:
    """Takes the records of a run, hashes them, counts them, and shows them to observers.

    >>> history = History()
    >>> history.add(5, "bob", "wakes", ())
    >>> history.add(5, "alice", "wakes", ())
    >>> other = History()
    >>> other.add(5, "alice", "wakes", ())
    >>> other.add(5, "bob", "wakes", ())
    >>> history.sha256() == other.sha256()
    True

    Observers see records of the kinds they asked for at once, in the raw order; `keep` also holds on to all of them.
    Sinks get the very bytes that are hashed, now and then. Reading the hash or the records at any time changes neither.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self.counts: dict[str, int] = {}
        self._kept: list[Record] | None = [] if keep else None
        self._instant: list[tuple[int, str, str, tuple[Any, ...]]] = []
        self._time_ns = -1
        self._hash = hashlib.sha256()
        self._buffer = bytearray()
        self._encoder = msgspec.msgpack.Encoder()
        self._observers: dict[str, list[Observer]] = {}
        self._of_messages: dict[type, list[MessageObserver]] = {}
        self._latest: deque[tuple[int, str, str, tuple[Any, ...]]] = deque(maxlen=0)
        self._sinks: list[Sink] = []
        self._flush_bytes = _FLUSH_BYTES

    @property
    def kept(self) -> list[Record] | None:
        """Return all records so far, in the canonical order, or None if they are not kept."""
        return None if self._kept is None else self._kept + self._sorted_instant()

    @property
    def latest(self) -> list[Record]:
        """Return the latest records, in the raw order: as many as `remember` has asked for."""
        return [Record(*entry) for entry in (*self._latest, *self._instant)]

    def remember(self, records: int) -> None:
        """Keep the latest so many records at hand."""
        self._latest = deque(self._latest, maxlen=records)

    def observe(self, kind: str, observer: Observer) -> None:
        """Call `observer(record)` for each record of a kind."""
        self._observers.setdefault(kind, []).append(observer)

    def observe_messages(self, message: type, observer: MessageObserver) -> None:
        """Call `observer(time_ns, actor, fields)` for each message of a type: a Record of each message would cost."""
        self._of_messages.setdefault(message, []).append(observer)

    @property
    def observed_messages(self) -> list[type]:
        """Return the types of messages that somebody observes."""
        return list(self._of_messages)

    def stream(self, sink: Sink, *, every_bytes: int = _FLUSH_BYTES) -> None:
        """Call `sink(data)` for each piece of the history: encoded records in the canonical order, always whole ones.

        A piece comes when there are a little more than `every_bytes`, and at each `flush`. The sink must not raise.
        """
        self._sinks.append(sink)
        self._flush_bytes = min(self._flush_bytes, every_bytes)

    def add(self, time_ns: int, actor: str, kind: str, fields: tuple[Any, ...]) -> None:
        """Add a record. Raises ValueError if its time is before that of the last."""
        if time_ns != self._time_ns:
            if time_ns < self._time_ns:
                raise ValueError(f"{actor} records {kind!r} at {time_ns} ns, but it is {self._time_ns} ns already")
            self._close_instant()
            self._time_ns = time_ns
        self._instant.append((time_ns, actor, kind, fields))  # a plain tuple: a Record takes five times as long to make
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == "message" and type(fields[3]) in self._of_messages:
            for watch in self._of_messages[type(fields[3])]:
                watch(time_ns, actor, fields)
        if kind in self._observers:
            record = Record(time_ns, actor, kind, fields)
            for observer in self._observers[kind]:
                observer(record)

    def sha256(self) -> str:
        """Return the hash of all records so far, in hexadecimal."""
        self.flush()
        digest = self._hash.copy()  # the present instant may not be over: more may come that belongs before these
        for record in self._sorted_instant():
            digest.update(self._encoder.encode(record))
        return digest.hexdigest()

    def flush(self) -> None:
        """Hand on what is known up to the present instant, which may not be over."""
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            self._hash.update(data)
            for sink in self._sinks:
                sink(data)

    def handed_on_before(self, now_ns: int) -> int:
        """Return before which instant all has been handed on, right after a `flush` at `now_ns`."""
        return self._time_ns if self._instant else now_ns

    def close(self) -> None:
        """Hand on everything: nothing more is to come."""
        self._close_instant()
        self.flush()

    def _sorted_instant(self) -> list[Record]:
        return [
            Record(*entry) for entry in sorted(self._instant, key=_by_actor)
        ]  # stable: an actor's own keep their order

    def _close_instant(self) -> None:
        if len(self._instant) > 1:
            self._instant.sort(key=_by_actor)
        self._latest.extend(self._instant)
        for record in self._instant:
            self._encoder.encode_into(record, self._buffer, -1)
        if self._kept is not None:
            self._kept += [Record(*entry) for entry in self._instant]
        self._instant.clear()
        if len(self._buffer) > self._flush_bytes:
            self.flush()


_by_actor = itemgetter(1)
