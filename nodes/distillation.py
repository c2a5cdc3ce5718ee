"""Entanglement distillation as data: from two pairs a better one, or none.

Both ends turn their halves of the two pairs, apply a CNOT from the pair to be kept to the pair to be spent, measure the
spent one in Z and tell each other what they read. All is reckoned in the *announced frame*: a pair announced as Bell
state `a` that really is in state `a ^ e` has error `e`. Turns and CNOTs only permute Bell states, linearly in their
index, so announcements and errors go the same way, and nobody needs to correct anything before.

| protocol | turns | keeps |
| --- | --- | --- |
| BBPSSW (Bennett et al. 1996) | a random one of twelve, which leave a Werner pair of any pair | equal outcomes |
| DEJMPS (Deutsch et al. 1996) | a quarter turn about X, there and back | equal outcomes |
| EPL (Campbell, Benjamin 2008) | none | both read 1: what both emitters shone into is never among them |
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Final, TypeAlias

import msgspec

from emulator import Contrasts

Axis: TypeAlias = tuple[float, float, float]
# How likely a pair has each of the four errors, by Bell index; without error it is Phi+ in the announced frame.
Weights: TypeAlias = tuple[float, float, float, float]


class Gates(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The noise of gates and read-out in one step of distillation, at one end or (multiplied) at both.

    turned: what turning leaves of the contrasts of the kept and of the spent pair; intact: probability that the CNOT
    does not mix its two qubits completely; read: 1 less the probabilities of reading a 0 as 1 and a 1 as 0; answered:
    probability that there is an answer at all.
    """

    turned: tuple[float, float] = (1.0, 1.0)
    intact: float = 1.0
    read: float = 1.0
    answered: float = 1.0

    def __mul__(self, other: Gates) -> Gates:
        """Return the noise of both."""
        kept, spent = (a * b for a, b in zip(self.turned, other.turned, strict=True))
        return Gates((kept, spent), self.intact * other.intact, self.read * other.read, self.answered * other.answered)


NOISELESS: Final = Gates()


@dataclass(frozen=True, slots=True)
class Turn:
    """A rotation of both halves of a pair that leaves Phi+ as it is.

    axis, angle_rad: of the head-end's rotation; the tail-end does the complex conjugate. moves: what becomes of each
    Bell state. A turn by 0 is no gate.
    """

    axis: Axis
    angle_rad: float
    moves: tuple[int, int, int, int]

    def rotation(self, *, head: bool) -> tuple[Axis, float]:
        """Return the axis and angle in rad of one end's rotation.

        >>> DEJMPS.turns[0].rotation(head=False) == ((1.0, 0.0, 0.0), -math.pi / 2)
        True
        """
        x, y, z = self.axis
        return (self.axis, self.angle_rad) if head else ((x, 0.0 - y, z), -self.angle_rad)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What becomes of two pairs: the probability that one is kept, and its weights then."""

    success: float
    weights: Weights


@dataclass(frozen=True, slots=True)
class Protocol:
    """How two pairs are distilled.

    turns: one of them, drawn by the head-end, is made with each pair; kept: the outcomes at head-end and tail-end, in
    the announced frame, with which the pair is kept.
    """

    turns: tuple[Turn, ...]
    kept: tuple[tuple[int, int], ...]

    def verdict(self, bells: Sequence[int], turns: Sequence[int], outcomes: Sequence[int]) -> int | None:
        """Return the Bell index of the kept pair, or None if it is to be freed.

        bells, turns: announced Bell index and number of the turn of the kept and the spent pair; outcomes: what
        head-end and tail-end read, -1 for no answer.

        >>> DEJMPS.verdict((2, 2), (0, 0), (1, 1)), DEJMPS.verdict((2, 2), (0, 0), (0, 1))
        (2, None)
        """
        kept, spent = (self.turns[turn].moves[bell] for bell, turn in zip(bells, turns, strict=True))
        head, tail = outcomes
        if head < 0 or tail < 0 or (head ^ _parity(kept, spent), tail) not in self.kept:
            return None
        return _joined(kept, spent)

    def forecast(self, kept: Weights, spent: Weights, gates: Gates = NOISELESS) -> Forecast:
        """Return what becomes of two Bell-diagonal pairs; gates: the noise of both ends.

        A qubit that a CNOT has mixed is worth nothing, and then the ends agree by chance. Wrong read-outs hide some
        pairs that should have been kept among those that are freed, and the other way round.

        >>> forecast = DEJMPS.forecast(werner(0.8), werner(0.8))
        >>> round(forecast.success, 4), [round(w, 4) for w in forecast.weights]
        (0.7689, [0.8382, 0.1387, 0.0116, 0.0116])
        """
        k, s = self._turned(kept, gates.turned[0]), self._turned(spent, gates.turned[1])
        likely = gates.intact * (1 + gates.read) / 2, gates.intact * (1 - gates.read) / 2
        found = [(1 - gates.intact) / 8] * 4
        for i, j in product(range(4), repeat=2):
            found[_joined(i, j)] += k[i] * s[j] * likely[_parity(i, j)]
        total = math.fsum(found)
        success = total * gates.answered * len(self.kept) / 2
        if success <= 0:
            return Forecast(0.0, (0.25, 0.25, 0.25, 0.25))
        a, b, c, d = (weight / total for weight in found)
        return Forecast(success, (a, b, c, d))

    def _turned(self, weights: Weights, contrast: float) -> list[float]:
        turned = [(1 - contrast) / 4] * 4
        for turn in self.turns:
            for error, weight in enumerate(weights):
                turned[turn.moves[error]] += contrast * weight / len(self.turns)
        return turned


def weights_of(contrasts: Contrasts) -> Weights:
    """Return the weights of a Bell-diagonal pair with these contrasts.

    >>> weights_of((0.0, 0.0, 1.0))
    (0.5, 0.5, 0.0, 0.0)
    """
    x, y, z = contrasts
    a, b, c, d = 1 + x + y + z, 1 - x - y + z, 1 + x - y - z, 1 - x + y - z
    return max(0.0, a) / 4, max(0.0, b) / 4, max(0.0, c) / 4, max(0.0, d) / 4


def contrasts_of(weights: Weights) -> Contrasts:
    """Return the contrasts of a Bell-diagonal pair with these weights.

    >>> contrasts_of((1.0, 0.0, 0.0, 0.0))
    (1.0, 1.0, 1.0)
    """
    a, b, c, d = weights
    return a - b + c - d, a - b - c + d, a + b - c - d


def werner(fidelity: float) -> Weights:
    """Return the weights of a Werner pair.

    >>> werner(0.7)[0]
    0.7
    """
    error = (1 - fidelity) / 3
    return (fidelity, error, error, error)


def _parity(kept: int, spent: int) -> int:
    """Return whether the two ends read different bits of the spent pair."""
    return (kept ^ spent) >> 1


def _joined(kept: int, spent: int) -> int:
    """Return the Bell state of the kept pair after the CNOTs: a phase flip of the spent pair comes back to it."""
    return kept ^ (spent & 1)


_UNMOVED: Final = (0, 1, 2, 3)
_STILL: Final = Turn((0.0, 0.0, 1.0), 0.0, _UNMOVED)
_HALVES: Final = tuple(Turn(axis, math.pi, _UNMOVED) for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
# About the diagonals of a cube: by 120 degrees X becomes Y becomes Z becomes X; by -120 degrees the other way round.
_DIAGONALS: Final = ((1.0, 1.0, 1.0), (1.0, -1.0, -1.0), (-1.0, 1.0, -1.0), (-1.0, -1.0, 1.0))
_THIRDS: Final = tuple(
    Turn(axis, sign * 2 * math.pi / 3, moves)
    for sign, moves in ((1, (0, 2, 3, 1)), (-1, (0, 3, 1, 2)))
    for axis in _DIAGONALS
)
_EQUAL: Final = ((0, 0), (1, 1))

BBPSSW: Final = Protocol((_STILL, *_HALVES, *_THIRDS), _EQUAL)
DEJMPS: Final = Protocol((Turn((1.0, 0.0, 0.0), math.pi / 2, (0, 3, 2, 1)),), _EQUAL)
EPL: Final = Protocol((_STILL,), ((1, 1),))

PROTOCOLS: Final[Mapping[str, Protocol]] = MappingProxyType({"bbpssw": BBPSSW, "dejmps": DEJMPS, "epl": EPL})
