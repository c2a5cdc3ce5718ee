"""What faults put between a heralding station and the truth: how attempts differ, and what is announced of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from emulator import Bias, Contrasts, Loaded
from emulator.faults import CALIBRATED, Conditions, Disturb, Heralds

from .calibration import Calibration
from .degraded import Degraded, degraded_model, with_false_heralds
from .heralding import HeraldedStateModel

# What a node is told of a pair to come: its contrasts, and, from its own side, its bias and how likely it is full.
Told: TypeAlias = tuple[Contrasts, Bias, Loaded]

# To be told whenever a fault meets something.
Met: TypeAlias = Callable[[], None]


@dataclass(frozen=True, slots=True)
class StationLink:
    """What attempts between two arms are like, at one setting.

    calibrated: as the station knows them; model: as they really are (None: none is ever heralded); first_ns: from the
    notice that attempts begin until light of the first one is here; emission_ns: when each side's photon leaves it (or,
    at a receiver, gets there), from when light is here; lag_ns: how much later than that the news of a click at the
    other side's receiver is here; told: what the nodes are told, that on the arm of the smaller number first; met: whom
    to tell of attempts that differ.
    """

    calibrated: HeraldedStateModel
    model: HeraldedStateModel | None
    period_ns: int
    first_ns: int
    emission_ns: tuple[int, int]
    lag_ns: tuple[int, int]
    told: tuple[Told, Told]
    met: tuple[Met, ...] = ()


class Disturbances:
    """The faults of one station's links, by a key each; they act in the order of the keys."""

    def __init__(self) -> None:
        self._disturbs: dict[int, tuple[Disturb, Met]] = {}
        self._forgers: dict[int, Callable[[Heralds], Heralds]] = {}

    def disturb(self, key: int, disturb: Disturb | None, met: Met) -> None:
        """Let attempts differ; None: not any more."""
        self._disturbs.pop(key, None)
        if disturb is not None:
            self._disturbs[key] = disturb, met

    def forge(self, key: int, forge: Callable[[Heralds], Heralds] | None) -> None:
        """Let what is announced be something else; None: not any more."""
        self._forgers.pop(key, None)
        if forge is not None:
            self._forgers[key] = forge

    def disturbed(
        self, link: StationLink, calibration: Calibration, a: str, b: str, min_fidelity: float
    ) -> StationLink:
        """Return what attempts between two nodes are really like."""
        found = [(disturb(a, b), met) for _, (disturb, met) in sorted(self._disturbs.items())]
        met = tuple(fn for other, fn in found if other != CALIBRATED)
        if not met:
            return link
        conditions = Conditions.together(other for other, _ in found)
        if not conditions.heralds:
            return replace(link, model=None, met=met)
        if isinstance(calibration, Degraded):
            model = calibration.degraded(a, b, min_fidelity, conditions)
        else:
            model = degraded_model(link.calibrated, conditions)
        if conditions.false_hz:
            model = with_false_heralds(model, -math.expm1(-conditions.false_hz * link.period_ns * 1e-9))
        return replace(link, model=model if model.p_success > 0 else None, met=met)

    def announced(self, heralds: Heralds, bell: int) -> tuple[Heralds, int]:
        """Return what is announced of a pair, and the Bell state that both nodes are told, if it is the same."""
        if not self._forgers:
            return heralds, bell
        for _, forge in sorted(self._forgers.items()):
            heralds = forge(heralds)
        told = {herald.bell for _, herald in heralds}
        return heralds, told.pop() if len(heralds) == 2 and len(told) == 1 else bell
