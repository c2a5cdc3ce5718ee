"""When nothing goes on anywhere, and nothing is under way."""

from __future__ import annotations

import pytest

from emulator.wire.frames import Quiet, Settle
from emulator.wire.framing import Frame
from scenarios.hosts.settling import Settling


class Room:
    """Two hosts that settle."""

    def __init__(self) -> None:
        self.said: list[Frame] = []
        self.settling = Settling(["east", "west"], self.said.append)

    def hear(self, wave: int, **counts: tuple[int, int]) -> bool:
        for host, (sent, received) in counts.items():
            self.settling.hear(host, Quiet(sent, received, wave))
        return self.settling.is_over()


@pytest.fixture
def room() -> Room:
    return Room()


def test_it_is_over_when_all_are_quiet_twice_with_the_same_counts(room: Room) -> None:
    assert not room.hear(0, east=(3, 2))
    assert not room.hear(0, west=(2, 3))
    assert room.said == [Settle(1)]
    assert not room.hear(1, east=(3, 2))
    assert room.hear(1, west=(2, 3))
    assert room.said == [Settle(1)]


def test_a_message_that_is_under_way_keeps_it_going(room: Room) -> None:
    assert not room.hear(0, east=(3, 2), west=(2, 2))
    assert room.said == []
    assert not room.hear(0, west=(3, 3))  # it has answered
    assert room.said == []
    assert not room.hear(0, east=(3, 3))
    assert room.said == [Settle(1)]


def test_counts_that_agree_by_chance_are_found_out_by_the_second_wave(room: Room) -> None:
    assert not room.hear(0, east=(1, 1), west=(1, 1))
    assert not room.hear(1, east=(1, 1), west=(2, 2))  # two had been under way, and have crossed the question
    assert room.said == [Settle(1), Settle(2)]
    assert room.hear(2, east=(1, 1), west=(2, 2))


def test_what_was_said_before_a_host_was_lost_does_not_count(room: Room) -> None:
    room.hear(0, east=(3, 2), west=(0, 0))
    room.settling.give_up("west")
    assert room.said == [Settle(1)]
    assert not room.settling.is_over()
    assert not room.hear(0, east=(0, 0))
    assert not room.hear(1, east=(0, 0))
    assert room.hear(2, east=(0, 0))
