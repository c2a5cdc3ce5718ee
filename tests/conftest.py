"""What all tests need of their process."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Let Ctrl-C mean what it means: a shell that starts a job in the background has it ignored, and so has the job."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
