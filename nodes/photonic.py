"""End nodes that have photons and nothing to keep them in."""

from __future__ import annotations

from emulator import Half, Port

from .circuit import Circuit
from .delivery import AXES
from .end import EndNode


class PhotonicClient(EndNode):
    """A low-cost end node without memory: its photons are measured at once, in a random basis.

    It sends photons prepared in a random basis and bit, which is the same as measuring one of two entangled photons
    at once; the herald tells it which of them counted.
    """

    stores = False

    def storage_decay(self, port: Port) -> tuple[float, float]:
        """Return that nothing is stored here."""
        return 0.0, 0.0

    def take_half(self, circuit: Circuit, port: Port, half: Half) -> None:
        """Measure at once, keep the outcome."""
        qubit, half.qubit = half.qubit, None
        assert qubit is not None
        random = self.random("measure")
        basis = 1 + random.below(3)
        outcome = self._device.measure(
            qubit.id,
            half.emitted_ns,
            u=(random.uniform(), random.uniform()),
            direction=AXES[basis],
            readout=self.physics.readout,
        )
        self.memory.free(qubit)
        if outcome is not None:
            self._outcomes[half.pair] = (basis, outcome)
        super().take_half(circuit, port, half)
        self.refill(circuit)
