"""End nodes that have photons and nothing to keep them in."""

from __future__ import annotations

from emulator import Half, PairId, Port

from .circuit import Circuit
from .circuits import Track
from .end import EndNode

_BASES = {1: (1.0, 0.0, 0.0), 2: (0.0, 1.0, 0.0), 3: (0.0, 0.0, 1.0)}


class PhotonicClient(EndNode):
    """A low-cost end node without memory: its photons are measured at once, in a random basis.

    It sends photons prepared in a random basis and bit, which is the same as measuring one of two entangled photons
    at once; the herald tells it which of them counted.
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
        basis = 1 + random.below(3)
        outcome = self.read_out(qubit, half.emitted_ns, _BASES[basis], random)
        if outcome is not None:
            self._outcomes[half.pair] = (basis, outcome)
        super().take_half(circuit, port, half)
        self.refill(circuit)

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
