"""Law 2 across hosts: the same history, bit by bit, on one process or on several, whatever goes wrong in it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator import Outcome
from emulator.time import LagHistogram
from scenarios.hosts.deploy import deploy
from scenarios.load import InputError, read
from scenarios.replay import replay
from scenarios.report import Run, Work, as_json, summary
from scenarios.run import run_scenario
from scenarios.spec import RunSpec

_SHORT_S = 0.25
_CHAIN = ("links=4",)


def spec_of(
    scenario: str,
    *,
    for_s: float = _SHORT_S,
    seed: int = 7,
    rate: float = math.inf,
    settings: tuple[str, ...] = (),
    faults: tuple[str, ...] = (),
) -> RunSpec:
    label, text = read(scenario)
    return RunSpec(
        label=label, text=text, settings=settings, seed=seed, for_ns=round(for_s * 1e9), rate=rate, faults=faults
    )


def same(alone: Run, together: Run) -> None:
    """Compare two results but for the wall clock and for who did the work."""
    one, other = (without_wall(as_json(run)) for run in (alone, together))
    assert one == other
    assert not one["leaks"]
    assert not one["violations"]


def without_wall(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in ("wall_s", "lag_ms", "hosts", "rate")}


@pytest.mark.parametrize("hosts", [1, 2, 3, 4])
def test_several_processes_write_the_history_of_one(hosts: int) -> None:
    alone = run_scenario("chain", for_s=_SHORT_S, seed=7, settings=_CHAIN)
    together = deploy(spec_of("chain", settings=_CHAIN), hosts)
    same(alone, together)
    assert [host["name"] for host in as_json(together)["hosts"]] == [f"host-{k}" for k in range(1, hosts + 1)]
    assert hosts == 1 or all(host["waits"] > 10 for host in as_json(together)["hosts"])


@pytest.mark.parametrize(("rate", "hosts"), [(math.inf, 2), (1.0, 2), (math.inf, 3)])
def test_the_default_scenario_is_the_same_at_every_rate(rate: float, hosts: int) -> None:
    alone = run_scenario("berlin-frankfurt", for_s=_SHORT_S, seed=7)
    same(alone, deploy(spec_of("berlin-frankfurt", rate=rate), hosts))


_FAULTS = (
    "cut:eulau-erfurt@0.05..0.1,classical=true",
    "crash:waltershausen@0.08,down_s=0.05",
    "loss:berlin|schaepe@0.02..0.2,percent=20",
    "duplicate:eulau-erfurt@0.02..0.2,percent=20",
    "clog:erfurt-waltershausen@0.06..0.11",
    "memory-noise:erfurt@0.03..0.2",
    "wrong-bell:eulau~erfurt@0.02..0.15",
    "crash:eulau~erfurt@0.13,down_s=0.02",
    "controller-crash:controller@0.1,down_s=0.05",
)


def test_faults_act_where_their_actors_are() -> None:
    alone = run_scenario("berlin-frankfurt", for_s=_SHORT_S, seed=3, faults=_FAULTS)
    together = deploy(spec_of("berlin-frankfurt", seed=3, faults=_FAULTS), 3)
    one, other = without_wall(as_json(alone)), without_wall(as_json(together))
    assert one == other
    assert sum(fault["fired"] > 0 for fault in one["faults"]) >= 7


def test_a_run_of_several_hosts_is_recorded_as_one_and_replays_on_one(tmp_path: Path) -> None:
    file = tmp_path / "run.rec"
    together = deploy(spec_of("chain", settings=_CHAIN), 2, record=file)
    again = replay(str(file))
    assert again.difference is None
    assert again.history_sha256 == together.world.network.history.sha256()


def test_a_scenario_that_cannot_be_divided_is_refused_before_anything_starts() -> None:
    with pytest.raises(InputError, match="--local 60: 9 actors cannot be divided among 60 hosts"):
        deploy(spec_of("chain", settings=_CHAIN), 60)


def test_the_command_prints_one_result_and_writes_one_json(qie: Any, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    done = qie("deploy", "chain", "--local", "2", "--for", "0.05", "--rate", "max", "--json", str(file))
    assert done.returncode == 0, done.stderr
    assert "  host-1: " in done.stdout
    alone = qie("run", "chain", "--for", "0.05", "--rate", "max", "--json", "-")
    assert json.loads(file.read_text())["history_sha256"] == json.loads(alone.stdout)["history_sha256"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((), "expected either --hosts FILE, or --local N"),
        (("--local", "2", "--hosts", "x.toml"), "expected either --hosts FILE, or --local N"),
        (("--local", "0"), "--local 0: expected a number of processes from 1 to 64"),
        (("--hosts", "nowhere.toml"), "nowhere.toml: cannot be read: No such file or directory"),
    ],
)
def test_bad_options_are_refused_in_one_line(qie: Any, args: tuple[str, ...], told: str) -> None:
    done = qie("deploy", "chain", *args)
    assert done.returncode == 2
    assert done.stderr.startswith(f"qie: {told}")
    assert "Traceback" not in done.stderr


def test_what_is_left_over_without_a_lost_host_is_shown_and_is_no_failure() -> None:
    run = run_scenario("chain", for_s=0.01, seed=7, settings=_CHAIN)
    leaky = replace(run, outcome=Outcome(10_000_000, interrupted=False, leaks={"chain-1 circuits": 1}))
    assert not leaky.good
    assert "LEAK: 1 chain-1 circuits" in summary(leaky)
    without = replace(leaky, work=Work(1, LagHistogram(), lost={"east": "the connection broke"}))
    assert without.good
    assert as_json(without)["leaks"] == {"chain-1 circuits": 1}
    lines = list(summary(without))
    assert "  east: lost, its actors have crashed for good: the connection broke" in lines
    assert "LEFT OVER: 1 chain-1 circuits" in lines
    assert not any(line.startswith("LEAK") for line in lines)
