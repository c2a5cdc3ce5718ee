"""In which of the bases X, Y, Z somebody prepares or measures, by chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from emulator import Vector

# Probabilities of the bases X, Y and Z.
Bases: TypeAlias = tuple[float, float, float]

UNIFORM: Final[Bases] = (1 / 3, 1 / 3, 1 / 3)
# Their Bloch vectors, by the numbers that outcomes are told with.
AXES: Final[Mapping[int, Vector]] = {1: (1.0, 0.0, 0.0), 2: (0.0, 1.0, 0.0), 3: (0.0, 0.0, 1.0)}


def checked_bases(bases: Sequence[float]) -> Bases:
    """Return the probabilities of X, Y and Z; raises ValueError if they are none."""
    if len(bases) != 3 or not all(p >= 0 for p in bases) or not abs(math.fsum(bases) - 1) <= 1e-9:
        raise ValueError(f"bases must be three probabilities, of X, Y and Z, whose sum is 1, got {bases!r}")
    x, y, z = bases
    return x, y, z


def choose_basis(bases: Bases, u: float) -> int:
    """Return 1 for X, 2 for Y, 3 for Z, from a uniform in [0, 1); never one of probability 0.

    >>> [choose_basis((0.5, 0, 0.5), u) for u in (0.0, 0.49, 0.5, 0.99)]
    [1, 1, 3, 3]
    """
    x, y, z = bases
    if u < x:
        return 1
    if u < x + y:
        return 2
    return 3 if z else 2 if y else 1
