"""Imperfect measurements: what a detector may do to the truth before the node reads it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final


def _check_probabilities(record: object) -> None:
    for f in fields(record):  # type: ignore[arg-type]
        value = getattr(record, f.name)
        if not isinstance(value, bool) and not 0 <= value <= 1:
            raise ValueError(f"{f.name} = {value} must lie in [0, 1]")


@dataclass(frozen=True, slots=True)
class Readout:
    """Single-qubit read-out; errors flip the reported bit, never the state.

    error_0, error_1: probability of reading a 0 as 1, a 1 as 0; efficiency: probability of an answer at all.
    """

    error_0: float = 0.0
    error_1: float = 0.0
    efficiency: float = 1.0

    def __post_init__(self) -> None:
        _check_probabilities(self)


@dataclass(frozen=True, slots=True)
class BellMeasurement:
    """A Bell-state measurement of two qubits, which consumes both whether it succeeds or not.

    efficiency: probability that it works; depolarising: probability that both qubits became maximally mixed just before
    it; flip_x, flip_z: probability that each reported bit is wrong; linear_optics: only Psi+ and Psi- can be told
    apart, the other half of the outcomes fails.
    """

    efficiency: float = 1.0
    depolarising: float = 0.0
    flip_x: float = 0.0
    flip_z: float = 0.0
    linear_optics: bool = False

    def __post_init__(self) -> None:
        _check_probabilities(self)

    @property
    def contrasts(self) -> tuple[float, float, float]:
        """By what a swap with this measurement shrinks |<XX>|, |<YY>| and |<ZZ>| of the pair that it makes."""
        intact, x, z = 1 - self.depolarising, 1 - 2 * self.flip_x, 1 - 2 * self.flip_z
        return intact * z, intact * x * z, intact * x


PERFECT_READOUT: Final = Readout()
PERFECT_BELL_MEASUREMENT: Final = BellMeasurement()
