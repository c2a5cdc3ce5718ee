"""Gates as Pauli transfer matrices, with their noise folded in."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from .pauli import SIGMA, Array, Matrix, transfer_matrix


@dataclass(frozen=True, eq=False)
class Gate:
    """A gate or channel on one or two qubits: `matrix` is its real 4x4 or 16x16 transfer matrix.

    >>> X.matrix.diagonal().tolist()
    [1.0, 1.0, -1.0, -1.0]
    >>> noisy = X.depolarised(0.1)
    >>> noisy.name, round(float(noisy.matrix[1, 1]), 3)
    ('X', 0.9)
    """

    name: str
    matrix: Array

    def __post_init__(self) -> None:
        if self.matrix.shape not in {(4, 4), (16, 16)}:
            raise ValueError(f"gate {self.name}: a transfer matrix is 4x4 or 16x16, not {self.matrix.shape}")
        if self.matrix[0, 0] != 1 or self.matrix[0, 1:].any():
            raise ValueError(f"gate {self.name} does not preserve the trace")

    @property
    def qubits(self) -> int:
        """Return on how many qubits the gate acts."""
        return 1 if len(self.matrix) == 4 else 2

    @classmethod
    def from_unitary(cls, name: str, unitary: Matrix) -> Gate:
        """Return the gate of a 2x2 or 4x4 unitary; the first qubit is the more significant."""
        u = np.asarray(unitary, np.complex128)
        if u.shape not in {(2, 2), (4, 4)} or not np.allclose(u @ u.conj().T, np.eye(len(u)), rtol=0, atol=1e-9):
            raise ValueError(f"gate {name} is not given by a 2x2 or 4x4 unitary matrix")
        return cls(name, transfer_matrix(u))

    def depolarised(self, probability: float) -> Gate:
        """Return this gate followed by depolarising: with that probability the qubits become maximally mixed."""
        if not 0 <= probability <= 1:
            raise ValueError(f"depolarising probability {probability} must lie in [0, 1]")
        matrix = self.matrix * (1 - probability)
        matrix[0] = self.matrix[0]
        return Gate(self.name, matrix)


def rotation(x: float, y: float, z: float, angle_rad: float) -> Gate:
    """Return the rotation about the (normalised) Bloch axis (x, y, z) by an angle."""
    norm = math.hypot(x, y, z)
    if norm == 0:
        raise ValueError("the axis of a rotation must not be the zero vector")
    spin = (x * SIGMA[1] + y * SIGMA[2] + z * SIGMA[3]) / norm
    unitary = math.cos(angle_rad / 2) * SIGMA[0] - 1j * math.sin(angle_rad / 2) * spin
    return Gate.from_unitary(f"R({x / norm:g},{y / norm:g},{z / norm:g};{angle_rad:g})", unitary)


def _controlled(name: str, unitary: Matrix) -> Gate:
    zero = np.zeros((2, 2), np.complex128)
    return Gate.from_unitary(name, np.block([[SIGMA[0], zero], [zero, unitary]]))


I: Final = Gate.from_unitary("I", SIGMA[0])  # noqa: E741
X: Final = Gate.from_unitary("X", SIGMA[1])
Y: Final = Gate.from_unitary("Y", SIGMA[2])
Z: Final = Gate.from_unitary("Z", SIGMA[3])
H: Final = Gate.from_unitary("H", (SIGMA[1] + SIGMA[3]) / math.sqrt(2))
S: Final = Gate.from_unitary("S", np.diag([1, 1j]))
T: Final = Gate.from_unitary("T", np.diag([1, cmath.exp(0.25j * math.pi)]))
CNOT: Final = _controlled("CNOT", SIGMA[1])
CZ: Final = _controlled("CZ", SIGMA[3])
SWAP: Final = Gate.from_unitary("SWAP", np.eye(4, dtype=np.complex128)[[0, 2, 1, 3]])
