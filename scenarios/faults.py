"""Faults of scenario files and of the command line: onto the schedule of a network, and into its summary.

On the command line a fault is `KIND:TARGET@START..END,ATTRIBUTE=VALUE,...`. START and END are seconds of emulated time;
`@5..`, `@5` and `@..5` do too, and all that follows the target may be left out. `probability` and `name` are given
like attributes.

>>> fault = parse("loss:berlin>schaepe@1..,percent=20")
>>> fault.kind, fault.target, fault.start_s, fault.end_s, fault.attributes
('loss', 'berlin>schaepe', 1.0, None, {'percent': 20})
>>> parse("cut:eulau-erfurt@5..12").end_s
12.0
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from pydantic import ValidationError

from emulator import FaultError, Injection, Network
from emulator.faults import attributes, describe, kinds

from .expand import ScenarioError
from .load import InputError, message_of, value_of
from .schema import Fault

_SHAPE: Final = re.compile(r"(?P<kind>[^:@,]*):(?P<target>[^@=]*?)(?:@(?P<span>[^,]*))?(?P<rest>(?:,\s*\w+=[^,]*)*)")
_EXAMPLE: Final = "KIND:TARGET@START..END,ATTRIBUTE=VALUE, such as cut:eulau-erfurt@5..12"
# The keys of a `[[fault]]` that are wrong if a part of the fault is.
_KEYS: Final = {"start": "start_s", "end": "end_s"}


def parse(text: str, *, what: str = "--fault") -> Fault:
    """Return the fault that a text means; `what` it is, for messages. Raises InputError."""
    found = _SHAPE.fullmatch(text.strip())
    if found is None:
        raise InputError([f"{what} {text}: expected {_EXAMPLE}"])
    document: dict[str, Any] = {"kind": found["kind"], "target": found["target"]}
    if (span := found["span"]) is not None:
        start, _, end = span.partition("..")
        if not (start or end):
            raise InputError(
                [f"{what} {text}: expected a span START..END after the @, such as 5..12 or 5.., not {span!r}"]
            )
        document |= {key: value for key, value in (("start_s", start), ("end_s", end)) if value}
    given = dict(part.strip().split("=", 1) for part in found["rest"].split(",")[1:])
    document |= {key: value_of(given.pop(key)) for key in ("probability", "name") if key in given}
    document["attributes"] = {key: value_of(value) for key, value in given.items()}
    try:
        return Fault.model_validate(document)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {message_of(e)}" for e in error.errors(include_url=False)]
        raise InputError([f"{what} {text}: {line.removeprefix(': ')}" for line in lines]) from None


def inject_all(network: Network, faults: Iterable[Fault]) -> None:
    """Put the faults of a scenario on the schedule of its network. Raises ScenarioError."""
    for number, fault in enumerate(faults):
        try:
            inject(network, fault)
        except FaultError as error:
            raise ScenarioError([(("fault", number, _KEYS.get(error.part, error.part)), str(error))]) from None


def inject_options(network: Network, texts: Iterable[str]) -> None:
    """Put the faults of the command line on the schedule of a network. Raises InputError."""
    for text in texts:
        try:
            inject(network, parse(text))
        except FaultError as error:
            raise InputError([f"--fault {text}: {error}"]) from None


def inject(network: Network, fault: Fault) -> Injection:
    """Put a fault on the schedule of a network. Raises FaultError."""
    return network.faults.inject(
        fault.kind,
        fault.target,
        start_ns=round(fault.start_s * 1e9),
        end_ns=None if fault.end_s is None else round(fault.end_s * 1e9),
        probability=fault.probability,
        name=fault.name,
        attributes=dict(fault.attributes),
    )


def as_json(network: Network) -> list[dict[str, Any]]:
    """Return an entry for each fault of a network."""
    return [_entry(injection) for injection in network.faults.injections]


def _entry(injection: Injection) -> dict[str, Any]:
    return {
        "name": injection.name,
        "kind": injection.kind,
        "target": injection.target,
        "start_s": injection.start_ns / 1e9,
        "end_s": None if injection.end_ns is None else injection.end_ns / 1e9,
        "attributes": injection.attributes,
        "began": injection.begun_ns is not None,
        "fired": injection.fired,
    }


def summary(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each fault."""
    for entry in entries:
        times = "once" if entry["fired"] == 1 else f"{entry['fired']} times"
        met = f"met something {times}" if entry["fired"] else "never met anything: this run says nothing of it"
        yield f"fault {entry['name']}: {met if entry['began'] else 'never began'}"


def known() -> list[dict[str, Any]]:
    """Return every kind of fault, as data."""
    return [
        {
            "kind": name,
            "description": describe(kind),
            "text": " ".join((kind.__doc__ or "").split()),
            "span": "5" if kind.at_once else "5..12",
            "target": kind.takes,
            "example": kind.example,
            "survives": kind.survives,
            "seen": kind.seen,
            "attributes": [attribute._asdict() for attribute in attributes(kind)],
        }
        for name, kind in kinds().items()
    ]
