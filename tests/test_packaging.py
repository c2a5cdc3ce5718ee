"""What a stranger gets: the built wheel in a clean environment, typed, complete, and not in the way of itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import emulator
import links
import nodes
import scenarios

ROOT = Path(__file__).parent.parent
PACKAGES = (emulator, links, nodes, scenarios)


def test_the_four_packages_come_from_one_place() -> None:
    # Their names are plain ones; another distribution's `nodes` would shadow ours silently.
    assert len({Path(str(package.__file__)).parent.parent for package in PACKAGES}) == 1


def test_each_package_is_marked_as_typed() -> None:
    assert all((Path(str(package.__file__)).parent / "py.typed").exists() for package in PACKAGES)


def test_the_built_wheel_works_in_a_clean_environment(tmp_path: Path) -> None:
    def run(*command: str, **env: str) -> str:
        environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}} | env
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    dist = tmp_path / "dist"
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(dist)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = dist.glob("*.whl")
    uv = (sys.executable, "-m", "uv", "--quiet")
    run(*uv, "export", "--frozen", "--no-emit-project", "--no-hashes", "--project", str(ROOT), "-o", "pins.txt")
    run(*uv, "venv", "clean", "--python", sys.executable)
    python = str(tmp_path / "clean" / "bin" / "python")
    run(*uv, "pip", "install", "--python", python, "--constraints", "pins.txt", str(wheel))
    where = run(python, "-c", "import nodes; print(nodes.__file__)", PYTHONSAFEPATH="1")
    assert str(tmp_path) in where
    qie = str(tmp_path / "clean" / "bin" / "qie")
    out = run(qie, "run", "berlin-frankfurt", "--rate", "max", "--for", "0.5", "--json", "-", PYTHONSAFEPATH="1")
    assert json.loads(out)["leaks"] == {}
