"""What actors offer to faults. Whoever has these methods can have the faults that use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from emulator.memory import QuantumDevice, QuantumMemory
from emulator.port import Herald

from .conditions import Conditions

# The heralds of one pair, each with the node that it is for.
Heralds: TypeAlias = list[tuple[str, Herald]]

# How the attempts between the nodes a and b differ.
Disturb: TypeAlias = Callable[[str, str], Conditions]

# What comes between a node and its qubits.
Wrap: TypeAlias = Callable[[QuantumDevice], QuantumDevice]


@runtime_checkable
class Station(Protocol):
    """A heralding station."""

    def arms_to(self, a: str, b: str) -> tuple[str, ...]:
        """Return the nodes at the ends of the arms that make the fibre between two nodes; none if there is none."""

    def disturb(self, key: int, disturb: Disturb | None, met: Callable[[], None]) -> None:
        """Let attempts differ from the calibration, from now on; call `met` whenever some begin that do.

        None: not any more. The same key again: otherwise from now on.
        """

    def forge(self, key: int, forge: Callable[[Heralds], Heralds] | None) -> None:
        """Let what is announced of a pair be something else; None: not any more."""


@runtime_checkable
class Switching(Protocol):
    """A heralding station behind an optical switch."""

    @property
    def analysers(self) -> int:
        """Return how many analysers it has; 0: there is no switch."""

    def take_out(self, key: int, analysers: int, met: Callable[[], None]) -> None:
        """Take analysers out of order, 0 to bring them back; call `met` whenever somebody lacks one."""

    def stick(self, met: Callable[[], None] | None) -> None:
        """Let the switch not move, though it says so; call `met` whenever it should have. None: it moves again."""


@runtime_checkable
class Counting(Protocol):
    """A heralding station that numbers its pairs."""

    def recount(self) -> int:
        """Count pairs from 1 again; return how many it had counted."""


@runtime_checkable
class Node(Protocol):
    """A node with ports."""

    memory: QuantumMemory

    def wear(self, key: int, wrap: Wrap | None) -> None:
        """Let something come between the node and its qubits; None: not any more."""

    def calibrate(self, key: int, *, calibrating: bool) -> int:
        """Let the node make no attempts, or make them again; return how many that ended."""

    def refill_all(self) -> None:
        """Offer all memory that is spare, as some of it may have come back."""


@runtime_checkable
class Demanding(Protocol):
    """An end node, which can ask for circuits."""

    def demand(self, peer: str, circuits: int, pairs: int) -> None:
        """Ask for circuits to a peer, each for so many pairs."""

    def can_reach(self, peer: str) -> bool:
        """Return whether there is a path to a peer."""
