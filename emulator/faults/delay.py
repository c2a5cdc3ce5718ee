"""Messages that take longer than their fibre."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import Annotated, Final, Literal

from msgspec import Meta

from emulator.envelope import Envelope

from .on_channels import MS, Arrival, Filter, OnChannels, Spot

_PARETO_SHAPE: Final = 3.0
_SMALLEST: Final = 1e-12

# Deviates of mean 0 and standard deviation 1, from a uniform number in (0, 1).
_DEVIATES: Final[Mapping[str, Callable[[float], float]]] = {
    "normal": NormalDist().inv_cdf,
    "uniform": lambda u: math.sqrt(3) * (2 * u - 1),
    "exponential": lambda u: -math.log(u) - 1,
    # Of shape 3 and scale 1 the mean is 3/2 and the standard deviation sqrt(3)/2.
    "pareto": lambda u: (u ** (-1 / _PARETO_SHAPE) - 1.5) / (math.sqrt(3) / 2),
}


class Delay(OnChannels, frozen=True, tag="delay"):
    """Messages are delayed further, each by a time drawn by itself, so that some overtake others."""

    mean_ms: Annotated[float, Meta(ge=0, description="mean")] = 10.0
    jitter_ms: Annotated[float, Meta(ge=0, description="standard deviation; what is below 0 counts as 0")] = 0.0
    distribution: Annotated[
        Literal["normal", "uniform", "exponential", "pareto"], Meta(description="what is drawn from")
    ] = "normal"

    def filter(self, spot: Spot) -> Filter:
        """Delay all."""
        deviate = _DEVIATES[self.distribution]

        def delay(envelope: Envelope, arrival_ns: int) -> list[Arrival]:
            delay_ms = self.mean_ms
            if self.jitter_ms:
                delay_ms += self.jitter_ms * deviate(max(spot.uniform(), _SMALLEST))
            return [(envelope, arrival_ns + max(0, round(delay_ms * MS)))]

        return delay
