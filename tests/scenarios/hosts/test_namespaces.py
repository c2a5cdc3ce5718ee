"""Two hosts as far apart in the real world as hosts are: 3 ms of round trip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from emulator.wire.certificates import create
from scenarios.run import run_scenario

_FOR_S = "0.05"
_ADDRESSES = ("198.51.100.1", "198.51.100.2")


def qie(namespace: str, *args: str) -> subprocess.Popen[str]:
    """Start the command in a network namespace."""
    command = ["ip", "netns", "exec", namespace, sys.executable, "-c", "from scenarios.cli import main; main()", *args]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_hosts_that_are_3_ms_apart_write_the_same_history_and_are_told_how_fast_they_can_be(
    tmp_path: Path, apart: Any
) -> None:
    create(tmp_path / "certs", ["west", "east", "conductor"])
    lines = ["certificates = 'certs'"]
    for name, address in zip(("west", "east"), _ADDRESSES, strict=True):
        lines += ["[[host]]", f"name = '{name}'", f"address = '{address}:7411'"]
    (tmp_path / "hosts.toml").write_text("\n".join(lines))
    certs = str(tmp_path / "certs")
    with apart(0.0015) as (here, there):
        hosts = [
            qie(namespace, "host", name, "--certificates", certs, "--address", address, "--runs", "2")
            for namespace, name, address in zip((here, there), ("west", "east"), _ADDRESSES, strict=True)
        ]
        try:
            for host in hosts:
                assert host.stderr is not None
                assert "listens at" in host.stderr.readline()
            for rate in ("max", "1"):
                command = ("deploy", "berlin-frankfurt", "--hosts", str(tmp_path / "hosts.toml"), "--seed", "7")
                deploy = qie(here, *command, "--for", _FOR_S, "--rate", rate, "--json", "-")
                out, told = deploy.communicate(timeout=60)
                assert deploy.returncode == 0, told
                data = json.loads(out)
                alone = run_scenario("berlin-frankfurt", for_s=float(_FOR_S), seed=7)
                assert data["history_sha256"] == alone.world.network.history.sha256()
                trips_s = [s for host in data["hosts"] for s in host["round_trips_s"].values()]
                assert 0.003 <= min(trips_s) < 0.03
                assert ("emulated time can go at" in told) == (rate == "1")
        finally:
            for host in hosts:
                host.kill()
                host.communicate()
