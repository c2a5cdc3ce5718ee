"""Links: fibre, the heralded states of each scheme, and the heralding station that makes pairs between two nodes."""

from .fibre import Fibre
from .heralding import HeraldedState, HeraldedStateModel
from .schemes import AbstractLink, AtomicFrequencyComb, DoubleClick, PairSource, SingleClick
from .station import Arm, HeraldingStation

__all__ = [
    "AbstractLink",
    "Arm",
    "AtomicFrequencyComb",
    "DoubleClick",
    "Fibre",
    "HeraldedState",
    "HeraldedStateModel",
    "HeraldingStation",
    "PairSource",
    "SingleClick",
]
