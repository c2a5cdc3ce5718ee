"""The laws of time, order and light, on small random worlds in which nearly everything happens at shared instants.

Run as a program, it prints what the histories of such worlds are, from a process of its own.
"""

import json
import math
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise

import pytest
import trio

from emulator import MS, Actor, Bank, Engine, Envelope, Handler, MemoryNoise, Message, Network, QuantumMemory, Qubit
from emulator.quantum import werner

GRID_NS = 5_000
SPAN_NS = 5 * MS
WALKERS = [f"walker {chr(97 + k)}" for k in range(8)]
AXES = [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.6, 0.0, 0.8)]


class Token(Message, frozen=True, tag="laws-token"):
    hops: int


class Note(Message, frozen=True, tag="laws-note"):
    text: str


class Ready(Message, frozen=True, tag="laws-ready"):
    position: int
    generation: int


class Made(Message, frozen=True, tag="laws-made"):
    generation: int


class Call(Message, frozen=True, tag="laws-call"):
    round: int


class Answer(Message, frozen=True, tag="laws-answer"):
    round: int


class Maker(Actor):
    """Puts pairs into the positions of any two walkers that are ready."""

    def __init__(self, engine: Engine) -> None:
        super().__init__("maker")
        self._engine = engine

    def begin(self) -> None:
        self.waiting: list[tuple[str, Ready]] = []

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {Ready: self.on_ready}

    def on_ready(self, message: Ready, envelope: Envelope) -> None:
        self.waiting.append((envelope.sender, message))
        if len(self.waiting) == 2:
            self.after(GRID_NS * (1 + self.random().below(3)), self.make, tuple(self.waiting))
            self.waiting = []

    def make(self, two: tuple[tuple[str, Ready], tuple[str, Ready]]) -> None:
        a, b = ((name, ready.position, ready.generation) for name, ready in two)
        if a != b:
            self._engine.new_pair(werner(0.9), a, b, times_ns=(self.now_ns, self.now_ns), bell=0)
        for name, ready in two:
            self.send(name, Made(ready.generation))


class Walker(Actor):
    """Passes tokens on, waits for notes with a time-out, measures its half of pairs, and crashes at times."""

    def __init__(self, name: str, neighbours: list[str], engine: Engine, stall_s: float) -> None:
        super().__init__(name)
        self._neighbours, self._engine, self._stall_s = neighbours, engine, stall_s
        self._memory = QuantumMemory(engine, name, {"all": Bank(2, MemoryNoise(t1_s=0.1, t2_s=0.05))})
        self._qubits: dict[int, Qubit] = {}
        self._closing = False

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {Token: self.on_token, Made: self.on_made}

    def begin(self) -> None:
        self._memory.reserve("all", (self.name, ""), 2)
        if not self._closing:
            self.send(self.pick(), Token(self.random("walk").below(20)))
            self.offer()

    def lose(self) -> None:
        self._memory.lose()
        self._qubits = {}

    def held(self) -> Mapping[str, int]:
        return {"qubits": self._memory.in_use}

    def close(self) -> None:
        self._closing = True
        for qubit in self._qubits.values():
            self._memory.free(qubit)
        self._qubits = {}

    def pick(self) -> str:
        return self._neighbours[self.random("walk").below(len(self._neighbours))]

    def on_token(self, message: Token, envelope: Envelope) -> None:
        if self._stall_s and message.hops == 25:
            time.sleep(self._stall_s)
        if self._closing:
            return
        if message.hops == 60:
            raise RuntimeError("tired")
        if message.hops % 3 == 0:
            self.send(envelope.sender, Note(f"{self.name} got it after {message.hops} hops"))
        self.send(self.pick(), Token(message.hops + 1))

    def offer(self) -> None:
        if not self._closing and self._memory.spare("all", (self.name, "")):
            qubit = self._memory.take("all", (self.name, ""))
            _, position, generation = qubit.id
            self._qubits[position] = qubit
            self.send("maker", Ready(position, generation))

    def on_made(self, message: Made, envelope: Envelope) -> None:
        for position, qubit in self._qubits.items():
            if qubit.id[2] == message.generation and self._engine.exists(qubit.id):
                self.after(GRID_NS * (1 + self.random("measure").below(3)), self.measure, position, qubit)

    def measure(self, position: int, qubit: Qubit) -> None:
        """Measure a half: which outcome belongs to which random number depends on who of the two comes first."""
        if self._closing or self._qubits.get(position) is not qubit or not self._engine.exists(qubit.id):
            return
        draw = self.random("measure")
        outcome = self._engine.measure(
            qubit.id, self.now_ns, u=(draw.uniform(), draw.uniform()), direction=AXES[draw.below(3)]
        )
        self.record("measures", outcome)
        del self._qubits[position]
        self._memory.free(qubit)
        self.offer()

    async def run(self) -> None:
        while not self._closing:
            with trio.move_on_after(GRID_NS * (1 + self.random("patience").below(6)) / 1e9) as scope:
                note = await self.receive(Note)
                self.record("notes", note.sender, note.message)
            if scope.cancelled_caught:
                self.record("gives up")
                self.offer()
                async with trio.open_nursery() as nursery:
                    for k in range(3):
                        nursery.start_soon(self.sigh, k)

    async def sigh(self, k: int) -> None:
        await self.sleep(GRID_NS)
        self.record("sighs", k)


def walk(
    seed: int = 1,
    rate: float = math.inf,
    order: int = 0,
    stall_s: float = 0.0,
    bit_rate_per_s: float | None = None,
) -> Network:
    """Return a random network of walkers after its run. `order`: in which order its parts are added."""
    rng, shuffle = random.Random(seed), random.Random(order).shuffle
    network = Network(seed=seed, rate=rate, keep_history=True)
    edges = {(a, b): GRID_NS * rng.randint(1, 6) for a in WALKERS for b in WALKERS if a < b and rng.random() < 0.5}
    edges |= dict.fromkeys(pairwise(WALKERS), GRID_NS)
    actors: list[Actor] = [Maker(network.engine)]
    for name in WALKERS:
        neighbours = sorted({a if b == name else b for a, b in edges if name in (a, b)})
        actors.append(Walker(name, neighbours, network.engine, stall_s))
    links = [*edges.items(), *(((name, "maker"), GRID_NS * (1 + k % 3)) for k, name in enumerate(WALKERS))]
    if order:
        shuffle(actors)
        shuffle(links)
    for actor in actors:
        network.add(actor, restart_after_ns=3 * GRID_NS)
    for (a, b), latency_ns in links:
        pair = (b, a) if order % 2 else (a, b)
        network.connect(*pair, latency_ns=latency_ns, bit_rate_per_s=bit_rate_per_s)
    outcome = network.run(for_ns=SPAN_NS)
    assert outcome.leaks == {}
    return network


# -- a crowd in lockstep -------------------------------------------------------------------------------------------


class Caller(Actor):
    """Calls everybody at once, and notes who answers in which order."""

    def __init__(self, crowd: list[str]) -> None:
        super().__init__("m: the caller")  # with names before and after it
        self._crowd = crowd

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {Answer: self.on_answer}

    def begin(self) -> None:
        self.order: list[str] = []
        self.call(0)

    def call(self, round_: int) -> None:
        for name in self._crowd:
            self.send(name, Call(round_))
        if round_ < 3:
            self.after(10 * GRID_NS, self.call, round_ + 1)

    def on_answer(self, message: Answer, envelope: Envelope) -> None:
        self.order.append(envelope.sender)
        self.record("hears", envelope.sender, message.round, self.random().uniform())


class One(Actor):
    """One of the crowd: answers from a handler, from a timer, or from a task, all at the same instant."""

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {} if self.way == 2 else {Call: self.on_call}

    @property
    def way(self) -> int:
        return int(self.name[1:]) % 3

    def on_call(self, message: Call, envelope: Envelope) -> None:
        if self.way == 0:
            self.send(envelope.sender, Answer(message.round))
        else:
            self.after(2 * GRID_NS, self.send, envelope.sender, Answer(message.round))

    async def run(self) -> None:
        while self.way == 2:
            with trio.move_on_after(40 * GRID_NS / 1e9) as scope:
                envelope = await self.receive(Call)
            if scope.cancelled_caught:
                return
            await self.sleep(2 * GRID_NS)
            self.send(envelope.sender, Answer(envelope.message.round))  # type: ignore[attr-defined]


def crowd(seed: int = 1, rate: float = math.inf, order: int = 0) -> Network:
    network = Network(seed=seed, rate=rate, keep_history=True)
    names = [f"{'az'[k % 2]}{k:03}" for k in range(150)]
    actors = [Caller(names), *map(One, names)]
    if order:
        random.Random(order).shuffle(actors)
    for actor in actors:
        network.add(actor)
    for actor in actors:
        if isinstance(actor, One):
            latency_ns = GRID_NS * (2 if actor.way == 0 else 1)  # the others wait for as long as that
            network.connect(actor.name, "m: the caller", latency_ns=latency_ns)
    assert network.run(for_ns=MS).leaks == {}
    return network


WORLDS: Mapping[str, Callable[..., Network]] = {"walk": walk, "crowd": crowd}
EVERY_WORLD = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)


def sha256(network: Network) -> str:
    return network.history.sha256()


# -- the worlds are worth it ---------------------------------------------------------------------------------------


def test_the_walk_has_everything_in_it_and_ties_everywhere() -> None:
    network = walk()
    counts = network.history.counts
    assert all(counts[kind] > 10 for kind in ("crashes", "begins", "notes", "gives up", "sighs", "measures", "message"))
    assert counts["message"] > 1_500
    records = network.history.kept or []
    actors_at: dict[int, set[str]] = {}
    for record in records:
        actors_at.setdefault(record.time_ns, set()).add(record.actor)
    shared = sum(len(actors_at[record.time_ns]) > 1 for record in records)
    assert shared > 0.7 * len(records)
    # Some measurements of two halves of a pair come at one instant.
    measured = Counter(record.time_ns for record in records if record.kind == "measures")
    assert sum(n > 1 for n in measured.values()) > 10


def test_the_crowd_answers_at_one_instant_and_is_heard_in_the_order_of_names() -> None:
    network = crowd()
    caller = network.actors["m: the caller"]
    assert isinstance(caller, Caller)
    heard = [record for record in network.history.kept or () if record.kind == "hears"]
    assert len({record.time_ns for record in heard}) == 4
    assert len(heard) == 600
    for time_ns in {record.time_ns for record in heard}:
        senders = [record.fields[0] for record in heard if record.time_ns == time_ns]
        assert senders == sorted(senders)


# -- law 2: same seed, same history --------------------------------------------------------------------------------


@EVERY_WORLD
@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_the_history_is_the_same_at_every_rate(world: Callable[..., Network], rate: float) -> None:
    assert sha256(world(rate=rate)) == sha256(world())


def test_the_history_is_the_same_when_the_host_stalls() -> None:
    calm, stalled = walk(rate=1.0), walk(rate=1.0, stall_s=0.02)
    assert stalled.timeline.lag.max_ns > 15_000_000
    assert sha256(calm) == sha256(stalled)


@EVERY_WORLD
def test_the_history_is_the_same_again_and_in_whatever_order_actors_were_added(world: Callable[..., Network]) -> None:
    first = world()
    for order in (0, 1, 2):
        again = world(order=order)
        assert again.history.kept == first.history.kept, f"order {order}"
        assert sha256(again) == sha256(first)


@EVERY_WORLD
def test_another_seed_is_another_history(world: Callable[..., Network]) -> None:
    assert len({sha256(world(seed=seed)) for seed in range(3)}) == 3


def test_the_history_is_the_same_in_every_process() -> None:
    reports = []
    for hash_seed, order in (("0", "0"), ("1", "0"), ("2", "5")):
        env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        done = subprocess.run(
            [sys.executable, __file__, order], capture_output=True, text=True, env=env, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        reports.append(json.loads(done.stdout))
    here = {name: sha256(world()) for name, world in WORLDS.items()}
    assert reports == [here] * 3


# -- law 5: nothing outruns light ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bit_rate_per_s", [None, 1e9, 2e7])
@pytest.mark.parametrize("seed", range(3))
def test_no_message_arrives_before_its_light(seed: int, bit_rate_per_s: float | None) -> None:
    network = walk(seed, bit_rate_per_s=bit_rate_per_s)
    arrivals = [record for record in network.history.kept or () if record.kind == "message"]
    assert len(arrivals) > 1_500
    for time_ns, actor, _, (sender, _, sent_ns, _) in arrivals:
        light_ns = sent_ns + network.channel(sender, actor).latency_ns
        if bit_rate_per_s is None:
            assert time_ns == light_ns, f"seed {seed}"
        else:
            assert time_ns > light_ns, f"seed {seed}"


@pytest.mark.parametrize("seed", range(3))
def test_a_token_takes_at_least_the_light_time_of_all_its_hops(seed: int) -> None:
    hops = [
        (record.fields[3].hops, record.time_ns)
        for record in walk(seed).history.kept or ()
        if record.kind == "message" and isinstance(record.fields[3], Token)
    ]
    assert max(hops)[0] == 60
    for number, time_ns in hops:  # a token starts with 19 hops at most
        assert time_ns >= (number - 19) * GRID_NS, f"seed {seed}"


# -- law 1: emulated time is exact ---------------------------------------------------------------------------------


def test_what_is_on_a_grid_stays_on_it_to_the_nanosecond() -> None:
    off = [record for record in walk().history.kept or () if record.time_ns < SPAN_NS and record.time_ns % GRID_NS]
    assert off == []


if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: sha256(world(order=int(sys.argv[1]))) for name, world in WORLDS.items()}))
