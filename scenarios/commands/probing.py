"""Questions about the way between two end nodes, answered from inside the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyclopts import Parameter

from scenarios.load import InputError

from .answers import For, JsonFile, Set, code, say, seconds, tell

if TYPE_CHECKING:
    from scenarios.report import Run


@Parameter(name="*")
@dataclass(frozen=True)
class Probe:
    """How a question about the way between two end nodes is asked.

    Parameters
    ----------
    scenario
        Name or file; its own demands are left out.
    for_
        Seconds of emulated time at most.
    rate
        Emulated seconds per wall second, or max.
    seed
        Of all random numbers.
    set_
        KEY=VALUE, as for `qie run`.
    json_
        Write the result as JSON to this file (- for standard output).
    """

    scenario: str = "berlin-frankfurt"
    for_: For = 60.0
    rate: str = "max"
    seed: int = 0
    set_: Set = ()
    json_: JsonFile = None

    def options(self, pairs: int) -> dict[str, Any]:
        """Return what an application is given, if all of it is right."""
        from scenarios.spec import rate_of  # noqa: PLC0415  (keeps --help fast)

        speed, span_s = rate_of(self.rate, what="--rate"), seconds("--for", self.for_)
        if pairs < 1:
            raise InputError([f"--pairs {pairs}: expected at least 1"])
        return {
            "scenario": self.scenario,
            "pairs": pairs,
            "for_s": span_s,
            "rate": speed,
            "seed": self.seed,
            "settings": self.set_,
        }


_PROBE = Probe()


def qping(a: str, b: str, *, pairs: int = 60, probe: Probe = _PROBE) -> int:
    """Ask for pairs from one end node to another, and estimate rate and fidelity by measuring them at both ends.

    Parameters
    ----------
    a
        End node that asks.
    b
        End node that answers.
    pairs
        How many pairs to measure.
    """
    from scenarios.apps import qping as application  # noqa: PLC0415  (keeps --help fast)

    tally, done = application.qping(a, b, **probe.options(pairs))
    data = application.as_json(a, b, tally)
    tell(data, probe.json_, application.summary(data))
    return _code(done, some=bool(tally.total))


def qtrace(a: str, b: str, *, pairs: int = 20, probe: Probe = _PROBE) -> int:
    """Ask for pairs from one end node to another, and tell by which links and swaps they came.

    Parameters
    ----------
    a
        End node that asks.
    b
        End node at the other end.
    pairs
        How many pairs to follow.
    """
    from scenarios.apps import qtrace as application  # noqa: PLC0415  (keeps --help fast)

    found, done = application.qtrace(a, b, **probe.options(pairs))
    data = application.as_json(a, b, found)
    tell(data, probe.json_, application.summary(data))
    return _code(done, some=bool(found))


def _code(done: Run, *, some: bool) -> int:
    for violation in done.violations:
        say(str(violation))
    return code(good=done.good and some, interrupted=done.outcome.interrupted)
