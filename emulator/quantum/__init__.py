"""Quantum states of a few qubits, exact and fast. Sans-io: time and randomness are arguments.

>>> from emulator.quantum import Engine, BellState, werner
>>> engine = Engine()
>>> ids = [("alice", 0, 1), ("repeater", 0, 1), ("repeater", 1, 1), ("bob", 0, 1)]
>>> for qubit in ids:
...     engine.open(qubit)
>>> engine.new_pair(werner(0.95), ids[0], ids[1], times_ns=(0, 0), bell=BellState.PHI_PLUS)
>>> engine.new_pair(werner(0.95), ids[2], ids[3], times_ns=(0, 0), bell=BellState.PHI_PLUS)
>>> outcome = engine.swap(ids[1], ids[2], 1000, u=(0.4, 0.5, 0.5))
>>> round(engine.snapshot(ids[0], ids[3]).fidelity(outcome), 4)
0.9033
"""

from . import gates
from .bell import SIGNS, BellState, parity
from .engine import MAX_QUBITS, Engine, JointState, StateTooLargeError, StoredQubit
from .gates import Gate, rotation
from .light import Detection, Detector, PulseTrain, Setting, TrainId, UnderWayError, Vector
from .measurement import PERFECT_BELL_MEASUREMENT, PERFECT_READOUT, BellMeasurement, Readout
from .noise import PERFECT, LindbladNoise, MemoryNoise, Noise
from .pair import werner
from .pauli import UnphysicalStateError, from_density, ghz, to_density, transfer_matrix
from .snapshot import QubitError, QubitId, Snapshot

__all__ = [
    "MAX_QUBITS",
    "PERFECT",
    "PERFECT_BELL_MEASUREMENT",
    "PERFECT_READOUT",
    "SIGNS",
    "BellMeasurement",
    "BellState",
    "Detection",
    "Detector",
    "Engine",
    "Gate",
    "JointState",
    "LindbladNoise",
    "MemoryNoise",
    "Noise",
    "PulseTrain",
    "QubitError",
    "QubitId",
    "Readout",
    "Setting",
    "Snapshot",
    "StateTooLargeError",
    "StoredQubit",
    "TrainId",
    "UnderWayError",
    "UnphysicalStateError",
    "Vector",
    "from_density",
    "gates",
    "ghz",
    "parity",
    "rotation",
    "to_density",
    "transfer_matrix",
    "werner",
]
