"""Messages whose bits are flipped on their way."""

from __future__ import annotations

import zlib
from typing import Annotated

from msgspec import Meta

from emulator.envelope import Envelope
from emulator.messages import encode

from .on_channels import Arrival, Filter, OnChannels, Percent, Spot


class Corrupt(OnChannels, frozen=True, tag="corrupt"):
    """Bits of messages are flipped; the receiver sees it by the checksum of their frame, and drops them."""

    percent: Percent = 10.0
    bits: Annotated[int, Meta(ge=1, le=1000, description="how many bits of a message, drawn one by one")] = 1

    def filter(self, spot: Spot) -> Filter:
        """Flip bits of some, and drop what does not fit its checksum any more."""

        def corrupt(envelope: Envelope, arrival_ns: int) -> list[Arrival]:
            if not spot.chance(self.percent):
                return [(envelope, arrival_ns)]
            frame = bytearray(encode(envelope.message))
            checksum = zlib.crc32(frame)
            for _ in range(self.bits):
                bit = spot.random.below(8 * len(frame))
                frame[bit // 8] ^= 1 << bit % 8
            # What passes is intact: the same bit was flipped twice. CRC-32 misses one change in 2^32, which we do not.
            return [(envelope, arrival_ns)] if zlib.crc32(frame) == checksum else []

        return corrupt
