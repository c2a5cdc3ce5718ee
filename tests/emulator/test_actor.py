"""One actor and its neighbour: handlers, behaviours, timers, operations, random streams."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
import trio

from emulator import MS, Actor, ActorCrashError, Envelope, Handler, Message, Network, Outcome, Qubit, UnknownActorError

LATENCY_NS = 5_000


class Handled(Message, frozen=True, tag="actor-handled"):
    number: int


class Awaited(Message, frozen=True, tag="actor-awaited"):
    number: int


class Holder(Message, frozen=True, tag="actor-holder"):
    what: Any


Behaviour = Callable[["Scripted"], Awaitable[None]]


async def nothing(_: Actor) -> None:
    pass


class Scripted(Actor):
    """Begins and behaves as it is told, and notes what its handler is called with."""

    def __init__(self, name: str, begin: Callable[[Any], object] = str, run: Behaviour = nothing) -> None:
        super().__init__(name)
        self._begin, self._run = begin, run
        self.log: list[Any] = []

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {Handled: self.on_handled}

    def begin(self) -> None:
        self._begin(self)

    async def run(self) -> None:
        await self._run(self)

    def on_handled(self, message: Handled, envelope: Envelope) -> None:
        self.log.append((self.now_ns, message, envelope))


def alice_and_bob(alice: Scripted, bob: Scripted | None = None, **settings: Any) -> Network:
    network = Network(keep_history=True, **settings)
    network.add(alice)
    network.add(bob or Scripted("bob"))
    network.connect("alice", "bob", latency_ns=LATENCY_NS)
    return network


def run_alone(actor: Scripted, for_ns: int = 10 * MS, **settings: Any) -> Outcome:
    return alice_and_bob(actor, **settings).run(for_ns=for_ns)


def crash_of(actor: Scripted, **settings: Any) -> ActorCrashError:
    with pytest.raises(ActorCrashError) as caught:
        run_alone(actor, **settings)
    assert caught.value.actor == actor.name
    return caught.value


# -- messages ------------------------------------------------------------------------------------------------------


def test_a_handler_gets_the_message_and_who_sent_it_when() -> None:
    bob = Scripted("bob")
    network = alice_and_bob(Scripted("alice", lambda a: a.after(7, a.send, "bob", Handled(3))), bob)
    network.run(for_ns=MS)
    assert bob.log == [(7 + LATENCY_NS, Handled(3), Envelope("alice", 1, 7, Handled(3), sure=True))]


def test_a_message_without_a_handler_waits_until_a_behaviour_receives_it() -> None:
    async def run(bob: Scripted) -> None:
        await bob.sleep(20_000)
        for _ in range(2):
            envelope = await bob.receive(Awaited)
            bob.log.append((bob.now_ns, envelope.message))

    async def send(alice: Scripted) -> None:
        alice.send("bob", Awaited(1))
        await alice.sleep(30_000)
        alice.send("bob", Awaited(2))

    bob = Scripted("bob", run=run)
    alice_and_bob(Scripted("alice", run=send), bob).run(for_ns=MS)
    assert bob.log == [(20_000, Awaited(1)), (30_000 + LATENCY_NS, Awaited(2))]


def test_the_history_says_what_arrived_from_whom_and_when_it_was_sent() -> None:
    network = alice_and_bob(Scripted("alice", lambda a: a.after(7, a.send, "bob", Awaited(3))))
    network.run(for_ns=MS)
    assert [tuple(record) for record in network.history.kept or ()] == [
        (0, "alice", "begins", (1,)),
        (0, "bob", "begins", (1,)),
        (7 + LATENCY_NS, "bob", "message", ("alice", 1, 7, Awaited(3))),
    ]


def test_a_message_to_nobody_is_an_error_that_says_whom_one_can_reach() -> None:
    def begin(alice: Scripted) -> None:
        with pytest.raises(UnknownActorError, match=r"alice has no channel to 'carol', only to \['bob'\]"):
            alice.send("carol", Handled(1))
        alice.log.append("refused")

    alice = Scripted("alice", begin)
    assert run_alone(alice).leaks == {}
    assert alice.log == ["refused"]


def test_a_message_to_nobody_crashes_its_sender() -> None:
    error = crash_of(Scripted("alice", lambda a: a.after(5, a.send, "carol", Handled(1))))
    assert error.time_ns == 5
    assert isinstance(error.__cause__, UnknownActorError)


def test_a_qubit_cannot_be_sent() -> None:
    qubit = Qubit(("alice", 0, 1), "bank", ("c", "bob"))
    bob = Scripted("bob")
    with pytest.raises(ActorCrashError) as caught:
        alice_and_bob(Scripted("alice", lambda a: a.send("bob", Holder((1, qubit)))), bob).run(for_ns=MS)
    assert caught.value.actor == "alice"
    assert isinstance(caught.value.__cause__, TypeError)
    assert "Qubit" in str(caught.value.__cause__)


# -- time ----------------------------------------------------------------------------------------------------------


def test_a_behaviour_sleeps_exactly_and_trio_works_too() -> None:
    async def run(alice: Scripted) -> None:
        for delay_ns in (1, 999, 123_456_789):
            await alice.sleep(delay_ns)
            alice.log.append(alice.now_ns)
        await trio.sleep(0.25)
        alice.log.append(alice.now_ns)
        with trio.move_on_after(0.5) as scope:
            await alice.receive(Awaited)
        alice.log += [alice.now_ns, scope.cancelled_caught]

    alice = Scripted("alice", run=run)
    run_alone(alice, for_ns=10**9)
    assert alice.log == [1, 1_000, 123_457_789, 373_457_789, 873_457_789, True]


def test_a_sleep_takes_at_least_a_nanosecond() -> None:
    async def run(alice: Scripted) -> None:
        for delay_ns in (0, -5):
            await alice.sleep(delay_ns)
        alice.log.append(alice.now_ns)

    alice = Scripted("alice", run=run)
    run_alone(alice)
    assert alice.log == [2]


def test_timers_fire_exactly_and_in_the_order_they_were_set() -> None:
    def begin(alice: Scripted) -> None:
        for name, delay_ns in (("late", 500), ("a", 7), ("b", 7), ("first", 1)):
            alice.after(delay_ns, lambda name=name: alice.log.append((alice.now_ns, name)))

    alice = Scripted("alice", begin)
    run_alone(alice)
    assert alice.log == [(1, "first"), (7, "a"), (7, "b"), (500, "late")]


@pytest.mark.parametrize("delay_ns", [0, -1])
def test_a_timer_takes_at_least_a_nanosecond(delay_ns: int) -> None:
    error = crash_of(Scripted("alice", lambda a: a.after(delay_ns, str)))
    assert "alice: a delay of" in str(error.__cause__)


def test_an_alarm_rings_once_unless_it_is_cancelled_or_its_life_has_ended() -> None:
    def begin(alice: Scripted) -> None:
        cancelled = alice.alarm(70, alice.log.append, "cancelled")
        alice.after(60, cancelled.cancel)
        alice.alarm(80, lambda: alice.log.append((alice.incarnation, alice.now_ns)))
        alice.alarm(0, lambda: alice.log.append((alice.incarnation, alice.now_ns)))

    alice = Scripted("alice", begin)
    network = Network()
    network.add(alice, restart_after_ns=5)
    network.timeline.at(20, network.crash, "alice")
    network.run(for_ns=MS)
    assert alice.log == [(1, 1), (2, 26), (2, 105)]


# -- operations ----------------------------------------------------------------------------------------------------


def test_an_operation_is_applied_at_the_end_of_its_duration() -> None:
    async def run(alice: Scripted) -> None:
        await alice.sleep(10)
        alice.log.append(await alice.operate(100, lambda x: (x, alice.now_ns), "applied"))
        alice.log.append(alice.now_ns)

    alice = Scripted("alice", run=run)
    run_alone(alice)
    assert alice.log == [("applied", 110), 110]


def test_operations_of_one_instant_are_applied_in_the_order_of_actors_not_of_calls() -> None:
    applied: list[str] = []

    def operating(delay_ns: int) -> Behaviour:
        async def run(actor: Scripted) -> None:
            await actor.sleep(delay_ns)
            await actor.operate(1_000 - delay_ns, applied.append, f"{actor.name} at {actor.now_ns}")

        return run

    network = alice_and_bob(Scripted("alice", run=operating(900)), Scripted("bob", run=operating(10)))
    network.add(Scripted("aaron", run=operating(500)))
    network.run(for_ns=MS)
    assert applied == ["aaron at 500", "alice at 900", "bob at 10"]


def test_an_operation_that_fails_is_a_crash_and_nobody_goes_on_after_it() -> None:
    async def run(alice: Scripted) -> None:
        await alice.operate(100, int, "no number")
        alice.log.append("went on")

    alice = Scripted("alice", run=run)
    error = crash_of(alice)
    assert error.time_ns == 100
    assert isinstance(error.__cause__, ValueError)
    assert alice.log == []


def test_an_operation_once_begun_is_applied_though_nobody_waits_for_it_any_more() -> None:
    async def run(alice: Scripted) -> None:
        with trio.move_on_after(40e-9):
            await alice.operate(100, lambda: alice.log.append(alice.now_ns))

    alice = Scripted("alice", run=run)
    assert run_alone(alice).leaks == {}
    assert alice.log == [100]


def test_an_operation_of_an_actor_that_has_crashed_is_not_applied() -> None:
    async def run(alice: Scripted) -> None:
        if alice.incarnation == 1:
            await alice.operate(100, alice.log.append, "applied")

    alice = Scripted("alice", run=run)
    network = Network()
    network.add(alice, restart_after_ns=10)
    network.timeline.at(50, network.crash, "alice")
    network.run(for_ns=MS)
    assert alice.log == []
    assert alice.incarnation == 2


# -- random streams ------------------------------------------------------------------------------------------------


def test_random_streams_depend_on_seed_name_and_purpose_and_go_on_across_lives() -> None:
    def draws(seed: int, name: str, purpose: str, crashes: int = 0) -> list[float]:
        actor = Scripted(name, lambda a: a.log.extend(a.random(purpose).uniform() for _ in range(200)))
        network = Network(seed=seed)
        network.add(actor, restart_after_ns=1)
        for k in range(crashes):
            network.timeline.at(10 * (k + 1), network.crash, name)
        network.run(for_ns=MS)
        return actor.log

    long = draws(1, "alice", "swap", crashes=2)
    assert len(set(long)) == 600
    assert draws(1, "alice", "swap") == long[:200]
    assert len({tuple(draws(*key)) for key in ((1, "alice", "swap"), (2, "alice", "swap"), (1, "bob", "swap"))}) == 3
    assert draws(1, "alice", "apps") != long[:200]


def test_an_actor_keeps_one_stream_for_a_purpose() -> None:
    def begin(alice: Scripted) -> None:
        assert alice.random("x") is alice.random("x")
        assert alice.random("x") is not alice.random("y")

    assert run_alone(Scripted("alice", begin)).leaks == {}


def test_what_an_actor_records_bears_its_name_and_time() -> None:
    network = alice_and_bob(Scripted("alice", lambda a: a.after(9, a.record, "seen", 1, ("b", 2.5))))
    network.run(for_ns=MS)
    assert network.history.kept is not None
    assert tuple(network.history.kept[-1]) == (9, "alice", "seen", (1, ("b", 2.5)))
