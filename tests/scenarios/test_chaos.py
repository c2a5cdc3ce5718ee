"""The search finds what is broken on purpose, names the invariant, and shrinks it to a file that fails again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from emulator import Envelope, Half, Port
from emulator.actor import Cell
from emulator.faults import kinds
from emulator.transport import Connection
from nodes import Circuit, QuantumNode
from nodes.circuits import EAST, WEST, SwapRole
from nodes.ports import PortNode
from scenarios.chaos import Campaign, Failure, Trial, search
from scenarios.load import load_text
from scenarios.run import prepare_text, run_scenario

SETTINGS = (
    "links=3",
    "length_km=20",
    "hardware=ideal",
    "chain.0.success_probability=0.05",
    "chain.0.fidelity=1",
    "memories=2",
    "route.0.cutoff_s=0.01",
)
CHAIN = """
name = "line"

[[chain]]
name = "line"
links = 2
length_km = 20
success_probability = 0.05
fidelity = 1

[[route]]
a = "line-a"
b = "line-b"
"""
RUNS = 200  # in which each planted bug has to be found


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    return Campaign("chain", settings=SETTINGS, for_s=1.0)


def find(campaign: Campaign, *, shrink: bool = False) -> Failure:
    failure = search(campaign, RUNS, 1, lambda _: None, shrink=shrink)
    assert failure is not None
    return failure


def test_nothing_is_found_where_nothing_is_broken() -> None:
    patient = Campaign("chain", settings=SETTINGS, for_s=5.0)  # so that there is time to recover
    failure = search(patient, 8, 5, lambda _: None, shrink=False)
    assert failure is None, f"{failure.trial} {failure.violations}"


def no_frame(self: SwapRole, west: Half, east: Half, outcome: int | None, *rest: Any) -> None:
    SWAPPED(self, west, east, 0 if outcome is not None and self.index == 1 else outcome, *rest)


def no_cutoff(_: QuantumNode, circuit: Circuit, port: Port, half: Half) -> None:
    if isinstance(circuit.role, SwapRole):
        circuit.role.pair(EAST if port is circuit.ports[EAST] else WEST, half)


def no_free(self: PortNode, half: Half) -> None:
    if half.pair[1] % 50:
        FORGET(self, half)


def no_epoch(self: Cell, envelope: Envelope) -> None:
    """Take what an earlier life of the sender has sent, or has been sent to an earlier life, for new."""
    connection = self.connections.get(envelope.sender)
    life = envelope.incarnation if connection is None else max(envelope.incarnation, connection.neighbour_life)
    DELIVER(self, replace(envelope, incarnation=life, to_incarnation=self.incarnation))


DELIVER = Cell.deliver
SWAPPED, FORGET = SwapRole.swapped, PortNode.forget
BUGS = {
    "frame": ((SwapRole, "swapped", no_frame), {"bell"}),
    "cutoff": ((QuantumNode, "take_half", no_cutoff), {"cutoff"}),
    "free": ((PortNode, "forget", no_free), {"leak", "liveness"}),
    "retransmission": ((Connection, "send", Connection._send_surely), {"leak", "liveness", "both ends"}),
    "epoch": ((Cell, "deliver", no_epoch), {"crash", "leak", "liveness", "both ends", "once"}),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found_and_named(campaign: Campaign, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (place, attribute, bug), invariants = BUGS[name]
    monkeypatch.setattr(place, attribute, bug)
    failure = find(campaign)
    assert {violation.invariant for violation in failure.violations} & invariants
    text = failure.text
    assert text.startswith("# Found by a search for faults:\n")
    again = campaign.check(failure.trial)
    assert [str(v) for v in again] == [str(v) for v in failure.violations]
    _, _, world = prepare_text("found.toml", text, SETTINGS, seed=failure.trial.seed)
    assert len(world.network.faults.injections) == len(failure.trial.faults)


def test_what_does_not_come_again_is_missing_again_when_the_file_is_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calibrated = Campaign("chain", settings=SETTINGS, for_s=1.0, kinds=["calibration"])
    monkeypatch.setattr(QuantumNode, "refill_all", lambda _: None)  # nobody goes on after a calibration
    failure = find(calibrated)
    assert {violation.invariant for violation in failure.violations} == {"liveness"}
    file = tmp_path / "found.toml"
    file.write_text(failure.text)
    run = run_scenario(str(file), for_s=1.0, seed=failure.trial.seed, settings=SETTINGS)
    assert not run.good
    assert run.violations == [str(violation) for violation in failure.violations]


def test_what_is_found_is_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = Campaign("chain", settings=SETTINGS, for_s=0.2)
    monkeypatch.setattr(SwapRole, "swapped", no_frame)
    assert find(quick, shrink=True).trial == Trial(0, (), ())


def test_what_is_found_is_written_with_all_its_faults_and_demands(campaign: Campaign) -> None:
    fault = {"kind": "loss", "target": "chain-1>chain-2", "start_s": 0.1, "end_s": 0.2, "attributes": {"percent": 5.0}}
    route = {"a": "chain-b", "b": "chain-a", "pairs": 2, "pause_s": 0.01, "order": "asap", "lanes": 1}
    text = campaign.text(Trial(3, (fault,), (route,)))
    scenario, plan = load_text("x.toml", text, SETTINGS)
    assert [f.kind for f in scenario.fault] == ["loss"]
    assert len(plan.demands) == 2


def test_every_kind_of_fault_is_tried_somewhere() -> None:
    found = {name for scenario in ("chain", "metro") for name in Campaign(scenario, for_s=0.01).targets}
    assert found >= set(kinds()) - {"overload", "slow-host"}


def test_the_command_tells_what_it_did(qie: Callable[..., Any], tmp_path: Path) -> None:
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    done = qie("chaos", "chain", "--runs", "6", "--for", "0.5", "--jobs", "2", "--json", "-", *settings)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert (data["runs"], data["violations"], data["files"]) == (6, [], [])
    assert qie("chaos", "chain", "--runs", "0").returncode == 2
    assert qie("chaos", "nowhere", "--runs", "1").returncode == 2
    wrong = qie("chaos", "chain", "--kind", "plague")
    assert (wrong.returncode, "no such kind of fault" in wrong.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_the_command_that_is_told_fails_again(
    qie: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hopeless = CHAIN + "\n[[expect]]\npairs = 1_000_000\n"
    Path("hopeless.toml").write_text(hopeless)
    done = qie("chaos", "hopeless.toml", "--runs", "5", "--for", "0.1", "--jobs", "1", "--json", "found.json")
    assert done.returncode == 1, done.stderr
    data = json.loads(Path("found.json").read_text())
    assert data["runs"] == 1  # the first fails, and what shrinks it is counted apart
    assert data["runs_to_shrink"] > 0
    assert re.match(r"1 run \(and \d+ to shrink what failed\) in \S+ s: 1 failure\n", done.stdout)
    (file,) = data["files"]
    command = done.stdout.partition("to run it again: ")[2].split()
    assert command[:3] == ["qie", "run", file]
    again = qie(*command[1:])
    assert again.returncode == 1
    assert data["violations"]
    assert all(f"VIOLATION: {violation}" in again.stdout for violation in data["violations"])
