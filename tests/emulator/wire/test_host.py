"""A host's share of a network: operations wait for others in the middle of an event, wherever it is that they act."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing

from emulator import Actor, Network, Snapshot
from emulator.time import END_NS, LAST_RANK
from emulator.wire.frames import PEER_CODEC, Clock, GaveUp, Held, Moment
from emulator.wire.framing import Frame
from emulator.wire.host import HostShare
from emulator.wire.peer import Peer


class Alone:
    """Conducts a run of one host."""

    def __init__(self, share: HostShare) -> None:
        self._share = share

    def begun(self) -> None:
        trio.lowlevel.current_trio_token().run_sync_soon(self._share.pace, 0)

    def quiet(self, sent: int, received: int) -> None:
        trio.lowlevel.current_trio_token().run_sync_soon(self._share.finish)

    def witness(self, actor: str, truth: Snapshot) -> None: ...

    def lost(self, host: str, reason: str) -> None: ...

    async def talk(self, nursery: trio.Nursery) -> None: ...

    def lines(self) -> tuple[Peer, ...]:
        return ()


class Waiter(Actor):
    """Does something that has to wait for others, at 10 ns, in one of several places."""

    def __init__(self, place: str, operate: Callable[[], None]) -> None:
        super().__init__("alice")
        self._place = place
        self._operate = operate

    def begin(self) -> None:
        if self._place == "a handler":
            self.after(10, self._operate)

    async def run(self) -> None:
        if self._place == "its run":
            await self.sleep(10)
            self._operate()
        elif self._place == "a task of a task of its run":
            await self._nested(2)

    async def _nested(self, depth: int) -> None:
        async with trio.open_nursery() as nursery:
            if depth:
                nursery.start_soon(self._nested, depth - 1)
            else:
                await self.sleep(10)
                self._operate()


@pytest.mark.parametrize("place", ["a handler", "its run", "a task of a task of its run"])
def test_an_operation_waits_and_time_with_it_wherever_it_is_done(place: str) -> None:
    share = HostShare("here", {"alice": "here"})
    trace: list[object] = []
    answers = iter([False, False, False, False, True])

    def ready(now: Moment, _wants: dict[str, Moment]) -> bool:
        trace.append(("asked", now[0]))
        if answer := next(answers):
            return answer
        assert network.token is not None
        network.token.run_sync_soon(share._take, "nobody", [])  # something comes, and it is asked again
        return False

    def operate() -> None:
        trace.append("begins")
        share.until(ready)
        trace.append("ends")

    network = Network(share=share)
    network.add(Waiter(place, operate))
    share.join(network, {}, Alone(share))
    for time_ns in (10, 11):
        network.timeline.at(time_ns, trace.append, time_ns, rank=LAST_RANK)
    assert network.run(for_ns=20).leaks == {}
    assert trace == ["begins", *[("asked", 10)] * 5, "ends", 10, 11]
    assert share.waits == 1


# -- another host, of which a test says what it says -------------------------------------------------------------------


class Line(Peer):
    """A line to a host that is not there; keeps what is sent."""

    def __init__(self, name: str) -> None:
        super().__init__(name, trio.testing.memory_stream_pair()[0], PEER_CODEC)
        self.sent: list[Frame] = []

    def send(self, frame: Frame) -> None:
        self.sent.append(frame)
        super().send(frame)


class Restless(Actor):
    """Does something every 10 ns, for ever, and notes when."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.last_ns = 0

    def begin(self) -> None:
        self._again()

    def _again(self) -> None:
        self.last_ns = self.now_ns
        self.after(10, self._again)


def two_hosts() -> tuple[HostShare, Network, Restless, Line]:
    """Return one of two hosts, its network, who runs here, and the line to the other one."""
    share = HostShare("here", {"alice": "here", "bob": "there"})
    network = Network(share=share)
    alice = network.add(Restless("alice"))
    network.add(Actor("bob"))
    network.connect("alice", "bob", latency_ns=100)
    line = Line("there")
    share.join(network, {"there": line}, Alone(share))
    return share, network, alice, line


def test_a_host_that_has_come_to_the_end_of_its_time_lets_the_others_go_on() -> None:
    share, network, alice, line = two_hosts()
    share._take("there", [Clock(END_NS, 0, END_NS - 1, 0)])  # it waits for this host to come very far
    network.run(for_ns=50, drain_ns=100)
    assert 100 < alice.last_ns <= 150
    told = [frame for frame in line.sent if isinstance(frame, Clock)]
    assert told[-1] == Clock(END_NS, 0, 0, 0)
    assert all(frame.time_ns < 200 for frame in told[:-1])


def test_a_host_goes_on_beyond_its_horizon_once_the_other_one_is_given_up() -> None:
    share, network, alice, line = two_hosts()
    network.timeline.at(60, lambda: seen.append(network.timeline.now_ns))
    seen: list[int] = []

    def give_up() -> None:
        seen.append(alice.last_ns)
        share.give_up("there")
        share.give_up("there")  # twice is once

    assert share.hosts == ["here", "there"]
    sent = line.send

    def send(frame: Frame) -> None:
        sent(frame)
        if isinstance(frame, Clock) and frame.want_ns:  # it is stuck
            assert network.token is not None
            network.token.run_sync_soon(give_up, idempotent=True)

    line.send = send  # type: ignore[method-assign]
    network.run(for_ns=1_000, drain_ns=100)
    assert seen == [60, 90]
    assert alice.last_ns >= 1_000
    assert share.peers == {}
    assert share.counts == (0, 0)
    assert not any(isinstance(frame, GaveUp | Held) for frame in line.sent)  # there is nobody left to hear it


def test_a_host_comes_further_where_nothing_happens() -> None:
    share = HostShare("here", {"alice": "here", "bob": "there"})
    network = Network(share=share)
    for name in ("alice", "bob"):
        network.add(Actor(name))
    network.connect("alice", "bob", latency_ns=100)
    line = Line("there")
    share.join(network, {"there": line}, Alone(share))
    seen = []
    sent = line.send

    def send(frame: Frame) -> None:
        sent(frame)
        if isinstance(frame, Clock) and frame.want_ns:
            assert network.token is not None
            network.token.run_sync_soon(go_on, frame, idempotent=True)

    def go_on(frame: Clock) -> None:
        seen.append((network.timeline.now_ns, share.come_ns))
        if frame.time_ns < 1_000:
            share._take("there", [Clock(frame.time_ns, 0, END_NS - 1, 0)])  # both have nothing to do, and come closer
        else:
            share.give_up("there")

    line.send = send  # type: ignore[method-assign]
    network.run(for_ns=5_000, drain_ns=100)
    assert seen == [(1, 100 * k) for k in range(1, 11)]


def test_what_still_comes_of_a_host_that_was_given_up_is_ignored() -> None:
    share, network, _, _ = two_hosts()
    share._take("there", [Clock(70, 0, 0, 0)])
    share.give_up("there")
    share._take("there", [Clock(5, 0, 0, 0), GaveUp(99)])  # of which neither would be for now
    assert network.timeline.horizon_ns == END_NS
