"""Sessions between two nodes and a heralding station, by real messages in emulated time."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from emulator import (
    FULL,
    MS,
    PERFECT,
    Actor,
    Bank,
    Begin,
    BellState,
    Envelope,
    Handler,
    Herald,
    MemoryNoise,
    Message,
    Network,
    Noise,
    Paused,
    Port,
    QuantumMemory,
    QubitId,
    S,
    Start,
    Stop,
    Stopped,
    TimedOut,
    Unknown,
    encode,
)
from links.arms import Arm
from links.calibration import Fixed
from links.heralding import HeraldedState, HeraldedStateModel
from links.schemes.abstract import AbstractLink
from links.station import HeraldingStation

PSI_PLUS = HeraldedState((1.0, *(0.0,) * 4, 1.0, *(0.0,) * 4, 1.0, *(0.0,) * 4, -1.0), BellState.PSI_PLUS)
ARMS_NS = (30_000, 50_000)
PREPARATION_NS = 1_000
PERIOD_NS = PREPARATION_NS + 2 * 50_000
NEVER = AbstractLink(1e-12, 1.0).model()
ALWAYS = AbstractLink(1.0, 1.0).model()


class End(Actor):
    """An end of a link: offers memory, notes what it is told, keeps its qubits or frees them and offers again."""

    def __init__(
        self,
        name: str,
        peer: str,
        memory: QuantumMemory,
        lanes: Mapping[str, int],
        *,
        start_ns: int = 1,
        patience_ns: int = 0,
        again: bool = False,
    ) -> None:
        super().__init__(name)
        self.memory = memory
        self.peer = peer
        self.port = Port("station", "link", patience_ns=patience_ns)
        self.lanes, self.start_ns, self.again = lanes, start_ns, again
        self.log: list[tuple[int, Message]] = []
        self.qubits: dict[int, QubitId] = {}  # of each session
        self.labels: dict[int, str] = {}
        self.kept: dict[int, Any] = {}  # by pair
        self.closing = False

    def begin(self) -> None:
        for label, lanes in self.lanes.items():
            self.memory.reserve("link", (label, self.peer), lanes)
            self.after(self.start_ns, self.fill, label)

    def fill(self, label: str) -> None:
        if not self.closing:
            self.port.fill((label, self.peer), self.memory, self.send)
            for number, session in self.port.sessions.items():
                self.qubits[number], self.labels[number] = session.qubit.id, session.label

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {Begin: self.on_begin, Paused: self.on_paused} | dict.fromkeys(
            (Herald, TimedOut, Stopped, Unknown), self.on_end
        )

    def on_paused(self, message: Paused, envelope: Envelope) -> None:
        self.log.append((self.now_ns, message))
        self.port.paused(message.session, self.now_ns)

    def on_begin(self, message: Begin, envelope: Envelope) -> None:
        self.log.append((self.now_ns, message))
        self.port.begun(message)

    def on_end(self, message: Herald | TimedOut | Stopped | Unknown, envelope: Envelope) -> None:
        self.log.append((self.now_ns, message))
        session = self.port.ended(message.session, self.now_ns)
        if session is None:
            return
        if isinstance(message, Herald) and not self.again:
            self.kept[message.sequence] = session.qubit
            return
        self.memory.free(session.qubit)
        if self.again:
            self.fill(session.label)

    def stop(self, label: str) -> None:
        self.port.withdraw(label, self.send)

    def close(self) -> None:
        self.closing = True
        for label in self.lanes:
            self.stop(label)
        for qubit in self.kept.values():
            self.memory.free(qubit)

    def neighbour_began(self, name: str) -> None:
        self.port.withdraw_all(self.send)

    def lose(self) -> None:
        self.memory.lose()
        self.port.lose()
        self.kept.clear()

    def held(self) -> Mapping[str, int]:
        return {"positions": self.memory.in_use, "sessions": len(self.port.sessions)}

    def told(self, *kinds: type[Message]) -> list[Any]:
        return [entry for entry in self.log if isinstance(entry[1], kinds)]


@dataclass
class Link:
    """Alice, bob, and the station between them."""

    model: HeraldedStateModel
    alice: Mapping[str, Any] = field(default_factory=dict)
    bob: Mapping[str, Any] = field(default_factory=dict)
    arms_ns: tuple[int, int] = ARMS_NS
    preparation_ns: int = PREPARATION_NS
    noise: Noise = PERFECT
    seed: int = 1
    source: Any = None
    restart_after_ns: int = 100

    def __post_init__(self) -> None:
        self.network = Network(seed=self.seed, keep_history=True)
        self.engine = self.network.engine
        self.ends = tuple(
            End(
                name,
                peer,
                QuantumMemory(self.engine, name, {"link": Bank(40, self.noise)}),
                **({"lanes": {"c": 1}} | dict(settings)),
            )
            for name, peer, settings in (("alice", "bob", self.alice), ("bob", "alice", self.bob))
        )
        arms = [Arm(n, ns, self.preparation_ns) for n, ns in zip(("alice", "bob"), self.arms_ns, strict=True)]
        self.station = HeraldingStation("station", self.source or self.engine, Fixed(self.model), arms)
        for actor in (*self.ends, self.station):
            self.network.add(actor, restart_after_ns=self.restart_after_ns)
        for arm in arms:
            self.network.connect(arm.node, "station", latency_ns=arm.latency_ns)

    def at(self, time_ns: int, fn: Callable[..., object], *args: Any) -> None:
        self.network.timeline.at(time_ns, fn, *args)

    def run(self, for_ns: int = 100 * MS) -> tuple[End, End]:
        self.leaks = self.network.run(for_ns=for_ns).leaks
        assert "crashes" not in self.network.history.counts or self.expected_crashes
        return self.ends[0], self.ends[1]

    expected_crashes = False


# -- one session ---------------------------------------------------------------------------------------------------


def test_a_session_begins_and_heralds_after_the_light_time() -> None:
    link = Link(ALWAYS)
    alice, bob = link.run()
    met_ns = 1 + 50_000  # bob's Start has the longer way
    first_ns = {"alice": met_ns + PERIOD_NS - 30_000, "bob": met_ns + PERIOD_NS - 50_000}
    click_ns = met_ns + PERIOD_NS
    told = (link.model.contrasts, (-1.0, 0.0, 0.0), FULL)
    assert alice.log == [
        (met_ns + 30_000, Begin(1, first_ns["alice"], PERIOD_NS, *told, link.model.p_success)),
        (click_ns + 30_000, Herald(1, 1, BellState.PSI_PLUS, click_ns - 30_000, 0)),
    ]
    assert bob.log == [
        (met_ns + 50_000, Begin(1, first_ns["bob"], PERIOD_NS, *told, link.model.p_success)),
        (click_ns + 50_000, Herald(1, 1, BellState.PSI_PLUS, click_ns - 50_000, 0)),
    ]
    assert link.leaks == {}


@pytest.mark.parametrize(("arms_ns", "preparation_ns"), [((30_000, 50_000), 0), ((7, 7), 0), ((5, 1), 3)])
def test_nobody_has_to_emit_before_it_was_told(arms_ns: tuple[int, int], preparation_ns: int) -> None:
    link = Link(ALWAYS, arms_ns=arms_ns, preparation_ns=preparation_ns)
    for end in link.run():
        ((time_ns, begin),) = end.told(Begin)
        assert time_ns <= begin.first_emission_ns
    assert link.station.link((0, 1), 0.0).period_ns == preparation_ns + 2 * max(arms_ns)


def test_each_half_decoheres_from_the_moment_its_photon_left() -> None:
    t2_s = 1e-3
    link = Link(ALWAYS, noise=MemoryNoise(t2_s=t2_s))
    seen: list[Any] = []

    def look() -> None:
        qubits = [end.kept[1].id for end in link.ends]
        seen.extend((link.network.timeline.now_ns, link.engine.snapshot(*qubits)))

    link.at(400_000, look)
    link.run(500_000)
    click_ns = 1 + 50_000 + PERIOD_NS
    now_ns, snapshot = seen
    assert [begun_ns for _, begun_ns, _ in snapshot.memories] == [click_ns - 30_000, click_ns - 50_000]
    stored_s = (2 * now_ns - 2 * click_ns + 80_000) * 1e-9
    assert snapshot.at(now_ns, now_ns).r[5] == pytest.approx(math.exp(-stored_s / t2_s), rel=1e-12)


def test_a_stop_before_a_partner_is_there_is_answered_and_nobody_meets_that_session() -> None:
    link = Link(ALWAYS, bob={"start_ns": 500_000})
    link.at(200_000, link.ends[0].stop, "c")
    alice, bob = link.run()
    assert alice.log == [(260_000, Stopped(1))]
    assert bob.told(Begin, Herald) == []
    assert bob.told(Stopped) == [(100 * MS + 1 + 100_000, Stopped(1))]
    assert link.leaks == {}


def test_a_stop_during_the_attempts_frees_the_partner_for_another() -> None:
    link = Link(NEVER, alice={"lanes": {"c": 2}})
    stops: list[int] = []

    def stop_first() -> None:
        alice = link.ends[0]
        alice.port.sessions[1].stopping = True
        alice.send("station", Stop(1))
        stops.append(alice.now_ns)

    link.at(2 * MS, stop_first)
    alice, bob = link.run()
    begins = bob.told(Begin)
    assert [begin.session for _, begin in begins] == [1, 1]
    assert begins[1][0] == 2 * MS + 30_000 + 50_000  # at once, with alice's other session
    assert [begin.session for _, begin in alice.told(Begin)] == [1, 2]
    assert alice.told(Stopped)[0] == (2 * MS + 60_000, Stopped(1))
    assert alice.told(Herald) == bob.told(Herald) == []
    assert link.leaks == {}


def test_who_loses_its_partner_hears_that_its_attempts_rest_and_counts_no_more() -> None:
    """Alice withdraws for 20 ms; in that time bob emits nothing. Then his session begins again."""
    link = Link(NEVER)
    alice, bob = link.ends
    link.at(2 * MS, alice.stop, "c")
    link.at(22 * MS, alice.fill, "c")
    counts: list[int] = []
    for time_ns in (4 * MS, 20 * MS):
        link.at(time_ns, lambda: counts.append(bob.port.attempts(bob.now_ns)))
    link.run(40 * MS)
    heard_ns = 2 * MS + 30_000 + 50_000
    assert [(time_ns, message.session) for time_ns, message in bob.told(Paused)] == [
        (heard_ns, 1),
        (40 * MS + 1 + 30_000 + 50_000, 1),  # the end of the run
    ]
    first, again = bob.told(Begin)
    made = -(-(heard_ns - first[1].first_emission_ns) // PERIOD_NS)
    assert counts == [made, made]
    assert again[0] > 22 * MS
    rest = -(-(bob.told(Paused)[1][0] - again[1].first_emission_ns) // PERIOD_NS)
    assert bob.port.attempts(10**12) == made + rest
    assert alice.told(Paused) == []
    assert link.leaks == {}


def test_when_a_node_has_begun_a_new_life_the_partners_of_its_old_sessions_hear_that_they_rest() -> None:
    link = Link(NEVER, restart_after_ns=20 * MS)
    link.expected_crashes = True
    link.at(2 * MS, link.network.crash, "alice")
    _, bob = link.run(40 * MS)
    back_ns = 22 * MS + 30_000  # when its greeting comes
    assert [(type(message), time_ns) for time_ns, message in bob.log[1:3]] == [
        (Paused, back_ns + 50_000),
        (Begin, back_ns + 1 + 50_000),
    ]
    assert link.leaks == {}


def test_who_waits_for_a_partner_hears_nothing_of_one_that_withdraws_before_attempts() -> None:
    link = Link(NEVER, bob={"start_ns": 10 * MS})
    link.at(2 * MS, link.ends[0].stop, "c")
    _, bob = link.run(20 * MS)
    assert bob.told(Paused) == []


@pytest.mark.parametrize("sent_ns", [50_001 + PERIOD_NS - 29_999, 50_001 + PERIOD_NS + 29_999])
def test_a_stop_that_crosses_a_herald_comes_too_late(sent_ns: int) -> None:
    link = Link(ALWAYS)
    link.at(sent_ns, link.ends[0].stop, "c")
    alice, bob = link.run()
    assert [type(message) for _, message in alice.log] == [Begin, Herald, Unknown]
    assert list(alice.kept) == list(bob.kept) == [1]
    assert link.leaks == {}


def test_a_stop_that_is_at_the_station_before_the_click_wins() -> None:
    link = Link(ALWAYS)
    link.at(50_001 + PERIOD_NS - 30_001, link.ends[0].stop, "c")
    alice, bob = link.run()
    assert [type(message) for _, message in alice.log] == [Begin, Stopped]
    assert bob.told(Herald) == []
    assert link.leaks == {}


@pytest.mark.parametrize(
    ("patience", "attempts"),
    [((0, 10 * PERIOD_NS), 10), ((11 * PERIOD_NS - 1, 0), 10), ((5 * PERIOD_NS, 7 * PERIOD_NS), 5), ((1, 0), 1)],
)
def test_a_session_times_out_after_the_attempts_that_its_patience_allows(
    patience: tuple[int, int], attempts: int
) -> None:
    link = Link(NEVER, alice={"patience_ns": patience[0]}, bob={"patience_ns": patience[1]})
    alice, bob = link.run()
    end_ns = 50_001 + attempts * PERIOD_NS
    assert alice.log[1:] == [(end_ns + 30_000, TimedOut(1))]
    assert bob.log[1:] == [(end_ns + 50_000, TimedOut(1))]
    assert alice.port.attempts(10**12) == bob.port.attempts(10**12) == attempts
    assert link.leaks == {}


def test_without_patience_a_session_never_times_out_and_a_pair_in_time_is_a_pair() -> None:
    assert Link(NEVER).run(10 * S)[0].told(TimedOut) == []
    alice, bob = Link(ALWAYS, alice={"patience_ns": 1}).run()
    assert len(alice.told(Herald)) == len(bob.told(Herald)) == 1


# -- many sessions -------------------------------------------------------------------------------------------------


def test_labels_never_mix() -> None:
    lanes = {"alice": {"a": 3, "b": 2, "only alice": 2}, "bob": {"a": 2, "b": 4, "only bob": 1}}
    link = Link(AbstractLink(0.3, 1.0).model(), **{name: {"lanes": n, "again": True} for name, n in lanes.items()})
    alice, bob = link.run()
    sessions = [{herald.sequence: herald.session for _, herald in end.told(Herald)} for end in (alice, bob)]
    assert sessions[0].keys() == sessions[1].keys()
    labels = [[end.labels[heralded[k]] for k in heralded] for end, heralded in zip((alice, bob), sessions, strict=True)]
    assert labels[0] == labels[1]
    assert min(Counter(labels[0]).values()) > 300
    assert set(labels[0]) == {"a", "b"}
    assert link.leaks == {}


def test_a_pair_is_in_the_positions_of_its_sessions() -> None:
    link = Link(AbstractLink(0.3, 1.0).model(), alice={"lanes": {"a": 9, "b": 9}}, bob={"lanes": {"b": 9, "a": 9}})
    partners: list[Any] = []

    def look() -> None:
        alice, bob = link.ends
        assert sorted(alice.kept) == sorted(bob.kept) == list(range(1, 19))
        partners.extend(
            (link.engine.partners(alice.kept[k].id), [bob.kept[k].id], alice.kept[k].owner[0] == bob.kept[k].owner[0])
            for k in alice.kept
        )

    link.at(90 * MS, look)
    link.run()
    assert len(partners) == 18
    assert all(found == expected and same for found, expected, same in partners)


def test_pair_numbers_never_repeat_not_even_after_the_station_crashed() -> None:
    link = Link(AbstractLink(0.5, 1.0).model(), *({"lanes": {"c": 4}, "again": True},) * 2)
    link.expected_crashes = True
    for k in range(1, 5):
        link.at(20 * k * MS, link.network.crash, "station")
        # They cannot know that the station forgot them, and start again.
        for name in ("alice", "bob"):
            link.at(20 * k * MS + 5 * MS, link.network.crash, name)
    alice, bob = link.run()
    for end in (alice, bob):
        numbers = [herald.sequence for _, herald in end.told(Herald)]
        assert numbers == sorted(set(numbers))
        assert len(numbers) > 1_000
        for start in range(0, 80, 20):
            assert any(start * MS + 6 * MS < time_ns < start * MS + 20 * MS for time_ns, _ in end.told(Herald))
    assert link.leaks == {}


def test_a_station_that_forgot_a_session_answers_its_stop() -> None:
    link = Link(NEVER)
    link.expected_crashes = True
    link.at(10 * MS, link.network.crash, "station")
    alice, bob = link.run()
    assert [type(message) for _, message in alice.log] == [type(message) for _, message in bob.log] == [Begin, Unknown]
    assert link.leaks == {}


def test_a_new_life_of_a_node_ends_its_old_sessions_and_frees_their_partners() -> None:
    link = Link(NEVER, alice={"lanes": {"c": 2}}, bob={"lanes": {"c": 3}})
    link.expected_crashes = True
    link.at(10 * MS, link.network.crash, "alice")
    seen: list[int] = []
    link.at(20 * MS, lambda: seen.append(link.station.held()["sessions"]))
    alice, bob = link.run()
    back_ns = 10 * MS + 100 + 1 + 30_000
    assert seen == [5]
    # Two of bob's three sessions had partners; the first that is free now meets first.
    assert [(time_ns, begin.session) for time_ns, begin in bob.told(Begin)[2:]] == [
        (back_ns + 50_000, 3),
        (back_ns + 50_000, 1),
    ]
    assert [begin.session for _, begin in alice.told(Begin)] == [1, 2, 3, 4]
    assert link.leaks == {}


def test_a_pair_for_a_node_that_crashed_meanwhile_is_lost_at_its_end_only() -> None:
    link = Link(ALWAYS)
    link.expected_crashes = True
    click_ns = 50_001 + PERIOD_NS
    seen: list[Any] = []
    link.at(click_ns - 10, link.network.crash, "alice")
    link.at(click_ns + 60_000, lambda: seen.extend(link.engine.qubits))
    alice, bob = link.run(MS)
    assert alice.told(Herald) == []  # the news of a session that it does not remember is not for this life
    assert seen == [bob.qubits[1]]
    assert link.leaks == {}


@dataclass
class Hold:
    """A fault that keeps messages back."""

    kind: type[Message]
    by_ns: int
    twice: bool = False

    def deliveries(self, envelope: Envelope, arrival_ns: int) -> Iterable[tuple[Envelope, int]]:
        if not isinstance(envelope.message, self.kind):
            return [(envelope, arrival_ns)]
        late = (envelope, arrival_ns + self.by_ns)
        return [(envelope, arrival_ns), late] if self.twice else [late]


def test_a_start_of_an_earlier_life_that_comes_late_is_refused() -> None:
    link = Link(ALWAYS, bob={"start_ns": 60 * MS})
    link.expected_crashes = True
    channel = link.network.channel("alice", "station")
    channel.faults.append(Hold(Start, 20 * MS))
    link.at(5 * MS, channel.faults.clear)
    link.at(10 * MS, link.network.crash, "alice")
    alice, _ = link.run()
    assert [begin.session for _, begin in alice.told(Begin)] == [2]
    assert link.leaks == {}


@pytest.mark.parametrize("late_ns", [0, 1, 40_000])
def test_a_start_that_comes_twice_is_one_session(late_ns: int) -> None:
    link = Link(AbstractLink(0.1, 1.0).model(), bob={"lanes": {"c": 2}})
    link.network.channel("alice", "station").faults.append(Hold(Start, late_ns, twice=True))
    alice, bob = link.run()
    assert len(alice.told(Begin)) == len(alice.told(Herald)) == len(bob.told(Herald)) == 1
    assert link.leaks == {}


# -- statistics ----------------------------------------------------------------------------------------------------

P = 0.05
PAIRS = 4_000


@pytest.fixture(scope="module")
def drawn() -> list[int]:
    """How many attempts each of many pairs took, as the nodes see it."""
    link = Link(AbstractLink(P, 1.0).model(), *({"lanes": {"c": 8}, "again": True},) * 2, seed=11)
    alice, bob = link.run(1_300 * MS)
    attempts = []
    for end in (alice, bob):
        first_ns = {begin.session: begin.first_emission_ns for _, begin in end.told(Begin)}
        spans_ns = [herald.emitted_ns - first_ns[herald.session] for _, herald in end.told(Herald)]
        assert all(span_ns % PERIOD_NS == 0 for span_ns in spans_ns)
        attempts.append([1 + span_ns // PERIOD_NS for span_ns in spans_ns])
    assert attempts[0] == attempts[1]
    assert len(attempts[0]) >= PAIRS
    return attempts[0][:PAIRS]


def attempt_by_attempt(rng: random.Random) -> int:
    attempts = 1
    while rng.random() >= P:
        attempts += 1
    return attempts


def test_the_mean_number_of_attempts_is_one_over_p(drawn: list[int]) -> None:
    # standard deviation sqrt(1 - p) / p; five of them (false alarm 6e-7, and the seed is fixed)
    assert abs(sum(drawn) / PAIRS - 1 / P) < 5 * math.sqrt((1 - P) / PAIRS) / P


def test_the_number_of_attempts_is_geometric(drawn: list[int]) -> None:
    # chi^2 of 61 cells, 60 degrees of freedom: beyond 127.0 with probability 1e-6
    last = 61
    counts = Counter(min(n, last) for n in drawn)
    expected = {n: PAIRS * P * (1 - P) ** (n - 1) for n in range(1, last)} | {last: PAIRS * (1 - P) ** (last - 1)}
    assert min(expected.values()) > 5
    assert sum((counts[n] - mean) ** 2 / mean for n, mean in expected.items()) < 127.0


def test_skipped_attempts_are_distributed_like_attempts_one_by_one(drawn: list[int]) -> None:
    # Kolmogorov-Smirnov for two samples, false alarm 1e-6 (less, since the numbers are discrete)
    rng = random.Random(5)
    counts, others = Counter(drawn), Counter(attempt_by_attempt(rng) for _ in range(PAIRS))
    distance, total = 0, 0
    for n in range(1, max(*counts, *others) + 1):
        total += counts[n] - others[n]
        distance = max(distance, abs(total))
    assert distance / PAIRS < math.sqrt(math.log(2 / 1e-6) / 2) * math.sqrt(2 / PAIRS)


@pytest.mark.parametrize(("arms_ns", "preparation_ns"), [(ARMS_NS, 1_000), (ARMS_NS, 0), ((40_000, 40_000), 0)])
def test_a_port_counts_the_attempts_that_were_drawn(arms_ns: tuple[int, int], preparation_ns: int) -> None:
    link = Link(
        AbstractLink(0.2, 1.0).model(),
        *({"lanes": {"c": 3}, "again": True},) * 2,
        arms_ns=arms_ns,
        preparation_ns=preparation_ns,
    )
    counted: list[int] = []
    plain = [end.port.ended for end in link.ends]

    def ended(side: int, number: int, now_ns: int) -> Any:
        port = link.ends[side].port
        before, all_before = port.emitted, port.attempts(now_ns)
        session = plain[side](number, now_ns)
        assert port.attempts(now_ns) == all_before  # an end adds nothing
        counts[side].setdefault(number, port.emitted - before)  # the answer to a Stop may come after the end
        return session

    counts: list[dict[int, int]] = [{}, {}]
    for side, end in enumerate(link.ends):
        end.port.ended = lambda number, now_ns, side=side: ended(side, number, now_ns)  # type: ignore[method-assign]
    for side, end in enumerate(link.run()):
        first_ns = {begin.session: begin.first_emission_ns for _, begin in end.told(Begin)}
        for _, herald in end.told(Herald):
            drawn = 1 + (herald.emitted_ns - first_ns[herald.session]) // link.station.link((0, 1), 0.0).period_ns
            assert counts[side][herald.session] == drawn
            counted.append(drawn)
    assert len(counted) > 800
    assert len(set(counted)) > 10


# -- what nobody may see -------------------------------------------------------------------------------------------


class Source:
    """Takes note of what a station puts into two positions."""

    def __init__(self) -> None:
        self.pairs: list[tuple[tuple[QubitId, QubitId], dict[str, Any]]] = []

    def new_pair(self, _: Sequence[float], a: QubitId, b: QubitId, **rest: Any) -> None:
        self.pairs.append(((a, b), rest))


def test_whether_a_memory_is_loaded_is_passed_on_but_in_no_message() -> None:
    """Only how likely it is, which the calibration knows: here the same for two models that load at opposite draws."""
    histories = []
    full, empty = (HeraldedState(PSI_PLUS.pauli, PSI_PLUS.bell, loaded, True) for loaded in (True, False))
    for states in ((full, empty), (empty, full)):
        source = Source()
        model = HeraldedStateModel(states, (0.05, 0.05))
        link = Link(model, *({"lanes": {"c": 3}, "again": True},) * 2, source=source)
        alice, bob = link.run()
        assert len(source.pairs) > 200
        assert {rest["loaded"] for _, rest in source.pairs} == {(True, True), (False, True)}
        assert {begin.loaded for _, begin in alice.told(Begin)} == {(0.5, 0.5)}
        assert {begin.loaded for _, begin in bob.told(Begin)} == {(1.0, 0.5)}
        histories.append((link.network.history.sha256(), [encode(m) for _, m in (*alice.log, *bob.log)]))
    assert histories[0] == histories[1]
    assert set(Herald.__struct_fields__) == {"session", "sequence", "bell", "emitted_ns", "mode"}


def test_branches_and_modes_come_as_often_as_the_model_says() -> None:
    empty = HeraldedState(PSI_PLUS.pauli, BellState.PSI_MINUS, loaded_a=False)
    model = HeraldedStateModel((PSI_PLUS, empty), (0.03, 0.01), modes=5)
    source = Source()
    link = Link(model, *({"lanes": {"c": 8}, "again": True},) * 2, source=source)
    alice, bob = link.run(400 * MS)
    heralds = [[herald for _, herald in end.told(Herald)] for end in (alice, bob)]
    n = min(len(h) for h in heralds)
    assert n > 3_000
    for a, b, (qubits, rest) in zip(*heralds, source.pairs, strict=False):
        assert (a.sequence, a.bell, a.mode) == (b.sequence, b.bell, b.mode)
        assert (a.bell, b.bell) == (rest["bell"],) * 2
        assert rest["loaded"] == (a.bell == BellState.PSI_PLUS, True)
        assert rest["times_ns"] == (a.emitted_ns, b.emitted_ns)
        assert qubits == (alice.qubits[a.session], bob.qubits[b.session])
    # five standard deviations of a share of n
    share = sum(h.bell == BellState.PSI_PLUS for h in heralds[0][:n]) / n
    assert abs(share - 0.75) < 5 * math.sqrt(0.75 * 0.25 / n)
    modes = Counter(h.mode for h in heralds[0][:n])
    assert set(modes) == set(range(5))
    for mode in range(5):
        expected = 0.04 * 0.96**mode / model.p_success
        assert abs(modes[mode] / n - expected) < 5 * math.sqrt(expected * (1 - expected) / n)


# -- everything at once --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_nothing_is_left(seed: int) -> None:
    """Two labels, several lanes, patience, withdrawals at any moment, crashes of both ends and of the station."""
    rng = random.Random(seed)
    ends: list[dict[str, Any]] = [
        {
            "lanes": {"a": rng.randint(1, 4), "b": rng.randint(0, 4)},
            "again": rng.random() < 0.7,
            "patience_ns": rng.choice([0, 1, PERIOD_NS * rng.randint(1, 40)]),
            "start_ns": rng.randint(1, 3 * MS),
        }
        for _ in range(2)
    ]
    link = Link(AbstractLink(rng.choice([0.01, 0.2, 1.0]), 1.0).model(), *ends, seed=seed)
    link.expected_crashes = True
    for _ in range(60):
        end, label = rng.choice(link.ends), rng.choice("ab")
        link.at(rng.randint(0, 30 * MS) // 10_000 * 10_000, rng.choice([end.stop, end.fill]), label)
    for _ in range(seed % 6):
        link.at(rng.randint(0, 30 * MS), link.network.crash, rng.choice(["alice", "bob", "station"]))
    alice, bob = link.run(30 * MS)
    assert link.leaks == {}, f"seed {seed}"
    for end in (alice, bob):
        numbers = [herald.sequence for _, herald in end.told(Herald)]
        assert len(set(numbers)) == len(numbers), f"seed {seed}"
    assert not link.station._waiting, f"seed {seed}"
    records = link.network.history.kept or []
    latency_ns = {"alice": ARMS_NS[0], "bob": ARMS_NS[1]}
    for r in records:
        if r.kind == "message":
            arm = latency_ns[r.fields[0] if r.actor == "station" else r.actor]
            assert r.time_ns == r.fields[2] + arm, f"seed {seed}"
