"""Law 2: the same seed has the same history, at any rate, in any process."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from scenarios.report import as_json
from scenarios.run import run_scenario

SPAN_S = 0.3


def report(rate: float, seed: int = 7, name: str = "berlin-frankfurt") -> dict[str, Any]:
    return as_json(run_scenario(name, for_s=SPAN_S, rate=rate, seed=seed))


def test_every_rate_has_the_same_history_and_the_same_physics() -> None:
    reports = [report(rate) for rate in (math.inf, 1, 0.5)]
    assert len({r["history_sha256"] for r in reports}) == 1
    assert reports[0]["pairs"] == reports[1]["pairs"] == reports[2]["pairs"]
    assert len({r["events"] for r in reports}) == 1
    assert sum(pair["delivered"] for pair in reports[0]["pairs"]) > 5


def test_another_seed_has_another_history() -> None:
    assert report(math.inf, seed=7)["history_sha256"] != report(math.inf, seed=8)["history_sha256"]


@pytest.mark.parametrize("name", ["berlin-frankfurt", "metro", "chain"])
def test_hash_seeds_and_memory_addresses_change_nothing(qie: Callable[..., Any], name: str) -> None:
    args = ("run", name, "--rate", "max", "--for", str(SPAN_S), "--seed", "7", "--json", "-")
    hashes = {
        json.loads(qie(*args, env={"PYTHONHASHSEED": hash_seed}).stdout)["history_sha256"]
        for hash_seed in ("0", "1", "4711")
    }
    assert hashes == {report(math.inf, name=name)["history_sha256"]}


def test_a_display_changes_nothing(qie: Callable[..., Any]) -> None:
    args = ("run", "chain", "--rate", "max", "--for", "1", "--json", "-")
    shown = json.loads(qie(*args).stdout)
    hidden = as_json(run_scenario("chain", for_s=1))
    assert shown["history_sha256"] == hidden["history_sha256"]
    assert shown["events"] == hidden["events"]
