"""Atomic frequency combs: how well, how long and how many photons an absorptive memory stores.

Afzelius et al., Phys. Rev. A 79, 052329 (2009). An inhomogeneously broadened line is pumped into a comb of
narrow teeth; an absorbed photon comes out as an echo after one over the spacing of the teeth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .ranges import require

# Pulse slots per storage time and bandwidth that leave the pulses distinct: a pulse lasts about 2.5 / bandwidth.
_SLOT = 2.5


@dataclass(frozen=True, slots=True)
class AtomicFrequencyComb:
    """A two-level comb in a crystal without a cavity.

    `optical_depth`: of the teeth at their peaks. `finesse`: spacing of the teeth over their width, at least 1.
    `background_depth`: of the absorption left between the teeth, which only loses.
    `t2_s`: coherence time of the comb; infinity stands for no decay.
    `backward`: the echo leaves through the face where the photon entered; forwards it must cross the atoms
    that emit it, and at most 4 exp(-2) = 54 % of the photons get through. Both are for a crystal without a
    cavity; matched impedances would bring the efficiency towards 1 and are not covered.
    `square_teeth`: teeth with flat tops, in place of Gaussian ones.

    Raises ValueError naming the parameter that is out of range.

    >>> round(AtomicFrequencyComb(optical_depth=10, finesse=5).efficiency(), 3)
    0.409
    """

    optical_depth: float
    finesse: float
    background_depth: float = 0.0
    t2_s: float = math.inf
    backward: bool = False
    square_teeth: bool = False

    def __post_init__(self) -> None:
        require(self, 0.0, math.inf, "optical_depth", "background_depth")
        require(self, 1.0, math.inf, "finesse")
        if not self.t2_s > 0:
            raise ValueError(f"t2_s must be greater than 0, got {self.t2_s!r}")

    def efficiency(self, storage_s: float = 0.0) -> float:
        """Probability that an incident photon comes out again after `storage_s`, absorption and echo together.

        Raises ValueError if the storage time is negative or not finite.
        """
        _refuse_negative(storage_s)
        depth = self.optical_depth / self.finesse
        echo = math.expm1(-depth) ** 2 if self.backward else depth**2 * math.exp(-depth)
        return echo * self._rephasing() * math.exp(-self.background_depth - 4 * storage_s / self.t2_s)

    def modes(self, storage_s: float, bandwidth_hz: float) -> int:
        """Return how many pulses fit one after another into the storage time, about 0.4 per hertz and second.

        Raises ValueError if the storage time or the bandwidth is negative or not finite.
        """
        _refuse_negative(storage_s)
        if not (math.isfinite(bandwidth_hz) and bandwidth_hz >= 0):
            raise ValueError(f"bandwidth_hz must be finite and not negative, got {bandwidth_hz!r}")
        return math.floor(storage_s * bandwidth_hz / _SLOT)

    def _rephasing(self) -> float:
        """Return what the width of the teeth leaves of the echo."""
        if not self.square_teeth:
            return math.exp(-7 / self.finesse**2)
        angle = math.pi / self.finesse
        return (math.sin(angle) / angle) ** 2


def _refuse_negative(storage_s: float) -> None:
    if not (math.isfinite(storage_s) and storage_s >= 0):
        raise ValueError(f"storage_s must be finite and not negative, got {storage_s!r}")
