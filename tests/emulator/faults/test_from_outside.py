"""Faults that come from outside into a running network: when they act, what a replay makes of them, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from emulator import MS, Actor, FaultError, Input, Network
from emulator.inputs import INPUT, OUTSIDE
from emulator.time import INPUT_RANK

LOSS = ("loss", "alice>bob", {"percent": 50.0})


@pytest.fixture
def run(talk: SimpleNamespace) -> Callable[..., Network]:
    """Return a function that runs two actors who talk, and does something from outside at some instants."""

    def run(*acts: tuple[int, Callable[[Network], object]], again: Iterable[Input] | None = None) -> Network:
        network: Network = talk.pair(most=100)[0]
        if again is not None:
            network.inputs.replay(again)
        for time_ns, act in acts:
            network.timeline.at(time_ns, act, network)
        assert network.run(for_ns=200 * MS).leaks == {}
        return network

    return run


def inputs_of(network: Network) -> list[Input]:
    kept = network.history.kept or []
    return [Input(r.time_ns, r.fields[0], r.fields[1:]) for r in kept if r[1:3] == (OUTSIDE, INPUT)]


def records_of(network: Network, kind: str) -> list[tuple[int, Any]]:
    return [(record.time_ns, record.fields[0]) for record in network.history.kept or [] if record.kind == kind]


def test_a_fault_from_outside_begins_when_it_takes_effect_and_ends_by_its_name(run: Callable[..., Network]) -> None:
    at: list[int] = []
    network = run(
        (10 * MS, lambda network: at.append(network.input("fault", *LOSS, 1.0, None, None, "rain"))),
        (40 * MS, lambda network: at.append(network.input("heal", "rain"))),
    )
    assert at == [10 * MS + 1, 40 * MS + 1]
    assert records_of(network, "fault begins") == [(10 * MS + 1, "rain")]
    assert records_of(network, "fault ends") == [(40 * MS + 1, "rain")]
    assert network.faults.injections[0].fired > 0


def test_a_fault_from_outside_may_begin_and_end_later(run: Callable[..., Network]) -> None:
    network = run((5 * MS, lambda network: network.input("fault", *LOSS, 1.0, 20 * MS, 30 * MS)))
    assert records_of(network, "fault begins") == [(20 * MS, "loss alice>bob")]
    assert records_of(network, "fault ends") == [(30 * MS, "loss alice>bob")]


def test_all_faults_can_be_healed_at_once(run: Callable[..., Network]) -> None:
    network = run(
        (5 * MS, lambda network: network.input("fault", "clog", "alice>bob")),
        (6 * MS, lambda network: network.input("fault", "pause", "bob", {}, 1.0, 90 * MS)),
        (50 * MS, lambda network: network.input("heal")),
    )
    assert records_of(network, "fault ends") == [(50 * MS + 1, "clog alice>bob")]
    assert [fault.begun_ns for fault in network.faults.injections] == [5 * MS + 1, None]


def test_the_same_inputs_make_the_same_history(run: Callable[..., Network]) -> None:
    first = run(
        (10 * MS, lambda network: network.input("fault", *LOSS)),
        (20 * MS, lambda network: network.input("fault", "pause", "bob", {}, 1.0, None, 60 * MS)),
        (30 * MS, lambda network: network.input("heal")),
        (40 * MS, lambda network: network.input("fault", "pause", "bob", {}, 1.0, None, 60 * MS)),
    )
    second = run(again=inputs_of(first))
    assert len(inputs_of(second)) == 4
    assert second.history.sha256() == first.history.sha256()


@pytest.mark.parametrize(
    ("part", "message", "fields"),
    [
        ("kind", "no kind of fault 'plague'; did you mean", ("plague", "bob")),
        ("kind", "kind: expected `str`, got `int`; the fields of a fault are kind, target", (3, "bob")),
        ("kind", "the fields of a fault are kind, target", ("crash",)),
        ("target", "nobody named 'carol'", ("crash", "carol")),
        ("target", "contradicts 'nap', which acts there from 0.05 s on", ("crash", "bob", {}, 1.0, 60 * MS)),
        ("attributes", "loss has no attribute 'per'", ("loss", "alice>bob", {"per": 3})),
        ("attributes", "percent must be: number, >= 0, <= 100", ("loss", "alice>bob", {"percent": 101.0})),
        ("attributes", "attributes: expected `object`, got `int`", ("loss", "alice>bob", 3)),
        ("probability", "between 0 and 1, not 1.5", ("loss", "alice>bob", {}, 1.5)),
        ("start", "must not be before now, which is 0.01 s", ("loss", "alice>bob", {}, 1.0, 1 * MS)),
        ("end", "must be later than the start, 0.05 s", ("loss", "alice>bob", {}, 1.0, 50 * MS, 40 * MS)),
        ("end", "must be later than the start, 0.01 s", ("loss", "alice>bob", {}, 1.0, None, 4 * MS)),
        ("name", "there is a fault named 'nap' already", ("loss", "alice>bob", {}, 1.0, None, None, "nap")),
    ],
)
def test_a_fault_that_cannot_be_is_refused_and_the_run_does_not_notice(
    run: Callable[..., Network], part: str, message: str, fields: tuple[Any, ...]
) -> None:
    def nap(network: Network) -> None:
        network.inject("pause", "bob", start_ns=50 * MS, name="nap")

    def bad(network: Network) -> None:
        with pytest.raises(FaultError, match=message) as caught:
            network.input("fault", *fields)
        assert caught.value.part == part

    assert run((0, nap), (10 * MS, bad)).history.sha256() == run((0, nap)).history.sha256()


def test_nobody_can_heal_what_there_is_not(run: Callable[..., Network]) -> None:
    def bad(network: Network) -> None:
        with pytest.raises(FaultError, match="there is no fault named 'rain'; there are none"):
            network.input("heal", "rain")

    run((10 * MS, bad))


def test_what_becomes_impossible_before_it_takes_effect_is_refused_by_a_record(run: Callable[..., Network]) -> None:
    def twice(network: Network) -> None:
        network.input("fault", "pause", "bob")
        network.input("fault", "pause", "bob")

    first = run((10 * MS, twice), (20 * MS, lambda network: network.input("heal")))
    refused = [record for record in first.history.kept or [] if record.kind == "fault refused"]
    assert [(record.time_ns, record.fields[:2]) for record in refused] == [(10 * MS + 1, ("pause bob", "target"))]
    assert run(again=inputs_of(first)).history.sha256() == first.history.sha256()


def test_what_was_scheduled_and_turns_out_to_be_wrong_is_refused_by_a_record(run: Callable[..., Network]) -> None:
    def plan(network: Network) -> None:
        network.inputs.schedule(20 * MS, "heal", "rain")
        network.inputs.schedule(30 * MS, "fault", "pause", "bob", {}, 1.0, 10 * MS)
        with pytest.raises(FaultError, match="nobody named 'carol'"):
            network.inputs.schedule(30 * MS, "fault", "pause", "carol")

    network = run((5 * MS, plan))
    refused = [record for record in network.history.kept or [] if record.kind == "fault refused"]
    assert [record.fields[:2] for record in refused] == [("rain", "name"), ("pause bob", "start")]
    assert network.faults.injections == []


def test_a_fault_that_begins_or_ends_amid_an_instant_comes_after_what_was_done_at_it() -> None:
    network = Network(seed=1)
    for name in ("a", "b"):
        network.add(Actor(name))
    network.connect("a", "b", latency_ns=1_000)
    moments: list[tuple[str, int, int]] = []
    for kind in ("fault begins", "fault ends"):
        network.history.observe(
            kind, lambda record: moments.append((record.kind, record.time_ns, network.timeline.rank))
        )
    network.inputs.schedule(500, "fault", "loss", "a>b", {"percent": 50})
    network.inputs.schedule(800, "heal")
    network.run(for_ns=2_000)
    # Else a host would take back what it has told others: that it has come to the input.
    assert moments == [("fault begins", 500, INPUT_RANK), ("fault ends", 800, INPUT_RANK)]
