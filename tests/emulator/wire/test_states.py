"""Joint states that move between hosts: whatever the network does to the frames, the physics is that of one engine."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from greenlet import getcurrent, greenlet

from emulator.faults.hardware import Hastened
from emulator.quantum import (
    PERFECT,
    Engine,
    LindbladNoise,
    MemoryNoise,
    Noise,
    QubitError,
    QubitId,
    Readout,
    StateTooLargeError,
    gates,
    ghz,
    werner,
)
from emulator.time import END_NS
from emulator.wire.clocks import START, Clocks
from emulator.wire.frames import Clock, Fetch, GaveUp, Held, Moment, Moved, MovedSeen, Slot, SlotState, State
from emulator.wire.framing import Frame, WireError
from emulator.wire.states import SharedEngine

OVER: Moment = (END_NS, 0)
MEMORY = MemoryNoise(t1_s=1e-3, t2_s=5e-4, dephasing_s=2e-3)
DECAY = LindbladNoise.of_generator(
    np.array([[0, 0, 0, 0], [0, -300.0, 40.0, 0], [0, -40.0, -300.0, 0], [500.0, 0, 0, -500.0]])
)
NOISES: tuple[Noise, ...] = (PERFECT, MEMORY, Hastened(MEMORY, 3.0), DECAY)


@dataclass
class Act:
    """One operation on an engine, by an actor."""

    moment: Moment
    actor: str
    what: str
    qubits: tuple[QubitId, ...]
    data: tuple[Any, ...] = ()

    def on(self, engine: Engine) -> object:
        """Do it; return what came out, to the bit."""
        try:
            return VERBS[self.what](engine, self.moment[0], self.qubits, *self.data)
        except (QubitError, StateTooLargeError, ValueError) as error:
            return type(error).__name__


def _view(engine: Engine, _: int, q: tuple[QubitId, ...]) -> object:
    found = engine.view(*q) if isinstance(engine, SharedEngine) else engine.snapshot(*q, *engine.partners(*q))
    return found.r, found.bells, [memory[1:] for memory in found.memories], found.dephased


VERBS: dict[str, Callable[..., object]] = {
    "open": lambda engine, _, q, noise: engine.open(*q, noise),
    "close": lambda engine, _, q: engine.close(*q),
    "store": lambda engine, t, q, noise: engine.store(*q, noise, t),
    "exists": lambda engine, _, q: engine.exists(*q),
    "new_qubit": lambda engine, t, q: engine.new_qubit(*q, t),
    "new_state": lambda engine, t, q: engine.new_state(ghz(len(q)), q, t),
    "pair": lambda engine, t, q, fidelity, bell, loaded: engine.new_pair(
        werner(fidelity, bell), *q, times_ns=(max(0, t - 7), t), bell=bell, loaded=loaded
    ),
    "gate": lambda engine, t, q, gate: engine.gate(gate, *q, time_ns=t),
    "frame": lambda engine, t, q, bell: engine.frame(*q, bell, t),
    "dephase": lambda engine, t, q, contrast: engine.dephase(*q, contrast, t),
    "move": lambda engine, t, q: engine.move(*q, t),
    "measure": lambda engine, t, q, u, direction: engine.measure(
        *q, t, u=u, direction=direction, readout=Readout(0.9, 0.02, 0.03)
    ),
    "swap": lambda engine, t, q, u: engine.swap(*q, t, u=u),
    "discard": lambda engine, _, q: engine.discard(*q),
    "view": _view,
}


def held(engines: Iterable[Engine]) -> dict[tuple[QubitId, ...], object]:
    """Return all joint states of some engines, to the bit, by their qubits."""
    found: dict[tuple[QubitId, ...], object] = {}
    for engine in engines:
        for qubit in engine.qubits:
            if qubit in engine._qubits:  # not let go of yet
                joint = engine.release(qubit)
                ids = tuple(q.id for q in joint.qubits)
                assert ids not in found, f"{ids} are at two hosts"
                marks = [(q.begun_ns, q.touched_ns, q.loaded, q.dephased) for q in joint.qubits]
                maps = [q.noise.matrix(3, 1_000).tobytes() for q in joint.qubits]
                found[ids] = [r.hex() for r in joint.r], joint.bells, marks, maps
    return found


# -- hosts whose operations wait, in one thread ------------------------------------------------------------------------


class Host:
    """A host that does its acts one by one; the frames between hosts wait in queues until the world delivers them."""

    def __init__(self, world: World, name: str, acts: list[Act]) -> None:
        self.name = name
        self._world = world
        self._acts = deque(acts)
        others = [host for host in world.names if host != name]
        makers = {h for h in others if any(world.homes[s] == h for s in world.stations)}
        mine = [actor for actor, home in world.homes.items() if home == name]
        self.engine = SharedEngine(name, world.homes, dict.fromkeys(mine, frozenset(makers)) if makers else {})
        self.engine.turn = self
        self._clocks = Clocks(dict.fromkeys(others))
        self._milestone: Moment | None = None
        self._blocked: greenlet | None = None
        self._now = START
        self.gone: set[str] = set()

    @property
    def due(self) -> Moment:
        return self._acts[0].moment if self._acts else OVER

    @property
    def can_act(self) -> bool:
        return bool(self._acts) and self._blocked is None

    @property
    def is_done(self) -> bool:
        return not self._acts and self._blocked is None

    def act(self) -> None:
        """Begin the next act, which comes to its end or waits."""
        act = self._acts.popleft()
        self._now = act.moment

        def run() -> None:
            self._world.outcomes[id(act)] = act.on(self.engine)
            self._blocked = None

        greenlet(run).switch()
        if self._blocked is None:
            self._pass_gate()

    def take(self, host: str, frames: list[Frame]) -> None:
        """Do as `HostShare` does with frames that came together."""
        for frame in frames:
            if isinstance(frame, Clock):
                want = (frame.want_ns, frame.want_rank) if frame.want_ns else None
                self._clocks.hear(host, (frame.time_ns, frame.rank), want)
            else:
                self.engine.take(host, frame)
        self._look_again()

    def _look_again(self) -> None:
        if self._blocked is not None:
            self.engine.serve(self._now)
            self._blocked.switch()
        if self._blocked is None:
            self._set_milestone(START)
            self._pass_gate()

    def _pass_gate(self) -> None:
        stuck = self.due == OVER
        if stuck or (self._milestone is not None and self.due >= self._milestone):
            self.engine.serve(self.due)
            self._tell(self.due, {}, stuck=stuck)
            self._set_milestone(self.due)

    def _set_milestone(self, position: Moment) -> None:
        asked = self._clocks.milestone
        moments = [] if asked is None else [asked]
        moments += [(request.time_ns, request.rank) for request in self.engine.waiting]
        self._milestone = min((m for m in moments if m > position), default=None)

    def _tell(self, position: Moment, wants: dict[str, Moment], *, stuck: bool) -> None:
        for host, (moment, want) in self._clocks.tell(position, wants, stuck=stuck).items():
            self.send(host, Clock(*moment, *(want or (0, 0))))

    def until(self, ready: Callable[[Moment, dict[str, Moment]], bool]) -> None:
        if ready(self._now, {}):
            return
        while True:
            wants: dict[str, Moment] = {}
            self.engine.serve(self._now)
            if ready(self._now, wants):
                break
            self._tell(self._now, wants, stuck=True)
            self._blocked = getcurrent()
            assert getcurrent().parent is not None
            getcurrent().parent.switch()
        self._blocked = None
        self._set_milestone(self._now)

    def passed(self, host: str, moment: Moment) -> bool:
        return self._clocks.heard[host] >= moment

    def give_up(self, host: str) -> None:
        """Do as `HostShare` does when a host is lost."""
        self.gone.add(host)
        self._clocks.give_up(host)
        self.engine.give_up(host)
        self._look_again()

    def send(self, host: str, frame: Frame) -> None:
        assert host != self.name, f"{frame} is for whoever sends it"
        if host in self.gone:
            return
        self._world.sent[type(frame)] += 1
        self._world.queues.setdefault((self.name, host), deque()).append(frame)


@dataclass
class World:
    """Hosts, who lives where, and what is under way between them."""

    homes: dict[str, str]
    stations: list[str]
    acts: list[Act]
    rng: random.Random
    queues: dict[tuple[str, str], deque[Frame]] = field(default_factory=dict)
    outcomes: dict[int, object] = field(default_factory=dict)
    sent: Counter[type] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.names = sorted(set(self.homes.values()))
        shares = {name: [act for act in self.acts if self.homes[act.actor] == name] for name in self.names}
        self.hosts = {name: Host(self, name, share) for name, share in shares.items()}

    def run(self) -> list[object]:
        """Let hosts act and frames arrive in a random order, until all is done; return what came of each act."""
        while self.step():
            pass
        self.assert_that_nobody_waits()
        return [self.outcomes[id(act)] for act in self.acts]

    def step(self) -> bool:
        """Let one host act, or some frames arrive; return whether there was anything to do."""
        acting = [host for host in self.hosts.values() if host.can_act]
        full = [ends for ends, queue in self.queues.items() if queue and ends[1] in self.hosts]
        if acting and (not full or self.rng.random() < 0.4):
            self.rng.choice(acting).act()
        elif full:
            self.deliver(self.rng.choice(full))
        return bool(acting or full)

    def deliver(self, ends: tuple[str, str]) -> None:
        """Let some frames arrive together."""
        source, sink = ends
        queue = self.queues[ends]
        batch = [queue.popleft() for _ in range(self.rng.randint(1, len(queue)))]
        self.hosts[sink].take(source, batch)

    def kill(self, name: str) -> None:
        """Let a host do nothing more; what it has sent may still arrive, of what is sent to it nothing does."""
        del self.hosts[name]
        for queue in (queue for ends, queue in self.queues.items() if ends[1] == name):
            queue.clear()
        for queue in (queue for ends, queue in self.queues.items() if ends[0] == name):
            while queue and self.rng.random() < 0.3:
                queue.pop()

    def give_up(self, survivor: str, lost: str) -> None:
        """Let a host hear that another one is lost."""
        self.queues.pop((lost, survivor), None)
        self.queues.pop((survivor, lost), None)
        self.hosts[survivor].give_up(lost)

    def assert_that_nobody_waits(self) -> None:
        waiting = [name for name, host in self.hosts.items() if not host.is_done]
        assert not waiting, f"{waiting} wait for ever"

    def assert_that_nothing_is_kept(self) -> None:
        for name, host in self.hosts.items():
            engine = host.engine
            kept = {
                what: left
                for what in ("_passed_on", "_requested", "_slots", "_asked_slots", "_slot_hosts")
                if (left := getattr(engine, what))
            }
            assert not kept, f"{name} still keeps {kept}"
            asking = Counter(request.host if isinstance(request, Fetch) else "slot" for request in engine.waiting)
            assert not asking or max(asking.values()) == 1, f"{name} still waits for {engine.waiting}"  # see `Fetch`


# -- random programs ---------------------------------------------------------------------------------------------------


class Author:
    """Writes a program for nodes and stations: operations in a random order, of which some make no sense."""

    def __init__(self, rng: random.Random, nodes: int, stations: int) -> None:
        self.rng = rng
        self.nodes = [f"node {k}" for k in range(nodes)]
        self.stations = [f"station {k}" for k in range(stations)]
        self.ranks = {actor: rank for rank, actor in enumerate(sorted([*self.nodes, *self.stations]), start=1)}
        self.acts: list[Act] = []
        self._time_ns = 1
        self._number = 0
        self._fresh: list[QubitId] = []  # open, and nothing has come into them yet
        self._used: list[QubitId] = []

    def write(self, length: int) -> list[Act]:
        for _ in range(length):
            self._time_ns += self.rng.choice((0, 0, 1, 3, 50, 20_000))
            verb = self.rng.choice(self._verbs)
            verb(self)
        self.acts.sort(key=lambda act: act.moment)
        return self.acts

    def close_all(self) -> None:
        """Close every position that is still open."""
        self._time_ns += 10
        closed = {act.qubits[0] for act in self.acts if act.what == "close"}
        for act in list(self.acts):
            if act.what == "open" and act.qubits[0] not in closed:
                self._add(act.actor, "close", *act.qubits)
        self.acts.sort(key=lambda act: act.moment)

    def _add(self, actor: str, what: str, *qubits: QubitId, data: tuple[Any, ...] = ()) -> None:
        self.acts.append(Act((self._time_ns, self.ranks[actor]), actor, what, qubits, data))

    def _open(self, node: str | None = None) -> QubitId:
        node = node or self.rng.choice(self.nodes)
        self._number += 1
        qubit = (node, self._number, 1)
        self._add(node, "open", qubit, data=(self.rng.choice(NOISES),))
        return qubit

    def _make_pair(self) -> None:
        a, b = self.rng.sample(self.nodes, 2)
        ends = self._open(a), self._open(b)
        if self.rng.random() < 0.15:
            self._add(a, "close", ends[0])
        self._time_ns += self.rng.choice((0, 1, 10))
        loaded = self.rng.random() < 0.9, self.rng.random() < 0.9
        station = self.rng.choice(self.stations)
        self._add(station, "pair", *ends, data=(self.rng.uniform(0.5, 1), self.rng.randrange(4), loaded))
        self._used += ends

    def _make_own(self) -> None:
        qubit = self._open()
        if self.rng.random() < 0.5:
            self._add(qubit[0], "new_qubit", qubit)
        else:
            other = self._open(qubit[0])
            self._add(qubit[0], "new_state", qubit, other)
            self._used.append(other)
        self._used.append(qubit)

    def _some(self, count: int = 1) -> tuple[QubitId, ...] | None:
        """Return qubits of one node, maybe some that are gone, most likely of those that are new."""
        if not self._used:
            return None
        first = self.rng.choice(self._used[-12:])
        mine = [qubit for qubit in self._used[-16:] if qubit[0] == first[0] and qubit != first]
        if len(mine) < count - 1:
            return None
        return first, *self.rng.sample(mine, count - 1)

    def _touch(self) -> None:
        if (found := self._some()) is not None:
            what, *data = self.rng.choice(
                [
                    ("gate", self.rng.choice((gates.H, gates.X, gates.S))),
                    ("frame", self.rng.randrange(4)),
                    ("dephase", self.rng.uniform(0, 1)),
                    ("store", self.rng.choice(NOISES)),
                    ("exists",),
                    ("view",),
                ]
            )
            self._add(found[0][0], what, *found, data=tuple(data))

    def _entangle(self) -> None:
        if (found := self._some(2)) is not None:
            gate = self.rng.choice((gates.CNOT, gates.CZ, gates.CNOT.depolarised(0.02)))
            self._add(found[0][0], "gate", *found, data=(gate,))

    def _swap(self) -> None:
        if (found := self._some(2)) is not None:
            self._add(found[0][0], "swap", *found, data=(tuple(self.rng.random() for _ in range(3)),))

    def _end(self) -> None:
        if (found := self._some()) is not None:
            what = self.rng.choice(("measure", "measure", "discard", "close"))
            data: tuple[Any, ...] = ()
            if what == "measure":
                direction = self.rng.choice(((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.6, 0.0, -0.8)))
                data = ((self.rng.random(), self.rng.random()), direction)
            self._add(found[0][0], what, *found, data=data)

    def _move(self) -> None:
        if (found := self._some()) is not None:
            target = self._open(found[0][0])
            self._add(target[0], "move", *found, target)
            self._used.append(target)

    _verbs = (_make_pair, _make_pair, _make_own, _touch, _touch, _touch, _entangle, _entangle, _swap, _end, _move)


@pytest.mark.parametrize("hosts", [2, 3])
@pytest.mark.parametrize("swarm", range(4))
def test_a_program_on_several_hosts_gives_what_it_gives_on_one_to_the_bit(hosts: int, swarm: int) -> None:
    moved = 0
    for seed in range(swarm * 60, swarm * 60 + 60):
        rng = random.Random(seed)
        author = Author(rng, nodes=rng.randint(2, 5), stations=rng.randint(1, 2))
        acts = author.write(rng.randint(5, 60))
        if closing := rng.random() < 0.5:
            author.close_all()
        homes = {actor: f"host {rng.randrange(hosts)}" for actor in author.ranks}
        world = World(homes, author.stations, acts, rng)
        alone = Engine()
        expected = [act.on(alone) for act in acts]
        found = world.run()
        for act, mine, theirs in zip(acts, expected, found, strict=True):
            assert mine == theirs, f"seed {seed}, {hosts} hosts: {act}"
        states = held(host.engine for host in world.hosts.values())
        assert states == held([alone]), f"seed {seed}, {hosts} hosts"
        assert not (closing and states), f"seed {seed}: all was closed"
        world.assert_that_nothing_is_kept()
        moved += world.sent[State]
    assert moved > 60


@pytest.mark.parametrize("swarm", range(4))
def test_whoever_is_left_comes_to_its_end_when_hosts_are_lost(swarm: int) -> None:
    for seed in range(swarm * 60, swarm * 60 + 60):
        rng = random.Random(seed)
        author = Author(rng, nodes=rng.randint(3, 6), stations=rng.randint(1, 3))
        acts = author.write(rng.randint(10, 60))
        author.close_all()
        names = [f"host {k}" for k in range(rng.randint(2, 4))]
        homes = {actor: rng.choice(names) for actor in author.ranks}
        world = World(homes, author.stations, acts, rng)
        run_with_losses(world, rng.randint(1, max(1, len(world.names) - 1)))
        done = [act for act in acts if homes[act.actor] in world.hosts]
        assert all(id(act) in world.outcomes for act in done), f"seed {seed}"
        assert not held(host.engine for host in world.hosts.values()), f"seed {seed}: all was closed"
        world.assert_that_nothing_is_kept()


def run_with_losses(world: World, losses: int) -> None:
    """Run a world of which hosts die; the others hear of it in the same order, each at some time."""
    rng = world.rng
    steps = [rng.randint(0, rng.choice((20, 100, 300))) for _ in range(losses)]
    news: dict[str, list[str]] = {name: [] for name in world.names}
    while True:
        went = world.step()
        if steps and (steps[0] <= 0 or not went) and len(world.hosts) > 1:
            del steps[0]
            lost = rng.choice(sorted(world.hosts))
            world.kill(lost)
            del news[lost]
            for told in news.values():
                told.append(lost)
        elif steps:
            steps[0] -= 1
        unaware = [name for name, told in news.items() if told]
        if unaware and (not went or rng.random() < 0.1):
            survivor = rng.choice(unaware)
            world.give_up(survivor, news[survivor].pop(0))
        elif not went and not unaware:
            break
    world.assert_that_nobody_waits()


# -- one engine, and frames made by hand -------------------------------------------------------------------------------

HOMES = {"alice": "west", "bob": "east", "carol": "north", "station": "west"}
A, B, C = ("alice", 0, 1), ("bob", 0, 1), ("carol", 0, 1)


class Line:
    """A turn that comes at once: everybody has come as far as anybody asks. Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Frame]] = []

    def until(self, ready: Callable[[Moment, dict[str, Moment]], bool]) -> None:
        assert ready((50, 1), {}), f"waits, after {self.sent}"

    def passed(self, host: str, moment: Moment) -> bool:
        return True

    def send(self, host: str, frame: Frame) -> None:
        self.sent.append((host, frame))

    def told(self) -> list[tuple[str, Frame]]:
        """Return what was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent


def engine_of(host: str) -> tuple[SharedEngine, Line]:
    engine, line = SharedEngine(host, HOMES, {}), Line()
    engine.turn = line
    return engine, line


def state_of(*qubits: QubitId, moves: int = 1, **changes: Any) -> State:
    """Return a state of all zeros, whose first qubit is changed."""
    r = np.array([1.0])
    for _ in qubits:
        r = np.multiply.outer(r, [1.0, 0, 0, 1.0])
    fields = {"noise": ("memory", PERFECT_NUMBERS), "begun_ns": 0, "touched_ns": 5, "loaded": True, "dephased": 1.0}
    first = fields | {key: value for key, value in changes.items() if key in fields}
    data: list[Any] = [(qubit, *(first if k == 0 else fields).values(), moves) for k, qubit in enumerate(qubits)]
    return State(data, changes.get("r", r.ravel().tolist()), changes.get("bells"))


PERFECT_NUMBERS = [float("inf"), float("inf"), float("inf"), 1.0, float("inf"), 2.0]


def test_a_position_that_was_closed_before_the_pair_came_loses_that_half() -> None:
    west, line = engine_of("west")
    west.open(A)
    line.until = lambda ready: None if ready((9, 4), {}) else west.take("east", SlotState(B, None))  # type: ignore[method-assign]
    west.new_pair(werner(1.0), A, B, times_ns=(3, 3), bell=0)
    assert line.told() == [("east", Slot(B, 9, 4))]
    assert west.qubits == [A]
    assert west.partners(A) == []


def test_a_position_is_answered_for_when_its_moment_has_come_and_not_before() -> None:
    east, line = engine_of("east")
    east.open(B, MEMORY)
    east.take("west", Slot(B, 9, 4))
    east.serve((9, 3))
    assert line.told() == []
    east.serve((9, 4))
    (host, answer), *more = line.told()
    assert host == "west"
    assert more == []
    assert isinstance(answer, SlotState)
    assert answer.noise is not None
    assert east.waiting == []


def test_a_request_that_comes_too_late_follows_the_state_until_its_home_has_seen_the_news() -> None:
    west, line = engine_of("west")
    west.take("north", state_of(B, C))
    west.take("north", Fetch(C, 10, 3, "north"))
    west.serve((10, 3))  # nobody here holds a qubit of it
    moved = Moved(B, "north", 2)
    assert [(host, frame) for host, frame in line.told() if not isinstance(frame, State)] == [("east", moved)]
    late = Fetch(B, 12, 2, "east")
    west.take("east", late)
    west.serve((10, 3))
    assert line.told() == [("north", late)]
    west.take("east", MovedSeen(B, 1))  # of an earlier move
    assert west._passed_on
    west.take("east", MovedSeen(B, 2))
    assert west._passed_on == {}


def test_a_request_that_comes_together_with_the_word_that_the_news_was_seen_is_passed_on() -> None:
    west, line = engine_of("west")
    west.take("north", state_of(B, C))
    west.take("north", Fetch(C, 10, 3, "north"))
    west.serve((10, 3))
    line.told()
    late = Fetch(B, 12, 2, "east")
    west.take("east", late)
    west.take("east", MovedSeen(B, 2))
    assert line.told() == [("north", late)]
    west.serve((12, 2))
    assert line.told() == []
    assert west.waiting == []


def test_a_state_that_came_and_went_before_its_operation_saw_it_is_asked_for_again() -> None:
    west, line = engine_of("west")
    west.open(A)
    west.take("east", Moved(A, "east", 1))
    line.told()
    assert not west._is_ready(A, (50, 1), {})
    assert line.told() == [("east", Fetch(A, 50, 1, "west"))]
    west.take("east", state_of(A, B, moves=2))
    west.take("east", Fetch(B, 40, 2, "east"))  # in the same batch: its turn is before ours
    west.serve((50, 1))
    assert [type(frame) for _, frame in line.told()] == [State]
    assert not west._is_ready(A, (50, 1), {})
    assert line.told() == [("east", Fetch(A, 50, 1, "west"))]


def test_two_qubits_of_one_state_are_asked_for_and_come_together() -> None:
    west, line = engine_of("west")
    two = ("bob", 1, 1)
    west.take("north", state_of(B, two))
    for qubit in (B, two):
        west.take("east", Fetch(qubit, 20, 2, "east"))
    west.serve((20, 2))
    assert [type(frame) for _, frame in line.told()] == [State]
    assert west.waiting == []


def test_news_of_an_earlier_move_changes_nothing() -> None:
    east, line = engine_of("east")
    east.open(B)
    east.take("west", Moved(B, "north", 3))
    east.take("west", Moved(B, "west", 2))
    assert east._away == {B: "north"}
    assert line.told() == [("west", MovedSeen(B, 3)), ("west", MovedSeen(B, 2))]
    east.take("north", state_of(B, C, moves=4))
    east.take("west", Moved(B, "west", 4))
    assert east._away == {}


NAN = float("nan")
WRONG: dict[str, Frame] = {
    "not about states": Clock(1, 2, 0, 0),
    "a state for somebody else's host": Fetch(A, 5, 1, "north"),
    "a state for nobody": Fetch(("mallory", 0, 1), 5, 1, "north"),
    "a position elsewhere": Slot(C, 5, 1),
    "a position of nobody": Slot(("mallory", 0, 1), 5, 1),
    "an answer to no question": SlotState(C, None),
    "a move of a qubit from elsewhere": Moved(C, "north", 1),
    "a move of a qubit of nobody": Moved(("mallory", 0, 1), "north", 1),
    "a move to nowhere": Moved(A, "south", 1),
    "a move to where we would know": Moved(A, "west", 1),
    "too few numbers": State(state_of(A, B).qubits, [1.0] * 4, None),
    "no qubit": State([], [1.0], None),
    "nine qubits": State([(("bob", k, 1), *state_of(B).qubits[0][1:]) for k in range(9)], [1.0] * 4**9, None),
    "not normalised": state_of(A, r=[0.5, 0.0, 0.0, 0.0]),
    "not a number": state_of(A, r=[1.0, NAN, 0.0, 0.0]),
    "not a number at all": state_of(A, r=[NAN, 0.0, 0.0, 0.0]),
    "beyond the Bloch ball": state_of(A, r=[1.0, 0.0, 2.0, 0.0]),
    "infinite": state_of(A, r=[1.0, 0.0, 0.0, float("-inf")]),
    "one qubit twice": state_of(A, A),
    "a qubit that is here": state_of(("alice", 9, 1)),
    "a qubit of nobody": state_of(("mallory", 0, 1)),
    "a Bell state of a high number": state_of(A, B, bells=(0, 4)),
    "a negative Bell state": state_of(A, B, bells=(-1, 0)),
    "touched before it began": state_of(A, begun_ns=9),
    "begun before time": state_of(A, begun_ns=-1),
    "touched after the end of time": state_of(A, touched_ns=2**63 - 1),
    "dephased to nothing known": state_of(A, dephased=NAN),
    "dephased beyond nothing": state_of(A, dephased=-1.5),
    "no noise": state_of(A, noise=("memory", [])),
    "nobody given up": GaveUp(0),
    "more given up than there are": GaveUp(2),
    "all given up": GaveUp(3),
    "fewer than nobody given up": GaveUp(-1),
    "a stock for no loss": Held(1, [A]),
    "a stock of somebody else's": Held(0, [C]),
    "a stock of nobody's": Held(0, [("mallory", 0, 1)]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_frame_that_cannot_be_is_refused_and_changes_nothing(wrong: str) -> None:
    west, line = engine_of("west")
    for qubit in (A, own := ("alice", 9, 1)):
        west.open(qubit)
    west.new_qubit(own, 1)
    before = {name: repr(value) for name, value in vars(west).items()}
    with pytest.raises(WireError):
        west.take("east", WRONG[wrong])
    assert {name: repr(value) for name, value in vars(west).items()} == before
    assert line.told() == []


def test_an_answer_comes_from_whoever_was_asked_once_and_makes_sense() -> None:
    west, line = engine_of("west")
    assert not west._slots_known([B], (9, 4), {})
    with pytest.raises(WireError, match="nobody has asked it for"):
        west.take("north", SlotState(B, None))
    with pytest.raises(WireError, match="not a model of noise"):
        west.take("east", SlotState(B, ("memory", [NAN])))
    west.take("east", SlotState(B, None))
    assert west._slots_known([B], (9, 4), {})
    with pytest.raises(WireError, match="nobody has asked it for"):
        west.take("east", SlotState(B, None))
    assert line.told() == [("east", Slot(B, 9, 4))]


def test_a_host_asks_once_for_a_position_at_a_moment() -> None:
    east, line = engine_of("east")
    east.open(B)
    east.take("west", Slot(B, 9, 4))
    with pytest.raises(WireError, match="twice for a position of bob"):
        east.take("north", Slot(B, 9, 4))
    east.serve((10, 0))
    assert [host for host, _ in line.told()] == ["west"]


def test_what_a_host_asks_for_later_takes_the_place_of_what_it_asked_for_before() -> None:
    west, _ = engine_of("west")
    for moment in range(1_000):
        west.take("east", Fetch(("bob", moment, 1), moment, 2, "east"))
    assert len(west.waiting) == 1


# -- what is lost with a host ------------------------------------------------------------------------------------------


def test_states_that_were_lost_with_a_host_are_maximally_mixed_and_all_others_are_found() -> None:
    west, line = engine_of("west")
    other = ("alice", 1, 1)
    for qubit in (A, other):
        west.open(qubit)
        west.take("east", Moved(qubit, "north", 1))
    line.told()
    west.give_up("north")
    assert line.told() == [("east", GaveUp(1))]
    west.take("east", GaveUp(1))
    assert line.told() == [("east", Held(1, []))]
    assert not west._is_ready(A, (50, 1), {})  # nobody is asked while the round goes on
    assert line.told() == []
    west.take("east", Held(1, [other]))
    assert west._away == {other: "east"}
    assert west.view(A).r == (1.0, 0.0, 0.0, 0.0)
    west.close(A)
    assert west.qubits == []


def test_a_half_whose_partner_was_of_a_lost_host_is_what_is_left_when_that_is_traced_out() -> None:
    west, line = engine_of("west")
    west.open(A)
    west.take("north", state_of(A, C))  # both |0>
    west.give_up("north")
    west.take("east", GaveUp(1))
    assert west.qubits == [A]
    assert west.view(A).r == (1.0, 0.0, 0.0, 1.0)
    assert line.told()[-1] == ("east", Held(1, []))


def test_whoever_has_qubits_of_others_says_so_to_each_of_them_and_to_nobody_else() -> None:
    east, line = engine_of("east")
    east.take("west", state_of(A, B, C))
    east.give_up("north")
    east.take("west", GaveUp(1))
    assert line.told() == [("west", GaveUp(1)), ("west", Held(1, [A]))]


def test_requests_are_forgotten_with_a_host_and_made_anew_when_all_know_what_is_where() -> None:
    west, line = engine_of("west")
    west.open(A)
    west.take("east", Moved(A, "east", 1))
    line.told()
    assert not west._is_ready(A, (50, 1), {})
    assert line.told() == [("east", Fetch(A, 50, 1, "west"))]
    west.take("east", Fetch(B, 60, 2, "east"))
    west.give_up("north")
    west.take("east", GaveUp(1))
    assert west.waiting == []
    west.take("east", Held(1, [A]))
    line.told()
    assert not west._is_ready(A, (50, 1), {})
    assert line.told() == [("east", Fetch(A, 50, 1, "west"))]


def test_a_position_of_a_lost_host_is_not_open_for_a_pair() -> None:
    west, _ = engine_of("west")
    assert not west._slots_known([C], (9, 4), {})
    west.give_up("north")
    assert west._slots_known([C], (9, 4), {})
    west.open(A)
    west.new_pair(werner(1.0), A, C, times_ns=(3, 3), bell=0)
    assert west.qubits == [A]
    assert west.partners(A) == []


def test_a_position_that_was_answered_for_to_a_lost_host_can_take_a_pair_again() -> None:
    east, line = engine_of("east")
    east.open(B)
    east.take("north", Slot(B, 9, 4))
    east.serve((9, 4))
    line.told()
    east.give_up("north")
    east.take("west", GaveUp(1))
    east.take("west", Held(1, []))
    east.take("west", Slot(B, 20, 4))
    east.serve((20, 4))
    assert [type(frame) for _, frame in line.told()] == [GaveUp, Held, SlotState]
    assert B not in east.qubits


def test_a_host_that_asks_or_sends_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emulator.wire.states.MOST_REQUESTS", 3)
    monkeypatch.setattr("emulator.wire.states.MOST_QUBITS", 2)
    west, _ = engine_of("west")
    for position in range(3):
        west.take("east", Slot(("alice", position, 1), 5, 1))
    with pytest.raises(WireError, match="3 requests wait here already"):
        west.take("east", Slot(("alice", 3, 1), 5, 1))
    west.take("east", state_of(("bob", 0, 1), ("bob", 1, 1)))
    with pytest.raises(WireError, match="2 qubits are here already"):
        west.take("east", state_of(("bob", 2, 1)))
