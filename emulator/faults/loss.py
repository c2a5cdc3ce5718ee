"""Messages that are lost on their way."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from emulator.envelope import Envelope

from .on_channels import Arrival, Filter, OnChannels, Percent, Spot


class Loss(OnChannels, frozen=True, tag="loss"):
    """Messages are lost.

    With bursts a channel is good or bad (Gilbert), and all is lost while it is bad: that ends with probability
    1 / mean_burst after each message, and begins such that `percent` are lost in the long run.
    """

    percent: Percent = 10.0
    mean_burst: Annotated[
        float, Meta(ge=0, description="mean number of messages that are lost in a row; below 1: each by itself")
    ] = 0.0

    def filter(self, spot: Spot) -> Filter:
        """Lose some."""
        share, bursts = self.percent / 100, self.mean_burst >= 1 and self.percent < 100
        leaves = 1 / self.mean_burst if bursts else 1 - share
        enters = min(1.0, share / (1 - share) * leaves) if bursts else share
        bad = False

        def lose(envelope: Envelope, arrival_ns: int) -> list[Arrival]:
            nonlocal bad
            bad = spot.uniform() < (1 - leaves if bad else enters)
            return [] if bad else [(envelope, arrival_ns)]

        return lose
