"""Running a scenario, running a record again, and looking into one."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from .answers import AsJson, For, JsonFile, Set, code, fail, say, seconds, tell

if TYPE_CHECKING:
    from scenarios.report import Run
    from scenarios.spec import RunSpec


@Parameter(name="*")
@dataclass(frozen=True)
class Running:
    """How a scenario is run.

    Parameters
    ----------
    rate
        Emulated seconds per wall second: 1 is real time, 0.1 ten times slower, max as fast as possible.
    for_
        Seconds of emulated time.
    seed
        Of all random numbers: the same seed gives the same history.
    set_
        KEY=VALUE: a parameter of the scenario (links=8), or a key by its path (override.t2_s=0.1). Can be repeated.
    fault
        KIND:TARGET@START..END,ATTRIBUTE=VALUE,...: break something, see `qie faults`. Can be repeated.
    record
        Record the run to this new file, for `qie replay FILE` and `qie records FILE`.
    live
        Take commands from standard input, one a line: pause, resume, rate 0.1, fault KIND:TARGET..., heal NAME, stop.
    json_
        Write the result as JSON to this file (- for standard output).
    """

    rate: str = "1"
    for_: For = 20.0
    seed: int = 0
    set_: Set = ()
    fault: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    record: str | None = None
    live: Annotated[bool, Parameter(negative="")] = False
    json_: JsonFile = None

    def spec(self, scenario: str) -> RunSpec:
        """Return what is asked for. Raises InputError."""
        from scenarios.load import read  # noqa: PLC0415  (keeps --help fast)
        from scenarios.spec import RunSpec, rate_of  # noqa: PLC0415

        rate, span_s = rate_of(self.rate, what="--rate"), seconds("--for", self.for_)
        label, text = read(scenario)
        return RunSpec(
            label=label,
            text=text,
            settings=self.set_,
            seed=self.seed,
            for_ns=round(span_s * 1e9),
            rate=rate,
            faults=self.fault,
        )

    def ways(self) -> dict[str, Any]:
        """Return how it is recorded, shown and steered: a table would be in the way of whoever types."""
        from scenarios.live import listen  # noqa: PLC0415  (keeps --help fast)

        hear = partial(listen, sys.stdin.fileno(), tell=say) if self.live else None
        return {"record": self.record, "show": "lines" if self.live else "auto", "tell": say, "live": hear}

    def finish(self, done: Run) -> int:
        """Say how a run was; return the exit code."""
        from scenarios.report import as_json, summary  # noqa: PLC0415  (keeps --help fast)

        tell(as_json(done), self.json_, summary(done))
        return code(good=done.good, interrupted=done.outcome.interrupted)


AS_USUAL = Running()


def run(scenario: str, *, running: Running = AS_USUAL) -> int:
    """Run a scenario: a built-in name (see `qie scenarios`) or a TOML file.

    Parameters
    ----------
    scenario
        Name or file.
    """
    spec = running.spec(scenario)
    from emulator import ActorCrashError  # noqa: PLC0415  (keeps --help fast)
    from scenarios.run import run_spec  # noqa: PLC0415

    try:
        done = run_spec(spec, **running.ways())
    except ActorCrashError as error:
        cause = error.__cause__
        fail([f"{error}: {type(cause).__name__}: {cause}"], 1)
    return running.finish(done)


def replay(
    file: str,
    *,
    rate: str = "max",
    any_version: Annotated[bool, Parameter(negative="")] = False,
    json_: JsonFile = None,
) -> int:
    """Run a recorded run again, from its record alone, and compare bit by bit; exit code 1 at a difference.

    Parameters
    ----------
    file
        What `qie run --record` wrote.
    rate
        Emulated seconds per wall second, or max; it need not be that of the record.
    any_version
        Take a record of another version of the software too: does that version have the same history?
    json_
        Write the result as JSON to this file (- for standard output).
    """
    from scenarios.replay import as_json, summary  # noqa: PLC0415  (keeps --help fast)
    from scenarios.replay import replay as run_again  # noqa: PLC0415
    from scenarios.spec import rate_of  # noqa: PLC0415

    done = run_again(file, rate=rate_of(rate, what="--rate"), show="auto", any_version=any_version)
    data = as_json(done)
    tell(data, json_, summary(done))
    return code(good=data["identical"], interrupted=done.interrupted)


def records(
    file: str,
    *,
    actor: str = "*",
    kind: str = "*",
    from_: Annotated[float, Parameter(name="--from")] = 0.0,
    to: float = math.inf,
    json_: AsJson = False,
) -> int:
    """Print the records of a recorded run, one a line.

    Parameters
    ----------
    file
        What `qie run --record` wrote.
    actor
        Only those of this actor, or of all whose name fits a pattern, such as berlin-*.
    kind
        Only those of this kind, or pattern.
    from_
        Only those from this second of emulated time on.
    to
        Only those up to this second of emulated time.
    json_
        Print each as a JSON object.
    """
    from scenarios.listing import listed  # noqa: PLC0415  (keeps --help fast)

    for text in listed(file, actor=actor, kind=kind, from_s=from_, to_s=to, as_json=json_):
        print(text)
    return 0
