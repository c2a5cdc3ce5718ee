"""What must be true in every run, whatever faults there are, checked online from the history. No actor sees it.

| name | what must be true |
| --- | --- |
| `crash` | no actor ends by an error, but by a fault that is meant to |
| `light` | no message is there sooner than light |
| `once` | a half is swapped, delivered or distilled away once, and pair names do not come back |
| `cutoff` | no intermediate node swaps a half that was older than its circuit's cutoff |
| `bell` | both ends of a pair, and the outcomes of all swaps, agree on its Bell state |
| `both ends` | a pair is delivered at both ends or at neither, unless its circuit broke |
| `programs` | no program ends by an error |
| `record` | a record that was asked for is written to its end |

Each violation says when, who, by which swaps the pair came, and what these actors did just before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from emulator import Herald, Network, PairId, Record
from nodes import QuantumNode
from nodes.circuits import Reserve, demand_of

INJECTED: Final = "InjectedCrash"  # the error by which a fault ends a life
_BEFORE: Final = 12  # records shown of what happened just before
_REMEMBERED: Final = 1000  # records among which these are looked for
_HALVES: Final = 200_000  # that are remembered; what was longer ago is not checked any more

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


@dataclass(slots=True)
class _Seen:
    """What became of halves: when their photon left, and how they ended; the oldest are forgotten."""

    emitted_ns: dict[Half, int] = field(default_factory=dict)
    ended: dict[Half, str] = field(default_factory=dict)
    joined: dict[Half, PairId] = field(default_factory=dict)  # by a swap, to the half of which pair

    def trim(self) -> None:
        """Forget what is oldest, where there is too much."""
        tables: tuple[dict[Half, Any], ...] = (self.emitted_ns, self.ended, self.joined)
        for table in tables:
            while len(table) > _HALVES:
                del table[next(iter(table))]


class Invariants:
    """Watches a network's history. `violations` has what was found, the first of each kind and place in full."""

    def __init__(self, network: Network) -> None:
        self.violations: list[Violation] = []
        self._network = network
        self._seen = _Seen()
        self._latency_ns: dict[tuple[str, str], int] = {}
        self._cutoffs_ns: dict[str, int] = {}  # by demand
        network.history.remember(_REMEMBERED)
        for kind, check in (
            ("swap", self._on_swap),
            ("pair", self._on_pair),
            ("crashes", self._on_crash),
        ):
            network.history.observe(kind, check)
        network.history.observe_messages(self._on_message)

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

    def _on_message(self, time_ns: int, actor: str, fields: tuple[Any, ...]) -> None:
        sender, _, sent_ns, message = fields
        way = (sender, actor)
        latency_ns = self._latency_ns.get(way)
        if latency_ns is None:
            latency_ns = self._latency_ns[way] = self._network.channel(sender, actor).latency_ns
        if time_ns - sent_ns < latency_ns:
            self.report("light", (actor, sender), f"a message of {sender} was at {actor} before light")
        if type(message) is Herald:
            self._on_herald(actor, sender, message)
        elif type(message) is Reserve and message.terms.cutoff_ns:
            self._cutoffs_ns[demand_of(message.circuit)] = message.terms.cutoff_ns

    def _on_herald(self, node: str, station: str, message: Herald) -> None:
        half = (node, (station, message.sequence))
        if half in self._seen.emitted_ns:
            self.report("once", (node, station), f"the name of pair {_name(half[1])} has come back")
        self._seen.emitted_ns[half] = message.emitted_ns
        if len(self._seen.emitted_ns) > _HALVES:
            self._seen.trim()

    def _on_swap(self, record: Record) -> None:
        circuit, west, east, outcome = record.fields
        self._end(record.actor, west, "swapped")
        self._end(record.actor, east, "swapped")
        if outcome >= 0:
            self._seen.joined[record.actor, west], self._seen.joined[record.actor, east] = east, west
        cutoff_ns = self._cutoffs_ns.get(demand_of(circuit), 0)
        if cutoff_ns:
            self._check_cutoff(record, (west, east), cutoff_ns)

    def _check_cutoff(self, record: Record, pairs: tuple[PairId, PairId], cutoff_ns: int) -> None:
        node = self._network.actors[record.actor]
        assert isinstance(node, QuantumNode)
        begun_ns = record.time_ns - node.physics.bsm_ns
        for pair in pairs:
            emitted_ns = self._seen.emitted_ns.get((record.actor, pair), begun_ns)
            if begun_ns - emitted_ns > cutoff_ns:
                age_ms = (begun_ns - emitted_ns) / 1e6
                text = f"{record.actor} swapped {_name(pair)}, {age_ms:.3f} ms old, beyond the cutoff"
                self.report("cutoff", (record.actor,), text)

    def _on_pair(self, record: Record) -> None:
        end, head, tail = record.fields[2:5]
        self._end(record.actor, tail if end else head, "delivered")

    def _end(self, node: str, pair: PairId, how: str) -> None:
        half = (node, pair)
        if (before := self._seen.ended.get(half)) is not None:
            self.report("once", (node,), f"{_name(pair)} was {how} at {node}, where it had been {before}")
        self._seen.ended[half] = how

    def _lineage(self, pair: tuple[PairId, PairId]) -> Iterator[str]:
        """Yield the swaps by which a pair came, as far as they are remembered."""
        joined: dict[PairId, list[tuple[str, PairId]]] = {}
        for (node, here), there in self._seen.joined.items():
            joined.setdefault(here, []).append((node, there))
        at, passed = pair[0], {pair[0]}
        while at != pair[1]:
            steps = [(node, there) for node, there in joined.get(at, ()) if there not in passed]
            if not steps:
                return
            node, there = steps[0]
            yield f"{node} swapped {_name(at)} with {_name(there)}"
            passed.add(there)
            at = there


def _name(pair: PairId) -> str:
    return f"{pair[0]} {pair[1]}"


def _line(record: Record) -> str:
    fields = ", ".join(str(value) for value in record.fields)
    return f"{record.time_ns / 1e9:.9f} {record.actor} {record.kind} {fields}"[:200]
