"""The network: crashes and restarts, the end of a run, Ctrl-C, and what it finds that leaks."""

import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
import trio

from emulator import MS, Actor, ActorCrashError, Envelope, Handler, Message, Network, Outcome, S
from emulator.quantum import werner

LATENCY_NS = 5_000


class Work(Message, frozen=True, tag="network-work"):
    number: int


class Post(Message, frozen=True, tag="network-post"):
    number: int


class Oops(Exception):  # noqa: N818
    pass


def fail(*_: Any) -> None:
    raise Oops("on purpose")


async def nothing(_: Actor) -> None:
    pass


class Worker(Actor):
    """Says what it does to its log; everything it does can be replaced by an argument."""

    def __init__(
        self,
        name: str,
        *,
        begin: Callable[[Any], object] = str,
        run: Callable[[Any], Awaitable[None]] = nothing,
        work: Callable[[Any], object] = str,
        close: Callable[[Any], object] = str,
    ) -> None:
        super().__init__(name)
        self._begin, self._run, self._work, self._close = begin, run, work, close
        self.log: list[Any] = []
        self.holds = 0

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {Work: self.on_work}

    def begin(self) -> None:
        self.log.append(("begin", self.incarnation, self.now_ns))
        self._begin(self)

    async def run(self) -> None:
        self.log.append(("run", self.incarnation, self.now_ns))
        await self._run(self)

    def on_work(self, message: Work, envelope: Envelope) -> None:
        self.log.append(("work", message.number, envelope.incarnation))
        self._work(self)

    def close(self) -> None:
        self.log.append(("close", self.now_ns))
        self._close(self)

    def lose(self) -> None:
        self.log.append(("lose", self.now_ns))
        self.holds = 0

    def held(self) -> Mapping[str, int]:
        return {"things": self.holds, "other things": 0}


class Clock(Actor):
    """Sends work to bob every 10 us, and draws a number each time."""

    until_ns = MS

    def begin(self) -> None:
        self.count = 0
        self.after(10_000, self.tick)

    def tick(self) -> None:
        self.count += 1
        self.record("tick", self.random().uniform())
        self.send("bob", Work(self.count))
        if self.now_ns < self.until_ns:
            self.after(10_000, self.tick)


def network_of(*actors: Actor, restart_after_ns: int | None = None, **settings: Any) -> Network:
    """Join all actors to bob, who is the only one that may be restarted."""
    network = Network(keep_history=True, **settings)
    for actor in actors:
        network.add(actor, restart_after_ns=restart_after_ns if actor.name == "bob" else None)
    for actor in actors:
        if actor.name != "bob":
            network.connect(actor.name, "bob", latency_ns=LATENCY_NS)
    return network


def records(network: Network, actor: str) -> list[Any]:
    return [tuple(record) for record in network.history.kept or () if record.actor == actor]


# -- building ------------------------------------------------------------------------------------------------------


def test_names_are_unique() -> None:
    network = network_of(Worker("bob"))
    with pytest.raises(ValueError, match="there is an actor named 'bob' already"):
        network.add(Worker("bob"))


def test_actors_and_channels_can_be_found_by_name() -> None:
    bob, alice = Worker("bob"), Worker("alice")
    network = network_of(bob, alice)
    assert list(network.actors.items()) == [("alice", alice), ("bob", bob)]
    assert network.channel("alice", "bob").latency_ns == LATENCY_NS
    assert network.channel("alice", "bob") is not network.channel("bob", "alice")


def test_actors_begin_in_the_order_of_their_names() -> None:
    network, begun = network_of(*map(Worker, ["dora", "bob", "carol", "alice"])), list[str]()
    network.history.observe("begins", lambda record: begun.append(record.actor))
    network.run(for_ns=10)
    assert begun == ["alice", "bob", "carol", "dora"]


def test_a_network_runs_once() -> None:
    network = network_of(Worker("bob"))
    network.run(for_ns=10)
    with pytest.raises(RuntimeError, match="has had its run"):
        network.run(for_ns=10)


# -- crashes -------------------------------------------------------------------------------------------------------


async def fail_later(actor: Worker) -> None:
    await actor.sleep(70)
    fail()


async def fail_in_a_nursery(actor: Worker) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        nursery.start_soon(fail_later, actor)


async def fail_operating(actor: Worker) -> None:
    await actor.operate(70, fail)


CRASHES: Mapping[str, tuple[dict[str, Any], int]] = {
    "handler": ({"work": fail}, 10_000 + LATENCY_NS),
    "begin": ({"begin": fail}, 0),
    "run": ({"run": fail_later}, 70),
    "timer": ({"begin": lambda a: a.after(70, fail)}, 70),
    "operation": ({"run": fail_operating}, 70),
    "task below run": ({"run": fail_in_a_nursery}, 70),
    "close": ({"close": fail}, MS + 1),
}
EVERY_CRASH = pytest.mark.parametrize(("what", "time_ns"), CRASHES.values(), ids=CRASHES)


def sole(error: BaseException | None) -> BaseException | None:
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    return error


@EVERY_CRASH
def test_a_crash_ends_the_run_with_its_actor_time_and_cause(what: dict[str, Any], time_ns: int) -> None:
    network = network_of(bob := Worker("bob", **what), Clock("alice"))
    with pytest.raises(ActorCrashError, match=f"bob crashed at {time_ns / 1e9:.9f} s of emulated time") as caught:
        network.run(for_ns=MS)
    assert (caught.value.actor, caught.value.time_ns) == ("bob", time_ns)
    assert isinstance(sole(caught.value.__cause__), Oops)
    assert network.timeline.now_ns <= time_ns + MS
    assert records(network, "bob")[-1][:3] == (time_ns, "bob", "crashes")
    assert bob.log[-1] == ("lose", time_ns)


@EVERY_CRASH
def test_a_restarted_actor_begins_a_new_life_after_its_time(what: dict[str, Any], time_ns: int) -> None:
    def once(fn: Any) -> Any:
        return lambda actor: fn(actor) if actor.incarnation == 1 else None

    async def run_once(actor: Worker) -> None:
        if actor.incarnation == 1:
            await what["run"](actor)

    hooks = {name: run_once if name == "run" else once(fn) for name, fn in what.items()}
    network = network_of(bob := Worker("bob", **hooks), Clock("alice"), restart_after_ns=500)
    assert network.run(for_ns=MS).leaks == {}
    lives = [entry for entry in bob.log if entry[0] != "work"]
    expected = [
        ("begin", 1, 0),
        ("run", 1, 0),
        ("lose", time_ns),
        ("begin", 2, time_ns + 500),
        ("run", 2, time_ns + 500),
    ]
    if time_ns == 0:
        expected.remove(("run", 1, 0))  # it did not come to that
    if time_ns > MS:
        expected[2:2], closed_ns = [("close", MS + 1)], time_ns + 501
    else:
        closed_ns = MS + 1
    assert lives == [*expected, ("close", closed_ns)]
    assert [r[2:] for r in records(network, "bob") if r[2] in ("begins", "crashes")] == [
        ("begins", (1,)),
        ("crashes", (type(sole_of(what)).__name__,)),
        ("begins", (2,)),
    ]


def sole_of(what: dict[str, Any]) -> Exception:
    return ExceptionGroup("", [Oops()]) if what.get("run") is fail_in_a_nursery else Oops()


def test_others_do_not_notice_a_crash() -> None:
    quiet = network_of(Worker("bob"), Clock("alice"), Clock("carol"), seed=3)
    quiet.run(for_ns=MS)
    crashing = network_of(
        Worker("bob", work=lambda a: fail() if a.incarnation < 5 else None),
        Clock("alice"),
        Clock("carol"),
        seed=3,
        restart_after_ns=33_333,
    )
    assert crashing.run(for_ns=MS).leaks == {}
    assert records(crashing, "bob") != records(quiet, "bob")
    for name in ("alice", "carol"):
        assert records(crashing, name) == records(quiet, name)


def test_a_crash_from_outside_is_like_any_other() -> None:
    network = network_of(bob := Worker("bob"), restart_after_ns=10)
    network.timeline.at(100, network.crash, "bob", Oops())
    network.timeline.at(105, network.crash, "bob")  # nothing is left to crash
    network.timeline.at(200, network.crash, "bob")
    network.run(for_ns=MS)
    assert bob.incarnation == 3
    assert [r[3] for r in records(network, "bob") if r[2] == "crashes"] == [("Oops",), ("InjectedCrash",)]


def test_the_first_of_two_crashes_is_reported() -> None:
    network = network_of(Worker("bob", run=fail_later), Worker("alice", begin=lambda a: a.after(70, fail)))
    with pytest.raises(ActorCrashError, match="alice crashed"):
        network.run(for_ns=MS)

    def both() -> None:
        for name in ("carol", "alice"):
            network.crash(name, Oops(name))

    network = network_of(Worker("bob"), Worker("alice"), Worker("carol"))
    network.timeline.at(100, both)
    with pytest.raises(ActorCrashError, match="carol crashed") as caught:
        network.run(for_ns=MS)
    assert str(caught.value.__cause__) == "carol"


def test_timers_of_an_earlier_life_never_fire() -> None:
    def begin(bob: Worker) -> None:
        bob.after(1_000, bob.log.append, ("timer of life", bob.incarnation, bob.now_ns))

    network = network_of(bob := Worker("bob", begin=begin), restart_after_ns=100)
    network.timeline.at(500, network.crash, "bob")
    network.run(for_ns=MS)
    assert [e for e in bob.log if e[0] == "timer of life"] == [("timer of life", 2, 600)]


def test_messages_to_a_crashed_actor_are_lost_and_counted() -> None:
    network = network_of(bob := Worker("bob"), Clock("alice"), restart_after_ns=100_000)
    network.timeline.at(200_000, network.crash, "bob")  # down until 300 us
    network.run(for_ns=MS)
    heard_ns = 300_000 + LATENCY_NS  # until then alice sends to the life that is over
    received = [e[1] for e in bob.log if e[0] == "work"]
    assert received == [n for n in range(1, 101) if not 200_000 - LATENCY_NS < 10_000 * n < heard_ns]
    assert 100 - len(received) == 11
    assert network._cells["bob"].lost == 10  # the other one came to the new life, and was not for it
    assert "message" not in {r[2] for r in records(network, "bob") if 200_000 < r[0] < heard_ns}


def test_a_new_life_begins_with_an_empty_mailbox() -> None:
    async def run(bob: Worker) -> None:
        if bob.incarnation == 2:
            with trio.move_on_after(1e-3):
                bob.log.append((await bob.receive()).message)

    def begin(alice: Worker) -> None:
        for number in range(3):
            alice.send("bob", Post(number))
        alice.after(200_000, alice.send, "bob", Post(9))

    network = network_of(bob := Worker("bob", run=run), Worker("alice", begin=begin), restart_after_ns=100)
    network.timeline.at(100_000, network.crash, "bob")
    network.run(for_ns=10 * MS)
    assert [e for e in bob.log if isinstance(e, Post)] == [Post(9)]


def test_messages_carry_the_life_of_their_sender() -> None:
    network = Network()
    network.add(alice := Worker("alice", begin=lambda a: a.send("bob", Work(a.incarnation))), restart_after_ns=50)
    network.add(bob := Worker("bob"))
    network.connect("alice", "bob", latency_ns=LATENCY_NS)
    network.timeline.at(100, network.crash, "alice")  # what it sent is under way, and arrives
    network.run(for_ns=MS)
    assert alice.incarnation == 2
    assert [e for e in bob.log if e[0] == "work"] == [("work", 1, 1), ("work", 2, 2)]


def test_the_tasks_of_a_crashed_actor_end() -> None:
    async def run(bob: Worker) -> None:
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(bob.receive)
        finally:
            bob.log.append(("ended", bob.now_ns))

    network = network_of(bob := Worker("bob", run=run, close=fail), restart_after_ns=10 * S)
    network.timeline.at(100, network.crash, "bob")
    assert network.run(for_ns=MS, drain_ns=MS).leaks == {}
    assert bob.log[-2:] == [("lose", 100), ("ended", 100)]


def test_an_error_in_the_clean_up_of_a_crashed_actor_does_not_end_the_run() -> None:
    async def fail_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            fail()

    async def run(bob: Worker) -> None:
        if bob.incarnation == 1:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail_when_cancelled)
                nursery.start_soon(trio.sleep_forever)

    network = network_of(bob := Worker("bob", run=run), restart_after_ns=100)
    network.timeline.at(100, network.crash, "bob")
    assert network.run(for_ns=MS).leaks == {}
    assert bob.incarnation == 2


def test_a_life_that_cleans_up_for_long_is_neither_the_next_one_nor_forgotten() -> None:
    async def run(bob: Worker) -> None:
        if bob.incarnation > 1:
            await bob.sleep(10_000)
            return
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(5e-6)
            fail()

    network = network_of(bob := Worker("bob", run=run), restart_after_ns=100)
    network.timeline.at(1_000, network.crash, "bob")
    assert network.run(for_ns=7_000, drain_ns=2_000).leaks == {"bob task": 1}
    assert bob.incarnation == 2


# -- the end of a run ----------------------------------------------------------------------------------------------


def test_a_run_ends_when_it_should_and_then_everything_closes() -> None:
    network = network_of(bob := Worker("bob"), alice := Worker("alice"))
    assert network.run(for_ns=123_456) == Outcome(123_456, interrupted=False, leaks={})
    assert bob.log[-1] == alice.log[-1] == ("close", 123_457)


def test_what_close_begins_comes_to_its_end() -> None:
    def close(bob: Worker) -> None:
        bob.after(20 * MS, setattr, bob, "holds", 0)

    def begin(bob: Worker) -> None:
        bob.holds = 2

    network = network_of(Worker("bob", begin=begin, close=close))
    assert network.run(for_ns=MS).leaks == {}
    assert network.timeline.now_ns <= 22 * MS

    network = network_of(Worker("bob", begin=begin, close=close))
    assert network.run(for_ns=MS, drain_ns=19 * MS).leaks == {"bob things": 2}


def test_a_task_that_returns_when_told_is_no_leak() -> None:
    async def run(bob: Worker) -> None:
        while bob.holds == 0:
            await bob.sleep(MS)
        await bob.sleep(50 * MS)
        bob.holds = 0

    network = network_of(Worker("bob", run=run, close=lambda bob: setattr(bob, "holds", 1)))
    assert network.run(for_ns=10 * MS).leaks == {}


def leaks_of(network: Network, drain_ns: int = 10 * MS) -> dict[str, int]:
    return network.run(for_ns=MS, drain_ns=drain_ns).leaks


def test_an_actor_that_holds_something_leaks() -> None:
    network = network_of(Worker("bob", begin=lambda bob: setattr(bob, "holds", 3)), Worker("alice"))
    assert leaks_of(network) == {"bob things": 3}


def test_a_task_that_never_ends_leaks() -> None:
    async def run(bob: Worker) -> None:
        await bob.receive()

    network = network_of(Worker("bob", run=run), Worker("alice"))
    assert leaks_of(network) == {"bob task": 1}
    assert network.timeline.now_ns == 11 * MS


def test_a_message_still_under_way_leaks() -> None:
    network = Network()
    network.add(Worker("alice", close=lambda a: a.send("bob", Work(1))))
    network.add(Worker("bob"))
    network.connect("alice", "bob", latency_ns=S)
    assert leaks_of(network) == {"alice messages under way": 1}


def test_an_orphan_qubit_leaks() -> None:
    network = network_of(Worker("bob"))
    halves = [("bob", k, 1) for k in (0, 1)]
    for half in halves:
        network.engine.open(half)
    network.engine.new_pair(werner(1.0), *halves, times_ns=(0, 0), bell=0)
    assert leaks_of(network) == {"qubits": 2}


@pytest.mark.parametrize("drain_ns", [1, 999_999, 1_000_000, 2_500_000])
def test_the_drain_is_not_longer_than_allowed(drain_ns: int) -> None:
    async def run(_: Worker) -> None:
        await trio.sleep_forever()

    network = network_of(Worker("bob", run=run))
    assert leaks_of(network, drain_ns) == {"bob task": 1}
    assert network.timeline.now_ns == MS + drain_ns


def test_an_actor_that_is_restarted_while_the_run_ends_is_closed_as_well() -> None:
    async def run(bob: Worker) -> None:
        while bob.holds == 0:
            await bob.sleep(MS)
        bob.holds = 0

    def close(bob: Worker) -> None:
        bob.holds = 1

    network = network_of(bob := Worker("bob", run=run, close=close), restart_after_ns=5 * MS)
    network.timeline.at(9 * MS, network.crash, "bob")
    assert network.run(for_ns=10 * MS).leaks == {}
    assert bob.log[-3:] == [("begin", 2, 14 * MS), ("run", 2, 14 * MS), ("close", 14 * MS + 1)]


def test_an_actor_that_crashes_in_every_life_does_not_keep_the_end_from_coming() -> None:
    network = network_of(bob := Worker("bob", run=fail_later), restart_after_ns=70)
    assert network.run(for_ns=70_070).leaks == {}
    assert network.timeline.now_ns <= 70_070 + MS
    assert 502 <= bob.incarnation <= 503  # one more life at most


# -- watchers ------------------------------------------------------------------------------------------------------


def test_watching_changes_no_history() -> None:
    def hash_of(*periods_ns: int) -> str:
        bob = Worker("bob", run=fail_later, work=lambda a: a.record("worked"))
        network = network_of(bob, Clock("alice"), Clock("carol"), restart_after_ns=70)
        for period_ns in periods_ns:
            network.watch(period_ns, lambda: seen.append((network.timeline.now_ns, network.history.sha256())))
        network.run(for_ns=MS)
        events.add(network.timeline.events - network.ticks)
        return network.history.sha256()

    seen: list[tuple[int, str]] = []
    events: set[int] = set()
    plain = hash_of()
    assert hash_of(5_000) == plain  # at the very instants of everything else
    assert len({sha for _, sha in seen}) > 100
    assert seen[-1][0] <= MS + 5_000
    seen.clear()
    assert hash_of(35, 9_999, 400_000) == plain
    assert len(events) == 1


def test_a_watcher_sees_the_run_at_its_period_and_not_its_end() -> None:
    network, seen = network_of(Worker("bob")), list[int]()
    network.watch(300, lambda: seen.append(network.timeline.now_ns))
    network.run(for_ns=1_000)
    assert seen == [300, 600, 900, 1_200]
    assert network.timeline.events - network.ticks == network_events_without_watcher()


def test_a_watcher_comes_after_all_else_of_its_instant() -> None:
    network, seen = network_of(Worker("bob"), Clock("alice")), list[tuple[int, int]]()
    network.watch(20_000, lambda: seen.append((network.timeline.now_ns, network.history.counts["tick"])))
    network.run(for_ns=MS)
    assert seen == [(20_000 * k, 2 * k) for k in range(1, 51)]


def network_events_without_watcher() -> int:
    network = network_of(Worker("bob"))
    network.run(for_ns=1_000)
    return network.timeline.events - network.ticks


# -- Ctrl-C --------------------------------------------------------------------------------------------------------


def interrupt(*_: Any) -> None:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_ends_the_span_early_and_everything_is_still_given_back() -> None:
    def begin(bob: Worker) -> None:
        bob.holds = 1
        bob.after(300_000, interrupt)

    def close(bob: Worker) -> None:
        bob.after(20 * MS, setattr, bob, "holds", 0)

    network = network_of(bob := Worker("bob", begin=begin, close=close), clock := Clock("alice"))
    clock.until_ns = 20 * MS
    outcome = network.run(for_ns=10 * S)
    assert outcome.interrupted
    assert outcome.leaks == {}
    assert 300_000 <= outcome.emulated_ns < 2 * MS
    assert ("close", outcome.emulated_ns + 1) in bob.log
    assert "crashes" not in network.history.counts  # nobody but the run noticed


def test_ctrl_c_in_a_behaviour_ends_the_span_too() -> None:
    async def run(bob: Worker) -> None:
        await bob.sleep(500)
        interrupt()
        await bob.sleep(MS)

    network = network_of(Worker("bob", run=run))
    outcome = network.run(for_ns=10 * S)
    assert outcome.interrupted
    assert outcome.leaks == {}
    assert outcome.emulated_ns <= 500 + MS + 1  # before anything that comes thereafter


def test_ctrl_c_at_the_very_end_or_in_the_drain_does_not_cut_the_drain() -> None:
    for interrupt_ns in (MS, MS + 5_000):

        def begin(bob: Worker, interrupt_ns: int = interrupt_ns) -> None:
            bob.holds = 1
            bob.after(interrupt_ns, interrupt)

        def close(bob: Worker) -> None:
            bob.after(20 * MS, setattr, bob, "holds", 0)

        network = network_of(bob := Worker("bob", begin=begin, close=close))
        assert network.run(for_ns=MS) == Outcome(MS, interrupted=True, leaks={})
        assert [e for e in bob.log if e[0] == "close"] == [("close", MS + 1)]


def test_a_second_ctrl_c_ends_the_run_at_once() -> None:
    async def run(bob: Worker) -> None:
        await bob.sleep(1_000)
        interrupt()
        for _ in range(5):
            await bob.sleep(MS)
        interrupt()
        await trio.sleep_forever()

    network = network_of(Worker("bob", run=run))
    with pytest.raises(KeyboardInterrupt):
        network.run(for_ns=S)
    assert network.timeline.now_ns <= 7 * MS
