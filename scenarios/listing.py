"""The records of a recorded run, to be read by people and scripts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fnmatch import fnmatchcase

import msgspec

from emulator import RecordingError

from .load import InputError
from .replay import line, record_json
from .spec import open_recording


def listed(
    path: str,
    *,
    actor: str = "*",
    kind: str = "*",
    from_s: float = 0.0,
    to_s: float = math.inf,
    as_json: bool = False,
) -> Iterator[str]:
    """Yield the records whose actor and kind fit the patterns, and whose time is in the range. Raises InputError."""
    recording, _ = open_recording(path)
    try:
        for record in recording.records():
            if record.time_ns > to_s * 1e9:
                return
            if record.time_ns >= from_s * 1e9 and fnmatchcase(record.actor, actor) and fnmatchcase(record.kind, kind):
                yield msgspec.json.encode(record_json(record)).decode() if as_json else line(record)
    except RecordingError as error:
        raise InputError([f"{path}: {error}"]) from None
