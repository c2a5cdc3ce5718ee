"""Testing one's own protocols, actors and applications under faults, with pytest or without.

The fixtures `qie_run` and `qie_network` are in `scenarios.pytest_plugin`, which pytest finds by itself; here is what
they return, and what tests say of it.
"""

from .assertions import (
    assert_delivered,
    assert_faults_fired,
    assert_no_leaks,
    assert_no_violations,
    assert_same_history,
)
from .fixtures import MakeNetwork, RunScenario
from .networks import CheckedNetwork
from .runs import run_in_virtual_time
from .trials import Trial, Trials

__all__ = [
    "CheckedNetwork",
    "MakeNetwork",
    "RunScenario",
    "Trial",
    "Trials",
    "assert_delivered",
    "assert_faults_fired",
    "assert_no_leaks",
    "assert_no_violations",
    "assert_same_history",
    "run_in_virtual_time",
]
