"""Double click: one photon in each of two modes, so that both emitters must have sent one.

Barrett and Kok, Phys. Rev. A 71, 060310 (2005), with the two modes one after the other and the spins flipped
in between; or two polarisations or time bins at once, each emitter entangled with its photon. Exactly one
click per mode heralds a pair. The rate falls with the square of the efficiency; the phase of the fibres
drops out, but for its drift between the modes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from emulator.quantum import BellState
from links.heralding import HeraldedStateModel, Matrix, psi_matrix

from .ranges import require, require_share


@dataclass(frozen=True, slots=True)
class DoubleClick:
    """Two emitters, one click in each of two modes.

    `efficiency_a`, `efficiency_b`: probability that an emitted photon is detected, from emission to detector,
    the beam splitter at the station not included.
    `dark_probability`: of at least one dark count in the window of one mode, per detector.
    `visibility`: Hong-Ou-Mandel visibility of the two photons, the squared overlap of their modes.
    `phase_std_rad`: spread of the drift of the optical phase from one mode to the other, Gaussian.
    `double_excitation`: probability that an emission left a second, lost photon; its clicks are neglected.
    `number_resolving`: detectors tell one photon from two, and two do not herald.
    `emission_fidelity_a`, `emission_fidelity_b`: fidelity of each emitter-photon state, white noise assumed;
    at least 1/4, where the emitter knows nothing of its photon.

    Raises ValueError naming the parameter that is out of range.

    >>> model = DoubleClick(0.01, 0.01, dark_probability=1e-7, visibility=0.9).model()
    >>> f"{model.p_success:.6e} {model.fidelity:.6f}"
    '5.000396e-05 0.949944'
    """

    efficiency_a: float
    efficiency_b: float
    dark_probability: float = 0.0
    visibility: float = 1.0
    phase_std_rad: float = 0.0
    double_excitation: float = 0.0
    number_resolving: bool = False
    emission_fidelity_a: float = 1.0
    emission_fidelity_b: float = 1.0

    def __post_init__(self) -> None:
        require_share(self, "efficiency_a", "efficiency_b")
        require_share(self, "dark_probability", "visibility", "double_excitation")
        require(self, 0.0, math.inf, "phase_std_rad")
        require(self, 0.25, 1.0, "emission_fidelity_a", "emission_fidelity_b")

    def model(self) -> HeraldedStateModel:
        """Announce Psi+ for two clicks of the same detector and Psi- for one click of each."""
        same, different = self.matrices()
        return HeraldedStateModel.from_matrices(
            ((same, BellState.PSI_PLUS), (different, BellState.PSI_MINUS)),
        )

    def matrices(self) -> tuple[Matrix, Matrix]:
        """Return the states after two clicks of one detector and after one click of each, two patterns each.

        Each trace is the probability of the outcome. Exact for all parameters but `double_excitation`.
        """
        odd, even, coherence = self._ideal_emission()
        w_a, w_b = (_werner(f) for f in (self.emission_fidelity_a, self.emission_fidelity_b))
        return (
            _depolarise(psi_matrix((even, odd, odd, even), coherence), w_a, w_b),
            _depolarise(psi_matrix((even, odd, odd, even), -coherence), w_a, w_b),
        )

    def _ideal_emission(self) -> tuple[float, float, float]:
        """Return the populations of |01> and |00>, and <01|rho|10> of the same-detector outcome."""
        eta_a, eta_b, p = self.efficiency_a, self.efficiency_b, self.dark_probability
        both_arrive, none_arrives = eta_a * eta_b, (1 - eta_a) * (1 - eta_b)
        one_arrives = eta_a * (1 - eta_b) + eta_b * (1 - eta_a)
        silent = (1 - p) ** 2
        # A detector that resolves numbers must not see a dark count on top of its photon, for each photon.
        alone = silent * (1 - p) if self.number_resolving else silent
        pair = alone * (1 - p) if self.number_resolving else silent
        # Both photons in one mode can only pass for one click there, next to a dark count in the other mode.
        bunched = 0.0 if self.number_resolving else (1 + self.visibility) * p * silent
        dark = one_arrives * 2 * p * alone + none_arrives * 4 * p**2 * silent
        # Four emissions share a coherence, two on each side of it, and each must not have left a second photon.
        blurred = math.exp(-(self.phase_std_rad**2) / 2) * (1 - self.double_excitation) ** 2
        coherence = both_arrive * pair * self.visibility * blurred / 8
        return (both_arrive * pair + dark) / 8, (both_arrive * bunched + dark) / 8, coherence


def _werner(fidelity: float) -> float:
    return (4 * fidelity - 1) / 3


def _depolarise(matrix: Matrix, w_a: float, w_b: float) -> Matrix:
    """Let white noise act on each emitter, keeping the shares `w_a` and `w_b` of what it knew.

    A Werner state of emitter and photon is a Bell state after depolarisation of the emitter. What the station
    does to the photon commutes with that, so the noise may come last, and the click probabilities stay.
    """
    joint: Matrix = matrix.reshape(2, 2, 2, 2)
    half = np.eye(2) / 2
    joint = w_a * joint + (1 - w_a) * np.einsum("ac,ebed->abcd", half, joint)
    joint = w_b * joint + (1 - w_b) * np.einsum("bd,aece->abcd", half, joint)
    return joint.reshape(4, 4)
