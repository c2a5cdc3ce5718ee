"""Schemes for entangling two nodes over a heralding station.

Each scheme is a frozen dataclass of physical parameters whose `model()` gives the probability of success of
one attempt and the exact states it may leave; see `links.heralding`.
"""

from .abstract import AbstractLink
from .afc import AtomicFrequencyComb
from .double_click import DoubleClick
from .pair_source import Occupation, PairSource
from .received import MidpointSource, SenderReceiver
from .single_click import SingleClick

__all__ = [
    "AbstractLink",
    "AtomicFrequencyComb",
    "DoubleClick",
    "MidpointSource",
    "Occupation",
    "PairSource",
    "SenderReceiver",
    "SingleClick",
]
