"""The command line: exit codes, JSON, clean ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KEYS = {
    "scenario", "seed", "rate", "emulated_s", "wall_s", "history_sha256", "events", "messages", "pairs", "lag_ms",
    "leaks", "violations",
}  # fmt: skip
PAIR_KEYS = {"a", "b", "delivered", "rate_hz", "fidelity_mean", "fidelity_sem", "latency_ms_p50"}


def test_a_run_writes_the_json_that_scripts_rely_on(qie: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    done = qie("run", "chain", "--rate", "max", "--for", "1", "--seed", "3", "--json", str(file))
    assert done.returncode == 0, done.stderr
    data = json.loads(file.read_text("utf-8"))
    assert set(data) >= KEYS
    assert set(data["pairs"][0]) >= PAIR_KEYS
    assert set(data["lag_ms"]) == {"p50", "p99", "max"}
    assert (data["scenario"], data["seed"], data["rate"], data["emulated_s"]) == ("chain", 3, "max", 1.0)
    assert data["pairs"][0]["delivered"] > 50
    assert data["leaks"] == {}
    assert data["violations"] == []
    assert "pairs delivered" in done.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("run", "chain", "--rate", "0"), "--rate 0: expected a number greater than 0"),
        (("run", "chain", "--rate", "-1"), "--rate -1: expected a number greater than 0"),
        (("run", "chain", "--rate", "nan"), "--rate nan: expected"),
        (("run", "chain", "--for", "0"), "--for 0: expected a number of seconds greater than 0"),
        (("run", "chain", "--seed", "x"), "--seed"),
        (("run", "nowhere"), "nowhere: no such file, and no built-in scenario"),
        (("run", "chain", "--set", "links=0"), "links: must be at least 1, got 0"),
        (("run", "chain", "--set", "hardware=ideal", "--set", "loss_db_per_km=1e5"), "can ever succeed"),
        (("run",), "requires an argument"),
        (("run", "chain", "--colour"), "Unknown option"),
        (("run", "chain", "--rate", "max", "--for", "0.01", "--json", "/nowhere/x.json"), "cannot be written"),
        (("bench", "nothing"), "no benchmark 'nothing'; there are kernel, swap, chain, star"),
        (("check", "nowhere.toml"), "no such file"),
    ],
)
def test_bad_input_is_one_clear_message_and_exit_code_2(
    qie: Callable[..., Any], args: tuple[str, ...], message: str
) -> None:
    done = qie(*args)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_lists_and_checks_and_schema_are_for_people_and_for_scripts(qie: Callable[..., Any]) -> None:
    assert "berlin-frankfurt" in qie("scenarios").stdout
    listed = json.loads(qie("scenarios", "--json").stdout)["scenarios"]
    assert {"berlin-frankfurt", "chain", "metro"} <= {entry["name"] for entry in listed}
    assert "chain is right: 5 nodes, 4 links, 1 demand" in qie("check", "chain").stdout
    assert json.loads(qie("check", "chain", "--json").stdout)["errors"] == []
    assert json.loads(qie("check", "nowhere", "--json").stdout)["errors"]
    assert "length_km" in json.loads(qie("schema").stdout)["$defs"]["Link"]["properties"]


def test_help_is_fast_because_it_imports_little() -> None:
    script = "import sys; from scenarios.cli import main\ntry: main()\nexcept SystemExit: pass\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script, "--help"], capture_output=True, text=True, check=True)
    assert "Usage: qie COMMAND" in done.stdout
    assert "qutip" not in done.stdout.split()


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    script = f"{sys.executable} -c 'from scenarios.cli import main; main()' schema | head -n 1"
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "{"
    assert done.stderr == ""


def test_ctrl_c_ends_with_a_complete_summary_and_code_130(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    command = [sys.executable, "-c", "from scenarios.cli import main; main()", "run", "chain"]
    process = subprocess.Popen(
        [*command, "--for", "1000", "--json", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    assert process.stderr.readline()  # it runs: the first line of progress is out
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "(interrupted)" in out
    assert "Traceback" not in err
    data = json.loads(file.read_text("utf-8"))
    assert data["interrupted"] is True
    assert data["leaks"] == {}
    assert data["violations"] == []
    assert data["emulated_s"] > 0


def test_ctrl_c_before_anything_ran_is_clean_too() -> None:
    command = [sys.executable, "-X", "importtime", "-c", "from scenarios.cli import main; main()", "run", "chain"]
    process = subprocess.Popen([*command, "--for", "1000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "scenarios.load" not in process.stderr.readline():  # `main` has not begun, or just so
        pass
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            continue
    process.communicate(timeout=30)
    assert process.returncode in {130, -signal.SIGINT}


def test_the_live_table_is_drawn_by_another_process(tmp_path: Path) -> None:
    pair = {"a": "x", "b": "y", "delivered": 3, "rate_hz": 1.0, "latency_ms_p50": 2.0, "age_ms_mean": 1.0}
    pair |= {"fidelity_mean": 0.9, "fidelity_sem": 0.01, "fidelity_samples": 9}
    snapshot = {"emulated_s": 1.0, "for_s": 2.0, "factor": 1.0, "lag_ms_p99": 0.1, "pairs": [pair] * 20}
    snapshot |= {"delivered": 90, "routes": 30}
    script = f"from scenarios.display import Table; t = Table(); t.show({snapshot!r}); t.close()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "x - y" in done.stdout
    assert "10 more routes" in done.stdout
