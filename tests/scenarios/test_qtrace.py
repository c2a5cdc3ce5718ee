"""qtrace: what it tells of a pair's way is what happened."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from scenarios.apps.qtrace import as_json, hops, qtrace, summary
from scenarios.load import InputError

SETTINGS = ("links=4", "length_km=10", "hardware=ideal", "chain.0.success_probability=0.2", "chain.0.fidelity=0.95")


def trace(pairs: int = 30, *settings: str) -> Any:
    found, run = qtrace(
        "chain-a",
        "chain-b",
        scenario="chain",
        pairs=pairs,
        for_s=10,
        rate=float("inf"),
        seed=3,
        settings=(*SETTINGS, *settings),
    )
    assert run.violations == []
    assert run.outcome.leaks == {}
    return found, run


def test_each_pair_tells_its_links_and_swaps_and_its_estimate_is_true() -> None:
    found, run = trace()
    assert len(found) == 30
    data = as_json("chain-a", "chain-b", found)
    for pair, (_, delivered) in zip(data["pairs"], found, strict=True):
        assert [(link["a"], link["b"]) for link in pair["links"]] == [
            ("chain-a", "chain-1"),
            ("chain-1", "chain-2"),
            ("chain-2", "chain-3"),
            ("chain-3", "chain-b"),
        ]
        assert [link["fidelity"] for link in pair["links"]] == [pytest.approx(0.95)] * 4
        assert [swap["node"] for swap in pair["swaps"]] == ["chain-1", "chain-2", "chain-3"]
        assert all(swap["time_s"] < pair["time_s"] for swap in pair["swaps"])
        assert delivered.name[1] == delivered.history[-1].east
    werner = ((4 * 0.95 - 1) / 3) ** 4
    assert data["pairs"][0]["fidelity"] == pytest.approx((1 + 3 * werner) / 4)
    (true,) = run.world.monitor.routes.values()
    assert true.fidelity_mean == pytest.approx((1 + 3 * werner) / 4)


def test_a_pair_without_a_swap_has_one_link() -> None:
    ((_, pair),), _ = trace(1, "links=1")
    ((a, b),) = [(hop.a, hop.b) for hop in hops("chain-a", "chain-b", pair)]
    assert (a, b, pair.history) == ("chain-a", "chain-b", ())


def test_the_summary_follows_the_first_pair_hop_by_hop() -> None:
    found, _ = trace(5)
    lines = list(summary(as_json("chain-a", "chain-b", found)))
    assert lines[0] == "chain-a - chain-b: 5 pairs"
    assert lines[2].startswith("    chain-a - chain-1  F 0.950 fresh  chain-a~chain-1 ")
    assert "chain-1 swapped: " in lines[3]
    assert sum("older half waited" in line for line in lines) == 3
    assert list(summary(as_json("x", "y", []))) == ["x - y: 0 pairs"]


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("berlin-1", "berlin", "'berlin' is not one: it is a hub node"),
        ("berlin-1", "nobody", "'nobody' is not one: there is no such node"),
        ("berlin-1", "berlin-1", "both are 'berlin-1'"),
    ],
)
def test_what_is_no_end_node_is_refused(a: str, b: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        qtrace(a, b, scenario="berlin-frankfurt", pairs=1, for_s=1, rate=float("inf"), seed=0)


def test_the_command_writes_json(qie: Callable[..., Any]) -> None:
    done = qie("qtrace", "city-1", "city-2", "--scenario", "metro", "--pairs", "2", "--json", "-")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert (data["a"], data["b"], len(data["pairs"])) == ("city-1", "city-2", 2)
    assert data["pairs"][0]["swaps"] == []
