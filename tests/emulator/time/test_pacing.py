import hashlib
import itertools
import math
import random
import time

import trio

from emulator.time import Place, Timeline

US = 1_000
MS = 1_000_000


async def village(timeline: Timeline, span_ns: int, *, stall_s: float = 0.0) -> str:
    """Eight actors who ask each other and give up after a time, with ties on a 5 us grid; return a hash of all of it."""
    rng, trace = random.Random(7), list[tuple[object, ...]]()
    delay_ns = [[rng.randrange(5, 101) * 5 * US for _ in range(8)] for _ in range(8)]

    def asked(b: int, a: int, k: int, reply: Place) -> None:
        trace.append((timeline.now_ns, "asked", b, a, k))
        timeline.at(timeline.now_ns + delay_ns[b][a], reply.wake, rank=a << 3 | b)

    async def actor(i: int) -> None:
        own = random.Random(f"7/{i}")
        for k in itertools.count():
            reply, b = Place(), own.randrange(8)
            timeline.at(timeline.now_ns + delay_ns[i][b], asked, b, i, k, reply, rank=b << 3 | i)
            with trio.move_on_after(600e-6) as patience:
                await reply.park()
            trace.append((timeline.now_ns, "gave up" if patience.cancelled_caught else "heard", i, k))
            await trio.sleep(own.randrange(20, 400) * 5e-6)

    timeline.at(span_ns // 2, time.sleep, stall_s)
    async with trio.open_nursery() as nursery:
        for i in range(8):
            nursery.start_soon(actor, i)
        await timeline.sleep_until(span_ns)
        nursery.cancel_scope.cancel()
    assert len(trace) > 8 * span_ns // MS // 4
    return hashlib.sha256(repr((trace, timeline.now_ns, timeline.events)).encode()).hexdigest()


def test_every_rate_gives_the_same_history() -> None:
    span_ns = 50 * MS
    digests = {Timeline(rate).run(village, timeline, span_ns) for rate in () for timeline in ()}
    timelines = [Timeline(rate) for rate in (math.inf, 1, 0.5)]
    digests = {timeline.run(village, timeline, span_ns) for timeline in timelines}
    assert len(digests) == 1
    assert timelines[0].lag.count == 0
    assert timelines[1].lag.count >= timelines[1].events  # and as many deadlines as expired
