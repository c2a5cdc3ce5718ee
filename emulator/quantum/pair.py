"""Two qubits in plain floats: `r[4 * i + j]`, a list of 16. A noisy swap of two pairs takes about 10 us.

The functions are unrolled on purpose: at this size numpy's cost of a call is larger than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from .bell import FRAME, SIGNS
from .pauli import pick

Pair: TypeAlias = list[float]
_TRANSPOSE: Final = (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)
_AXES: Final = (((0, 4, 8, 12), (0, 1, 2, 3)), ((0, 1, 2, 3), (0, 4, 8, 12)))  # per axis: its own steps, the other's
# Per axis and Bell index, the elements whose sign the frame changes.
_FLIPPED: Final = tuple(
    tuple(tuple(o + step for step, sign in zip(own, signs, strict=True) if sign < 0 for o in other) for signs in FRAME)
    for own, other in _AXES
)


def werner(fidelity: float, bell: int = 0) -> Pair:
    """Return the Werner state of a given fidelity to a Bell state.

    >>> round(fidelity(werner(0.9, bell=2), bell=2), 12)
    0.9
    """
    if not 0 <= fidelity <= 1:
        raise ValueError(f"fidelity = {fidelity} must lie in [0, 1]")
    w = (4 * fidelity - 1) / 3
    r = [0.0] * 16
    r[0] = 1.0
    for k in (1, 2, 3):
        r[5 * k] = w * SIGNS[bell][k]
    return r


def transpose(r: Pair) -> Pair:
    """Return the same state with its qubits in the other order."""
    return [r[k] for k in _TRANSPOSE]


def relax(r: Pair, axis: int, c: float, e: float, s: float) -> Pair:
    """Return the pair after x, y -> c x, c y and z -> e z + s on one qubit."""
    r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, r13, r14, r15 = r
    if axis == 0:
        z0, z1, z2, z3 = e * r12 + s * r0, e * r13 + s * r1, e * r14 + s * r2, e * r15 + s * r3
        return [r0, r1, r2, r3, c * r4, c * r5, c * r6, c * r7, c * r8, c * r9, c * r10, c * r11, z0, z1, z2, z3]
    z0, z1, z2, z3 = e * r3 + s * r0, e * r7 + s * r4, e * r11 + s * r8, e * r15 + s * r12
    return [r0, c * r1, c * r2, z0, r4, c * r5, c * r6, z1, r8, c * r9, c * r10, z2, r12, c * r13, c * r14, z3]


def transform(r: Pair, axis: int, matrix: Sequence[Sequence[float]]) -> Pair:
    """Return the pair after a 4x4 transfer matrix (rows of floats) on one qubit."""
    own, other = _AXES[axis]
    out = [0.0] * 16
    for o in other:
        a, b, c, d = r[o], r[o + own[1]], r[o + own[2]], r[o + own[3]]
        for step, (m0, m1, m2, m3) in zip(own, matrix, strict=True):
            out[o + step] = m0 * a + m1 * b + m2 * c + m3 * d
    return out


def frame(r: Pair, axis: int, bell: int) -> Pair:
    """Return the pair after the Pauli X^x Z^z of a Bell index on one qubit."""
    out = r.copy()
    for k in _FLIPPED[axis][bell]:
        out[k] = -r[k]
    return out


def fidelity(r: Sequence[float], bell: int) -> float:
    """Return the fidelity to a Bell state."""
    _, x, y, z = SIGNS[bell]
    return (1.0 + x * r[5] + y * r[10] + z * r[15]) / 4


def swap(p: Pair, q: Pair, u: float, depolarising: float = 0.0) -> tuple[int, Pair]:
    """Measure b, c of p on (a, b) and q on (c, d) in the Bell basis; return the outcome and the state of (a, d).

    Two-qubit depolarising acts on b, c first. The state of all four is never built: what remains is
    R_ad = R_ab diag(signs) R_cd / (4 p_m).
    """
    w = 1 - depolarising
    v = w / 4
    x, y, z = v * p[1] * q[4], v * p[2] * q[8], v * p[3] * q[12]
    weights = (0.25 + x - y + z, 0.25 - x + y + z, 0.25 + x + y - z, 0.25 - x - y - z)
    m = pick(weights, u)
    _, x, y, z = SIGNS[m]
    f = 0.25 / weights[m]
    w *= f
    x, y, z = x * w, y * w, z * w
    a0, b0, c0, d0, a1, b1, c1, d1, a2, b2, c2, d2, a3, b3, c3, d3 = p
    i0, i1, i2, i3, x0, x1, x2, x3, y0, y1, y2, y3, z0, z1, z2, z3 = q
    i0, i1, i2, i3 = f * i0, f * i1, f * i2, f * i3
    x0, x1, x2, x3 = x * x0, x * x1, x * x2, x * x3
    y0, y1, y2, y3 = y * y0, y * y1, y * y2, y * y3
    z0, z1, z2, z3 = z * z0, z * z1, z * z2, z * z3
    out = [
        1.0,
        a0 * i1 + b0 * x1 + c0 * y1 + d0 * z1,
        a0 * i2 + b0 * x2 + c0 * y2 + d0 * z2,
        a0 * i3 + b0 * x3 + c0 * y3 + d0 * z3,
        a1 * i0 + b1 * x0 + c1 * y0 + d1 * z0,
        a1 * i1 + b1 * x1 + c1 * y1 + d1 * z1,
        a1 * i2 + b1 * x2 + c1 * y2 + d1 * z2,
        a1 * i3 + b1 * x3 + c1 * y3 + d1 * z3,
        a2 * i0 + b2 * x0 + c2 * y0 + d2 * z0,
        a2 * i1 + b2 * x1 + c2 * y1 + d2 * z1,
        a2 * i2 + b2 * x2 + c2 * y2 + d2 * z2,
        a2 * i3 + b2 * x3 + c2 * y3 + d2 * z3,
        a3 * i0 + b3 * x0 + c3 * y0 + d3 * z0,
        a3 * i1 + b3 * x1 + c3 * y1 + d3 * z1,
        a3 * i2 + b3 * x2 + c3 * y2 + d3 * z2,
        a3 * i3 + b3 * x3 + c3 * y3 + d3 * z3,
    ]
    if max(out) > 1.0 or min(out) < -1.0:  # rounding, which an unlikely branch amplifies
        out = [min(1.0, max(-1.0, value)) for value in out]
    return m, out
