import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).with_name("ordering_cases.py")

GUARD = """
import sys, trio
from emulator.time import order_trio
run = sys.modules["trio._core._run"]
{change}
try:
    order_trio()
except RuntimeError as error:
    assert type(getattr(run, "_r", None)).__name__ in ("Random", "NoneType"), "half of the cures are in place"
    sys.exit(str(error))
"""


def python(*args: str, hash_seed: str = "random") -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, env=env, check=False, timeout=60)


def run_cases(*without: str, hash_seed: str = "random") -> dict[str, Any]:
    done = python(str(CASES), *without, hash_seed=hash_seed)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_every_case_is_in_order_and_the_same_in_fresh_processes() -> None:
    reports = [run_cases(hash_seed=seed) for seed in ("1", "2")]
    assert [name for report in reports for name, case in report.items() if not case["right"]] == []
    digests = [hashlib.sha256(json.dumps(report).encode()).hexdigest() for report in reports]
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("cure", "broken"),
    [
        ("batches", {"batches"}),
        ("deadlines", {"deadlines"}),
        ("deadlines one by one", {"deadlines one by one"}),
        ("event", {"event", "hypothesis"}),
        ("cancelled", {"cancelled tasks", "cancelled scopes"}),
        ("closed sender", {"closed sender"}),
        ("closed receiver", {"closed receiver"}),
        ("hypothesis", {"hypothesis"}),
    ],
)
def test_each_cure_is_needed(cure: str, broken: set[str]) -> None:
    wrong = {name for name, case in run_cases(cure).items() if not case["right"]}
    assert wrong >= broken


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("del run._r", "_r"),
        ("del run._ALLOW_DETERMINISTIC_SCHEDULING", "_ALLOW_DETERMINISTIC_SCHEDULING"),
        ("del run.Deadlines.expire", "Deadlines.expire"),
        ("del trio.CancelScope._cancel", "CancelScope._cancel"),
        ("trio.Event.__init__ = lambda self: setattr(self, '_tasks', [])", "Event._tasks (found [] instead"),
        ("trio.Event.__init__ = lambda self: None", "Event._tasks (found None instead"),
        ("del sys.modules['trio._core._run']", "trio._core._run"),
    ],
)
def test_a_trio_that_differs_is_refused(change: str, part: str) -> None:
    done = python("-c", GUARD.format(change=change))
    assert done.returncode == 1
    assert part in done.stderr
    assert "trio 0.35" in done.stderr
