"""The histories of hosts, in whatever pieces and whatever order they come, are one history."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgpack
import pytest

from emulator import History, Message, Record
from emulator.faults.schedule import ACTOR
from emulator.inputs import OUTSIDE
from emulator.wire.frames import Frame, Records, SnapshotData, View
from emulator.wire.framing import WireError
from emulator.wire.host import HostHistory
from scenarios.hosts.gather import Elsewhere, Gather, Witness


class Greeting(Message, frozen=True, tag="gather-greeting"):
    number: int
    text: str
    numbers: tuple[float, ...] = ()


class Other(Message, frozen=True, tag="gather-other"):
    number: int


MEMORY = ("memory", [1.0, 0.5, float("inf"), 1.0, float("inf"), 2.0])


def truth_of(number: int) -> SnapshotData:
    """Return what is true of a pair, which shows its number."""
    return [1.0, *[0.0] * 14, 1 / (number + 1)], (number % 4, 0), [(MEMORY, 0, number), (MEMORY, 1, number)], [1.0, 0.5]


@dataclass
class Host:
    """Writes the records of some actors, and tells of them now and then."""

    name: str
    told: deque[Frame] = field(default_factory=deque)
    now_ns: int = 0

    def __post_init__(self) -> None:
        self.history = HostHistory(self.look)
        self.history.stream(self.tell, every_bytes=300)

    def look(self, actor: str, fields: tuple[Any, ...]) -> None:
        self.told.append(View(actor, truth_of(fields[0])))

    def tell(self, data: bytes) -> None:
        self.told.append(Records(self.history.handed_on_before(self.now_ns), data))

    def say_how_far(self) -> None:
        self.history.flush()
        self.told.append(Records(self.history.handed_on_before(self.now_ns), b""))


def happenings(rng: random.Random, actors: list[str]) -> list[Record]:
    """Return what happens, by time, and at each instant in any order of the actors."""
    found: list[Record] = []
    time_ns = 0
    for number in range(rng.choice((0, 5, 200))):
        time_ns += rng.choice((0, 0, 0, 1, 40))
        kind, *fields = rng.choice(
            [
                ("wakes", number, None, "text", b"bytes", 2.5, (1, (2, "deep"))),
                ("pair", number),
                ("message", 1, 5, "somebody", Greeting(number, "hi", (0.5, 1.0))),
                ("message", 2, 6, "somebody", Other(number)),
            ]
        )
        found.append(Record(time_ns, rng.choice(actors[:4] if kind == "pair" else actors), kind, tuple(fields)))
    return found


class Observers:
    """Keep what they see."""

    def __init__(self, history: History, truth: Callable[[Record], SnapshotData]) -> None:
        self.pairs: list[tuple[Record, SnapshotData]] = []
        self.greetings: list[tuple[int, str, Greeting]] = []
        self._truth = truth
        history.observe("pair", lambda record: self.pairs.append((record, self._truth(record))))
        history.observe_messages(Greeting, lambda t, a, fields: self.greetings.append((t, a, fields[3])))


def shown(witness: Witness) -> Callable[[Record], SnapshotData]:
    """Return what finds the truth of a recorded pair, as it came."""

    def find(record: Record) -> SnapshotData:
        found = witness.snapshot((record.actor, 0, 1), *witness.partners((record.actor, 0, 1)))
        memories = [(MEMORY, begun, touched) for _, begun, touched in found.memories]
        return list(found.r), found.bells, memories, list(found.dephased)

    return find


def deliver(hosts: list[Host], gather: Gather, witness: Witness, rng: random.Random) -> None:
    """Let what hosts tell arrive, in a random order of the hosts."""
    while talking := [host for host in hosts if host.told]:
        host = rng.choice(talking)
        frame = host.told.popleft()
        if isinstance(frame, View):
            witness.put(frame.actor, frame.snapshot)
            continue
        assert isinstance(frame, Records)
        before_ns = gather.now_ns
        for entry in gather.take(host.name, frame.until_ns, frame.data):
            assert before_ns <= entry[0] < gather.now_ns
            gather.add(entry)
    for entry in gather.finish():
        gather.add(entry)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_records_of_hosts_make_the_history_of_one_process_however_they_come(count: int) -> None:
    for seed in range(25):
        rng = random.Random(seed)
        actors = ["alice", "bob", "carol", "dave", ACTOR, OUTSIDE]
        homes = {actor: rng.randrange(count) for actor in actors[:4]}
        hosts = [Host(f"host-{k}") for k in range(count)]
        whole = History(keep=True)
        alone = Observers(whole, lambda record: truth_of(record.fields[0]))
        for record in happenings(rng, actors):
            whole.add(*record)
            for number, host in enumerate(hosts):
                if homes.get(record.actor, number) == number:  # of faults and inputs all would write
                    host.now_ns = record.time_ns
                    host.history.add(*record)
                if rng.random() < 0.1:
                    host.now_ns = max(host.now_ns, record.time_ns)
                    host.say_how_far()
        for host in hosts:
            host.history.close()

        merged, witness = Elsewhere().history(keep=True), Witness()
        together = Observers(merged, shown(witness))
        running = {host.name: [a for a, home in homes.items() if home == k] for k, host in enumerate(hosts)}
        gather = Gather(merged, running, merged.observed_messages)
        deliver(hosts, gather, witness, rng)

        assert merged.sha256() == whole.sha256(), f"seed {seed}"
        assert merged.counts == whole.counts
        assert [r[:3] for r in merged.kept or ()] == [r[:3] for r in whole.kept or ()]
        assert together.greetings == sorted(alone.greetings, key=lambda seen: seen[:2]), f"seed {seed}"
        assert together.pairs == sorted(alone.pairs, key=lambda seen: seen[0][:2]), f"seed {seed}"


def test_nothing_is_in_order_before_all_hosts_have_come_past_it() -> None:
    gather = Gather(History(), {"east": ["alice"], "west": ["bob"]}, [])
    piece = msgpack.packb((5, "alice", "wakes", ())) + msgpack.packb((9, "alice", "wakes", ()))
    assert gather.take("east", 20, piece) == []
    assert gather.take("west", 5, b"") == []
    assert gather.take("west", 6, msgpack.packb((5, "bob", "wakes", ()))) == [
        (5, "alice", "wakes", ()),
        (5, "bob", "wakes", ()),
    ]
    assert gather.now_ns == 6
    assert gather.take("west", 2, b"") == []  # what was said before stands
    assert gather.now_ns == 6
    assert gather.finish() == [(9, "alice", "wakes", ())]


def entry(time_ns: int, actor: str = "alice") -> tuple[int, str, str, tuple[Any, ...]]:
    return time_ns, actor, "wakes", ()


def test_a_host_that_is_given_up_is_waited_for_no_more_and_what_it_told_stays() -> None:
    gather = Gather(History(), {"east": ["alice"], "north": ["bob"], "west": ["carol"]}, [])
    assert gather.take("east", 5, msgpack.packb(entry(3)) + msgpack.packb(entry(9))) == []
    assert gather.take("north", 20, msgpack.packb(entry(9, "bob"))) == []
    gather.give_up("east")
    assert gather.take("west", 12, msgpack.packb(entry(4, "carol"))) == [
        entry(3),
        entry(4, "carol"),
        entry(9),
        entry(9, "bob"),
    ]
    assert gather.now_ns == 12


def test_what_all_write_alike_is_there_once_whoever_is_given_up() -> None:
    gather = Gather(History(), {"east": ["alice"], "north": ["bob"], "west": ["carol"]}, [])
    pieces = [msgpack.packb(entry(time_ns, ACTOR)) for time_ns in (3, 9, 15, 30)]
    found = gather.take("east", 20, b"".join(pieces[:3]))
    found += gather.take("north", 10, b"".join(pieces[:2]))
    found += gather.take("west", 5, pieces[0])
    assert found == [entry(3, ACTOR)]
    gather.give_up("east")  # north was behind it, and is ahead of west
    found += gather.take("west", 10, pieces[1])
    assert found == [entry(3, ACTOR), entry(9, ACTOR)]
    gather.give_up("north")
    found += gather.take("west", 40, pieces[2] + pieces[3])
    assert found == [entry(time_ns, ACTOR) for time_ns in (3, 9, 15, 30)]


def test_a_piece_may_be_cut_anywhere() -> None:
    gather = Gather(History(), {"east": ["alice"]}, [])
    piece = b"".join(msgpack.packb((time_ns, "alice", "wakes", ("x" * 40,))) for time_ns in range(5))
    for start in range(0, len(piece), 7):
        gather.take("east", 0, piece[start : start + 7])
    assert [entry[0] for entry in gather.finish()] == list(range(5))


WRONG = {
    "no MessagePack": b"\xc1",
    "a number": b"\x01",
    "a map": msgpack.packb({"a": 1}),
    "too short": msgpack.packb((5, "alice", "wakes")),
    "too long": msgpack.packb((5, "alice", "wakes", (), ())),
    "a time that is no number": msgpack.packb(("5", "alice", "wakes", ())),
    "a time that is no whole number": msgpack.packb((5.5, "alice", "wakes", ())),
    "a time that is a truth": msgpack.packb((True, "alice", "wakes", ())),
    "what is not its to tell": msgpack.packb((5, "bob", "wakes", ())),
    "nobody": msgpack.packb((5, None, "wakes", ())),
    "no kind": msgpack.packb((5, "alice", b"wakes", ())),
    "no fields": msgpack.packb((5, "alice", "wakes", None)),
    "the past": msgpack.packb((5, "alice", "wakes", ())) + msgpack.packb((4, "alice", "wakes", ())),
    "before what it has said": msgpack.packb((1, "alice", "wakes", ())),
    "deep nesting": b"\x91" * 100_000,
    "bad text": b"\x94\x05\xa1\xff\xa1a\x90",
    "a length beyond all bounds": b"\xdd\xff\xff\xff\xff",
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_piece_of_history_is_refused(what: str) -> None:
    gather = Gather(History(), {"east": ["alice"], "west": ["bob"]}, [])
    gather.take("east", 3, b"")
    with pytest.raises(WireError):
        gather.take("east", 9, WRONG[what])


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (1, 2, "x"),
        (1, 2, "x", ()),
        (1, 2, "x", 5),
        (1, 2, "x", ({},)),
        (1, 2, "x", ("gather-greeting", "one")),
        (1, 2, "x", ("gather-greeting",)),
    ],
)
def test_a_message_that_is_none_is_refused(fields: tuple[Any, ...]) -> None:
    history = History()
    gather = Gather(history, {"east": ["alice"]}, [Greeting])
    with pytest.raises(WireError, match="a message to alice that is none"):
        gather.add((5, "alice", "message", fields))
    assert history.counts == {}


def test_messages_that_nobody_observes_need_not_be_known() -> None:
    history = History()
    Gather(history, {"east": ["alice"]}, [Greeting]).add((5, "alice", "message", (1, 2, "x", ("from-the-future", 5))))
    assert history.counts == {"message": 1}


def test_a_pair_that_was_not_shown_is_refused() -> None:
    witness = Witness()
    witness.put("alice", truth_of(1))
    witness.snapshot(("alice", 0, 1))
    for name in ("alice", "bob"):
        with pytest.raises(WireError, match=f"a pair of {name} that it has not shown"):
            witness.snapshot((name, 0, 1))


@pytest.mark.parametrize(
    "data",
    [
        ([], None, [], []),
        ([1.0] * 4, None, [(MEMORY, 0, 0)] * 2, [1.0, 1.0]),
        ([1.0] * 16, None, [(MEMORY, 0, 0)] * 2, [1.0]),
        ([1.0] * 16, (0, 4), [(MEMORY, 0, 0)] * 2, [1.0, 1.0]),
        ([1.0] * 16, (-1, 0), [(MEMORY, 0, 0)] * 2, [1.0, 1.0]),
        ([1.0] * 4, None, [(("memory", []), 0, 0)], [1.0]),
        ([1.0], None, [(MEMORY, 0, 0)] * 1_000_000, [1.0] * 1_000_000),
    ],
)
def test_what_cannot_be_true_of_a_pair_is_refused(data: SnapshotData) -> None:
    with pytest.raises(WireError):
        Witness().put("alice", data)


def test_whoever_tells_too_much_at_once_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenarios.hosts.gather.MOST_ENTRIES", 10)
    monkeypatch.setattr("scenarios.hosts.gather.MOST_VIEWS", 3)
    gather, witness = Gather(History(), {"east": ["alice"], "west": ["bob"]}, []), Witness()
    record = msgpack.packb((5, "alice", "wakes", ()))
    gather.take("east", 0, 10 * record)
    with pytest.raises(WireError, match="it has told of 11 records"):
        gather.take("east", 0, record)
    for number in range(3):
        witness.put("alice", truth_of(number))
    with pytest.raises(WireError, match="it shows 3 pairs of alice that it has not recorded"):
        witness.put("alice", truth_of(4))
