"""Write the pages of docs/reference that say what the code says: `python docs/generate.py`.

`pages()` returns them; a test compares them with the files. What a key means stands here, since a model says only its
type and limits; a key that is not explained here is an error.
"""

# ruff: noqa: E501, INP001, ISC004  (prose; documentation is no package)

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
import typing
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import links  # noqa: F401  (its message types, if any)
from emulator import Message, message_types
from emulator.faults import kinds
from nodes import hardware
from scenarios import schema
from scenarios.cli import app
from scenarios.faults import known

HERE: Final = Path(__file__).parent / "reference"
NOTE: Final = "<!-- Written by docs/generate.py: change the code or that file, then run `python docs/generate.py`. -->"

# Suffixes of keys and the units they stand for; the first that fits counts.
UNITS: Final = (
    ("bit_rate_per_s", "bit/s"),
    ("_km", "km"),
    ("_db", "dB"),
    ("_ms", "ms"),
    ("_us", "us"),
    ("_mhz", "MHz"),
    ("_rad", "rad"),
    ("_s", "s"),
)

MEANINGS: Final[Mapping[str, str]] = {
    # scenario
    "Scenario.name": "name, shown in results",
    "Scenario.description": "a sentence or two, shown by `qie scenarios`",
    "Scenario.parameters": 'values that may be used as `"$name"` anywhere else, and be set with `--set name=value`',
    "Scenario.latency_us_per_km": "time of flight of light in all fibres",
    "Scenario.hardware": "profile of every node that names none (photonic clients: `photonic` of the same era)",
    "Scenario.override": "keys of the profile that are to be different at every node",
    "Scenario.node": "nodes, each a `[[node]]`",
    "Scenario.link": "links, each a `[[link]]`",
    "Scenario.chain": "chains, each a `[[chain]]`",
    "Scenario.star": "stars, each a `[[star]]`",
    "Scenario.route": "demands, each a `[[route]]`",
    "Node.name": "name, unique in the scenario",
    "Node.kind": "`processing` and `photonic` are end nodes; `hub` and `repeater` only swap",
    "Node.hardware": "hardware profile, the scenario's if absent",
    "Node.override": "keys of the profile that are to be different here; they win over the scenario's",
    "Node.restart_after_s": "restart this long after a crash; absent: a crash ends the run",
    # links
    "length_km": "length of the fibre from end to end (of each link)",
    "loss_db": "loss of the whole link, connectors included",
    "loss_db_per_km": "loss per length, in place of `loss_db`; 0.2 if neither is given",
    "station_at": "place of the heralding station, from 0 (at `a`) to 1 (at `b`)",
    "memories": "memory positions at each side; absent: `memories_per_link` of the profile",
    "modes": "multiplexed modes tried in one attempt; absent: the greater of the two profiles",
    "scheme": "scheme of heralding; absent: that of the profile of `a`",
    "attempt_ms": "duration of an attempt, if longer than the light's way there and back; absent: that and the preparation",
    "session_timeout_s": "give up a generation session after so long; 0: never",
    "success_probability": "of an attempt in one mode; with `fidelity` it replaces the optics",
    "fidelity": "of the Werner pair that replaces the optics (of links); mean fidelity to be promised (of routes)",
    "processing_us": "added to the latency of each classical message",
    "bit_rate_per_s": "of the classical channels; absent: sending takes no time",
    "Link.a": "node at one end",
    "Link.b": "node at the other end",
    "Chain.name": "prefix of the names of its nodes",
    "Chain.links": "number of links",
    "Chain.hardware": "profile of its nodes",
    "Star.name": "name of the hub, prefix of the names of its end nodes",
    "Star.end_nodes": "number of end nodes, photonic clients included",
    "Star.farthest_km": "length of the longest fibre; absent: all have `length_km`",
    "Star.photonic_clients": "how many of the end nodes, the last ones, are photonic clients",
    "Star.hub_memories": "positions of the hub that all its end nodes share",
    "Star.analysers": "heralding stations behind an optical switch at the hub, which bring any two end nodes together; "
    "0: each end node has one of its own, and the hub swaps",
    "Star.switch_ms": "how long the optical switch needs to switch",
    "Star.slot_ms": "how long a heralding station serves one pair of nodes while others wait",
    "Star.hub_hardware": "profile of the hub",
    "Star.hardware": "profile of the processing end nodes",
    "Star.client_hardware": "profile of the photonic clients",
    "Route.a": "head-end: a name, or a pattern with `*`",
    "Route.b": "tail-end, likewise",
    "Route.lanes": "memory positions on each link that the circuit uses at once",
    "Route.pairs": "pairs to deliver before the path is given back; 0: never",
    "Route.pause_s": "mean time between giving back and asking again",
    "Route.order": "swap as soon as possible, or in nested order",
    "Route.cutoff_s": "an intermediate node discards a half older than this; absent: never",
    "Route.pick": "match the names in their order, or shuffled",
    "Route.most": "so many demands of the pattern only; absent: all",
    "Route.rate_hz": "rate that the controller is to promise; 0: none",
    "Route.duration_s": "the circuit is given back after so long; 0: at the end of the run",
    "Route.patience_s": "how long the demand may wait to be admitted; 0: it is admitted at once or refused",
    "Route.priority": "who is first when several wait; 7 is highest",
    "Scenario.controller": "the controller that admits demands, a table `[controller]`; absent: nodes ask each other",
    "Controller.at": "node where it is; its messages take the light's time along the fibres from there",
    "Controller.restart_after_s": "it begins again so long after a crash",
    "Route.may_distil": "the controller may have pairs distilled if the fidelity needs it",
    "Route.distil": "protocol by which the ends distil pairs before they deliver them; absent: they do not",
    "Scenario.fault": "faults, each a `[[fault]]`",
    "Fault.name": "name, by which its random numbers are drawn; absent: kind and target",
    "Fault.kind": "one of the [kinds of faults](faults.md)",
    "Fault.target": "what it acts on, see [faults](faults.md#targets)",
    "Fault.start_s": "when it begins; 0 is when everybody is there",
    "Fault.end_s": "when it ends; absent: with the run, or as its kind says",
    "Fault.probability": "that it acts on what it meets; of a state, that it happens at all",
    "Fault.attributes": "those of its kind, such as `attributes.percent = 20`",
    "Scenario.expect": "pairs that must come, or the run fails, each a `[[expect]]`",
    "Expect.a": "head-end: a name, or a pattern with `*`",
    "Expect.b": "tail-end, likewise",
    "Expect.pairs": "so many at least",
    "Expect.from_s": "pairs count that are delivered from then on",
    "Route.rounds": "rounds of distillation, each of which makes one pair of two; less than `lanes`",
    # profiles
    "Profile.scheme": "scheme of heralding",
    "Profile.collection": "a photon is emitted and collected into the fibre",
    "Profile.conversion": "it is converted to the wavelength of the fibre",
    "Profile.window_share": "it falls into the detection window",
    "Profile.detector_efficiency": "the detector sees it",
    "Profile.dark_probability": "dark count per detector and window",
    "Profile.visibility": "Hong-Ou-Mandel visibility of two photons",
    "Profile.emission_fidelity": "fidelity of the state of memory and photon (double click)",
    "Profile.bright_population": "alpha, population of the bright state (single click)",
    "Profile.phase_std_rad": "spread of the optical phase (single click)",
    "Profile.double_excitation": "an emission left a second photon",
    "Profile.pairs_per_mode": "mean number of pairs of a source (pair sources)",
    "Profile.write_efficiency": "a photon ends up stored (pair sources)",
    "Profile.modes": "modes tried in one attempt",
    "Profile.preparation_us": "from the news of a failure to the next photon",
    "Profile.role": "it sends photons, detects them at home, or both; a photonic client that only receives makes its links "
    "sender-receiver or midpoint-source links",
    "Profile.optical_error": "share of its own pulses, or of the light that it receives, that goes to the wrong detector",
    "Profile.pulse_clock_mhz": "fastest clock of its weak coherent pulses; 0: it has no source of them",
    "Profile.t1_s": "relaxation",
    "Profile.t2_s": "1/e time of the coherences, at most twice `t1_s`",
    "Profile.depolarising_s": "1/e time of the whole Bloch vector",
    "Profile.dephasing_s": "tau of the further contrast exp(-(t/tau)^k)",
    "Profile.dephasing_exponent": "k of it; 2 is Gaussian",
    "Profile.attempts_1_over_e": "attempts beside a stored qubit that leave 1/e of its coherences",
    "Profile.retrieval_efficiency": "an absorptive memory gives its excitation back, at once",
    "Profile.retrieval_decay_s": "1/e time of that",
    "Profile.memories_per_link": "memory positions towards each neighbour",
    "Profile.processor_qubits": "local qubits of a processing node",
    "Profile.one_qubit_us": "duration of a one-qubit gate",
    "Profile.one_qubit_depolarising": "depolarising probability of it",
    "Profile.two_qubit_us": "duration of a two-qubit gate",
    "Profile.two_qubit_depolarising": "depolarising probability of it",
    "Profile.readout_us": "duration of a read-out",
    "Profile.readout_error_0": "a 0 is read as 1",
    "Profile.readout_error_1": "a 1 is read as 0",
    "Profile.readout_efficiency": "there is an answer at all",
    "Profile.swap_us": "duration of a Bell-state measurement",
    "Profile.swap_depolarising": "depolarising probability before it",
    "Profile.swap_flip": "each of its two bits is reported wrong",
    "Profile.swap_efficiency": "it works",
    "Profile.linear_optics": "it can tell Psi+ and Psi- only",
}

SECTIONS: Final[tuple[tuple[str, type[BaseModel], str], ...]] = (
    ("The file", schema.Scenario, "At the top of the file, before the first table."),
    (
        "`[controller]`",
        schema.Controller,
        "With a controller, every demand goes through it: it knows the network from the reports of nodes and heralding "
        "stations, promises rates and fidelities, and refuses what it could not keep.",
    ),
    ("`[[node]]`", schema.Node, "A repeater has exactly two links; a hub, any number."),
    (
        "`[[link]]`",
        schema.Link,
        "Two nodes have at most one link; give it more `memories` instead of a second one. The heralding station of a link "
        "is an actor named `A~B`.",
    ),
    (
        "`[[chain]]`",
        schema.Chain,
        "Equal links in a row: repeaters `NAME-1`, `NAME-2`, ... between the end nodes `NAME-a` and `NAME-b`. Besides these "
        "keys, all keys of `[[link]]` but `a` and `b`, for each of the links.",
    ),
    (
        "`[[star]]`",
        schema.Star,
        "A hub `NAME` with end nodes `NAME-1`, `NAME-2`, ... on fibres evenly spread from `length_km` to `farthest_km`. "
        "Besides these keys, all keys of `[[link]]` but `a` and `b`; `station_at` is 1 here, at the hub, if it is not given.",
    ),
    (
        "`[[route]]`",
        schema.Route,
        "A demand for pairs between end nodes, on the shortest path. Patterns are matched one by one: the first `a` with the "
        "first `b`, and so on. If both patterns are the same, neighbours in the list are joined: 1 and 2, 3 and 4, ...",
    ),
    (
        "`[[fault]]`",
        schema.Fault,
        "Something that is broken on purpose: see [inject faults](../how-to/inject-faults.md). Within a table its attributes are "
        "written `attributes.percent = 20`.",
    ),
    (
        "`[[expect]]`",
        schema.Expect,
        "Pairs that must have come by the end of a run, counted at the head-end: if there are fewer, that is a violation "
        "(`liveness`), and the exit code is 1. A run that ends before `from_s`, or by Ctrl-C, is not judged. `qie chaos SCENARIO` writes "
        "such tables into what it finds.",
    ),
)

# What an option means whose command does not say so.
OPTIONS: Final[Mapping[str, str]] = {
    "scenarios json": "print them as JSON",
    "check file": "a scenario file, or the name of a built-in scenario",
    "check set": "as of `qie run`; can be repeated",
    "check json": "print what is wrong as JSON",
    "faults json": "print the list as JSON",
}

_SHAPES: Final = {"--set": "KEY=VALUE", "--fault": "KIND:TARGET@START..END,ATTRIBUTE=VALUE"}
_explained: set[str] = set()


def pages() -> dict[Path, str]:
    """Return every generated page by its file."""
    found = {
        "commands.md": commands(),
        "scenario-files.md": scenario_files(),
        "hardware.md": hardware_profiles(),
        "messages.md": messages(),
        "faults.md": faults(),
    }
    if superfluous := MEANINGS.keys() - _explained:
        raise SystemExit(f"docs/generate.py: there are no such keys (any more): {', '.join(sorted(superfluous))}")
    return {HERE / name: "\n".join([NOTE, "", *lines]).rstrip() + "\n" for name, lines in found.items()}


def prose(text: str) -> list[str]:
    """Return a paragraph as lines, and an empty one."""
    return [*textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False), ""]


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Return a Markdown table."""
    columns = list(head)
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    return lines + [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows] + [""]


# -- commands ----------------------------------------------------------------------------------------------------------


def commands() -> list[str]:
    """Return the page of commands."""
    lines = [
        "# Commands",
        "",
        *prose(
            "Exit codes of all commands: 0 good; 1 the run failed, an invariant broke or something leaked; 2 bad input, with "
            "the place and what would be right; 130 interrupted, with a complete summary of what ran. Results go to standard "
            "output, progress and errors to standard error. The object that `qie run --json` writes is described in "
            "[json](json.md), the file that `qie deploy SCENARIO --hosts FILE` reads in [hosts file](hosts-file.md)."
        ),
        "`qie --help`, `qie COMMAND --help` and `qie --version` say the same in short.",
        "",
    ]
    for name in app:
        if name.startswith("-"):
            continue
        collection = app[name].assemble_argument_collection(parse_docstring=True)
        arguments = [argument for argument in collection if not dataclasses.is_dataclass(argument.hint)]
        usage = " ".join([f"qie {name}", *(a.name.lstrip("-").upper() for a in arguments if a.required)])
        text = inspect.cleandoc(str(app[name].help)).partition("\nParameters\n")[0]
        lines += [f"## `{usage}`", "", text.strip(), ""]
        rows = []
        for argument in arguments:
            option = argument.name.lstrip("-")
            value = option.upper() if argument.required else f"{argument.name}{_value(argument)}"
            default = argument.field_info.default
            given = not argument.required and default not in (None, ()) and default is not False
            words = argument.parameter.help or OPTIONS.get(f"{name} {option}") or _unexplained(f"{name} {option}")
            rows.append([f"`{value}`", f"`{default}`" if given else "", words])
        if rows:
            lines += table(["option", "default", "meaning"], rows)
    return lines


def _value(argument: Any) -> str:
    if argument.hint is bool:
        return ""
    if argument.name in _SHAPES:
        return f" {_SHAPES[argument.name]}"
    arms = [arm for arm in typing.get_args(argument.hint) if arm is not type(None)] or [argument.hint]
    return " " + {str: "TEXT", int: "INTEGER", float: "NUMBER"}[arms[0]]


def _unexplained(what: str) -> NoReturn:
    raise SystemExit(f"docs/generate.py: say what {what!r} means")


# -- scenario files and hardware ---------------------------------------------------------------------------------------


def unit(key: str) -> str:
    """Return the unit that a key's name says."""
    if key.endswith("_per_km"):
        return f"{unit(key.removesuffix('_per_km'))}/km"
    return next((text for suffix, text in UNITS if key.endswith(suffix)), "")


def limits(field: FieldInfo) -> str:
    """Return what a value must keep to, in words."""
    words: list[str] = []
    for note in _notes(field.annotation, field.metadata):
        for attribute, text in (("ge", ">= {}"), ("gt", "> {}"), ("le", "<= {}"), ("lt", "< {}")):
            if (bound := getattr(note, attribute, None)) is not None:
                words.append(text.format(f"{bound:g}"))
        if (length := getattr(note, "max_length", None)) is not None:
            words.append(f"at most {length} characters")
    return ", ".join(dict.fromkeys(words))


def _notes(annotation: Any, metadata: Iterable[Any]) -> Iterator[Any]:
    for note in metadata:
        yield from getattr(note, "metadata", [note])
    for arm in typing.get_args(annotation):
        yield from _notes(arm, getattr(arm, "__metadata__", ()))


def kind(annotation: Any) -> str:
    """Return a type in words."""
    if annotation is bool:
        return "true or false"
    if typing.get_origin(annotation) is Literal:
        return ", ".join(f'`"{value}"`' for value in typing.get_args(annotation))
    if typing.get_origin(annotation) is tuple:
        return "list of tables"
    if typing.get_origin(annotation) is dict or (inspect.isclass(annotation) and issubclass(annotation, BaseModel)):
        return "table"
    plain = {int: "whole number", float: "number", str: "text"}
    if annotation in plain:
        return plain[annotation]
    return kind(next(arm for arm in typing.get_args(annotation) if arm is not type(None)))


def meaning(model: str, key: str) -> str:
    """Return what a key means; a key without words here is an error."""
    for name in (f"{model}.{key}", key):
        if name in MEANINGS:
            _explained.add(name)
            return MEANINGS[name]
    _unexplained(f"{model}.{key}")


def default(field: FieldInfo) -> str:
    """Return a default as it would be written in TOML."""
    if field.is_required():
        return "required"
    value = field.default
    if value is None or value is PydanticUndefined or value in ((), {}, ""):
        return ""
    if isinstance(value, (bool, str)):
        return f'`"{value}"`' if isinstance(value, str) else f"`{str(value).lower()}`"
    return f"`{value:g}`"


def model_table(model: type[BaseModel], keys: Container[str]) -> list[str]:
    """Return the table of some keys of a model."""
    rows = []
    for key, field in model.model_fields.items():
        if key not in keys:
            continue
        bounds = limits(field)
        what = kind(field.annotation) + (f", {bounds}" if bounds else "")
        rows.append([f"`{key}`", unit(key), default(field), what, meaning(model.__name__, key)])
    return table(["key", "unit", "default", "value", "meaning"], rows)


def scenario_files() -> list[str]:
    """Return the page of scenario files."""
    lines = [
        "# Scenario files",
        "",
        *prose(
            "A scenario is a TOML file. Every unit is in the name of its key, and unknown keys are errors. Names have letters, "
            "digits and `_.-`. `qie check FILE` says all that is wrong with a file at once; `qie schema` prints the JSON Schema "
            "for editors. How to write one: [own scenario](../how-to/own-scenario.md)."
        ),
    ]
    shared = set(schema.Link.model_fields) & set(schema.Chain.model_fields) & set(schema.Star.model_fields)
    for title, model, text in SECTIONS:
        keys = model.model_fields.keys() - (shared if "link" not in title else set())
        lines += [f"## {title}", "", *prose(text), *model_table(model, keys)]
    lines += [
        "## `[override]` and `[node.override]`",
        "",
        *prose(
            "Any key of a hardware profile, with the limits it has there: see [hardware](hardware.md). What a node says wins "
            "over what the scenario says, and that over the profile. A scenario says `[override]` at its top; a node says "
            "`override.t2_s = 0.5` within its `[[node]]`."
        ),
    ]
    return lines


def hardware_profiles() -> list[str]:
    """Return the page of hardware profiles."""
    lines = [
        "# Hardware profiles",
        "",
        *prose(
            "A profile is data: `nodes/hardware/PLATFORM.toml` with the tables `today` and `near_future`. Keys that "
            "`near_future` lacks keep their value of today; keys that a platform lacks keep their default. The profile `ideal` "
            "is all defaults. Names of profiles: `PLATFORM.today`, `PLATFORM.near_future`, `ideal`."
        ),
        *prose(
            "Marks of sources: [P] read in the primary text or the authors' own data, [T] in a third-party compilation, [M] "
            "from memory of the field's figures, [A] our assumption. Use your own: "
            "[own hardware profile](../how-to/own-hardware-profile.md)."
        ),
        "## Keys",
        "",
        *model_table(hardware.Profile, hardware.Profile.model_fields),
    ]
    for platform in hardware.platforms():
        entries = {era: hardware._entries(f"{platform}.{era}") for era in hardware.ERAS}  # noqa: SLF001
        lines += [f"## `{platform}`", ""]
        rows = []
        for key in hardware.Profile.model_fields:
            today, later = (entries[era].get(key) for era in hardware.ERAS)
            if later is None:
                continue
            changed = today is None or today["value"] != later["value"]
            values = [
                "" if today is None else _plain(today["value"]),
                _plain(later["value"]) if changed else "the same",
            ]
            sources = [str(entry["source"]) for entry in (today, later) if entry is not None]
            rows.append([f"`{key}`", unit(key), *values, "; near future: ".join(dict.fromkeys(sources))])
        lines += table(["key", "unit", "today", "near future", "source"], rows)
    return lines


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


# -- messages ----------------------------------------------------------------------------------------------------------


def messages() -> list[str]:
    """Return the page of message types."""
    lines = [
        "# Messages",
        "",
        *prose(
            "Everything that actors say to each other. On the wire a message is a MessagePack array: its tag, then its fields "
            "in this order. A `PairId` is (heralding station, its sequence number). A Bell index is 0 to 3, see "
            "[formulas](formulas.md). Tags are unique; a type of your own joins in as soon as it is imported, see "
            "[own actor](../how-to/own-actor.md)."
        ),
    ]
    ours = [m for m in message_types().values() if m.__module__.split(".")[0] in ("emulator", "links", "nodes")]
    for module in sorted({m.__module__ for m in ours}):
        lines += [f"## `{module}`", ""]
        for message in sorted((m for m in ours if m.__module__ == module), key=_line):
            lines += [f"### {message.__name__}, tag `{message.__struct_config__.tag}`", ""]
            lines += [inspect.cleandoc(message.__doc__ or ""), ""]
            lines += table(
                ["field", "type"], [[f"`{f}`", f"`{_annotation(message, f)}`"] for f in message.__struct_fields__]
            )
    return lines


# -- faults ------------------------------------------------------------------------------------------------------------


def faults() -> list[str]:
    """Return the page of faults."""
    ours = [name for name, kind in kinds().items() if kind.__module__.startswith("emulator.")]
    found = [kind for kind in known() if kind["kind"] in ours]
    lines = [
        "# Faults",
        "",
        *prose(
            "What can be broken on purpose, in [scenario files](scenario-files.md#fault), by `qie run --fault` and from Python: see "
            "[inject faults](../how-to/inject-faults.md). `qie faults` lists the kinds; write your own: "
            "[own fault](../how-to/own-fault.md)."
        ),
        *prose(
            "A fault has a kind, a target, a start, an end, a probability and the attributes of its kind. It begins and ends at its "
            "exact emulated time, before everything else of that instant: first those that end, then those that begin. Faults on "
            "one target act one after the other in the order of the schedule: those of the file, then those of the command line. "
            "Its random numbers depend on the seed and its name. With the time of the run all faults end, so that what they left "
            "can be cleared up. Whatever it does to a link, nobody is told: nodes go on believing in their calibration."
        ),
        "## Targets",
        "",
        *table(
            ["target", "means"],
            [
                ["`a>b`", "the channel from `a` to `b`"],
                [
                    "`a-b`, `a|b`",
                    "both directions; as a link, the fibre between two nodes. Where `a-b` can be read in two ways, write `a|b`",
                ],
                ["`a,b>c`, `a,b|*`", "all channels from one set to the other, or both ways; `*` is everybody else"],
                ["`a`", "the node, the station (`a~b`, `hub~switch`) or the controller (`controller`)"],
            ],
        ),
        "## What it meets, and who survives it",
        "",
        *prose(
            "*survived by*: the layer that has to cope with it. *nobody* means that nothing in the stack can see it, but the statistics "
            "of measured pairs; what is safe all the same is that both ends agree. Channels lose nothing for good: neighbours talk "
            "over a transport that repeats, so loss is delay there."
        ),
        *table(
            ["kind", "survived by", "what one sees"],
            [[f"[`{k['kind']}`](#{k['kind']})", k["survives"], k["seen"]] for k in found],
        ),
        "## Kinds",
        "",
    ]
    for kind in found:
        lines += [f"### {kind['kind']}", "", *prose(kind["text"])]
        lines += prose(
            f"Target: {kind['target']}; for example `--fault '{kind['kind']}:{kind['example']}@{kind['span']}'`."
        )
        rows = [
            [f"`{a['name']}`", f"`{_written(a['default'])}`", a["values"], a["meaning"]] for a in kind["attributes"]
        ]
        if rows:
            lines += table(["attribute", "default", "value", "meaning"], rows)
    return lines


def _written(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _line(message: type[Message]) -> int:
    return inspect.getsourcelines(message)[1]


def _annotation(message: type[Message], field: str) -> str:
    return re.sub(r"\bemulator\.messages\.", "", str(message.__annotations__[field]))


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, "utf-8")
