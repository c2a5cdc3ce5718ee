"""End nodes that have photons and nothing to keep them in: sources, or detectors."""

from __future__ import annotations

from emulator import Half, Port, StorageLaw

from .bases import AXES, UNIFORM, choose_basis
from .circuit import Circuit
from .end import EndNode


class PhotonicClient(EndNode):
    """A low-cost end node without memory: its photons are measured at once, in a random basis.

    A client that sends prepares photons in a random basis and bit, which is the same as measuring one of two entangled
    photons at once; the herald tells it which of them counted. One that receives measures photons that its neighbour's
    memory, or a source on the link, has sent; that it has detected one is the herald. Bases are uniform, unless the
    program at this end of the circuit wants others.
    """

    stores = False

    def storage_law(self, port: Port) -> StorageLaw:
        """Return that nothing is stored here."""
        return StorageLaw()

    def take_half(self, circuit: Circuit, port: Port, half: Half) -> None:
        """Measure at once, keep the outcome."""
        qubit, half.qubit = half.qubit, None
        assert qubit is not None
        random = self.random("measure")
        consumer = self._consumers.get(circuit.demand)
        bases = UNIFORM if consumer is None else consumer.bases
        basis = choose_basis(bases, random.uniform())
        outcome = self.read_out(qubit, half.emitted_ns, AXES[basis], random)
        if outcome is not None:
            self._outcomes[half.pair] = (basis, outcome)
        super().take_half(circuit, port, half)
        self.refill(circuit)

    def activated(self, circuit: Circuit) -> None:
        """Give a circuit to whoever waits for one; record which bases it is measured in, if they are not uniform."""
        super().activated(circuit)
        consumer = self._consumers.get(circuit.demand)
        if consumer is not None and consumer.bases != UNIFORM:
            self.record("bases", circuit.path[0], circuit.path[-1], consumer.bases)
