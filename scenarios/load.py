"""Reading scenarios: TOML, parameters, `--set`, and errors that say where and what would be right."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from .expand import Plan, ScenarioError, expand, name_errors
from .schema import Scenario

_LIMITS: Final = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_TYPES: Final = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text in quotes",
    "bool_parsing": "true or false",
}
_FILES: Final = resources.files("scenarios") / "files"


class InputError(Exception):
    """Something in the input is wrong: `lines` say where, what, and what would be right. Exit code 2."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def built_in() -> dict[str, Traversable]:
    """Return the scenarios that come with the emulator, by name."""
    found = {f.name.removesuffix(".toml"): f for f in _FILES.iterdir() if f.name.endswith(".toml")}
    return dict(sorted(found.items()))


def load(name: str, settings: Iterable[str] = ()) -> tuple[Scenario, Plan]:
    """Return a scenario and its plan: a built-in name or a file, with settings `KEY=VALUE`. Raises InputError."""
    return load_text(*read(name), settings)


def load_text(label: str, text: str, settings: Iterable[str] = ()) -> tuple[Scenario, Plan]:
    """Return the scenario of a TOML text, and its plan; `label` names the text in errors. Raises InputError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError([f"{label}: not valid TOML: {error}"]) from None
    document = apply_settings(document, settings)
    return parse(document, label, text)


def parse(document: dict[str, Any], label: str, text: str = "") -> tuple[Scenario, Plan]:
    """Return the scenario that a document means, and its plan; raises InputError with all that is wrong at once."""
    try:
        document = _substitute(document)
        scenario = Scenario.model_validate(document)
        return scenario, expand(scenario)
    except ValidationError as error:
        found = [(tuple(e["loc"]), message_of(e)) for e in error.errors(include_url=False)]
        found += name_errors(document)
    except ScenarioError as error:
        found = error.errors
    raise InputError([located(label, text, *entry) for entry in found])


def located(label: str, text: str, where: tuple[str | int, ...], what: str) -> str:
    """Return an error with its file, line (if `text` shows it) and key."""
    line, path = _line_of(text, where), _path(where)
    place = f"{label}:{line}" if line else label
    return f"{place}: {path + ': ' if path else ''}{what}"


def apply_settings(document: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Return the document with each `KEY=VALUE` set: a parameter, or a path such as `route.0.pairs`."""
    document = copy.deepcopy(document)
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise InputError([f"--set {setting}: expected KEY=VALUE, such as --set end_nodes=100"])
        parameters = document.get("parameters", {})
        if key in parameters:
            parameters[key] = value_of(value)
        else:
            _set_path(document, key, value_of(value), sorted(parameters))
    return document


def read(name: str) -> tuple[str, str]:
    """Return a label for errors and the text of a scenario: a built-in name or a file. Raises InputError."""
    if name in built_in():
        return f"{name}.toml", built_in()[name].read_text("utf-8")
    path = Path(name)
    try:
        return name, path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        known = ", ".join(built_in())
        raise InputError([f"{name}: no such file, and no built-in scenario of that name; there are {known}"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError([f"{name}: cannot be read: {error}"]) from None


def value_of(text: str) -> Any:
    """Return the value that a text means in TOML; text without quotes is itself."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


def _set_path(document: dict[str, Any], key: str, value: Any, parameters: list[str]) -> None:
    *parents, last = key.split(".")
    place: Any = document
    for depth, part in enumerate(parents):
        if isinstance(place, list) and part.isdigit() and int(part) < len(place):
            place = place[int(part)]
        elif isinstance(place, dict):
            place = place.setdefault(part, {})
        else:
            raise InputError([f"--set {key}: there is no {'.'.join(parents[: depth + 1])}"])
    if not isinstance(place, dict):
        path = ".".join(parents)
        raise InputError([f"--set {key}: {path} is a list; name an element, such as {path}.0.{last}"])
    if not parents and last not in Scenario.model_fields:
        keys = ", ".join([*parameters, "hardware", "override.t2_s", "route.0.pairs"])
        raise InputError([f"--set {key}: no such parameter or key; this scenario has, for example, {keys}"])
    place[last] = value


def _substitute(document: dict[str, Any]) -> dict[str, Any]:
    """Replace each string "$name" by the parameter's value."""
    parameters = document.get("parameters", {})
    errors: list[tuple[tuple[str | int, ...], str]] = []

    def walk(item: Any, where: tuple[str | int, ...]) -> Any:
        if isinstance(item, dict):
            return {k: walk(v, (*where, k)) for k, v in item.items()}
        if isinstance(item, list):
            return [walk(v, (*where, k)) for k, v in enumerate(item)]
        if isinstance(item, str) and item.startswith("$"):
            if item[1:] in parameters:
                return parameters[item[1:]]
            errors.append((where, f"no parameter {item[1:]!r}; there are {', '.join(parameters) or 'none'}"))
        return item

    result: dict[str, Any] = walk(document, ())
    if errors:
        raise ScenarioError(errors)
    return result


def message_of(error: Any, model: Any = Scenario) -> str:
    """Return pydantic's message in our words, with the value and what would be right; of what model it speaks."""
    kind, context, value = error["type"], error.get("ctx", {}), error.get("input")
    if kind == "extra_forbidden":
        return _unknown_key(error["loc"], model)
    if kind == "missing":
        return f"{error['loc'][-1]} is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind in _LIMITS:
        words, key = _LIMITS[kind]
        return f"must be {words} {context[key]:g}, got {value!r}"
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}, got {value!r}"
    shown = repr(value) if isinstance(value, (str, int, float, bool)) else type(value).__name__
    message = str(error["msg"])
    return f"{message[0].lower()}{message[1:]}, got {shown}"


def _unknown_key(where: tuple[str | int, ...], model: Any) -> str:
    import difflib  # noqa: PLC0415  (only for an error message)

    key = str(where[-1])
    known = _keys_at(where[:-1], model)
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    units = [k for k in known if k.startswith(f"{key}_")]
    if units:
        return f"unknown key {key!r}: its unit is missing; did you mean {' or '.join(map(repr, units))}?"
    return f"unknown key {key!r}; " + (f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}")


def _keys_at(where: tuple[str | int, ...], model: Any) -> list[str]:
    for part in where:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            model = next((a for a in getattr(annotation, "__args__", ()) if hasattr(a, "model_fields")), annotation)
    return sorted(getattr(model, "model_fields", {}))


def _path(where: tuple[str | int, ...]) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in where).lstrip(".")


def _line_of(text: str, where: tuple[str | int, ...]) -> int | None:
    """Return the line of a key in a TOML text: pydantic knows paths, tomllib no lines, so look for table and key."""
    if not text or not where:
        return None
    lines = text.splitlines()
    start, table = 0, re.compile(r"\s*\[")
    if len(where) > 1 or (len(where) == 1 and isinstance(where[0], str)):
        header = re.compile(rf"\s*\[\[?\s*{re.escape(str(where[0]))}\s*\]\]?\s*(#.*)?$")
        headers = [k for k, line in enumerate(lines) if header.match(line)]
        index = where[1] if len(where) > 1 and isinstance(where[1], int) else 0
        if index < len(headers):
            start = headers[index] + 1
        elif headers:
            return None
    key = re.compile(rf"\s*{re.escape(str(where[-1]))}\s*=")
    for number in range(start, len(lines)):
        if table.match(lines[number]):
            break
        if key.match(lines[number]):
            return number + 1
    return start or None
