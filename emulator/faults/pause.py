"""Actors that stand still for a while."""

from __future__ import annotations

from .fault import Active, Fault, Scene, Site, Undo
from .targets import actor


class Pause(Fault, frozen=True, tag="pause"):
    """An actor stands still and keeps its state: messages and timers wait, and all is done at once at the end.

    Qubits go on decohering, and operations that had begun end late. What tasks of the actor send meanwhile, since
    they slept in emulated time, leaves at the end.
    """

    takes = "any actor"
    example = "erfurt"
    survives = "circuits"
    seen = "nothing moves through it; pairs grow old"
    rival = "life"

    def sites(self, scene: Scene, target: str) -> tuple[Site, ...]:
        """Return the actor."""
        return (actor(scene, target),)

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Let it stand still."""
        cell = active.scene.cell(sites[0])
        cell.pause()

        def undo() -> None:
            active.fired += cell.resume()

        return undo
