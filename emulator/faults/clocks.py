"""Clocks of nodes that are wrong: photons come at the wrong time.

What a clock tells is used for one thing here: when photons leave. So its error shows at the heralding stations: photons
of two nodes overlap less and less, and beyond the detection window nothing is heralded. Timers of protocols are not
touched: they measure spans, which these errors change by parts in a million.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from statistics import NormalDist
from typing import Annotated, ClassVar, TypeAlias

from msgspec import Meta

from .conditions import Conditions
from .fault import Active, FaultError, Scene, Site
from .hooks import Station
from .on_fibre import OnFibre
from .targets import actor

Coherence: TypeAlias = Annotated[
    float, Meta(gt=0, description="of the photons: at that skew their visibility is down to 1/e")
]
Window: TypeAlias = Annotated[float, Meta(gt=0, description="detection window: beyond half of it nothing is heralded")]


class OnClock(OnFibre, frozen=True):
    """Base of the faults of clocks; `skew_ns` says how late the photons of the node come."""

    takes: ClassVar[str] = "a node"
    example: ClassVar[str] = "erfurt"
    survives: ClassVar[str] = "nobody"
    seen: ClassVar[str] = (
        "lower true fidelity on all links of the node, of which nobody knows; beyond the window no pairs"
    )

    coherence_ns: Coherence = 10.0
    window_ns: Window = 100.0

    @abstractmethod
    def skew_ns(self, active: Active, elapsed_s: float) -> float:
        """Return how late photons come, some time after the fault began."""

    def sites(self, scene: Scene, target: str) -> tuple[Site, ...]:
        """Return all arms that end at the node."""
        node = actor(scene, target, "node")
        stations = [name for name in scene.names if isinstance(scene.cell(name).actor, Station)]
        found = [name for name in stations if node in scene.cell(name).channels]
        if not found:
            raise FaultError("target", f"{target!r} has no link")
        return tuple(f"{name}<{node}" for name in found)

    def conditions(self, active: Active, elapsed_s: float, arms: int) -> Conditions:
        """Return the skew."""
        return Conditions(
            skew_ns=self.skew_ns(active, elapsed_s), coherence_ns=self.coherence_ns, window_ns=self.window_ns
        )


class ClockOffset(OnClock, frozen=True, tag="clock-offset"):
    """The clock of a node is off by a step."""

    offset_ns: Annotated[float, Meta(ge=-1e9, le=1e9, description="how late it is")] = 5.0

    def skew_ns(self, active: Active, elapsed_s: float) -> float:
        """Return the step."""
        return self.offset_ns


class ClockDrift(OnClock, frozen=True, tag="clock-drift"):
    """The clock of a node runs too fast or too slow, until the fault ends and it is set right."""

    step_s = 0.01
    drift_ppb: Annotated[float, Meta(ge=-1e6, le=1e6, description="parts in 10^9, that is ns per s")] = 10.0

    def skew_ns(self, active: Active, elapsed_s: float) -> float:
        """Return the drift so far."""
        return self.drift_ppb * elapsed_s


class Holdover(OnClock, frozen=True, tag="holdover"):
    """A node loses its reference (White Rabbit unlocks); its oscillator drifts at a rate that is drawn, and ages."""

    step_s = 0.01
    drift_ppb: Annotated[float, Meta(ge=0, le=1e6, description="standard deviation of the drift at first")] = 10.0
    ageing_ppb_per_s: Annotated[float, Meta(ge=0, le=1e6, description="by which its amount grows")] = 0.1

    def skew_ns(self, active: Active, elapsed_s: float) -> float:
        """Return the drift so far."""
        u = active.random("drift").uniform()
        drift_ppb = self.drift_ppb * NormalDist().inv_cdf(max(u, 1e-12))
        return drift_ppb * elapsed_s + math.copysign(self.ageing_ppb_per_s, drift_ppb) * elapsed_s**2 / 2
