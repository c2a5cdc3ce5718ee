"""What a node knows of one circuit through it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from emulator import FULL, Half, Owner, Port, StorageLaw, Timer

from .circuits import DistilRole, EndRole, Requests, SwapOrder, SwapRole, Terms, demand_of


@dataclass(slots=True, eq=False)
class Circuit:
    """What a node knows of a circuit through it. `role` is there while the circuit is active.

    ports: to the west and to the east; None where there is no neighbour, and at a hub that lets the photons of both
    sides meet without touching them. storage: of a qubit at the head-end and at the tail-end.
    """

    name: str
    path: tuple[str, ...]
    index: int
    terms: Terms
    order: SwapOrder
    ports: tuple[Port | None, Port | None]
    storage: list[StorageLaw]
    requests: Requests = field(default_factory=Requests)
    share: float = 0.0  # of a heralding station of this hub
    peers: tuple[str | None, str | None] = field(init=False)  # the neighbours to the west and to the east
    links: tuple[tuple[Port, Owner, float], ...] = ()  # while active: ports, whose memory they use, shares of stations
    role: SwapRole | EndRole | None = None
    distilling: DistilRole | None = None
    closing: bool = False
    broken: bool = False
    downstream_released: bool = False
    waiting_since_ns: int = 0
    cutoff: Timer | None = None  # for the oldest half that waits
    cutoff_due_ns: int = 0

    @property
    def demand(self) -> str:
        """Return the demand for which this circuit was made, perhaps not as the first."""
        return demand_of(self.name)

    @property
    def is_head(self) -> bool:
        """Return whether this node is the head-end."""
        return self.index == 0

    @property
    def is_tail(self) -> bool:
        """Return whether this node is the tail-end."""
        return self.index == len(self.path) - 1

    @property
    def pending(self) -> int:
        """Return how many halves, records and messages its state machines wait with."""
        return sum(role.pending for role in (self.role, self.distilling) if role is not None)

    def known_full(self, west: Half, east: Half) -> float:
        """Return by what the contrasts of two pairs grow when a swap here has shown that their halves here exist.

        Where the other half of a pair is to be swapped, too, each of the two swaps shows half of what both show.
        """
        if west.loaded == FULL == east.loaded:
            return 1.0
        grown = 1.0
        for half, at_end in ((west, self.index == 1), (east, self.index == len(self.path) - 2)):
            mine, both = half.loaded
            share = mine if at_end else math.sqrt(both)
            grown = grown / share if share > 0 else 0.0
        return grown

    def __post_init__(self) -> None:
        west = None if self.is_head else self.path[self.index - 1]
        self.peers = west, None if self.is_tail else self.path[self.index + 1]
