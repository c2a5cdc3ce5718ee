"""From what a user asks to the terms of a circuit that keeps it, or to the reason why there is none. Pure.

A promise of r pairs per second is meant for any ten seconds: so many pairs come of a rate that is three standard
deviations higher, and that is what has to be forecast. Fidelities are promised at the lower end of their statistical
error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from emulator import LinkFigures, RandomStream
from nodes.circuits import Terms

from .forecast import Forecast, forecast
from .messages import Contract
from .path import NodeFigures
from .refined import refined

_WINDOW_S = 10.0
_DEVIATIONS = 3.0
_MOST_LANES = 8
_CUTOFFS = (1.0, 0.3, 0.1, 0.03)  # in units of the shortest memory lifetime on the way
_LONGEST_CUTOFF_NS = 2**62
_HEADROOM = 3.0  # a shared link in a longer circuit is made that much faster, so that the others hardly wait for it
_LEAST_SHARE = 0.02
_MOST_KNOWN = 1_000
_DISTIL = "dejmps"
_MOST_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Way:
    """A path with its figures: its links and nodes, lanes that are free, and what is left of its hubs' stations."""

    path: tuple[str, ...]
    links: tuple[LinkFigures, ...]
    nodes: tuple[NodeFigures, ...]
    lanes: int
    narrowest: tuple[str, str]  # the node and its memory bank where there are so few lanes
    shares: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Offer:
    """Terms of a circuit, and what is expected of it at least."""

    path: tuple[str, ...]
    terms: Terms
    rate_hz: float
    fidelity: float


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why a way cannot keep a contract. `code`: UNSUPP, it never can; NORES, others have what it needs.

    full: the node and its memory bank that have no room.
    """

    code: str
    reason: str
    fidelity: float  # the best that it can give
    full: tuple[str, str] | None = None


def needed_rate_hz(rate_hz: float) -> float:
    """Return the mean rate at which a promise of a rate is kept in any ten seconds.

    >>> round(needed_rate_hz(10.0), 3)
    13.0
    """
    return rate_hz + _DEVIATIONS * math.sqrt(rate_hz / _WINDOW_S)


class Foresight:
    """Forecasts, each made once: demands that wait are looked at again and again."""

    def __init__(self, random: RandomStream) -> None:
        self._random = random
        self._known: dict[tuple[object, ...], Forecast] = {}

    def __call__(self, way: Way, terms: Terms, shares: tuple[float, float]) -> Forecast:
        """Return what a circuit will deliver with these terms and shares of its hubs' stations."""
        ends = zip(shares, (way.links[0], way.links[-1]), strict=True)
        # A link that is not shared is attempted all the time.
        first, last = (min(1.0, share / terms.lanes) if link.slot_ns else 1.0 for share, link in ends)
        key = (way.links, way.nodes, terms, first, last)
        if (found := self._known.get(key)) is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            bare = forecast(
                way.links,
                way.nodes,
                self._random,
                lanes=terms.lanes - (terms.rounds if terms.distil else 0),  # a pair waits in each round
                cutoff_ns=terms.cutoff_ns,
                nested=terms.nested,
                shares=(first, last),
            )
            found = self._known[key] = refined(bare, terms, way.links, (way.nodes[0], way.nodes[-1]))
        return found


def plan(contract: Contract, way: Way, min_fidelity: float, foresee: Foresight) -> Offer | Shortfall:
    """Return the terms by which a way keeps a contract, with the fewest lanes, or why it cannot."""
    if way.lanes < contract.terms.lanes:
        return Shortfall("NORES", f"no free memory at {way.narrowest[0]}", 0.0, way.narrowest)
    if not contract.promises:
        return Offer(way.path, contract.terms, 0.0, 0.0)
    needed_hz = needed_rate_hz(contract.rate_hz)
    best: Forecast | None = None
    for terms in _candidates(contract, way, min_fidelity):
        alone = foresee(way, terms, (terms.lanes, terms.lanes))
        if best is None or _least_fidelity(alone) > _least_fidelity(best):
            best = alone
        if alone.rate_hz <= 0:
            continue
        if _least_fidelity(alone) < contract.fidelity or _least_rate_hz(alone) < needed_hz:
            continue
        return _with_shares(contract, way, terms, alone, foresee)
    assert best is not None  # there is at least one candidate
    return _shortfall(contract, way, best)


def _candidates(contract: Contract, way: Way, min_fidelity: float) -> Iterator[Terms]:
    """Yield terms to try: few lanes before many, and cutoffs and distillation only if the fidelity needs them."""
    wish = contract.terms
    attempt_s = min(link.period_ns for link in way.links) * 1e-9
    shortest_s = min(node.storage.lifetime_s(attempt_s) for node in way.nodes)
    cutoffs_ns = [wish.cutoff_ns]
    if contract.fidelity and len(way.links) > 1 and shortest_s * 1e9 < _LONGEST_CUTOFF_NS:
        cutoffs_ns += [max(1, round(share * shortest_s * 1e9)) for share in _CUTOFFS]
    lanes = wish.lanes
    while lanes <= min(way.lanes, max(_MOST_LANES, wish.lanes)):
        for cutoff_ns in cutoffs_ns:
            if not wish.cutoff_ns or cutoff_ns <= wish.cutoff_ns:
                yield replace(wish, lanes=lanes, cutoff_ns=cutoff_ns, min_fidelity=min_fidelity)
        if contract.may_distil and not wish.distil and not any(node.measures for node in (way.nodes[0], way.nodes[-1])):
            for rounds in range(1, min(lanes, _MOST_ROUNDS + 1)):
                yield replace(wish, lanes=lanes, min_fidelity=min_fidelity, distil=_DISTIL, rounds=rounds)
        if not contract.rate_hz and not contract.may_distil:
            break
        lanes *= 2


def _with_shares(contract: Contract, way: Way, terms: Terms, alone: Forecast, foresee: Foresight) -> Offer | Shortfall:
    """Add the shares of heralding stations that the contract needs."""
    if not any(link.slot_ns for link in way.links):
        return Offer(way.path, terms, contract.rate_hz, contract.fidelity)
    needed_hz = needed_rate_hz(contract.rate_hz)
    bare = foresee(way, replace(terms, distil=""), (terms.lanes, terms.lanes))
    factor = bare.rate_hz / alone.rate_hz  # pairs that distillation takes for one
    if len(way.links) > 1:
        factor *= _HEADROOM / _yield(way)
    while True:
        shares = _shares(way, needed_hz * factor, terms.lanes)
        for share, left in zip(shares, way.shares, strict=True):
            if share > left:
                reason = f"the heralding stations have {max(0.0, left):.2f} of their time left, {share:.2f} is needed"
                return Shortfall("NORES", reason, _least_fidelity(alone))
        result = alone if len(way.links) == 1 and not terms.distil else foresee(way, terms, shares)
        if _least_fidelity(result) >= contract.fidelity and _least_rate_hz(result) >= needed_hz:
            return Offer(way.path, replace(terms, shares=shares), contract.rate_hz, contract.fidelity)
        if all(share in (0.0, terms.lanes) for share in shares):
            return _shortfall(contract, way, result)
        factor *= 2


def _shares(way: Way, rate_hz: float, lanes: int) -> tuple[float, float]:
    first, last = (_share(link, rate_hz, lanes) for link in (way.links[0], way.links[-1]))
    if len(way.path) == 3:  # both ends are at one hub, which gives one share
        first = last = max(first, last)
    return first, last


def _share(link: LinkFigures, rate_hz: float, lanes: int) -> float:
    """Return which part of a station's time makes pairs at a rate, switching included; 0 if it is not shared."""
    if not link.slot_ns:
        return 0.0
    seconds = link.seconds_per_pair
    switching_s = link.dead_ns * 1e-9 * (1 + seconds / (link.slot_ns * 1e-9))
    return min(float(lanes), max(_LEAST_SHARE, rate_hz * (seconds + switching_s)))


def _yield(way: Way) -> float:
    return math.prod(node.swap_probability for node in way.nodes[1:-1]) or 1.0


def _least_fidelity(result: Forecast) -> float:
    return result.fidelity - _DEVIATIONS * result.fidelity_error


def _least_rate_hz(result: Forecast) -> float:
    return result.rate_hz - _DEVIATIONS * result.rate_error_hz


def _shortfall(contract: Contract, way: Way, best: Forecast) -> Shortfall:
    if best.rate_hz <= 0:
        return Shortfall("UNSUPP", _never(best), 0.0)
    fidelity = _least_fidelity(best)
    if fidelity < contract.fidelity:
        reason = f"the best fidelity that the way can give is {fidelity:.3f}, {contract.fidelity:g} was asked"
        return Shortfall("UNSUPP", reason, fidelity)
    reason = f"{contract.rate_hz:g} pairs per second are more than {way.lanes} memory positions per link can promise"
    return Shortfall("UNSUPP" if way.lanes >= _MOST_LANES else "NORES", reason, fidelity)


def _never(best: Forecast) -> str:
    if not best.rate_error_hz:
        return "the way delivers no pair, ever"
    most_hz = _DEVIATIONS * best.rate_error_hz
    return f"no pair came in a rehearsal: the way delivers fewer than {most_hz:.2g} pairs per second"
