"""Nodes that make no attempts, and positions of memories that hold nothing any more."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from .fault import Active, FaultError, Scene, Site, Undo
from .on_node import OnNode


class Calibration(OnNode, frozen=True, tag="calibration"):
    """A node is being calibrated and makes no attempts; what it stores stays, and it swaps what it has."""

    survives = "circuits"
    seen = "no pairs on its links; circuits through it wait, and go on afterwards"

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Let it make no attempts."""
        node = self.node(active.scene, sites)
        active.fired += node.calibrate(active.order, calibrating=True)

        def undo() -> None:
            node.calibrate(active.order, calibrating=False)

        return undo


class LeakedQubit(OnNode, frozen=True, tag="leaked-qubit"):
    """Positions of a memory are out of use: an atom was lost, a qubit has leaked. One in use, as soon as it is free."""

    survives = "circuits"
    seen = "circuits over it have fewer positions, or wait; new ones are refused what is not there"
    bank: Annotated[str, Meta(description="the bank, such as `towards eulau` or `processor`; empty: the first")] = ""
    positions: Annotated[int, Meta(ge=1, description="how many; not more than there are")] = 1

    def sites(self, scene: Scene, target: str) -> tuple[Site, ...]:
        """Return the node, and the bank."""
        found = super().sites(scene, target)
        banks = self.node(scene, found).memory.banks
        bank = self.bank or next(iter(banks), "")
        if bank not in banks:
            raise FaultError("attributes", f"{target} has no bank {bank!r}; there are {', '.join(map(repr, banks))}")
        if self.positions > banks[bank].positions:
            there = f"{banks[bank].positions} positions in bank {bank!r}"
            raise FaultError("attributes", f"positions = {self.positions}, but {target} has {there}")
        return (*found, bank)

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Take them out of use."""
        node, bank = self.node(active.scene, sites), sites[1]
        node.memory.spoil(bank, self.positions)
        active.fired += self.positions

        def undo() -> None:
            node.memory.spoil(bank, -self.positions)
            node.refill_all()

        return undo
