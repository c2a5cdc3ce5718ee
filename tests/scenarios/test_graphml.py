"""Scenarios from GraphML files: lengths, names, what is left out, what is refused."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios import graphml
from scenarios.load import InputError, parse
from scenarios.report import as_json
from scenarios.run import run_scenario
from scenarios.schema import Scenario

HEAD = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
# In the style of the Topology Zoo: four places around Delft.
ZOO = f"""<?xml version="1.0" encoding="utf-8"?>{HEAD}
  <key attr.name="Network" attr.type="string" for="graph" id="d0" />
  <key attr.name="label" attr.type="string" for="node" id="d31" />
  <key attr.name="Latitude" attr.type="double" for="node" id="d32" />
  <key attr.name="Longitude" attr.type="double" for="node" id="d33" />
  <key attr.name="LinkLabel" attr.type="string" for="edge" id="d34" />
  <graph edgedefault="undirected">
    <data key="d0">Delfland</data>
    <node id="0"><data key="d31">Delft</data><data key="d32">52.0116</data><data key="d33">4.3571</data></node>
    <node id="1"><data key="d31">Den Haag</data><data key="d32">52.0705</data><data key="d33">4.3007</data></node>
    <node id="2"><data key="d31">Rijswijk</data><data key="d32">52.0366</data><data key="d33">4.3250</data></node>
    <node id="3"><data key="d31">Münster</data><data key="d32">51.9607</data><data key="d33">7.6261</data></node>
    <edge source="0" target="1"><data key="d34">dark fibre</data></edge>
    <edge source="0" target="2" />
    <edge source="2" target="0" />
    <edge source="1" target="2" />
    <edge source="2" target="2" />
  </graph>
</graphml>
"""


def scenario_of(text: str) -> Scenario:
    return parse(tomllib.loads(text), "x.toml", text)[0]


def imported(tmp_path: Path, text: str, **options: int) -> str:
    file = tmp_path / "x.graphml"
    file.write_text(text, "utf-8")
    return graphml.scenario_text(graphml.read(file), source="x.graphml", **options)


def graph_of(*edges: tuple[str, str, dict[str, Any]], **labels: str) -> nx.Graph:
    graph = nx.MultiGraph(edges)
    nx.set_node_attributes(graph, labels, "label")
    return graph


def test_a_graph_of_the_topology_zoo_becomes_a_network_that_delivers_pairs(tmp_path: Path) -> None:
    text = imported(tmp_path, ZOO, end_nodes=2)
    scenario = scenario_of(text)
    assert scenario.name == "Delfland"
    assert [star.name for star in scenario.star] == ["Delft", "Den-Haag", "Rijswijk"]
    assert [(link.a, link.b) for link in scenario.link] == [
        ("Delft", "Den-Haag"), ("Delft", "Rijswijk"), ("Den-Haag", "Rijswijk"),
    ]  # fmt: skip
    assert scenario.controller is not None
    assert scenario.controller.at == "Delft"
    file = tmp_path / "x.toml"
    file.write_text(text, "utf-8")
    done = run_scenario(str(file), for_s=0.5)
    assert done.good
    assert done.outcome.leaks == {}
    assert list(done.violations) == []
    assert sum(pair["delivered"] for pair in as_json(done)["pairs"]) > 0


def test_places_at_the_same_coordinates_are_joined_by_a_link_of_no_length(tmp_path: Path) -> None:
    graph = graph_of(("a", "b", {}), ("b", "c", {"length": 2}))
    for node in graph.nodes.values():
        node.update(Latitude=1, Longitude=2)
    file = tmp_path / "x.toml"
    file.write_text(graphml.scenario_text(graph, source="x"), "utf-8")
    assert run_scenario(str(file), for_s=0.5).good


def test_coordinates_without_a_type_are_taken_for_numbers(tmp_path: Path) -> None:
    assert imported(tmp_path, ZOO.replace(' attr.type="double"', "")) == imported(tmp_path, ZOO)


def test_comments_say_what_was_guessed_and_what_was_left_out(tmp_path: Path) -> None:
    text = imported(tmp_path, ZOO)
    assert "# 3 of 3 lengths are great-circle distances times 1.3: cables do not run straight." in text
    assert "200 km" not in text
    assert "# Left out: another edge between Delft and Rijswijk." in text
    assert "# Left out: an edge from Rijswijk to itself." in text
    assert "# Left out: 1 node not connected to the greatest part: Münster." in text
    assert 'name = "Den-Haag"  # Den Haag' in text


def test_coordinates_give_the_great_circle_times_a_detour() -> None:
    graph = graph_of(("a", "b", {}))
    graph.nodes["a"].update(Latitude=52.52, Longitude=13.405)  # Berlin
    graph.nodes["b"].update(Latitude=50.11, Longitude=8.682)  # Frankfurt, 423.6 km away
    text = graphml.scenario_text(graph, source="x")
    link = scenario_of(text).link[0]
    assert "# 1 of 1 links are longer than 200 km: hardly a pair comes over such a link" in text
    assert link.length_km == pytest.approx(1.3 * 423.6, rel=2e-3)
    assert link.loss_db == pytest.approx(0.2 * link.length_km)


@pytest.mark.parametrize("key", ["length_km", "length", "dist", "distance", "Length"])
def test_the_length_of_an_edge_wins_over_coordinates(key: str) -> None:
    graph = graph_of(("a", "b", {key: "12.5"}))
    for node in graph.nodes.values():
        node.update(Latitude=1, Longitude=2)
    text = graphml.scenario_text(graph, source="x")
    assert scenario_of(text).link[0].length_km == 12.5
    assert "great" not in text


def test_length_km_wins_over_other_lengths() -> None:
    graph = graph_of(("a", "b", {"distance": 1, "length": 2, "length_km": 3}))
    assert scenario_of(graphml.scenario_text(graph, source="x")).link[0].length_km == 3


def test_names_are_valid_and_differ_from_each_other_from_end_nodes_and_the_controller() -> None:
    labels = ["a", "a-1", "a_1", "A b", "A-b", "A-b_2", "controller", "é", "東京", "", "x" * 90, "x" * 91, "# \n$x"]
    ids = [f"n{k}" for k in range(len(labels))]
    graph = graph_of(*((ids[0], node, {"length": 1}) for node in ids[1:]), **dict(zip(ids, labels, strict=True)))
    stars = scenario_of(graphml.scenario_text(graph, source="x", end_nodes=3)).star
    names = [star.name for star in stars]
    assert names[:10] == ["a", "a_1", "a_1_2", "A-b", "A-b_2", "A-b_2_2", "controller_2", "e", "n8", "n9"]
    assert names[10:] == ["x" * 48, "x" * 48 + "_2", "x"]


LINKED = '<graph edgedefault="undirected"><node id="a"/><node id="b"/><edge source="a" target="b"/></graph></graphml>'
BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "x.graphml:1: is not XML (no element found); expected a GraphML file"),
        ("a = 1", "x.graphml:1: is not XML (syntax error); expected a GraphML file"),
        (HEAD[:-1], "x.graphml:1: is not XML (unclosed token)"),
        ("<svg/>", "x.graphml: is not GraphML:"),
        (BOMB + HEAD + LINKED, "x.graphml:1: has a DOCTYPE"),
        (HEAD + '<graph edgedefault="undirected"/></graphml>', "x.graphml: has no nodes; expected"),
        (HEAD + '<graph edgedefault="undirected"><node id="a"/></graph></graphml>', "has no edges between two nodes"),
        (HEAD + LINKED, "edge a - b: has no length, and a and b no coordinates; give the edge length_km, or"),
        (HEAD + LINKED + " " * graphml.GREATEST_BYTES, "x.graphml: is over 10 MB"),
        (ZOO.replace("4.3571", "east"), "x.graphml: is not GraphML: could not convert string to float: 'east'"),
        (ZOO.replace('"double"', '"colour"'), "x.graphml: is not GraphML: 'colour' is no type or value that it knows"),
        (ZOO.replace("52.0116", "152"), "x.graphml: node Delft: latitude = 152.0: expected a number from -90 to 90"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_with_what_would_be_right(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        imported(tmp_path, text)
    [line] = [line.removeprefix(f"{tmp_path}/") for line in caught.value.lines]
    assert expected in line


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_a_doctype_does_not_hide_in_another_encoding(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "x.graphml"
    file.write_bytes((BOMB + HEAD + LINKED).encode(encoding))
    with pytest.raises(InputError, match="has a DOCTYPE"):
        graphml.read(file)


@pytest.mark.parametrize("length", [-1, float("nan"), float("inf"), 1e6, "far", None])
def test_a_length_that_is_none_is_refused(length: object) -> None:
    with pytest.raises(InputError, match=r"edge a - b: length = .*: expected a number from 0 to 100000 km"):
        graphml.scenario_text(graph_of(("a", "b", {"length": length})), source="x")


def test_all_edges_without_length_are_named_up_to_ten() -> None:
    graph = graph_of(*(("hub", f"n{k}", {}) for k in range(12)))
    with pytest.raises(InputError) as caught:
        graphml.scenario_text(graph, source="x")
    assert len(caught.value.lines) == 11
    assert caught.value.lines[-1] == "x: and 2 more such errors"


def test_the_command_writes_a_scenario_that_can_be_checked(qie: Callable[..., Any], tmp_path: Path) -> None:
    source, out = tmp_path / "zoo.graphml", tmp_path / "zoo.toml"
    source.write_text(ZOO, "utf-8")
    assert qie("import", str(source), "--out", str(out), "--end-nodes", "3").returncode == 0
    assert "Delfland is right: 12 nodes, 12 links, 4 demands" in qie("check", str(out)).stdout
    assert qie("import", str(source), "--out", "-", "--end-nodes", "3").stdout == out.read_text("utf-8")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("nowhere.graphml",), "nowhere.graphml: cannot be read: No such file or directory; expected a GraphML file"),
        (("x", "--end-nodes", "0"), "--end-nodes 0: expected a whole number from 1 to 100000"),
    ],
)
def test_bad_arguments_are_one_message_and_exit_code_2(
    qie: Callable[..., Any], args: tuple[str, ...], message: str
) -> None:
    done = qie("import", *args)
    assert (done.returncode, done.stderr) == (2, f"qie: {message}\n")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_connected_graph_gives_a_scenario_that_loads(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 12))
    labels = [data.draw(st.text(max_size=70) | st.sampled_from(["a", "a-1", "a_1", "controller"])) for _ in range(size)]
    graph = nx.MultiGraph(Network=data.draw(st.text(max_size=5)))
    for node, label in enumerate(labels):
        latitude, longitude = data.draw(st.floats(-90, 90)), data.draw(st.floats(-180, 180))
        graph.add_node(node, label=label, Latitude=latitude, Longitude=longitude)
        if node:
            graph.add_edge(node, data.draw(st.integers(0, node - 1)))
    extra = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))
    graph.add_edges_from(data.draw(st.lists(extra, max_size=8)), length=data.draw(st.floats(0, 1e5)))
    text = graphml.scenario_text(graph, source=data.draw(st.text(max_size=5)), end_nodes=data.draw(st.integers(1, 3)))
    scenario = scenario_of(text)
    assert len(scenario.star) == size
    assert len(scenario.link) == len({frozenset(edge[:2]) for edge in graph.edges if edge[0] != edge[1]})
