"""Faults begin and end by events of the timeline, in a fixed order, and are part of the history."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from emulator import MS, Actor, FaultError, Network
from emulator.faults import Active, Fault, attributes, describe, kinds, make, name_of
from emulator.faults.fault import Undo


class Note(Fault, frozen=True, tag="test-note"):
    """Writes down when it begins and ends."""

    takes = "anything"
    word: str = ""

    def sites(self, scene: object, target: str) -> tuple[str, ...]:
        return (target,)

    def begin(self, active: Active, sites: tuple[str, ...]) -> Undo:
        log = active.scene.history
        now = active.scene.timeline
        log.add(now.now_ns, "note", "begins", (self.word,))
        return lambda: log.add(now.now_ns, "note", "ends", (self.word,))


class Rival(Note, frozen=True, tag="test-rival"):
    """As a note, of which there can be one at a time."""

    rival = "test"


class Instant(Note, frozen=True, tag="test-instant"):
    """Happens at once."""

    at_once = True


def notes(talk: SimpleNamespace, network: Network) -> list[tuple[int, str, str]]:
    found = talk.records_of(network, "begins", "ends")
    return [(record.time_ns, record.kind, record.fields[0]) for record in found if record.actor == "note"]


def test_a_fault_begins_and_ends_at_its_exact_times_and_says_so(talk: SimpleNamespace) -> None:
    network, *_ = talk.pair()
    fault = network.inject("test-note", "x", start_ns=5 * MS, end_ns=8 * MS + 3, word="a")
    network.run(for_ns=20 * MS)
    assert notes(talk, network) == [(5 * MS, "begins", "a"), (8 * MS + 3, "ends", "a")]
    assert [(r.time_ns, r.actor, r.kind, r.fields) for r in talk.records_of(network, "fault begins", "fault ends")] == [
        (5 * MS, "faults", "fault begins", ("test-note x", "test-note", "x", (("word", "a"),))),
        (8 * MS + 3, "faults", "fault ends", ("test-note x", "test-note", "x")),
    ]
    assert (fault.begun_ns, fault.ended_ns, fault.fired) == (5 * MS, 8 * MS + 3, 0)


def test_at_one_instant_those_that_end_come_first_and_then_those_that_begin_in_the_order_of_the_schedule(
    talk: SimpleNamespace,
) -> None:
    network, *_ = talk.pair()
    network.inject("test-note", "x", start_ns=5, end_ns=9, word="first")
    network.inject("test-note", "x", start_ns=9, word="second")
    network.inject("test-note", "x", start_ns=5, end_ns=9, word="third")
    network.run(for_ns=MS)
    moves = [(kind, word) for time_ns, kind, word in notes(talk, network) if time_ns == 9]
    assert moves == [("ends", "first"), ("ends", "third"), ("begins", "second")]


def test_a_fault_comes_before_all_else_of_its_instant(talk: SimpleNamespace) -> None:
    network, _, bob = talk.pair()
    network.inject("partition", "alice>bob", start_ns=4 * MS, end_ns=6 * MS)
    network.run(for_ns=30 * MS)
    times = {number: time_ns for time_ns, number in bob.heard}
    assert times[3] == 4 * MS, "sent before it began"
    assert times[4] > 6 * MS, "sent at 4 ms, when it had begun"
    assert sorted(times) == list(range(1, 31)), "nothing is lost for good"


def test_a_fault_that_is_to_begin_at_zero_finds_everybody_there(talk: SimpleNamespace) -> None:
    network, *_ = talk.pair()
    network.inject("test-note", "x", start_ns=0, word="a")
    network.run(for_ns=MS)
    assert notes(talk, network)[0] == (1, "begins", "a")


def test_all_end_with_the_run_and_those_to_come_never_begin(talk: SimpleNamespace) -> None:
    network, *_ = talk.pair()
    never_ends = network.inject("partition", "alice-bob", start_ns=MS)
    too_late = network.inject("test-note", "x", start_ns=5_000 * MS, end_ns=6_000 * MS)
    outcome = network.run(for_ns=10 * MS)
    assert outcome.leaks == {}, "what was kept back was repeated when the fault had ended"
    assert (never_ends.begun_ns, never_ends.ended_ns) == (MS, 10 * MS)
    assert too_late.begun_ns is None
    assert network.timeline.now_ns < 1_000 * MS


def test_a_block_injects_while_a_run_goes_on(talk: SimpleNamespace) -> None:
    network, *_ = talk.pair()

    class Tester(Actor):
        async def run(self) -> None:
            await self.sleep(3 * MS)
            with network.inject("test-note", "x", word="a"):
                await trio.sleep(0.002)
            await self.sleep(MS)
            network.inject("test-note", "x", word="b", end_ns=self.now_ns + MS)

    network.add(Tester("tester"))
    network.run(for_ns=20 * MS)
    assert notes(talk, network) == [
        (3 * MS, "begins", "a"),
        (5 * MS, "ends", "a"),
        (6 * MS, "begins", "b"),
        (7 * MS, "ends", "b"),
    ]


def test_an_ended_fault_does_not_begin_any_more(talk: SimpleNamespace) -> None:
    network, *_ = talk.pair()
    fault = network.inject("test-note", "x", start_ns=5 * MS)
    fault.end()
    network.run(for_ns=10 * MS)
    assert notes(talk, network) == []


def test_names_differ_and_random_numbers_go_with_them(talk: SimpleNamespace) -> None:
    network, *_ = talk.pair()
    faults = [network.inject("loss", "alice>bob") for _ in range(2)]
    assert [fault.name for fault in faults] == ["loss alice>bob", "loss alice>bob #2"]
    u, v = (fault.active.random("x").uniform() for fault in faults)
    assert u != v
    again, *_ = talk.pair()
    assert again.inject("loss", "alice>bob").active.random("x").uniform() == u
    with pytest.raises(FaultError, match="names must differ"):
        network.inject("loss", "alice>bob", name="loss alice>bob")


@pytest.mark.parametrize(
    ("changes", "part", "words"),
    [
        ({"kind": "los"}, "kind", "did you mean 'loss'"),
        ({"target": "alice>carol"}, "target", "nobody named 'carol'"),
        ({"target": "alice"}, "target", "no pair of names"),
        ({"start_ns": 5, "end_ns": 5}, "end", "later than the start"),
        ({"probability": 1.5}, "probability", "between 0 and 1"),
        ({"percnt": 3}, "attributes", "no attribute 'percnt'; did you mean 'percent'"),
        ({"percent": 300}, "attributes", "percent must be: number, >= 0, <= 100"),
        ({"percent": "much"}, "attributes", "percent must be: number"),
        ({"kind": "test-instant", "end_ns": 5}, "end", "happens at once"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_be_right(
    talk: SimpleNamespace, changes: dict[str, object], part: str, words: str
) -> None:
    network, *_ = talk.pair()
    with pytest.raises(FaultError, match=words) as error:
        network.inject(**({"kind": "loss", "target": "alice>bob"} | changes))  # type: ignore[arg-type]
    assert error.value.part == part
    assert network.faults.injections == []


def test_a_start_in_the_past_is_refused(talk: SimpleNamespace) -> None:
    network, *_ = talk.pair()
    refused: list[str] = []

    def late() -> None:
        with pytest.raises(FaultError) as error:
            network.inject("loss", "alice>bob", start_ns=MS)
        refused.append(error.value.part)

    network.timeline.at(5 * MS, late)
    network.run(for_ns=10 * MS)
    assert refused == ["start"]


@pytest.mark.parametrize(("start_ns", "end_ns"), [(3, 6), (None, None), (8, None), (1, 100)])
def test_rivals_must_follow_each_other_on_one_site(
    talk: SimpleNamespace, start_ns: int | None, end_ns: int | None
) -> None:
    network, *_ = talk.pair()
    network.inject("test-rival", "x", start_ns=5, end_ns=9)
    network.inject("test-rival", "y", start_ns=5, end_ns=9)
    network.inject("test-rival", "x", start_ns=9, end_ns=10)
    network.inject("test-note", "x", start_ns=5, end_ns=9)
    with pytest.raises(FaultError, match="contradicts 'test-rival x"):
        network.inject("test-rival", "x", start_ns=start_ns, end_ns=end_ns)


def test_a_crash_of_who_is_down_contradicts_and_so_does_a_pause(talk: SimpleNamespace) -> None:
    network, *_ = talk.pair()
    network.inject("crash", "bob", start_ns=MS, down_s=0.01)
    for kind in ("crash", "pause"):
        with pytest.raises(FaultError, match=r"contradicts 'crash bob', which acts there from 0\.001 s to 0\.011 s"):
            network.inject(kind, "bob", start_ns=5 * MS)
    network.inject("pause", "bob", start_ns=11 * MS, end_ns=12 * MS)


def test_a_state_happens_with_its_probability(talk: SimpleNamespace) -> None:
    network, *_ = talk.pair()
    for k in range(400):
        network.inject("test-note", "x", start_ns=5, probability=0.3, name=f"n{k}", word="a")
    network.run(for_ns=10)
    happened = sum(kind == "begins" for _, kind, _ in notes(talk, network))
    assert abs(happened - 120) < 4 * (400 * 0.3 * 0.7) ** 0.5


def test_every_kind_is_described_in_one_line_and_its_attributes_too() -> None:
    for name, kind in kinds().items():
        if not kind.__module__.startswith("emulator."):
            continue
        assert describe(kind).endswith("."), name
        assert kind.takes, name
        assert kind.example, name
        assert kind.survives, name
        assert kind.seen, name
        assert all(attribute.meaning for attribute in attributes(kind)), name
        assert name_of(type(make(name, {}))) == name, "its attributes have defaults"


def test_the_history_does_not_depend_on_the_hash_seed() -> None:
    program = """
from scenarios.run import run_scenario
faults = ["loss:chain-a|*@0.01..,percent=30", "pause:chain-2@0.05..0.1", "one-sided-herald:chain-1-chain-2@0..",
    "crash:chain-1@0.2..0.25", "holdover:chain-3@0.1.."]
print(run_scenario("chain", for_s=0.5, seed=3, faults=faults).world.network.history.sha256())
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_a_kind_that_does_not_say_what_it_does_is_refused_and_named() -> None:
    class Idle(Fault, frozen=True, tag="test-idle"):
        def sites(self, scene: Any, target: str) -> tuple[str, ...]:
            return ()

    with pytest.raises(TypeError, match="Idle, the kind of fault 'test-idle', does not say its begin"):
        kinds()
    del Idle
    gc.collect()  # kinds are found by their classes
    assert "test-idle" not in kinds()
