"""What a scenario expects to come: a run in which it does not come has failed, and says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenarios.load import InputError
from scenarios.run import run_scenario

CHAIN = """
name = "line"

[[chain]]
name = "line"
links = 2
length_km = 20
memories = 2
success_probability = 0.05
fidelity = 1

[[route]]
a = "line-a"
b = "line-b"

[[fault]]
kind = "cut"
target = "line-a-line-1"
start_s = 0.1
end_s = {end}

[[expect]]
{expect}
"""


@pytest.fixture
def broken(tmp_path: Path) -> Callable[..., str]:
    def broken(expect: str, *, end: float = 0.2) -> str:
        path = tmp_path / "line.toml"
        path.write_text(CHAIN.format(expect=expect, end=end))
        return str(path)

    return broken


def test_pairs_that_do_not_come_make_a_run_fail(
    broken: Callable[..., str], qie: Callable[..., Any], tmp_path: Path
) -> None:
    file = broken('a = "line-a"\nb = "line-*"\npairs = 2\nfrom_s = 0.3', end=0.9)
    done = qie("run", file, "--rate", "max", "--for", "0.5", "--json", f"{tmp_path}/out.json")
    assert done.returncode == 1
    text = "liveness: 0 pairs came between line-a and line-* from 0.3 s on, at least 2 were expected"
    assert f"VIOLATION: {text}" in done.stdout
    assert json.loads((tmp_path / "out.json").read_text())["violations"] == [f"{text}, at 0.500000000 s"]


def test_a_run_in_which_they_come_again_is_good(broken: Callable[..., str]) -> None:
    assert run_scenario(broken("pairs = 2\nfrom_s = 0.3"), for_s=0.5).violations == []
    (found,) = run_scenario(broken("pairs = 1_000_000"), for_s=0.5).violations
    assert "pairs came from 0 s on, at least 1000000 were expected" in found


def test_what_is_expected_after_the_end_is_not_judged(broken: Callable[..., str]) -> None:
    assert run_scenario(broken("from_s = 0.3", end=0.9), for_s=0.3).violations == []
    assert len(run_scenario(broken("from_s = 0.3", end=0.9), for_s=0.31).violations) == 1


def test_ends_that_there_are_not_are_refused(broken: Callable[..., str]) -> None:
    with pytest.raises(InputError, match=r"line\.toml:23: expect\[0\]\.a: no end nodes match 'line-c'"):
        run_scenario(broken('a = "line-c"'), for_s=0.1)
    with pytest.raises(InputError, match="pairs"):
        run_scenario(broken("pairs = 0"), for_s=0.1)
