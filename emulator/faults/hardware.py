"""Hardware that is worse than its node knows: memories, gates, read-outs.

What is worn comes between a node and its qubits, so that it acts on everything that is done to them, and that the node
goes on believing in what it was told of its hardware.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias

from msgspec import Meta

from emulator.memory import QuantumDevice
from emulator.quantum import (
    PERFECT,
    PERFECT_BELL_MEASUREMENT,
    PERFECT_READOUT,
    BellMeasurement,
    BellState,
    Gate,
    Noise,
    QubitId,
    Readout,
)
from emulator.quantum.noise import Factors
from emulator.quantum.pauli import Array

from .fault import Active, Site, Undo
from .on_node import OnNode

Probability: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
_Z_AXIS = (0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Hastened:
    """A noise model that runs faster."""

    noise: Noise
    speed: float

    def factors(self, from_ns: int, to_ns: int) -> Factors | None:
        """Return the three factors of a storage."""
        return self.noise.factors(from_ns * self.speed, to_ns * self.speed)  # type: ignore[arg-type]  # parts of ns are fine

    def matrix(self, from_ns: int, to_ns: int) -> Array:
        """Return the transfer matrix of a storage."""
        return self.noise.matrix(from_ns * self.speed, to_ns * self.speed)  # type: ignore[arg-type]


class Worn:
    """A device that does as another one does; subclasses do it worse."""

    def __init__(self, inner: QuantumDevice, met: Callable[[], None]) -> None:
        self.inner = inner
        self.met = met
        self.trains = inner.trains

    def open(self, qubit: QubitId, noise: Noise = PERFECT) -> None:
        """Make a position ready to hold a qubit."""
        self.inner.open(qubit, noise)

    def close(self, qubit: QubitId) -> None:
        """Free a position."""
        self.inner.close(qubit)

    def store(self, qubit: QubitId, noise: Noise, time_ns: int) -> None:
        """Let an open position decohere otherwise from now on."""
        self.inner.store(qubit, noise, time_ns)

    def new_qubit(self, qubit: QubitId, time_ns: int) -> None:
        """Prepare |0>."""
        self.inner.new_qubit(qubit, time_ns)

    def gate(self, gate: Gate, *qubits: QubitId, time_ns: int) -> None:
        """Apply a gate."""
        self.inner.gate(gate, *qubits, time_ns=time_ns)

    def frame(self, qubit: QubitId, bell: int, time_ns: int) -> None:
        """Apply X^x Z^z."""
        self.inner.frame(qubit, bell, time_ns)

    def dephase(self, qubit: QubitId, contrast: float, time_ns: int) -> None:
        """Multiply the coherences."""
        self.inner.dephase(qubit, contrast, time_ns)

    def measure(
        self,
        qubit: QubitId,
        time_ns: int,
        *,
        u: tuple[float, float],
        direction: tuple[float, float, float] = _Z_AXIS,
        readout: Readout = PERFECT_READOUT,
    ) -> int | None:
        """Measure along a Bloch vector."""
        return self.inner.measure(qubit, time_ns, u=u, direction=direction, readout=readout)

    def swap(
        self,
        b: QubitId,
        c: QubitId,
        time_ns: int,
        *,
        u: tuple[float, float, float],
        bsm: BellMeasurement = PERFECT_BELL_MEASUREMENT,
        efficiency: float = 1.0,
    ) -> BellState | None:
        """Measure two qubits in the Bell basis."""
        return self.inner.swap(b, c, time_ns, u=u, bsm=self.worn(bsm), efficiency=efficiency)

    def worn(self, bsm: BellMeasurement) -> BellMeasurement:
        """Return what the node's Bell-state measurement really is."""
        return bsm


class MemoryNoise(OnNode, frozen=True, tag="memory-noise"):
    """The memories of a node decohere faster, or slower, than they should: those in use, too."""

    seen = "true fidelity falls; what the node believes of it does not"
    factor: Annotated[float, Meta(gt=0, le=1e6, description="of T1, T2 and all other time constants")] = 0.1

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Hasten the noise."""
        return _wear(self, active, sites, lambda inner: _FastMemory(inner, active.met, 1 / self.factor))


class _FastMemory(Worn):
    def __init__(self, inner: QuantumDevice, met: Callable[[], None], speed: float) -> None:
        super().__init__(inner, met)
        self._speed = speed
        self._hastened: dict[Noise, Hastened] = {}

    def open(self, qubit: QubitId, noise: Noise = PERFECT) -> None:
        self.inner.open(qubit, self._fast(noise))

    def store(self, qubit: QubitId, noise: Noise, time_ns: int) -> None:
        self.inner.store(qubit, self._fast(noise), time_ns)

    def _fast(self, noise: Noise) -> Noise:
        if noise is PERFECT:
            return noise
        self.met()
        if noise not in self._hastened:
            self._hastened[noise] = Hastened(noise, self._speed)
        return self._hastened[noise]


class GateErrors(OnNode, frozen=True, tag="gate-errors"):
    """Gates and Bell-state measurements of a node depolarise more than they should."""

    seen = "true fidelity falls; what the node believes of it does not"
    depolarising: Annotated[Probability, Meta(description="further, per gate and Bell-state measurement")] = 0.05

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Wear the gates."""
        return _wear(self, active, sites, lambda inner: _NoisyGates(inner, active.met, self.depolarising))


class _NoisyGates(Worn):
    def __init__(self, inner: QuantumDevice, met: Callable[[], None], depolarising: float) -> None:
        super().__init__(inner, met)
        self._depolarising = depolarising

    def gate(self, gate: Gate, *qubits: QubitId, time_ns: int) -> None:
        self.met()
        self.inner.gate(gate.depolarised(self._depolarising), *qubits, time_ns=time_ns)

    def worn(self, bsm: BellMeasurement) -> BellMeasurement:
        self.met()
        return replace(bsm, depolarising=1 - (1 - bsm.depolarising) * (1 - self._depolarising))


class ReadoutErrors(OnNode, frozen=True, tag="readout-errors"):
    """Read-outs of a node are wrong more often than they should be, those of Bell-state measurements too."""

    seen = "true fidelity of what it swaps falls, and outcomes of measurements agree less; it does not know"
    error: Annotated[Probability, Meta(description="a bit that was read is flipped after that")] = 0.05

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Wear the read-out."""
        return _wear(self, active, sites, lambda inner: _NoisyReadout(inner, active.met, self.error))


class _NoisyReadout(Worn):
    def __init__(self, inner: QuantumDevice, met: Callable[[], None], error: float) -> None:
        super().__init__(inner, met)
        self._error = error

    def measure(
        self,
        qubit: QubitId,
        time_ns: int,
        *,
        u: tuple[float, float],
        direction: tuple[float, float, float] = _Z_AXIS,
        readout: Readout = PERFECT_READOUT,
    ) -> int | None:
        self.met()
        worse = replace(readout, error_0=self._flipped(readout.error_0), error_1=self._flipped(readout.error_1))
        return self.inner.measure(qubit, time_ns, u=u, direction=direction, readout=worse)

    def worn(self, bsm: BellMeasurement) -> BellMeasurement:
        self.met()
        return replace(bsm, flip_x=self._flipped(bsm.flip_x), flip_z=self._flipped(bsm.flip_z))

    def _flipped(self, error: float) -> float:
        return error * (1 - self._error) + (1 - error) * self._error


def _wear(
    fault: OnNode, active: Active, sites: tuple[Site, ...], wrap: Callable[[QuantumDevice], QuantumDevice]
) -> Undo:
    node = fault.node(active.scene, sites)
    node.wear(active.order, wrap)
    return lambda: node.wear(active.order, None)
