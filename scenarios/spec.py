"""How a run was asked for: what the header of its record says."""

from __future__ import annotations

import hashlib
import math
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from emulator import Recording, RecordingError
from emulator.time import SLOWEST

from .load import InputError
from .version import version


class RunSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that the history of a run depends on, but for the software and what comes from outside; and the rate.

    label: the scenario's file, for messages; text: the whole of it; settings: `KEY=VALUE` each; faults: those of the
    command line, as there.
    """

    label: str
    text: str
    settings: tuple[str, ...]
    seed: int
    for_ns: int
    rate: float
    faults: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Return the SHA-256 of all of it but the rate and the label."""
        return hashlib.sha256(msgspec.msgpack.encode(msgspec.structs.replace(self, rate=1.0, label=""))).hexdigest()


class Header(msgspec.Struct, frozen=True):
    """The header of a record: the version of the software, what it ran on, and how the run was asked for."""

    software: str
    made_with: dict[str, str]
    run: RunSpec


def rate_of(text: str, *, what: str = "rate") -> float:
    """Return the rate that a person means: a number, or max; `what` it is, for messages. Raises InputError."""
    if text == "max":
        return math.inf
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not (SLOWEST <= rate < math.inf):
        expected = "expected a number greater than 0 (1 is real time, 0.1 ten times slower), or max"
        raise InputError([f"{what} {text}: {expected}"])
    return rate


def header(spec: RunSpec) -> dict[str, Any]:
    """Return the header of a record that begins now."""
    found: dict[str, Any] = msgspec.to_builtins(Header(version(), _surroundings(), spec))
    return found


def open_recording(path: str) -> tuple[Recording, Header]:
    """Return a record and its header. Raises InputError."""
    try:
        recording = Recording(Path(path))
        return recording, msgspec.convert(recording.header, Header)
    except OSError as error:
        raise InputError([f"{path}: cannot be read: {error.strerror}"]) from None
    except RecordingError as error:
        raise InputError([f"{path}: {error}"]) from None
    except msgspec.ValidationError as error:
        told, software = f"its header is not that of a recorded scenario: {error}", recording.header.get("software")
        if software not in (None, version()):  # which is why
            told += f"; it was recorded by version {software}, and this is version {version()}"
        raise InputError([f"{path}: {told}"]) from None


def unlike(header: Header) -> str:
    """Say in what the surroundings of a recorded run differ from those of today; empty if they do not."""
    here, there = _surroundings(), header.made_with | {"the emulator": header.software}
    here["the emulator"] = version()
    parts = [f"{what} was {there[what]}, is {now}" for what, now in here.items() if there.get(what, now) != now]
    return "; ".join(parts)


def _surroundings() -> dict[str, str]:
    """Return what could change the last bit of a number."""
    return {
        "Python": platform.python_version(),
        "numpy": metadata.version("numpy"),
        "qutip": metadata.version("qutip"),
        "the processor": platform.machine(),
    }
