"""Distillation at both ends of a circuit as state machines, with events in any order that the wires allow.

Messages keep their order in each direction. Pairs reach each end in any order, operations take any time, and the
tear-down begins at any moment; its news travels behind all messages that were sent before.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import MS, UNBIASED, UNDISTURBED, UNKNOWN, Half, Message, PairId
from nodes.circuits import (
    EAST,
    Distil,
    DistilHead,
    Distilled,
    DistilRole,
    DistilTail,
    Meeting,
    Reading,
    Release,
    Track,
)
from nodes.distillation import (
    BBPSSW,
    DEJMPS,
    EPL,
    NOISELESS,
    PROTOCOLS,
    Gates,
    Protocol,
    contrasts_of,
    weights_of,
)

CIRCUIT = "c"
HEAD, TAIL = 0, 1
SCRIPT = st.lists(st.integers(0, (1 << 16) - 1), max_size=150)
RUNS = settings(derandomize=True, deadline=None, max_examples=250, database=None)
Name = tuple[PairId, PairId]


def half_of(end: int, number: int) -> PairId:
    return (f"link at end {end}", number)


def name_of(number: int) -> Name:
    return half_of(HEAD, number), half_of(TAIL, number)


class Circuit:
    """Both ends of a circuit, the wires between them, and what has become of each half."""

    def __init__(self, protocol: Protocol, rounds: int, *, lanes: int | None = None, luck: bool = False) -> None:
        self.protocol, self.rounds, self.lanes, self.luck = protocol, rounds, lanes, luck
        self.roles: list[DistilRole] = [
            DistilHead(CIRCUIT, protocol, rounds, _Actions(self, HEAD)),
            DistilTail(CIRCUIT, protocol, rounds, _Actions(self, TAIL)),
        ]
        self.wires: list[deque[Message]] = [deque(), deque()]  # to the head-end, to the tail-end
        self.born = 0
        self.bells: dict[int, int] = {}
        self.arriving: list[list[int]] = [[], []]
        self.operating: list[list[Meeting]] = [[], []]
        self.alive: list[set[PairId]] = [set(), set()]
        self.ended: list[dict[PairId, int | None]] = [{}, {}]  # the Bell index with which a half was handed on
        self.read: dict[Name, tuple[int, int]] = {}
        self.choices = random.Random(1)
        self.seen: Counter[str] = Counter()

    def post(self, end: int, message: Message) -> None:
        self.wires[end].append(message)

    # -- what may happen -------------------------------------------------------------------------------------------

    def birth(self, bell: int) -> None:
        """Let there be a pair; it reaches each end later."""
        self.bells[self.born] = bell
        for end in (HEAD, TAIL):
            self.arriving[end].append(self.born)
            self.alive[end].add(half_of(end, self.born))
        self.born += 1

    def arrive(self, end: int, index: int) -> None:
        number = self.arriving[end].pop(index)
        mine, far = half_of(end, number), half_of(1 - end, number)
        self.seen["late pair"] += self.roles[end].stopping
        track = Track(CIRCUIT, far, mine, self.bells[number], 0, UNKNOWN, UNBIASED, UNDISTURBED, None, 0, (), -1)
        self.roles[end].pair(Half(mine, 0, None, 0), track)

    def receive(self, end: int) -> None:
        message = self.wires[end].popleft()
        if isinstance(message, Release):
            self.roles[end].stop()
        else:
            assert isinstance(message, (Distil, Distilled))
            self.seen[f"{type(message).__name__} after stop"] += self.roles[end].stopping
            before = len(self.operating[end])
            self.roles[end].word(message)
            self.seen["waits for a pair"] += end == TAIL and len(self.operating[end]) == before
        self.check_waiting()

    def finish_operation(self, end: int, index: int, outcome: int) -> None:
        meeting = self.operating[end].pop(index)
        self.roles[end].operated(meeting, Reading(outcome))
        self.check_waiting()

    def stop(self) -> None:
        self.roles[HEAD].stop()
        self.post(TAIL, Release(CIRCUIT))

    def step(self, choice: int, *, births: bool = True) -> bool:
        """Let one of the things happen that may happen now; return False if there are none."""
        kinds = ["birth"] * (births and self.may_be_born())
        kinds += [f"receive {end}" for end in (HEAD, TAIL) if self.wires[end]]
        kinds += [f"arrive {end}" for end in (HEAD, TAIL) if self.arriving[end]]
        kinds += [f"operate {end}" for end in (HEAD, TAIL) if self.operating[end]]
        if not kinds:
            return False
        choice, kind = divmod(choice, len(kinds))
        what, _, where = kinds[kind].partition(" ")
        if what == "birth":
            self.birth(choice % 4)
        elif what == "receive":
            self.receive(int(where))
        elif what == "arrive":
            self.arrive(int(where), choice % len(self.arriving[int(where)]))
        else:
            end = int(where)
            index = choice % len(self.operating[end])
            self.finish_operation(end, index, self.outcome(end, self.operating[end][index], choice))
        return True

    def outcome(self, end: int, meeting: Meeting, choice: int) -> int:
        """Return any outcome; with luck, one with which the pair is kept."""
        if not self.luck:
            return choice // 7 % 9 % 2 if choice // 7 % 9 < 8 else -1
        bells = meeting.kept.track.bell, meeting.spent.track.bell
        verdict = self.protocol.verdict
        kept = [both for both in product((0, 1), repeat=2) if verdict(bells, meeting.turns, both) is not None]
        return kept[0][end]

    def may_be_born(self) -> bool:
        return self.lanes is None or all(len(alive) < self.lanes for alive in self.alive)

    def drain(self, seed: int) -> None:
        order = random.Random(seed)
        for _ in range(20_000):
            if not self.step(order.randrange(1 << 16), births=False):
                return
        raise AssertionError("it never comes to rest")

    # -- what must be true -----------------------------------------------------------------------------------------

    def check_waiting(self) -> None:
        head = self.roles[HEAD]
        assert isinstance(head, DistilHead)
        assert len(head._waiting) <= self.rounds, "at most one pair of each round waits"

    def check_over(self) -> None:
        for end in (HEAD, TAIL):
            assert self.roles[end].pending == 0
            assert self.alive[end] == set()
            assert set(self.ended[end]) == {half_of(end, number) for number in range(self.born)}
        for number in range(self.born):
            head, tail = name_of(number)
            assert self.ended[HEAD][head] == self.ended[TAIL][tail], "both ends hand on the same, or neither"

    @property
    def handed_on(self) -> int:
        return sum(bell is not None for bell in self.ended[HEAD].values())


class _Actions:
    def __init__(self, circuit: Circuit, end: int) -> None:
        self._circuit = circuit
        self._end = end

    def send(self, side: int, message: Message) -> None:
        assert (side == EAST) == (self._end == HEAD)
        self._circuit.post(1 - self._end, message)

    def choose(self, n: int) -> int:
        assert self._end == HEAD
        return self._circuit.choices.randrange(n)

    def operate(self, meeting: Meeting) -> None:
        alive = self._circuit.alive[self._end]
        assert {meeting.kept.half.pair, meeting.spent.half.pair} <= alive
        assert meeting.kept is not meeting.spent
        self._circuit.operating[self._end].append(meeting)
        self._circuit.seen[f"round {meeting.round}"] += 1

    def hand_on(self, half: Half, track: Track) -> None:
        self._finish(half, track.bell)

    def free(self, half: Half) -> None:
        self._finish(half, None)

    def _finish(self, half: Half, bell: int | None) -> None:
        self._circuit.alive[self._end].remove(half.pair)
        self._circuit.ended[self._end][half.pair] = bell


@pytest.mark.parametrize("name", PROTOCOLS)
@given(
    rounds=st.integers(1, 4),
    luck=st.booleans(),
    script=SCRIPT,
    more=st.integers(0, 200),
    stop_at=st.integers(0, 300),
    seed=st.integers(0, 999),
)
@RUNS
def test_both_ends_hand_on_the_same_pairs_in_the_same_bell_states_whatever_the_order_of_events(
    name: str, rounds: int, script: list[int], more: int, stop_at: int, seed: int, *, luck: bool
) -> None:
    circuit = Circuit(PROTOCOLS[name], rounds, luck=luck)
    order = random.Random(seed)
    script = script + [order.randrange(1 << 16) for _ in range(more)]
    for choice in script[:stop_at]:
        circuit.step(choice)
    if stop_at > len(script):
        circuit.drain(seed)
    circuit.stop()
    for choice in script[stop_at:]:
        circuit.step(choice)
    circuit.drain(seed)
    circuit.check_over()


@given(rounds=st.integers(1, 4), pairs=st.integers(0, 40), seed=st.integers(0, 999))
@RUNS
def test_with_luck_a_pair_is_handed_on_for_every_2_to_the_power_of_rounds(rounds: int, pairs: int, seed: int) -> None:
    circuit = Circuit(DEJMPS, rounds, luck=True)
    for number in range(pairs):
        circuit.birth(number % 4)
    circuit.drain(seed)
    assert circuit.handed_on == pairs // 2**rounds
    circuit.stop()
    circuit.drain(seed)
    circuit.check_over()


@pytest.mark.parametrize("luck", [True, False])
@given(rounds=st.integers(1, 3), seed=st.integers(0, 9999))
@settings(RUNS, max_examples=30)
def test_one_lane_more_than_rounds_is_enough_for_pairs_to_keep_coming(rounds: int, seed: int, *, luck: bool) -> None:
    circuit = Circuit(BBPSSW, rounds, lanes=rounds + 1, luck=luck)
    order = random.Random(seed)
    steps = 0
    while circuit.handed_on < 3:
        assert circuit.step(order.randrange(1 << 16)), "deadlock"
        steps += 1
        assert steps < 200_000
    circuit.stop()
    circuit.drain(seed)
    circuit.check_over()


def test_as_many_lanes_as_rounds_are_not_enough() -> None:
    circuit = Circuit(DEJMPS, 2, lanes=2, luck=True)
    while circuit.step(0):
        pass
    assert circuit.handed_on == 0


@given(script=SCRIPT)
@settings(RUNS, max_examples=50)
def test_pairs_of_unlike_rounds_never_meet(script: list[int]) -> None:
    circuit = Circuit(DEJMPS, 3, luck=True)
    rounds: dict[Name, int] = {}
    for choice in script:
        circuit.step(choice)
        for meeting in circuit.operating[HEAD]:
            assert rounds.get(meeting.spent.name, 0) == meeting.round
            assert rounds.get(meeting.kept.name, 0) in {meeting.round, meeting.round + 1}
            rounds[meeting.kept.name] = meeting.round + 1  # as luck has it


def test_the_random_orders_meet_every_race() -> None:
    seen: Counter[str] = Counter()
    for seed in range(300):
        order = random.Random(seed)
        circuit = Circuit(EPL if seed % 2 else DEJMPS, 1 + seed % 3, luck=bool(seed & 4))
        for _ in range(order.randrange(120)):
            circuit.step(order.randrange(1 << 16))
        circuit.stop()
        circuit.drain(seed)
        circuit.check_over()
        seen += circuit.seen
        seen["handed on"] += circuit.handed_on
    expected = {"late pair", "waits for a pair", "Distilled after stop", "round 0", "round 1", "round 2", "handed on"}
    assert expected <= set(seen)
    assert min(seen[what] for what in expected) > 20
    assert "Distil after stop" not in seen


class Scripted:
    """One end of a circuit, and a list of what it does."""

    def __init__(self, role: type[DistilRole], protocol: Protocol = DEJMPS, rounds: int = 1) -> None:
        self.done: list[Any] = []
        self.meetings: list[Meeting] = []
        self.role = role(CIRCUIT, protocol, rounds, self)
        self.end = HEAD if role is DistilHead else TAIL

    def send(self, side: int, message: Message) -> None:
        self.done.append(message)

    def choose(self, n: int) -> int:
        return n - 1

    def operate(self, meeting: Meeting) -> None:
        self.meetings.append(meeting)

    def hand_on(self, half: Half, track: Track) -> None:
        self.done.append(("hand on", half.pair[1], track.bell))

    def free(self, half: Half) -> None:
        self.done.append(("free", half.pair[1]))

    def pair(self, number: int, bell: int = 0) -> None:
        mine, far = half_of(self.end, number), half_of(1 - self.end, number)
        self.role.pair(
            Half(mine, 0, None, 0), Track(CIRCUIT, far, mine, bell, 0, UNKNOWN, UNBIASED, UNDISTURBED, None, 0, (), -1)
        )

    def take(self) -> list[Any]:
        done, self.done = self.done, []
        return done


def distil(kept: int, spent: int, outcome: int, round_: int = 0) -> Distil:
    return Distil(CIRCUIT, name_of(kept), name_of(spent), round_, (0, 0), outcome, NOISELESS)


def distilled(kept: int, spent: int, outcome: int) -> Distilled:
    return Distilled(CIRCUIT, name_of(kept), name_of(spent), outcome, NOISELESS)


def test_the_head_end_spends_the_older_of_two_pairs_and_waits_for_the_answer() -> None:
    head = Scripted(DistilHead)
    head.pair(0)
    assert head.meetings == []
    head.pair(1, bell=2)
    (meeting,) = head.meetings
    assert (meeting.kept.name, meeting.spent.name) == (name_of(1), name_of(0))
    head.role.operated(meeting, Reading(1))
    assert head.take() == [("free", 0), distil(1, 0, 1)]
    assert head.role.pending == 1
    head.role.word(distilled(1, 0, 0))  # unlike outcomes, as befits a pair in Psi+ and one in Phi+
    assert head.take() == [("hand on", 1, 2)]
    assert head.role.pending == 0


def test_the_tail_end_waits_until_it_holds_both() -> None:
    tail = Scripted(DistilTail)
    tail.role.word(distil(1, 0, 1))
    tail.pair(1)
    tail.pair(2)
    assert (tail.meetings, tail.take()) == ([], [])
    tail.pair(0)
    tail.role.operated(tail.meetings[0], Reading(1))
    assert tail.take() == [("free", 0), distilled(1, 0, 1), ("hand on", 1, 0)]
    assert tail.role.pending == 1


@pytest.mark.parametrize("outcomes", [(0, 1), (-1, 1), (0, -1)])
def test_outcomes_that_do_not_fit_free_the_kept_pair_at_both_ends(outcomes: tuple[int, int]) -> None:
    head, tail = Scripted(DistilHead), Scripted(DistilTail)
    for number in (0, 1):
        head.pair(number)
        tail.pair(number)
    head.role.operated(head.meetings[0], Reading(outcomes[0]))
    tail.role.word(head.take()[-1])
    tail.role.operated(tail.meetings[0], Reading(outcomes[1]))
    answer = tail.take()[1:]
    assert answer == [distilled(1, 0, outcomes[1]), ("free", 1)]
    head.role.word(answer[0])
    assert head.take() == [("free", 1)]
    assert (head.role.pending, tail.role.pending) == (0, 0)


def test_the_estimate_of_a_kept_pair_counts_the_gates_of_both_ends_and_when_they_were() -> None:
    head = Scripted(DistilHead, rounds=2)
    for number in (0, 1):
        head.pair(number)
    kept, spent = (0.8, 0.6, 0.4), (0.7, 0.5, 0.3)
    mine, far = Gates((0.98, 0.97), 0.96, 0.9), Gates((0.99, 0.95), 0.94, 0.8)
    head.role.operated(head.meetings[0], Reading(0, 77, kept, spent, mine))
    head.role.word(Distilled(CIRCUIT, name_of(1), name_of(0), 0, far))
    head.pair(2)
    head.pair(3)
    head.role.operated(head.meetings[1], Reading(0))
    head.role.word(distilled(3, 2, 0))
    after = contrasts_of(DEJMPS.forecast(weights_of(kept), weights_of(spent), mine * far).weights)
    distilled_pair = head.meetings[2].spent
    assert distilled_pair.track.contrasts == after
    assert distilled_pair.half.counted_ns == 77
    assert abs(distilled_pair.track.bias[0]) == 1
    assert head.meetings[2].round == 1


def test_after_its_tear_down_the_head_end_begins_nothing_and_says_nothing() -> None:
    head = Scripted(DistilHead)
    for number in (0, 1, 2):
        head.pair(number)
    head.role.stop()
    assert head.take() == [("free", 2)]
    head.pair(3)
    assert head.take() == [("free", 3)]
    head.role.operated(head.meetings[0], Reading(0))
    assert head.take() == [("free", 0), ("free", 1)]
    assert head.role.pending == 0


def test_turns_are_drawn_for_each_pair_by_the_head_end_and_told_to_the_tail_end() -> None:
    head, tail = Scripted(DistilHead, BBPSSW), Scripted(DistilTail, BBPSSW)
    for number in (0, 1):
        head.pair(number)
        tail.pair(number)
    head.role.operated(head.meetings[0], Reading(0))
    tail.role.word(head.take()[-1])
    assert head.meetings[0].turns == tail.meetings[0].turns == (11, 11)


@pytest.mark.parametrize("protocol", [BBPSSW, DEJMPS], ids=["bbpssw", "dejmps"])
@given(seed=st.integers(0, 9999), rounds=st.integers(1, 2), pairs=st.integers(0, 16))
@RUNS
def test_both_ends_of_a_distillation_agree_whatever_the_channels_lose(
    machines: SimpleNamespace, *, protocol: Protocol, seed: int, rounds: int, pairs: int
) -> None:
    weather = machines.Weather(seed)
    rng = weather.rng
    circuit = Circuit(protocol, rounds, luck=bool(seed % 3))
    posts: list[Callable[[Message], None]] = []

    def taker(end: int) -> Callable[[Message], None]:
        def take(message: Message) -> None:
            circuit.wires[end].append(message)
            circuit.receive(end)
            operate()

        return take

    def operate() -> None:
        for end in (0, 1):
            for meeting in [m for m in circuit.operating[end] if m not in begun]:
                begun.append(meeting)
                weather.after(rng.randrange(1, 3 * MS), finish, end, meeting)

    def finish(end: int, meeting: Any) -> None:
        index = circuit.operating[end].index(meeting)
        circuit.finish_operation(end, index, circuit.outcome(end, meeting, rng.randrange(1 << 16)))
        operate()

    def arrive(end: int, number: int) -> None:
        circuit.arrive(end, circuit.arriving[end].index(number))
        operate()

    begun: list[Any] = []
    posts += [machines.post_over(weather, wire) for wire in machines.joined(weather, taker(0), taker(1))]
    circuit.post = lambda end, message: posts[1 - end](message)  # type: ignore[method-assign]
    for number in range(pairs):
        circuit.birth(rng.randrange(4))
        for end in (0, 1):
            weather.after(rng.randrange(1, 50 * MS), arrive, end, number)
    weather.after(rng.randrange(1, 80 * MS), circuit.stop)
    weather.run()
    circuit.check_over()
