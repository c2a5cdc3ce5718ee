"""What storage leaves of a pair: the law of a memory, as its node tells others, and how a pair's contrasts follow it.

Theory of operation. A pair that was announced in a Bell state agrees with it in X, Y and Z by its *contrasts*. Storage
shrinks the coherences of a half, so X and Y multiply. It moves <Z> of a half towards a pole, too: <Z> becomes
e <Z> + s. So what becomes of ZZ depends on both halves, and on the pair's *bias*: the mean of the announced sign of
ZZ, and of that sign times <Z> of either half. With the sign in front, means over what heralds and swaps announce are
exact: a swap multiplies what both pairs have along Z, and all else averages out, whatever the state of the memories.
(Bell-state measurements that see two of the four outcomes only are an exception: see the page on limits.)
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import msgspec

# How strongly the outcomes of a pair's two ends agree in the bases X, Y and Z: its fidelity is (1 + their sum) / 4.
Contrasts: TypeAlias = tuple[float, float, float]

# Means of the announced sign of ZZ (+1 for Phi, -1 for Psi), and of it times <Z> of the first and the second half.
Bias: TypeAlias = tuple[float, float, float]

# What one half's storage does: X and Y shrink to so much, and Z becomes e Z + s.
Stored: TypeAlias = tuple[float, float, float, float]

UNKNOWN: Final[Contrasts] = (0.0, 0.0, 0.0)
UNBIASED: Final[Bias] = (0.0, 0.0, 0.0)
FRESH: Final[Stored] = (1.0, 1.0, 1.0, 0.0)


def multiplied(a: Contrasts, b: Contrasts) -> Contrasts:
    """Return what is left of contrasts: along a chain of swapped pairs they multiply."""
    return a[0] * b[0], a[1] * b[1], a[2] * b[2]


def after_storage(contrasts: Contrasts, bias: Bias, first: Stored, second: Stored) -> Contrasts:
    """Return a pair's contrasts after the storage of both halves.

    >>> decayed = (0.0, 0.0, 0.0, 1.0)  # to |0>: two halves of a Psi- then disagree with it for certain
    >>> after_storage((1.0, 1.0, 1.0), (-1.0, 0.0, 0.0), decayed, decayed)
    (0.0, 0.0, -1.0)
    """
    x, y, z = contrasts
    sign, first_z, second_z = bias
    x1, y1, e1, s1 = first
    x2, y2, e2, s2 = second
    return x1 * x2 * x, y1 * y2 * y, e1 * (e2 * z + s2 * first_z) + s1 * (e2 * second_z + s2 * sign)


class StorageLaw(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a memory changes what it stores.

    transverse_per_s, longitudinal_per_s: exponential decay of <X>, <Y> and of <Z>; equilibrium: what <Z> ends at;
    dephasing_s, dephasing_exponent: a further exp(-(t / dephasing_s)^k) of <X> and <Y>; attempts_1_over_e: after how
    many attempts beside it their 1/e is left; retrieval_efficiency, retrieval_decay_s: how likely an absorptive memory
    gives back what it holds, at first and after how long 1/e of that. inf: never.
    """

    transverse_per_s: float = 0.0
    longitudinal_per_s: float = 0.0
    equilibrium: float = 0.0
    dephasing_s: float = math.inf
    dephasing_exponent: float = 2.0
    attempts_1_over_e: float = math.inf
    retrieval_efficiency: float = 1.0
    retrieval_decay_s: float = math.inf

    def stored(self, to_ns: float, from_ns: float = 0) -> Stored:
        """Return what storage does to a half, counted from its beginning, without attempts beside it.

        >>> StorageLaw(transverse_per_s=1.0, dephasing_s=1.0).stored(10**9)[0] == math.exp(-2)
        True
        """
        seconds = (to_ns - from_ns) * 1e-9
        exponent = seconds * self.transverse_per_s
        if self.dephasing_s != math.inf:
            tau_ns, power = self.dephasing_s * 1e9, self.dephasing_exponent
            exponent += (to_ns / tau_ns) ** power - (from_ns / tau_ns) ** power
        c, e = math.exp(-exponent), math.exp(-seconds * self.longitudinal_per_s)
        return c, c, e, self.equilibrium * (1 - e)

    def retrieval(self, stored_ns: int) -> float:
        """Return the probability that a full memory gives back what it holds after a time of storage."""
        return self.retrieval_efficiency * math.exp(-stored_ns * 1e-9 / self.retrieval_decay_s)

    def lifetime_s(self, attempt_s: float) -> float:
        """Return a scale of how long storage is of use, while an attempt beside it takes so long; inf: any time."""
        rate_per_s = max(self.transverse_per_s, self.longitudinal_per_s)
        exponential_s = 1 / rate_per_s if rate_per_s > 0 else math.inf
        return min(exponential_s, self.dephasing_s, self.retrieval_decay_s, self.attempts_1_over_e * attempt_s)
