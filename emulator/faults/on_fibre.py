"""Faults of the quantum channel: the light of one link."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from emulator.time import Alarm

from .conditions import CALIBRATED, Conditions
from .fault import Active, Fault, FaultError, Scene, Site, Undo
from .hooks import Station
from .targets import two_ends


def fibre(scene: Scene, a: str, b: str) -> tuple[str, tuple[str, ...]]:
    """Return the heralding station of the fibre between two nodes, and at which arms it is. Raises FaultError."""
    reach = []
    for name in scene.names:
        station = scene.cell(name).actor
        if isinstance(station, Station):
            if arms := station.arms_to(a, b):
                return name, arms
            reach += [other for other in scene.names if station.arms_to(a, other)]
    some = f"; from {a!r} there are fibres to {', '.join(map(repr, reach[:8]))}" if reach else ""
    raise FaultError("target", f"no fibre joins {a!r} and {b!r}{some}")


class OnFibre(Fault, frozen=True):
    """Base of the faults of a link's light; `conditions` says how its attempts differ.

    A site is an arm of a station, `STATION<NODE`; a fibre with a station in its course has two. What is said of arm `a`
    of some conditions goes for each of these arms. step_s: how often that is looked at anew, if it changes.
    """

    takes: ClassVar[str] = "a link `a-b`"
    example: ClassVar[str] = "eulau-erfurt"
    survives: ClassVar[str] = "links"
    step_s: ClassVar[float] = 0.0

    @abstractmethod
    def conditions(self, active: Active, elapsed_s: float, arms: int) -> Conditions:
        """Return how attempts differ, some time after the fault began, for one of the arms that it acts on."""

    def sites(self, scene: Scene, target: str) -> tuple[Site, ...]:
        """Return the arms."""
        station, arms = fibre(scene, *two_ends(scene, target))
        return tuple(f"{station}<{arm}" for arm in arms)

    def share(self, sites: tuple[Site, ...], is_here: Callable[[str], bool]) -> tuple[Site, ...]:
        """Return the arms if their station is here."""
        return tuple(site for site in sites if is_here(site.partition("<")[0]))

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Disturb the attempts over these arms."""
        arms = [tuple(site.split("<")) for site in sites]
        stations = dict.fromkeys(station for station, _ in arms)
        disturbances = [
            _Disturbance(active, active.scene.cell(station).actor, [arm for at, arm in arms if at == station])
            for station in stations
        ]

        def act(elapsed_s: float) -> None:
            for disturbance in disturbances:
                disturbance.set(self.conditions(active, elapsed_s, len(disturbance.arms)))

        def end() -> None:
            for disturbance in disturbances:
                disturbance.clear()

        return _over_time(active, self.step_s, act, end)


class _Disturbance:
    def __init__(self, active: Active, station: object, arms: list[str]) -> None:
        assert isinstance(station, Station)
        self._active, self._station, self.arms = active, station, arms

    def set(self, own: Conditions) -> None:
        both = replace(own, transmission_b=own.transmission_a, skew_ns=0.0)
        swapped = replace(own, transmission_a=1.0, transmission_b=own.transmission_a, skew_ns=-own.skew_ns)

        def of(a: str, b: str) -> Conditions:
            on_a, on_b = a in self.arms, b in self.arms
            return both if on_a and on_b else own if on_a else swapped if on_b else CALIBRATED

        self._station.disturb(self._active.order, of, self._active.met)

    def clear(self) -> None:
        self._station.disturb(self._active.order, None, self._active.met)


def _over_time(active: Active, step_s: float, act: Callable[[float], None], end: Undo) -> Undo:
    """Act now, and if there is a step, again after each; return what ends it."""
    timeline = active.scene.timeline
    begun_ns, alarms = timeline.now_ns, list[Alarm]()

    def tick() -> None:
        act((timeline.now_ns - begun_ns) / 1e9)
        if step_s:
            rank = active.order - (1 << 40)
            alarms[:] = [timeline.alarm(timeline.now_ns + round(step_s * 1e9), tick, rank=rank)]

    def undo() -> None:
        for alarm in alarms:
            alarm.cancel()
        end()

    tick()
    return undo
