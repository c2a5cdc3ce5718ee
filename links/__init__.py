"""Links: fibre, the heralded states of each scheme, and the heralding station that makes pairs between two nodes."""

from .arms import Arm, light_ns
from .calibration import BrightStates, Calibration, Fixed
from .degraded import degraded_model, degraded_scheme, with_detectors
from .fibre import Fibre
from .heralding import HeraldedState, HeraldedStateModel
from .schemes import (
    AbstractLink,
    AtomicFrequencyComb,
    DoubleClick,
    MidpointSource,
    PairSource,
    SenderReceiver,
    SingleClick,
)
from .station import HeraldingStation
from .switch import Switch

__all__ = [
    "AbstractLink",
    "Arm",
    "AtomicFrequencyComb",
    "BrightStates",
    "Calibration",
    "DoubleClick",
    "Fibre",
    "Fixed",
    "HeraldedState",
    "HeraldedStateModel",
    "HeraldingStation",
    "MidpointSource",
    "PairSource",
    "SenderReceiver",
    "SingleClick",
    "Switch",
    "degraded_model",
    "degraded_scheme",
    "light_ns",
    "with_detectors",
]
