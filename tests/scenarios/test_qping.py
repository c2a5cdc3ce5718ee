"""qping: what measurements inside the network say agrees with what is true."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from scenarios.apps.qping import Tally, as_json, qping
from scenarios.load import InputError

SETTINGS = ("links=2", "length_km=10", "hardware=ideal", "chain.0.success_probability=0.2")


def ping(fidelity: float, pairs: int = 600, *settings: str) -> Tally:
    every = (*SETTINGS, f"chain.0.fidelity={fidelity}", *settings)
    tally, run = qping(
        "chain-a", "chain-b", scenario="chain", pairs=pairs, for_s=60, rate=float("inf"), seed=3, settings=every
    )
    assert run.violations == []
    assert run.outcome.leaks == {}
    return tally


def test_perfect_pairs_show_no_error_in_any_basis() -> None:
    tally = ping(1.0, 200)
    assert tally.total == 200
    assert sum(tally.errors.values()) == 0
    assert tally.fidelity == 1
    assert min(tally.rounds.values()) > 30
    assert tally.fidelity_error is not None
    assert 0 < tally.fidelity_error < 0.02  # no error in 200 rounds does not prove that there is none


@pytest.mark.parametrize("fidelity", [0.95, 0.8])
def test_the_estimate_agrees_with_the_werner_product(fidelity: float) -> None:
    # 600 rounds: the false alarm of four standard errors is 6e-5; the seed is fixed.
    tally = ping(fidelity)
    werner = ((4 * fidelity - 1) / 3) ** 2
    assert tally.fidelity is not None
    assert tally.fidelity_error is not None
    assert abs(tally.fidelity - (1 + 3 * werner) / 4) < 4 * tally.fidelity_error
    assert tally.fidelity_error < 0.03


def test_a_dephased_link_shows_its_errors_in_x_and_y_only() -> None:
    tally = ping(1.0, 300, "override.t2_s=2e-4")
    assert tally.error_rate(3) == 0
    assert all((tally.error_rate(basis) or 0) > 0.05 for basis in (1, 2))


@pytest.mark.parametrize(
    ("a", "b", "scenario", "message"),
    [
        ("berlin-1", "frankfurt-4", "berlin-frankfurt", "'frankfurt-4' is not one: it is a photonic node"),
        ("berlin-1", "berlin", "berlin-frankfurt", "'berlin' is not one: it is a hub node"),
        ("berlin-1", "nobody", "berlin-frankfurt", "'nobody' is not one: there is no such node"),
        ("berlin-1", "berlin-1", "berlin-frankfurt", "both are 'berlin-1'"),
    ],
)
def test_it_needs_two_processing_nodes(a: str, b: str, scenario: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        qping(a, b, scenario=scenario, pairs=1, for_s=1, rate=1, seed=0)


def test_nothing_measured_is_nothing_told() -> None:
    data = as_json("a", "b", Tally())
    assert (data["pairs"], data["fidelity"], data["waited_ms_p50"]) == (0, None, None)


def test_the_command_prints_and_writes_json(qie: Callable[..., Any]) -> None:
    done = qie("qping", "berlin-1", "frankfurt-2", "--pairs", "9", "--json", "-")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["pairs"] == 9
    assert "by measurement" in qie("qping", "berlin-1", "frankfurt-2", "--pairs", "12").stdout
    assert qie("qping", "berlin-1", "frankfurt-2", "--pairs", "0").returncode == 2
    assert qie("qping", "berlin-1", "frankfurt-2", "--for", "0.001").returncode == 1
