"""What a program gets: pairs, and the errors that it may see instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from emulator import BellState, PairId, Qubit
from emulator.time import Place

from .bases import Bases
from .circuits import SwapNote


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


class PairExpiredError(RuntimeError):
    """A pair that was handed over early has come to nothing: its other half is lost."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A delivered Bell pair.

    name: the same at both ends; bell: which Bell state it is, from messages alone; age_ns: since its photon left this
    node; qubit: this node's half, or None if it was measured: `outcome` in `basis` (1 X, 2 Y, 3 Z; 0: the detector gave
    no answer); request: for which request of the circuit it is; history: the swaps on its way, from the head-end on, if
    the circuit's terms ask for them; fidelity: what it is at this moment, as estimated from what the nodes on its way
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
    request: int = 0
    history: tuple[SwapNote, ...] = ()


class EarlyPair:
    """A qubit that was handed over before it is known what it is entangled with, if with anything.

    qubit: this node's half, for the program to use and to free; age_ns: since its photon left this node; request: for
    which request of the circuit it is (0: the other end will say).
    """

    def __init__(self, qubit: Qubit, age_ns: int, request: int = 0) -> None:
        self.qubit = qubit
        self.age_ns = age_ns
        self.request = request
        self._place = Place()
        self._pair: Pair | None = None
        self._over = False

    async def confirmed(self) -> Pair:
        """Wait for the news, and return the pair; raises PairExpiredError if it came to nothing."""
        while not self._over:
            await self._place.park()
        if self._pair is None:
            raise PairExpiredError("the pair has expired")
        return self._pair

    def resolve(self, pair: Pair | None) -> None:
        """Take the news: the pair, or None if it came to nothing."""
        self._pair, self._over = pair, True
        self._place.wake()


class Consumer(Protocol):
    """Whoever takes the pairs of a circuit at one of its ends."""

    bases: Bases  # of X, Y and Z, in which a photonic client is to measure

    def put(self, pair: Pair) -> None:
        """Take a pair; its qubit has to be given back to the node some time."""

    def put_early(self, pair: EarlyPair) -> None:
        """Take a qubit before its pair is confirmed; it has to be given back, whatever comes of it."""

    def end(self) -> None:
        """Take the news that no more pairs will come."""
