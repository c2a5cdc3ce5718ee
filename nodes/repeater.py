"""Nodes in between: they swap."""

from __future__ import annotations

from .node import QuantumNode


class Repeater(QuantumNode):
    """Two ports, memory towards both sides, and a Bell-state measurement between them."""

    may_end = False
    links_wanted = 2


class Hub(QuantumNode):
    """Many ports: end nodes of a city, which share a bank of memory by an optical switch, and the backbone."""

    may_end = False
