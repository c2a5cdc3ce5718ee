"""What must be true in every run, whatever faults there are, checked online from the history. No actor sees it.

| name | what must be true |
| --- | --- |
| `crash` | no actor ends by an error, but by a fault that is meant to |
| `light` | no news of a pair is there sooner than light |
| `once` | a half is swapped, delivered or distilled away once, and the numbers of a station's pairs only grow |
| `cutoff` | no intermediate node swaps a half that was older than its circuit's cutoff |
| `bell` | both ends of a pair, and the outcomes of all swaps, agree on its Bell state |
| `both ends` | a pair is delivered at both ends or at neither, unless its circuit broke |
| `liveness` | as many pairs came as the scenario expects |
| `programs` | no program ends by an error |
| `record` | a record that was asked for is written to its end |

Each violation says when, who, by which swaps the pair came, and what these actors did just before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias

from emulator import Herald, History, Network, PairId, Record
from nodes import QuantumNode
from nodes.circuits import Reserve, demand_of

INJECTED: Final = "InjectedCrash"  # the error by which a fault ends a life
_BEFORE: Final = 12  # records shown of what happened just before
_REMEMBERED: Final = 200  # records among which these are looked for
_SWAPS: Final = 2000  # among which those of a pair are looked for
_HALVES: Final = 20_000  # that are remembered; what was longer ago is not checked any more

Half: TypeAlias = tuple[str, PairId]  # at which node, of which pair


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that did not hold.

    lineage: the swaps by which the pair came, if it is about one; before: what its actors did just before.
    """

    invariant: str
    time_ns: int
    actors: tuple[str, ...]
    text: str
    lineage: tuple[str, ...] = ()
    before: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}, at {self.time_ns / 1e9:.9f} s"

    def as_json(self) -> dict[str, Any]:
        """Return all of it for scripts."""
        return {
            "invariant": self.invariant,
            "time_s": self.time_ns / 1e9,
            "actors": list(self.actors),
            "text": self.text,
            "lineage": list(self.lineage),
            "before": list(self.before),
        }


class Invariants:
    """Watches the history of a network. `violations` has what was found, with its context."""

    def __init__(self, network: Network, history: History) -> None:
        self.violations: list[Violation] = []
        self._network = network
        # By node and station: the number of the last pair that was announced, and how long light takes.
        self._heard: dict[tuple[str, str], tuple[int, int]] = {}
        self._swaps: deque[tuple[str, PairId, PairId]] = deque(maxlen=_SWAPS)
        self._delivered_ns: dict[Half, int] = {}
        self._names_return = False  # since a fault has had a station number its pairs from 1 again
        self._emitted_ns: dict[Half, int] = {}  # where there are cutoffs: when the photons of halves left
        self._cutoffs_ns: dict[str, int] = {}  # by demand
        self._measuring_ns: dict[str, int] = {}  # by node
        history.remember(_REMEMBERED)
        for kind, check in (
            ("swap", self._on_swap),
            ("pair", self._on_pair),
            ("crashes", self._on_crash),
            ("fault begins", self._on_fault),
        ):
            history.observe(kind, check)
        history.observe_messages(Herald, self._on_herald)
        history.observe_messages(Reserve, self._on_reserve)

    def report(
        self, invariant: str, actors: tuple[str, ...], text: str, pair: tuple[PairId, PairId] | None = None
    ) -> None:
        """Add a violation, with its context."""
        lineage = tuple(self._lineage(pair)) if pair else ()
        before = tuple(_line(r) for r in self._network.history.latest if r.actor in actors)[-_BEFORE:]
        now_ns = self._network.timeline.now_ns
        self.violations.append(Violation(invariant, now_ns, actors, text, lineage, before))

    def _on_crash(self, record: Record) -> None:
        (error,) = record.fields
        if error != INJECTED:
            self.report("crash", (record.actor,), f"{record.actor} ended by {error}")

    def _on_fault(self, record: Record) -> None:
        """Let the numbers of pairs begin again where a fault has them do so; what nodes make of that is checked."""
        self._names_return = self._names_return or record.fields[1] == "sequence-reset"

    def _on_reserve(self, time_ns: int, actor: str, fields: tuple[Any, ...]) -> None:
        message: Reserve = fields[3]
        if message.terms.cutoff_ns:
            self._cutoffs_ns[demand_of(message.circuit)] = message.terms.cutoff_ns

    def _on_herald(self, time_ns: int, node: str, fields: tuple[Any, ...]) -> None:
        station, _, sent_ns, message = fields
        way, sequence = (node, station), message.sequence
        last, latency_ns = self._heard.get(way) or (0, self._network.channel(station, node).latency_ns)
        if time_ns - sent_ns < latency_ns:
            self.report("light", way, f"news of {station} was at {node} before light")
        if sequence <= last and not self._names_return:
            text = f"pair {station} {sequence} was announced to {node} after {station} {last}"
            self.report("once", way, text)
        self._heard[way] = sequence, latency_ns
        if self._cutoffs_ns:
            _note(self._emitted_ns, (node, (station, sequence)), message.emitted_ns)

    def _on_swap(self, record: Record) -> None:
        circuit, west, east, outcome = record.fields
        if outcome >= 0:
            self._swaps.append((record.actor, west, east))
        if self._cutoffs_ns and (cutoff_ns := self._cutoffs_ns.get(demand_of(circuit))):
            self._check_cutoff(record, (west, east), cutoff_ns)

    def _check_cutoff(self, record: Record, pairs: tuple[PairId, PairId], cutoff_ns: int) -> None:
        actor = record.actor
        begun_ns = record.time_ns - self._bsm_ns(actor)
        for pair in pairs:
            emitted_ns = self._emitted_ns.get((actor, pair), begun_ns)
            if begun_ns - emitted_ns > cutoff_ns:
                age_ms = (begun_ns - emitted_ns) / 1e6
                text = f"{actor} swapped {_name(pair)}, {age_ms:.3f} ms old, beyond the cutoff"
                self.report("cutoff", (actor,), text)

    def _bsm_ns(self, node: str) -> int:
        """Return how long a node's Bell-state measurement takes."""
        found = self._measuring_ns.get(node)
        if found is None:
            actor = self._network.cell(node).actor
            assert isinstance(actor, QuantumNode)
            found = self._measuring_ns[node] = actor.physics.bsm_ns
        return found

    def _on_pair(self, record: Record) -> None:
        end, head, tail = record.fields[2:5]
        half = (record.actor, tail if end else head)
        if half in self._delivered_ns and not self._names_return:
            text = f"{_name(half[1])} was delivered at {record.actor} a second time"
            self.report("once", (record.actor,), text, (head, tail))
        _note(self._delivered_ns, half, record.time_ns)

    def _lineage(self, pair: tuple[PairId, PairId]) -> Iterator[str]:
        """Yield the swaps by which a pair came, as far as they are remembered."""
        joined: dict[PairId, list[tuple[str, PairId]]] = {}
        for node, west, east in self._swaps:
            joined.setdefault(west, []).append((node, east))
            joined.setdefault(east, []).append((node, west))
        at, passed = pair[0], {pair[0]}
        while at != pair[1]:
            steps = [(node, there) for node, there in joined.get(at, ()) if there not in passed]
            if not steps:
                return
            node, there = steps[0]
            yield f"{node} swapped {_name(at)} with {_name(there)}"
            passed.add(there)
            at = there


def _note(table: dict[Half, int], half: Half, time_ns: int) -> None:
    """Note something of a half, and forget the oldest when there are too many."""
    table[half] = time_ns
    if len(table) > _HALVES:
        for old in list(islice(table, _HALVES // 2)):
            del table[old]


def _name(pair: PairId) -> str:
    return f"{pair[0]} {pair[1]}"


def _line(record: Record) -> str:
    fields = ", ".join(str(value) for value in record.fields)
    return f"{record.time_ns / 1e9:.9f} {record.actor} {record.kind} {fields}"[:200]
