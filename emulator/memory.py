"""A node's quantum memory: positions that are reserved, used and freed explicitly, each with its own noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from .quantum import (
    PERFECT,
    BellMeasurement,
    BellState,
    Gate,
    MemoryNoise,
    Noise,
    PulseTrain,
    QubitId,
    Readout,
    TrainId,
)
from .storage import StorageLaw, Stored

_MOMENT_NS: Final = 1_000  # short against all storage


class QuantumDevice(Protocol):
    """What a node can do to its own qubits. The engine offers more (what is true): that is not for actors.

    trains: light under way, which a node may put there, look at when it arrives, and take out.
    """

    trains: dict[TrainId, PulseTrain]

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

    What nobody has reserved can be borrowed. Who reserves counts borrowed positions as available, and gets them when
    they come back: a borrower gives back, unless it could `keep` the position because nobody has a claim to it.

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
        self._borrowed: dict[QubitId, bool] = {}  # and whether they are kept
        self._spoilt: dict[str, list[int]] = {name: [] for name in self._banks}
        self._to_spoil: dict[str, int] = {}  # how many more, as soon as they are free
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
        """Return how many positions of a bank nobody has reserved or keeps; of a bank that there is not, none."""
        if bank not in self._banks:
            return 0
        kept = sum(kept and self._qubits[qubit].bank == bank for qubit, kept in self._borrowed.items())
        spoilt = len(self._spoilt[bank]) + self._to_spoil.get(bank, 0)
        reserved = sum(n for (b, _), n in self._reserved.items() if b == bank)
        return self._banks[bank].positions - kept - spoilt - reserved

    def surplus(self, bank: str) -> int:
        """Return how many free positions of a bank can be borrowed; below 0: how many have to come back."""
        claims = sum(n - self._taken.get(key, 0) for key, n in self._reserved.items() if key[0] == bank)
        return len(self._free[bank]) - claims

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

    def stored(self, bank: str, to_ns: int, from_ns: int = 0) -> Stored:
        """Return what storage does to a qubit of a bank, counted from its beginning."""
        noise = self._banks[bank].noise
        factors = noise.factors(from_ns, to_ns)
        if factors is not None:
            c, e, s = factors
            return c, c, e, s
        matrix = noise.matrix(from_ns, to_ns)
        return float(matrix[1, 1]), float(matrix[2, 2]), float(matrix[3, 3]), float(matrix[3, 0])

    def law(self, bank: str) -> StorageLaw:
        """Return how storage in a bank goes on: of a `MemoryNoise` exactly, of any other noise as it begins."""
        noise = self._banks[bank].noise
        if not isinstance(noise, MemoryNoise):
            return _as_it_begins(self.stored(bank, _MOMENT_NS))
        depolarising_per_s = 1 / noise.depolarising_s
        longitudinal_per_s = 1 / noise.t1_s + depolarising_per_s
        return StorageLaw(
            1 / noise.t2_s + depolarising_per_s,
            longitudinal_per_s,
            noise.z_equilibrium / noise.t1_s / longitudinal_per_s if longitudinal_per_s else 0.0,
            noise.dephasing_s,
            noise.dephasing_exponent,
        )

    def taken(self, bank: str, owner: Owner) -> int:
        """Return how many of an owner's reserved positions are in use."""
        return self._taken.get((bank, owner), 0)

    def spare(self, bank: str, owner: Owner) -> int:
        """Return how many of an owner's reserved positions are not in use, and free now."""
        key = bank, owner
        idle = self._reserved.get(key, 0) - self._taken.get(key, 0)
        return min(idle, len(self._free[bank])) if idle else 0

    def _unused(self, bank: str, owner: Owner) -> int:
        return self._reserved.get((bank, owner), 0) - self._taken.get((bank, owner), 0)

    def take(self, bank: str, owner: Owner) -> Qubit:
        """Put one of an owner's reserved positions into use; raises MemoryFullError if there is none."""
        key = (bank, owner)
        taken = self._taken.get(key, 0)
        if taken >= self._reserved.get(key, 0) or not self._free[bank]:
            raise MemoryFullError(f"{self._node}: {owner} has no spare position in bank {bank!r}")
        self._taken[key] = taken + 1
        return self._use(bank, owner)

    def borrow(self, bank: str, owner: Owner) -> Qubit | None:
        """Put a position into use to which nobody has a claim; None: there is none."""
        if self.surplus(bank) < 1:
            return None
        qubit = self._use(bank, owner)
        self._borrowed[qubit.id] = False
        return qubit

    def borrowed(self, qubit: Qubit) -> bool:
        """Return whether a position is in use that was borrowed."""
        return qubit.id in self._borrowed

    def keep(self, qubit: Qubit) -> bool:
        """Keep a borrowed position until it is freed; False: it has been reserved, and has to be given back."""
        if self.available(qubit.bank) < 1:
            return False
        self._borrowed[qubit.id] = True
        return True

    def _use(self, bank: str, owner: Owner) -> Qubit:
        position = self._free[bank].pop()
        self._generation[position] += 1
        qubit = Qubit((self._node, position, self._generation[position]), bank, owner)
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
        if not self._borrowed or self._borrowed.pop(qubit.id, None) is None:
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


def _as_it_begins(stored: Stored) -> StorageLaw:
    x, y, e, s = stored
    seconds = _MOMENT_NS * 1e-9
    equilibrium = max(-1.0, min(1.0, s / (1 - e))) if e < 1 else 0.0
    return StorageLaw(-math.log(math.sqrt(x * y)) / seconds, -math.log(e) / seconds, equilibrium)
