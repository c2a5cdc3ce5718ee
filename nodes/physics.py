"""What a node's hardware does to its qubits, in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emulator import BellMeasurement, Detector, Readout

from .distillation import Gates


@dataclass(frozen=True, slots=True)
class Terminal:
    """What a node has for light that its programs send and receive.

    photon_probability: an emitted photon ends up in the fibre (0: it emits none); photon_contrast: length of its Bloch
    vector; photon_ns: what one takes; pulse_period_ps: of the fastest clock of weak pulses (0: it has none);
    pulse_contrast: length of their Bloch vector; detector: None if it does not receive.
    """

    photon_probability: float = 1.0
    photon_contrast: float = 1.0
    photon_ns: int = 1
    pulse_period_ps: int = 0
    pulse_contrast: float = 1.0
    detector: Detector | None = None


@dataclass(frozen=True, slots=True)
class NodePhysics:
    """What a node's hardware does to its qubits.

    bsm, bsm_ns: its Bell-state measurement; readout, readout_ns: of one qubit; one_qubit_..., two_qubit_...: duration
    and depolarising probability of a gate; attempts_1_over_e: after how many attempts
    beside it a stored qubit has lost its coherence to 1/e (inf: they do not disturb it); retrieval_efficiency,
    retrieval_decay_s: what an absorptive memory gives back, at first and after how long 1/e of it; terminal: for light.
    """

    bsm: BellMeasurement = BellMeasurement()  # noqa: RUF009  (frozen)
    bsm_ns: int = 1
    readout: Readout = Readout()  # noqa: RUF009
    readout_ns: int = 1
    one_qubit_ns: int = 1
    one_qubit_depolarising: float = 0.0
    two_qubit_ns: int = 1
    two_qubit_depolarising: float = 0.0
    attempts_1_over_e: float = math.inf
    retrieval_efficiency: float = 1.0
    retrieval_decay_s: float = math.inf
    terminal: Terminal = Terminal()

    def gates(self, kept: int, spent: int) -> Gates:
        """Return the noise of this end in one step of distillation; kept, spent: how often that qubit is turned."""
        turn, intact, readout = 1 - self.one_qubit_depolarising, 1 - self.two_qubit_depolarising, self.readout
        return Gates((turn**kept, turn**spent), intact, 1 - readout.error_0 - readout.error_1, readout.efficiency)

    def distil_ns(self, turned: int) -> int:
        """Return how long one step of distillation takes at this end, when so many of its qubits are turned."""
        return turned * self.one_qubit_ns + self.two_qubit_ns + self.readout_ns

    def retrieval(self, stored_ns: int) -> float:
        """Return the probability that a memory gives its excitation back after a time of storage."""
        return self.retrieval_efficiency * math.exp(-stored_ns * 1e-9 / self.retrieval_decay_s)
