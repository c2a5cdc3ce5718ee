"""A link with no optics: a success probability and a fidelity, for closed forms and comparisons."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.quantum import BellState, werner
from links.heralding import HeraldedState, HeraldedStateModel

from .ranges import require_share


@dataclass(frozen=True, slots=True)
class AbstractLink:
    """A link that delivers Werner pairs of a given fidelity to Bell state `bell`.

    Raises ValueError naming the parameter that is not between 0 and 1.

    >>> model = AbstractLink(p_success=0.01, fidelity=0.9).model()
    >>> model.p_success, round(model.fidelity, 12)
    (0.01, 0.9)
    """

    p_success: float
    fidelity: float
    bell: BellState = BellState.PSI_PLUS

    def __post_init__(self) -> None:
        require_share(self, "p_success", "fidelity")

    def model(self) -> HeraldedStateModel:
        """Announce `bell`, with the same state every time."""
        state = HeraldedState(tuple(werner(self.fidelity, self.bell)), self.bell)
        return HeraldedStateModel((state,), (self.p_success,))
