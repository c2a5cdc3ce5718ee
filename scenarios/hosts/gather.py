"""One history of the records of all hosts, in the canonical order, and what the omniscient observers make of it.

The conductor builds the same world as every host, and runs nothing of it. Whatever happens elsewhere is added to its
history as soon as no host can still write anything earlier, so that the monitor, the invariants, the promises and the
record work as they do in one process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from heapq import merge
from typing import Any, Final, TypeAlias

import msgpack
import msgspec

from emulator import Engine, History, Snapshot
from emulator.faults.schedule import ACTOR
from emulator.inputs import OUTSIDE
from emulator.messages import Message, message_types
from emulator.quantum import QubitId
from emulator.quantum.engine import MAX_QUBITS
from emulator.share import Whole
from emulator.time import END_NS
from emulator.wire.frames import SnapshotData
from emulator.wire.framing import WireError
from emulator.wire.noises import noise_of

Entry: TypeAlias = tuple[int, str, str, tuple[Any, ...]]

_MOST_BYTES: Final = 1 << 26
MOST_VIEWS: Final = 1 << 16  # of an actor
MOST_ENTRIES: Final = 1 << 19  # of a host: far more than happen within a lookahead
_ENTRY: Final = [int, str, str, tuple]  # what an entry is made of
_ALIKE: Final = frozenset((ACTOR, OUTSIDE))  # whose records all hosts write alike


class Witness(Engine):
    """What hosts have told of the truth, in place of an engine that knows it."""

    def __init__(self) -> None:
        super().__init__()
        self._views: dict[str, deque[Snapshot]] = {}

    def put(self, actor: str, data: SnapshotData) -> None:
        """Take what is true of the pair that an actor records next. Raises WireError if that cannot be."""
        r, bells, memories, dephased = data
        if not memories or len(r) != 4 ** min(len(memories), MAX_QUBITS) or len(dephased) != len(memories):
            raise WireError(f"it shows {len(r)} numbers for {len(memories)} qubits of {actor}")
        if bells is not None and not all(0 <= bell < 4 for bell in bells):
            raise WireError(f"it shows a pair of {actor} in Bell states {bells}, which there are not")
        parts = tuple((noise_of(noise), begun_ns, touched_ns) for noise, begun_ns, touched_ns in memories)
        views = self._views.setdefault(actor, deque())
        if len(views) >= MOST_VIEWS:
            raise WireError(f"it shows {len(views)} pairs of {actor} that it has not recorded")
        views.append(Snapshot(tuple(r), bells, parts, tuple(dephased)))

    def snapshot(self, *qubits: QubitId) -> Snapshot:
        """Return what is true of the next pair that an actor records. Raises WireError if nobody has shown it."""
        if not (views := self._views.get(qubits[0][0])):
            raise WireError(f"it records a pair of {qubits[0][0]} that it has not shown")
        return views.popleft()

    def partners(self, qubit: QubitId) -> list[QubitId]:
        """Return nobody: the view of a qubit shows them, too."""
        return []


class Elsewhere(Whole):
    """All of a network runs on other hosts: nothing is done here, and nobody is waited for."""

    def engine(self) -> Engine:
        """Return what hosts tell of theirs."""
        return Witness()

    def is_here(self, actor: str) -> bool:
        """Return False."""
        return False


class Gather:
    """Merges the records of hosts into a history; `now_ns`: how far all of them have come.

    What all hosts write alike, such as the begin of a fault, is taken from the first one that is not given up.
    `actors`: who runs on each host.
    """

    def __init__(
        self, history: History, actors: Mapping[str, Iterable[str]], observed: Iterable[type[Message]]
    ) -> None:
        self._history = history
        self._actors = {host: _ALIKE.union(names) for host, names in actors.items()}
        self._until_ns = dict.fromkeys(actors, 0)
        self._left = list(self._until_ns)
        self._last_ns = self._until_ns.copy()  # of what has come, or is not to come any more
        self._entries: dict[str, deque[Entry]] = {host: deque() for host in self._until_ns}
        self._unpackers = {
            host: msgpack.Unpacker(use_list=False, max_buffer_size=_MOST_BYTES) for host in self._until_ns
        }
        tags = {kind: tag for tag, kind in message_types().items()}
        self._types = {tags[kind]: kind for kind in observed}
        self.now_ns = 0

    def take(self, host: str, until_ns: int, data: bytes) -> list[Entry]:
        """Take a piece of a host's history; return what is in order by now. Raises WireError if it is no history."""
        unpacker, entries = self._unpackers[host], self._entries[host]
        try:
            unpacker.feed(data)
            for entry in unpacker:
                self._check(host, entry)
                entries.append(entry)
            if len(entries) > MOST_ENTRIES:
                raise WireError(f"it has told of {len(entries)} records before others have come so far")
        except (ValueError, msgpack.UnpackException) as error:
            raise WireError(f"not a piece of history: {error}") from error
        self._until_ns[host] = max(until_ns, self._until_ns[host])
        self._last_ns[host] = max(until_ns, self._last_ns[host])
        return self._release(min(self._until_ns.values()))

    def check_actor(self, host: str, actor: str) -> None:
        """Raise WireError unless a host may tell of an actor."""
        if actor not in self._actors[host]:
            raise WireError(f"it tells of {actor}, who does not run there")

    def _check(self, host: str, entry: Any) -> None:
        if not (isinstance(entry, tuple) and len(entry) == 4 and [*map(type, entry)] == _ENTRY):
            raise WireError("not a piece of history: it has something in it that is no record")
        time_ns, actor, kind, _ = entry
        self.check_actor(host, actor)
        if time_ns < self._last_ns[host]:
            raise WireError(f"it tells that {actor} recorded {kind!r} at {time_ns} ns, when that was over")
        self._last_ns[host] = time_ns

    def give_up(self, host: str) -> None:
        """Wait for a host no more: it writes nothing any longer. What it had told already remains in the history."""
        self._until_ns[host] = END_NS
        self._left.remove(host)

    def finish(self) -> list[Entry]:
        """Return what is left."""
        return self._release(END_NS)

    def _release(self, before_ns: int) -> list[Entry]:
        self.now_ns = before_ns
        ready = [self._ready(host, entries, before_ns) for host, entries in self._entries.items()]
        return list(merge(*ready, key=_time_and_actor))

    def _ready(self, host: str, entries: deque[Entry], before_ns: int) -> Iterable[Entry]:
        ready = []
        while entries and entries[0][0] < before_ns:
            entry = entries.popleft()
            if host == self._left[0] or entry[1] not in _ALIKE:
                ready.append(entry)
        return ready

    def add(self, entry: Entry) -> None:
        """Add an entry to the history, with its message as observers know it. Raises WireError if it has none."""
        time_ns, actor, kind, fields = entry
        try:
            if kind == "message" and (wanted := self._types.get(fields[3][0])) is not None:
                fields = (*fields[:3], msgspec.convert(fields[3], wanted))
        except (IndexError, TypeError, msgspec.ValidationError) as error:
            raise WireError(f"it tells of a message to {actor} that is none: {error}") from error
        self._history.add(time_ns, actor, kind, fields)


def _time_and_actor(entry: Entry) -> tuple[int, str]:
    return entry[0], entry[1]
