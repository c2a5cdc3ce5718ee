"""Channels: when exactly a message arrives, what is refused, and what faults may do."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import Channel, Envelope, Message, Timeline, encode
from emulator.channel import ChannelAbroad

NS_PER_KM = 4_890
LENGTHS_KM = [1, 2, 17, 50, 101, 400, 664]


class Letter(Message, frozen=True, tag="channel-letter"):
    number: int
    text: str = ""


@dataclass
class World:
    """A channel on a timeline, and what came out of it."""

    settings: dict[str, Any]
    rate: float = math.inf
    stall: int = -1  # after receiving this number the host stalls for 100 ms
    arrivals: list[tuple[int, int]] = field(default_factory=list)  # number, when

    def __post_init__(self) -> None:
        self.timeline = Timeline(self.rate)
        self.channel = Channel(self.timeline, self.receive, **self.settings)

    def send(self, number: int, text: str = "") -> bool:
        return self.channel.send(Envelope("alice", 1, self.timeline.now_ns, Letter(number, text)))

    def receive(self, envelope: Envelope) -> None:
        assert isinstance(envelope.message, Letter)
        self.arrivals.append((envelope.message.number, self.timeline.now_ns))
        if envelope.message.number == self.stall:
            time.sleep(0.1)

    def run(self, for_ns: int = 10**9) -> list[tuple[int, int]]:
        self.timeline.run(self.timeline.sleep_until, for_ns)
        return self.arrivals


def test_101_km_take_493_890_ns() -> None:
    world = World({"latency_ns": 101 * NS_PER_KM})
    world.timeline.at(1_000, world.send, 0)
    assert world.run() == [(0, 1_000 + 493_890)]


@pytest.mark.parametrize("length_km", LENGTHS_KM)
@pytest.mark.parametrize(("rate", "span_ns"), [(math.inf, 10**9), (1, 10**7), (0.5, 5 * 10**6)])
def test_arrival_is_departure_and_serialisation_and_latency_and_processing(
    length_km: int, rate: float, span_ns: int
) -> None:
    latency_ns = length_km * NS_PER_KM
    world = World({"latency_ns": latency_ns, "processing_ns": 321, "bit_rate_per_s": 1e9}, rate)
    world.timeline.at(777, world.send, 0, "x" * length_km)
    serialisation_ns = 8 * len(encode(Letter(0, "x" * length_km)))
    assert world.run(span_ns) == [(0, 777 + serialisation_ns + latency_ns + 321)]


def test_a_host_that_stalls_for_100_ms_changes_no_arrival() -> None:
    times = [k * 1_000_000 for k in range(8)]
    runs = []
    for rate, stall in ((math.inf, -1), (1.0, 2)):
        world = World({"latency_ns": 101 * NS_PER_KM}, rate, stall)
        for number, time_ns in enumerate(times):
            world.timeline.at(time_ns, world.send, number)
        runs.append(world.run(10**7))
    assert runs[0] == [(number, time_ns + 493_890) for number, time_ns in enumerate(times)]
    assert runs[1] == runs[0]
    assert world.timeline.lag.max_ns > 90_000_000  # it did stall


@settings(derandomize=True, deadline=None, database=None)
@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), max_size=12).map(sorted),
    st.sampled_from([None, 1e6, 1e9, 3e9, 7.7e9, 1e12]),
    st.integers(1, 50),
    st.integers(0, 50),
)
def test_messages_leave_one_after_the_other_and_arrive_in_order(
    letters: list[tuple[int, int]], bit_rate_per_s: float | None, latency_ns: int, processing_ns: int
) -> None:
    world = World({"latency_ns": latency_ns, "processing_ns": processing_ns, "bit_rate_per_s": bit_rate_per_s})
    expected, free_ns = [], 0
    for number, (time_ns, size) in enumerate(letters):
        world.timeline.at(time_ns, world.send, number, "x" * size)
        bits = 8 * len(encode(Letter(number, "x" * size)))
        free_ns = max(free_ns, time_ns) + (0 if bit_rate_per_s is None else math.ceil(bits * 1e9 / bit_rate_per_s))
        expected.append((number, (free_ns if bit_rate_per_s else time_ns) + latency_ns + processing_ns))
    assert world.run() == expected


def test_a_full_channel_refuses_and_counts() -> None:
    world = World({"latency_ns": 100, "capacity": 2})
    answers = []
    for number, time_ns in enumerate([0, 0, 0, 99, 101]):
        world.timeline.at(time_ns, lambda n=number: answers.append(world.send(n)))
    assert world.run() == [(0, 100), (1, 100), (4, 201)]
    assert answers == [True, True, False, False, True]
    assert world.channel.refused == 2
    assert world.channel.under_way == 0


def test_what_is_under_way_is_counted() -> None:
    world = World({"latency_ns": 100})
    seen = []
    for time_ns in (0, 50):
        world.timeline.at(time_ns, world.send, 0)
    for time_ns in (10, 60, 110, 160):
        world.timeline.at(time_ns, lambda: seen.append(world.channel.under_way))
    world.run()
    assert seen == [1, 2, 1, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"latency_ns": 0},
        {"latency_ns": -5},
        {"latency_ns": 5, "processing_ns": -1},
        {"latency_ns": 5, "bit_rate_per_s": 0.0},
        {"latency_ns": 5, "bit_rate_per_s": -1.0},
        {"latency_ns": 5, "bit_rate_per_s": math.nan},
    ],
)
def test_a_channel_that_would_outrun_light_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{list(wrong)[-1]} = .* must "):
        World(wrong)


# -- faults --------------------------------------------------------------------------------------------------------

Deliveries = Iterable[tuple[Envelope, int]]


@dataclass
class Drop:
    numbers: set[int]

    def deliveries(self, envelope: Envelope, arrival_ns: int) -> Deliveries:
        assert isinstance(envelope.message, Letter)
        return [] if envelope.message.number in self.numbers else [(envelope, arrival_ns)]


@dataclass
class Duplicate:
    after_ns: int = 0

    def deliveries(self, envelope: Envelope, arrival_ns: int) -> Deliveries:
        return [(envelope, arrival_ns), (envelope, arrival_ns + self.after_ns)]


@dataclass
class Delay:
    by_ns: int
    numbers: set[int] = field(default_factory=lambda: set(range(100)))

    def deliveries(self, envelope: Envelope, arrival_ns: int) -> Deliveries:
        assert isinstance(envelope.message, Letter)
        return [(envelope, arrival_ns + self.by_ns * (envelope.message.number in self.numbers))]


class DropEverySecond:
    """Counts what it is shown."""

    def __init__(self) -> None:
        self.shown = 0

    def deliveries(self, envelope: Envelope, arrival_ns: int) -> Deliveries:
        self.shown += 1
        return [(envelope, arrival_ns)] if self.shown % 2 else []


def arrivals_with(*faults: Any, sent: int = 3) -> list[tuple[int, int]]:
    world = World({"latency_ns": 100})
    world.channel.faults += faults
    for number in range(sent):
        world.timeline.at(10 * number, world.send, number)
    world.run()
    assert world.channel.under_way == 0
    return world.arrivals


def test_a_fault_drops_duplicates_delays_and_reorders() -> None:
    assert arrivals_with(Drop({1})) == [(0, 100), (2, 120)]
    assert arrivals_with(Duplicate(), sent=2) == [(0, 100), (0, 100), (1, 110), (1, 110)]
    assert arrivals_with(Delay(7)) == [(0, 107), (1, 117), (2, 127)]
    assert arrivals_with(Delay(15, {0})) == [(1, 110), (0, 115), (2, 120)]
    assert arrivals_with(Delay(20, {0})) == [(1, 110), (0, 120), (2, 120)]  # at one instant as they were sent


def test_faults_act_in_the_order_of_the_list() -> None:
    assert arrivals_with(Duplicate(5), DropEverySecond()) == [(0, 100), (1, 110), (2, 120)]
    assert arrivals_with(DropEverySecond(), Duplicate(5)) == [(0, 100), (0, 105), (2, 120), (2, 125)]
    assert arrivals_with(Duplicate(5), Delay(2), Duplicate(1), sent=1) == [(0, 102), (0, 103), (0, 107), (0, 108)]
    assert arrivals_with(Drop({0, 1, 2}), Duplicate()) == []


def test_a_fault_that_alters_a_message_delivers_another() -> None:
    class Corrupt:
        def deliveries(self, envelope: Envelope, arrival_ns: int) -> Deliveries:
            return [(Envelope(envelope.sender, envelope.incarnation, envelope.sent_ns, Letter(99)), arrival_ns)]

    assert arrivals_with(Corrupt(), sent=1) == [(99, 100)]


def test_a_fault_may_take_processing_away_but_cannot_outrun_light() -> None:
    world = World({"latency_ns": 100, "processing_ns": 50})
    world.channel.faults.append(Delay(-50))
    world.timeline.at(0, world.send, 0)
    assert world.run() == [(0, 100)]

    world = World({"latency_ns": 100, "processing_ns": 50})
    world.channel.faults.append(Delay(-51))
    world.timeline.at(20, world.send, 0)
    with pytest.raises(ValueError, match="a fault delivers at 119 ns what left at 20 ns: too fast"):
        world.run()
    assert world.arrivals == []


# -- to another host ---------------------------------------------------------------------------------------------------


@dataclass
class Twins:
    """A channel to an actor here, and one to an actor elsewhere, of the same physics, with the same sends."""

    settings: dict[str, Any]
    rank: int = 5
    arrived: list[tuple[int, Envelope]] = field(default_factory=list)
    carried: list[tuple[int, Envelope]] = field(default_factory=list)
    seen: list[tuple[list[bool], list[int], list[int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.timeline = Timeline()
        here = Channel(self.timeline, lambda e: self.arrived.append((self.timeline.now_ns, e)), **self.settings)
        abroad = ChannelAbroad(self.timeline, lambda time_ns, e: self.carried.append((time_ns, e)), **self.settings)
        self.channels = here, abroad
        for channel in self.channels:
            channel.rank = self.rank

    def send(self, number: int) -> None:
        envelope = Envelope("alice", 1, self.timeline.now_ns, Letter(number, "x" * (number % 5)), sequence=number)
        taken = [channel.send(envelope) for channel in self.channels]
        self.seen.append((taken, [c.under_way for c in self.channels], [c.refused for c in self.channels]))

    def run(self) -> None:
        self.timeline.run(self.timeline.sleep_until, 10**6)
        self.channels[1].settle()
        assert self.arrived == sorted(self.carried, key=lambda arrival: arrival[0])
        assert [channel.under_way for channel in self.channels] == [0, 0]
        for pairs in self.seen:
            assert all(one == other for one, other in pairs), f"{pairs} in {self.seen}"


@settings(derandomize=True, deadline=None, database=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from([1, 4, 6, 9])), max_size=30),
    st.sampled_from([None, 1e9, 7.7e9]),
    st.integers(1, 12),
    st.integers(0, 3),
    st.integers(1, 4),
    st.lists(st.sampled_from([Drop({1, 4}), Duplicate(3), Delay(5, {0, 2, 3}), Delay(1)]), max_size=2),
)
def test_a_channel_to_another_host_counts_and_refuses_as_one_to_here(
    sends: list[tuple[int, int]],
    bit_rate_per_s: float | None,
    latency_ns: int,
    processing_ns: int,
    capacity: int,
    faults: list[Any],
) -> None:
    physics = {"latency_ns": latency_ns, "processing_ns": processing_ns, "bit_rate_per_s": bit_rate_per_s}
    twins = Twins(physics | {"capacity": capacity})
    for channel in twins.channels:
        channel.faults += faults
        assert channel.least_ns == latency_ns + processing_ns
    for number, (time_ns, rank) in enumerate(sends):
        twins.timeline.at(time_ns, twins.send, number, rank=rank)
    twins.run()


@pytest.mark.parametrize("rank", [4, 6])
def test_at_the_instant_of_an_arrival_there_is_room_for_who_comes_after_it(rank: int) -> None:
    twins = Twins({"latency_ns": 10, "capacity": 1})
    twins.timeline.at(3, twins.send, 0, rank=rank)
    twins.timeline.at(13, twins.send, 1, rank=rank)
    twins.run()
    assert [seen[0] for seen in twins.seen] == [[True, True], [rank > 5] * 2]


def test_what_a_clog_held_back_leaves_for_another_host_when_it_lets_go() -> None:
    twins = Twins({"latency_ns": 100, "processing_ns": 20, "capacity": 2})
    envelopes = [Envelope("alice", 1, 5, Letter(number)) for number in range(4)]
    for envelope in envelopes:  # more than the capacity: they came in before
        for channel in twins.channels:
            twins.timeline.at(40, channel.release, envelope, rank=3)
    twins.timeline.at(41, twins.send, 9, rank=3)
    twins.run()
    assert twins.carried == [(160, envelope) for envelope in envelopes]
    assert twins.seen == [([False, False], [4, 4], [1, 1])]


def test_a_fault_cannot_outrun_light_to_another_host() -> None:
    twins = Twins({"latency_ns": 100})
    twins.channels[1].faults.append(Delay(-1))
    twins.timeline.at(20, twins.send, 0)
    with pytest.raises(ValueError, match="too fast"):
        twins.run()
    assert twins.carried == []


def test_nothing_for_another_host_arrives_here() -> None:
    channel = ChannelAbroad(Timeline(), lambda _time_ns, _envelope: None, latency_ns=1)
    with pytest.raises(AssertionError, match="for another host arrived here"):
        channel._deliver(Envelope("alice", 1, 0, Letter(1)))
