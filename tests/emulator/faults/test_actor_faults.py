"""Crashes, pauses, and messages that are overlooked."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import trio

from emulator import MS, Actor, FaultError


def test_a_crash_lasts_as_long_as_it_says_whatever_the_policy_of_the_actor(talk: SimpleNamespace) -> None:
    network, _, bob = talk.pair()
    fault = network.inject("crash", "bob", start_ns=10 * MS, end_ns=30 * MS)
    outcome = network.run(for_ns=60 * MS)
    lives = [(r.time_ns, r.kind) for r in talk.records_of(network, "begins", "crashes") if r.actor == "bob"]
    assert lives == [(0, "begins"), (10 * MS, "crashes"), (30 * MS, "begins")]
    assert outcome.leaks == {}
    assert fault.fired == 1
    assert not [number for time_ns, number in bob.heard if 10 * MS <= time_ns < 30 * MS]
    assert max(time_ns for time_ns, _ in bob.heard) > 40 * MS


def test_a_crash_without_an_end_lasts_for_its_down_time(talk: SimpleNamespace) -> None:
    network, *_ = talk.pair()
    fault = network.inject("crash", "bob", start_ns=10 * MS, down_s=0.005)
    network.run(for_ns=60 * MS)
    assert fault.ended_ns == 15 * MS


def test_who_is_down_at_the_end_of_the_run_comes_back_to_give_up_what_it_has(talk: SimpleNamespace) -> None:
    network, *_ = talk.pair()
    network.inject("crash", "bob", start_ns=10 * MS, down_s=1000)
    assert network.run(for_ns=20 * MS).leaks == {}


def test_a_paused_actor_is_late_and_loses_nothing(talk: SimpleNamespace) -> None:
    network, alice, bob = talk.pair()
    fault = network.inject("pause", "bob", start_ns=10 * MS, end_ns=25 * MS)
    network.run(for_ns=60 * MS)
    times = {number: time_ns for time_ns, number in bob.heard}
    assert times[8] == 9 * MS
    assert {times[number] for number in range(9, 24)} == {25 * MS}
    assert times[25] == 26 * MS
    assert [number for _, number in bob.heard] == list(range(1, alice.sent + 1))
    assert fault.fired == 15


def test_timers_of_a_paused_actor_fire_late_and_what_its_tasks_send_goes_out_late(talk: SimpleNamespace) -> None:
    network, alice, bob = talk.pair(most=0)

    class Sleeper(talk.Talker):  # type: ignore[name-defined,misc]
        async def run(self) -> None:
            await trio.sleep(0.012)
            self.send("bob", talk.Count(7))
            await self.operate(5 * MS, lambda: self.record("operated"))
            self.send("bob", talk.Count(8))

    network.add(Sleeper("carol", "", most=0))
    network.connect("carol", "bob", latency_ns=MS)
    network.timeline.at(1, alice.after, 11 * MS, alice.send, "bob", talk.Count(5))
    for name in ("alice", "carol"):
        network.inject("pause", name, start_ns=10 * MS, end_ns=30 * MS)
    outcome = network.run(for_ns=60 * MS)
    assert bob.heard == [(31 * MS, 5), (31 * MS, 7), (31 * MS, 8)]
    assert [record.time_ns for record in talk.records_of(network, "operated")] == [30 * MS]
    assert outcome.leaks == {}


def test_a_crash_during_a_pause_ends_it(talk: SimpleNamespace) -> None:
    network, _, bob = talk.pair()

    class Operator(Actor):
        async def run(self) -> None:
            while self.incarnation == 1:
                await self.operate(3 * MS, lambda: None)

    network.add(Operator("carol"), restart_after_ns=MS)
    for name in ("bob", "carol"):
        network.inject("pause", name, start_ns=10 * MS, end_ns=30 * MS)
        network.timeline.at(20 * MS, network.crash, name)
    outcome = network.run(for_ns=60 * MS)
    assert outcome.leaks == {}
    assert min(time_ns for time_ns, _ in bob.heard if time_ns >= 10 * MS) < 25 * MS, "its next life is not paused"


def test_a_pause_that_lasts_to_the_end_leaves_nothing(talk: SimpleNamespace) -> None:
    network, alice, bob = talk.pair()
    network.inject("pause", "bob", start_ns=10 * MS)
    assert network.run(for_ns=20 * MS).leaks == {}
    assert [number for _, number in bob.heard] == list(range(1, alice.sent + 1))


def test_overlooked_messages_are_as_many_as_it_says(talk: SimpleNamespace) -> None:
    network, alice, bob = talk.pair()
    network.timeline.at(5 * MS, network.cell("bob").overlook, 1, talk.Count, lambda message: message.number % 3 == 0)
    network.timeline.at(20 * MS, network.cell("bob").overlook, 1, None)
    network.run(for_ns=40 * MS)
    heard = {number for _, number in bob.heard}
    assert set(range(1, alice.sent + 1)) - heard == {6, 9, 12, 15, 18}


def test_a_slow_host_makes_lag_and_the_same_history(talk: SimpleNamespace) -> None:
    histories = []
    for rate in (math.inf, 1.0):
        network, _, bob = talk.pair(rate=rate, most=20)
        fault = network.inject("slow-host", "host", start_ns=5 * MS, end_ns=15 * MS, stall_ms=3, every_ms=4)
        network.run(for_ns=30 * MS)
        assert (len(bob.heard), fault.fired) == (20, 3)
        histories.append(network.history.sha256())
    assert network.timeline.lag.max_ns > 2 * MS  # the next message is due within 1 ms of a stall of 3 ms
    assert histories[0] == histories[1]
    with pytest.raises(FaultError, match="there is one host, and it is called 'host', not 'bob'"):
        network.inject("slow-host", "bob")


def test_an_actor_that_stood_still_can_cancel_what_it_is_late_for(talk: SimpleNamespace) -> None:
    network, _, bob = talk.pair(most=2)
    rung: list[str] = []

    def begin() -> None:
        timers = [bob.alarm(12 * MS, rung.append, "first"), bob.alarm(13 * MS, rung.append, "second")]
        bob.after(11 * MS, timers[1].cancel)  # it is late for this as well, and for both timers
        bob.after(11 * MS, timers[1].cancel)

    network.timeline.at(1, begin)
    network.inject("pause", "bob", start_ns=10 * MS, end_ns=20 * MS)
    network.timeline.at(19 * MS, lambda: rung.append("19 ms"))
    network.run(for_ns=30 * MS)
    assert rung == ["19 ms", "first"]
