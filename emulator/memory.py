"""A node's quantum memory: positions that are reserved, used and freed explicitly, each with its own noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from .quantum import PERFECT, BellMeasurement, BellState, Gate, Noise, QubitId, Readout

_MOMENT_NS: Final = 1_000  # short against all storage


class QuantumDevice(Protocol):
    """What a node can do to its own qubits. The engine offers more (what is true): that is not for actors."""

    def open(self, qubit: QubitId, noise: Noise = ...) -> None:
        """Make a position ready to hold a qubit."""

    def close(self, qubit: QubitId) -> None:
        """Free a position."""

    def store(self, qubit: QubitId, noise: Noise, time_ns: int) -> None:
        """Let an open position decohere otherwise from now on."""

    def new_qubit(self, qubit: QubitId, time_ns: int) -> None:
        """Prepare |0>."""

    def gate(self, gate: Gate, *qubits: QubitId, time_ns: int) -> None:
        """Apply a gate."""

    def frame(self, qubit: QubitId, bell: int, time_ns: int) -> None:
        """Apply X^x Z^z."""

    def dephase(self, qubit: QubitId, contrast: float, time_ns: int) -> None:
        """Multiply the coherences."""

    def measure(
        self,
        qubit: QubitId,
        time_ns: int,
        *,
        u: tuple[float, float],
        direction: tuple[float, float, float] = ...,
        readout: Readout = ...,
    ) -> int | None:
        """Measure along a Bloch vector."""

    def swap(
        self,
        b: QubitId,
        c: QubitId,
        time_ns: int,
        *,
        u: tuple[float, float, float],
        bsm: BellMeasurement = ...,
        efficiency: float = ...,
    ) -> BellState | None:
        """Measure two qubits in the Bell basis."""


@dataclass(frozen=True, slots=True)
class Bank:
    """A group of equal positions that serve the same ports: how many, and how a qubit decoheres there."""

    positions: int
    noise: Noise = PERFECT


# Who uses a position: the circuit (or program), and the neighbour towards whom.
Owner: TypeAlias = tuple[str, str]


class MemoryFullError(RuntimeError):
    """No free position in a bank."""


class Qubit:
    """The handle of one qubit at one node. Not a value: it cannot be put into a message, and it dies with its qubit."""

    __slots__ = ("bank", "id", "owner")

    def __init__(self, qubit: QubitId, bank: str, owner: Owner) -> None:
        self.id = qubit
        self.bank = bank
        self.owner = owner

    def __repr__(self) -> str:
        node, position, generation = self.id
        return f"<Qubit {node}[{position}] generation {generation}, of {self.owner[0]}>"


class QuantumMemory:
    """Positions in banks. `reserve` sets positions aside for an owner, `take` puts one into use, `free` ends the use.

    >>> from emulator.quantum import Engine
    >>> memory = QuantumMemory(Engine(), "alice", {"west": Bank(2)})
    >>> memory.reserve("west", ("c1", "bob"), 2), memory.reserve("west", ("c2", "bob"), 1)
    (True, False)
    >>> qubit = memory.take("west", ("c1", "bob"))
    >>> memory.in_use, memory.reserved
    (1, 2)
    >>> memory.free(qubit)
    >>> memory.release("west", ("c1", "bob"))
    >>> memory.in_use, memory.reserved
    (0, 0)
    """

    def __init__(self, device: QuantumDevice, node: str, banks: Mapping[str, Bank]) -> None:
        self._device = device
        self._node = node
        self._banks = dict(banks)
        self._free: dict[str, list[int]] = {}
        self._reserved: dict[tuple[str, Owner], int] = {}
        self._taken: dict[tuple[str, Owner], int] = {}
        self._generation: dict[int, int] = {}
        self._qubits: dict[QubitId, Qubit] = {}
        self._spoilt: dict[str, list[int]] = {name: [] for name in self._banks}
        self._to_spoil: dict[str, int] = {}  # how many more, as soon as they are free
        self._is_spoilt = False  # is any of them not empty?
        first = 0
        for name, bank in self._banks.items():
            positions = range(first, first + bank.positions)
            self._free[name] = list(reversed(positions))
            self._generation.update(dict.fromkeys(positions, 0))
            first += bank.positions

    @property
    def in_use(self) -> int:
        """Return how many positions hold a qubit or wait for one."""
        return len(self._qubits)

    @property
    def reserved(self) -> int:
        """Return how many positions are set aside."""
        return sum(self._reserved.values())

    def positions(self, bank: str) -> int:
        """Return how many positions a bank has, reserved or not."""
        return self._banks[bank].positions

    def available(self, bank: str) -> int:
        """Return how many positions of a bank nobody has reserved; of a bank that there is not, none."""
        if bank not in self._banks:
            return 0
        spoilt = len(self._spoilt[bank]) + self._to_spoil.get(bank, 0)
        return self._banks[bank].positions - spoilt - sum(n for (b, _), n in self._reserved.items() if b == bank)

    def reserve(self, bank: str, owner: Owner, positions: int) -> bool:
        """Set positions aside for an owner; return False if there are not as many."""
        if positions > self.available(bank):
            return False
        self._reserved[bank, owner] = self._reserved.get((bank, owner), 0) + positions
        return True

    def release(self, bank: str, owner: Owner) -> None:
        """Give back an owner's reservation; its positions must be free by now."""
        if self._taken.get((bank, owner), 0):
            raise RuntimeError(f"{self._node}: {owner} gives back bank {bank!r} while it still uses positions of it")
        self._taken.pop((bank, owner), None)
        del self._reserved[bank, owner]

    def unreserve(self, bank: str, owner: Owner, positions: int) -> None:
        """Give back some of an owner's reserved positions, which must not be in use."""
        if positions > self._reserved.get((bank, owner), 0) - self.taken(bank, owner):
            raise RuntimeError(f"{self._node}: {owner} gives back positions of bank {bank!r} that it still uses")
        self._reserved[bank, owner] -= positions

    def contrasts(self, bank: str, stored_ns: int) -> tuple[float, float, float]:
        """Return by what storage shrinks the coherences (X, Y) and the populations (Z) of a qubit of a bank."""
        noise = self._banks[bank].noise
        factors = noise.factors(0, stored_ns)
        if factors is not None:
            return factors[0], factors[0], factors[1]
        matrix = noise.matrix(0, stored_ns)
        return float(matrix[1, 1]), float(matrix[2, 2]), float(matrix[3, 3])

    def decay(self, bank: str) -> tuple[float, float]:
        """Return how fast that begins, per second, of the coherences and of the populations."""
        x, y, z = self.contrasts(bank, _MOMENT_NS)
        return -math.log(math.sqrt(x * y)) / (_MOMENT_NS * 1e-9), -math.log(z) / (_MOMENT_NS * 1e-9)

    def taken(self, bank: str, owner: Owner) -> int:
        """Return how many of an owner's reserved positions are in use."""
        return self._taken.get((bank, owner), 0)

    def spare(self, bank: str, owner: Owner) -> int:
        """Return how many of an owner's reserved positions are not in use, and not spoilt."""
        key = bank, owner
        unused = self._reserved.get(key, 0) - self._taken.get(key, 0)
        return min(unused, len(self._free[bank])) if self._is_spoilt else unused

    def take(self, bank: str, owner: Owner) -> Qubit:
        """Put one of an owner's reserved positions into use; raises MemoryFullError if there is none."""
        if self.spare(bank, owner) < 1:
            raise MemoryFullError(f"{self._node}: {owner} has no spare position in bank {bank!r}")
        position = self._free[bank].pop()
        self._generation[position] += 1
        qubit = Qubit((self._node, position, self._generation[position]), bank, owner)
        self._taken[bank, owner] = self._taken.get((bank, owner), 0) + 1
        self._qubits[qubit.id] = qubit
        self._device.open(qubit.id, self._banks[bank].noise)
        return qubit

    def holds(self, qubit: Qubit) -> bool:
        """Return whether a qubit's position is still in use by it."""
        return qubit.id in self._qubits

    def free(self, qubit: Qubit) -> None:
        """End the use of a position; a qubit still in it is lost."""
        del self._qubits[qubit.id]
        self._device.close(qubit.id)
        self._taken[qubit.bank, qubit.owner] -= 1
        self._free[qubit.bank].append(qubit.id[1])
        if self._to_spoil:
            self._spoil_free(qubit.bank)

    # -- what faults do --------------------------------------------------------------------------------------------

    @property
    def banks(self) -> Mapping[str, Bank]:
        """Return the banks by name."""
        return self._banks

    def spoil(self, bank: str, positions: int) -> None:
        """Take positions of a bank out of use, those in use as soon as they are free; a negative number mends them."""
        wanted = len(self._spoilt[bank]) + self._to_spoil.pop(bank, 0) + positions
        while len(self._spoilt[bank]) > wanted:
            self._free[bank].append(self._spoilt[bank].pop())
        if wanted > len(self._spoilt[bank]):
            self._to_spoil[bank] = wanted - len(self._spoilt[bank])
            self._spoil_free(bank)
        self._is_spoilt = bool(self._to_spoil) or any(self._spoilt.values())

    def _spoil_free(self, bank: str) -> None:
        wanted, free = self._to_spoil.pop(bank, 0), self._free[bank]
        while wanted and free:
            self._spoilt[bank].append(free.pop())
            wanted -= 1
        if wanted:
            self._to_spoil[bank] = wanted

    def use(self, device: QuantumDevice, now_ns: int) -> None:
        """Use another device, such as one that is worn: what is stored decoheres accordingly from now on."""
        self._device = device
        for qubit in self._qubits.values():
            device.store(qubit.id, self._banks[qubit.bank].noise, now_ns)

    def lose(self) -> None:
        """Lose everything: all qubits, all reservations. Generations go on, so that no old name comes back."""
        for qubit in list(self._qubits.values()):
            self.free(qubit)
        self._reserved.clear()
        self._taken.clear()
