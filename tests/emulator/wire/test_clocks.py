"""What hosts promise each other: nobody is overtaken, and nobody waits for ever."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.time import END_NS
from emulator.wire.clocks import LEAST_RANK, START, Clocks
from emulator.wire.frames import Moment


def test_the_horizon_is_just_below_the_least_that_can_come() -> None:
    clocks = Clocks({"east": 100, "north": 30, "south": None})
    assert clocks.horizon_ns == 29
    clocks.hear("north", (200, 5), None)
    assert clocks.horizon_ns == 99
    clocks.hear("east", (500, 5), None)
    assert clocks.horizon_ns == 229
    clocks.hear("south", (10, 5), None)  # from where nothing comes
    assert clocks.horizon_ns == 229


def test_without_channels_from_elsewhere_there_is_no_horizon() -> None:
    assert Clocks({"east": None}).horizon_ns == END_NS
    assert Clocks({}).horizon_ns == END_NS


def test_what_is_needed_lets_just_that_instant_happen() -> None:
    clocks = Clocks({"east": 100, "north": 30, "south": None})
    assert clocks.needs(29) == {}
    assert clocks.needs(30) == {"north": (1, LEAST_RANK)}
    wants = clocks.needs(5_000)
    assert wants == {"east": (4_901, LEAST_RANK), "north": (4_971, LEAST_RANK)}
    for peer, moment in wants.items():
        clocks.hear(peer, moment, None)
    assert clocks.horizon_ns == 5_000
    assert clocks.needs(5_000) == {}


def test_news_are_told_to_those_who_ask_when_they_are_there_or_this_host_is_stuck() -> None:
    clocks = Clocks({"east": 100, "north": 100})
    assert clocks.tell((50, 1), {}, stuck=True) == {}  # nobody asks
    clocks.hear("east", (10, 0), (80, 3))
    assert clocks.milestone == (80, 3)
    assert clocks.tell((60, 1), {}, stuck=False) == {}  # not there yet
    assert clocks.tell((70, 1), {}, stuck=True) == {"east": ((70, 1), None)}  # but this is all there is
    assert clocks.tell((70, 1), {}, stuck=True) == {}  # no news
    assert clocks.tell((80, 2), {}, stuck=False) == {}
    assert clocks.tell((80, 3), {}, stuck=False) == {"east": ((80, 3), None)}
    assert clocks.milestone is None
    assert clocks.told_ns == 80
    assert clocks.tell((99, 1), {}, stuck=True) == {}  # whoever got what they asked for is not bothered


def test_a_want_is_told_once_and_again_when_it_is_another() -> None:
    clocks = Clocks({"east": 100, "north": 100})
    assert clocks.tell((5, 1), {"east": (9, 0)}, stuck=True) == {"east": ((5, 1), (9, 0))}
    assert clocks.awaited == ["east"]
    assert clocks.tell((5, 1), {"east": (9, 0)}, stuck=True) == {}
    assert clocks.tell((6, 1), {"east": (9, 0)}, stuck=True) == {}
    assert clocks.tell((6, 1), {"east": (12, 0)}, stuck=True) == {"east": ((6, 1), (12, 0))}
    clocks.hear("east", (12, 0), None)
    assert clocks.awaited == []


def test_a_later_frame_takes_the_place_of_an_earlier_one() -> None:
    clocks = Clocks({"east": 100, "north": 100})
    clocks.hear("east", (1, 0), (80, 0))
    clocks.hear("north", (1, 0), (60, 0))
    assert clocks.milestone == (60, 0)
    clocks.hear("north", (2, 0), (90, 0))
    assert clocks.milestone == (80, 0)
    clocks.hear("east", (2, 0), None)
    assert clocks.milestone == (90, 0)


@pytest.mark.parametrize("position", [(9, 7), (10, 6), START])
def test_a_promise_cannot_be_taken_back(position: Moment) -> None:
    clocks = Clocks({"east": 100})
    clocks.hear("east", (10, 7), None)
    with pytest.raises(ValueError, match=r"its clock went back from 10 ns to \d+ ns"):
        clocks.hear("east", position, (99, 0))
    assert clocks.heard == {"east": (10, 7)}
    assert clocks.milestone is None
    clocks.hear("east", (10, 7), None)  # to say it again takes nothing back


def test_nothing_is_expected_of_a_host_that_was_given_up_and_nobody_waits_there() -> None:
    clocks = Clocks({"east": 100, "north": 30})
    clocks.hear("north", (5, 0), (80, 3))
    clocks.tell((10, 1), {"north": (60, 0), "east": (60, 0)}, stuck=True)
    assert clocks.horizon_ns == 34
    clocks.give_up("north")
    assert clocks.horizon_ns == 99
    assert clocks.milestone is None
    assert clocks.awaited == ["east"]
    assert clocks.needs(5_000) == {"east": (4_901, LEAST_RANK)}
    assert clocks.heard["north"] > (5_000, 0)  # so that operations wait for it no more
    assert clocks.tell((90, 1), {"north": (99, 0)}, stuck=True) == {}
    clocks.give_up("east")
    assert clocks.horizon_ns == END_NS
    assert clocks.told_ns == 0


# -- several hosts -----------------------------------------------------------------------------------------------------


@dataclass
class Host:
    """Has its own events, and an event may send something to others, who make an event of it."""

    world: World
    name: str
    clocks: Clocks
    agenda: list[Moment]
    milestone: Moment | None = None
    stopped_at: tuple[int, int] = (-1, -1)
    now: Moment = START
    blocked: dict[str, Moment] = field(default_factory=dict)

    @property
    def due(self) -> Moment:
        return self.agenda[0] if self.agenda else (END_NS + 1, 0)

    def step(self) -> bool:
        """Do one thing as the timeline would, at the gate or an event; return False if there is nothing to do."""
        if self.blocked:
            return False
        due, horizon_ns = self.due, self.clocks.horizon_ns
        stuck = due[0] > horizon_ns
        if stuck and self.stopped_at == (horizon_ns, due[0]):
            return False
        if stuck or (self.milestone is not None and due >= self.milestone):
            if stuck:
                self.stopped_at = horizon_ns, due[0]
            position = min(due, (horizon_ns + 1, LEAST_RANK))
            self.tell(position, self.clocks.needs(due[0]) if stuck else {}, stuck=stuck)
            self.set_milestone(position)
        else:
            self.act(heappop(self.agenda))
        return True

    def act(self, moment: Moment) -> None:
        assert moment >= self.now, f"{self.name} does at {moment} what should have come before {self.now}"
        self.now = moment
        self.world.happened += 1
        rng = self.world.rng
        for other in self.world.names:
            least_ns = self.world.lookahead_ns[self.name, other]
            if least_ns is not None and other != self.name and rng.random() < 0.3 and moment[0] < self.world.end_ns:
                arrival_ns = moment[0] + least_ns + rng.choice((0, 0, 7, 1_000))
                self.world.queues.setdefault((self.name, other), deque()).append((arrival_ns, moment[1]))
        if rng.random() < self.world.share_of_operations:  # it needs somebody to have come to its own moment
            other = rng.choice([name for name in self.world.names if name != self.name])
            self.blocked = {other: moment}
            self.go_on()

    def go_on(self) -> None:
        if all(self.clocks.heard[peer] >= moment for peer, moment in self.blocked.items()):
            self.blocked = {}
            self.set_milestone(self.now)
        else:
            self.tell(self.now, self.blocked, stuck=True)

    def tell(self, position: Moment, wants: dict[str, Moment], *, stuck: bool) -> None:
        for other, frame in self.clocks.tell(position, wants, stuck=stuck).items():
            self.world.queues.setdefault((self.name, other), deque()).append(frame)
            self.world.promises += 1

    def set_milestone(self, position: Moment) -> None:
        asked = self.clocks.milestone
        self.milestone = asked if asked is not None and asked > position else None

    def take(self, other: str, frame: tuple[Moment, Moment | None] | Moment) -> None:
        if isinstance(frame[0], int):
            arrival_ns, rank = frame
            least_ns = self.world.lookahead_ns[other, self.name]
            assert arrival_ns >= self.clocks.heard[other][0] + least_ns, f"{other} breaks its promise to {self.name}"
            assert arrival_ns > self.now[0], f"{self.name} was at {self.now} too early"
            heappush(self.agenda, (arrival_ns, self.world.names.index(self.name) * 100 + rank))
        else:
            self.clocks.hear(other, *frame)
        if self.blocked:
            self.go_on()
        else:
            self.set_milestone(START)
            self.stopped_at = (-1, -1)


@dataclass
class World:
    """Hosts and what is under way between them."""

    rng: random.Random
    lookahead_ns: dict[tuple[str, str], int | None]
    events: dict[str, list[int]]
    end_ns: int
    share_of_operations: float
    queues: dict[tuple[str, str], deque] = field(default_factory=dict)
    happened: int = 0
    promises: int = 0

    def __post_init__(self) -> None:
        self.names = sorted(self.events)
        self.hosts = {}
        for number, name in enumerate(self.names):
            clocks = Clocks({other: self.lookahead_ns[other, name] for other in self.names if other != name})
            agenda = sorted((time_ns, number + 1) for time_ns in [*self.events[name], self.end_ns])
            self.hosts[name] = Host(self, name, clocks, agenda)

    def run(self) -> None:
        """Let hosts act and frames arrive in a random order until all have done everything up to the end."""
        while any(host.due[0] <= self.end_ns or host.blocked for host in self.hosts.values()):
            steps = [*self.hosts, *(ends for ends, queue in self.queues.items() if queue)]
            self.rng.shuffle(steps)
            assert any(self.step(what) for what in steps), f"all wait for each other: {self.hosts}"

    def step(self, what: str | tuple[str, str]) -> bool:
        if isinstance(what, str):
            return self.hosts[what].step()
        source, sink = what
        self.hosts[sink].take(source, self.queues[what].popleft())
        return True


@settings(derandomize=True, deadline=None, database=None, max_examples=150)
@given(
    st.integers(2, 5),
    st.integers(0, 2**32),
    st.sampled_from([20, 1_000, 100_000]),
    st.sampled_from([0.0, 0.1, 0.5]),
)
def test_hosts_always_come_to_the_end_and_nobody_is_overtaken(
    hosts: int, seed: int, span_ns: int, share_of_operations: float
) -> None:
    rng = random.Random(seed)
    names = [f"host {k}" for k in range(hosts)]
    longest = max(1, span_ns // rng.choice((2, 10, 30)))
    ways = {frozenset((a, b)): rng.choice((None, 1 + rng.randrange(longest), longest)) for a in names for b in names}
    lookahead_ns = {(a, b): ways[frozenset((a, b))] for a in names for b in names}
    if 1 in lookahead_ns.values():
        span_ns = min(span_ns, 300)  # each promise brings them a lookahead further
    events = {name: [rng.randrange(1, span_ns) for _ in range(rng.choice((0, 3, 20)))] for name in names}
    world = World(rng, lookahead_ns, events, span_ns, share_of_operations)
    world.run()
    assert all(host.now[0] >= span_ns for host in world.hosts.values())


def test_promises_cost_a_frame_for_each_lookahead_and_not_for_each_event() -> None:
    lookahead_ns: dict[tuple[str, str], int | None] = {("a", "b"): 1_000, ("b", "a"): 1_000, ("a", "a"): None}
    world = World(random.Random(1), lookahead_ns | {("b", "b"): None}, {"a": [*range(1, 20_000)], "b": []}, 20_000, 0.0)
    for host in world.hosts.values():
        host.act = lambda moment, host=host: setattr(host, "now", moment)  # type: ignore[method-assign,misc]
    world.run()
    assert world.promises < 100
