"""Optical fibre: what it loses and how long light takes through it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

LATENCY_NS_PER_KM = 4890.0
"""Time of flight as measured over 101 km by Krutyanskiy et al., PRX Quantum 5, 020308 (2024)."""


@dataclass(frozen=True, slots=True)
class Fibre:
    """A fibre, or a path of several, between two places.

    `loss_db` is the loss of the whole path, connectors and splices included. Published models differ in the
    time of flight, so `latency_ns_per_km` may be set: 4890 is measured, 5000 stands for 200 000 km/s.
    `rounding_ns` is set by `split` alone: whole nanoseconds that make the parts add up to the whole.

    Raises ValueError if a length, a loss or a latency is negative or not finite.

    >>> spool = Fibre.of(50.0, loss_db_per_km=0.2, extra_loss_db=1.0)
    >>> spool.loss_db, spool.latency_ns, round(spool.transmission, 4)
    (11.0, 244500, 0.0794)
    """

    length_km: float
    loss_db: float
    latency_ns_per_km: float = LATENCY_NS_PER_KM
    rounding_ns: int = 0

    def __post_init__(self) -> None:
        for name in ("length_km", "loss_db", "latency_ns_per_km"):
            _refuse_unphysical(name, getattr(self, name))
        if self.latency_ns < 0:
            raise ValueError(f"rounding_ns must not make the latency negative, got {self.rounding_ns!r}")

    @classmethod
    def of(
        cls,
        length_km: float,
        *,
        loss_db_per_km: float = 0.2,
        extra_loss_db: float = 0.0,
        latency_ns_per_km: float = LATENCY_NS_PER_KM,
    ) -> Self:
        """Make a fibre from its attenuation, plus the loss of its connectors and splices.

        Raises ValueError naming the parameter that is negative or not finite.
        """
        _refuse_unphysical("length_km", length_km)
        _refuse_unphysical("loss_db_per_km", loss_db_per_km)
        _refuse_unphysical("extra_loss_db", extra_loss_db)
        return cls(length_km, length_km * loss_db_per_km + extra_loss_db, latency_ns_per_km)

    @property
    def transmission(self) -> float:
        """Probability that a photon which enters the fibre leaves it at the other end."""
        return float(10 ** (-self.loss_db / 10))

    @property
    def latency_ns(self) -> int:
        """Time of flight from end to end, in whole nanoseconds."""
        return round(self.length_km * self.latency_ns_per_km) + self.rounding_ns

    def split(self, fraction: float) -> tuple[Fibre, Fibre]:
        """Cut the fibre at a heralding station `fraction` of the way along, between 0 and 1.

        Losses are shared in proportion to length. The two latencies add up to that of the whole exactly: a
        station must not shift the arrival of anything that only passes by.

        Raises ValueError if `fraction` is not between 0 and 1.

        >>> near, far = Fibre.of(0.9).split(0.5)
        >>> near.latency_ns, far.latency_ns, Fibre.of(0.9).latency_ns
        (2200, 2201, 4401)
        """
        if not 0 <= fraction <= 1:
            raise ValueError(f"fraction must be between 0 and 1, got {fraction!r}")
        near_km, near_db = self.length_km * fraction, self.loss_db * fraction
        near_ns = min(round(near_km * self.latency_ns_per_km), self.latency_ns)
        far_km, far_db = self.length_km - near_km, self.loss_db - near_db
        return self._part(near_km, near_db, near_ns), self._part(far_km, far_db, self.latency_ns - near_ns)

    def _part(self, length_km: float, loss_db: float, latency_ns: int) -> Fibre:
        rounding_ns = latency_ns - round(length_km * self.latency_ns_per_km)
        return replace(self, length_km=length_km, loss_db=loss_db, rounding_ns=rounding_ns)


def _refuse_unphysical(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be finite and not negative, got {value!r}")
