"""Actors that crash, lose all memory, and begin a new life later."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from .fault import Active, Fault, Scene, Site, Undo
from .targets import actor


class Crash(Fault, frozen=True, tag="crash"):
    """A node or a station loses all its memory, and begins a new life later."""

    roles: ClassVar[tuple[str, ...]] = ("node", "station", "actor")
    takes = "a node, a heralding station"
    example = "erfurt"
    survives = "circuits"
    seen = "circuits through it break, and are made anew when it is back"
    rival = "life"

    down_s: Annotated[float, Meta(gt=0, description="how long it is down if no end is given")] = 1.0

    @property
    def lasts_ns(self) -> int:
        """Return how long it is down."""
        return max(1, round(self.down_s * 1e9))

    def sites(self, scene: Scene, target: str) -> tuple[Site, ...]:
        """Return the actor."""
        return (actor(scene, target, *self.roles),)

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Crash it."""
        name = sites[0]
        down = active.scene.take_down(name)
        active.fired += down

        def undo() -> None:
            if down:
                active.scene.revive(name)

        return undo


class ControllerCrash(Crash, frozen=True, tag="controller-crash"):
    """The controller loses all its memory, and begins a new life later."""

    roles: ClassVar[tuple[str, ...]] = ("controller",)
    takes = "the controller"
    example = "controller"
    survives = "controller"
    seen = "circuits go on; new demands wait until it is back and has asked everybody"
