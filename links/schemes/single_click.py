"""Single click: one photon from either of two emitters, and no way to tell from which.

Cabrillo et al., Phys. Rev. A 59, 1025 (1999); Bose et al., Phys. Rev. Lett. 83, 5158 (1999). Each emitter is
brought into sqrt(1 - alpha) |0> + sqrt(alpha) |1>, where only the bright state |1> sends a photon. The arms
meet on a beam splitter; a click in exactly one of its detectors heralds a pair. The price of a rate linear
in the efficiency is that both emitters may have been bright, and that the phase of the fibres counts.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, replace

from emulator.quantum import BellState
from links.heralding import HeraldedStateModel, Matrix, psi_matrix

from .ranges import require, require_share


@dataclass(frozen=True, slots=True)
class SingleClick:
    """Two emitters, one click.

    `alpha_a`, `alpha_b`: populations of the bright state. With `alpha_a efficiency_a = alpha_b efficiency_b`
    the arms are balanced, which is where the fidelity is best.
    `efficiency_a`, `efficiency_b`: probability that an emitted photon is detected, from emission to detector,
    the beam splitter at the station not included.
    `dark_probability`: of at least one dark count in the window, per detector.
    `visibility`: Hong-Ou-Mandel visibility of the two photons, the squared overlap of their modes.
    `phase_rad`: known phase of arm B less that of arm A. `phase_std_rad`: spread of the unknown rest, Gaussian.
    `double_excitation`: probability that a bright emitter sends a second photon which is lost; the clicks it
    would cause are neglected, a correction of this order to the probability of success.
    `number_resolving`: detectors tell one photon from two, and two do not herald.

    Raises ValueError naming the parameter that is out of range.

    >>> model = SingleClick(0.05, 0.05, 1e-3, 1e-3, dark_probability=1e-7).model()
    >>> f"{model.p_success:.6e} {model.fidelity:.6f}"
    '1.001975e-04 0.948222'
    """

    alpha_a: float
    alpha_b: float
    efficiency_a: float
    efficiency_b: float
    dark_probability: float = 0.0
    visibility: float = 1.0
    phase_rad: float = 0.0
    phase_std_rad: float = 0.0
    double_excitation: float = 0.0
    number_resolving: bool = False

    def __post_init__(self) -> None:
        require_share(self, "alpha_a", "alpha_b", "efficiency_a", "efficiency_b")
        require_share(self, "dark_probability", "visibility", "double_excitation")
        require(self, -math.inf, math.inf, "phase_rad")
        require(self, 0.0, math.inf, "phase_std_rad")

    def model(self) -> HeraldedStateModel:
        """Announce Psi+ for a click in D+ and Psi- for one in D-, the known phase rotated away.

        The nodes undo `phase_rad` with a rotation about Z, so it does not appear in the states; what they
        cannot know of the phase, `phase_std_rad`, does.
        """
        plus, minus = replace(self, phase_rad=0.0).matrices()
        return HeraldedStateModel.from_matrices(
            ((plus, BellState.PSI_PLUS), (minus, BellState.PSI_MINUS)),
        )

    def matrices(self) -> tuple[Matrix, Matrix]:
        """Return the states after a click in D+ alone and in D- alone; each trace is the probability of that.

        Exact for all parameters but `double_excitation`. The detectors D+ and D- see (a + b) / sqrt 2 and
        (a - b) / sqrt 2; |1> is the bright state.
        """
        populations, coherence = self._populations(), self._coherence()
        return psi_matrix(populations, coherence), psi_matrix(populations, -coherence)

    def _populations(self) -> tuple[float, float, float, float]:
        """Weigh each state of the emitters with the probability that this detector alone clicks."""
        a, b, eta_a, eta_b = self.alpha_a, self.alpha_b, self.efficiency_a, self.efficiency_b
        dark, photon = self._dark_click(), self._photon_click()
        # Identical photons leave the beam splitter together, so they hit one detector more often than 1/2.
        bunched = 0.0 if self.number_resolving else (1 + self.visibility) / 4 * (1 - self.dark_probability)
        one_arrives = eta_a * (1 - eta_b) + eta_b * (1 - eta_a)
        none_arrives = (1 - eta_a) * (1 - eta_b)
        return (
            (1 - a) * (1 - b) * dark,
            (1 - a) * b * (eta_b / 2 * photon + (1 - eta_b) * dark),
            a * (1 - b) * (eta_a / 2 * photon + (1 - eta_a) * dark),
            a * b * (eta_a * eta_b * bunched + one_arrives / 2 * photon + none_arrives * dark),
        )

    def _coherence(self) -> complex:
        """Return <01|rho|10> for D+: what interferes is one photon that came from either side."""
        from_a = self.alpha_a * (1 - self.alpha_b) * self.efficiency_a
        from_b = self.alpha_b * (1 - self.alpha_a) * self.efficiency_b
        # A second photon tells which side emitted. Two emissions share the coherence, each keeps sqrt(1 - q).
        blurred = math.exp(-(self.phase_std_rad**2) / 2) * (1 - self.double_excitation)
        amplitude = math.sqrt(from_a * from_b * self.visibility) / 2 * self._photon_click() * blurred
        return cmath.rect(amplitude, self.phase_rad)

    def _photon_click(self) -> float:
        """Probability that a photon in one detector makes it click alone: no dark count spoils the pattern."""
        silent = 1 - self.dark_probability
        return silent**2 if self.number_resolving else silent

    def _dark_click(self) -> float:
        return self.dark_probability * (1 - self.dark_probability)
