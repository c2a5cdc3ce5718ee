"""Which circuits had no pairs from a link for long: what nodes have recorded of it. No actor sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from emulator import History, Record


@dataclass(slots=True)
class Stalls:
    """Watches the records of nodes whose link made nothing though it should have, and made pairs again.

    A circuit is stalled at a station from the first of its nodes that says so to the first herald, or to its end.
    """

    _since_ns: dict[tuple[str, str], int] = field(default_factory=dict)  # by circuit and station
    _over: list[tuple[str, str, int, int]] = field(default_factory=list)

    def watch(self, history: History) -> None:
        """Begin to watch."""
        history.observe("stalled", self._stalled)
        history.observe("stall ends", self._flows)
        history.observe("broken", self._ended)
        history.observe("closing", self._ended)

    def as_json(self, now_ns: int) -> list[dict[str, Any]]:
        """Return an entry for each."""
        stalls = self._over + [(*key, since_ns, now_ns) for key, since_ns in self._since_ns.items()]
        return [
            {"circuit": circuit, "station": station, "since_s": since_ns / 1e9, "seconds": (until_ns - since_ns) / 1e9}
            for circuit, station, since_ns, until_ns in sorted(stalls, key=lambda stall: (stall[2], stall))
        ]

    def _stalled(self, record: Record) -> None:
        circuit, station = record.fields
        self._since_ns.setdefault((circuit, station), record.time_ns)

    def _flows(self, record: Record) -> None:
        circuit, station, _ = record.fields
        self._end(record.time_ns, (circuit, station))

    def _ended(self, record: Record) -> None:
        for key in [key for key in self._since_ns if key[0] == record.fields[0]]:
            self._end(record.time_ns, key)

    def _end(self, now_ns: int, key: tuple[str, str]) -> None:
        if (since_ns := self._since_ns.pop(key, None)) is not None:
            self._over.append((*key, since_ns, now_ns))


def summary(entries: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each station at which circuits were stalled."""
    for station in dict.fromkeys(entry["station"] for entry in entries):
        here = [entry for entry in entries if entry["station"] == station]
        circuits = len({entry["circuit"] for entry in here})
        longest_s = max(entry["seconds"] for entry in here)
        first_s = min(entry["since_s"] for entry in here)
        what = "circuits were" if circuits > 1 else "circuit was"
        yield f"{circuits} {what} stalled: no pairs from {station} for {longest_s:.3f} s, noticed at {first_s:.3f} s"
