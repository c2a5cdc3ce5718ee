"""What a circuit along a path will deliver: rate, fidelity and age of its end-to-end pairs. Sans-io, no clock.

Theory of operation. Nodes say a few numbers about their memories and measurements, links about their attempts. From
these the life of a circuit is played through in small: clicks, swaps, discards and the delays of the messages between,
but neither states nor actors. One link has a closed form. With one lane, swaps as soon as possible, no
cutoff and sure measurements, the k-th pair of each link meets the k-th of the next, and the times follow from one
another without a queue of events. All else is simulated event by event.

What a pair is worth follows from how long its halves were stored: the contrasts of links multiply along a chain, and
each node says by which law its memory changes what it stores. Where storage only shrinks contrasts, that is one
exponent for the coherences and one for the populations. Where memories relax towards a pole, the two halves of a
link's pair are looked at together (`emulator.storage` says why that is enough).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate, count, islice, pairwise
from operator import mul
from typing import Final, NamedTuple, TypeAlias

import msgspec

from emulator import UNKNOWN, Bias, Contrasts, LinkFigures, RandomStream, StorageLaw, after_storage, multiplied
from nodes.circuits import SwapOrder
from nodes.distillation import NOISELESS, Gates

_BATCHES: Final = (10, 40)  # for the standard errors: at least, at most
_BATCH: Final = 20  # pairs in each of them, in between
_FEWEST: Final = 2 * _BATCHES[0]  # with fewer pairs there is nothing to make batches of
_WARM_UP: Final = 4  # one pair in so many further ones is discarded, from the beginning, when memories are empty
_FULL: Final = (1.0, 1.0, 1.0)
_EVENTS: Final = 16  # per wanted pair and link; a chain that needs more is cut short


class NodeFigures(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a node says of itself: its memory, and its measurements.

    storage: of a memory position (nothing happens to what photonic clients keep); swap_probability: of two memories
    that give back what they hold; measures: whether it is such a client, which measures at once and so has its position
    free again with the herald; gates, distil_ns: noise and duration of one step of distillation at this end.
    """

    storage: StorageLaw
    swap_ns: int
    swap_probability: float
    swap_contrasts: tuple[float, float, float]
    measures: bool = False
    gates: Gates = NOISELESS
    distil_ns: int = 0


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
    path = _Path.of(links, nodes, shares)
    if min(path.probabilities) <= 0 or any(node.swap_probability <= 0 for node in nodes[1:-1]):
        return no_pair(0.0)
    if len(links) == 1:
        return _one_link(path, lanes)
    wanted = pairs + pairs // _WARM_UP
    if lanes == 1 and path.is_sure and not cutoff_ns and not nested:
        deliveries = list(islice(_in_step(path, random), wanted))
        return _summary(path, deliveries, deliveries[-1].time_ns)
    chain = _Chain(path, random, SwapOrder(len(nodes), nested), cutoff_ns)
    deliveries = sorted(chain.run(lanes, wanted))
    return _summary(path, deliveries, chain.now_ns)


# -- what is worked out once for a path --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Path:
    """probabilities: of an attempt, shares included; spans_ns: a message's way from node to node along each link.

    Halves are numbered from west to east, two of each link; they are at `holders`.
    """

    links: Sequence[LinkFigures]
    nodes: Sequence[NodeFigures]
    probabilities: tuple[float, ...]
    slopes: tuple[float, ...]  # from the logarithm of a uniform number to a number of failures
    spans_ns: tuple[int, ...]
    attempts: tuple[float, ...]  # really made, for each that is counted with a share of the time
    contrasts: Contrasts  # but for storage; without Z of the links whose memories drift
    holders: tuple[StorageLaw, ...]
    rates: tuple[tuple[float, ...], tuple[float, ...]]  # exponential decay of each half per ns, X and Y, then Z
    stretched: tuple[tuple[int, float, float], ...]  # halves with further dephasing: its time in ns, and exponent
    drifting: tuple[tuple[int, Contrasts, Bias], ...]  # links whose memories relax towards a pole

    @classmethod
    def of(cls, links: Sequence[LinkFigures], nodes: Sequence[NodeFigures], shares: tuple[float, float]) -> _Path:
        last = len(links) - 1
        parts = [1.0] * len(links)
        parts[0] = min(shares) if last == 0 else shares[0]
        if last:
            parts[last] = shares[1]
        probabilities = tuple(link.success_probability * part for link, part in zip(links, parts, strict=True))
        slopes = tuple(1 / math.log1p(-p) if 0 < p < 1 else 0.0 for p in probabilities)
        holders = tuple(node.storage for pair in pairwise(nodes) for node in pair)
        contrasts: Contrasts = (1.0, 1.0, 1.0)
        for node in nodes[1:-1]:
            contrasts = multiplied(contrasts, node.swap_contrasts)
        drifting: list[tuple[int, Contrasts, Bias]] = []
        longitudinal = [law.longitudinal_per_s * 1e-9 for law in holders]
        for k, link in enumerate(links):
            fresh, bias = _swappable(link, inner=(k > 0, k < last))
            if holders[2 * k].equilibrium or holders[2 * k + 1].equilibrium:
                drifting.append((k, (1.0, 1.0, fresh[2]), bias))
                fresh = (fresh[0], fresh[1], 1.0)
                longitudinal[2 * k] = longitudinal[2 * k + 1] = 0.0
            contrasts = multiplied(contrasts, fresh)
        return cls(
            links,
            nodes,
            probabilities,
            slopes,
            tuple(sum(link.light_ns) for link in links),
            tuple(parts),
            contrasts,
            holders,
            (tuple(law.transverse_per_s * 1e-9 for law in holders), tuple(longitudinal)),
            tuple(
                (k, law.dephasing_s * 1e9, law.dephasing_exponent)
                for k, law in enumerate(holders)
                if law.dephasing_s != math.inf
            ),
            tuple(drifting),
        )

    @property
    def is_sure(self) -> bool:
        """Return whether every swap works."""
        return all(node.swap_probability >= 1 and not _may_miss(node.storage) for node in self.nodes[1:-1]) and all(
            link.loaded == _FULL for link in self.links
        )

    @property
    def is_disturbed(self) -> bool:
        """Return whether attempts disturb what is stored beside them."""
        return any(node.storage.attempts_1_over_e != math.inf for node in self.nodes)

    def left(self, stored_ns: Sequence[int], disturbed: float) -> Contrasts:
        """Return a pair's contrasts after the storage of all its halves; disturbed: a further exponent."""
        transverse, longitudinal = self.rates
        exponent = disturbed + sum(map(mul, transverse, stored_ns))
        for half, tau_ns, power in self.stretched:
            exponent += (stored_ns[half] / tau_ns) ** power
        c, z = math.exp(-exponent), math.exp(-sum(map(mul, longitudinal, stored_ns)))
        for k, fresh, bias in self.drifting:
            west, east = (self.holders[half].stored(stored_ns[half]) for half in (2 * k, 2 * k + 1))
            z *= after_storage(fresh, bias, west, east)[2]
        return multiplied(self.contrasts, (c, c, z))


def _may_miss(law: StorageLaw) -> bool:
    return law.retrieval_efficiency < 1 or law.retrieval_decay_s != math.inf


def _swappable(link: LinkFigures, inner: tuple[bool, bool]) -> tuple[Contrasts, Bias]:
    """Return contrasts and bias of the pairs of a link whose halves are full where they are swapped."""
    first, second, both = link.loaded
    share = both if all(inner) else first if inner[0] else second if inner[1] else 1.0
    if share <= 0:
        return UNKNOWN, (link.bias[0], 0.0, 0.0)
    x, y, z = (contrast / share for contrast in link.contrasts)
    sign, first_z, second_z = link.bias
    return (x, y, z), (sign, first_z / share, second_z / share)


class _Delivery(NamedTuple):
    """One end-to-end pair: when it came to the head-end, how long each half was stored, what attempts did beside them.

    disturbed: the exponent of the loss of coherence by attempts.
    """

    time_ns: int
    stored_ns: Sequence[int]
    disturbed: float = 0.0


def _one_link(path: _Path, lanes: int) -> Forecast:
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


# -- pair by pair ------------------------------------------------------------------------------------------------------


def _in_step(path: _Path, random: RandomStream) -> Iterator[_Delivery]:
    """Yield pairs of a chain with one lane, in which the k-th pairs of all links become the k-th end-to-end pair."""
    links = [(link.period_ns, slope, *link.light_ns) for link, slope in zip(path.links, path.slopes, strict=True)]
    swaps_ns = [node.swap_ns for node in path.nodes]
    spans = path.spans_ns
    last = len(links) - 1
    head_light, tail_light = links[0][2], links[last][3]
    head_measures, tail_measures = path.nodes[0].measures, path.nodes[-1].measures
    disturbed = path.is_disturbed
    offers = [(west, east) for _, _, west, east in links]  # when the two positions of a link are ready at its station
    uniform, log = random.uniform, math.log
    while True:
        emitted = done = tail = head_click = 0  # in the link before; at the node; the Track that goes east
        dones: list[int] = []
        clicks: list[tuple[int, int]] = []  # with the number of attempts
        stored: list[int] = [0]
        ready = offers[0][0]
        fresh: list[tuple[int, int]] = []
        for k, (period, slope, west, east) in enumerate(links):
            attempts = 1 + int(log(1 - uniform()) * slope)
            click = max(offers[k]) + period * attempts
            if k:
                done = max(click + west, done) + swaps_ns[k]
                stored += (done - emitted, done - click + west)
                dones.append(done)
                fresh.append((ready, done + links[k - 1][3]))
                ready = done + west
                tail = max(tail, done) + spans[k]
            else:
                head_click = click
                tail = click + west + spans[0]
            clicks.append((click, attempts))
            emitted = click - east
            done = click + east  # the herald
        head = done + spans[last]
        for k in range(last, 0, -1):
            head = max(head, dones[k - 1]) + spans[k - 1]
        fresh.append((ready, (done if tail_measures else tail) + tail_light))
        fresh[0] = ((head_click + head_light if head_measures else head) + head_light, fresh[0][1])
        offers = fresh
        stored[0] = head - head_click + head_light
        stored.append(tail - emitted)
        yield _Delivery(head, stored, _disturbed_in_step(path, clicks) if disturbed else 0.0)


def _disturbed_in_step(path: _Path, clicks: Sequence[tuple[int, int]]) -> float:
    """Return what the attempts of the later link of each two have done to the half that waits between them."""
    exponent = 0.0
    for k, node in enumerate(path.nodes[1:-1]):
        heralds_ns = clicks[k][0] + path.links[k].light_ns[1], clicks[k + 1][0] + path.links[k + 1].light_ns[0]
        late = 1 if heralds_ns[1] > heralds_ns[0] else 0
        link = path.links[k + late]
        since_ns = clicks[k + late][0] - link.light_ns[1 - late] - heralds_ns[1 - late]  # until its last photon leaves
        made = min(clicks[k + late][1], max(0, since_ns // link.period_ns + 1))
        exponent += made * path.attempts[k + late] / node.storage.attempts_1_over_e
    return exponent


# -- event by event ----------------------------------------------------------------------------------------------------


class _Pair:
    """A pair of one link. Lists have an entry for its half in the west and one for its half in the east.

    loaded: which halves exist; waiting: at an intermediate node; doomed: a word has come that it is worth nothing;
    reach: how far the pair reaches, as is known at that half (node and pair; None: to the other end of its own link);
    onward, done_ns: the pair that it was swapped with there, and when.
    """

    __slots__ = ("click_ns", "done_ns", "doomed", "link", "loaded", "onward", "reach", "waiting")

    def __init__(self, link: int, click_ns: int, loaded: tuple[bool, bool]) -> None:
        self.link = link
        self.click_ns = click_ns
        self.loaded = loaded
        self.waiting = [False, False]
        self.doomed = [False, False]
        self.reach: list[_Reach | None] = [None, None]
        self.onward: list[_Pair | None] = [None, None]
        self.done_ns = [0, 0]


_Reach: TypeAlias = tuple[int, _Pair]
# What happens at a time (ns) to the half of a pair in the west (0) or in the east (1).
_Event: TypeAlias = Callable[[int, _Pair, int], None]


class _Chain:
    """A circuit in small.

    Heralds at intermediate nodes, cutoffs and words on their way are events; the rest follows from them at once, with
    times that may lie in the future.
    """

    def __init__(self, path: _Path, random: RandomStream, order: SwapOrder, cutoff_ns: int) -> None:
        self._path = path
        self._uniform = random.uniform
        self._order = order
        self._cutoff_ns = cutoff_ns
        self._last = len(path.links)
        self._offers: list[tuple[deque[int], deque[int]]] = [(deque(), deque()) for _ in path.links]
        self._ready: list[tuple[deque[_Pair], deque[_Pair]]] = [(deque(), deque()) for _ in path.nodes]
        self._events: list[tuple[int, int, _Event, _Pair, int]] = []
        self._sequence = count()
        self._deliveries: list[_Delivery] = []
        self._delivered: list[list[tuple[int, int]]] = []  # from when to when each half was beside attempts
        self._attempts = [_Attempts(link, part) for link, part in zip(path.links, path.attempts, strict=True)]
        self._disturbed = path.is_disturbed
        self.now_ns = 0

    def run(self, lanes: int, pairs: int) -> list[_Delivery]:
        """Play until so many pairs were delivered, or too much has happened for them."""
        for link in range(self._last):
            for _ in range(lanes):
                self._free(link, 0, 0)
                self._free(link, 1, 0)
        for _ in range(_EVENTS * pairs * self._last):
            if len(self._deliveries) >= pairs or not self._events:
                break
            self.now_ns, _, event, pair, end = heappop(self._events)
            event(self.now_ns, pair, end)
        if not self._disturbed:
            return self._deliveries
        for attempts in self._attempts:
            attempts.settle()
        stays = zip(self._deliveries, self._delivered, strict=True)
        return [d._replace(disturbed=self._disturbance(beside)) for d, beside in stays]

    def _disturbance(self, beside: Sequence[tuple[int, int]]) -> float:
        """Return what attempts on both sides of each half have done to it in its time there."""
        exponent = 0.0
        for half, (from_ns, to_ns) in enumerate(beside):
            node = (half + 1) // 2
            if (lasts := self._path.holders[half].attempts_1_over_e) != math.inf:
                for link, end in ((node - 1, 1), (node, 0)):
                    if 0 <= link < self._last:
                        exponent += self._attempts[link].between(from_ns, to_ns, end) / lasts
        return exponent

    def _push(self, time_ns: int, event: _Event, pair: _Pair, end: int) -> None:
        heappush(self._events, (time_ns, next(self._sequence), event, pair, end))

    def _free(self, link: int, end: int, time_ns: int) -> None:
        """Offer a position again; attempts begin when the other end has offered one, too."""
        time_ns += self._path.links[link].light_ns[end]
        others = self._offers[link][1 - end]
        if others:
            self._attempt(link, max(time_ns, others.popleft()))
        else:
            self._offers[link][end].append(time_ns)

    def _attempt(self, link: int, time_ns: int) -> None:
        figures = self._path.links[link]
        failures = int(math.log(1 - self._uniform()) * self._path.slopes[link])
        pair = _Pair(link, time_ns + figures.period_ns * (1 + failures), self._loaded(figures))
        if self._disturbed:
            self._attempts[link].add(time_ns, pair.click_ns)
        for end, light_ns in enumerate(figures.light_ns):
            node = link + end
            if 0 < node < self._last:
                self._push(pair.click_ns + light_ns, self._herald, pair, end)
            elif self._path.nodes[node].measures:
                self._push(pair.click_ns + light_ns, self._measure, pair, end)

    def _loaded(self, link: LinkFigures) -> tuple[bool, bool]:
        """Draw which memories hold an excitation after a herald."""
        first, second, both = link.loaded
        if both >= 1:
            return True, True
        u = self._uniform()
        return u < first, u < both or first <= u < first + second - both

    def _measure(self, time_ns: int, pair: _Pair, end: int) -> None:
        self._free(pair.link, end, time_ns)

    def _herald(self, time_ns: int, pair: _Pair, end: int) -> None:
        pair.waiting[end] = True
        if pair.doomed[end]:
            self._discard(time_ns, pair, end)
            return
        self._consider(time_ns, pair, end)
        if self._cutoff_ns and pair.waiting[end]:
            emitted_ns = pair.click_ns - self._path.links[pair.link].light_ns[end]
            self._push(max(time_ns, emitted_ns + self._cutoff_ns), self._cut_off, pair, end)

    def _consider(self, time_ns: int, pair: _Pair, end: int) -> None:
        """Swap a half that waits if it may be swapped and there is another."""
        node = pair.link + end
        reach = pair.reach[end]
        if not self._order.may_swap(node, pair.link + 1 - end if reach is None else reach[0]):
            return
        same, others = self._ready[node][1 - end], self._ready[node][end]
        if not others:
            same.append(pair)
        elif end:
            self._swap(time_ns, node, pair, others.popleft())
        else:
            self._swap(time_ns, node, others.popleft(), pair)

    def _swap(self, time_ns: int, node: int, west: _Pair, east: _Pair) -> None:
        figures = self._path.nodes[node]
        done_ns = time_ns + figures.swap_ns
        west.waiting[1] = east.waiting[0] = False
        self._free(node - 1, 1, done_ns)
        self._free(node, 0, done_ns)
        if not self._works(figures, done_ns, west, east):
            self._tell_expired(done_ns, west, 1)
            self._tell_expired(done_ns, east, 0)
            return
        west.done_ns[1] = east.done_ns[0] = done_ns
        west.onward[1], east.onward[0] = east, west
        if self._order.nested:
            self._tell_extended(done_ns, west, 1, east)
            self._tell_extended(done_ns, east, 0, west)
        head = self._outermost(west, 0)
        if head.link == 0 and self._outermost(east, 1).link == self._last - 1:
            self._deliver(head)

    def _works(self, figures: NodeFigures, done_ns: int, west: _Pair, east: _Pair) -> bool:
        if not (west.loaded[1] and east.loaded[0]):
            return False
        probability = figures.swap_probability
        if _may_miss(figures.storage):
            for pair, end in ((west, 1), (east, 0)):
                emitted_ns = pair.click_ns - self._path.links[pair.link].light_ns[end]
                probability *= figures.storage.retrieval(done_ns - emitted_ns)
        return probability >= 1 or self._uniform() < probability

    @staticmethod
    def _outermost(pair: _Pair, end: int) -> _Pair:
        while (onward := pair.onward[end]) is not None:
            pair = onward
        return pair

    def _tell_extended(self, time_ns: int, near: _Pair, end: int, other: _Pair) -> None:
        """Tell the half at the far end of a pair how far it reaches now."""
        node, far = near.reach[end] or (near.link + 1 - end, near)
        if not self._order.is_intermediate(node):
            return
        reach = other.reach[1 - end] or (other.link + end, other)
        low, high = sorted((node, near.link + end))
        arrival_ns = time_ns + sum(self._path.spans_ns[low:high])

        def extend(time_ns: int, pair: _Pair, end: int) -> None:
            pair.reach[end] = reach
            if pair.waiting[end]:
                self._consider(time_ns, pair, end)

        self._push(arrival_ns, extend, far, 1 - end)

    def _cut_off(self, time_ns: int, pair: _Pair, end: int) -> None:
        if pair.waiting[end]:
            self._discard(time_ns, pair, end)
            self._tell_expired(time_ns, pair, end)

    def _discard(self, time_ns: int, pair: _Pair, end: int) -> None:
        pair.waiting[end] = False
        ready = self._ready[pair.link + end][1 - end]
        if pair in ready:
            ready.remove(pair)
        self._free(pair.link, end, time_ns)

    def _tell_expired(self, time_ns: int, pair: _Pair, end: int) -> None:
        """Send word to the other half of a pair."""
        self._push(time_ns + self._path.spans_ns[pair.link], self._expire, pair, 1 - end)

    def _expire(self, time_ns: int, pair: _Pair, end: int) -> None:
        """Take the word that a half is worth nothing: free it, or pass the word on to what it was swapped with."""
        node = pair.link + end
        onward = pair.onward[end]
        if node in {0, self._last}:
            if not self._path.nodes[node].measures:
                self._free(pair.link, end, max(time_ns, pair.click_ns + self._path.links[pair.link].light_ns[end]))
        elif onward is not None:
            self._tell_expired(max(time_ns, pair.done_ns[end]), onward, 1 - end)
        elif pair.waiting[end]:
            self._discard(time_ns, pair, end)
        else:
            pair.doomed[end] = True  # of no consequence if it has ended already

    def _deliver(self, head: _Pair) -> None:
        """Follow the words of both ends along a chain from its first pair on; free the ends when they arrive."""
        path = self._path
        pairs = [head]
        while (onward := pairs[-1].onward[1]) is not None:
            pairs.append(onward)
        times_ns = []
        for end, chain in ((1, pairs), (0, pairs[::-1])):
            first = chain[0]
            time_ns = first.click_ns + path.links[first.link].light_ns[1 - end]
            for pair in chain:
                time_ns = max(time_ns + path.spans_ns[pair.link], pair.done_ns[end])
            times_ns.append(time_ns)
        tail_ns, head_ns = times_ns
        stored: list[int] = []
        beside: list[tuple[int, int]] = []
        for pair in pairs:
            ends = (
                head_ns if pair.link == 0 else pair.done_ns[0],
                tail_ns if pair.link == self._last - 1 else pair.done_ns[1],
            )
            for end_ns, light_ns in zip(ends, path.links[pair.link].light_ns, strict=True):
                stored.append(end_ns - pair.click_ns + light_ns)
                beside.append((pair.click_ns + light_ns, end_ns))
        self._deliveries.append(_Delivery(head_ns, stored))
        if self._disturbed:
            self._delivered.append(beside)
        if not path.nodes[0].measures:
            self._free(0, 0, head_ns)
        if not path.nodes[-1].measures:
            self._free(self._last - 1, 1, tail_ns)


class _Attempts:
    """How many attempts a link has made by any time, both of its nodes alike; after `settle`, in logarithmic time.

    The number is smooth: half an attempt is made half a period before its photon leaves, and the other half thereafter.
    """

    def __init__(self, link: LinkFigures, part: float) -> None:
        self._period_ns = link.period_ns
        self._light_ns = link.light_ns
        self._part = part  # of the time in which attempts are made at all
        self._begun_ns: list[int] = []
        self._ended_ns: list[int] = []
        self._sums: tuple[list[int], list[int]] = ([], [])

    def add(self, begun_ns: int, click_ns: int) -> None:
        """Note a session, by the times at the station."""
        self._begun_ns.append(begun_ns + self._period_ns // 2)
        self._ended_ns.append(click_ns + self._period_ns // 2)

    def settle(self) -> None:
        """Work out what `between` needs, once all sessions are there."""
        self._begun_ns.sort()
        self._ended_ns.sort()
        begun, ended = (list(accumulate(times_ns, initial=0)) for times_ns in (self._begun_ns, self._ended_ns))
        self._sums = begun, ended

    def between(self, from_ns: int, to_ns: int, end: int) -> float:
        """Return the attempts between two times at one of the two nodes."""
        light_ns = self._light_ns[end]
        busy_ns = self._busy_ns(to_ns + light_ns) - self._busy_ns(from_ns + light_ns)
        return self._part * busy_ns / self._period_ns

    def _busy_ns(self, time_ns: int) -> int:
        begun, ended = (bisect_left(times, time_ns) for times in (self._begun_ns, self._ended_ns))
        return (begun - ended) * time_ns - self._sums[0][begun] + self._sums[1][ended]


# -- figures -----------------------------------------------------------------------------------------------------------


def _summary(path: _Path, deliveries: Sequence[_Delivery], elapsed_ns: int) -> Forecast:
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


def _few(path: _Path, deliveries: Sequence[_Delivery], elapsed_ns: int) -> Forecast:
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
