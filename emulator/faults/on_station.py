"""Faults of heralding stations: what they announce."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from emulator.randomness import RandomStream

from .fault import Active, Fault, FaultError, Scene, Site, Undo, nearest
from .hooks import Heralds, Station
from .on_fibre import fibre
from .targets import actor, two_ends


def station(scene: Scene, target: str) -> str:
    """Return the heralding station that a target names, or that of the link that it names. Raises FaultError."""
    if target in scene.names:
        return actor(scene, target, "station")
    stations = [name for name in scene.names if scene.cell(name).actor.role == "station"]
    if "~" in target:
        raise FaultError("target", f"there is no station {target!r}{nearest(target, stations)}")
    return fibre(scene, *two_ends(scene, target))[0]


class OnHeralds(Fault, frozen=True):
    """Base of the faults of what a station announces; `forge` says what becomes of the heralds of one pair."""

    takes: ClassVar[str] = "a heralding station, or a link `a-b`"
    example: ClassVar[str] = "eulau~erfurt"
    survives: ClassVar[str] = "circuits"
    is_state: ClassVar[bool] = False

    @abstractmethod
    def forge(self, heralds: Heralds, random: RandomStream) -> Heralds:
        """Return what is announced in place of the heralds of one pair."""

    def sites(self, scene: Scene, target: str) -> tuple[Site, ...]:
        """Return the station."""
        return (station(scene, target),)

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Come between the station and what it announces."""
        found = active.scene.cell(sites[0]).actor
        assert isinstance(found, Station)
        random = active.random(sites[0])

        def forge(heralds: Heralds) -> Heralds:
            if not active.strikes(random):
                return heralds
            forged = self.forge(heralds, random)
            active.fired += forged != heralds
            return forged

        found.forge(active.order, forge)
        return lambda: found.forge(active.order, None)
