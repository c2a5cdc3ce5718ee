"""One to eight qubits in numpy: the general path of the engine.

Arrays have shape (4,)*n, are C-contiguous, and are never changed in place.
"""

from __future__ import annotations

import numpy as np

from .bell import FRAME, SIGNS
from .pauli import Array, pick

_SIGNS = np.array(SIGNS)
_FRAME = np.array(FRAME)


def transform(r: Array, axis: int, matrix: Array) -> Array:
    """Return the state after a 4x4 transfer matrix on one axis."""
    view = r.reshape(4**axis, 4, -1)
    return np.asarray(np.matmul(matrix, view)).reshape(r.shape)


def transform_two(r: Array, a: int, b: int, matrix: Array) -> Array:
    """Return the state after a 16x16 transfer matrix on axes a (more significant) and b."""
    out = np.tensordot(matrix.reshape(4, 4, 4, 4), r, axes=((2, 3), (a, b)))
    return np.ascontiguousarray(np.moveaxis(out, (0, 1), (a, b)))


def relax(r: Array, axis: int, c: float, e: float, s: float) -> Array:
    """Return the state after x, y -> c x, c y and z -> e z + s on one axis."""
    out = r.copy()
    view = out.reshape(4**axis, 4, -1)
    view[:, 1:3] *= c
    view[:, 3] = e * view[:, 3] + s * view[:, 0]
    return out


def depolarise_two(r: Array, a: int, b: int, probability: float) -> Array:
    """Return the state after both qubits became maximally mixed with a probability."""
    out = r.copy()
    view = np.moveaxis(out, (a, b), (0, 1))
    keep = view[0, 0].copy()
    view *= 1 - probability
    view[0, 0] = keep
    return out


def frame(r: Array, axis: int, bell: int) -> Array:
    """Return the state after the Pauli X^x Z^z of a Bell index on one axis."""
    return np.asarray(r.reshape(4**axis, 4, -1) * _FRAME[bell][None, :, None]).reshape(r.shape)


def merge(r: Array, s: Array) -> Array:
    """Return the joint state of two independent ones."""
    return np.asarray(np.multiply.outer(r, s))


def discard(r: Array, axis: int) -> Array:
    """Return the state with one qubit traced out."""
    return np.asarray(r.take(0, axis=axis))


def measure(r: Array, axis: int, direction: tuple[float, float, float], u: float) -> tuple[int, Array]:
    """Measure along a unit Bloch vector; return the outcome (0: along it) and the state of the other qubits."""
    view = r.reshape(4**axis, 4, -1)
    along = direction[0] * view[:, 1] + direction[1] * view[:, 2] + direction[2] * view[:, 3]
    z = float(along[0, 0])
    m = pick(((1 + z) / 2, (1 - z) / 2), u)
    rest = view[:, 0] - along if m else view[:, 0] + along
    return m, _normalised(rest.reshape(r.shape[1:]))


def bell_measure(r: Array, a: int, b: int, u: float) -> tuple[int, Array]:
    """Measure axes a and b in the Bell basis; return the outcome and the state of the other qubits."""
    v = np.moveaxis(r, (a, b), (0, 1))
    parts = np.stack([v[k, k] for k in range(4)])
    weights = _SIGNS @ parts.reshape(4, -1)[:, 0] / 4
    m = pick(weights.tolist(), u)
    return m, _normalised(np.tensordot(_SIGNS[m], parts, axes=1))


def _normalised(r: Array) -> Array:
    # Rounding, amplified by an unlikely outcome, may leave the bounds. (Two ufuncs cost a third of np.clip.)
    return np.asarray(np.minimum(np.maximum(r / r.flat[0], -1.0), 1.0))
