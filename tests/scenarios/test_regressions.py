"""What the search for faults has found once stays mended: each of its shrunk schedules, one file each.

A file names the scenario and its settings, the seed, and how long to run; its tables are added to the scenario's. For
each there is what undoes the mend, to see that the file would fail without it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from emulator import ActorCrashError, Envelope, Half, Port, Timer
from emulator.channel import Channel
from links import HeraldingStation
from nodes import Circuit, QuantumNode
from nodes.circuits import EAST, WEST, EndRole, SwapRole, Track
from nodes.control.controller import Controller
from nodes.control.messages import Ended
from nodes.end import Demand, EndNode
from nodes.signalling import SignallingNode
from scenarios.load import read
from scenarios.testing import run_in_virtual_time

HERE: Final = Path(__file__).parent / "regressions"
FILES: Final = {path.stem: path for path in sorted(HERE.glob("*.toml"))}


def broken(name: str) -> list[str]:
    """Run a schedule, and return what of it is broken or left over."""
    found: dict[str, Any] = tomllib.loads(FILES[name].read_text("utf-8"))
    scenario: dict[str, Any] = tomllib.loads(read(found["scenario"])[1])
    for table in ("route", "fault", "expect"):
        scenario[table] = [*scenario.get(table, ()), *found.get(table, ())]
    options: dict[str, Any] = {"settings": found.get("settings", ()), "seed": found["seed"], "for_s": found["for_s"]}
    try:
        run = run_in_virtual_time(scenario, keep_history=False, **options)
    except ActorCrashError as error:
        return [f"crash: {error}"]
    return [*run.violations, *(f"leak: {count} {what}" for what, count in run.outcome.leaks.items())]


@pytest.mark.parametrize("name", FILES)
def test_what_was_found_once_is_mended(name: str) -> None:
    assert broken(name) == []


def not_too_old(self: SwapRole, side: int, half: Half, **_: bool) -> None:
    TAKE(self, side, half)


def not_discarded(self: QuantumNode, circuit: Circuit, port: Port, half: Half) -> None:
    role, cutoff_ns = circuit.role, circuit.terms.cutoff_ns
    if isinstance(role, EndRole):
        role.pair(half)
    elif role is not None:
        side = EAST if port is circuit.ports[EAST] else WEST
        role.pair(side, half, too_old=half.emitted_ns < self.now_ns - cutoff_ns)


def ended_where_it_is_known(self: Controller, message: Ended, envelope: Envelope) -> None:
    if message.demand in self.ledger.promises:
        ENDED(self, message, envelope)


def released_at_once(self: Channel, envelope: Envelope) -> None:
    self._schedule(envelope, self._timeline.now_ns)


def rung_anyway(self: Timer) -> None:
    if self._alarm is not None:
        self._alarm.cancel()


async def serve_once(self: EndNode, demand: Demand) -> None:
    await self._serve_once(demand)


def nothing(*_: Any) -> list[int]:
    return []


TAKE, ENDED = SwapRole.pair, Controller.on_ended
# By schedule: what undoes the mend, and what breaks without it.
UNDONE: Final[dict[str, tuple[type, str, Any, str]]] = {
    "cancelled-while-late": (Timer, "cancel", rung_anyway, "crash: eulau~erfurt crashed at 2.342"),
    "clog-outran-light": (Channel, "release", released_at_once, "light: news of berlin~schaepe was at schaepe"),
    "cutoff-after-a-pause": (QuantumNode, "take_half", not_discarded, "cutoff: chain-1 swapped"),
    "demand-given-up": (EndNode, "_serve", serve_once, "liveness: 0 pairs came between city-"),
    "differing-bell-states": (Track, "fits", lambda *_: True, "bell: the ends believe in Bell states"),
    "late-herald": (SwapRole, "pair", not_too_old, "cutoff: chain-1 swapped"),
    "numbers-that-come-back": (SignallingNode, "numbers_came_back", nothing, "leak: 2 qubits"),
    "one-sided-herald": (Port, "overdue", nothing, "liveness: 0 pairs came"),
    "promise-that-ended-early": (Controller, "on_ended", ended_where_it_is_known, "leak: 1 controller promises"),
    "sessions-of-a-crashed-node": (HeraldingStation, "neighbour_began", nothing, "sessions"),
    "station-silent-when-asked": (EndNode, "_serve", serve_once, "liveness: 0 pairs came"),
    "unanswered-set-up": (EndNode, "_answer_overdue", nothing, "liveness: 0 pairs came"),
}


@pytest.mark.parametrize("name", FILES)
def test_it_would_be_found_again_without_the_mend(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    place, attribute, undone, breaks = UNDONE[name]
    monkeypatch.setattr(place, attribute, undone)
    assert breaks in " ".join(broken(name))
