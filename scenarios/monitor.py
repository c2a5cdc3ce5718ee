"""The omniscient observer: compares what the ends believe of a delivered pair with what is true. No actor sees it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from emulator import Engine, History, PairId, Record, S, Snapshot, parity
from emulator.time import LagHistogram


class Report(Protocol):
    """Whom to tell of a violation."""

    def __call__(
        self, invariant: str, actors: tuple[str, ...], text: str, pair: tuple[PairId, PairId] | None = None
    ) -> None:
        """Take it."""


@dataclass(slots=True)
class RouteStatistics:
    """What was delivered between two end nodes. Fidelities are those at the moments of delivery at each end."""

    delivered: int = 0
    samples: int = 0
    fidelity_sum: float = 0.0
    fidelity_squares: float = 0.0
    waited: LagHistogram = field(default_factory=LagHistogram)
    age_sum_ns: int = 0

    def add_fidelity(self, value: float) -> None:
        """Take the fidelity of one pair, or one sample whose mean is the fidelity."""
        self.samples += 1
        self.fidelity_sum += value
        self.fidelity_squares += value * value

    @property
    def fidelity_mean(self) -> float | None:
        """Return the mean fidelity, if there is any."""
        return self.fidelity_sum / self.samples if self.samples else None

    @property
    def fidelity_sem(self) -> float | None:
        """Return the standard error of the mean, if there are at least two samples."""
        if self.samples < 2:
            return None
        mean = self.fidelity_sum / self.samples
        variance = max(0.0, self.fidelity_squares / self.samples - mean * mean) * self.samples / (self.samples - 1)
        return math.sqrt(variance / self.samples)

    @property
    def age_mean_ns(self) -> float | None:
        """Return the mean time from a half's photon to its delivery."""
        return self.age_sum_ns / self.delivered if self.delivered else None


@dataclass(frozen=True, slots=True)
class _View:
    """What one end says of a pair, and, if it still has its qubit, what is true of it.

    turned: by which Bell index the head-end has turned the pair since.
    """

    route: tuple[str, str]
    time_ns: int
    bell: int
    basis: int  # 0: not measured
    outcome: int
    snapshot: Snapshot | None
    turned: int = 0


class Monitor:
    """Watches the records of delivered pairs.

    `routes` has the statistics by (head-end, tail-end). `report` is told what must never be: the two ends disagree on
    the Bell state of a pair, or an end's belief is not what the reported outcomes make it.

    When a circuit breaks, since somebody on its path has lost their memory, one end may have got a pair whose other
    half the other end has to give up.
    """

    def __init__(self, engine: Engine, history: History, routes: Iterable[tuple[str, str]], report: Report) -> None:
        self.routes = {route: RouteStatistics() for route in routes}
        self._report = report
        self._engine = engine
        self._pending: dict[tuple[PairId, PairId], _View] = {}
        self._broke_ns: dict[tuple[str, str], int] = {}  # when a circuit between two ends broke last
        self._biased: set[tuple[str, str]] = set()
        history.observe("pair", self.on_pair)
        history.observe("bases", self.on_bases)
        history.observe("turned", self.on_turned)
        history.observe("broken", self.on_broken)
        history.observe("crashes", self.on_crash)

    @property
    def unmatched(self) -> int:
        """Return how many pairs one end has delivered and the other not (yet), though their circuit is whole."""
        never = -2 * S
        return sum(self._broke_ns.get(view.route, never) < view.time_ns - S for view in self._pending.values())

    def on_turned(self, record: Record) -> None:
        """Take the head-end's record of a pair that it has turned into another Bell state."""
        head, tail, pauli = record.fields
        if (first := self._pending.get((head, tail))) is not None:
            self._pending[head, tail] = replace(first, turned=pauli)

    def on_broken(self, record: Record) -> None:
        """Take an end's record of a circuit that broke."""
        _, a, b, _ = record.fields
        self._broke_ns[a, b] = record.time_ns

    def on_crash(self, record: Record) -> None:
        """Take the record of an actor that loses its memory."""
        for route in self.routes:
            if record.actor in route:
                self._broke_ns[route] = record.time_ns

    def on_bases(self, record: Record) -> None:
        """Take the news that a client measures in biased bases: its outcomes are no fair samples of the fidelity."""
        a, b, _ = record.fields
        self._biased.add((a, b))

    def on_pair(self, record: Record) -> None:
        """Take one end's record of a delivered pair."""
        a, b, end, head, tail, bell, waited_ns, age_ns, position, generation = record.fields
        view = self._view(record, (a, b), bell, position, generation)
        statistics = self.routes.get((a, b))
        if statistics is None:
            statistics = self.routes[a, b] = RouteStatistics()
        if end == 0:
            statistics.waited.add(waited_ns)
            statistics.age_sum_ns += age_ns
        first = self._pending.pop((head, tail), None)
        if first is None:
            self._pending[head, tail] = view
            return
        statistics.delivered += 1
        self._check(first, view, (head, tail))
        fidelity = _fidelity(first, view)
        if fidelity is not None and (a, b) not in self._biased:
            statistics.add_fidelity(fidelity)

    def _view(self, record: Record, route: tuple[str, str], bell: int, position: int, generation: int) -> _View:
        if position < 0 or generation == 0:
            return _View(route, record.time_ns, bell, -position, generation, None)
        qubit = (record.actor, position, generation)
        snapshot = self._engine.snapshot(qubit, *self._engine.partners(qubit))
        return _View(route, record.time_ns, bell, 0, 0, snapshot)

    def _check(self, first: _View, second: _View, pair: tuple[PairId, PairId]) -> None:
        if first.bell != second.bell:
            self._report("bell", first.route, f"the ends believe in Bell states {first.bell} and {second.bell}", pair)
        for view, turned in ((first, 0), (second, first.turned)):
            told = view.snapshot.bells if view.snapshot is not None else None
            if told is not None and told[1] != view.bell ^ turned:
                text = f"an end believes in Bell state {view.bell}, outcomes say {told[1] ^ turned}"
                self._report("bell", first.route, text, pair)


def _fidelity(first: _View, second: _View) -> float | None:
    snapshot = first.snapshot or second.snapshot
    if snapshot is None:
        if not first.basis or first.basis != second.basis:
            return None
        agree = first.outcome ^ second.outcome == parity(first.bell, first.basis)
        return 1.0 if agree else -0.5
    if first.snapshot is not None and len(first.snapshot.memories) == 2:
        snapshot = first.snapshot.at(first.time_ns, second.time_ns)
        if second.snapshot is not None:  # its end has learnt since what attempts have done to its half
            snapshot = snapshot.disturbed(1, second.snapshot.dephased[0])
        return snapshot.fidelity(first.bell)
    holder, other = (first, second) if first.snapshot is not None else (second, first)
    if not other.basis:
        return None
    return snapshot.at(holder.time_ns).fidelity_sample(other.bell, other.basis, other.outcome)
