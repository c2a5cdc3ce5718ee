"""A bottleneck on the way."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from emulator.envelope import Envelope
from emulator.messages import encode

from .on_channels import MS, Arrival, Filter, OnChannels, Spot


class Bandwidth(OnChannels, frozen=True, tag="bandwidth"):
    """Messages queue before a bottleneck at the far end of a channel; when its queue is full they are lost."""

    rate_bit_per_s: Annotated[float, Meta(gt=0, description="of the bottleneck")] = 100_000.0
    queue_ms: Annotated[float, Meta(gt=0, description="how much the queue holds, in time at that rate")] = 500.0

    def filter(self, spot: Spot) -> Filter:
        """Send one message after the other."""
        free_ns = 0

        def squeeze(envelope: Envelope, arrival_ns: int) -> list[Arrival]:
            nonlocal free_ns
            begins_ns = max(arrival_ns, free_ns)
            if begins_ns - arrival_ns > self.queue_ms * MS:
                return []
            free_ns = begins_ns + round(8e9 * len(encode(envelope.message)) / self.rate_bit_per_s)
            return [(envelope, free_ns)]

        return squeeze
