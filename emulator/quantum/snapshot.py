"""The omniscient view of a few qubits, and what identifies a qubit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from . import pair, tensor
from .bell import SIGNS
from .noise import Noise

# (node, memory position, generation of that position)
QubitId: TypeAlias = tuple[str, int, int]


class QubitError(LookupError):
    """An operation on a qubit that does not exist (any more), or in its past."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of what two (or, if one was measured, one) of the qubits shared: for records and tests, never for actors.

    `r` is the Pauli form, flattened; `bells` the Bell index by true and by reported outcomes, if it has one; `dephased`
    what is left of the coherences of each qubit after all that was done beside it (`Engine.dephase`).
    """

    r: tuple[float, ...]
    bells: tuple[int, int] | None
    memories: tuple[tuple[Noise, int, int], ...]  # per qubit: noise, begin of storage, time of the copy
    dephased: tuple[float, ...]

    def at(self, *times_ns: int) -> Snapshot:
        """Return the copy after further storage of each qubit until its given time."""
        r = np.array(self.r).reshape((4,) * len(self.memories))
        for axis, ((noise, begun, touched), time_ns) in enumerate(zip(self.memories, times_ns, strict=True)):
            if time_ns < touched:
                raise QubitError(f"a snapshot of a qubit touched at {touched} ns cannot show it at {time_ns} ns")
            r = tensor.transform(r, axis, noise.matrix(touched - begun, time_ns - begun))
        memories = tuple((n, begun, t) for (n, begun, _), t in zip(self.memories, times_ns, strict=True))
        return replace(self, r=tuple(r.ravel().tolist()), memories=memories)

    def disturbed(self, axis: int, dephased: float) -> Snapshot:
        """Return the copy after further dephasing of one qubit, until so much is left of its coherences in all."""
        before = self.dephased[axis]
        if dephased == before:
            return self
        r = np.array(self.r).reshape((4,) * len(self.memories))
        r = tensor.relax(r, axis, dephased / before if before else 0.0, 1.0, 0.0)
        left = tuple(dephased if k == axis else value for k, value in enumerate(self.dephased))
        return replace(self, r=tuple(r.ravel().tolist()), dephased=left)

    def fidelity(self, bell: int) -> float:
        """Return the fidelity of two qubits to a Bell state."""
        if len(self.memories) != 2:
            raise ValueError("the fidelity to a Bell state needs a snapshot of two qubits")
        return pair.fidelity(self.r, bell)

    def fidelity_sample(self, bell: int, basis: int, outcome: int) -> float:
        """Return an estimate of the fidelity when the other half was measured in basis 1 X, 2 Y or 3 Z.

        Over uniformly drawn bases its mean is the fidelity: F = (1 + sum of signed correlators) / 4.
        """
        if len(self.memories) != 1:
            raise ValueError("a sample of the fidelity needs a snapshot of the one qubit that was not measured")
        return (1 + 3 * SIGNS[bell][basis] * (1 - 2 * outcome) * self.r[basis]) / 4
