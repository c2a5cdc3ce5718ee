"""Messages that arrive twice, or after later ones."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from emulator.envelope import Envelope

from .on_channels import MS, Arrival, Filter, OnChannels, Percent, Spot


class Duplicate(OnChannels, frozen=True, tag="duplicate"):
    """Messages arrive twice; the transport takes the first."""

    seen = "nothing"
    percent: Percent = 10.0
    gap_ms: Annotated[float, Meta(ge=0, description="from the one to the other")] = 0.0

    def filter(self, spot: Spot) -> Filter:
        """Double some."""

        def double(envelope: Envelope, arrival_ns: int) -> list[Arrival]:
            arrivals = [(envelope, arrival_ns)]
            if spot.chance(self.percent):
                arrivals.append((envelope, arrival_ns + round(self.gap_ms * MS)))
            return arrivals

        return double


class Reorder(OnChannels, frozen=True, tag="reorder"):
    """Messages are held back, so that later ones overtake them; the transport puts them in order again."""

    percent: Percent = 10.0
    gap_ms: Annotated[float, Meta(gt=0, description="how long they are held back")] = 1.0

    def filter(self, spot: Spot) -> Filter:
        """Hold some back."""

        def hold_back(envelope: Envelope, arrival_ns: int) -> list[Arrival]:
            return [(envelope, arrival_ns + (round(self.gap_ms * MS) if spot.chance(self.percent) else 0))]

        return hold_back
