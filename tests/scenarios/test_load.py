"""Bad scenarios: every error at once, with its place and what would be right."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from scenarios.load import InputError, built_in, load, parse

NODES = '[[node]]\nname = "a"\n[[node]]\nname = "b"\n'
LINK = '[[link]]\na = "a"\nb = "b"\nlength_km = 5\n'
HEAD = 'name = "x"\n'


def errors_of(tmp_path: Path, text: str, *settings: str) -> list[str]:
    file = tmp_path / "x.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        load(str(file), settings)
    return [line.removeprefix(str(tmp_path) + "/") for line in caught.value.lines]


@pytest.mark.parametrize("name", list(built_in()))
def test_built_in_scenarios_are_right(name: str) -> None:
    scenario, plan = load(name)
    assert scenario.name == name
    assert plan.demands


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD + NODES + LINK + "colour = 3\n", "x.toml:10: link[0].colour: unknown key 'colour'; known are"),
        (HEAD + NODES + LINK.replace("length_km", "length"), "its unit is missing; did you mean 'length_km'?"),
        (HEAD + NODES + LINK.replace("5", "-5"), "x.toml:9: link[0].length_km: must be at least 0, got -5"),
        (HEAD + NODES + LINK.replace("5", "inf"), "x.toml:9: link[0].length_km:"),
        (HEAD + NODES + LINK.replace("5", '"5 km"'), "x.toml:9: link[0].length_km:"),
        (HEAD + "[override]\nt1_s = 0.1\nt2_s = 0.3\n" + NODES, "t2_s = 0.3 is longer than 2 x t1_s = 0.2"),
        (HEAD + "[override]\nt1_s = 0.1\n" + NODES, "t2_s = 10 is longer than 2 x t1_s = 0.2"),
        (HEAD + "[override]\nt1_s = 0\n" + NODES, "x.toml:3: override.t1_s: must be greater than 0, got 0"),
        (HEAD + "[override]\nvisibility = 1.5\n" + NODES, "x.toml:3: override.visibility: must be at most 1, got 1.5"),
        (HEAD + NODES + '[[node]]\nname = "a"\n', "x.toml:7: node[2].name: there is a node named 'a' already"),
        (HEAD + NODES + LINK.replace('"b"', '"c"'), "x.toml:8: link[0].b: there is no node named 'c'"),
        (HEAD + NODES + LINK + LINK, "there is a link between a and b already"),
        (HEAD + NODES + LINK.replace('"b"', '"a"'), "both ends are 'a'"),
        (HEAD + NODES + '[[route]]\na = "a"\nb = "b"\n', "route[0]: there is no path of links from 'a' to 'b'"),
        (HEAD + NODES + LINK + '[[route]]\na = "a"\nb = "z"\n', "no end nodes match 'z'"),
        (HEAD + '[[node]]\nname = "r"\nkind = "repeater"\n', "repeater 'r' has 0 links; a repeater has 2"),
        (HEAD, "a scenario needs at least one node, chain or star"),
        (HEAD + '[[node]]\nname = "a\n', "not valid TOML"),
        (HEAD + 'hardware = "ion.tomorrow"\n' + NODES, "no hardware profile 'ion.tomorrow'; there are"),
        (HEAD + NODES + LINK.replace("5", '"$km"'), "no parameter 'km'; there are none"),
        (HEAD + NODES + LINK + "loss_db = 1\nloss_db_per_km = 0.2\n", "give loss_db or loss_db_per_km, not both"),
        (HEAD + NODES + LINK + "success_probability = 0.1\n", "give success_probability and fidelity together"),
        (HEAD + NODES + LINK + "success_probability = 0\nfidelity = 0.9\n", "must be greater than 0, got 0"),
    ],
)
def test_each_error_says_where_and_what_would_be_right(tmp_path: Path, text: str, expected: str) -> None:
    assert any(expected in line for line in errors_of(tmp_path, text)), errors_of(tmp_path, text)


def test_all_errors_of_a_file_come_at_once(tmp_path: Path) -> None:
    text = (
        HEAD
        + "[override]\nt1_s = 0\n"
        + NODES
        + '[[node]]\nname = "a"\n'
        + LINK.replace("5", "-5").replace('"b"', '"q"')
    )
    lines = errors_of(tmp_path, text)
    for part in ("t1_s", "length_km", "named 'a'", "named 'q'"):
        assert any(part in line for line in lines), lines


def test_a_missing_file_names_what_there_is() -> None:
    with pytest.raises(
        InputError, match="no such file, and no built-in scenario of that name; there are berlin-frankfurt"
    ):
        load("nowhere.toml")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("links", "expected KEY=VALUE"),
        ("lniks=3", "no such parameter or key"),
        ("links=0", "must be at least 1, got 0"),
        ("route.pairs=1", "route is a list; name an element, such as route.0.pairs"),
        ("nonsense.3.x=1", "unknown key 'nonsense'"),
    ],
)
def test_settings_are_checked_like_the_file(setting: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        load("chain", [setting])
    assert any(expected in line for line in caught.value.lines), caught.value.lines


def test_settings_reach_parameters_and_paths() -> None:
    scenario, plan = load("chain", ["links=7", "route.0.order=nested", "override.t2_s=0.5"])
    assert len(plan.links) == 7
    assert scenario.route[0].order == "nested"
    assert plan.profiles["chain-1"].t2_s == 0.5


def test_the_backbone_is_that_of_the_published_plan() -> None:
    _, plan = load("berlin-frankfurt")
    spans = [link for link in plan.links if "-" not in link.a and "-" not in link.b]
    assert len(spans) == 8
    assert sum(link.length_km for link in spans) == pytest.approx(664.4)
    assert sum(link.loss_db or 0 for link in spans) == pytest.approx(173.0)
    for city in ("berlin", "frankfurt"):
        ends = [link for link in plan.links if link.b == city and link.a.startswith(f"{city}-")]
        assert len(ends) >= 4
        assert all(3 <= link.length_km <= 35 for link in ends)
        assert any(plan.nodes[link.a].kind == "photonic" for link in ends)


def test_the_dutch_backbone_is_the_longest_shortest_path_of_the_published_network() -> None:
    _, plan = load("netherlands")
    spans = [link for link in plan.links if "-" not in link.a and "-" not in link.b]
    assert len(spans) == 13
    assert sum(link.length_km for link in spans) == pytest.approx(511.6)
    assert len(plan.demands[0][1]) == 16


def test_a_path_avoids_end_nodes_and_is_the_shortest(tmp_path: Path) -> None:
    file = tmp_path / "diamond.toml"
    links = [("a", "h1", 10), ("h1", "b", 10), ("a", "h2", 5), ("h2", "b", 5), ("a", "e", 1), ("e", "b", 1)]
    text = HEAD + NODES + '[[node]]\nname = "e"\n'
    text += "".join(f'[[node]]\nname = "{hub}"\nkind = "hub"\n' for hub in ("h1", "h2"))
    text += "".join(f'[[link]]\na = "{a}"\nb = "{b}"\nlength_km = {km}\n' for a, b, km in links)
    file.write_text(text + '[[route]]\na = "a"\nb = "b"\n', "utf-8")
    _, plan = load(str(file))
    assert plan.demands[0][1] == ("a", "h2", "b")


def test_the_schema_beside_the_scenarios_is_the_present_one(qie: Callable[..., Any]) -> None:
    (scenario, *_) = built_in().values()
    text = scenario.read_text("utf-8")
    assert text.startswith("#:schema scenario.schema.json\n")
    beside = (resources.files("scenarios") / "files" / "scenario.schema.json").read_text("utf-8")
    assert beside == qie("schema").stdout, "run: qie schema > scenarios/files/scenario.schema.json"


def test_what_only_a_controller_can_promise_needs_one() -> None:
    document = {
        "name": "x",
        "star": [{"name": "city", "end_nodes": 2, "length_km": 1}],
        "route": [{"a": "city-1", "b": "city-2", "rate_hz": 5, "fidelity": 0.9}],
    }
    with pytest.raises(InputError) as error:
        parse(document, "x.toml")
    assert [line.split(": ")[1] for line in error.value.lines] == ["route[0].rate_hz", "route[0].fidelity"]
    assert all("add a table [controller]" in line for line in error.value.lines)


@pytest.mark.parametrize(
    ("at", "names", "wrong"),
    [
        ("nowhere", ["a", "b"], "controller.at: there is no node named 'nowhere'"),
        ("a", ["a", "controller"], "controller: the controller is named 'controller', so no node can be"),
    ],
)
def test_a_controller_needs_a_place_and_a_name_of_its_own(at: str, names: list[str], wrong: str) -> None:
    document = {
        "name": "x",
        "node": [{"name": name} for name in names],
        "link": [{"a": names[0], "b": names[1], "length_km": 1}],
        "controller": {"at": at},
    }
    with pytest.raises(InputError) as error:
        parse(document, "x.toml")
    assert any(wrong in line for line in error.value.lines)
