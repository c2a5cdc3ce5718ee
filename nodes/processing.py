"""End nodes with a quantum processor."""

from __future__ import annotations

from emulator import BellState, Gate, MemoryFullError, Qubit

from .distiller import Distiller

Z_AXIS = (0.0, 0.0, 1.0)


class ProcessingNode(Distiller):
    """An end node with a quantum processor: qubits, gates, measurements along any axis, all with their noise.

    Local qubits live in the bank "processor". Operations take their time and are applied at its end.
    """

    async def allocate(self) -> Qubit:
        """Prepare a qubit in |0>; raises MemoryFullError if the processor has no position left."""
        owner = ("program", self.name)
        if not self.memory.reserve("processor", owner, 1):
            raise MemoryFullError(f"{self.name}: all positions of the processor are in use")
        qubit = self.memory.take("processor", owner)
        await self.operate(self.physics.one_qubit_ns, lambda: self._device.new_qubit(qubit.id, self.now_ns))
        return qubit

    async def apply(self, gate: Gate, *qubits: Qubit) -> None:
        """Apply a gate, with the noise and duration of this hardware."""
        physics = self.physics
        one = gate.qubits == 1
        noisy = gate.depolarised(physics.one_qubit_depolarising if one else physics.two_qubit_depolarising)
        ids = [qubit.id for qubit in qubits]
        await self.operate(
            physics.one_qubit_ns if one else physics.two_qubit_ns,
            lambda: self._device.gate(noisy, *ids, time_ns=self.now_ns),
        )

    async def measure(self, qubit: Qubit, direction: tuple[float, float, float] = Z_AXIS) -> int | None:
        """Measure a qubit along a Bloch vector and free its position; None: the read-out gave no answer."""
        random = self.random("measure")
        u = (random.uniform(), random.uniform())
        outcome = await self.operate(
            self.physics.readout_ns,
            lambda: self._device.measure(qubit.id, self.now_ns, u=u, direction=direction, readout=self.physics.readout),
        )
        self.discard(qubit)
        return outcome

    async def correct(self, qubit: Qubit, bell: BellState) -> None:
        """Apply the Pauli that turns a pair in this Bell state into Phi+; at one of its ends only."""
        if bell != BellState.PHI_PLUS:
            await self.operate(
                self.physics.one_qubit_ns,
                lambda: self._device.frame(qubit.id, bell, self.now_ns),
            )

    def discard(self, qubit: Qubit) -> None:
        """Free a qubit, one of the processor's or half of a pair."""
        self.give_back(qubit)
        if qubit.bank == "processor":
            self.memory.unreserve("processor", qubit.owner, 1)
