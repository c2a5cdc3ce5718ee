"""How several clocks come to stand at one instant, and go on from there."""

from __future__ import annotations

import math
import random
from typing import Any

import msgspec
import pytest

from emulator.wire.frames import GoOn, Halt, Halted, Put, Stand, Standing
from emulator.wire.framing import Frame, WireError
from scenarios.hosts.steering import Steering

HOSTS = ("east", "north", "west")
NO_FIELDS = msgspec.msgpack.encode(())


class Room:
    """A steering, and what it has said."""

    def __init__(self) -> None:
        self.said: list[Frame] = []
        self.told: list[str] = []
        self.steering = Steering(HOSTS, math.inf, say=self.said.append, tell=self.told.append)

    def hear(self, times_ns: dict[str, int]) -> None:
        for host, time_ns in times_ns.items():
            self.steering.hear(host, Halted(time_ns))

    def all_stand(self) -> None:
        for host in HOSTS:
            self.steering.hear(host, Standing())

    def come_to_stand(self, *, at_ns: int) -> None:
        self.hear({"east": at_ns - 1, "north": at_ns, "west": 0})
        self.all_stand()

    def take(self) -> list[Frame]:
        said = self.said.copy()
        self.said.clear()
        return said


@pytest.fixture
def room() -> Room:
    return Room()


def test_all_stand_where_the_latest_of_them_halts_before_anything_is_put_in(room: Room) -> None:
    room.steering.put("interrupt")
    assert room.take() == [Halt()]
    room.hear({"west": 7, "north": 12})
    assert room.take() == []
    assert room.steering.awaited == ["east"]
    room.hear({"east": 3})
    assert room.take() == [Stand(12)]
    room.all_stand()
    assert room.take() == [Put(13, "interrupt", NO_FIELDS), GoOn(math.inf)]
    assert room.steering.awaited == []
    assert room.told == []


def test_a_pause_lasts_until_it_ends_and_what_comes_meanwhile_is_put_in_at_one_instant(room: Room) -> None:
    room.steering.pause()
    room.take()
    room.come_to_stand(at_ns=2_000)
    assert room.take() == [Stand(2_000)]
    assert room.steering.is_standing
    assert room.told == ["paused at 0.000002000 s"]
    room.steering.put("heal")
    room.steering.put("heal", "rain")
    puts = [Put(2_001, "heal", NO_FIELDS), Put(2_001, "heal", msgspec.msgpack.encode(("rain",)))]
    assert room.take() == puts
    room.steering.pause()
    assert room.take() == []
    room.steering.resume()
    assert room.take() == [GoOn(math.inf)]
    assert not room.steering.is_standing


def test_a_new_rate_is_told_to_all_once_they_stand(room: Room) -> None:
    room.steering.set_rate(0.5)
    room.take()
    room.come_to_stand(at_ns=5_000_000_000)
    assert room.take() == [Stand(5_000_000_000), GoOn(0.5)]
    assert room.told == ["from 5.000000000 s on at 0.5 x real time"]
    room.steering.set_rate(math.inf)
    room.take()
    room.come_to_stand(at_ns=6_000_000_000)
    assert room.take() == [Stand(6_000_000_000), GoOn(math.inf)]
    assert room.told[1:] == ["from 6.000000000 s on as fast as possible"]
    assert room.steering.rate == math.inf


def test_who_resumes_before_all_stand_does_not_wait(room: Room) -> None:
    room.steering.pause()
    room.steering.resume()
    room.come_to_stand(at_ns=9)
    assert room.take() == [Halt(), Stand(9), GoOn(math.inf)]
    assert room.told == []
    room.steering.resume()
    assert room.take() == []


def test_a_lost_host_is_not_waited_for(room: Room) -> None:
    room.steering.pause()
    room.hear({"east": 4, "west": 8})
    room.steering.give_up("north")
    assert room.take() == [Halt(), Stand(8)]
    room.steering.hear("east", Standing())
    room.steering.give_up("west")
    assert room.steering.is_standing


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, 1e-12])
def test_a_rate_that_cannot_be_is_refused(room: Room, rate: float) -> None:
    with pytest.raises(ValueError, match="a rate is at least"):
        room.steering.set_rate(rate)
    assert room.take() == []


@pytest.mark.parametrize(
    ("heard", "wrong"),
    [
        ([], Halted(1)),
        ([], Standing()),
        (["halt"], Standing()),
        (["halt", Halted(1)], Halted(1)),
    ],
)
def test_who_halts_or_stands_unasked_breaks_the_protocol(room: Room, heard: list[Any], wrong: Any) -> None:
    for entry in heard:
        if entry == "halt":
            room.steering.pause()
        else:
            room.steering.hear("east", entry)
    with pytest.raises(WireError, match="was not to be"):
        room.steering.hear("east", wrong)


class Crowd(Room):
    """A room whose hosts answer when they come to it."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng
        self._queues: dict[str, list[Frame]] = {host: [] for host in HOSTS}
        self._clock_ns = 0
        self.asked = self.put_in = 0

    def ask(self) -> None:
        """Ask for anything."""
        match self._rng.randrange(4):
            case 0:
                self.steering.pause()
            case 1:
                self.steering.resume()
            case 2:
                self.steering.put("heal", str(self.asked))
                self.asked += 1
            case _:
                self.steering.set_rate(self._rng.choice([1.0, 2.0]))

    def answer(self) -> bool:
        """Let a host answer one frame; return whether there was any."""
        self._listen()
        if not (full := [host for host in HOSTS if self._queues[host]]):
            return False
        host = self._rng.choice(full)
        frame = self._queues[host].pop(0)
        if isinstance(frame, Halt):
            self._clock_ns += self._rng.randrange(5)
            self.steering.hear(host, Halted(self._clock_ns))
        elif isinstance(frame, Stand):
            assert frame.time_ns == self._clock_ns
            self.steering.hear(host, Standing())
        return True

    def _listen(self) -> None:
        for frame in self.take():
            self.put_in += isinstance(frame, Put)
            for queue in self._queues.values():
                queue.append(frame)


@pytest.mark.parametrize("seed", range(100))
def test_whatever_is_asked_when_all_go_on_at_last_and_every_input_is_put_in_once(seed: int) -> None:
    rng = random.Random(seed)
    crowd = Crowd(rng)
    for _ in range(120):
        if rng.random() < 0.4:
            crowd.ask()
        else:
            crowd.answer()
    crowd.steering.resume()
    while crowd.answer():
        pass
    assert crowd.put_in == crowd.asked
    assert crowd.steering.awaited == []
    assert not crowd.steering.is_standing
