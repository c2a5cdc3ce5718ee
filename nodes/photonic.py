"""End nodes that have photons and nothing to keep them in: sources, or detectors."""

from __future__ import annotations

from emulator import Half, PairId, Port

from .bases import AXES, UNIFORM, choose_basis
from .circuit import Circuit
from .circuits import Track
from .end import EndNode


class PhotonicClient(EndNode):
    """A low-cost end node without memory: its photons are measured at once, in a random basis.

    A client that sends prepares photons in a random basis and bit, which is the same as measuring one of two entangled
    photons at once; the herald tells it which of them counted. One that receives measures photons that its neighbour's
    memory, or a source on the link, has sent; that it has detected one is the herald. Bases are uniform, unless the
    program at this end of the circuit wants others.
    """

    stores = False

    def begin(self) -> None:
        """Start a life without outcomes."""
        super().begin()
        self._outcomes: dict[PairId, tuple[int, int]] = {}

    def storage_decay(self, port: Port) -> tuple[float, float]:
        """Return that nothing is stored here."""
        return 0.0, 0.0

    def take_half(self, circuit: Circuit, port: Port, half: Half) -> None:
        """Measure at once, keep the outcome."""
        qubit, half.qubit = half.qubit, None
        assert qubit is not None
        random = self.random("measure")
        consumer = self._consumers.get(circuit.name)
        bases = UNIFORM if consumer is None else consumer.bases
        basis = choose_basis(bases, random.uniform())
        outcome = self._device.measure(
            qubit.id,
            half.emitted_ns,
            u=(random.uniform(), random.uniform()),
            direction=AXES[basis - 1],
            readout=self.physics.readout,
        )
        self.memory.free(qubit)
        if outcome is not None:
            self._outcomes[half.pair] = (basis, outcome)
        super().take_half(circuit, port, half)
        self.refill(circuit)

    def activated(self, circuit: Circuit) -> None:
        """Give a circuit to whoever waits for one; record which bases it is measured in, if they are not uniform."""
        super().activated(circuit)
        consumer = self._consumers.get(circuit.name)
        if consumer is not None and consumer.bases != UNIFORM:
            self.record("bases", circuit.path[0], circuit.path[-1], consumer.bases)

    def deliver(self, circuit: Circuit, half: Half, track: Track) -> None:
        """Take an end-to-end pair, of which the outcome is known already."""
        super().deliver(circuit, half, track)
        self._outcomes.pop(half.pair, None)

    def forget(self, half: Half) -> None:
        """Give up a half, and its outcome."""
        super().forget(half)
        self._outcomes.pop(half.pair, None)

    def evidence(self, half: Half) -> tuple[int, int]:
        """Return the negative basis (1 X, 2 Y, 3 Z; 0: the detector gave no answer) and the outcome."""
        basis, outcome = self._outcomes.get(half.pair, (0, 0))
        return -basis, outcome
