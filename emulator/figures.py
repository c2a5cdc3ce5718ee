"""What nodes and heralding stations say of themselves: the figures by which a controller plans.

controller                       station of the link a - b
 | -- Enquire(a, b, F) -------->  |
 | <-- Figures(a, b, F, ...) ---  |    at the setting that gives pairs of at least fidelity F, or the best it can
"""

from __future__ import annotations

import msgspec

from .messages import Message
from .storage import UNBIASED, Bias, Contrasts


class LinkFigures(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What attempts on a link lead to: how often, how long each takes, and to which pairs.

    light_ns: from node a, and from node b, to the station. dead_ns, slot_ns: of an optical switch that serves others,
    too (0: the station is there for this link alone). bias: of a pair, node a's half first; loaded: how likely the
    memory of a, that of b, and both hold an excitation after a herald.
    """

    success_probability: float
    period_ns: int
    contrasts: Contrasts
    light_ns: tuple[int, int]
    dead_ns: int = 0
    slot_ns: int = 0
    bias: Bias = UNBIASED
    loaded: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def seconds_per_pair(self) -> float:
        """Return the mean time that a pair takes, if attempts never rest."""
        return self.period_ns * 1e-9 / self.success_probability


class Enquire(Message, frozen=True, tag="enquire"):
    """Ask what pairs of two nodes are like, with at least a fidelity (0: as the hardware is set)."""

    a: str
    b: str
    min_fidelity: float


class Figures(Message, frozen=True, tag="figures"):
    """The answer to `Enquire`."""

    a: str
    b: str
    min_fidelity: float
    figures: LinkFigures
