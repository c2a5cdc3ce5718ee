"""Nodes in between: they swap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emulator import Bank, Port, QuantumDevice

from .node import QuantumNode
from .physics import NodePhysics


class Repeater(QuantumNode):
    """Two ports, memory towards both sides, and a Bell-state measurement between them."""

    may_end = False

    def __init__(
        self,
        name: str,
        device: QuantumDevice,
        banks: Mapping[str, Bank],
        ports: Sequence[Port],
        physics: NodePhysics | None = None,
    ) -> None:
        if len(ports) != 2:
            raise ValueError(f"repeater {name!r} must have two links, not {len(ports)}")
        super().__init__(name, device, banks, ports, physics)


class Hub(QuantumNode):
    """Many ports: end nodes of a city, which share a bank of memory by an optical switch, and the backbone."""

    may_end = False
