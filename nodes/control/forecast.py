"""What a circuit along a path will deliver: rate, fidelity and age of its end-to-end pairs. Sans-io, no clock.

Theory of operation. Nodes say a few numbers about their memories and measurements, links about their attempts. From
these the life of a circuit is played through in small: clicks, swaps, discards and the delays of the messages between,
but neither states nor actors. One link has a closed form. With one lane, swaps as soon as possible, no cutoff and sure
measurements, the k-th pair of each link meets the k-th of the next, and the times follow from one another without a
queue of events (`in_step`). All else is simulated event by event (`rehearsal`). What a pair is worth then follows from
how long its halves were stored (`path`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from emulator import UNKNOWN, Contrasts, LinkFigures, RandomStream
from nodes.circuits import SwapOrder

from .in_step import in_step
from .path import Delivery, NodeFigures, Path
from .rehearsal import Chain

_BATCHES: Final = (10, 40)  # for the standard errors: at least, at most
_BATCH: Final = 20  # pairs in each of them, in between
_FEWEST: Final = 2 * _BATCHES[0]  # with fewer pairs there is nothing to make batches of
_WARM_UP: Final = 4  # one pair in so many further ones is discarded, from the beginning, when memories are empty


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a circuit will deliver, with standard errors; age_s: mean, of a pair's half at the head-end at delivery.

    If no pair came in the rehearsal, the rate is 0, its error the inverse of the time that was played through (three
    errors are the upper limit at 95 %), and nothing is known of the fidelity.
    """

    rate_hz: float
    rate_error_hz: float
    fidelity: float
    fidelity_error: float
    contrasts: Contrasts
    age_s: float


def no_pair(rate_error_hz: float) -> Forecast:
    """Return what is said of a circuit of which no pair was seen."""
    return Forecast(0.0, rate_error_hz, 0.25, 1.0, UNKNOWN, math.inf)


def fidelity(contrasts: Contrasts) -> float:
    """Return the fidelity of a pair with these contrasts.

    >>> fidelity((1.0, 1.0, 1.0)), fidelity((0.0, 0.0, 0.0))
    (1.0, 0.25)
    """
    return (1 + sum(contrasts)) / 4


def forecast(
    links: Sequence[LinkFigures],
    nodes: Sequence[NodeFigures],
    random: RandomStream,
    *,
    lanes: int = 1,
    cutoff_ns: int = 0,
    nested: bool = False,
    shares: tuple[float, float] = (1.0, 1.0),
    pairs: int = 200,
) -> Forecast:
    """Forecast what a circuit along a path will deliver when it never rests.

    nodes: one more than links, ends included; cutoff_ns: age at which an intermediate node discards (0: never);
    shares: which part of the time the first and the last link are attempted at all (of one link: the lesser); pairs:
    how many are played through, the more the smaller the errors. A link or swap that never succeeds makes a rate of 0.
    Raises ValueError for numbers that make no path.

    Left out: attempts of other circuits beside stored qubits, the patience of sessions, the time that messages need for
    processing and bits, and that the attempts of a shared station come in slots rather than evenly.

    Costs, for 200 pairs, some 0.4 ms of computing per link with one lane, swaps as soon as possible, no cutoff and sure
    swaps, 1.5 to 3 ms per link otherwise, and never more than five times that: when discards or failures leave too few
    pairs, the errors grow instead.
    """
    if not links or len(nodes) != len(links) + 1:
        raise ValueError(f"a path has one node more than links, and a link, not {len(nodes)} and {len(links)}")
    if lanes < 1 or pairs < _FEWEST:
        raise ValueError(f"there must be at least one lane and {_FEWEST} pairs, not {lanes} and {pairs}")
    path = Path.of(links, nodes, shares)
    if min(path.probabilities) <= 0 or any(node.swap_probability <= 0 for node in nodes[1:-1]):
        return no_pair(0.0)
    if len(links) == 1:
        return _one_link(path, lanes)
    wanted = pairs + pairs // _WARM_UP
    if lanes == 1 and path.is_sure and not cutoff_ns and not nested:
        deliveries = list(islice(in_step(path, random), wanted))
        return _summary(path, deliveries, deliveries[-1].time_ns)
    chain = Chain(path, random, SwapOrder(len(nodes), nested), cutoff_ns)
    deliveries = sorted(chain.run(lanes, wanted))
    return _summary(path, deliveries, chain.now_ns)


def _one_link(path: Path, lanes: int) -> Forecast:
    """Both ends wait for each other's Track, and offer their position again at the station at the same time."""
    link = path.links[0]
    age_ns = 2 * path.spans_ns[0]
    idle_ns = max(
        2 * light_ns if node.measures else age_ns for node, light_ns in zip(path.nodes, link.light_ns, strict=True)
    )
    busy_ns = link.period_ns / path.probabilities[0]
    seconds = (busy_ns + idle_ns) * 1e-9
    emitting = (lanes - 1) * busy_ns / (busy_ns + idle_ns) * path.attempts[0] / link.period_ns  # others, per ns
    waits_ns = [age_ns - 2 * light_ns for light_ns in link.light_ns]  # from the herald on
    disturbed = sum(
        wait_ns * emitting / node.storage.attempts_1_over_e for wait_ns, node in zip(waits_ns, path.nodes, strict=True)
    )
    contrasts = path.left((age_ns, age_ns), disturbed)
    return Forecast(lanes / seconds, 0.0, fidelity(contrasts), 0.0, contrasts, age_ns * 1e-9)


def _summary(path: Path, deliveries: Sequence[Delivery], elapsed_ns: int) -> Forecast:
    """Return means over what came after the warm-up, and errors from the scatter of batches."""
    if len(deliveries) < _FEWEST:
        return _few(path, deliveries, elapsed_ns)
    skipped = len(deliveries) // (_WARM_UP + 1)
    start_ns, counted = deliveries[skipped - 1].time_ns, deliveries[skipped:]
    batches = min(max(_BATCHES[0], len(counted) // _BATCH), _BATCHES[1])
    bounds = [len(counted) * k // batches for k in range(batches + 1)]
    stops_ns = [start_ns, *(counted[bound - 1].time_ns for bound in bounds[1:])]
    spacings = [(stops_ns[k + 1] - stops_ns[k]) / (bounds[k + 1] - bounds[k]) for k in range(batches)]
    spacing_ns = (stops_ns[-1] - start_ns) / len(counted)
    rate_hz = 1e9 / spacing_ns
    stored = [path.left(d.stored_ns, d.disturbed) for d in counted]
    goodness = [fidelity(_mean(stored[bounds[k] : bounds[k + 1]])) for k in range(batches)]
    contrasts = _mean(stored)
    age_s = sum(d.stored_ns[0] for d in counted) / len(counted) * 1e-9
    return Forecast(
        rate_hz, rate_hz * _error(spacings) / spacing_ns, fidelity(contrasts), _error(goodness), contrasts, age_s
    )


def _few(path: Path, deliveries: Sequence[Delivery], elapsed_ns: int) -> Forecast:
    """Return what can be said of pairs that are too rare for batches: they come independently of each other."""
    if not deliveries:
        return no_pair(1e9 / elapsed_ns)
    number = len(deliveries)
    rate_hz = number * 1e9 / elapsed_ns
    stored = [path.left(d.stored_ns, d.disturbed) for d in deliveries]
    contrasts = _mean(stored)
    error = _error([fidelity(c) for c in stored]) if number > 1 else 1.0
    age_s = sum(d.stored_ns[0] for d in deliveries) / number * 1e-9
    return Forecast(rate_hz, rate_hz / math.sqrt(number), fidelity(contrasts), error, contrasts, age_s)


def _mean(contrasts: Sequence[Contrasts]) -> Contrasts:
    x, y, z = (sum(c[k] for c in contrasts) / len(contrasts) for k in range(3))
    return x, y, z


def _error(values: Sequence[float]) -> float:
    """Return the standard error of a mean."""
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))
