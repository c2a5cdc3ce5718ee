"""The pytest plugin: fixtures that run networks in virtual time, and fail a test whose network leaks or breaks a law.

pytest loads it in every run, whether a test wants it or not. So it imports the emulator only when a test asks for one
of its fixtures, and does nothing to tests that do not. What the fixtures are is in `scenarios.testing`.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import MakeNetwork, RunScenario, Trials

_DRAWN = 1 << 32  # seeds of `--qie-seed random` are below


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("quantum internet").addoption(
        "--qie-seed",
        type=_seed,
        default=0,
        metavar="N",
        help="seed of the networks that tests run (0), or `random`; a seed that a test gives itself is kept",
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which seed there is, if it is not that of every day."""
    seed: int = config.getoption("--qie-seed")
    return f"quantum internet: --qie-seed {seed}" if seed else None


@pytest.fixture
def qie_seed(pytestconfig: pytest.Config) -> int:
    """Return the seed of this run of tests: that of `--qie-seed`."""
    seed: int = pytestconfig.getoption("--qie-seed")
    return seed


@pytest.fixture
def qie_run(request: pytest.FixtureRequest, qie_seed: int) -> RunScenario:
    """Run scenarios with programs and faults in virtual time; the test fails if they leak or break something."""
    from .testing import RunScenario  # noqa: PLC0415  (pytest starts without the emulator)

    return RunScenario(_trials(request), qie_seed)


@pytest.fixture
def qie_network(request: pytest.FixtureRequest, qie_seed: int) -> MakeNetwork:
    """Make networks for actors of one's own, in virtual time; the test fails if they leak or break something."""
    from .testing import MakeNetwork  # noqa: PLC0415  (pytest starts without the emulator)

    return MakeNetwork(_trials(request), qie_seed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Look at the networks of a test when it has ended well; say what there was of them if it failed."""
    __tracebackhide__ = True
    try:
        yield
        if (trials := item.stash.get(_TRIALS, None)) is not None:
            trials.check()
    finally:
        if (trials := item.stash.get(_TRIALS, None)) is not None:
            item.add_report_section("call", "quantum internet", "\n".join(trials.lines()))
            del item.stash[_TRIALS]


def _trials(request: pytest.FixtureRequest) -> Trials:
    """Return the networks of a test, one list for all of its fixtures."""
    from .testing import Trials  # noqa: PLC0415  (pytest starts without the emulator)

    stash = request.node.stash
    trials: Trials = stash.setdefault(_TRIALS, Trials())
    return trials


def _seed(text: str) -> int:
    if text == "random":
        return random.SystemRandom().randrange(1, _DRAWN)
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number or `random`, not {text!r}") from None


_TRIALS: pytest.StashKey[Trials] = pytest.StashKey()
