"""Heralded states: what every scheme for entangling two nodes boils down to.

Theory of operation. Once a station has announced a click pattern, nothing that happens later can see more
of the photons than this: the pattern and its time, the joint state of the two memories given the pattern,
and, for memories that absorb a photon, whether each of them holds one at all. So a scheme evaluates its
optics once per set of parameters, and leaves a `HeraldedStateModel`: a list of states with the probability
of each in one attempt. A generation session then draws the number of attempts up to the success, and which
state came of it, from one uniform random number each. Millions of failed attempts cost nothing.

Conventions. A state of two qubits is 16 floats `r[4 * i + j] = Tr(rho sigma_i (x) sigma_j)`, node A first,
sigma = I, X, Y, Z, `r[0] = 1`. Matrices have the basis |00>, |01>, |10>, |11>, node A first.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emulator.quantum import SIGNS, BellState, from_density

if TYPE_CHECKING:
    from collections.abc import Iterable

Matrix: TypeAlias = NDArray[np.complex128]

MAXIMALLY_MIXED: Final = (1.0, *(0.0,) * 15)
"""Nothing is known of either qubit."""

# A probability below this counts as zero: a geometric draw or a normalised state would overflow a float.
_NEVER: Final = 1e-300

# Branches this unlikely, relative to all, are rounding; they are never drawn.
_NEGLIGIBLE: Final = 1e-15


@dataclass(frozen=True, slots=True)
class HeraldedState:
    """The state of two memories after a herald, in one branch of what the herald leaves open.

    `pauli`: 16 floats, see the conventions above; `bell`: the Bell state the station announces.
    `loaded_a`, `loaded_b`: whether the memory holds an excitation. Only absorptive memories can be empty,
    and no node may read these flags: an empty memory shows up as a missing click or a failed swap, no
    sooner. The qubit of an empty memory is maximally mixed in `pauli`.

    Raises ValueError if `pauli` is not the shape of a normalised state or `bell` is not a Bell state.
    """

    pauli: tuple[float, ...]
    bell: BellState
    loaded_a: bool = True
    loaded_b: bool = True

    def __post_init__(self) -> None:
        if len(self.pauli) != 16 or self.pauli[0] != 1.0 or not all(abs(r) <= 1 + 1e-9 for r in self.pauli):
            raise ValueError(f"pauli must be 16 numbers from -1 to 1, the first of them 1, got {self.pauli!r}")
        if self.bell not in range(4):
            raise ValueError(f"bell must be 0, 1, 2 or 3, got {self.bell!r}")

    @classmethod
    def from_matrix(cls, matrix: Matrix, bell: BellState) -> Self:
        """Normalise a 4x4 density matrix whose trace may be any positive number.

        Raises ValueError if the matrix is not 4x4, Hermitian and positive.
        """
        return cls(pauli_coefficients(matrix), bell)

    @property
    def loaded(self) -> bool:
        """Whether both memories hold an excitation."""
        return self.loaded_a and self.loaded_b

    @property
    def fidelity(self) -> float:
        """Overlap with the announced Bell state, between 0 and 1."""
        return sum(c * r for c, r in zip(SIGNS[self.bell], self.pauli[::5], strict=True)) / 4


@dataclass(frozen=True, slots=True)
class HeraldedStateModel:
    """What attempts at entangling two nodes lead to: how often, and to which states.

    `weights[k]` is the probability that one attempt in one mode is heralded and leaves `states[k]`.
    `modes`: number of independent modes (frequencies, time bins, fibres) tried in one attempt.
    `p_success`: probability that an attempt is heralded; with one mode it is the sum of the weights.
    The draws take a uniform number from [0, 1) each, so that whoever owns the random stream draws it.

    Raises ValueError for weights that are no probabilities and for less than one mode.

    >>> pair = HeraldedState((1.0, *(0.0,) * 4, 1.0, *(0.0,) * 4, 1.0, *(0.0,) * 4, -1.0), BellState.PSI_PLUS)
    >>> model = HeraldedStateModel((pair,), (0.01,))
    >>> model.draw_attempts(0.5), model.draw_state(0.5).fidelity
    (69, 1.0)
    >>> round(model.with_modes(100).p_success, 6)
    0.633968
    """

    states: tuple[HeraldedState, ...]
    weights: tuple[float, ...]
    modes: int = 1
    p_success: float = field(init=False)
    _drawable: tuple[HeraldedState, ...] = field(init=False, repr=False, compare=False)
    _cumulative: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.states) != len(self.weights):
            raise ValueError(f"weights must be one per state, got {len(self.weights)} for {len(self.states)}")
        if not all(0 <= weight <= 1 for weight in self.weights) or self._p_mode() > 1 + 1e-12:
            raise ValueError(f"weights must be probabilities whose sum is at most 1, got {self.weights!r}")
        if self.modes < 1:
            raise ValueError(f"modes must be at least 1, got {self.modes!r}")
        floor = _NEGLIGIBLE * self._p_mode()
        kept = [(s, w) for s, w in zip(self.states, self.weights, strict=True) if w > 0 and w >= floor]
        object.__setattr__(self, "p_success", _any_of(self.modes, self._p_mode()))
        object.__setattr__(self, "_drawable", tuple(state for state, _ in kept))
        object.__setattr__(self, "_cumulative", tuple(accumulate(weight for _, weight in kept)))

    @classmethod
    def from_matrices(cls, outcomes: Iterable[tuple[Matrix, BellState]]) -> Self:
        """Make the model of a scheme whose every outcome is one matrix and the Bell state it announces.

        The trace of a matrix is the probability of the outcome. Outcomes that never happen are left out.
        """
        possible = [(matrix, bell) for matrix, bell in outcomes if matrix.trace().real >= _NEVER]
        return cls(
            tuple(HeraldedState.from_matrix(matrix, bell) for matrix, bell in possible),
            tuple(float(matrix.trace().real) for matrix, _ in possible),
        )

    def with_modes(self, modes: int) -> Self:
        """Try `modes` independent modes per attempt, in place of the present number.

        The first mode that succeeds is used, so the states given a herald stay the same.
        """
        return replace(self, modes=modes)

    @property
    def p_loaded(self) -> float:
        """Share of the heralds after which both memories hold an excitation.

        Raises ValueError if no attempt is ever heralded.
        """
        self._require_success()
        return math.fsum(w for _, w in self._loaded()) / math.fsum(self.weights)

    @property
    def fidelity(self) -> float:
        """Mean fidelity to the announced Bell state, of the heralds after which both memories are loaded.

        Raises ValueError if that never happens.
        """
        weight = math.fsum(w for _, w in self._loaded())
        if weight == 0:
            raise ValueError("fidelity is undefined: the two memories are never both loaded")
        return math.fsum(state.fidelity * w for state, w in self._loaded()) / weight

    @property
    def contrasts(self) -> tuple[float, float, float]:
        """Mean of |<XX>|, |<YY>|, |<ZZ>| relative to the announced Bell state; zeros if no attempt is ever heralded."""
        weight = math.fsum(self.weights)
        if weight < _NEVER:
            return 0.0, 0.0, 0.0
        branches = list(zip(self.states, self.weights, strict=True))
        x, y, z = (math.fsum(SIGNS[s.bell][k] * s.pauli[5 * k] * w for s, w in branches) / weight for k in (1, 2, 3))
        return x, y, z

    @property
    def bias(self) -> tuple[float, float, float]:
        """Mean of the announced sign of <ZZ>, and of it times <Z> of A and of B; zeros if no attempt is heralded."""
        weight = math.fsum(self.weights)
        if weight < _NEVER:
            return 0.0, 0.0, 0.0
        branches = [(SIGNS[s.bell][3] * w / weight, s.pauli) for s, w in zip(self.states, self.weights, strict=True)]
        sign, a, b = (math.fsum(part * pauli[k] for part, pauli in branches) for k in (0, 12, 3))
        return sign, a, b

    @property
    def loaded(self) -> tuple[float, float, float]:
        """Shares of the heralds after which A, B, and both hold an excitation; ones if no attempt is heralded."""
        weight = math.fsum(self.weights)
        if weight < _NEVER:
            return 1.0, 1.0, 1.0
        fillings = [(s.loaded_a, s.loaded_b, s.loaded) for s in self.states]
        a, b, both = (
            math.fsum(w for full, w in zip(fillings, self.weights, strict=True) if full[k]) / weight for k in range(3)
        )
        return a, b, both

    def draw_attempts(self, u: float) -> int:
        """Draw the number of attempts up to and including the first success, from a uniform `u` in [0, 1).

        Exact for small probabilities too, where ln(1 - p) computed as written would lose digits.

        Raises ValueError if no attempt is ever heralded, or `u` is outside [0, 1).
        """
        _require_uniform(u)
        self._require_success()
        return 1 + _failures(u, self.p_success)

    def draw_state(self, u: float) -> HeraldedState:
        """Draw the state that a herald leaves, from a uniform `u` in [0, 1).

        Raises ValueError if no attempt is ever heralded, or `u` is outside [0, 1).
        """
        _require_uniform(u)
        self._require_success()
        k = bisect_right(self._cumulative, u * self._cumulative[-1])
        return self._drawable[min(k, len(self._drawable) - 1)]

    def draw_mode(self, u: float) -> int:
        """Draw which mode, counted from 0, was the first to succeed in an attempt that did succeed.

        Raises ValueError if no attempt is ever heralded, or `u` is outside [0, 1).
        """
        _require_uniform(u)
        self._require_success()
        return min(_failures(u * self.p_success, self._p_mode()), self.modes - 1)

    def _p_mode(self) -> float:
        return math.fsum(self.weights)

    def _loaded(self) -> list[tuple[HeraldedState, float]]:
        return [(s, w) for s, w in zip(self.states, self.weights, strict=True) if s.loaded]

    def _require_success(self) -> None:
        if self.p_success < _NEVER:
            raise ValueError("p_success is 0: no attempt is ever heralded, so there is nothing to draw")


def pauli_coefficients(matrix: Matrix) -> tuple[float, ...]:
    """Expand a 4x4 density matrix, of any positive trace, into the 16 floats of the normalised state.

    Raises ValueError if the matrix is not 4x4, Hermitian and positive, to 1e-9 of its trace.
    """
    if matrix.shape != (4, 4):
        raise ValueError(f"matrix must be 4x4, got shape {matrix.shape}")
    trace = float(matrix.trace().real)
    if not trace >= _NEVER:
        raise ValueError(f"matrix must have a trace of at least {_NEVER:g}, got {trace!r}")
    rho = matrix / trace
    if np.abs(rho - rho.conj().T).max() > 1e-9 or np.linalg.eigvalsh(rho)[0] < -1e-9:
        raise ValueError("matrix must be Hermitian and positive")
    # Adding zero turns -0.0 into 0.0.
    return (1.0, *(float(r) + 0.0 for r in from_density(rho).clip(-1.0, 1.0).ravel()[1:]))


def psi_matrix(populations: tuple[float, float, float, float], coherence: complex) -> Matrix:
    """Build the matrix all click schemes share: populations, and one coherence <01|rho|10>."""
    matrix = np.diag(np.array(populations, dtype=np.complex128))
    matrix[1, 2], matrix[2, 1] = coherence, np.conj(coherence)
    return matrix


def dark_count_probability(rate_hz: float, window_s: float) -> float:
    """Probability of at least one dark count of a detector in a window, for counts that are independent.

    Raises ValueError if the rate or the window is negative or not finite.
    """
    for name, value in (("rate_hz", rate_hz), ("window_s", window_s)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be finite and not negative, got {value!r}")
    return -math.expm1(-rate_hz * window_s)


def _failures(u: float, p: float) -> int:
    """Invert the geometric distribution: failures before the first success of probability p."""
    return 0 if p >= 1 else math.floor(math.log1p(-u) / math.log1p(-p))


def _any_of(modes: int, p: float) -> float:
    """Probability that at least one of several independent modes succeeds."""
    if modes == 1 or p >= 1:
        return min(p, 1.0)
    return -math.expm1(modes * math.log1p(-p))


def _require_uniform(u: float) -> None:
    if not 0 <= u < 1:
        raise ValueError(f"u must be at least 0 and below 1, got {u!r}")
