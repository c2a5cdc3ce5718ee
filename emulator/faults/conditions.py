"""How a link differs from what its heralding station was calibrated for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is different between two arms, a and b, of a heralding station.

    transmission_a, transmission_b: further transmissions of the arms; visibility: a factor of the visibility of the two
    photons; dark_probability: of further dark counts, per detector and detection window; false_hz: rate of heralds to
    which no photons belong; detectors: which of the two, + and -, work; skew_ns: how much later photons of a come than
    those of b, and overlap by the coherence_ns of the photons (1/e half width of the dip) within window_ns; dark: no
    attempt can be heralded.
    """

    transmission_a: float = 1.0
    transmission_b: float = 1.0
    visibility: float = 1.0
    dark_probability: float = 0.0
    false_hz: float = 0.0
    detectors: tuple[bool, bool] = (True, True)
    skew_ns: float = 0.0
    coherence_ns: float = math.inf
    window_ns: float = math.inf
    dark: bool = False

    @classmethod
    def together(cls, all_: Iterable[Self]) -> Conditions:
        """Return what several differences make together."""
        found = CALIBRATED
        for other in all_:
            found = found.and_(other)
        return found

    def and_(self, other: Conditions) -> Conditions:
        """Return what this and another difference make together."""
        return Conditions(
            self.transmission_a * other.transmission_a,
            self.transmission_b * other.transmission_b,
            self.visibility * other.visibility,
            1 - (1 - self.dark_probability) * (1 - other.dark_probability),
            self.false_hz + other.false_hz,
            (self.detectors[0] and other.detectors[0], self.detectors[1] and other.detectors[1]),
            self.skew_ns + other.skew_ns,
            min(self.coherence_ns, other.coherence_ns),
            min(self.window_ns, other.window_ns),
            self.dark or other.dark,
        )

    @property
    def overlap(self) -> float:
        """Return the visibility that the skew leaves of two photons with Gaussian envelopes."""
        return self.visibility * math.exp(-((self.skew_ns / self.coherence_ns) ** 2))

    @property
    def heralds(self) -> bool:
        """Return whether attempts can be heralded at all: there are light and a detector, and it comes in time."""
        return not self.dark and any(self.detectors) and abs(self.skew_ns) <= self.window_ns / 2


CALIBRATED: Final = Conditions()
