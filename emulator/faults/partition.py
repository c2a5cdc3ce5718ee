"""Networks that fall apart."""

from __future__ import annotations

from .on_channels import Filter, OnChannels, Spot


class Partition(OnChannels, frozen=True, tag="partition"):
    """Nothing gets through between two actors or sets of them, in one direction or both."""

    seen = "nothing moves across it; circuits wait, and go on within a second after it has healed"
    example = "erfurt,waltershausen|*"
    is_state = True
    rival = "partition"

    def filter(self, spot: Spot) -> Filter:
        """Lose all."""
        return lambda _envelope, _arrival_ns: []
