"""A run that is steered while it goes on, in one process and on several hosts: its record says it all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator import Recording
from scenarios.hosts.deploy import deploy
from scenarios.live import Steered, listen, obey
from scenarios.load import InputError, read
from scenarios.replay import replay
from scenarios.report import Run, as_json
from scenarios.run import run_spec
from scenarios.spec import RunSpec

Start = Callable[..., Run]


class Person:
    """Says lines to a run, and answers when something is told."""

    def __init__(self, first: str, answers: dict[str, str]) -> None:
        self.told: list[str] = []
        self._answers = answers
        self._reads, self._writes = os.pipe()
        self.say(first)

    @property
    def paused_ns(self) -> int:
        [line] = [line for line in self.told if line.startswith("paused at")]
        return round(float(line.split()[2]) * 1e9)

    def say(self, lines: str) -> None:
        os.write(self._writes, lines.encode())

    def hear(self, line: str) -> None:
        self.told.append(line)
        for beginning, answer in self._answers.items():
            if line.startswith(beginning):
                self.say(answer)

    def meet(self, steered: Steered) -> None:
        listen(self._reads, steered, self.hear)


def spec_of(*, for_s: float, rate: float = 1.0) -> RunSpec:
    label, text = read("chain")
    return RunSpec(label=label, text=text, settings=("links=4",), seed=5, for_ns=round(for_s * 1e9), rate=rate)


def on_one(spec: RunSpec, person: Person, record: Path) -> Run:
    return run_spec(spec, record=record, tell=person.hear, live=person.meet)


def on_three(spec: RunSpec, person: Person, record: Path) -> Run:
    return deploy(spec, 3, record=record, tell=person.hear, live=person.meet)


@pytest.mark.parametrize("start", [on_one, on_three])
def test_a_run_is_paused_broken_sped_up_and_stopped_and_its_record_replays(start: Start, tmp_path: Path) -> None:
    person = Person(
        "pause\n",
        {"paused at": "fault loss:chain-1>chain-2,percent=30,name=rain\nrate 2\nresume\n", "from": "stop\n"},
    )
    record = tmp_path / "run.rec"
    run = start(spec_of(for_s=1000.0), person, record)
    assert any(line.endswith("on at 2 x real time") for line in person.told)
    assert run.outcome.interrupted
    assert not run.violations
    inputs = list(Recording(record).inputs())
    assert [entry.kind for entry in inputs] == ["fault", "interrupt"]
    assert inputs[0].time_ns > person.paused_ns
    data = as_json(run)
    assert [(fault["name"], fault["began"]) for fault in data["faults"]] == [("rain", True)]
    again = replay(str(record))
    assert again.difference is None
    assert again.history_sha256 == data["history_sha256"]


def test_hosts_pause_at_one_instant_and_what_is_put_in_then_comes_just_after_it(tmp_path: Path) -> None:
    person = Person("pause\n", {"paused at": "fault cut:chain-2-chain-3\nheal\nstop\n"})
    record = tmp_path / "run.rec"
    on_three(spec_of(for_s=1000.0), person, record)
    assert [(entry.time_ns - person.paused_ns, entry.kind) for entry in Recording(record).inputs()] == [
        (1, "fault"),
        (1, "heal"),
        (1, "interrupt"),
    ]


class Deaf:
    """Is steered, and remembers how."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def pause(self) -> None:
        self.done.append("pause")

    def resume(self) -> None:
        self.done.append("resume")

    def set_rate(self, rate: float) -> None:
        self.done.append(rate)

    def put(self, kind: str, *fields: Any) -> None:
        self.done.append((kind, *fields))

    def interrupt(self) -> None:
        self.done.append("interrupt")


def test_each_command_does_one_thing() -> None:
    deaf = Deaf()
    for line in ("pause", " resume ", "rate 0.5", "rate max", "", "heal", "heal rain", "stop"):
        obey(deaf, line)
    assert deaf.done == ["pause", "resume", 0.5, float("inf"), ("heal",), ("heal", "rain"), "interrupt"]
    obey(deaf, "fault loss:a>b@2..3,percent=20,name=rain")
    assert deaf.done[-1] == ("fault", "loss", "a>b", {"percent": 20}, 1.0, 2_000_000_000, 3_000_000_000, "rain")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("jump", "there are pause, resume, rate, fault, heal, stop"),
        ("rate fast", "expected a number greater than 0"),
        ("rate -1", "expected a number greater than 0"),
        ("pause now", "expected nothing after it"),
        ("fault loss", "expected KIND:TARGET"),
    ],
)
def test_what_is_no_command_is_told_with_what_would_be(line: str, said: str) -> None:
    deaf = Deaf()
    with pytest.raises(InputError, match=said):
        obey(deaf, line)
    assert not deaf.done


@pytest.mark.parametrize("start", [on_one, on_three])
def test_what_is_wrong_is_told_and_changes_nothing(start: Start, tmp_path: Path) -> None:
    person = Person("fault loss:nobody>chain-1,percent=1\nfault loss:chain-1>chain-2,percent=200\nhum\nstop\n", {})
    record = tmp_path / "run.rec"
    run = start(spec_of(for_s=1000.0), person, record)
    assert not run.violations
    assert [entry.kind for entry in Recording(record).inputs()] == ["interrupt"]
    wrong = [line.split(":")[0] for line in person.told if not line.startswith("the cut")]
    assert wrong == ["fault loss", "fault loss", "hum"]


@pytest.mark.parametrize("command", [("run", "chain"), ("deploy", "chain", "--local", "2")])
def test_standard_input_steers_a_run_with_live(qie: Any, command: tuple[str, ...]) -> None:
    done = qie(*command, "--live", "--for", "1000", said="hum\npause\nrate max\nresume\nstop\n")
    assert done.returncode == 130
    assert "(interrupted)" in done.stdout
    assert "qie: hum: there is no such command" in done.stderr
    assert "qie: paused at " in done.stderr or command[0] == "deploy"  # there all of it may come before all stand
    assert "on as fast as possible" in done.stderr
    assert "Traceback" not in done.stderr
