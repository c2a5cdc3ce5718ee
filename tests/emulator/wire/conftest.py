"""Certificates of a deployment, of another, and expired ones; a server and a client over loopback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings

from emulator.wire.certificates import create

NAMES = ("alice", "bob", "conductor")


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a deployment with certificates of alice, bob and the conductor, and of carol an old one."""
    folder = tmp_path_factory.mktemp("deployment")
    create(folder, ["carol"], now=datetime.now(UTC) - timedelta(days=400))
    create(folder, NAMES)
    return folder


@pytest.fixture(scope="session")
def other_deployment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of another deployment whose hosts have the same names."""
    folder = tmp_path_factory.mktemp("other")
    create(folder, NAMES)
    return folder


# `pytest tests/emulator/wire/test_fuzzing.py --hypothesis-profile=fuzz`: 100 000 inputs for each test.
settings.register_profile("fuzz", max_examples=100_000, deadline=None, derandomize=False, print_blob=True)
