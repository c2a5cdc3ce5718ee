"""Photons that are received by nodes without memory: their detection is the herald, and no analyser is in between.

The names are those of Jones et al., New J. Phys. 18, 083015 (2016): in a *sender-receiver* link one node sends a photon
entangled with its memory, in a *midpoint-source* link a source on the way sends one half of a pair to each side.
A receiver has two detectors, one for each outcome of a basis of its choice; if both click, the bit is a fair coin.

A receiver without memory measures at once. So its half of the heralded state is a qubit on which a perfect measurement
yields the same statistics, in any basis: the state of the photon, shrunk by the clicks that do not tell about it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from emulator.quantum import BellState, werner
from links.heralding import HeraldedState, HeraldedStateModel

from .ranges import require, require_share

_BELL = BellState.PHI_PLUS


@dataclass(frozen=True, slots=True)
class SenderReceiver:
    """One emitter, one receiver: every detected photon heralds a pair, there is no factor 1/2.

    `efficiency`: probability that an attempt's photon is detected, from emission to detector, the whole fibre included.
    `dark_probability`: of at least one dark count in the window, per detector of the receiver.
    `emission_fidelity`: of the emitter-photon state, white noise assumed.
    `optical_error`: share of the light that goes to the receiver's wrong detector.

    Raises ValueError naming the parameter that is out of range.

    >>> model = SenderReceiver(0.01, dark_probability=1e-5).model()
    >>> f"{model.p_success:.6e} {model.fidelity:.6f}"
    '1.001980e-02 0.998510'
    """

    efficiency: float
    dark_probability: float = 0.0
    emission_fidelity: float = 1.0
    optical_error: float = 0.0

    def __post_init__(self) -> None:
        require_share(self, "efficiency", "dark_probability")
        require(self, 0.25, 1.0, "emission_fidelity")
        require(self, 0.0, 0.5, "optical_error")

    def model(self) -> HeraldedStateModel:
        """Announce Phi+. Exact."""
        silent = 1 - self.dark_probability
        detected = self.efficiency + (1 - self.efficiency) * _dark_click(self.dark_probability)
        # The bit is the photon's, unless the other detector had a dark count.
        told = (4 * self.emission_fidelity - 1) / 3 * (1 - 2 * self.optical_error) * self.efficiency * silent
        return _werner_model(detected, told)


@dataclass(frozen=True, slots=True)
class MidpointSource:
    """A source of pairs on the way, a receiver at each end; one detection at each heralds a pair.

    `mean_pairs`: per attempt, of a Poissonian source of many modes, such as down-conversion; all numbers are counted.
    `efficiency_a`, `efficiency_b`: probability that a photon is detected, from source to detector.
    `dark_probability_a`, `dark_probability_b`: of at least one dark count in the window, per detector.
    `optical_error_a`, `optical_error_b`: share of the light that goes to the wrong detector.

    Raises ValueError naming the parameter that is out of range.

    >>> model = MidpointSource(0.02, 0.1, 0.1).model()
    >>> f"{model.p_success:.6e} {model.fidelity:.6f}"
    '2.032135e-04 0.986702'
    """

    mean_pairs: float
    efficiency_a: float
    efficiency_b: float
    dark_probability_a: float = 0.0
    dark_probability_b: float = 0.0
    optical_error_a: float = 0.0
    optical_error_b: float = 0.0

    def __post_init__(self) -> None:
        require(self, 0.0, 100.0, "mean_pairs")
        require_share(self, "efficiency_a", "efficiency_b", "dark_probability_a", "dark_probability_b")
        require(self, 0.0, 0.5, "optical_error_a", "optical_error_b")

    def model(self) -> HeraldedStateModel:
        """Announce Phi+. Exact for measurements along X, Y or Z.

        Between these axes the signs of several pairs are not those of any state of two qubits, by terms of the order of
        `mean_pairs`.
        """
        seen_a, seen_b = self.mean_pairs * self.efficiency_a, self.mean_pairs * self.efficiency_b
        both = seen_a * self.efficiency_b  # mean number of pairs of which both photons are seen
        silent_a, silent_b = 1 - self.dark_probability_a, 1 - self.dark_probability_b
        click_a = -math.expm1(-seen_a) + math.exp(-seen_a) * _dark_click(self.dark_probability_a)
        click_b = -math.expm1(-seen_b) + math.exp(-seen_b) * _dark_click(self.dark_probability_b)
        # The sides are independent but for pairs of which both photons are seen: no pair is with probability
        # exp(-(seen_a + seen_b - both)). Written so that small numbers keep their digits.
        joint = (silent_a * silent_b) ** 2 * math.exp(-seen_a - seen_b) * math.expm1(both)
        # Mean product of the signs. A side's sign is the difference of two indicators, that a detector was silent; so
        # it takes the probability that two detectors are, one at each side, that see alike or unlike photons of a pair.
        contrast = (1 - 2 * self.optical_error_a) * (1 - 2 * self.optical_error_b)
        unequal = 2 * math.exp((both / 2 - seen_a - seen_b) / 2) * math.sinh(both * contrast / 4)
        return _werner_model(click_a * click_b + joint, 2 * silent_a * silent_b * unequal)


def _dark_click(dark_probability: float) -> float:
    """Probability that at least one of two detectors has a dark count."""
    return dark_probability * (2 - dark_probability)


def _werner_model(detected: float, told: float) -> HeraldedStateModel:
    """Return the model of a herald of probability `detected` after which signs agree by `told` in each basis."""
    contrast = min(1.0, told / detected) if detected > 0 else 0.0
    state = HeraldedState(tuple(werner((1 + 3 * contrast) / 4, _BELL)), _BELL)
    return HeraldedStateModel((state,), (detected,))
