"""The Pauli basis: how density matrices, channels and gates become real arrays.

A state of n qubits is a float64 array `r` of shape (4,)*n, `r[i1..in] = Tr(rho sigma_i1 x ... x sigma_in)` with
0..3 = I, X, Y, Z and `r[0..0] = 1`; the first qubit is the first axis and the most significant factor. It is Hermitian
by construction, its trace is one element, and local noise touches one axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Matrix: TypeAlias = NDArray[np.complex128]

SIGMA: Final[Matrix] = np.array(
    [[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], np.complex128
)
_P_MIN: Final = 1e-12  # a branch less likely than this is rounding, and is never taken
_TOLERANCE: Final = 1e-9  # how far a state that comes from outside may be from a physical one


class UnphysicalStateError(ValueError):
    """An array that is not the Pauli form of a quantum state."""


def pauli_products(qubits: int) -> Matrix:
    """Return the 4^n products of Paulis on n qubits, shape (4^n, 2^n, 2^n), in the order of the flattened state."""
    basis = SIGMA
    for _ in range(qubits - 1):
        basis = np.array([np.kron(a, b) for a in basis for b in SIGMA])
    return basis


def transfer_matrix(*kraus: Matrix) -> Array:
    """Return the real 4^n x 4^n Pauli transfer matrix of a channel given by its Kraus operators (one: a gate)."""
    qubits = round(math.log2(len(kraus[0])))
    basis = pauli_products(qubits)
    image = sum(k @ basis @ k.conj().T for k in kraus)
    out: Array = np.ascontiguousarray(np.einsum("iab,jba->ij", basis, image).real) / 2**qubits
    trace = np.eye(4**qubits)[0]
    if np.allclose(out[0], trace, rtol=0, atol=1e-12):
        out[0] = trace  # without rounding, so that the trace of a state stays exactly 1 for ever
    return out


def from_density(rho: Matrix) -> Array:
    """Return the Pauli tensor, shape (4,)*n, of a density matrix of shape (2^n, 2^n)."""
    qubits = round(math.log2(len(rho)))
    t = np.asarray(rho, np.complex128).reshape((2,) * (2 * qubits))
    for q in range(qubits):  # the row and column of qubit q become its Pauli axis
        t = np.moveaxis(np.tensordot(t, SIGMA, axes=((q, qubits), (2, 1))), -1, q)
    return np.ascontiguousarray(t.real)


def to_density(r: Array) -> Matrix:
    """Return the density matrix, shape (2^n, 2^n), of a Pauli tensor of shape (4,)*n."""
    qubits = r.ndim
    t = r.astype(np.complex128)
    for _ in range(qubits):
        t = np.tensordot(t, SIGMA / 2, axes=((0,), (0,)))  # appends (row, column)
    return t.transpose([*range(0, 2 * qubits, 2), *range(1, 2 * qubits, 2)]).reshape(2**qubits, 2**qubits)


def checked(r: Array) -> Array:
    """Return a copy of `r` if it is a quantum state (to 1e-9), else raise UnphysicalStateError saying what is wrong.

    For states that come from outside; the engine's own operations keep states physical and do not pay for this.
    """
    if r.shape != (4,) * r.ndim or r.ndim == 0:
        raise UnphysicalStateError(f"a Pauli tensor has shape (4, 4, ...), not {r.shape}")
    if not np.isfinite(r).all() or abs(r.flat[0] - 1) > _TOLERANCE or np.abs(r).max() > 1 + _TOLERANCE:
        raise UnphysicalStateError("a Pauli tensor has element 0 equal to 1 and all others within [-1, 1]")
    lowest = float(np.linalg.eigvalsh(to_density(r))[0])
    if lowest < -_TOLERANCE:
        raise UnphysicalStateError(f"the density matrix has the negative eigenvalue {lowest:.3g}")
    return np.clip(r / r.flat[0], -1.0, 1.0)


def ghz(qubits: int) -> Array:
    """Return (|0..0> + |1..1>) / sqrt 2 as a Pauli tensor of shape (4,)*n."""
    ket = np.zeros(2**qubits, np.complex128)
    ket[0] = ket[-1] = math.sqrt(0.5)
    return from_density(np.outer(ket, ket.conj()))


def pick(weights: Sequence[float], u: float) -> int:
    """Return an index drawn with the given weights by the uniform number u in [0, 1).

    Weights below 1e-12 (or negative) are rounding errors and are never taken; the others need not sum to 1.
    """
    total = 0.0
    for p in weights:
        if p > _P_MIN:
            total += p
    u *= total
    for i, p in enumerate(weights):
        if p > _P_MIN:
            if u < p:
                return i
            u -= p
    return weights.index(max(weights))  # rounding at u close to 1
