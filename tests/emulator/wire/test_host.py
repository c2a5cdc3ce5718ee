"""A host's share of a network: operations wait for others in the middle of an event, wherever it is that they act."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from emulator import Actor, Network, Snapshot
from emulator.time import LAST_RANK
from emulator.wire.frames import Moment
from emulator.wire.host import HostShare
from emulator.wire.peer import Peer


class Alone:
    """Conducts a run of one host."""

    def __init__(self, share: HostShare) -> None:
        self._share = share

    def begun(self) -> None:
        trio.lowlevel.current_trio_token().run_sync_soon(self._share.pace)

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
