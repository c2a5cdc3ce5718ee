"""The network layer: circuits along a path, their swaps and the tracking of pairs; state machines without a clock."""

from .end import EndActions, EndRole
from .messages import Confirm, Expire, Extended, Refuse, Release, Released, Reserve, Terms, Track
from .order import SwapOrder
from .swapping import EAST, WEST, SwapActions, SwapRole

__all__ = [
    "EAST",
    "WEST",
    "Confirm",
    "EndActions",
    "EndRole",
    "Expire",
    "Extended",
    "Refuse",
    "Release",
    "Released",
    "Reserve",
    "SwapActions",
    "SwapOrder",
    "SwapRole",
    "Terms",
    "Track",
]
