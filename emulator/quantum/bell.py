"""The four Bell states and the Pauli frame, numbered as on the wire.

The index is two bits, `m = x << 1 | z`: the state is `X^x Z^z` applied to one half of Phi+. Swapping pairs in states
`l` and `r` with outcome `o` leaves state `l ^ o ^ r`. Any numbering with Phi+ = 0 composes like that, so what the bits
*mean* is pinned by the signs below: `SIGNS[m]` are <II>, <XX>, <YY>, <ZZ> of state m.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class BellState(IntEnum):
    """A Bell state; `x` and `z` say which Paulis turn Phi+ into it.

    >>> BellState.PSI_MINUS.x, BellState.PSI_MINUS.z
    (1, 1)
    >>> BellState(BellState.PHI_MINUS ^ BellState.PSI_PLUS).name
    'PSI_MINUS'
    """

    PHI_PLUS = 0
    PHI_MINUS = 1
    PSI_PLUS = 2
    PSI_MINUS = 3

    @property
    def x(self) -> int:
        """Return 1 if the pair differs from Phi+ by a bit flip."""
        return self >> 1

    @property
    def z(self) -> int:
        """Return 1 if the pair differs from Phi+ by a phase flip."""
        return self & 1


# <II>, <XX>, <YY>, <ZZ> of Bell state m.
SIGNS: Final = (
    (1.0, 1.0, -1.0, 1.0),
    (1.0, -1.0, 1.0, 1.0),
    (1.0, 1.0, 1.0, -1.0),
    (1.0, -1.0, -1.0, -1.0),
)
# What X^x Z^z does to the I, X, Y, Z components of one qubit.
FRAME: Final = (
    (1.0, 1.0, 1.0, 1.0),
    (1.0, -1.0, -1.0, 1.0),
    (1.0, 1.0, -1.0, -1.0),
    (1.0, -1.0, 1.0, -1.0),
)


def parity(bell: int, basis: int) -> int:
    """Return the expected XOR of the two outcomes when both halves are measured in basis 1 X, 2 Y or 3 Z.

    >>> [parity(BellState.PSI_MINUS, basis) for basis in (1, 2, 3)]
    [1, 1, 1]
    """
    return int(SIGNS[bell][basis] < 0)
