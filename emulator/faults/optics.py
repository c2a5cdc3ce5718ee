"""Links whose light is not what it was: more loss, less visibility, more dark counts, a detector less."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from msgspec import Meta

from .conditions import Conditions
from .fault import Active
from .on_fibre import OnFibre


class AddedLoss(OnFibre, frozen=True, tag="added-loss"):
    """A fibre loses more photons, in proportion on both sides of its station."""

    seen = "fewer pairs; their fidelity hardly changes until dark counts weigh in"
    loss_db: Annotated[float, Meta(ge=0, le=1000, description="of the whole link")] = 3.0

    def conditions(self, active: Active, elapsed_s: float, arms: int) -> Conditions:
        """Return the transmission of one arm."""
        return Conditions(transmission_a=10 ** (-self.loss_db / arms / 10))


class Visibility(OnFibre, frozen=True, tag="visibility"):
    """The two photons of a link can be told apart, at once or more and more: polarisation or frequency drifts."""

    survives = "nobody"
    seen = "true fidelity falls; what nodes believe of it does not, since nobody measures it"
    step_s = 0.05

    factor: Annotated[float, Meta(ge=0, le=1, description="by which the visibility is multiplied in the end")] = 0.8
    drift_per_s: Annotated[float, Meta(ge=0, description="how fast that factor falls from 1; 0: at once")] = 0.0

    def conditions(self, active: Active, elapsed_s: float, arms: int) -> Conditions:
        """Return the visibility that is left."""
        if not self.drift_per_s:
            return Conditions(visibility=self.factor)
        return Conditions(visibility=max(self.factor, 1 - self.drift_per_s * elapsed_s))


class DarkCounts(OnFibre, frozen=True, tag="dark-counts"):
    """The detectors of a link click without photons: Raman noise, stray light, a warm detector."""

    survives = "nobody"
    seen = "more heralds, lower true fidelity; what nodes believe of it does not change"

    rate_hz: Annotated[float, Meta(ge=0, description="of each detector, besides its own")] = 10_000.0
    window_ns: Annotated[float, Meta(gt=0, description="detection window")] = 100.0

    def conditions(self, active: Active, elapsed_s: float, arms: int) -> Conditions:
        """Return the probability of a click in a window."""
        return Conditions(dark_probability=-math.expm1(-self.rate_hz * self.window_ns * 1e-9))


class DetectorDead(OnFibre, frozen=True, tag="detector-dead"):
    """One of the two detectors of a link sees nothing: blinded, or broken."""

    seen = "fewer pairs (half with single click, a quarter with double click), all in one Bell state"

    detector: Annotated[Literal["plus", "minus"], Meta(description="which")] = "minus"

    def conditions(self, active: Active, elapsed_s: float, arms: int) -> Conditions:
        """Return which detectors work."""
        return Conditions(detectors=(self.detector != "plus", self.detector != "minus"))
