"""The EGP and its queue at both ends of a link as state machines, with events in any order that the wires allow.

Messages keep their order in each direction, and are lost only with a life of the sender or the receiver. All else may
happen at any time: pairs, read-outs, time-outs, users that give up, memory that has to be given back, crashes.
"""

from __future__ import annotations

import doctest
import math
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import LinkFigures, Message, StorageLaw
from nodes.link import Close, Code, Create, Egp, EndFigures, Err, Kind, Phase, Request, estimation, messages
from nodes.link.egp import FRAMES

NAMES = ("alice", "bob")
ALICE, BOB = 0, 1  # alice is the master
SCRIPT = st.lists(st.integers(0, (1 << 16) - 1), max_size=120)
RUNS = settings(derandomize=True, deadline=None, max_examples=150, database=None)
FOREVER = 10**15
BEST = 0.95
POSITIONS = 2
END = EndFigures(stores=True, positions=POSITIONS, light_ns=10, storage=StorageLaw(), readout_ns=5)


@dataclass(eq=False)
class Began:
    """News of a new life."""

    life: int


@dataclass(eq=False)
class Session:
    node: int
    life: int
    request: Request
    stopping: bool = False


@dataclass
class Log:
    """What the user of one end was told of one request."""

    oks: list[int] = field(default_factory=list)
    void: list[tuple[int, int]] = field(default_factory=list)
    ends: list[Code | None] = field(default_factory=list)
    lost: bool = False  # with a life of this end

    @property
    def valid(self) -> list[int]:
        return [n for n in self.oks if not any(low <= n < high for low, high in self.void)]


class Node:
    """One end: what the EGP has it do, and what it was told."""

    def __init__(self, world: World, index: int) -> None:
        self.world, self.index = world, index
        self.egp = Egp(NAMES[index], NAMES[1 - index], 20, END, self)
        self.life = 1
        self.number = 0
        self.logs: dict[tuple[str, int], Log] = {}
        self.service_order: list[tuple[str, int]] = []
        self.refuses = False  # requests of the other end
        self.keeps = True  # what it holds, or it has to give the memory back
        self.clear()

    def clear(self) -> None:
        self.sessions: list[Session] = []
        self.starts: list[Request] = []
        self.deadlines: list[Request] = []
        self.readouts: deque[tuple[Request, int]] = deque()
        self.live: list[Request] = []
        self.asked: list[float] = []
        self.known_life = 1  # of the other end, as far as is known here
        self.known_station = self.world.station_life

    def log(self, request: Request) -> Log:
        return self.logs.setdefault(request.key, Log())

    # -- actions -------------------------------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        self.world.wires[1 - self.index].append((self.world.nodes[self.index].known_life, message))

    def enquire(self, min_fidelity: float) -> None:
        self.asked.append(min_fidelity)

    def watch(self, request: Request) -> None:
        self.deadlines.append(request)

    def accepts(self, request: Request) -> bool:
        return not self.refuses

    def queued(self, request: Request) -> None:
        assert request.here

    def serve(self, request: Request, start_ns: int) -> None:
        self.service_order.append(request.key)
        self.starts.append(request)

    def open(self, request: Request) -> None:
        self.live.append(request)
        self.offer()

    def ok(self, request: Request, sequence: int) -> None:
        log = self.log(request)
        assert not log.ends, "an OK after the end"
        assert sequence not in log.oks
        log.oks.append(sequence)

    def ended(self, request: Request, err: Err | None) -> None:
        log = self.log(request)
        log.ends.append(None if err is None else err.code)
        if err is not None and err.low < err.high:
            log.void.append((err.low, err.high))
        if request in self.live:
            self.live.remove(request)
        for session in self.sessions:
            if session.request is request:
                self.stop(session)

    def expired(self, request: Request, err: Err) -> None:
        assert err.code is Code.EXPIRE
        assert request.phase is Phase.ENDED
        assert self.log(request).ends
        assert any(err.low <= n < err.high for n in self.log(request).oks)
        self.log(request).void.append((err.low, err.high))

    def forgotten(self, request: Request) -> None:
        assert request not in self.egp.requests
        assert len(self.log(request).ends) == 1

    # -- the rest of the node ------------------------------------------------------------------------------------------

    def offer(self) -> None:
        for request in self.live:
            while request.wanted > 0 and len(self.sessions) + len(self.readouts) < POSITIONS:
                request.sessions += 1
                session = Session(self.index, self.life, request)
                self.sessions.append(session)
                self.tell_station(session)

    def stop(self, session: Session) -> None:
        if not session.stopping:
            session.stopping = True
            self.tell_station((session,))

    def tell_station(self, message: Any) -> None:
        self.world.up[self.index].append((self.known_station, message))

    def station_says(self, message: Any) -> None:
        if isinstance(message, Began):
            self.known_station = message.life
            for session in self.sessions:
                session.stopping = True
                self.tell_station((session,))
            self.egp.station_began(0)
            return
        session, sequence = message
        if session not in self.sessions:
            return
        self.sessions.remove(session)
        session.request.sessions -= 1
        if sequence is not None and self.egp.heralded(session.request):
            request = session.request
            if not request.keeps:
                self.readouts.append((request, sequence))
            elif self.keeps:
                self.egp.complete(request, sequence, 0)
            else:
                self.keeps = True
                self.world.seen["a kept pair had to be given back"] += 1
                self.egp.end_request(request, Code.NORES, "memory", 0)
        self.offer()

    def time_out(self, choice: int) -> None:
        self.egp.time_out(self.deadlines[choice % len(self.deadlines)], 0)

    def read_out(self) -> None:
        request, sequence = self.readouts.popleft()
        self.egp.complete(request, sequence, 0)
        self.offer()


class World:
    """Both ends of a link, its station, and the wires between them."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.wires: tuple[deque[Any], deque[Any]] = (deque(), deque())  # to each end, from the other
        self.up: tuple[deque[Any], deque[Any]] = (deque(), deque())
        self.down: tuple[deque[Any], deque[Any]] = (deque(), deque())
        self.waiting: list[Session] = []  # at the station
        self.sequence = 0
        self.station_life = 1
        self.nodes = (Node(self, ALICE), Node(self, BOB))

    # -- what may happen -----------------------------------------------------------------------------------------------

    def create(self, node: int, choice: int) -> None:
        mine = self.nodes[node]
        mine.number += 1
        create = Create(
            NAMES[1 - node],
            list(Kind)[choice % 3],
            1 + choice // 3 % 3,
            min_fidelity=(0.0, 0.0, 0.9, 0.99)[choice // 9 % 4],
            max_time_ns=(0, FOREVER)[choice // 36 % 2],
            priority=choice // 72 % 3,
            consecutive=choice // 216 % 4 > 0 or choice // 3 % 3 == 2,
        )
        mine.egp.create(mine.number, create, 0)

    def frame(self, node: int) -> None:
        life, message = self.wires[node].popleft()
        mine = self.nodes[node]
        if isinstance(message, Began):
            mine.known_life = message.life
            mine.egp.peer_began()
        elif life == mine.life:
            self.note(mine, message)
            FRAMES[type(message)](mine.egp, message, 0)
        else:
            self.seen["a frame for an earlier life"] += 1

    def note(self, node: Node, message: Any) -> None:
        if type(message).__name__ == "Close":
            found = [r for r in node.egp.requests if r.key == (message.origin, message.create_id)]
            phase = found[0].phase.name if found else "FORGOTTEN"
            self.seen[f"close {message.code.name if message.code else 'done'} when {phase}"] += 1

    def station(self, node: int) -> None:
        """Let the station read what a node says."""
        life, message = self.up[node].popleft()
        if isinstance(message, Began):
            self.waiting = [s for s in self.waiting if s.node != node]
        elif life < self.station_life:
            self.seen["an offer to an earlier life of the station"] += 1
        elif isinstance(message, Session):
            self.waiting.append(message)
        else:
            (session,) = message
            if session in self.waiting:
                self.waiting.remove(session)
            self.down[node].append((session, None))

    def click(self, pair: tuple[Session, Session]) -> None:
        self.sequence += 1
        for session in pair:
            self.waiting.remove(session)
            self.down[session.node].append((session, self.sequence))

    def hear(self, node: int) -> None:
        """Let a node read what the station says."""
        self.nodes[node].station_says(self.down[node].popleft())

    def crash(self, node: int) -> None:
        mine = self.nodes[node]
        self.wires[node].clear()
        self.up[node].clear()
        self.down[node].clear()
        mine.egp.lose()
        mine.clear()
        for log in mine.logs.values():
            log.lost = True
        mine.known_life = self.nodes[1 - node].life
        mine.life += 1
        self.wires[1 - node].append((0, Began(mine.life)))
        self.up[node].append((0, Began(mine.life)))

    def crash_station(self, choice: int) -> None:
        self.station_life += 1
        for side in (ALICE, BOB):
            lost = choice % (len(self.down[side]) + 1)
            for _ in range(lost):
                if not isinstance(self.down[side][-1], Began):
                    self.down[side].pop()
            self.down[side].append(Began(self.station_life))
        self.waiting.clear()

    def pairs(self) -> list[tuple[Session, Session]]:
        return [
            (a, b)
            for a in self.waiting
            if a.node == ALICE
            for b in self.waiting
            if b.node == BOB and b.request.label == a.request.label
        ]

    def options(self, *, harm: bool) -> list[Callable[[int], object]]:
        found: list[Callable[[int], object]] = []
        for k, node in enumerate(self.nodes):
            found += [lambda _, k=k: self.frame(k)] * bool(self.wires[k])
            found += [lambda _, k=k: self.station(k)] * bool(self.up[k])
            found += [lambda _, k=k: self.hear(k)] * bool(self.down[k])
            found += [lambda _, n=node: n.read_out()] * bool(node.readouts)
            found += [lambda c, n=node: n.egp.start(n.starts.pop(c % len(n.starts)))] * bool(node.starts)
            found += [lambda c, n=node: self.answer(n, c)] * bool(node.asked)
            if harm:
                found.append(lambda c, k=k: self.create(k, c))
                found += [lambda c, n=node: n.time_out(c)] * bool(node.deadlines)
                found += [lambda c, n=node: self.give_up(n, c)] * bool(node.egp.requests)
        if pairs := self.pairs():
            found.append(lambda c: self.click(pairs[c % len(pairs)]))
        return found

    def answer(self, node: Node, choice: int) -> None:
        setting = node.asked.pop(choice % len(node.asked))
        node.egp.figures(setting, LinkFigures(0.1, 20, ((4 * BEST - 1) / 3,) * 3, (10, 10)), 0)

    def give_up(self, node: Node, choice: int) -> None:
        if choice % 3 == 0:
            requests = node.egp.requests
            node.egp.end_request(requests[choice % len(requests)], Code.OTHER, "no more", 0)
        elif choice % 3 == 1:
            node.keeps = False
        else:
            node.refuses = not node.refuses

    def step(self, choice: int, *, harm: bool = True, crashes: bool = False) -> bool:
        if crashes and choice % 41 == 0:
            self.crash(choice // 41 % 2)
        elif crashes and choice % 41 == 1:
            self.crash_station(choice // 41)
        else:
            options = self.options(harm=harm)
            if not options:
                return False
            choice, k = divmod(choice, len(options))
            options[k](choice)
        self.check()
        return True

    def drain(self, seed: int) -> None:
        order = random.Random(seed)
        for node in self.nodes:
            node.keeps = True
        for _ in range(20_000):
            if not self.step(order.randrange(1 << 20), harm=False):
                return
        raise AssertionError("it never comes to rest")

    # -- what must be true ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        for node in self.nodes:
            assert node.egp.queue.unanswered <= 64
            assert all(r.taken + r.sessions <= r.create.number for r in node.egp.requests)
        alice, bob = ({r.key: r for r in node.egp.requests} for node in self.nodes)
        for key, mine in alice.items():
            his = bob.get(key)
            if his is not None and mine.ready and his.ready:
                assert mine.queue_sequence == his.queue_sequence
                assert mine.setting == his.setting

    def check_over(self) -> None:
        for node in self.nodes:
            assert node.egp.requests == []
            assert node.sessions == []
            assert node.egp.queue.order == []
            assert node.egp.queue.unanswered == 0
        assert self.waiting == []
        master, other = (iter(node.service_order) for node in self.nodes)
        assert all(key in master for key in other), "the other end serves in another order than the master"
        logs = [node.logs for node in self.nodes]
        for mine, far in (logs, logs[::-1]):
            for key, log in mine.items():
                assert len(log.ends) <= 1
                given_there = far[key].valid if key in far else []
                assert log.lost or set(log.valid) <= set(given_there), (
                    f"{key}: the other end has not got the same pairs"
                )


def run(script: list[int], seed: int, *, crashes: bool = False) -> World:
    world = World()
    for choice in script:
        world.step(choice, crashes=crashes)
    world.drain(seed)
    world.check_over()
    return world


@RUNS
@given(SCRIPT, st.integers(0, 99))
def test_whatever_the_order_of_events_both_ends_have_the_same_pairs(script: list[int], seed: int) -> None:
    world = run(script, seed)
    alice, bob = (node.logs for node in world.nodes)
    for key in alice.keys() | bob.keys():
        logs = [logs[key] for logs in (alice, bob) if key in logs]
        assert all(len(log.ends) == 1 for log in logs), "each request ends exactly once"
        if len(logs) == 2:
            assert logs[0].valid == logs[1].valid


@RUNS
@given(SCRIPT, st.integers(0, 99))
def test_whoever_crashes_no_end_believes_in_a_pair_that_the_other_never_had(script: list[int], seed: int) -> None:
    run(script, seed, crashes=True)


def test_all_the_races_have_been_seen() -> None:
    seen: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for seed in range(300):
        order = random.Random(seed)
        world = run([order.randrange(1 << 16) for _ in range(150)], seed, crashes=seed % 2 == 1)
        seen += world.seen
        for node in world.nodes:
            for log in node.logs.values():
                ends["expired after the end"] += bool(log.void) and log.ends == [None]
                ends.update(code.name if code else "done" for code in log.ends)
    phases = {"close done when SERVED", "close done when ENDED", "close OTHER when SERVED", "close TIMEOUT when QUEUED"}
    races = {"close NORES when SERVED", "close OTHER when ENDED", "close TIMEOUT when ENDED", "close OTHER when ASKED"}
    assert phases | races | {"a frame for an earlier life", "a kept pair had to be given back"} <= seen.keys()
    assert {"done", "UNSUPP", "REJECTED", "OTHER", "EXPIRE", "TIMEOUT", "NORES", "expired after the end"} <= ends.keys()
    assert ends["done"] > 100


def test_the_examples_of_the_modules_are_right() -> None:
    assert [doctest.testmod(module).failed for module in (estimation, messages)] == [0, 0]


@pytest.mark.parametrize(
    ("min_fidelity", "left_ns", "queued", "code"),
    [
        (0.95, math.inf, False, None),
        (0.951, math.inf, False, Code.UNSUPP),
        (0.0, 110, False, None),  # light to the station, and two pairs at a time
        (0.0, 109, False, Code.UNSUPP),
        (0.0, 109, True, Code.NOTIME),
    ],
)
def test_a_request_is_judged_by_fidelity_and_time(
    *, min_fidelity: float, left_ns: float, queued: bool, code: Code | None
) -> None:
    figures = LinkFigures(0.1, 20, ((4 * BEST - 1) / 3,) * 3, (10, 10))
    create = Create("bob", number=9, min_fidelity=min_fidelity)
    verdict = estimation.judge(create, figures, left_ns, END, END, queued=queued)
    assert (None if verdict is None else verdict[0]) is code


@pytest.mark.parametrize("pairs", [1, 2])
def test_a_pair_of_which_only_one_end_has_heard_when_the_station_crashes_is_void(pairs: int) -> None:
    world = World()
    world.nodes[BOB].egp.create(1, Create("alice", number=pairs), 0)
    while not world.sequence:
        assert world.step(0, harm=False)
    world.hear(BOB)
    assert world.nodes[BOB].logs["bob", 1].oks == [1]
    world.crash_station(1)
    world.drain(1)
    world.check_over()
    log = world.nodes[BOB].logs["bob", 1]
    assert (log.void, log.valid) == ([(1, 2)], [])
    assert log.ends == ([None] if pairs == 1 else [Code.OTHER])
    assert world.nodes[ALICE].logs["bob", 1].ends == [Code.OTHER]


@pytest.mark.parametrize("master", [True, False])
def test_requests_that_keep_and_that_measure_are_served_two_to_one_and_by_priority(*, master: bool) -> None:
    world = World()
    node = world.nodes[ALICE if master else BOB]
    wishes = [(Kind.KEEP, 0)] * 4 + [(Kind.MEASURE, 0)] * 2 + [(Kind.KEEP, 7), (Kind.REMOTE, 5)]
    node.egp.create(100, Create(NAMES[1 - node.index]), 0)
    world.nodes[1 - node.index].refuses = False
    for number, (kind, priority) in enumerate(wishes):
        node.egp.create(number, Create(NAMES[1 - node.index], kind, priority=priority), 0)
    world.drain(1)
    world.check_over()
    # 100 is served at once; the rest by turns (keep, keep, measure), in each class by priority and then by place.
    assert world.nodes[ALICE].service_order == world.nodes[BOB].service_order
    assert [number for _, number in world.nodes[ALICE].service_order] == [100, 6, 7, 0, 1, 4, 2, 3, 5]


def test_no_more_than_the_window_are_unanswered_and_no_more_than_the_bound_are_queued() -> None:
    world = World()
    alice = world.nodes[ALICE]
    for number in range(300):
        alice.egp.create(number, Create("bob"), 0)
    assert len(world.wires[BOB]) == alice.egp.queue.unanswered == 64
    refused = [key for key, log in alice.logs.items() if log.ends == [Code.NORES]]
    assert refused == [("alice", number) for number in range(256, 300)]
    world.drain(1)
    world.check_over()
    assert sum(log.ends == [None] for log in alice.logs.values()) == 256


def test_an_old_frame_changes_nothing() -> None:
    world = World()
    world.create(ALICE, 0)
    world.drain(1)
    before = [dict(node.logs) for node in world.nodes]
    world.nodes[ALICE].egp.on_close(_close(1), 0)
    world.nodes[BOB].egp.on_close(_close(1), 0)
    assert [dict(node.logs) for node in world.nodes] == before
    world.check_over()


def _close(number: int) -> Any:
    return Close("alice", number, 0, None, "")
