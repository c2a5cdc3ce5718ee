"""Recording a run of a scenario and replaying it: from the command line, after Ctrl-C, after SIGKILL, after changes."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from emulator import MS, Network, Recorder, Recording, recorder, recording
from nodes import Repeater
from scenarios.listing import listed
from scenarios.load import InputError, read
from scenarios.replay import as_json, replay, summary
from scenarios.report import as_json as run_json
from scenarios.run import execute, prepare_text, run_scenario
from scenarios.spec import RunSpec, header
from scenarios.version import version

SETTINGS = ("links=2", "override.t2_s=0.5")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the record of a short run in real time."""
    path = tmp_path_factory.mktemp("records") / "run.rec"
    run_scenario("chain", for_s=0.2, rate=1, seed=7, settings=SETTINGS, record=path)
    return path


def changed(path: Path, to: Path, change: Callable[[dict[str, Any]], object]) -> str:
    """Write a record with another header; return its name."""
    found = Recording(path)
    header = json.loads(json.dumps(found.header))
    change(header)
    blocks = b"".join(map(recording.block, found.blocks()))
    assert found.ending is not None
    to.write_bytes(recording.start(header) + blocks + recording.end(found.ending))
    return str(to)


# -- the same ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [math.inf, 2.0])
def test_a_run_is_replayed_at_any_rate_from_its_record_alone(recorded: Path, rate: float) -> None:
    done = replay(str(recorded), rate=rate)
    plain = run_scenario("chain", for_s=0.2, seed=7, settings=SETTINGS)
    data = as_json(done)
    assert data["identical"]
    assert data["whole"]
    assert (data["scenario"], data["seed"], data["emulated_s"]) == ("chain", 7, 0.2)
    assert data["history_sha256"] == data["recorded_sha256"] == plain.world.network.history.sha256()
    assert data["difference"] is None
    assert any("identical, bit by bit" in line for line in summary(done))
    ending = done.recording.ending
    assert ending is not None
    assert ending["error"] is None
    assert ending["summary"]["pairs"] == run_json(plain)["pairs"]


def test_a_file_of_ones_own_is_in_the_record_and_can_be_gone(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        'name = "own"\n[[node]]\nname = "a"\n[[node]]\nname = "b"\n[[link]]\na = "a"\nb = "b"\nlength_km = 10\n'
        '[[route]]\na = "a"\nb = "b"\n'
    )
    run_scenario(str(file), for_s=0.05, record=tmp_path / "run.rec")
    file.unlink()
    assert as_json(replay(str(tmp_path / "run.rec")))["identical"]


def test_inputs_come_again_and_so_does_the_error_that_they_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scenarios import run as module  # noqa: PLC0415

    execute = module.execute

    def with_crash(name: str, spec: RunSpec, world: Any, **options: Any) -> Any:
        world.network.timeline.at(50_000_000, lambda: world.network.input("crash", "chain-1"))
        return execute(name, spec, world, **options)

    monkeypatch.setattr(module, "execute", with_crash)
    with pytest.raises(Exception, match=r"chain-1 crashed at 0\.050000001 s"):
        run_scenario("chain", for_s=0.2, settings=SETTINGS, record=tmp_path / "run.rec")
    monkeypatch.undo()
    data = as_json(done := replay(str(tmp_path / "run.rec")))
    assert data["identical"]
    assert data["whole"]
    assert data["error"] == "chain-1 crashed at 0.050000001 s of emulated time"
    assert data["emulated_s"] == 0.050000001
    assert done.recording.ending is not None
    assert done.recording.ending["error"] == data["error"]


COMMAND = [sys.executable, "-c", "from scenarios.cli import main; main()"]


def started(path: Path) -> subprocess.Popen[str]:
    """Start a run in real time, and wait until it has written something of its history."""
    script = f"import emulator.recorder; emulator.recorder._EVERY_S = 0.02; {COMMAND[2]}"
    command = [sys.executable, "-c", script, "run", "chain", "--for", "1000", "--seed", "7", "--record", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline_s = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size > 6_000) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return process


def test_a_run_that_was_killed_is_readable_and_replayed_as_far_as_it_goes(tmp_path: Path) -> None:
    process = started(tmp_path / "run.rec")
    process.kill()
    process.communicate()
    data = as_json(done := replay(str(tmp_path / "run.rec")))
    assert (data["identical"], data["whole"], data["recorded_sha256"]) == (True, False, None)
    assert 0 < data["emulated_s"] < 60
    assert any("no ending" in line for line in summary(done))


def test_a_run_that_was_interrupted_is_replayed_to_the_same_hash(tmp_path: Path) -> None:
    process = started(tmp_path / "run.rec")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    data = as_json(replay(str(tmp_path / "run.rec")))
    assert (data["identical"], data["whole"], data["interrupted"]) == (True, True, False)
    assert data["recorded_sha256"] == data["history_sha256"]
    assert f"history {data['history_sha256'][:16]}" in out
    assert [line.split()[2:] for line in listed(str(tmp_path / "run.rec"), kind="input")] == [
        ["(outside)", "input", "'interrupt'"]
    ]


# -- different -----------------------------------------------------------------------------------------------------


def test_another_seed_differs_and_where_is_told(recorded: Path, tmp_path: Path) -> None:
    path = changed(recorded, tmp_path / "seed.rec", lambda header: header["run"].update(seed=8))
    data = as_json(done := replay(path))
    assert not data["identical"]
    difference = data["difference"]
    assert difference["time_ns"] == min(difference[who]["time_ns"] for who in ("recorded", "now"))
    assert difference["recorded"] != difference["now"]
    assert len(difference["before"]) == 3
    assert data["emulated_s"] == difference["time_ns"] / 1e9 < 0.2
    assert data["history_sha256"] is None
    lines = list(summary(done))
    assert f"DIFFERENT from {difference['time_ns'] / 1e9:.9f} s on" in lines[1]
    assert [line.split()[0] for line in lines[2:7]] == ["both", "both", "both", "recorded", "now"]


def test_a_changed_model_differs_at_its_first_effect(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Repeater.record

    def differently(self: Repeater, kind: str, *fields: Any) -> None:
        changed = kind == "swap" and self.now_ns > 100_000_000
        written(self, kind, *fields, *(["new"] if changed else []))

    monkeypatch.setattr(Repeater, "record", differently)
    difference = as_json(replay(str(recorded)))["difference"]
    assert difference["time_ns"] > 100_000_000
    assert difference["recorded"]["kind"] == difference["now"]["kind"] == "swap"
    assert difference["now"]["fields"] == (*difference["recorded"]["fields"], "new")


def test_to_interrupt_a_replay_is_no_difference(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Network.run

    def interrupted(self: Network, **options: Any) -> Any:
        self.timeline.at(100_000_000, signal.raise_signal, signal.SIGINT)
        return run(self, **options)

    monkeypatch.setattr(Network, "run", interrupted)
    data = as_json(done := replay(str(recorded)))
    assert (data["identical"], data["interrupted"], data["difference"]) == (True, True, None)
    assert 0.1 < data["emulated_s"] < 0.2
    assert list(summary(done))[1] == "identical as far as it came: it was interrupted"


# -- bad input -----------------------------------------------------------------------------------------------------


def refused(path: str, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        replay(path, **options)
    (line,) = caught.value.lines
    assert line.startswith(f"{path}: ")
    return line


def test_another_version_is_refused_unless_it_is_wanted(recorded: Path, tmp_path: Path) -> None:
    path = changed(recorded, tmp_path / "old.rec", lambda header: header.update(software="0.0.9"))
    line = refused(path)
    assert f"recorded by version 0.0.9, and this is version {version()}" in line
    assert as_json(replay(path, any_version=True))["identical"]

    def later(header: dict[str, Any]) -> None:
        header["software"] = "9.9"
        header["run"]["weather"] = "fine"

    line = refused(changed(recorded, tmp_path / "new.rec", later), any_version=True)
    assert "unknown field `weather`" in line
    assert f"recorded by version 9.9, and this is version {version()}" in line


def test_a_difference_names_what_else_has_changed(recorded: Path, tmp_path: Path) -> None:
    def change(header: dict[str, Any]) -> None:
        header["run"]["seed"] = 8
        header["made_with"]["numpy"] = "1.0"

    lines = list(summary(replay(changed(recorded, tmp_path / "numpy.rec", change))))
    assert any(line.startswith("maybe because numpy was 1.0, is ") for line in lines)


def test_what_is_damaged_or_no_record_of_a_scenario_is_refused_before_anything_runs(
    recorded: Path, tmp_path: Path
) -> None:
    data = bytearray(recorded.read_bytes())
    data[-30] ^= 1
    path = tmp_path / "x.rec"
    path.write_bytes(data)
    assert "it is damaged between bytes" in refused(str(path))
    path.write_bytes(recording.start({"about": "something else"}))
    assert "its header is not that of a recorded scenario" in refused(str(path))
    path.write_bytes(recorded.read_bytes()[:40])
    assert "cut off within its header" in refused(str(path))
    assert "cannot be read: No such file" in refused(str(tmp_path / "nothing.rec"))
    assert "cannot be read: Is a directory" in refused(str(tmp_path))
    bomb = msgspec.msgpack.encode((5, "(outside)", "input", ("bomb",)))
    path.write_bytes(recording.start(Recording(recorded).header) + recording.block(bomb))
    assert "an input in it cannot be replayed: no input is of kind 'bomb'" in refused(str(path))


def test_a_record_that_cannot_be_made_is_bad_input(recorded: Path) -> None:
    with pytest.raises(InputError, match="there is such a file already, and it is not overwritten"):
        run_scenario("chain", for_s=0.01, record=recorded)
    with pytest.raises(InputError, match=r"--record /nowhere/x\.rec: cannot be written: No such file or directory"):
        run_scenario("chain", for_s=0.01, record="/nowhere/x.rec")


def test_a_full_disk_shows_in_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def finish(self: Recorder, _: Any) -> None:
        self.error = OSError(28, "No space left on device")
        self._file.close()

    monkeypatch.setattr(recorder.Recorder, "finish", finish)
    done = run_scenario("chain", for_s=0.01, record=tmp_path / "run.rec")
    assert not done.good
    (violation,) = done.broken
    assert violation.invariant == "record"
    assert violation.text == "the record of this run is not whole: No space left on device"


# -- the commands --------------------------------------------------------------------------------------------------


def test_the_commands_record_replay_and_list(qie: Callable[..., Any], tmp_path: Path) -> None:
    path = str(tmp_path / "run.rec")
    done = qie("run", "chain", "--rate", "max", "--for", "0.1", "--seed", "3", "--record", path)
    assert done.returncode == 0, done.stderr
    again = qie("run", "chain", "--rate", "max", "--for", "0.1", "--record", path)
    assert again.returncode == 2
    assert f"--record {path}: there is such a file already" in again.stderr
    written = qie("replay", path, "--rate", "5", "--json", "-")
    assert written.returncode == 0, written.stderr
    assert json.loads(written.stdout)["identical"] is True
    other = changed(Path(path), tmp_path / "other.rec", lambda header: header["run"].update(seed=4))
    different = qie("replay", other)
    assert (different.returncode, "DIFFERENT from 0.0" in different.stdout) == (1, True)
    listed_now = qie("records", path, "--kind", "pair", "--to", "0.05", "--json")
    found = [json.loads(line) for line in listed_now.stdout.splitlines()]
    assert found
    assert {record["kind"] for record in found} == {"pair"}
    assert all(record["time_ns"] <= 50_000_000 for record in found)
    assert qie("records", __file__).returncode == 2


def test_records_are_listed_by_actor_kind_and_time(recorded: Path) -> None:
    everything = list(listed(str(recorded)))
    assert everything[0] == "0.000000000 s  chain-1  begins  1"
    assert len(everything) == sum(1 for _ in Recording(recorded).records())
    some = list(listed(str(recorded), actor="chain-?", kind="m*", from_s=0.1, to_s=0.15))
    assert some
    assert some == [
        line
        for line in everything
        if 0.1 <= float(line.split()[0]) <= 0.15 and line.split()[3] == "message" and line.split()[2] in NODES
    ]
    assert list(listed(str(recorded), actor="nobody")) == []


NODES = ("chain-1", "chain-a", "chain-b")


# -- faults from outside -------------------------------------------------------------------------------------------


def test_faults_that_a_person_put_into_a_running_network_come_again(tmp_path: Path) -> None:
    label, text = read("chain")
    spec = RunSpec(label=label, text=text, settings=SETTINGS, seed=7, for_ns=400 * MS, rate=math.inf)
    _, _, world = prepare_text(spec.label, spec.text, spec.settings, seed=spec.seed)
    network, acts = world.network, iter((("fault", "cut", "chain-a-chain-1", {}, 1.0, None, None, "digger"), ("heal",)))

    def act() -> None:
        if (fields := next(acts, None)) is not None:
            network.input(*fields)

    network.watch(100 * MS, act)
    path = tmp_path / "broken.rec"
    with Recorder(path, header(spec), network) as running:
        done = execute("chain", spec, world, rate=spec.rate, show="nothing")
        running.finish({"error": None, "summary": run_json(done)})
    (digger,) = network.faults.injections
    assert digger.fired > 0
    for rate in (math.inf, 2.0):
        again = replay(str(path), rate=rate)
        assert as_json(again)["identical"]
        assert again.history_sha256 == network.history.sha256()
    assert [entry.fields[0] for entry in Recording(path).records() if entry.kind == "input"] == ["fault", "heal"]
