"""From a graph of a real network (a GraphML file, such as those of the Topology Zoo) to the text of a scenario.

Each node of the graph becomes a hub with end nodes, each edge a link. What a graph does not say, such as losses, is
a default that stands in the text, where it can be changed.
"""

from __future__ import annotations

import io
import json
import math
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn
from xml.parsers import expat  # entities, its danger, need a DOCTYPE, which is refused

from .expand import CONTROLLER
from .load import InputError

if TYPE_CHECKING:
    from networkx import Graph  # at run time where it is needed: it takes 0.4 s

GREATEST_BYTES: Final = 10_000_000
DETOUR: Final = 1.3  # of cables over the great circle: they follow roads and coasts
_EARTH_KM: Final = 6371.0
_LONGEST_KM: Final = 100_000.0
_LONG_KM: Final = 200.0  # 40 dB: one attempt in ten thousand at best
_LENGTH_KEYS: Final = ("length_km", "length", "dist", "distance")
_COORDINATES: Final = (("latitude", 90.0), ("longitude", 180.0))
_NAME_LENGTH: Final = 48  # leaves room for what makes a name unique, and for the number of an end node
_SHOWN: Final = 10  # errors, and names in a comment


def read(path: Path) -> Graph:
    """Return the graph in a GraphML file. Raises InputError; refuses what is over 10 MB or has a DOCTYPE."""
    try:
        with path.open("rb") as file:
            data = file.read(GREATEST_BYTES + 1)
    except OSError as error:
        _fail(f"{path}: cannot be read: {error.strerror}; expected a GraphML file")
    if len(data) > GREATEST_BYTES:
        _fail(f"{path}: is over {GREATEST_BYTES // 1_000_000} MB, which no graph of a network needs")
    try:
        _refuse_doctype(path, data)
        return _parse(data)
    except expat.ExpatError as error:
        _fail(f"{path}:{error.lineno}: is not XML ({expat.ErrorString(error.code)}); expected a GraphML file")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        _fail(f"{path}: is not GraphML: {_plain(str(error))}; expected <graphml> with a <graph> of nodes and edges")


def _refuse_doctype(path: Path, data: bytes) -> None:
    """Look with the parser itself, since only it knows the encoding."""

    def doctype(*_: object) -> NoReturn:
        _fail(f"{path}:{parser.CurrentLineNumber}: has a DOCTYPE, which can make a small file huge; remove it")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = doctype
    parser.Parse(data, True)


def _parse(data: bytes) -> Graph:
    """Return the graph; what networkx finds wrong with a file becomes a ValueError."""
    import networkx as nx  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a key without a type is text, which we take for numbers too
            return nx.read_graphml(io.BytesIO(data))
    except nx.NetworkXException as error:
        raise ValueError(str(error)) from None
    except LookupError as error:
        raise ValueError(f"{error} is no type or value that it knows") from None


def scenario_text(graph: Graph, *, source: str, end_nodes: int = 1) -> str:
    """Return a scenario in TOML: a hub with `end_nodes` end nodes for each node of the graph, a link for each edge.

    source: the file's name, for messages. Raises InputError with all edges that have no length.
    """
    if not graph.nodes:
        _fail(f"{source}: has no nodes; expected a graph of two nodes or more, and edges between them")
    simple, notes = _simplified(graph, source)
    lengths = _lengths_km(simple, source)
    names = _names(simple)
    controller = names[max(simple.nodes, key=simple.degree)]
    blocks = [
        _head(_title_of(graph, source), source, [*_remarks(lengths.values()), *notes]),
        _shared(end_nodes, controller),
    ]
    blocks += [_star(name, _label(simple, node)) for node, name in names.items()]
    blocks += [_link(names[a], names[b], length) for (a, b), length in lengths.items()]
    return "\n".join(blocks)


def _simplified(graph: Graph, source: str) -> tuple[Graph, list[str]]:
    """Return the greatest connected part, undirected, with one edge between two nodes, and notes on what is dropped."""
    import networkx as nx  # noqa: PLC0415

    simple, notes = nx.Graph(), list[str]()
    simple.add_nodes_from(graph.nodes(data=True))
    for a, b, data in graph.edges(data=True):
        if a == b:
            notes.append(f"Left out: an edge from {_label(graph, a)} to itself.")
        elif simple.has_edge(a, b):
            notes.append(f"Left out: another edge between {_label(graph, a)} and {_label(graph, b)}.")
        else:
            simple.add_edges_from([(a, b, data)])
    if not simple.edges:
        _fail(f"{source}: has no edges between two nodes; expected at least one, to become a link")
    greatest = max(nx.connected_components(simple), key=len)
    # A subgraph would have the order of a set.
    if lost := [node for node in simple.nodes if node not in greatest]:
        shown = ", ".join(_label(graph, node) for node in lost[:_SHOWN]) + (", ..." if len(lost) > _SHOWN else "")
        nodes = "node" if len(lost) == 1 else "nodes"
        notes.append(f"Left out: {len(lost)} {nodes} not connected to the greatest part: {shown}.")
        simple.remove_nodes_from(lost)
    return simple, notes


# -- lengths -----------------------------------------------------------------------------------------------------------


class _Length(NamedTuple):
    """Of a link, and whether it is guessed from coordinates."""

    km: float
    guessed: bool


def _lengths_km(graph: Graph, source: str) -> dict[tuple[Any, Any], _Length]:
    """Return the length of each edge. Raises InputError with all that is wrong."""
    found: dict[tuple[Any, Any], _Length] = {}
    errors: dict[str, None] = {}  # a node that is wrong is wrong for each of its edges
    for a, b, data in graph.edges(data=True):
        try:
            found[a, b] = _length_km(graph, a, b, data)
        except ValueError as error:
            errors[f"{source}: {error}"] = None
    if errors:
        more = [f"{source}: and {len(errors) - _SHOWN} more such errors"] if len(errors) > _SHOWN else []
        raise InputError([*errors][:_SHOWN] + more)
    return found


def _length_km(graph: Graph, a: Any, b: Any, data: dict[str, Any]) -> _Length:
    """Return the length of an edge that it says itself, or else by the coordinates of its ends, or raise ValueError."""
    edge = f"edge {_label(graph, a)} - {_label(graph, b)}"
    given = _lower(data)
    key = next((key for key in _LENGTH_KEYS if key in given), None)
    if key is not None:
        return _Length(_number(given[key], f"{edge}: {key}", 0.0, _LONGEST_KM, "km"), guessed=False)
    from_, to = _coordinates(graph, a), _coordinates(graph, b)
    if from_ is None or to is None:
        missing = [_label(graph, node) for node, place in ((a, from_), (b, to)) if place is None]
        what = f"has no length, and {' and '.join(missing)} no coordinates"
        raise ValueError(f"{edge}: {what}; give the edge length_km, or its nodes Latitude and Longitude")
    return _Length(DETOUR * _great_circle_km(from_, to), guessed=True)


def _coordinates(graph: Graph, node: Any) -> tuple[float, ...] | None:
    """Return latitude and longitude of a node in degrees, or None if it does not have both."""
    given = _lower(graph.nodes[node])
    if any(key not in given for key, _ in _COORDINATES):
        return None
    what = f"node {_label(graph, node)}"
    return tuple(_number(given[key], f"{what}: {key}", -most, most, "degrees") for key, most in _COORDINATES)


def _number(value: Any, what: str, least: float, most: float, unit: str) -> float:
    """Return a value as a number within limits (inclusive), or raise ValueError."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not least <= number <= most:
        raise ValueError(f"{what} = {_plain(str(value))}: expected a number from {least:g} to {most:g} {unit}")
    return number


def _great_circle_km(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the distance of two places, each (latitude, longitude) in degrees, by the haversine formula."""
    (lat_a, lon_a), (lat_b, lon_b) = ([math.radians(degrees) for degrees in place] for place in (a, b))
    across = math.sin((lat_b - lat_a) / 2) ** 2
    along = math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * _EARTH_KM * math.asin(min(1.0, math.sqrt(across + along)))


def _lower(data: dict[str, Any]) -> dict[str, Any]:
    return {str(key).lower(): value for key, value in data.items()}


def _remarks(lengths: Collection[_Length]) -> Iterator[str]:
    """Yield what a reader should know about the lengths."""
    total = len(lengths)
    if guessed := sum(length.guessed for length in lengths):
        yield f"{guessed} of {total} lengths are great-circle distances times {DETOUR}: cables do not run straight."
        yield "They are marked; write what you know better."
    if long := sum(length.km > _LONG_KM for length in lengths):
        yield f"{long} of {total} links are longer than {_LONG_KM:g} km: hardly a pair comes over such a link; put"
        yield "repeaters between."


# -- names -------------------------------------------------------------------------------------------------------------


def _names(graph: Graph) -> dict[Any, str]:
    """Return a valid name for each node, all different, and different from those of end nodes and the controller."""
    names, taken, used = dict[Any, str](), {CONTROLLER}, Counter[str]()
    for node in graph.nodes:
        base = name = _valid(_label(graph, node)) or _valid(str(node)) or "node"
        while name in taken:
            used[base] += 1
            name = f"{base}_{used[base] + 1}"
        taken.add(name)
        names[node] = name
    return names


def _valid(label: str) -> str:
    """Return a label as a name of a node, without what is not allowed in one; it may be empty.

    It never ends like the name of an end node ("-1"), so that no hub is named like another one's end node.
    """
    ascii_only = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_.]+", "-", ascii_only).lstrip("-_.")[:_NAME_LENGTH].rstrip("-_.")
    return re.sub(r"-(\d+)$", r"_\1", name)


def _label(graph: Graph, node: Any) -> str:
    return _plain(str(graph.nodes[node].get("label", ""))) or _plain(str(node)) or "(no name)"


def _plain(text: str) -> str:
    """Return text on one line, without control characters, that may stand in a comment."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:80]


def _title_of(graph: Graph, source: str) -> str:
    """Return a name for the scenario; a leading `$` would make it a parameter."""
    names = (graph.graph.get("Network", ""), graph.graph.get("label", ""), Path(source).stem)
    return next((title for name in names if (title := _plain(str(name)).lstrip("$ "))), "network")


# -- text --------------------------------------------------------------------------------------------------------------


def _head(title: str, source: str, notes: list[str]) -> str:
    comments = [f"From {_plain(Path(source).name)}.", *notes]
    lines = [*(f"# {line}" for line in comments), f"name = {_quoted(title)}", 'hardware = "atom.near_future"']
    return "\n".join(lines) + "\n"


def _shared(end_nodes: int, controller: str) -> str:
    return f"""\
[parameters]
end_nodes = {end_nodes}            # at each hub
loss_db_per_km = 0.2     # of the links between hubs

[controller]
at = {_quoted(controller)}

[[route]]
a = "*"
b = "*"
pick = "random"
most = 10
pairs = 10
pause_s = 0.1
patience_s = 60
"""


def _star(name: str, label: str) -> str:
    comment = "" if label == name else f"  # {label}"
    return f"""\
[[star]]
name = {_quoted(name)}{comment}
end_nodes = "$end_nodes"
length_km = 5
analysers = 8
hardware = "ion.near_future"
"""


def _link(a: str, b: str, length: _Length) -> str:
    comment = f"  # great circle times {DETOUR}" if length.guessed else ""
    return f"""\
[[link]]
a = {_quoted(a)}
b = {_quoted(b)}
length_km = {round(length.km, 3)}{comment}
loss_db_per_km = "$loss_db_per_km"
"""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # of printable text it is a string of TOML, too


def _fail(message: str) -> NoReturn:
    raise InputError([message])
