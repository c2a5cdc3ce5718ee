"""Photon-pair sources and absorptive memories: a station half way, one click per rail.

Two sources, one per node, each in a two-mode squeezed vacuum per rail. The idlers meet at the station, the
signals are written into the memories, for instance atomic frequency combs. With one rail a click puts one
excitation into either memory (Lago-Rivera et al., Nature 594, 37 (2021)); with two rails (time bins,
polarisations, frequencies) a click in each leaves, ideally, one in each memory (Liu et al., Nature 594, 41
(2021)). Sources send several pairs at times, and a memory may be empty although the station heralded.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

from emulator.quantum import BellState
from links.heralding import MAXIMALLY_MIXED, HeraldedState, HeraldedStateModel, Matrix, psi_matrix

from .rail import Rail, Source, after_click
from .ranges import require, require_share


@dataclass(frozen=True, slots=True)
class Occupation:
    """Probability, per attempt, of a herald with each filling of the two memories.

    `empty`: both empty; `only_a`, `only_b`: that memory holds something, the other nothing; `one_each`:
    exactly one excitation in each; `more`: something in both, more than one in at least one.
    """

    empty: float
    only_a: float
    only_b: float
    one_each: float
    more: float

    @property
    def total(self) -> float:
        """Probability of a herald."""
        return self.empty + self.only_a + self.only_b + self.one_each + self.more


@dataclass(frozen=True, slots=True)
class PairSource:
    """Two pair sources, two absorptive memories, threshold detectors; one click on every rail heralds.

    `mean_pairs_a`, `mean_pairs_b`: mean number of pairs per rail and attempt.
    `efficiency_a`, `efficiency_b`: probability that an idler photon is detected, from source to detector, the
    beam splitter at the station not included.
    `write_efficiency_a`, `write_efficiency_b`: probability that a signal photon ends up stored. Losses at
    read-out may be counted here too if nobody draws them later.
    `dark_probability`: of at least one dark count in the window of one rail, per detector.
    `visibility`: Hong-Ou-Mandel visibility of idlers of the two sources, the squared overlap of their modes.
    `phase_rad`: known phase of arm B less that of arm A; it matters with one rail only.
    `phase_std_rad`: spread, Gaussian, of the unknown phase with one rail, of its drift between two rails.
    `rails`: 1, the qubit of a memory is the number of its excitations; or 2, the qubit is the rail the
    excitation is in, |0> the first.

    Raises ValueError naming the parameter that is out of range.

    >>> model = PairSource(0.02, 0.02, 0.1, 0.1, visibility=0.9).model()
    >>> f"{model.p_success:.2e} {model.p_loaded:.2f} {model.fidelity:.2f}"
    '1.59e-05 0.52 0.85'
    """

    mean_pairs_a: float
    mean_pairs_b: float
    efficiency_a: float
    efficiency_b: float
    write_efficiency_a: float = 1.0
    write_efficiency_b: float = 1.0
    dark_probability: float = 0.0
    visibility: float = 1.0
    phase_rad: float = 0.0
    phase_std_rad: float = 0.0
    rails: int = 2

    def __post_init__(self) -> None:
        require(self, 0.0, 1e6, "mean_pairs_a", "mean_pairs_b")  # more, and 1 - x would lose its digits
        require(self, 0.0, math.inf, "phase_std_rad")
        require_share(self, "efficiency_a", "efficiency_b", "write_efficiency_a", "write_efficiency_b")
        require_share(self, "dark_probability", "visibility")
        require(self, -math.inf, math.inf, "phase_rad")
        if self.rails not in {1, 2}:
            raise ValueError(f"rails must be 1 or 2, got {self.rails!r}")

    def model(self) -> HeraldedStateModel:
        """Announce Psi+ or Psi-, by detector with one rail, by same or different detectors with two.

        Two rails: one branch per filling of the memories. One excitation in each is exact. Approximation: a
        memory that holds more counts as loaded, and its qubit and its partner's as maximally mixed.
        One rail: memories are never "empty", since having no excitation is |0>. Approximation: more than
        one excitation is read as |1>. The known phase is rotated away, as for `SingleClick`.
        """
        return self._number_model() if self.rails == 1 else self._rail_model()

    def matrices(self) -> tuple[Matrix, Matrix]:
        """Return the states announced as Psi+ and as Psi-, with the probability of each as the trace.

        Exact in the number of photons. Two rails: the part with exactly one excitation in each memory, two
        click patterns together. One rail: the part with at most one excitation in each memory.
        """
        rail = self._rail()
        blur = math.exp(-(self.phase_std_rad**2) / 2)
        if self.rails == 1:
            populations = (rail.empty, rail.one_b, rail.one_a, rail.one_each)
            coherence = cmath.rect(rail.coherence * blur, self.phase_rad)
        else:
            same, crossed = 2 * rail.one_each * rail.empty, 2 * rail.one_a * rail.one_b
            populations = (same, crossed, crossed, same)
            coherence = complex(2 * rail.coherence**2 * blur)
        return psi_matrix(populations, coherence), psi_matrix(populations, -coherence)

    def occupation(self) -> Occupation:
        """Return how the memories are filled after a herald, all click patterns together."""
        rail = self._rail()
        if self.rails == 1:
            more = max(rail.some_each - rail.one_each, 0.0)
            parts = (rail.empty, rail.some_a, rail.some_b, rail.one_each, more)
            return Occupation(*(2 * part for part in parts))
        one_each = 2 * (rail.one_each * rail.empty + rail.one_a * rail.one_b)
        some_each = rail.some_each * (rail.total + rail.empty + rail.some_a + rail.some_b)
        some_each += 2 * rail.some_a * rail.some_b
        parts = (
            rail.empty**2,
            rail.some_a * (2 * rail.empty + rail.some_a),
            rail.some_b * (2 * rail.empty + rail.some_b),
            one_each,
            max(some_each - one_each, 0.0),
        )
        return Occupation(*(4 * part for part in parts))

    def _rail(self) -> Rail:
        x_a, x_b = (n / (1 + n) for n in (self.mean_pairs_a, self.mean_pairs_b))
        source_a = Source(x_a, self.efficiency_a, self.write_efficiency_a)
        source_b = Source(x_b, self.efficiency_b, self.write_efficiency_b)
        return after_click(source_a, source_b, self.visibility, self.dark_probability)

    def _number_model(self) -> HeraldedStateModel:
        rail = self._rail()
        coherence = rail.coherence * math.exp(-(self.phase_std_rad**2) / 2)
        populations = (rail.empty, rail.some_b, rail.some_a, rail.some_each)
        return HeraldedStateModel.from_matrices(
            (
                (psi_matrix(populations, coherence), BellState.PSI_PLUS),
                (psi_matrix(populations, -coherence), BellState.PSI_MINUS),
            ),
        )

    def _rail_model(self) -> HeraldedStateModel:
        model = HeraldedStateModel.from_matrices(
            zip(self.matrices(), (BellState.PSI_PLUS, BellState.PSI_MINUS), strict=True),
        )
        filled = self.occupation()
        branches = list(zip(model.states, model.weights, strict=True))
        for bell in (BellState.PSI_PLUS, BellState.PSI_MINUS):
            for weight, loaded_a, loaded_b in (
                (filled.more, True, True),
                (filled.only_a, True, False),
                (filled.only_b, False, True),
                (filled.empty, False, False),
            ):
                branches.append((HeraldedState(MAXIMALLY_MIXED, bell, loaded_a, loaded_b), weight / 2))
        possible = [(state, weight) for state, weight in branches if weight > 0]
        return HeraldedStateModel(tuple(s for s, _ in possible), tuple(w for _, w in possible))
