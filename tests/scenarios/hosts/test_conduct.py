"""Whom a conductor takes for lost, and why: what hosts say of each other, and of themselves. No host is needed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio.testing

from emulator.inputs import LOST, OUTSIDE
from emulator.wire.frames import Abort, Failed, Lost, Progress, Settle
from scenarios.hosts import conduct
from scenarios.hosts.conduct import ConductError, Conductor
from scenarios.hosts.gather import Elsewhere
from scenarios.hosts.worker import build_world
from scenarios.load import read
from scenarios.spec import RunSpec

NAMES = ("east", "north", "west")


class Bench:
    """A conductor amid a run, whose hosts say what a test has them say, and whose clock goes on when it is told to."""

    def __init__(self, *, goes_on: bool, rate: float) -> None:
        label, text = read("chain")
        spec = RunSpec(label=label, text=text, settings=("links=2",), seed=1, for_ns=1_000_000, rate=rate, faults=())
        world = build_world(spec, Elsewhere())
        actors = {name: [actor] for name, actor in zip(NAMES, world.network.names, strict=False)}
        actors["west"] += world.network.names[3:]
        streams = {name: trio.testing.memory_stream_pair()[0] for name in NAMES}
        self.told: list[str] = []
        self.conductor = Conductor(spec, world, actors, streams, tell=self.told.append, limit_s=10.0, goes_on=goes_on)
        self.conductor._all_ready = True
        self.conductor._going.set()
        self.now_s = 1000.0

    def says(self, name: str, frame: Lost | Failed | Progress) -> None:
        """Let a host say something, if it is still listened to."""
        if (host := self.conductor.hosts.get(name)) is not None:
            self.conductor._take(name, host, [frame])

    def after(self, seconds: float) -> None:
        """Let the conductor look whether somebody is lost, when some wall time has gone by."""
        self.now_s += seconds
        self.conductor._look_at_progress()
        self.conductor._look_at_blames()
        self.conductor._look_for_failures()

    @property
    def lost(self) -> list[str]:
        return list(self.conductor.lost)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    """Return what makes a bench."""

    def make(*, goes_on: bool = True, rate: float = 1.0) -> Bench:
        made = Bench(goes_on=goes_on, rate=rate)
        monkeypatch.setattr(conduct.time, "monotonic", lambda: made.now_s)
        return made

    return make


Make = Callable[..., Bench]


def test_a_host_that_another_one_cannot_reach_is_lost_when_its_last_words_have_had_time(bench: Make) -> None:
    run = bench()
    run.says("west", Lost("east", "the connection broke"))
    run.after(0.9)
    assert run.lost == []
    run.after(0.2)
    assert run.conductor.lost == {"east": "west cannot reach it: the connection broke"}
    assert run.told == ["east is lost (west cannot reach it: the connection broke): its 1 actors have crashed for good"]


@pytest.mark.parametrize("first", ["north", "west"])
def test_of_two_that_cannot_reach_each_other_the_later_name_is_lost_whoever_says_it_first(
    bench: Make, first: str
) -> None:
    run = bench()
    second = "west" if first == "north" else "north"
    run.says(first, Lost(second, "the connection broke"))
    run.now_s += 0.5
    run.says(second, Lost(first, "the connection broke"))
    run.after(0.6)
    assert run.lost == ["west"]
    run.after(5.0)
    assert run.lost == ["west"]  # what it has said of the other does not count any more


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_who_is_cut_off_from_two_is_lost_and_not_these_two(bench: Make, first: int) -> None:
    run = bench()
    words = [("west", "east"), ("east", "west"), ("east", "north"), ("north", "east")]
    for by, whom in words[first:] + words[:first]:
        run.says(by, Lost(whom, "the connection broke"))
    for _ in range(10):
        run.after(0.3)
    assert run.lost == ["east"]


def test_a_host_that_says_itself_why_it_ends_is_believed_about_that(bench: Make) -> None:
    run = bench()
    run.says("west", Lost("east", "it has closed the connection"))
    run.says("east", Failed("aborted", "east was ended by a person"))
    run.after(0.1)
    assert run.conductor.lost == {"east": "east was ended by a person"}


def test_what_a_host_that_has_failed_says_of_others_does_not_count(bench: Make) -> None:
    run = bench()
    run.says("east", Failed("aborted", "east was ended by a person"))
    run.says("east", Lost("west", "the connection broke"))
    run.after(0.1)
    run.after(5.0)
    assert run.lost == ["east"]


@pytest.mark.parametrize("blamed", [True, False])
def test_an_actor_that_crashes_by_a_mistake_ends_the_run_and_counts_for_no_loss(bench: Make, *, blamed: bool) -> None:
    run = bench()
    if blamed:
        run.says("west", Lost("east", "it has closed the connection"))
    run.says("east", Failed("crash", "chain-1 crashed at 0.1 s: ValueError()"))
    with pytest.raises(ConductError, match="east: chain-1 crashed"):
        run.after(2.0)
    assert run.lost == []


def test_a_loss_ends_the_run_unless_it_was_to_go_on_or_nobody_is_left(bench: Make) -> None:
    run = bench(goes_on=False)
    run.says("west", Lost("east", "the connection broke"))
    with pytest.raises(ConductError, match="east: west cannot reach it: the connection broke"):
        run.after(1.1)
    run = bench()
    for name in NAMES:
        run.says(name, Failed("aborted", "over"))
    with pytest.raises(ConductError, match="east: over; north: over; west: over"):
        run.after(0.1)


def test_a_loss_before_all_are_ready_ends_the_run(bench: Make) -> None:
    run = bench()
    run.conductor._all_ready = False
    run.says("east", Failed("aborted", "over"))
    with pytest.raises(ConductError, match="east: over"):
        run.after(0.1)


def test_all_are_told_and_the_history_says_so(bench: Make) -> None:
    run = bench()
    hosts = dict(run.conductor.hosts)
    run.says("east", Failed("aborted", "over"))
    run.after(0.1)
    sent = {name: bytes(host.peer._unsent) for name, host in hosts.items()}
    codec = conduct.CONDUCTOR_CODEC
    assert codec.decoder().feed(sent["east"]) == [Abort("given up: over")]
    for name in ("north", "west"):
        assert codec.decoder().feed(sent[name]) == [Lost("east", "over"), Settle(1)]
    history = run.conductor.world.network.history
    assert history.counts == {LOST: 1}
    assert history._instant == [(0, OUTSIDE, LOST, ("east", "over", (run.conductor._actors["east"][0],)))]


def test_a_standstill_is_noticed_later_than_who_is_silent(bench: Make) -> None:
    run = bench(rate=float("inf"))
    for name, others in (("east", ["west"]), ("west", ["east"]), ("north", [])):
        run.says(name, Progress(5, 0, others))
    run.after(0.0)
    run.after(10.5)
    run.says("east", Lost("west", "nothing was heard of it for 10 s"))
    run.after(1.1)
    assert run.lost == ["west"]
    run.after(0.3)  # from here on anew
    run.after(11.0)
    with pytest.raises(ConductError, match="nobody has come further for 10 s: east awaits west"):
        run.after(1.5)


def test_a_wait_for_a_word_of_all_hosts_begins_anew_without_a_host(bench: Make) -> None:
    run = bench()

    def ready() -> bool:
        run.now_s += 1
        if run.now_s == 1011:
            run.says("east", Failed("aborted", "over"))
        return False

    clock = trio.testing.MockClock(autojump_threshold=0)
    with pytest.raises(ConductError, match="waited 10 s for all hosts to begin"):
        trio.run(run.conductor._until, ready, "to begin", clock=clock)
    assert run.lost == ["east"]
    assert run.now_s == 1024
