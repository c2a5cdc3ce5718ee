"""A station with many arms and few analysers: who is served when, by real messages in emulated time."""

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from emulator import (
    MS,
    PERFECT,
    Actor,
    Bank,
    Begin,
    Envelope,
    Handler,
    Herald,
    Message,
    Network,
    Paused,
    Port,
    QuantumMemory,
    S,
    Stopped,
    TimedOut,
    Unknown,
)
from links import AbstractLink, Arm, Fixed, HeraldedStateModel, HeraldingStation, Switch

ARM_NS = 50_000
PERIOD_NS = 2 * ARM_NS
DEAD_NS, SLOT_NS = MS, 5 * MS
NEVER = AbstractLink(1e-12, 1.0).model()
ALWAYS = AbstractLink(1.0, 1.0).model()
NAMES = ("alice", "bob", "carol", "dave", "erin", "frank")


@dataclass(frozen=True)
class Circuit:
    """A label, the two nodes that want pairs under it, and how."""

    label: str
    nodes: tuple[str, str]
    share: float = 0.0
    lanes: int = 1
    start_ns: int = 1
    again: bool = False


class End(Actor):
    """A node that offers memory for its circuits, notes what it is told, and frees what it gets."""

    def __init__(self, name: str, memory: QuantumMemory, circuits: list[Circuit], patience_ns: int) -> None:
        super().__init__(name)
        self.memory = memory
        self.circuits = {circuit.label: circuit for circuit in circuits}
        self.port = Port("station", "link", patience_ns=patience_ns)
        self.log: list[tuple[int, Message]] = []
        self.labels: dict[int, str] = {}
        self.closing = False

    def begin(self) -> None:
        for circuit in self.circuits.values():
            self.memory.reserve("link", (circuit.label, "peer"), circuit.lanes)
            self.after(circuit.start_ns, self.fill, circuit.label)

    def fill(self, label: str) -> None:
        if not self.closing:
            self.port.fill((label, "peer"), self.memory, self.send, share=self.circuits[label].share)
            self.labels.update({number: session.label for number, session in self.port.sessions.items()})

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {
            Begin: self.on_begin,
            Paused: self.on_paused,
            Herald: self.on_end,
            TimedOut: self.on_end,
            Stopped: self.on_end,
            Unknown: self.on_end,
        }

    def on_begin(self, message: Begin, envelope: Envelope) -> None:
        self.log.append((self.now_ns, message))
        self.port.begun(message)

    def on_paused(self, message: Paused, envelope: Envelope) -> None:
        self.log.append((self.now_ns, message))
        self.port.paused(message.session, self.now_ns)

    def on_end(self, message: Herald | TimedOut | Stopped | Unknown, envelope: Envelope) -> None:
        self.log.append((self.now_ns, message))
        session = self.port.ended(message.session, self.now_ns)
        if session is not None:
            self.memory.free(session.qubit)
            if self.circuits[session.label].again:
                self.fill(session.label)

    def stop(self, label: str) -> None:
        self.port.withdraw(label, self.send)

    def close(self) -> None:
        self.closing = True
        for label in self.circuits:
            self.stop(label)

    def neighbour_began(self, name: str) -> None:
        self.port.withdraw_all(self.send)

    def lose(self) -> None:
        self.memory.lose()
        self.port.lose()

    def held(self) -> Mapping[str, int]:
        return {"positions": self.memory.in_use, "sessions": len(self.port.sessions)}

    def told(self, label: str, *kinds: type[Message]) -> list[Any]:
        return [entry for entry in self.log if isinstance(entry[1], kinds) and self.labels[entry[1].session] == label]


@dataclass
class Star:
    """A station amid its nodes."""

    model: HeraldedStateModel
    circuits: list[Circuit]
    analysers: int = 1
    patience_ns: int = 0
    dead_ns: int = DEAD_NS
    slot_ns: int = SLOT_NS
    seed: int = 1
    busy: list[int] = field(default_factory=list)  # how many matches were served, whenever that changed
    crashes: bool = False

    def __post_init__(self) -> None:
        self.network = Network(seed=self.seed, keep_history=True)
        engine = self.network.engine
        self.ends = {
            name: End(
                name,
                QuantumMemory(engine, name, {"link": Bank(40, PERFECT)}),
                [circuit for circuit in self.circuits if name in circuit.nodes],
                self.patience_ns,
            )
            for name in NAMES
        }
        arms = [Arm(name, ARM_NS) for name in NAMES]
        switch = Switch(self.analysers, self.dead_ns, self.slot_ns)
        self.station = HeraldingStation("station", engine, Fixed(self.model), arms, switch=switch)
        for actor in (*self.ends.values(), self.station):
            self.network.add(actor, restart_after_ns=100)
        for name in NAMES:
            self.network.connect(name, "station", latency_ns=ARM_NS)
        self.served: list[Any] = []
        for name, note in (("begin", self.nobody), ("_attempt", self.granted), ("_release_analyser", self.released)):
            self.note_before(name, note)

    def note_before(self, name: str, note: Callable[..., None]) -> None:
        plain = getattr(self.station, name)

        def noted(*args: Any) -> None:
            note(*args)
            plain(*args)

        setattr(self.station, name, noted)

    def nobody(self) -> None:
        self.served.clear()

    def granted(self, match: Any, *_: Any) -> None:
        self.served.append(match)
        self.busy.append(len(self.served))

    def released(self, match: Any) -> None:
        self.served.remove(match)

    def at(self, time_ns: int, fn: Callable[..., object], *args: Any) -> None:
        self.network.timeline.at(time_ns, fn, *args)

    def run(self, for_ns: int = 100 * MS) -> None:
        self.leaks = self.network.run(for_ns=for_ns).leaks
        assert self.leaks == {}
        assert self.crashes or "crashes" not in self.network.history.counts
        assert max(self.busy, default=0) <= self.analysers
        assert not self.station._waiting
        assert self.station._analysers is not None
        assert self.station._analysers.waiting == 0

    def told(self, label: str, *kinds: type[Message], side: int = 0) -> list[Any]:
        (circuit,) = (c for c in self.circuits if c.label == label)
        return self.ends[circuit.nodes[side]].told(label, *kinds)


AB, CD, EF = ("alice", "bob"), ("carol", "dave"), ("erin", "frank")
MET_NS = 1 + ARM_NS


# -- analysers and their switching ---------------------------------------------------------------------------------


@pytest.mark.parametrize("analysers", [1, 2, 3])
def test_there_are_never_more_matches_at_once_than_analysers(analysers: int) -> None:
    pairs = [AB, CD, EF, ("alice", "carol"), ("bob", "erin")]
    circuits = [Circuit(f"c{k}", nodes, lanes=2, again=True) for k, nodes in enumerate(pairs)]
    star = Star(AbstractLink(0.05, 1.0).model(), circuits, analysers)
    star.run(300 * MS)
    assert max(star.busy) == analysers
    assert all(star.told(circuit.label, Herald) for circuit in circuits)


def test_an_analyser_needs_time_to_be_switched_and_none_to_stay() -> None:
    star = Star(ALWAYS, [Circuit("c", AB, again=True)])
    star.run(20 * MS)
    begins = [begin.first_emission_ns for _, begin in star.told("c", Begin)]
    assert begins[0] == MET_NS + DEAD_NS + ARM_NS
    # herald and new Start: one way each; then the attempt
    assert {later - earlier for earlier, later in pairwise(begins)} == {PERIOD_NS + 2 * ARM_NS}


def test_an_analyser_that_is_set_already_is_taken_first() -> None:
    star = Star(ALWAYS, [Circuit("ab", AB, again=True), Circuit("cd", CD, again=True)], analysers=2)
    star.run(20 * MS)
    for label in ("ab", "cd"):
        begins = [begin.first_emission_ns for _, begin in star.told(label, Begin)]
        assert begins[0] == MET_NS + DEAD_NS + ARM_NS
        assert {later - earlier for earlier, later in pairwise(begins)} == {PERIOD_NS + 2 * ARM_NS}


def test_two_pairs_of_arms_in_turn_pay_for_switching_each_time() -> None:
    star = Star(ALWAYS, [Circuit("ab", AB, again=True), Circuit("cd", CD, again=True)])
    star.run(50 * MS)
    begins = [b.first_emission_ns for label in ("ab", "cd") for _, b in star.told(label, Begin)]
    assert {later - earlier for earlier, later in pairwise(sorted(begins))} == {PERIOD_NS + DEAD_NS}


# -- slots ---------------------------------------------------------------------------------------------------------


def test_a_match_goes_on_after_its_slot_when_nobody_waits() -> None:
    star = Star(NEVER, [Circuit("c", AB)])
    star.run(200 * MS)
    assert [type(message) for _, message in star.told("c", Message)] == [Begin, Stopped]


def test_a_match_is_paused_at_the_end_of_its_slot_when_others_wait_and_begins_again() -> None:
    star = Star(NEVER, [Circuit("ab", AB), Circuit("cd", CD, start_ns=2)])
    star.run(40 * MS)
    turn_ns = DEAD_NS + SLOT_NS
    for k, label in enumerate(("ab", "cd")):
        for side in (0, 1):
            log = [entry for entry in star.told(label, Begin, Paused, side=side) if entry[0] < 40 * MS]
            assert [type(message) for _, message in log] == [Begin, Paused] * (len(log) // 2) + [Begin] * (len(log) % 2)
            begun = [time_ns for time_ns, message in log if isinstance(message, Begin)]
            paused = [time_ns for time_ns, message in log if isinstance(message, Paused)]
            first_ns = MET_NS + ARM_NS + k * turn_ns
            assert begun == [first_ns + 2 * n * turn_ns for n in range(len(begun))]
            assert paused == [first_ns + (2 * n + 1) * turn_ns for n in range(len(paused))]
            assert len(paused) >= 3


def test_a_match_that_overstayed_gives_way_at_once() -> None:
    star = Star(NEVER, [Circuit("ab", AB), Circuit("cd", CD, start_ns=33 * MS)])
    star.run(60 * MS)
    arrived_ns = 33 * MS + ARM_NS
    assert star.told("ab", Paused)[0][0] == star.told("cd", Begin)[0][0] == arrived_ns + ARM_NS
    assert star.told("cd", Begin)[0][1].first_emission_ns == arrived_ns + DEAD_NS + ARM_NS


@pytest.mark.parametrize("patience", [30, 77, 200])
def test_pauses_take_nothing_off_the_patience_and_the_port_counts_right(patience: int) -> None:
    circuits = [Circuit("ab", AB), Circuit("cd", CD), Circuit("ef", EF)]
    star = Star(NEVER, circuits, patience_ns=patience * PERIOD_NS)
    star.run(300 * MS)
    for circuit in circuits:
        for side, name in enumerate(circuit.nodes):
            log = star.told(circuit.label, Begin, Paused, TimedOut, side=side)
            assert isinstance(log[-1][1], TimedOut)
            port = star.ends[name].port
            emitted = sum(
                max(0, -(-(end_ns - begin.first_emission_ns) // PERIOD_NS))
                for (_, begin), (end_ns, _) in zip(log[::2], log[1::2], strict=True)
            )
            assert port.attempts(10**12) == emitted
            # A pause may cut one attempt short, which counts as a photon but not off the patience.
            pauses = len(star.told(circuit.label, Paused, side=side))
            assert patience <= emitted <= patience + pauses


# -- withdrawal and crashes ----------------------------------------------------------------------------------------


def test_who_withdraws_while_waiting_is_never_served() -> None:
    star = Star(NEVER, [Circuit("ab", AB), Circuit("cd", CD), Circuit("ef", EF)])
    star.at(2 * MS, star.ends["carol"].stop, "cd")
    star.run(60 * MS)
    assert star.told("cd", Begin) == star.told("cd", Begin, side=1) == []
    assert star.told("cd", Stopped)[0][0] == 2 * MS + 2 * ARM_NS
    assert len(star.told("ef", Begin)) >= 3


def test_who_withdraws_while_served_makes_room_at_once() -> None:
    star = Star(NEVER, [Circuit("ab", AB), Circuit("cd", CD, start_ns=2)])
    star.at(2 * MS, star.ends["alice"].stop, "ab")
    star.run(60 * MS)
    assert [time_ns for time_ns, _ in star.told("cd", Begin)] == [2 * MS + 2 * ARM_NS]
    assert star.told("cd", Paused) == []


def test_a_node_that_crashed_makes_room_and_is_served_again() -> None:
    star = Star(NEVER, [Circuit("ab", AB), Circuit("cd", CD, start_ns=2)], crashes=True)
    star.at(2 * MS, star.network.crash, "alice")
    star.run(60 * MS)
    back_ns = 2 * MS + 100 + ARM_NS  # the greeting of her new life
    assert star.told("cd", Begin)[0][0] == back_ns + ARM_NS
    assert len(star.told("ab", Begin)) >= 3


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_nothing_is_left(seed: int) -> None:
    rng = random.Random(seed)
    pairs = [AB, CD, EF, ("alice", "carol"), ("bob", "erin"), ("alice", "dave")]
    circuits = [
        Circuit(
            f"c{k}",
            nodes,
            share=rng.choice([0.0, 0.0, 0.1, 0.3]),
            lanes=rng.randint(1, 3),
            start_ns=rng.randint(1, 5 * MS),
            again=rng.random() < 0.7,
        )
        for k, nodes in enumerate(pairs)
    ]
    p = rng.choice([1e-4, 0.02, 0.3, 1.0])
    patience_ns = rng.choice([0, 1, PERIOD_NS * rng.randint(1, 200)])
    dead_ns = rng.choice([0, MS, 7 * MS])
    star = Star(AbstractLink(p, 1.0).model(), circuits, rng.randint(1, 4), patience_ns, dead_ns, seed, crashes=True)
    for _ in range(40):
        circuit = rng.choice(circuits)
        end = star.ends[rng.choice(circuit.nodes)]
        star.at(rng.randint(0, 60 * MS), rng.choice([end.stop, end.fill]), circuit.label)
    for _ in range(seed % 5):
        star.at(rng.randint(0, 50 * MS), star.network.crash, rng.choice([*NAMES, "station"]))
    star.run(60 * MS)
    for end in star.ends.values():
        numbers = [message.sequence for _, message in end.log if isinstance(message, Herald)]
        assert len(set(numbers)) == len(numbers)


# -- shares --------------------------------------------------------------------------------------------------------


def test_two_labels_get_pairs_in_proportion_to_their_shares() -> None:
    """Two shares of 0.6 and 0.3, and best effort, which takes its part of the tenth that is left over."""
    circuits = [
        Circuit("much", AB, share=0.6, lanes=3, again=True),
        Circuit("less", CD, share=0.3, lanes=3, again=True),
        Circuit("rest", EF, lanes=3, again=True),
    ]
    star = Star(AbstractLink(0.01, 1.0).model(), circuits, dead_ns=0, seed=3)
    star.run(60 * S)
    pairs = Counter({circuit.label: len(star.told(circuit.label, Herald)) for circuit in circuits})
    total = pairs.total()
    assert total > 5_000
    for label, share in (("much", 0.6), ("less", 0.3)):
        # 3.3 standard deviations: 99.9 %; the left-over tenth goes to all in turn
        margin = 3.3 * math.sqrt(share * (1 - share) / total)
        assert share - margin <= pairs[label] / total <= share + 0.1 + margin
    assert pairs["rest"] > 0


@pytest.mark.parametrize(("slot_ns", "dead_ns"), [(SLOT_NS, 0), (MS, 2 * MS)])
def test_a_small_share_takes_nothing_from_a_great_one_however_long_switching_takes(slot_ns: int, dead_ns: int) -> None:
    circuits = [
        Circuit("small", AB, share=0.05, lanes=3, again=True),
        Circuit("great", CD, share=0.9, lanes=3, again=True),
    ]
    star = Star(AbstractLink(0.01, 1.0).model(), circuits, dead_ns=dead_ns, slot_ns=slot_ns, seed=3)
    star.run(10 * S)
    pairs = {circuit.label: len(star.told(circuit.label, Herald)) for circuit in circuits}
    total = sum(pairs.values())
    # 3.3 standard deviations: 99.9 %
    assert pairs["great"] / total >= 0.9 - 3.3 * math.sqrt(0.09 / total)
    assert pairs["small"] > 0


@pytest.mark.parametrize(("slot_ns", "dead_ns"), [(PERIOD_NS // 20, 0), (1, 0), (1, PERIOD_NS)])
def test_slots_that_are_shorter_than_an_attempt_break_no_share(slot_ns: int, dead_ns: int) -> None:
    """Whoever is served has one attempt at least; so that is what a slot really is."""
    circuits = [
        Circuit("small", AB, share=0.05, lanes=3, again=True),
        Circuit("great", CD, share=0.7, lanes=3, again=True),
        Circuit("rest", EF, lanes=3, again=True),
    ]
    star = Star(AbstractLink(0.5, 1.0).model(), circuits, dead_ns=dead_ns, slot_ns=slot_ns, seed=3)
    star.run(2 * S)
    pairs = {circuit.label: len(star.told(circuit.label, Herald)) for circuit in circuits}
    total = sum(pairs.values())
    assert total > 5_000
    # 3.3 standard deviations: 99.9 %
    assert pairs["great"] / total >= 0.7 - 3.3 * math.sqrt(0.21 / total)
    assert pairs["small"] / total >= 0.05 - 3.3 * math.sqrt(0.0475 / total)


def test_who_withdraws_while_served_leaves_a_partner_that_rests() -> None:
    star = Star(NEVER, [Circuit("ab", AB)])
    star.at(2 * MS, star.ends["alice"].stop, "ab")
    star.run(60 * MS)
    assert [time_ns for time_ns, _ in star.told("ab", Paused, side=1)] == [2 * MS + 2 * ARM_NS]
    assert star.told("ab", Paused) == []


def test_who_overstayed_on_what_was_left_over_does_not_pay_for_it() -> None:
    star = Star(NEVER, [Circuit("share", AB, share=0.5, lanes=3), Circuit("rest", CD, lanes=3, start_ns=S)])
    star.run(S + 60 * MS)
    begun = [time_ns for time_ns, _ in star.told("share", Begin) if time_ns > S]
    assert len(begun) >= 3  # of about nine turns
