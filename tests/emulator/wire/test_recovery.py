"""Rounds in which hosts find out what was lost with a host: their order, and what cannot be."""

from __future__ import annotations

import random
from collections import deque

import pytest

from emulator.wire.frames import Held
from emulator.wire.framing import WireError
from emulator.wire.recovery import Recovery

Q = ("alice", 0, 1)


def held(round_: int, *qubits: tuple[str, int, int]) -> Held:
    return Held(round_, list(qubits))


def test_at_first_nothing_is_lost_and_no_round_goes_on() -> None:
    recovery = Recovery({"east", "north"})
    assert recovery.is_over
    assert recovery.round == 0
    assert recovery.others == ["east", "north"]
    assert not recovery.take_stock()
    assert not recovery.end()


def test_a_round_of_three_goes_through_its_steps_in_order() -> None:
    recovery = Recovery({"east", "north", "south"})
    recovery.begin("south")
    assert (recovery.gone, recovery.round, recovery.others) == ({"south"}, 1, ["east", "north"])
    assert not recovery.is_over
    recovery.hear("east", 1)
    assert not recovery.take_stock()  # north may still be sending something
    recovery.hear("north", 1)
    assert recovery.take_stock()
    assert not recovery.take_stock()  # once
    assert not recovery.end()
    recovery.hear_held("east", held(1, Q))
    assert recovery.news() == [("east", held(1, Q))]
    assert recovery.news() == []  # each once
    assert not recovery.end()
    recovery.hear_held("north", held(1))
    assert recovery.news() == [("north", held(1))]
    assert recovery.end()
    assert not recovery.end()
    assert recovery.is_over


def test_whoever_is_alone_takes_stock_and_is_done_at_once() -> None:
    recovery = Recovery({"east"})
    recovery.begin("east")
    assert recovery.take_stock()
    assert recovery.news() == []
    assert recovery.end()


def test_another_host_may_have_given_up_one_before_this_host_hears_of_it() -> None:
    recovery = Recovery({"east", "north"})
    recovery.hear("east", 1)
    assert recovery.is_over
    recovery.begin("north")
    assert recovery.take_stock()


def test_what_another_host_has_is_kept_until_this_host_has_taken_stock() -> None:
    recovery = Recovery({"east", "north", "south"})
    recovery.begin("south")
    recovery.hear("east", 1)
    recovery.hear_held("east", held(1, Q))  # it has heard of north, which this host has not
    assert recovery.news() == []
    recovery.hear("north", 1)
    assert recovery.take_stock()
    assert recovery.news() == [("east", held(1, Q))]


def test_a_host_that_is_lost_during_a_round_begins_the_next_which_takes_its_place() -> None:
    recovery = Recovery({"east", "north", "south"})
    recovery.begin("south")
    recovery.hear("east", 1)
    recovery.hear("north", 1)
    assert recovery.take_stock()
    recovery.hear_held("east", held(1, Q))
    recovery.begin("north")
    assert recovery.news() == []  # what was said in the last round does not count
    assert not recovery.take_stock()
    recovery.hear("east", 2)
    assert recovery.take_stock()
    recovery.hear_held("east", held(1))  # a late word of the last round says nothing
    assert recovery.news() == []
    assert not recovery.end()
    recovery.hear_held("east", held(2, Q))
    assert recovery.news() == [("east", held(2, Q))]
    assert recovery.end()


def test_two_that_are_lost_at_once_are_one_step_for_whoever_hears_of_both_later() -> None:
    recovery = Recovery({"east", "north", "south"})
    recovery.hear("east", 1)
    recovery.hear("east", 2)
    recovery.begin("south")
    assert not recovery.take_stock()  # north is silent
    recovery.begin("north")
    assert recovery.take_stock()


@pytest.mark.parametrize("hosts", [-1, 0, 2, 3, 1 << 60])
def test_a_number_of_lost_hosts_that_cannot_be_is_refused(hosts: int) -> None:
    recovery = Recovery({"east", "north"})
    with pytest.raises(WireError, match="which cannot be"):
        recovery.hear("east", hosts)
    assert recovery._rounds == {"east": 0, "north": 0}


def test_a_host_says_once_that_it_has_given_up_one() -> None:
    recovery = Recovery({"east", "north"})
    recovery.hear("east", 1)
    with pytest.raises(WireError, match="given up 1 hosts, which cannot be"):
        recovery.hear("east", 1)


@pytest.mark.parametrize(("heard", "begun", "told"), [(0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 2), (0, 0, 1 << 60)])
def test_what_a_host_has_is_not_heard_before_both_have_given_up(heard: int, begun: int, told: int) -> None:
    recovery = Recovery({"east", "north"})
    if heard:
        recovery.hear("east", 1)
    if begun:
        recovery.begin("north")
    with pytest.raises(WireError, match=f"after {told} hosts were given up, which is not for now"):
        recovery.hear_held("east", held(told, Q))
    assert recovery._news == {}


class World:
    """Hosts that hear of losses one after the other, all in one order, each at any time; frames come in order."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        names = [f"host {k}" for k in range(rng.randint(2, 5))]
        self.hosts = {name: Recovery(set(names) - {name}) for name in names}
        self.news: dict[str, list[str]] = {name: [] for name in names}  # of those who live
        self.queues: dict[tuple[str, str], deque[int | Held]] = {}
        self.ended: dict[str, int] = {}

    def lose(self, lost: str) -> None:
        del self.news[lost]
        for told in self.news.values():
            told.append(lost)

    def step(self) -> bool:
        """Let a frame or the news of a loss come; return whether there was any."""
        steps: list[str | tuple[str, str]] = [name for name, told in self.news.items() if told]
        steps += [ends for ends, queue in self.queues.items() if queue and self._is_open(*ends)]
        if not steps:
            return False
        step = self.rng.choice(steps)
        if isinstance(step, str):
            self.hosts[step].begin(self.news[step].pop(0))
            self._say(step, self.hosts[step].round)
            self._go_on(step)
        else:
            self._take(*step, self.queues[step].popleft())
        return True

    def _is_open(self, source: str, sink: str) -> bool:
        return sink in self.news and source not in self.hosts[sink].gone

    def _take(self, source: str, sink: str, frame: int | Held) -> None:
        if isinstance(frame, Held):
            self.hosts[sink].hear_held(source, frame)
        else:
            self.hosts[sink].hear(source, frame)
        self._go_on(sink)

    def _go_on(self, name: str) -> None:
        recovery = self.hosts[name]
        if recovery.take_stock():
            self._say(name, held(recovery.round))
        recovery.news()
        if recovery.end():
            self.ended[name] = recovery.round

    def _say(self, name: str, frame: int | Held) -> None:
        for other in self.hosts[name].others:
            self.queues.setdefault((name, other), deque()).append(frame)


@pytest.mark.parametrize("seed", range(100))
def test_rounds_end_at_all_who_are_left_however_frames_come(seed: int) -> None:
    rng = random.Random(seed)
    world = World(rng)
    losses = rng.sample(list(world.hosts), rng.randint(1, len(world.hosts) - 1))
    count = len(losses)
    while world.step() or losses:
        if losses and rng.random() < 0.1:
            world.lose(losses.pop())
    assert {world.ended[name] for name in world.news} == {count}
    assert all(world.hosts[name].is_over for name in world.news)
