"""What a node knows of one circuit through it."""

from __future__ import annotations

from dataclasses import dataclass

from emulator import Port
from emulator.time import Alarm

from .circuits import EndRole, SwapOrder, SwapRole


@dataclass(slots=True, eq=False)
class Circuit:
    """What a node knows of a circuit through it. `role` is there while the circuit is active."""

    name: str
    path: tuple[str, ...]
    index: int
    cutoff_ns: int
    order: SwapOrder
    ports: tuple[Port | None, Port | None]  # to the west and to the east
    role: SwapRole | EndRole | None = None
    closing: bool = False
    downstream_released: bool = False
    waiting_since_ns: int = 0
    cutoff: Alarm | None = None  # for the oldest half that waits
    cutoff_due_ns: int = 0

    @property
    def is_head(self) -> bool:
        """Return whether this node is the head-end."""
        return self.index == 0

    @property
    def is_tail(self) -> bool:
        """Return whether this node is the tail-end."""
        return self.index == len(self.path) - 1
