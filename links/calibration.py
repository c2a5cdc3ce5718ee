"""What a heralding station knows of its own links: which states come of an attempt between two of its arms.

This is the fidelity estimation unit of the link layer. It maps the least fidelity that is asked for to a setting of
the link (the bright-state population, for single click) and back to what a pair will be like.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from .heralding import HeraldedStateModel

# A link's model with all bright-state populations multiplied by a number.
DimmedModel: TypeAlias = Callable[[float], HeraldedStateModel]


class Calibration(Protocol):
    """The fidelity estimation unit of a station."""

    def model(self, a: str, b: str, min_fidelity: float) -> HeraldedStateModel:
        """Return the model with most heralds whose pairs have at least a fidelity, or, if there is none, with the best.

        a, b: the nodes on the two arms, in the order of the station's arms.
        """


@dataclass(frozen=True, slots=True)
class Fixed:
    """A link that has one setting only.

    >>> from links import AbstractLink
    >>> Fixed(AbstractLink(0.01, 0.9).model()).model("alice", "bob", 0.99).p_success
    0.01
    """

    only: HeraldedStateModel

    def model(self, a: str, b: str, min_fidelity: float) -> HeraldedStateModel:
        """Return the only model."""
        return self.only


class BrightStates:
    """Single click: the brighter the emitters, the more heralds, and the worse the pairs.

    dimmed(s) returns the model with all bright-state populations multiplied by s; s = 1 is what the hardware is set to
    when nobody asks for a fidelity. Settings go from `dimmest` to `brightest`.
    """

    _STEPS = 40  # of bisection: to 12 digits

    def __init__(self, dimmed: DimmedModel, dimmest: float, brightest: float) -> None:
        if not 0 < dimmest <= brightest:
            raise ValueError(f"settings must go from above 0 upwards, not from {dimmest} to {brightest}")
        self._dimmed = dimmed
        self._range = (dimmest, brightest)

    def at_least(self, min_fidelity: float) -> HeraldedStateModel:
        """Return the model of `setting`."""
        return self._dimmed(self.setting(min_fidelity))

    def setting(self, min_fidelity: float) -> float:
        """Return the brightest setting whose pairs have at least a fidelity; if there is none, the best."""
        if min_fidelity <= 0:
            return 1.0
        best = self._best()
        low, high = best, self._range[1]
        if self._dimmed(high).fidelity >= min_fidelity:
            return high
        if self._dimmed(best).fidelity <= min_fidelity:
            return best
        for _ in range(self._STEPS):  # between the best and the brightest the fidelity only falls
            middle = (low + high) / 2
            low, high = (middle, high) if self._dimmed(middle).fidelity >= min_fidelity else (low, middle)
        return low

    def _best(self) -> float:
        """Return the setting of best fidelity, by golden-section search on a logarithmic scale.

        Dimmer than that, dark counts outweigh photons.
        """
        low, high = (math.log(s) for s in self._range)
        ratio = (math.sqrt(5) - 1) / 2
        for _ in range(self._STEPS):
            a, b = high - ratio * (high - low), low + ratio * (high - low)
            if self._dimmed(math.exp(a)).fidelity >= self._dimmed(math.exp(b)).fidelity:
                high = b
            else:
                low = a
        return math.exp((low + high) / 2)
