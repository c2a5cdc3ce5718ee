"""Cases in which trio leaves the order open, run as a program so that each run has addresses and hashes of its own.

Prints, as JSON, each case's trace and whether it is in the order that is promised. With arguments, the cures of these
names are taken back first: then some case must go wrong.
"""

import json
import random
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import trio

from emulator.time import Timeline, order_trio
from emulator.time.ordering import _FirstInFirstOut

RUN: Any = sys.modules["trio._core._run"]
CROWD = list(range(12))


class Coin(_FirstInFirstOut):
    """What trio tosses, under a name by which order_trio takes it for cured."""

    def random(self) -> float:
        return random.SystemRandom().random()


class Case:
    """A timeline, a trace of who ran, and crowds who wait in another order than they were made in.

    Addresses may be in the order of creation, by chance or because memory is handed out in ascending order. That they
    are in the order of waiting has a probability of 1 in 12!, for each of three orders.
    """

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.trace: list[int] = []
        self.orders = [random.Random(seed).sample(CROWD, len(CROWD)) for seed in range(3)]
        self.expected = [who for order in self.orders for who in order]

    async def in_turn(self, order: list[int], who: int) -> None:
        await self.timeline.sleep(1 + order.index(who))


async def batches(case: Case) -> None:
    async def step(who: int) -> None:
        for _ in range(60):
            case.trace.append(who)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for who in range(3):
            nursery.start_soon(step, who)
    case.expected = [0, 1, 2] * 60


async def deadlines(case: Case) -> None:
    async def sleep(order: list[int], scope: trio.CancelScope, who: int) -> None:
        await case.in_turn(order, who)
        with scope:
            await trio.sleep_forever()
        case.trace.append(who)

    for order in case.orders:
        deadline = trio.current_time() + 1
        scopes = [trio.CancelScope(deadline=deadline) for _ in CROWD]
        async with trio.open_nursery() as nursery:
            for who in CROWD:
                nursery.start_soon(sleep, order, scopes[who], who)


async def deadlines_one_by_one(case: Case) -> None:
    async def sleep(who: int) -> None:
        await trio.sleep(1)
        for _ in range(3):
            case.trace.append(who)
            await trio.lowlevel.checkpoint()
        case.timeline.at(case.timeline.now_ns, case.trace.append, who)

    async with trio.open_nursery() as nursery:
        for who in range(3):
            nursery.start_soon(sleep, who)
    await case.timeline.sleep(1)
    case.expected = [who for who in range(3) for _ in range(4)]


async def event(case: Case) -> None:
    async def wait(order: list[int], bell: trio.Event, who: int) -> None:
        await case.in_turn(order, who)
        await bell.wait()
        case.trace.append(who)

    for order in case.orders:
        bell = trio.Event()
        async with trio.open_nursery() as nursery:
            for who in CROWD:
                nursery.start_soon(wait, order, bell, who)
            await case.timeline.sleep(100)
            bell.set()


async def cancelled_tasks(case: Case) -> None:
    async def wait(order: list[int], who: int) -> None:
        with trio.CancelScope():  # on leaving it the task becomes the newest of the nursery's scope
            await case.in_turn(order, who)
        try:
            await trio.sleep_forever()
        finally:
            case.trace.append(who)

    for order in case.orders:
        async with trio.open_nursery() as nursery:
            for who in CROWD:
                nursery.start_soon(wait, order, who)
            await case.timeline.sleep(100)
            nursery.cancel_scope.cancel()


async def cancelled_scopes(case: Case) -> None:
    async def wait(order: list[int], who: int) -> None:
        await case.in_turn(order, who)
        with trio.CancelScope():
            try:
                await trio.sleep_forever()
            finally:
                case.trace.append(who)

    for order in case.orders:
        async with trio.open_nursery() as nursery:
            for who in CROWD:
                nursery.start_soon(wait, order, who)
            await case.timeline.sleep(100)
            nursery.cancel_scope.cancel()
    case.expected = [who for order in case.orders for who in reversed(order)]  # trio descends into the newest first


async def closed_channel(case: Case, *, sending: bool) -> None:
    async def wait(order: list[int], use: Callable[[], Any], who: int) -> None:
        await case.in_turn(order, who)
        try:
            await use()
        except trio.ClosedResourceError:
            case.trace.append(who)

    for order in case.orders:
        send, receive = trio.open_memory_channel[None](0)
        async with trio.open_nursery() as nursery:
            for who in CROWD:
                nursery.start_soon(wait, order, partial(send.send, None) if sending else receive.receive, who)
            await case.timeline.sleep(100)
            (send if sending else receive).close()


async def hypothesis_imported(case: Case) -> None:
    import hypothesis  # noqa: F401, PLC0415  (in the middle of the run is the point)

    await event(case)


CASES: dict[str, Callable[[Case], Any]] = {
    "batches": batches,
    "deadlines": deadlines,
    "deadlines one by one": deadlines_one_by_one,
    "event": event,
    "cancelled tasks": cancelled_tasks,
    "cancelled scopes": cancelled_scopes,
    "closed sender": partial(closed_channel, sending=True),
    "closed receiver": partial(closed_channel, sending=False),
    "hypothesis": hypothesis_imported,
}


def cures() -> dict[str, Callable[[], None]]:
    """Remember trio as it is before order_trio; return what takes each cure back."""
    originals: list[tuple[str, Any, str]] = [
        ("deadlines", RUN.Deadlines, "add"),
        ("deadlines one by one", RUN.Deadlines, "expire"),
        ("event", trio.Event, "__init__"),
        ("cancelled", RUN.CancelStatus, "__init__"),
        ("closed sender", trio.MemorySendChannel, "__init__"),
        ("closed receiver", trio.MemoryReceiveChannel, "__init__"),
        ("hypothesis", RUN, "_hypothesis_plugin_setup"),
    ]
    back = {cure: partial(setattr, owner, name, getattr(owner, name)) for cure, owner, name in originals}
    return {**back, "batches": partial(setattr, RUN, "_r", Coin())}


def main() -> None:
    back = cures()
    order_trio()
    for cure in sys.argv[1:]:
        back[cure]()
    report = {}
    for name, main in CASES.items():
        case = Case()
        case.timeline.run(main, case)
        report[name] = {"trace": case.trace, "right": case.trace == case.expected}
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
