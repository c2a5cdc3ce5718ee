"""A circuit played through event by event: clicks, swaps, discards and the words between, but no states. Sans-io."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import accumulate, count
from typing import Final, TypeAlias

from emulator import LinkFigures, RandomStream
from nodes.circuits import SwapOrder

from .path import Delivery, NodeFigures, Path, may_miss

_EVENTS: Final = 16  # per wanted pair and link; a chain that needs more is cut short


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


class Chain:
    """A circuit in small.

    Heralds at intermediate nodes, cutoffs and words on their way are events; the rest follows from them at once, with
    times that may lie in the future.
    """

    def __init__(self, path: Path, random: RandomStream, order: SwapOrder, cutoff_ns: int) -> None:
        self._path = path
        self._uniform = random.uniform
        self._order = order
        self._cutoff_ns = cutoff_ns
        self._last = len(path.links)
        self._offers: list[tuple[deque[int], deque[int]]] = [(deque(), deque()) for _ in path.links]
        self._ready: list[tuple[deque[_Pair], deque[_Pair]]] = [(deque(), deque()) for _ in path.nodes]
        self._events: list[tuple[int, int, _Event, _Pair, int]] = []
        self._sequence = count()
        self._deliveries: list[Delivery] = []
        self._delivered: list[list[tuple[int, int]]] = []  # from when to when each half was beside attempts
        self._attempts = [_Attempts(link, part) for link, part in zip(path.links, path.attempts, strict=True)]
        self._disturbed = path.is_disturbed
        self.now_ns = 0

    def run(self, lanes: int, pairs: int) -> list[Delivery]:
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
        if may_miss(figures.storage):
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
        self._deliveries.append(Delivery(head_ns, stored))
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
