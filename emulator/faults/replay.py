"""Old messages that come again."""

from __future__ import annotations

from collections import deque
from typing import Annotated

from msgspec import Meta

from emulator.envelope import Envelope

from .on_channels import MS, Arrival, Filter, OnChannels, Percent, Spot


class Replay(OnChannels, frozen=True, tag="replay"):
    """With a message an old one comes again, the oldest that is kept, whole with its numbers."""

    seen = "nothing: numbers and lives of streams tell them from new ones"
    percent: Percent = 10.0
    age_ms: Annotated[float, Meta(ge=0, description="how old it is at least")] = 100.0
    kept: Annotated[int, Meta(ge=1, le=100_000, description="how many messages are kept")] = 1000

    def filter(self, spot: Spot) -> Filter:
        """Keep all, and send some again."""
        past: deque[Arrival] = deque(maxlen=self.kept)

        def repeat(envelope: Envelope, arrival_ns: int) -> list[Arrival]:
            arrivals = [(envelope, arrival_ns)]
            if spot.chance(self.percent) and past and arrival_ns - past[0][1] >= self.age_ms * MS:
                arrivals.append((past.popleft()[0], arrival_ns))
            past.append((envelope, arrival_ns))
            return arrivals

        return repeat
