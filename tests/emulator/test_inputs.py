"""Inputs from outside: their instant, their order, their record, and the same history when they come again."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import trio

from emulator import MS, US, Actor, Envelope, Handler, Input, Message, Network, Outcome, Record, S, UnknownActorError
from emulator.inputs import INPUT, OUTSIDE


class Beat(Message, frozen=True, tag="inputs-beat"):
    number: float


class Beater(Actor):
    """Sends a random number to its neighbour every 10 us, and records what it hears."""

    def __init__(self, name: str, neighbour: str, run: Callable[[Actor], Any] | None = None) -> None:
        super().__init__(name)
        self._neighbour = neighbour
        self._run = run

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {Beat: self.on_beat}

    def begin(self) -> None:
        self._closing = False
        self.after(10 * US, self.tick)

    def close(self) -> None:
        self._closing = True

    async def run(self) -> None:
        if self._run is not None and self.incarnation == 1:
            await self._run(self)

    def tick(self) -> None:
        self.send(self._neighbour, Beat(self.random().uniform()))
        if not self._closing:
            self.after(10 * US, self.tick)

    def on_beat(self, message: Beat, envelope: Envelope) -> None:
        self.record("hears", message.number)


def beating(*, rate: float = math.inf, run: Callable[[Actor], Any] | None = None) -> Network:
    """Return two actors that beat at the same instants; alice, who is no outsider, may do something more."""
    network = Network(seed=5, rate=rate, keep_history=True)
    network.add(Beater("alice", "bob", run), restart_after_ns=20 * US)
    network.add(Beater("bob", "alice"), restart_after_ns=30 * US)
    network.connect("alice", "bob", latency_ns=10 * US)
    return network


def quiet() -> Network:
    network = Network(keep_history=True)
    network.add(Actor("bob"), restart_after_ns=10)
    return network


def inputs_of(network: Network) -> list[Input]:
    kept = network.history.kept or []
    return [Input(r.time_ns, r.fields[0], r.fields[1:]) for r in kept if r[1:3] == (OUTSIDE, INPUT)]


def again(inputs: list[Input], for_ns: int, rate: float = math.inf) -> tuple[Network, Outcome]:
    network = beating(rate=rate)
    network.inputs.replay(inputs)
    return network, network.run(for_ns=for_ns)


# -- one input -----------------------------------------------------------------------------------------------------


def test_an_input_takes_effect_after_all_that_happens_at_its_instant_and_is_recorded() -> None:
    network, seen = beating(), list[tuple[int, int]]()
    network.inputs.register("look", lambda: seen.append((network.timeline.now_ns, network.history.counts["hears"])))
    network.inputs.schedule(40 * US, "look")
    network.watch(40 * US, lambda: seen.append((-network.timeline.now_ns, network.history.counts["hears"])))
    network.run(for_ns=50 * US)
    # Beats of 10, 20 and 30 us have been heard by both, and the watcher comes later still.
    assert seen[:2] == [(40 * US, 6), (-40 * US, 6)]
    assert Record(40 * US, OUTSIDE, INPUT, ("look",)) in (network.history.kept or [])


def test_an_input_comes_before_the_end_of_the_span_at_that_instant_and_not_thereafter() -> None:
    network = quiet()
    for time_ns in (100, 101, 10 * S):
        network.inputs.schedule(time_ns, "crash", "bob")
    outcome = network.run(for_ns=100)
    assert inputs_of(network) == [Input(100, "crash", ("bob",))]
    assert network.history.counts["crashes"] == 1
    assert outcome == Outcome(100, interrupted=False, leaks={})
    assert network.timeline.now_ns < 10 * MS  # what will not come does not hold up the end
    with pytest.raises(RuntimeError, match="the run is over, so that no 'crash' can come in any more"):
        network.input("crash", "bob")


def test_a_crash_from_outside_is_a_crash() -> None:
    network = quiet()
    network.timeline.at(50, lambda: network.input("crash", "bob"))
    network.inputs.schedule(20, "crash", "bob")
    network.run(for_ns=100)
    bob = [(r.time_ns, r.kind) for r in network.history.kept or () if r.actor == "bob"]
    assert bob == [(0, "begins"), (20, "crashes"), (30, "begins"), (51, "crashes"), (61, "begins")]


@pytest.mark.parametrize(
    ("kind", "fields", "error", "message"),
    [
        ("crush", ("bob",), ValueError, "no input is of kind 'crush'; there are crash, fault, heal, interrupt, note"),
        ("crash", ("carol",), UnknownActorError, "no actor named 'carol'"),
        ("crash", (), TypeError, "missing"),
        ("crash", ("bob", 1), TypeError, "argument"),
        ("note", (object(),), TypeError, "object"),
        ("interrupt", (1,), TypeError, "argument"),
    ],
)
def test_whoever_puts_in_something_wrong_hears_of_it_and_nothing_happens(
    kind: str, fields: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    network = quiet()
    network.inputs.register("note", print)
    for put in (network.input, lambda *args: network.inputs.schedule(5, *args)):
        with pytest.raises(error, match=message):
            put(kind, *fields)
    with pytest.raises(error, match=message):
        network.inputs.replay([Input(5, kind, fields)])
    network.run(for_ns=100)
    assert inputs_of(network) == []


def test_kinds_and_the_name_of_the_outside_are_taken_once() -> None:
    network = quiet()
    with pytest.raises(ValueError, match="of kind 'crash' are registered already"):
        network.inputs.register("crash", print)
    with pytest.raises(ValueError, match="no actor can be named"):
        network.add(Actor(OUTSIDE))


def test_fields_are_the_same_values_now_and_in_a_replay() -> None:
    given = (1, 1.0, "text", b"bytes", None, [1, (2, [3])], {"key": (4,)})
    network, seen = quiet(), list[Any]()
    network.inputs.register("note", lambda *fields: seen.append(fields))
    network.inputs.schedule(5, "note", *given)
    network.run(for_ns=10)
    assert seen == [(1, 1.0, "text", b"bytes", None, (1, (2, (3,))), {"key": (4,)})]
    assert inputs_of(network) == [Input(5, "note", seen[0])]


def test_an_error_of_an_input_ends_the_run() -> None:
    network = quiet()
    network.inputs.register("oops", lambda: 1 / 0)
    network.inputs.schedule(5, "oops")
    with pytest.raises(ZeroDivisionError):
        network.run(for_ns=10)


# -- runs that are replayed ----------------------------------------------------------------------------------------


async def crash_now_and_then(network: Network) -> None:
    """Put crashes in from a thread, at no instant in particular."""

    def outside() -> None:
        for k in range(6):
            time.sleep(1e-3)
            stamps.append(trio.from_thread.run_sync(network.input, "crash", "bob", trio_token=network.token))
            if k == 3:
                stamps.append(trio.from_thread.run_sync(network.input, "crash", "alice"))

    stamps: list[int] = []
    await trio.to_thread.run_sync(outside)
    network.input("interrupt")
    assert sorted(stamps) == stamps


@pytest.mark.parametrize("rate", [math.inf, 1.0])
def test_a_run_with_inputs_from_a_thread_is_replayed_at_any_rate(rate: float) -> None:
    network: Network

    async def outside(_: Actor) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash_now_and_then, network)

    network = beating(rate=rate, run=None)
    network.add(Beater("carol", "alice", outside))
    network.connect("alice", "carol", latency_ns=US)
    outcome = network.run(for_ns=100 * S)
    assert outcome.interrupted
    inputs = inputs_of(network)
    assert [entry.kind for entry in inputs] == ["crash"] * 7 + ["interrupt"]
    for other in (math.inf, 3.0):
        replay = beating(rate=other)
        replay.add(Beater("carol", "alice"))
        replay.connect("alice", "carol", latency_ns=US)
        replay.inputs.schedule(1, "crash", "carol")  # what the record has not does not come
        replay.inputs.replay(inputs)
        assert replay.run(for_ns=100 * S) == outcome
        assert replay.history.kept == network.history.kept
        assert replay.history.sha256() == network.history.sha256()


def test_ctrl_c_is_an_input_and_its_run_is_replayed() -> None:
    network = beating()
    network.timeline.at(MS + 5 * US, signal.raise_signal, signal.SIGINT)
    outcome = network.run(for_ns=10 * S)
    assert outcome.interrupted
    assert MS + 5 * US < outcome.emulated_ns < 3 * MS
    assert inputs_of(network) == [Input(outcome.emulated_ns, "interrupt", ())]
    replay, told = again(inputs_of(network), 10 * S, rate=20.0)
    assert told == outcome
    assert replay.history.sha256() == network.history.sha256()


def test_ctrl_c_while_paused_or_late_ends_the_run_at_once() -> None:
    def interrupt(network: Network) -> None:
        if network.timeline.rate == 1:
            network.timeline.pause()
        else:
            time.sleep(0.02)  # by the wall clock, twenty seconds of emulated time
        signal.raise_signal(signal.SIGINT)

    for rate in (1.0, 1000.0):
        network = beating(rate=rate)
        network.timeline.at(MS, interrupt, network)
        outcome = network.run(for_ns=100 * S)
        assert outcome.interrupted
        assert MS < outcome.emulated_ns < (3 * MS if rate == 1 else 8 * S)


def test_pauses_and_changes_of_rate_change_nothing() -> None:
    plain = beating()
    plain.run(for_ns=5 * MS)
    network = beating(rate=1)
    rates = iter([0.5, 100.0, math.inf, 2.0])

    def meddle() -> None:
        network.timeline.rate = next(rates, 1.0)
        network.timeline.pause()
        assert network.token is not None
        network.token.run_sync_soon(network.timeline.resume)

    network.watch(MS, meddle)
    network.run(for_ns=5 * MS)
    assert network.history.sha256() == plain.history.sha256()


def test_to_stop_raises_the_first_error_given() -> None:
    network = quiet()
    network.timeline.at(7, lambda: [network.stop(LookupError("first")), network.stop(ValueError("second"))])
    network.timeline.at(8, network.history.add, 8, "nobody", "late", ())
    with pytest.raises(LookupError, match="first"):
        network.run(for_ns=100)
    assert "late" not in network.history.counts
