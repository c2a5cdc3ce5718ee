"""What all tests need of their process."""

from __future__ import annotations

import signal

from hypothesis import settings

# A busy machine fails no test: what an example may take by the wall clock has no limit.
settings.register_profile("unhurried", settings(), deadline=None)
settings.load_profile("unhurried")


def pytest_configure() -> None:
    """Let Ctrl-C mean what it means: a shell that starts a job in the background has it ignored, and so has the job."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
