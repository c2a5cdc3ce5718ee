"""Running the command line as a person does: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def qie() -> Run:
    """Return a function that runs `qie` with arguments and returns the finished process."""

    def run(*args: str, env: dict[str, str] | None = None, said: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from scenarios.cli import main; main()", *args]
        environment = os.environ | (env or {})
        return subprocess.run(
            command, input=said, capture_output=True, text=True, timeout=120, check=False, env=environment
        )

    return run
