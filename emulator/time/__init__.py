"""Emulated time on trio: exact to the nanosecond, in one reproducible order, paced by the wall clock or not at all.

`Timeline` is trio's clock, so ordinary trio code runs unchanged in emulated time. Nothing in here knows of actors.
"""

from .agenda import END_NS, NEVER_NS, Alarm
from .lag import LagHistogram
from .ordering import order_trio
from .pace import SLOWEST
from .place import Place
from .timeline import INPUT_RANK, LAST_RANK, Timeline

__all__ = [
    "END_NS",
    "INPUT_RANK",
    "LAST_RANK",
    "NEVER_NS",
    "SLOWEST",
    "Alarm",
    "LagHistogram",
    "Place",
    "Timeline",
    "order_trio",
]
