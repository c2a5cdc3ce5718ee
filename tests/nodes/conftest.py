"""A chain of state machines without a clock, and small worlds in emulated time."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count, pairwise
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from emulator import MS, Envelope, Half, Message, PairId, Record
from emulator.transport import Connection
from nodes.circuits import EAST, WEST, EndRole, Expire, Extended, Release, Request, SwapOrder, SwapRole, Track
from scenarios.build import World, build
from scenarios.load import parse

CIRCUIT = "c"
LATENCY_NS = MS


def half(pair: PairId, bell: int = 0, emitted_ns: int = 0) -> Half:
    """Make a half without a qubit: the state machines do not look at it."""
    return Half(pair, bell, None, emitted_ns)


class Notebook:
    """What a state machine has its node do, written down in order; what Tracks announce stands by itself."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.announced: list[int] = []

    def send(self, side: int, message: Message) -> None:
        if isinstance(message, Track):
            self.announced.append(message.announced)
            message = msgspec.structs.replace(message, announced=-1)
        self.done.append(("send", side, message))

    def swap(self, west: Half, east: Half) -> None:
        self.done.append(("swap", west.pair, east.pair))

    def deliver(self, mine: Half, track: Track, request: Request | None) -> None:
        self.done.append(("deliver", mine.pair, track.origin, track.bell))

    def free(self, mine: Half) -> None:
        self.done.append(("free", mine.pair))

    def take(self) -> list[tuple[Any, ...]]:
        """Return what was done since the last time."""
        done, self.done = self.done, []
        return done


@dataclass(frozen=True)
class Delivery:
    """A pair as an end took it."""

    mine: PairId
    far: PairId
    bell: int


@dataclass(frozen=True)
class _Swap:
    node: int
    west: Half
    east: Half


class _Actions:
    def __init__(self, chain: Chain, node: int) -> None:
        self._chain = chain
        self._node = node

    def send(self, side: int, message: Message) -> None:
        self._chain.post(self._node, self._node + (1 if side == EAST else -1), message)

    def swap(self, west: Half, east: Half) -> None:
        self._chain.begin_swap(_Swap(self._node, west, east))

    def deliver(self, mine: Half, track: Track, request: Request | None) -> None:
        self._chain.end_half(self._node, mine.pair, "delivered")
        self._chain.deliveries[self._node].append(Delivery(mine.pair, track.origin, track.bell))

    def free(self, mine: Half) -> None:
        self._chain.end_half(self._node, mine.pair, "freed")


class Chain:
    """An EndRole at each end, a SwapRole at each node between, and whatever order of events one likes.

    Each direction between neighbours is a queue. All else may happen at any time: a herald reaches its node, a swap
    comes to its end, a half is cut off, the tear-down begins. Checks are made against what has been done, not against
    anything that a role says.
    """

    def __init__(self, links: int, *, nested: bool) -> None:
        self.links = links
        self.last = links
        self.order = SwapOrder(links + 1, nested)
        self.roles: list[EndRole | SwapRole] = [EndRole(CIRCUIT, EAST, _Actions(self, 0))]
        self.roles += [SwapRole(CIRCUIT, k, self.order, _Actions(self, k)) for k in range(1, links)]
        self.roles.append(EndRole(CIRCUIT, WEST, _Actions(self, links)))
        self.wires: dict[tuple[int, int], deque[Message]] = {}
        for k in range(links):
            self.wires[k, k + 1] = deque()
            self.wires[k + 1, k] = deque()
        self.heralds: list[tuple[int, Half]] = []  # node, half
        self.swaps: list[_Swap] = []  # under way
        self.deliveries: dict[int, list[Delivery]] = {0: [], links: []}
        self.fates: dict[tuple[int, PairId], str] = {}  # of each half: waits, swapping, swapped, lost, freed, delivered
        self.waits: Counter[int] = Counter()  # how many halves wait at each node
        self.births: list[int] = [0] * links
        self.bells: dict[PairId, int] = {}
        self.joined: dict[tuple[int, PairId], tuple[PairId, int]] = {}  # at a node: the pair joined to, the outcome
        self.stopped: set[int] = set()
        self._checked: Counter[int] = Counter()
        self.seen: Counter[str] = Counter()

    # -- what the roles do -----------------------------------------------------------------------------------------

    def post(self, source: int, target: int, message: Message) -> None:
        self.wires[source, target].append(message)

    def begin_swap(self, swap: _Swap) -> None:
        for mine, side in ((swap.west, WEST), (swap.east, EAST)):
            assert self.fates[swap.node, mine.pair] == "waits"
            assert self._link(mine.pair) == swap.node - (1 if side == WEST else 0)
            self._fate(swap.node, mine.pair, "swapping")
            far, _, _ = self.follow(swap.node, mine.pair)
            if self.order.nested:
                assert self.order.ranks[far] > self.order.ranks[swap.node], "swapped a pair that reaches too low a rank"
        self.swaps.append(swap)

    def end_half(self, node: int, pair: PairId, fate: str) -> None:
        assert self.fates[node, pair] == "waits", f"{pair} at {node} is {fate}, but was {self.fates[node, pair]}"
        self._fate(node, pair, fate)

    # -- what may happen -------------------------------------------------------------------------------------------

    def birth(self, link: int, bell: int, ages: tuple[int, int] = (0, 0)) -> None:
        """Let a link make a pair; its heralds come later."""
        pair = (f"{link}", self.births[link])
        self.births[link] += 1
        self.bells[pair] = bell
        for node, age in zip((link, link + 1), ages, strict=True):
            self.heralds.append((node, half(pair, bell, age)))

    def herald(self, number: int) -> None:
        node, mine = self.heralds.pop(number)
        role = self.roles[node]
        self._fate(node, mine.pair, "waits")
        if isinstance(role, EndRole):
            role.pair(mine)
        else:
            role.pair(EAST if self._link(mine.pair) == node else WEST, mine)

    def arrive(self, wire: tuple[int, int]) -> None:
        node = wire[1]
        role, message = self.roles[node], self.wires[wire].popleft()
        if isinstance(message, Release):
            self.stop(node)
        elif isinstance(message, (Track, Expire)):
            self._note_race(node, message)
            role.word(message)
        else:
            assert isinstance(message, Extended)
            if message.to != node:
                self.post(node, node + (1 if message.to > node else -1), message)
            else:
                assert isinstance(role, SwapRole)
                if (node, message.link) not in self.fates:
                    self.seen["extended before the herald"] += 1
                role.extended(message)

    def finish_swap(self, number: int, outcome: int | None) -> None:
        swap = self.swaps.pop(number)
        role = self.roles[swap.node]
        assert isinstance(role, SwapRole)
        west, east = swap.west.pair, swap.east.pair
        for mine, other in ((west, east), (east, west)):
            self._fate(swap.node, mine, "lost" if outcome is None else "swapped")
            if outcome is not None:
                self.joined[swap.node, mine] = (other, outcome)
        self.seen["swap fails" if outcome is None else "swap works"] += 1
        role.swapped(swap.west, swap.east, outcome)

    def cut_off(self, node: int, before: int) -> None:
        role = self.roles[node]
        assert isinstance(role, SwapRole)
        waiting = self.waits[node]
        role.discard_before(before)
        self.seen["cut off"] += waiting - self.waits[node]

    def stop(self, node: int) -> None:
        """Tear down here; the next node is told by a Release behind all words."""
        self.stopped.add(node)
        self.roles[node].stop()
        if node < self.last:
            self.post(node, node + 1, Release(CIRCUIT))

    # -- runs ------------------------------------------------------------------------------------------------------

    def step(self, choice: int, *, births: bool = True, harm: bool = True) -> bool:
        """Let one of the things happen that may happen now; return False if there are none."""
        if harm and choice % 23 == 22 and 0 not in self.stopped:
            self.stop(0)
            return True
        wires = [wire for wire, queue in self.wires.items() if queue]
        waiting = [node for node in range(1, self.last) if harm and self.waits[node]]
        links = self.links if births else 0
        counts = (len(self.heralds), len(wires), len(self.swaps), links, len(waiting))
        if not (total := sum(counts)):
            return False
        x, k = divmod(choice, total)
        kind = 0
        while k >= counts[kind]:
            k -= counts[kind]
            kind += 1
        if kind == 0:
            self.herald(k)
        elif kind == 1:
            self.arrive(wires[k])
        elif kind == 2:
            self.finish_swap(k, None if harm and x % 5 == 4 else x % 4)
        elif kind == 3:
            self.birth(k, x % 4, (x // 4 % 8, x // 32 % 8))
        else:
            self.cut_off(waiting[k], x % 9)
        return True

    def drain(self, seed: int, *, harm: bool = False) -> None:
        """Let everything that is under way come to its end, in an order given by the seed."""
        order = random.Random(seed)
        for _ in range(20_000):
            if not self.step(order.randrange(1 << 20), births=False, harm=harm):
                return
        raise AssertionError("it never comes to rest")

    def finish(self, seed: int) -> None:
        """Tear down if that has not begun, and let everything end."""
        self.drain(seed)
        if 0 not in self.stopped:
            self.stop(0)
        self.drain(seed + 1)
        assert self.stopped == set(range(self.links + 1))

    # -- what must be true -----------------------------------------------------------------------------------------

    def follow(self, node: int, pair: PairId) -> tuple[int, PairId, int]:
        """Follow a half's chain of swapped pairs to its other end: (node, pair there, XOR of all Bell indices)."""
        bell = self.bells[pair]
        step = 1 if self._link(pair) == node else -1
        node += step
        while (node, pair) in self.joined:
            pair, outcome = self.joined[node, pair]
            bell ^= outcome ^ self.bells[pair]
            node += step
        return node, pair, bell

    def check(self) -> None:
        """Check all deliveries since the last check."""
        for end in (0, self.last):
            new = self.deliveries[end][self._checked[end] :]
            self._checked[end] += len(new)
            for delivery in new:
                far_end, far, bell = self.follow(end, delivery.mine)
                assert (far_end, far) == (self.last - end, delivery.far), "not the pair at the other end"
                assert bell == delivery.bell, "not the Bell state that the outcomes make"

    def check_over(self) -> None:
        """Check what must be true once everything is over."""
        self.check()
        for node, role in enumerate(self.roles):
            assert role.pending == 0, f"node {node} keeps {role.pending}"
        assert set(self.fates.values()) <= {"swapped", "lost", "freed", "delivered"}
        assert len(self.fates) == 2 * sum(self.births)
        for node, delivered in self.deliveries.items():
            role = self.roles[node]
            assert isinstance(role, EndRole)
            mine = [d.mine for d in delivered]
            assert len(set(mine)) == len(mine) == role.delivered
            assert role.expired == sum(f == "freed" for (k, _), f in self.fates.items() if k == node)
            assert role.delivered + role.expired == self.births[0 if node == 0 else -1]
        head, tail = self.deliveries[0], self.deliveries[self.last]
        assert {(d.mine, d.far, d.bell) for d in head} == {(d.far, d.mine, d.bell) for d in tail}

    def _link(self, pair: PairId) -> int:
        return int(pair[0])

    def _fate(self, node: int, pair: PairId, fate: str) -> None:
        self.waits[node] += (fate == "waits") - (self.fates.get((node, pair)) == "waits")
        self.fates[node, pair] = fate

    def _note_race(self, node: int, message: Track | Expire) -> None:
        kind = "track" if isinstance(message, Track) else "expire"
        fate = self.fates.get((node, message.link), "not heralded")
        self.seen[f"{kind} when {fate}"] += 1
        if node in self.stopped:
            self.seen[f"{kind} after stop"] += 1


class Weather:
    """What becomes of envelopes on their way, and when everything else happens."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now_ns = 0
        self.lost = self.doubled = self.overtaken = 0
        self._events: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = []
        self._count = count()
        self._last_ns = 0

    def after(self, delay_ns: int, fn: Callable[..., object], *args: object) -> None:
        heappush(self._events, (self.now_ns + delay_ns, next(self._count), fn, args))

    def carry(self, arrive: Callable[[Envelope], None], envelope: Envelope) -> None:
        copies = self.rng.choices((0, 1, 2), (0.25, 0.6, 0.15))[0]
        self.lost += copies == 0
        self.doubled += copies == 2
        for _ in range(copies):
            late_ns = self.rng.choice((0, 0, self.rng.randrange(5 * MS)))
            self.overtaken += self.now_ns + late_ns < self._last_ns
            self._last_ns = self.now_ns + late_ns
            self.after(LATENCY_NS + late_ns, arrive, envelope)

    def run(self, most: int = 50_000) -> None:
        for _ in range(most):
            if not self._events:
                return
            self.now_ns, _, fn, args = heappop(self._events)
            fn(*args)
        raise AssertionError("it never comes to rest")


class Wire:
    """One node's end of the transport to a neighbour; what comes is handed to `take`."""

    faults = ("weather",)  # or messages are sent surely
    capacity = 10_000
    busy_until_ns = 0

    def __init__(self, weather: Weather, take: Callable[[Message], None]) -> None:
        self._weather = weather
        self._take = take
        self.far: Wire
        self.connection = Connection("here", "there", self, self, round_trip_ns=2 * LATENCY_NS)
        self.connection.begin(1, 0)

    def send(self, envelope: Envelope) -> bool:
        self._weather.carry(self.far.arrive, envelope)
        return True

    def arrive(self, envelope: Envelope) -> None:
        self.connection.receive(envelope, self._weather.now_ns)

    def hand_on(self, envelope: Envelope) -> None:
        self._take(envelope.message)

    def wake(self, connection: Connection, delay_ns: int) -> None:
        self._weather.after(delay_ns, lambda: connection.check(self._weather.now_ns))

    def neighbour_began(self, neighbour: str) -> None:
        raise AssertionError("nobody has crashed")


def joined(weather: Weather, take_a: Callable[[Message], None], take_b: Callable[[Message], None]) -> tuple[Wire, Wire]:
    a, b = Wire(weather, take_a), Wire(weather, take_b)
    a.far, b.far = b, a
    return a, b


def post_over(weather: Weather, wire: Wire) -> Callable[[Message], None]:
    def post(message: Message) -> None:
        assert wire.connection.send(message, weather.now_ns)

    return post


def read(document: dict[str, Any], **options: Any) -> World:
    """Build the world of a scenario document; ideal hardware unless it says otherwise."""
    scenario, plan = parse({"name": "test", "hardware": "ideal", **document}, "test")
    return build(scenario, plan, **{"seed": 1, "keep_history": True} | options)


def line(*names: str, **link: Any) -> dict[str, Any]:
    """Return a document with nodes in a row, the ends processing, and links that succeed at once with ideal pairs."""
    link = {"length_km": 10, "success_probability": 1.0, "fidelity": 1.0} | link
    ends = (names[0], names[-1])
    return {
        "node": [{"name": n, "kind": "processing" if n in ends else "repeater"} for n in names],
        "link": [{"a": a, "b": b} | link for a, b in pairwise(names)],
        "route": [{"a": ends[0], "b": ends[1]}],
    }


def records_of(world: World) -> list[Record]:
    """Return all records; the history holds those of the last instant back until it is asked for its hash."""
    world.network.history.sha256()
    return world.network.history.kept or []


def pairs_of(world: World) -> list[SimpleNamespace]:
    """Return each end's record of each delivered pair."""
    names = ("a", "b", "end", "head", "tail", "bell", "waited_ns", "age_ns", "position", "generation")
    return [
        SimpleNamespace(time_ns=r.time_ns, actor=r.actor, **dict(zip(names, r.fields, strict=True)))
        for r in records_of(world)
        if r.kind == "pair"
    ]


def strays_of(world: World) -> int:
    """Return how many words came to nodes that had no use for them."""
    return sum(getattr(actor, "strays", 0) for actor in world.network.actors.values())


@pytest.fixture(scope="session")
def machines() -> SimpleNamespace:
    """Return the parts for tests without a clock."""
    return SimpleNamespace(
        Chain=Chain,
        Notebook=Notebook,
        Weather=Weather,
        half=half,
        circuit=CIRCUIT,
        joined=joined,
        post_over=post_over,
    )


@pytest.fixture(scope="session")
def worlds() -> SimpleNamespace:
    """Return the parts for tests in emulated time."""
    return SimpleNamespace(read=read, line=line, records_of=records_of, pairs_of=pairs_of, strays_of=strays_of)
