"""Faults as inputs: what is put into a running network from outside is stamped, recorded, and comes again in a replay.

`network.input("fault", kind, target, attributes, probability, start_ns, end_ns, name)`: all but the first two may be
left out. Times are emulated; without a start the fault begins at the instant at which the input takes effect.
`network.input("heal", name)` ends a fault, even before it begins; without a name, all of them.

What is wrong raises FaultError at once, and nothing happens to the run. Between that and the instant at which an input
takes effect something may happen that speaks against it, such as its own end; then, and where an input that was
scheduled turns out to be wrong, a record says "fault refused".
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import msgspec

from emulator.inputs import Inputs

from .fault import FaultError
from .schedule import Injection, Schedule, Wanted


def register(inputs: Inputs, schedule: Schedule) -> None:
    """Let faults of a schedule begin and end by inputs."""
    inputs.register(
        "fault",
        partial(_fault, schedule),
        check=lambda *fields: schedule.check(_wanted(fields)),
        check_now=lambda *fields: schedule.check_now(_wanted(fields)),
    )
    inputs.register("heal", partial(_heal, schedule), check_now=partial(_named, schedule))


def _fault(schedule: Schedule, *fields: Any) -> None:
    wanted = _wanted(fields)
    try:
        schedule.inject(**msgspec.structs.asdict(wanted))
    except FaultError as error:
        schedule.refuse(wanted.name or f"{wanted.kind} {wanted.target}", error)


def _heal(schedule: Schedule, name: str = "") -> None:
    try:
        ending = _named(schedule, name)
    except FaultError as error:
        schedule.refuse(name, error)
    else:
        for injection in ending:
            schedule.end(injection)


def _named(schedule: Schedule, name: str = "") -> list[Injection]:
    """Return a fault by its name, or all. Raises FaultError."""
    return [schedule.named(name)] if name else schedule.injections


def _wanted(fields: tuple[Any, ...]) -> Wanted:
    """Return the fields of an input. Raises FaultError if they are no such fields."""
    try:
        return msgspec.convert(fields, Wanted)
    except msgspec.ValidationError as error:
        names = Wanted.__struct_fields__
        what, _, place = str(error).partition(" - at `$")
        found = re.match(r"\[(\d+)\]", place)
        part = names[int(found[1])] if found else "kind"
        expected = f"the fields of a fault are {', '.join(names)}"
        raise FaultError(part, f"{part}: {what[0].lower()}{what[1:]}; {expected}") from None
