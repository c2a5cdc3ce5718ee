"""What a program gets: pairs, and the errors that it may see instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from emulator import BellState, PairId, Qubit

from .bases import Bases


class CircuitRefusedError(RuntimeError):
    """A circuit could not be had: which node refused, and why.

    code: one of the link layer's error codes: UNSUPP, it can never be had; NORES, others have what it needs; CREATE,
    the request makes no sense; TIMEOUT, there was no answer; OTHER.
    """

    def __init__(self, node: str, reason: str, code: str = "NORES") -> None:
        super().__init__(f"{node} refused: {reason} ({code})")
        self.node = node
        self.reason = reason
        self.code = code


class CircuitClosedError(RuntimeError):
    """A pair is awaited from a circuit that is being torn down."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A delivered Bell pair.

    name: the same at both ends; bell: which Bell state it is, from messages alone; age_ns: since its photon left this
    node; qubit: this node's half, or None at a photonic client, which has measured `outcome` in `basis` (1 X, 2 Y, 3 Z;
    0: its detector gave no answer); fidelity: what it is at this moment, as estimated from what the nodes on its way
    know of themselves; waited_ns: since the last pair, or the beginning of the circuit; broken: which parts of what the
    program asked for it does not keep ("fidelity", "age", "wait").
    """

    name: tuple[PairId, PairId]
    bell: BellState
    age_ns: int
    qubit: Qubit | None
    basis: int = 0
    outcome: int = 0
    fidelity: float = 0.25
    waited_ns: int = 0
    broken: tuple[str, ...] = ()


class Consumer(Protocol):
    """Whoever takes the pairs of a circuit at one of its ends."""

    bases: Bases  # of X, Y and Z, in which a photonic client is to measure

    def put(self, pair: Pair) -> None:
        """Take a pair; its qubit has to be given back to the node some time."""

    def end(self) -> None:
        """Take the news that no more pairs will come."""
