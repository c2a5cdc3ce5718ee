"""Faults of a node's hardware."""

from __future__ import annotations

from typing import ClassVar

from .fault import Fault, Scene, Site
from .hooks import Node
from .targets import actor


class OnNode(Fault, frozen=True):
    """Base of the faults of a node's hardware."""

    takes: ClassVar[str] = "a node"
    example: ClassVar[str] = "erfurt"
    survives: ClassVar[str] = "nobody"

    def sites(self, scene: Scene, target: str) -> tuple[Site, ...]:
        """Return the node."""
        return (actor(scene, target, "node"),)

    def node(self, scene: Scene, sites: tuple[Site, ...]) -> Node:
        """Return the node itself."""
        found = scene.cell(sites[0]).actor
        assert isinstance(found, Node)
        return found
