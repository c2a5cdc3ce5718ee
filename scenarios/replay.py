"""Running a recorded run again, and comparing the two histories as it goes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from emulator import ActorCrashError, Comparison, ComparisonOverError, Difference, Input, Inputs, Record, Recording
from emulator.inputs import INPUT, LOST
from emulator.recording import RecordingError

from .faults import inject_options
from .load import InputError
from .run import Show, execute, prepare_text
from .spec import Header, open_recording, unlike
from .version import version


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a replay.

    emulated_ns: how far it came; difference: the first one, or None if all that was recorded came again, bit by bit;
    history_sha256: None if it was not run to its end; error: what ended the run, such as the crash of an actor.
    """

    file: str
    scenario: str
    header: Header
    recording: Recording
    rate: float
    wall_s: float
    emulated_ns: int
    difference: Difference | None
    history_sha256: str | None
    error: str | None

    @property
    def interrupted(self) -> bool:
        """Return whether Ctrl-C has ended the replay, with everything the same up to there."""
        return self.difference is not None and self.difference.interrupted

    @property
    def whole(self) -> bool:
        """Return whether the record has an ending; else its run was killed, and it goes as far as it goes."""
        return self.recording.ending is not None


def replay(path: str, *, rate: float = math.inf, show: Show = "nothing", any_version: bool = False) -> Replay:
    """Run what a record says again, from the record alone. Raises InputError.

    A record of another version of the software is refused, unless `any_version`.
    """
    recording, header = open_recording(path)
    if header.software != version() and not any_version:
        told = f"it was recorded by version {header.software}, and this is version {version()}: see --any-version"
        raise InputError([f"{path}: {told}"])
    spec = header.run
    scenario, _, world = prepare_text(spec.label, spec.text, spec.settings, seed=spec.seed, rate=rate)
    inject_options(world.network, spec.faults)
    network = world.network
    _plan(path, recording, network.inputs)
    comparison = Comparison(recording, network.history, network.stop)
    start, emulated_ns, ended, error = time.perf_counter(), 0, True, None
    try:
        emulated_ns = execute(scenario.name, spec, world, rate=rate, show=show).outcome.emulated_ns
    except ActorCrashError as crash:
        emulated_ns, error = crash.time_ns, str(crash)
    except ComparisonOverError:
        emulated_ns, ended = network.timeline.now_ns, False
    comparison.finish()
    return Replay(
        file=path,
        scenario=scenario.name,
        header=header,
        recording=recording,
        rate=rate,
        wall_s=time.perf_counter() - start,
        emulated_ns=emulated_ns if comparison.difference is None else comparison.difference.time_ns,
        difference=comparison.difference,
        history_sha256=network.history.sha256() if ended else None,
        error=error,
    )


def _plan(path: str, recording: Recording, inputs: Inputs) -> None:
    """Let the recorded inputs come again; that reads the whole file, so that damage is found before the run."""
    try:
        outside = list(recording.outside())
    except RecordingError as error:
        raise InputError([f"{path}: {error}"]) from None
    for record in outside:
        if record.kind == LOST:
            raise InputError([f"{path}: {_why_not(record)}"])
    try:
        inputs.replay(Input(r.time_ns, r.fields[0], r.fields[1:]) for r in outside if r.kind == INPUT)
    except (ValueError, LookupError, TypeError) as error:
        raise InputError([f"{path}: an input in it cannot be replayed: {error.args[0]}"]) from None


def _why_not(lost: Record) -> str:
    host, reason, _ = lost.fields
    when = f"at {lost.time_ns / 1e9:.9f} s"
    return f"{when} the run lost host {host} ({reason}), and what came of that hangs on the real world: no replay"


def as_json(done: Replay) -> dict[str, Any]:
    """Return the object of `qie replay --json`."""
    difference = None if done.interrupted or done.difference is None else done.difference
    return {
        "file": done.file,
        "scenario": done.scenario,
        "seed": done.header.run.seed,
        "rate": "max" if math.isinf(done.rate) else done.rate,
        "emulated_s": done.emulated_ns / 1e9,
        "wall_s": round(done.wall_s, 6),
        "identical": difference is None,
        "whole": done.whole,
        "interrupted": done.interrupted,
        "history_sha256": done.history_sha256,
        "recorded_sha256": (done.recording.ending or {}).get("history_sha256"),
        "difference": None
        if difference is None
        else {
            "time_ns": difference.time_ns,
            "before": [record_json(record) for record in difference.before],
            "recorded": record_json(difference.recorded),
            "now": record_json(difference.now),
        },
        "error": done.error,
    }


def record_json(record: Record | None) -> dict[str, Any] | None:
    """Return a record as JSON can hold it: bytes as base64."""
    if record is None:
        return None
    found: dict[str, Any] = msgspec.to_builtins(record._asdict())
    return found


def summary(done: Replay) -> Iterator[str]:
    """Yield the lines for people."""
    emulated_s, seed = done.emulated_ns / 1e9, done.header.run.seed
    yield f"{done.scenario}: {emulated_s:.3f} s of emulated time again in {done.wall_s:.2f} s, seed {seed}"
    if done.difference is None:
        yield "identical, bit by bit" + (f": history {done.history_sha256[:16]}" if done.history_sha256 else "")
    elif done.interrupted:
        yield "identical as far as it came: it was interrupted"
    else:
        yield from _tell(done.difference)
        if told := unlike(done.header):
            yield f"maybe because {told}"
    if not done.whole:
        yield "the record has no ending: its run was killed, or the file is cut off"
    if done.error is not None:
        yield f"the run ended by an error: {done.error}"


def _tell(difference: Difference) -> Iterator[str]:
    yield f"DIFFERENT from {difference.time_ns / 1e9:.9f} s on; the first record that differs:"
    before = [("both", record) for record in difference.before]
    for who, record in (*before, ("recorded", difference.recorded), ("now", difference.now)):
        yield f"  {who:<8}  {'nothing more' if record is None else line(record)}"


def line(record: Record) -> str:
    """Return a record as a line of text."""
    fields = " ".join(map(repr, record.fields))
    return f"{record.time_ns / 1e9:.9f} s  {record.actor}  {record.kind}  {fields}".rstrip()
