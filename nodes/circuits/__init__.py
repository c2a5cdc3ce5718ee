"""The network layer: circuits along a path, their swaps and the tracking of pairs; state machines without a clock."""

from .distilling import Distil, DistilActions, DistilHead, Distilled, DistilRole, DistilTail, Held, Meeting, Reading
from .end import EndActions, EndRole
from .messages import (
    Broken,
    Complete,
    Confirm,
    Expire,
    Extended,
    Forward,
    Refuse,
    Release,
    Released,
    Reserve,
    SwapNote,
    Terms,
    Track,
    demand_of,
    epoch_name,
)
from .order import SwapOrder
from .requests import RANDOM_BASIS, Delivery, Request, Requests
from .swapping import EAST, WEST, SwapActions, SwapRole

__all__ = [
    "EAST",
    "RANDOM_BASIS",
    "WEST",
    "Broken",
    "Complete",
    "Confirm",
    "Delivery",
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
    "Forward",
    "Held",
    "Meeting",
    "Reading",
    "Refuse",
    "Release",
    "Released",
    "Request",
    "Requests",
    "Reserve",
    "SwapActions",
    "SwapNote",
    "SwapOrder",
    "SwapRole",
    "Terms",
    "Track",
    "demand_of",
    "epoch_name",
]
