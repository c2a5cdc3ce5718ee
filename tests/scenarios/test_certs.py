"""`qie certs` as a person uses it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_certificates_are_made_and_listed_for_people_and_for_scripts(qie: Callable[..., Any], tmp_path: Path) -> None:
    folder = str(tmp_path / "keys")
    done = qie("certs", folder, "alice", "bob")
    assert done.returncode == 0, done.stderr
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == ["alice: made", "bob: made"]
    data = json.loads(qie("certs", folder, "bob", "carol", "--days", "9", "--json").stdout)
    assert data["folder"] == folder
    assert [(entry["name"], entry["new"]) for entry in data["hosts"]] == [("bob", False), ("carol", True)]
    assert all(Path(entry[file]).exists() for entry in data["hosts"] for file in ("certificate", "key"))


def test_bad_input_is_one_line_and_exit_code_2(qie: Callable[..., Any], tmp_path: Path) -> None:
    for arguments, message in (
        (("keys", "10.0.0.1"), "a host has a name of its own here, not an address"),
        (("keys", "alice", "alice"), "two hosts have this name"),
        (("keys", "alice", "--days", "0"), "days: expected 1 to 36500"),
        (("keys",), "requires"),
        (("/dev/null/keys", "alice"), "Not a directory"),
    ):
        done = qie("certs", str(tmp_path / arguments[0]), *arguments[1:])
        assert done.returncode == 2, done.stdout
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_it_says_what_to_install(qie: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['cryptography'] = None\n")
    done = qie("certs", str(tmp_path / "keys"), "alice", env={"PYTHONPATH": with_path(tmp_path)})
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "qie: qie certs needs the package cryptography: install quantum-internet-emulator[hosts]"
    )


def with_path(path: Path) -> str:

    return os.pathsep.join([str(path), *filter(None, [os.environ.get("PYTHONPATH")])])
