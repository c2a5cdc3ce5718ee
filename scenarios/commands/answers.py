"""What all commands have in common: how they say what they found, and the options that mean the same everywhere."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

from cyclopts import Parameter

from scenarios.load import InputError

# Options that mean the same everywhere.
For = Annotated[float, Parameter(name="--for")]
Set = Annotated[tuple[str, ...], Parameter(name="--set", negative="")]
JsonFile = Annotated[str | None, Parameter(name="--json", allow_leading_hyphen=True)]
AsJson = Annotated[bool, Parameter(name="--json", negative="")]


def say(line: str) -> None:
    """Tell people something while a command goes on."""
    print(f"qie: {line}", file=sys.stderr, flush=True)


def fail(lines: Iterable[str], code: int) -> NoReturn:
    """End the command."""
    for line in lines:
        say(line)
    raise SystemExit(code)


def tell(data: dict[str, Any], json_: str | None, lines: Iterable[str]) -> None:
    """Give the result: as JSON to a file if one is wanted, and as lines unless that goes to standard output."""
    if json_ is not None:
        write("--json", json_, json.dumps(data, indent=2, allow_nan=False))
    if json_ != "-":
        for line in lines:
            print(line)


def show(data: dict[str, Any], lines: Iterable[str], *, as_json: bool) -> int:
    """Print the result of a command that cannot fail, as JSON or as lines; return the exit code."""
    tell(data, "-" if as_json else None, lines)
    return 0


def code(*, good: bool, interrupted: bool) -> int:
    """Return the exit code of something that ran."""
    if interrupted:
        return 130
    return 0 if good else 1


def write(option: str, path: str, text: str) -> None:
    """Write a text to a file, or to standard output. Raises InputError that names the option."""
    if path == "-":
        print(text)
        return
    try:
        Path(path).write_text(text + "\n", "utf-8")
    except OSError as error:
        raise InputError([f"{option} {path}: cannot be written: {error.strerror}"]) from None


def seconds(option: str, value: float) -> float:
    """Return a span of time that was given. Raises InputError if it is none."""
    if not (value > 0 and math.isfinite(value)):
        raise InputError([f"{option} {value:g}: expected a number of seconds greater than 0"])
    return value


@contextmanager
def needing(extra: str, command: str) -> Iterator[None]:
    """Import for a command what an extra brings. Raises InputError that names what is not installed."""
    try:
        yield
    except ImportError as error:
        text = f"{command} needs the package {error.name}: install quantum-internet-emulator[{extra}]"
        raise InputError([text]) from None
