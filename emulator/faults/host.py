"""A slow host: it takes wall time, and nothing else. Emulated time waits, so the history is the same (law 3)."""

from __future__ import annotations

import time
from typing import Annotated, Final

from msgspec import Meta

from emulator.time import Alarm

from .fault import Active, Fault, FaultError, Scene, Site, Undo

HOST: Final = "host"


class SlowHost(Fault, frozen=True, tag="slow-host"):
    """The host that the network runs on stands still again and again, as if others had its processor."""

    takes = "the host: `host`"
    example = "host"
    survives = "nobody"
    seen = "lag behind the wall clock in a paced run; the history is the same"

    stall_ms: Annotated[float, Meta(gt=0, le=10_000, description="of wall time, each time")] = 5.0
    every_ms: Annotated[float, Meta(ge=0.001, le=1e6, description="of emulated time, from one to the next")] = 20.0

    def sites(self, scene: Scene, target: str) -> tuple[Site, ...]:
        """Return the host."""
        if target != HOST:
            raise FaultError("target", f"there is one host, and it is called {HOST!r}, not {target!r}")
        return (HOST,)

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Let it stand still, now and again."""
        timeline, alarms = active.scene.timeline, list[Alarm]()
        step_ns, rank = round(self.every_ms * 1e6), active.order - (1 << 40)

        def stall() -> None:
            time.sleep(self.stall_ms / 1e3)
            active.met()
            alarms[:] = [timeline.alarm(timeline.now_ns + step_ns, again, rank=rank)]

        def again() -> None:
            active.scene.ticks += 1
            stall()

        def undo() -> None:
            for alarm in alarms:
                alarm.cancel()

        stall()
        return undo
