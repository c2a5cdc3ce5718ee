"""The network layer: circuits along a path, their swaps and the tracking of pairs; state machines without a clock."""

from .distilling import Distil, DistilActions, DistilHead, Distilled, DistilRole, DistilTail, Held, Meeting, Reading
from .end import EndActions, EndRole
from .messages import (
    Broken,
    Confirm,
    Expire,
    Extended,
    Refuse,
    Release,
    Released,
    Reserve,
    Terms,
    Track,
    demand_of,
    epoch_name,
)
from .order import SwapOrder
from .swapping import EAST, WEST, SwapActions, SwapRole

__all__ = [
    "EAST",
    "WEST",
    "Broken",
    "Confirm",
    "Distil",
    "DistilActions",
    "DistilHead",
    "DistilRole",
    "DistilTail",
    "Distilled",
    "EndActions",
    "EndRole",
    "Expire",
    "Extended",
    "Held",
    "Meeting",
    "Reading",
    "Refuse",
    "Release",
    "Released",
    "Reserve",
    "SwapActions",
    "SwapOrder",
    "SwapRole",
    "Terms",
    "Track",
    "demand_of",
    "epoch_name",
]
