"""A channel that stops, and later lets everything go at once."""

from __future__ import annotations

from emulator.envelope import Envelope

from .on_channels import Arrival, Filter, OnChannels, Spot


class Clog(OnChannels, frozen=True, tag="clog"):
    """Nothing leaves until the fault ends, and then everything at once, repetitions included."""

    seen = "nothing moves; at the end a burst, of which what is stale is refused"
    is_state = True
    rival = "clog"

    def filter(self, spot: Spot) -> Filter:
        """Hold all back, and let it go at the end."""
        held: list[Envelope] = []

        def hold(envelope: Envelope, _arrival_ns: int) -> list[Arrival]:
            held.append(envelope)
            return []

        def release() -> None:
            for envelope in held:
                spot.channel.release(envelope)

        spot.at_end.append(release)
        return hold
