"""What a memory does to a qubit that waits in it.

A noise model is asked for the map between two moments of one storage, in nanoseconds since the storage began; the
second is never before the first. Models that only shrink and shift the Bloch vector answer with three floats
(`factors`), which cost 0.2 us; any other single-qubit Lindblad model answers with a 4x4 transfer matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, Self, TypeAlias

import numpy as np

from .pauli import SIGMA, Array, Matrix

# (c, e, s): x, y become c x, c y, and z becomes e z + s.
Factors: TypeAlias = tuple[float, float, float]
_PER_NS: Final = 1e-9
_TRACE: Final = (1.0, 0.0, 0.0, 0.0)  # the first row of every map that preserves the trace


class Noise(Protocol):
    """A model of storage noise. `factors` returns None where the map needs the full `matrix`."""

    def factors(self, from_ns: int, to_ns: int) -> Factors | None:
        """Return the three factors of storage from one moment to another, counted from its beginning."""

    def matrix(self, from_ns: int, to_ns: int) -> Array:
        """Return the 4x4 Pauli transfer matrix of the same storage."""


@dataclass(frozen=True, slots=True)
class MemoryNoise:
    """Relaxation (T1), dephasing (T2) and uniform depolarising acting together; in closed form, exact.

    t1_s: towards <Z> = `z_equilibrium` (+1 is |0>); t2_s: 1/e time of the coherences, at most 2 T1;
    depolarising_s: the whole Bloch vector shrinks as exp(-t / depolarising_s);
    dephasing_s, dephasing_exponent: a further contrast exp(-(t / tau)^k) counted from the beginning of the storage,
    such as the Gaussian decay (k = 2) of ions in a slowly drifting field. Times are in seconds; inf switches a part
    off (not T2 alone: a qubit that relaxes loses its coherences, too).
    """

    t1_s: float = math.inf
    t2_s: float = math.inf
    depolarising_s: float = math.inf
    z_equilibrium: float = 1.0
    dephasing_s: float = math.inf
    dephasing_exponent: float = 2.0
    _rates: tuple[float, float, float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("t1_s", "t2_s", "depolarising_s", "dephasing_s", "dephasing_exponent"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name} = {value} must be greater than 0")
        if self.dephasing_exponent > 10:  # nothing in nature, and (t / tau)^k would overflow
            raise ValueError(f"dephasing_exponent = {self.dephasing_exponent} must not exceed 10")
        if self.t2_s > 2 * self.t1_s * (1 + 1e-12):
            raise ValueError(f"t2_s = {self.t2_s} must not exceed 2 x t1_s = {2 * self.t1_s}")
        if not -1 <= self.z_equilibrium <= 1:
            raise ValueError(f"z_equilibrium = {self.z_equilibrium} must lie in [-1, 1]")
        r1, d = 1 / self.t1_s, 1 / self.depolarising_s
        shift = self.z_equilibrium * r1 / (r1 + d) if r1 else 0.0
        rates = ((1 / self.t2_s + d) * _PER_NS, (r1 + d) * _PER_NS, shift)
        object.__setattr__(self, "_rates", rates)

    def factors(self, from_ns: int, to_ns: int) -> Factors:
        """Return (c, e, s) of the storage between two moments, in ns since it began."""
        transverse, longitudinal, shift = self._rates
        dt = to_ns - from_ns
        c = math.exp(-dt * transverse)
        if self.dephasing_s != math.inf:
            tau, k = self.dephasing_s / _PER_NS, self.dephasing_exponent
            c *= math.exp((from_ns / tau) ** k - (to_ns / tau) ** k)
        e = math.exp(-dt * longitudinal)
        return c, e, shift * (1 - e)

    def matrix(self, from_ns: int, to_ns: int) -> Array:
        """Return the 4x4 Pauli transfer matrix of the same storage."""
        c, e, s = self.factors(from_ns, to_ns)
        out = np.diag([1.0, c, c, e])
        out[3, 0] = s
        return out


class LindbladNoise:
    """Any Markovian single-qubit noise: jump operators (and a Hamiltonian) in 1/s, made a generator through QuTiP once.

    >>> noise = LindbladNoise([[[0, 0.7], [0, 0]]])  # decay to |0>, T1 = 1/0.49 s
    >>> float(round(noise.matrix(0, 10**9)[3, 3], 6))  # exp(-0.49)
    0.612626
    """

    def __init__(self, jumps: Sequence[object], hamiltonian: object | None = None) -> None:
        """Take 2x2 matrices: jump operators in sqrt(1/s), the Hamiltonian in rad/s."""
        import qutip  # noqa: PLC0415  (0.6 s of import, needed at start-up and only here)

        h = np.zeros((2, 2)) if hamiltonian is None else np.asarray(hamiltonian, np.complex128)
        operators = [h, *(np.asarray(jump, np.complex128) for jump in jumps)]
        if any(op.shape != (2, 2) for op in operators):
            raise ValueError("the jump operators and the Hamiltonian of one qubit are 2x2 matrices")
        if not np.allclose(h, h.conj().T):
            raise ValueError("the Hamiltonian must be Hermitian")
        qh, *jump_operators = map(qutip.Qobj, operators)
        liouvillian: Matrix = qutip.liouvillian(qh, jump_operators).full()
        images = [(liouvillian @ s.T.reshape(4)).reshape(2, 2).T for s in SIGMA]  # QuTiP stacks columns
        generator: Array = np.array([[np.trace(s @ m).real / 2 for m in images] for s in SIGMA])
        generator[0] = 0.0  # exactly, as the trace does not change
        self._take(generator)

    @classmethod
    def of_generator(cls, generator: Array) -> Self:
        """Return the model of a generator of Pauli transfer matrices, 4x4, in 1/s, such as another model has."""
        made = cls.__new__(cls)
        made._take(generator)  # noqa: SLF001  (its own)
        return made

    def _take(self, generator: Array) -> None:
        self.generator = generator
        values, vectors = np.linalg.eig(self.generator)
        # The eigenvectors multiply rounding errors by their condition number: near a defective generator, do without.
        self._eigen = (values, vectors, np.linalg.inv(vectors)) if np.linalg.cond(vectors) < 1e3 else None

    def factors(self, from_ns: int, to_ns: int) -> None:
        """Answer that this model needs the full matrix."""

    def matrix(self, from_ns: int, to_ns: int) -> Array:
        """Return the 4x4 Pauli transfer matrix exp(G dt)."""
        dt_s = (to_ns - from_ns) * _PER_NS
        if self._eigen is None:
            return _exponential(self.generator * dt_s)
        values, vectors, inverse = self._eigen
        out: Array = np.ascontiguousarray((vectors * np.exp(values * dt_s) @ inverse).real)
        out[0] = _TRACE
        return out


def _exponential(a: Array) -> Array:
    """Return exp(a) by scaling, a Taylor series and squaring, for generators that cannot be diagonalised."""
    squarings = max(0, math.ceil(math.log2(max(float(np.abs(a).sum()), 1e-300))) + 4)
    a = a / 2**squarings
    out, term = np.eye(4) + a, a
    for k in range(2, 14):
        term = term @ a / k
        out = out + term
    for _ in range(squarings):
        out = out @ out
    return out


PERFECT: Final = MemoryNoise()
