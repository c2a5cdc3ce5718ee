"""The transport between neighbours: each message once and in order, whatever becomes of it on the way."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count, pairwise
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import MS, Actor, Envelope, Handler, Message, Network, S
from emulator.transport import ACK_DELAY_NS, ACK_EVERY, Acknowledgement, Connection

LATENCY_NS = 1 * MS
ROUND_TRIP_NS = 2 * LATENCY_NS
FIRST_WAIT_NS = 3 * ROUND_TRIP_NS + ACK_DELAY_NS


class Note(Message, frozen=True, tag="transport-note"):
    number: int


class End:
    """One actor as its connection sees it, and the line to the other one."""

    def __init__(self, world: World, name: str, neighbour: str, capacity: int) -> None:
        self.world, self.name = world, name
        self.capacity = capacity
        self.faults = ("something",)  # or messages are sent surely
        self.life = 0
        self.sent: dict[tuple[int, int], list[int]] = defaultdict(list)  # by lives of sender and receiver
        self.received: dict[tuple[int, int], list[int]] = defaultdict(list)
        self.times_ns: list[int] = []
        self.heard_lives: list[int] = []
        self.wakes = 0
        self.refuses = False
        self.busy_until_ns = 0  # sending takes no time
        self.connection = Connection(name, neighbour, self, self, round_trip_ns=ROUND_TRIP_NS)

    # -- for the connection

    def send(self, envelope: Envelope) -> bool:
        if not self.refuses:
            self.world.carry(self, envelope)
        return not self.refuses

    def hand_on(self, envelope: Envelope) -> None:
        assert isinstance(envelope.message, Note)
        assert envelope.to_incarnation == self.life
        assert envelope.incarnation == self.connection.neighbour_life
        self.received[envelope.incarnation, self.life].append(envelope.message.number)
        self.times_ns.append(self.world.now_ns)

    def wake(self, connection: Connection, delay_ns: int) -> None:
        assert delay_ns >= 1
        self.wakes += 1
        self.world.after(delay_ns, self._check, self.life)

    def _check(self, life: int) -> None:
        if life == self.connection.life:
            self.connection.check(self.world.now_ns)

    def neighbour_began(self, neighbour: str) -> None:
        self.heard_lives.append(self.connection.neighbour_life)

    # -- for the tests

    def begin(self) -> None:
        self.life += 1
        self.connection.begin(self.life, self.world.now_ns)

    def crash(self, down_ns: int) -> None:
        if self.connection.life:
            self.connection.end()
            self.world.after(down_ns, self.begin)

    def say(self, number: int) -> bool:
        if not self.connection.life:
            return False
        lives = (self.life, self.connection.neighbour_life)
        taken = self.connection.send(Note(number), self.world.now_ns)
        if taken:
            self.sent[lives].append(number)
        return taken


class World:
    """Two ends, and time."""

    def __init__(self, capacity: int = 1000) -> None:
        self.now_ns = 0
        self.fault: Callable[[Envelope], list[int]] = lambda _: [0]  # how much later than others each copy arrives
        self._events: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = []
        self._count = count()
        self.a, self.b = End(self, "a", "b", capacity), End(self, "b", "a", capacity)
        self.a.begin()
        self.b.begin()

    def after(self, delay_ns: int, fn: Callable[..., object], *args: object) -> None:
        heappush(self._events, (self.now_ns + delay_ns, next(self._count), fn, args))

    def carry(self, source: End, envelope: Envelope) -> None:
        sink = self.b if source is self.a else self.a
        for late_ns in self.fault(envelope):
            self.after(LATENCY_NS + late_ns, self._arrive, sink, envelope)

    def _arrive(self, sink: End, envelope: Envelope) -> None:
        if sink.connection.life:
            sink.connection.receive(envelope, self.now_ns)

    def run(self, until_ns: int = 60 * S) -> None:
        while self._events and self._events[0][0] <= until_ns:
            self.now_ns, _, fn, args = heappop(self._events)
            fn(*args)

    @property
    def at_rest(self) -> bool:
        return not self._events


@dataclass
class Bad:
    """Loses, doubles and delays, as a seeded generator has it, until a time."""

    world: World
    rng: random.Random
    until_ns: int
    loss: float
    doubling: float
    delay_ns: int

    def __call__(self, envelope: Envelope) -> list[int]:
        if self.world.now_ns >= self.until_ns:
            return [0]
        if self.rng.random() < self.loss:
            return []
        return [self.rng.randint(0, self.delay_ns) for _ in range(1 + (self.rng.random() < self.doubling))]


def dropping(*sequences: int) -> Callable[[Envelope], list[int]]:
    """Lose the first copy of these messages."""
    left = set(sequences)

    def fault(envelope: Envelope) -> list[int]:
        if envelope.sequence in left:
            left.remove(envelope.sequence)
            return []
        return [0]

    return fault


PROBABILITIES = st.sampled_from([0.0, 0.1, 0.4, 0.9])
CRASHES = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 400), st.integers(1, 50)), max_size=5)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 1 << 32),
    loss=PROBABILITIES,
    doubling=PROBABILITIES,
    delay_ms=st.sampled_from([0, 1, 5, 60]),
    crashes=CRASHES,
    messages=st.sampled_from([1, 10, 200, 1500]),
)
def test_each_message_arrives_once_and_in_order_between_the_lives_for_which_it_was_meant(
    seed: int, loss: float, doubling: float, delay_ms: int, crashes: list[tuple[str, int, int]], messages: int
) -> None:
    world = World()
    ends = {"a": world.a, "b": world.b}
    rng = random.Random(seed)
    world.fault = Bad(world, rng, 500 * MS, loss, doubling, delay_ms * MS)
    for number in range(messages):
        world.after(rng.randint(0, 450 * MS), rng.choice((world.a, world.b)).say, number)
    for name, at_ms, down_ms in crashes:
        world.after(at_ms * MS, ends[name].crash, down_ms * MS)
    world.run()
    assert world.at_rest
    for end, other in ((world.a, world.b), (world.b, world.a)):
        for lives, numbers in end.received.items():
            assert numbers == other.sent[lives][: len(numbers)]
        last = (other.life, end.life)
        assert end.received[last] == other.sent[last]
        assert end.connection.unacknowledged == 0
        assert end.connection.neighbour_life == other.life
        assert end.heard_lives == sorted(set(end.heard_lives))


# -- times ---------------------------------------------------------------------------------------------------------


def test_without_faults_a_message_takes_the_latency_and_few_events_come_along() -> None:
    world = World()
    for k in range(1000):
        world.after(k * MS, world.a.say, k)
    world.run()
    assert world.b.times_ns == [k * MS + LATENCY_NS for k in range(1000)]
    assert world.b.connection.acknowledgements <= 51
    assert world.a.wakes <= 55
    assert world.b.wakes <= 55
    assert world.a.connection.repeats == world.b.connection.duplicates == 0


def test_answers_acknowledge_so_that_nothing_else_need() -> None:
    world = World()
    for k in range(1000):
        world.after(k * MS, (world.a, world.b)[k % 2].say, k)
    world.run()
    assert world.a.connection.acknowledgements + world.b.connection.acknowledgements <= 2  # of the last
    assert world.a.connection.repeats == world.b.connection.repeats == 0


def test_a_lone_message_is_acknowledged_after_the_delay() -> None:
    world = World()
    world.a.say(0)
    world.run(2 * LATENCY_NS + ACK_DELAY_NS - 1)
    assert world.a.connection.unacknowledged == 1
    world.run(2 * LATENCY_NS + ACK_DELAY_NS)
    assert world.a.connection.unacknowledged == 0


def test_many_receipts_are_acknowledged_at_once() -> None:
    world = World()
    for k in range(ACK_EVERY):
        world.a.say(k)
    world.run(2 * LATENCY_NS)
    assert world.b.connection.acknowledgements == 1
    assert world.a.connection.unacknowledged == 0


def test_a_lost_message_that_another_follows_is_one_round_trip_late_by_that() -> None:
    world = World()
    world.fault = dropping(1)
    for k in range(4):
        world.after(k * 1000, world.a.say, k)
    world.run()
    again_ns = 2000 + LATENCY_NS + ROUND_TRIP_NS
    assert world.b.received == {(1, 1): [0, 1, 2, 3]}
    assert world.b.times_ns == [LATENCY_NS, again_ns, again_ns, again_ns]
    assert world.a.connection.repeats == 1


def test_a_lost_message_that_none_follows_is_repeated_after_three_round_trips_and_the_delay() -> None:
    world = World()
    world.fault = dropping(0)
    world.after(7, world.a.say, 0)
    world.run()
    assert world.b.times_ns == [7 + FIRST_WAIT_NS + LATENCY_NS]


def test_the_wait_doubles_up_to_a_second() -> None:
    world = World()
    times_ns: list[int] = []

    def lose(_: Envelope) -> list[int]:
        times_ns.append(world.now_ns)
        return []

    world.fault = lose
    world.a.say(0)
    world.run(10 * S)
    waits_ns = [b - a for a, b in pairwise(times_ns)]
    assert waits_ns[:6] == [FIRST_WAIT_NS << k for k in range(6)]
    assert set(waits_ns[6:]) == {S}
    assert world.a.connection.unacknowledged == 1


def test_a_gap_is_reported_once_in_a_round_trip() -> None:
    world = World()
    world.fault = dropping(0)
    for k in range(50):
        world.after(k * 1000, world.a.say, k)
    world.run(49 * 1000 + 2 * LATENCY_NS)
    assert world.b.connection.acknowledgements == 1
    assert world.a.connection.repeats == 1


def test_a_long_outage_is_made_up_for_in_batches() -> None:
    world = World()
    world.fault = lambda _: [] if world.now_ns < 300 * MS else [0]
    for k in range(300):
        world.after(k * MS, world.a.say, k)
    world.run()
    assert world.b.received == {(1, 1): list(range(300))}
    assert world.b.times_ns[-1] < 700 * MS
    assert world.a.connection.repeats < 600


# -- bounds --------------------------------------------------------------------------------------------------------


def test_no_more_is_unacknowledged_than_the_line_has_capacity_for() -> None:
    world = World(capacity=3)
    world.fault = lambda _: []
    assert [world.a.say(k) for k in range(5)] == [True, True, True, False, False]
    world.fault = lambda _: [0]
    world.run()
    assert world.b.received == {(1, 1): [0, 1, 2]}


def test_what_came_early_is_kept_as_far_as_a_neighbour_may_go() -> None:
    world = World(capacity=3)
    for sequence in (2, 3, 10**9):  # one that it may have sent, two that it may not
        world.b.connection.receive(Envelope("a", 1, 0, Note(sequence), 1, sequence), 0)
    world.b.connection.receive(Envelope("a", 1, 0, Note(0), 1, 0), 0)
    world.b.connection.receive(Envelope("a", 1, 0, Note(1), 1, 1), 0)
    assert world.b.received == {(1, 1): [0, 1, 2]}


def test_what_the_line_refuses_is_repeated() -> None:
    world = World()
    world.a.refuses = True
    world.a.say(0)
    world.a.refuses = False
    world.run()
    assert world.b.times_ns == [FIRST_WAIT_NS + LATENCY_NS]


# -- lives ---------------------------------------------------------------------------------------------------------


def test_a_later_life_introduces_itself_at_once_and_even_if_that_is_lost() -> None:
    world = World()
    world.b.crash(5 * MS)
    world.run(5 * MS + LATENCY_NS - 1)
    assert world.a.heard_lives == []
    world.run(5 * MS + LATENCY_NS)
    assert world.a.heard_lives == [2]
    world.fault = dropping(-1)
    world.b.crash(5 * MS)
    world.run()
    assert world.a.heard_lives == [2, 3]


def test_what_was_addressed_to_an_earlier_life_is_answered_with_the_present_one() -> None:
    world = World()
    world.fault = lambda _: [] if world.now_ns < 3 * MS else [0]  # the introduction is lost
    world.b.crash(1 * MS)
    world.after(4 * MS, world.a.say, 0)
    world.run(4 * MS + ROUND_TRIP_NS)
    assert world.a.heard_lives == [2]
    world.a.say(1)
    world.run()
    assert world.b.received == {(1, 2): [1]}


def test_a_message_of_an_earlier_life_that_comes_late_is_dropped() -> None:
    world = World()
    world.fault = lambda e: [50 * MS] if e.message == Note(0) else [0]
    world.a.say(0)
    world.after(1, world.a.crash, 5 * MS)
    world.after(20 * MS, world.a.say, 1)
    world.run()
    assert world.b.received == {(2, 1): [1]}


# -- in a network --------------------------------------------------------------------------------------------------


class Talker(Actor):
    """Sends what it is told to, and notes what it hears."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.heard: list[tuple[int, int]] = []
        self.began: list[tuple[int, str]] = []

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {Note: self.on_note}

    def on_note(self, message: Note, envelope: Envelope) -> None:
        self.heard.append((self.now_ns, message.number))

    def neighbour_began(self, name: str) -> None:
        self.began.append((self.now_ns, name))


@dataclass
class Losing:
    """A channel fault that loses the first copies of some messages."""

    sequences: set[int] = field(default_factory=set)

    def deliveries(self, envelope: Envelope, arrival_ns: int) -> Iterable[tuple[Envelope, int]]:
        if envelope.sequence in self.sequences:
            self.sequences.remove(envelope.sequence)
            return []
        return [(envelope, arrival_ns)]


class Dead:
    """A channel fault that loses everything."""

    def deliveries(self, envelope: Envelope, arrival_ns: int) -> Iterable[tuple[Envelope, int]]:
        return []


def network_of_two(restart_after_ns: int | None = None) -> tuple[Network, Talker, Talker]:
    network = Network(keep_history=True)
    alice, bob = Talker("alice"), Talker("bob")
    network.add(alice)
    network.add(bob, restart_after_ns=restart_after_ns)
    network.connect("alice", "bob", latency_ns=LATENCY_NS)
    return network, alice, bob


def test_in_a_network_a_lost_message_is_late_and_recorded_once() -> None:
    network, alice, bob = network_of_two()
    network.channel("alice", "bob").faults.append(Losing({1, 3}))
    for k, time_ns in enumerate((10, 11, 12, 100 * MS)):
        network.timeline.at(time_ns, alice.send, "bob", Note(k))
    assert network.run(for_ns=S).leaks == {}
    second_ns, last_ns = 12 + LATENCY_NS + ROUND_TRIP_NS, 100 * MS + FIRST_WAIT_NS + LATENCY_NS
    assert bob.heard == [(10 + LATENCY_NS, 0), (second_ns, 1), (second_ns, 2), (last_ns, 3)]
    assert network.history.counts["message"] == 4


def test_a_neighbour_that_does_not_answer_is_a_leak_and_the_run_ends() -> None:
    network, alice, bob = network_of_two()
    network.channel("alice", "bob").faults.append(Dead())
    network.timeline.at(10, alice.send, "bob", Note(0))
    assert network.run(for_ns=MS).leaks == {"alice messages unacknowledged": 1}
    assert bob.heard == []


def test_a_crash_of_a_neighbour_is_heard_of_once_and_nothing_of_before_reaches_its_new_life() -> None:
    network, alice, bob = network_of_two(restart_after_ns=3 * MS)
    for k in range(20):
        network.timeline.at(k * MS + 1, alice.send, "bob", Note(k))
    network.timeline.at(5 * MS, network.crash, "bob")
    assert network.run(for_ns=S).leaks == {}
    assert alice.began == [(9 * MS, "bob")]
    assert [number for _, number in bob.heard] == [*range(4), *range(9, 20)]


def test_too_many_unacknowledged_messages_are_refused_and_recorded() -> None:
    network, alice, bob = network_of_two()
    network.channel("alice", "bob").capacity = 2
    for k in range(3):
        network.timeline.at(10, alice.send, "bob", Note(k))
    network.run(for_ns=S)
    assert [number for _, number in bob.heard] == [0, 1]
    assert network.history.counts["queue full"] == 1


def test_acknowledgements_say_what_is_missing() -> None:
    world = World()
    said: list[Message] = []

    def fault(envelope: Envelope) -> list[int]:
        said.append(envelope.message)
        return [] if envelope.message in (Note(0), Note(2)) else [0]

    world.fault = fault
    for k in range(4):
        world.a.say(k)
    world.run(2 * LATENCY_NS - 1)
    assert [m for m in said if isinstance(m, Acknowledgement)] == [Acknowledgement((0,)), Acknowledgement((0, 2))]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_network_with_bad_channels_has_one_history(seed: int) -> None:
    def run() -> str:
        network, alice, bob = network_of_two()
        rng = random.Random(seed)
        for source, sink in (("alice", "bob"), ("bob", "alice")):
            network.channel(source, sink).faults.append(Noisy(random.Random(rng.random())))
        for k in range(200):
            network.timeline.at(k * MS + 1, (alice, bob)[k % 2].send, ("bob", "alice")[k % 2], Note(k))
        assert network.run(for_ns=S).leaks == {}
        assert [n for _, n in bob.heard] == list(range(0, 200, 2))
        assert [n for _, n in alice.heard] == list(range(1, 200, 2))
        return network.history.sha256()

    assert run() == run()


@dataclass
class Noisy:
    """A channel fault that loses, doubles and delays."""

    rng: random.Random

    def deliveries(self, envelope: Envelope, arrival_ns: int) -> Iterable[tuple[Envelope, int]]:
        copies = self.rng.choices((0, 1, 2), (0.3, 0.5, 0.2))[0]
        return [(envelope, arrival_ns + self.rng.randint(0, 10 * MS)) for _ in range(copies)]


def test_a_message_that_still_queues_at_a_slow_line_is_not_repeated() -> None:
    network = Network()
    alice, bob = network.add(Talker("alice")), network.add(Talker("bob"))
    network.connect("alice", "bob", latency_ns=LATENCY_NS, bit_rate_per_s=1e6)
    for k in range(1000):  # they take more than 100 ms to leave
        network.timeline.at(10, alice.send, "bob", Note(k))
    assert network.run(for_ns=S).leaks == {}
    assert [number for _, number in bob.heard] == list(range(1000))
    assert alice._cell.connections["bob"].repeats == 0


def test_what_a_dying_actor_still_sends_is_neither_heard_nor_a_leak() -> None:
    class Dying(Talker):
        async def run(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                self.send("bob", Note(0))

    network = Network()
    network.add(Dying("alice"), restart_after_ns=5 * MS)
    bob = network.add(Talker("bob"))
    network.connect("alice", "bob", latency_ns=LATENCY_NS)
    for time_ms in (10, 60, 80):  # the last two while the run ends: after the second of them it stays down
        network.timeline.at(time_ms * MS, network.crash, "alice")
    assert network.run(for_ns=50 * MS, drain_ns=S).leaks == {}
    assert bob.heard == []
