"""Stations that lose something of themselves: an analyser, their switch, the count of their pairs."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from .conditions import Conditions
from .fault import Active, Fault, FaultError, Scene, Site, Undo
from .hooks import Counting, Station, Switching
from .on_station import station


class OnStation(Fault, frozen=True):
    """Base of the faults of a station as a whole."""

    takes: ClassVar[str] = "a heralding station, or a link `a-b`"
    example: ClassVar[str] = "berlin~switch"
    survives: ClassVar[str] = "links"

    def sites(self, scene: Scene, target: str) -> tuple[Site, ...]:
        """Return the station."""
        return (station(scene, target),)


class AnalyserDown(OnStation, frozen=True, tag="analyser-down"):
    """Analysers are out of order: those behind a switch, or the one of a station without a switch."""

    seen = "less capacity: longer waits for an analyser, or no pairs of that link"
    analysers: Annotated[int, Meta(ge=1, description="how many; not more than there are")] = 1

    def sites(self, scene: Scene, target: str) -> tuple[Site, ...]:
        """Return the station, which must have as many analysers."""
        found = super().sites(scene, target)
        there = _analysers(scene, found[0]) or 1
        if self.analysers > there:
            raise FaultError("attributes", f"analysers = {self.analysers}, but {found[0]} has {there}")
        return found

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Take them out of order."""
        found = active.scene.cell(sites[0]).actor
        if not _analysers(active.scene, sites[0]):
            assert isinstance(found, Station)
            found.disturb(active.order, lambda _a, _b: Conditions(dark=True), active.met)
            return lambda: found.disturb(active.order, None, active.met)
        assert isinstance(found, Switching)
        found.take_out(active.order, self.analysers, active.met)
        return lambda: found.take_out(active.order, 0, active.met)


class SwitchStuck(OnStation, frozen=True, tag="switch-stuck"):
    """An optical switch does not move any more, though it says so.

    The photons of those who are joined last still meet, those of others do not: they get no pairs, and none of others.
    """

    seen = "those joined last have pairs, others wait until it is mended"
    takes = "a heralding station behind a switch"
    rival = "switch"

    def sites(self, scene: Scene, target: str) -> tuple[Site, ...]:
        """Return the station, which must have a switch."""
        found = super().sites(scene, target)
        if not _analysers(scene, found[0]):
            raise FaultError("target", f"{found[0]} has no switch")
        return found

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Let it stick."""
        found = active.scene.cell(sites[0]).actor
        assert isinstance(found, Switching)
        found.stick(active.met)
        return lambda: found.stick(None)


class SequenceReset(OnStation, frozen=True, tag="sequence-reset"):
    """A station counts its pairs from 1 again, so that names of pairs come back."""

    survives = "circuits"
    seen = "nodes see a number that they had before, and all circuits over the station are made anew"
    example = "eulau~erfurt"
    at_once = True

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Reset the count."""
        found = active.scene.cell(sites[0]).actor
        assert isinstance(found, Counting)
        active.fired += found.recount()
        return _nothing


def _analysers(scene: Scene, name: str) -> int:
    found = scene.cell(name).actor
    return found.analysers if isinstance(found, Switching) else 0


def _nothing() -> None:
    """Leave it as it is."""
