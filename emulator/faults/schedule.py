"""The schedule: when which fault acts, in an order that is part of the history.

Faults begin and end by events of the timeline, before all else of their instant: at one instant first those that end,
then those that begin, each in the order of the schedule. Two faults on one target act one after the other in the
order of the schedule, whenever they began. A fault that is to begin at 0 begins at 1 ns, when everybody is there; all
end when the time of the run is over, so that what they left can be cleared up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from emulator.time import Alarm

from .fault import Active, Attribute, Fault, FaultError, Scene, Site, Undo, make, name_of, nearest

ACTOR: Final = "faults"  # whose records begin and end of faults are
_END_RANK: Final = -(1 << 41)
_BEGIN_RANK: Final = -(1 << 40)


class Wanted(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A fault that somebody wants; without a start it begins at once."""

    kind: str
    target: str
    attributes: dict[str, Attribute] = {}
    probability: float = 1.0
    start_ns: int | None = None
    end_ns: int | None = None
    name: str = ""


@dataclass(slots=True, eq=False)
class Injection:
    """A fault of a schedule: what it is, when, and how it went. `begun_ns`, `ended_ns`: None as long as it has not."""

    fault: Fault
    active: Active
    sites: tuple[Site, ...]
    start_ns: int
    end_ns: int | None
    schedule: Schedule
    begun_ns: int | None = None
    ended_ns: int | None = None
    undo: Undo | None = field(default=None, repr=False)
    alarms: list[Alarm] = field(default_factory=list, repr=False)

    @property
    def name(self) -> str:
        """Return its name."""
        return self.active.name

    @property
    def kind(self) -> str:
        """Return its kind."""
        return name_of(type(self.fault))

    @property
    def target(self) -> str:
        """Return its target, as it was given."""
        return self.active.target

    @property
    def fired(self) -> int:
        """Return how often it has met something so far."""
        return self.active.fired

    @property
    def attributes(self) -> dict[str, Any]:
        """Return its attributes."""
        return msgspec.structs.asdict(self.fault)

    @property
    def wanted(self) -> Wanted:
        """Return what was wanted, with what was found for what was left out."""
        probability, attributes = self.active.probability, self.attributes
        return Wanted(self.kind, self.target, attributes, probability, self.start_ns, self.end_ns, self.name)

    def end(self) -> None:
        """End it now, if it has not ended; it does not begin any more if it has not begun."""
        self.schedule.end(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Schedule:
    """The faults of a network."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.injections: list[Injection] = []

    def inject(
        self,
        kind: str,
        target: str,
        *,
        start_ns: int | None,
        end_ns: int | None,
        probability: float,
        name: str,
        attributes: dict[str, Attribute],
    ) -> Injection:
        """Put a fault on the schedule. Raises FaultError that says what is wrong with it and what would be right."""
        injection = self._planned(Wanted(kind, target, attributes, probability, start_ns, end_ns, name))
        self.injections.append(injection)
        self._plan(injection.start_ns, self._begin, injection, _BEGIN_RANK)
        if injection.end_ns is not None:
            self._plan(injection.end_ns, self._end, injection, _END_RANK)
        return injection

    def _plan(self, time_ns: int, fn: Callable[[Injection], None], injection: Injection, rank: int) -> None:
        timeline, rank = self._scene.timeline, rank + injection.active.order
        if time_ns == timeline.now_ns:  # what is done at this instant has been done, and other hosts count on that
            rank = max(rank, timeline.rank)
        injection.alarms.append(timeline.alarm(time_ns, self._event, fn, injection, rank=rank))

    def note(self, wanted: Wanted) -> None:
        """Add a fault that has acted elsewhere, so that it can be accounted for. Raises FaultError."""
        fault, sites = self.check(wanted)
        active = Active(wanted.name, len(self.injections), wanted.target, wanted.probability, self._scene)
        self.injections.append(Injection(fault, active, sites, wanted.start_ns or 0, wanted.end_ns, self))

    def check(self, wanted: Wanted) -> tuple[Fault, tuple[Site, ...]]:
        """Return a fault and what its target means. Raises FaultError if there can be no such fault at any time."""
        fault, probability = make(wanted.kind, wanted.attributes), wanted.probability
        if wanted.end_ns is not None:
            _check_end(fault, max(wanted.start_ns or 0, 1), wanted.end_ns)
        if not (0 <= probability <= 1 and math.isfinite(probability)):
            raise FaultError("probability", f"a probability is between 0 and 1, not {probability}")
        return fault, fault.sites(self._scene, wanted.target)

    def check_now(self, wanted: Wanted) -> None:
        """Raise FaultError if `inject` would."""
        self._planned(wanted)

    def named(self, name: str) -> Injection:
        """Return a fault by its name. Raises FaultError."""
        found = {injection.name: injection for injection in self.injections}
        if name not in found:
            raise FaultError("name", f"there is no fault named {name!r}{nearest(name, found)}")
        return found[name]

    def refuse(self, name: str, error: FaultError) -> None:
        """Record that a fault cannot be."""
        self._record("fault refused", name, error.part, str(error))

    def end(self, injection: Injection) -> None:
        """End a fault as soon as possible: within a run that is the next event, at the present instant."""
        self._plan(max(self._scene.timeline.now_ns, 1), self._end, injection, _END_RANK)

    def heal(self) -> None:
        """End all faults, for good."""
        for injection in self.injections:
            self._end(injection)

    def _planned(self, wanted: Wanted) -> Injection:
        """Return a fault as it would be on the schedule. Raises FaultError."""
        fault, sites = self.check(wanted)
        now_ns, start_ns, end_ns = self._scene.timeline.now_ns, wanted.start_ns, wanted.end_ns
        if start_ns is not None and start_ns < now_ns:
            now_s = now_ns / 1e9
            raise FaultError("start", f"start {start_ns / 1e9:g} s must not be before now, which is {now_s:g} s")
        begins_ns = max(now_ns if start_ns is None else start_ns, 1)
        if end_ns is not None:
            _check_end(fault, begins_ns, end_ns)
        elif fault.lasts_ns is not None:
            end_ns = begins_ns + fault.lasts_ns
        name = self._named(wanted.name, wanted.kind, wanted.target)
        active = Active(name, len(self.injections), wanted.target, wanted.probability, self._scene)
        injection = Injection(fault, active, sites, begins_ns, end_ns, self)
        self._check_rivals(injection)
        return injection

    def _named(self, name: str, kind: str, target: str) -> str:
        taken = {injection.name for injection in self.injections}
        if name in taken:
            raise FaultError("name", f"there is a fault named {name!r} already; names must differ")
        plain = name or f"{kind} {target}"
        number = 1
        while (found := plain if number == 1 else f"{plain} #{number}") in taken:
            number += 1
        return found

    def _check_rivals(self, new: Injection) -> None:
        rival = new.fault.rival
        for old in self.injections if rival else ():
            if old.fault.rival != rival or old.ended_ns is not None or not set(old.sites) & set(new.sites):
                continue
            ends = [fault.end_ns if fault.end_ns is not None else _end_of(fault) for fault in (old, new)]
            if old.start_ns < ends[1] and new.start_ns < ends[0]:
                span = f"from {old.start_ns / 1e9:g} s " + (f"to {ends[0] / 1e9:g} s" if ends[0] < math.inf else "on")
                message = f"{new.kind} on {new.target!r} contradicts {old.name!r}, which acts there {span}"
                raise FaultError("target", f"{message}; let them follow each other")

    # -- events ----------------------------------------------------------------------------------------------------

    def _event(self, fn: Callable[[Injection], None], injection: Injection) -> None:
        self._scene.ticks += 1
        fn(injection)

    def _begin(self, injection: Injection) -> None:
        if injection.ended_ns is not None:
            return
        injection.begun_ns = self._scene.timeline.now_ns
        attributes = tuple(injection.attributes.items())
        self._record("fault begins", injection.name, injection.kind, injection.target, attributes)
        here = injection.fault.share(injection.sites, self._scene.is_here)
        if here and (not injection.fault.is_state or injection.active.happens()):
            injection.undo = injection.fault.begin(injection.active, here)

    def _end(self, injection: Injection) -> None:
        if injection.ended_ns is not None:
            return
        injection.ended_ns = self._scene.timeline.now_ns
        for alarm in injection.alarms:
            alarm.cancel()
        if injection.begun_ns is None:
            return
        undo, injection.undo = injection.undo, None
        if undo is not None:
            undo()
        if not injection.fault.at_once:
            self._record("fault ends", injection.name, injection.kind, injection.target)

    def _record(self, kind: str, *fields: Any) -> None:
        self._scene.history.add(self._scene.timeline.now_ns, ACTOR, kind, fields)


def _check_end(fault: Fault, begins_ns: int, end_ns: int) -> None:
    if fault.at_once:
        raise FaultError("end", f"{name_of(type(fault))} happens at once, so it has no end; leave it out")
    if end_ns <= begins_ns:
        raise FaultError("end", f"the end, {end_ns / 1e9:g} s, must be later than the start, {begins_ns / 1e9:g} s")


def _end_of(injection: Injection) -> float:
    return injection.start_ns + 1 if injection.fault.at_once else math.inf
