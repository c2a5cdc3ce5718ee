"""Light under way whose sender knows how it was prepared: single photons, and trains of weak coherent pulses.

Theory of operation. A pulse is in one of a few settings, each with a Bloch vector and a photon-number statistics. Of
the latter all that matters is the probability G(x) that none of the photons is seen if each is seen with probability x:
exp(-m x) for a coherent pulse of random phase, 1 - m x for at most one photon. The receiver splits the light between
two detectors along a Bloch vector of its choice; with shares x0 and x1 of the light seen,

    P(detector k is silent) = (1 - d) G(x_k),      P(both are silent) = (1 - d)^2 G(x0 + x1),

with d the probability of a dark count in the window of a pulse. If both click, the bit is a fair coin.

Whether a pulse is detected depends on its setting, but not on the receiver's basis. So a train is a joint state of what
the sender noted and of what is under way, and is drawn when somebody looks: gaps between detected pulses are geometric,
the setting of a detected pulse comes by Bayes' rule, and those of all others stay open until the sender reads them.
Cost grows with detections, not with pulses.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple, TypeAlias

import numpy as np

Vector: TypeAlias = tuple[float, float, float]

# (sender, number of its train): also of a train of one photon
TrainId: TypeAlias = tuple[str, int]


class UnderWayError(RuntimeError):
    """The sender asks how it prepared a pulse of which it is not yet decided whether it counts."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to prepare a pulse.

    bloch: Bloch vector of each of its photons, shorter than 1 if the preparation is imperfect; mean_photons: how many
    there are on average; single: never more than one; weight: how often it is chosen, relative to the others.

    Raises ValueError naming what is out of range.
    """

    bloch: Vector
    mean_photons: float
    single: bool = False
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not math.hypot(*self.bloch) <= 1 + 1e-9:
            raise ValueError(f"bloch must not be longer than 1, got {self.bloch!r}")
        if not 0 <= self.mean_photons <= (1 if self.single else 100):
            limit = "between 0 and 1" if self.single else "between 0 and 100"
            raise ValueError(f"mean_photons must be {limit}, got {self.mean_photons!r}")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"weight must be finite and not negative, got {self.weight!r}")

    def seen(self, share: float) -> float:
        """Return the probability that some photon is seen, if each is with probability `share`."""
        if self.single:
            return self.mean_photons * share
        return -math.expm1(-self.mean_photons * share)


@dataclass(frozen=True, slots=True)
class Detector:
    """Two detectors for the two outcomes of a basis.

    efficiency: probability that an arriving photon is seen; dark_probability: of at least one dark count in the window
    of a pulse, per detector; contrast: 1 - 2 e, if a share e of the light goes to the wrong detector.
    """

    efficiency: float = 1.0
    dark_probability: float = 0.0
    contrast: float = 1.0

    def __post_init__(self) -> None:
        for name in ("efficiency", "dark_probability", "contrast"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)!r}")

    def clicks(self, setting: Setting, transmission: float, direction: Vector) -> tuple[float, float]:
        """Return the probability that a pulse is detected, and that the bit is 0 (along `direction`) if so."""
        share = transmission * self.efficiency
        overlap = self.contrast * sum(r * n for r, n in zip(setting.bloch, direction, strict=True))
        silent, seen = 1 - self.dark_probability, setting.seen(share)
        detected = seen + (1 - seen) * self.dark_probability * (1 + silent)
        if detected <= 0:
            return 0.0, 0.5
        zero, one = (setting.seen(share * (1 + s * overlap) / 2) for s in (1, -1))
        return detected, min(1.0, max(0.0, 0.5 + 0.5 * silent * (zero - one) / detected))


class Detection(NamedTuple):
    """A detected pulse: its number in the train, in which of the receiver's directions it was measured, and the bit."""

    pulse: int
    direction: int
    bit: int


class PulseTrain:
    """Pulses under way. `watch`, `next_detection` and `end` are the receiver's, `prepared` and `totals` the sender's.

    kept: the sender will read its notes; `over`: the receiver has looked at all that it will ever look at.

    >>> train = PulseTrain([Setting((0, 0, 1.0), 1.0, single=True)], 1)
    >>> train.watch(Detector(), 1.0, [((0, 0, -1.0), 1.0)])
    >>> train.next_detection((0.5, 0.5, 0.5, 0.5))
    Detection(pulse=0, direction=0, bit=1)
    >>> train.next_detection((0.5, 0.5, 0.5, 0.5)), train.over
    (None, True)
    """

    def __init__(self, settings: Sequence[Setting], pulses: int, *, kept: bool = False) -> None:
        if pulses < 1:
            raise ValueError(f"pulses must be at least 1, got {pulses!r}")
        total = math.fsum(s.weight for s in settings)
        if total <= 0:
            raise ValueError("the weights of the settings must not all be 0")
        self.pulses = pulses
        self.kept = kept
        self.over = False
        self._settings = tuple(settings)
        self._looked = 0  # at the pulses below this number
        self._known: dict[int, int] = {}  # setting of each pulse that was detected, or that the sender has read
        # What the settings of the others are drawn from: of those looked at in vain, of those never looked at. Weights
        # at first, and once the totals are known, how many there are.
        self._open: list[list[float]] = [[s.weight / total for s in settings] for _ in range(2)]
        self._counted = False

    # -- the receiver's --------------------------------------------------------------------------------------------

    def watch(self, detector: Detector, transmission: float, directions: Sequence[tuple[Vector, float]]) -> None:
        """Say what the light will meet: the transmission of its way, and directions with their weights."""
        self._directions = tuple(accumulate(weight for _, weight in directions))
        clicks = [[detector.clicks(s, transmission, direction) for direction, _ in directions] for s in self._settings]
        self._zero = [[bit_0 for _, bit_0 in row] for row in clicks]
        weights, detected = self._open[0], [row[0][0] for row in clicks]
        self._seen = tuple(accumulate(w * p for w, p in zip(weights, detected, strict=True)))
        self._open[0] = [w * (1 - p) for w, p in zip(weights, detected, strict=True)]

    def next_detection(self, u: tuple[float, float, float, float]) -> Detection | None:
        """Draw the next detected pulse from four uniforms in [0, 1); None: there is none any more."""
        if self.over:
            return None
        gap = _failures(u[0], self._seen[-1])
        if gap >= self.pulses - self._looked:
            self._looked = self.pulses
            self.over = True
            return None
        pulse = self._looked + int(gap)
        setting = _pick(self._seen, u[1])
        direction = _pick(self._directions, u[2])
        self._known[pulse] = setting
        self._looked = pulse + 1
        return Detection(pulse, direction, int(u[3] >= self._zero[setting][direction]))

    def end(self) -> None:
        """Look no further."""
        self.over = True

    # -- the sender's ----------------------------------------------------------------------------------------------

    def prepared(self, pulse: int, u: float) -> int:
        """Return the number of the setting of a pulse, drawn from a uniform if it is still open.

        Raises IndexError if there is no such pulse, UnderWayError if it may still be detected.
        """
        if not 0 <= pulse < self.pulses:
            raise IndexError(f"there is no pulse {pulse}, only 0 to {self.pulses - 1}")
        if pulse not in self._known:
            self._require_over()
            weights = self._open[pulse >= self._looked]
            setting = self._known[pulse] = _pick(tuple(accumulate(weights)), u)
            if self._counted:
                weights[setting] -= 1
        return self._known[pulse]

    def totals(self, u: float) -> list[int]:
        """Return how many pulses were sent in each setting; one uniform is enough for all that is still open.

        Raises UnderWayError if some may still be detected.
        """
        self._require_over()
        if not self._counted:
            seed = np.array([int(u * 2**53), 0], np.uint64)
            generator = np.random.Generator(np.random.Philox(key=seed))
            looked = sum(pulse < self._looked for pulse in self._known)
            left = (self._looked - looked, self.pulses - self._looked - len(self._known) + looked)
            for group, count in enumerate(left):
                shares = np.array(self._open[group])
                drawn = generator.multinomial(count, shares / shares.sum()) if count else np.zeros(len(shares))
                self._open[group] = [int(n) for n in drawn]
            self._counted = True
        known = Counter(self._known.values())
        return [int(self._open[0][k] + self._open[1][k]) + known[k] for k in range(len(self._settings))]

    def _require_over(self) -> None:
        if not self.over:
            raise UnderWayError("the light is still under way: ask when the receiver has said which pulses counted")


def _pick(cumulative: tuple[float, ...], u: float) -> int:
    """Return where u falls, as a share of all; never on what has no weight."""
    return bisect_right(cumulative, min(u * cumulative[-1], math.nextafter(cumulative[-1], 0)))


def _failures(u: float, p: float) -> float:
    """Invert the geometric distribution: failures before the first success of probability p."""
    if p >= 1:
        return 0
    if p <= 0:
        return math.inf
    gap = math.log1p(-u) / math.log1p(-p)
    return math.floor(gap) if gap < 1e18 else math.inf
