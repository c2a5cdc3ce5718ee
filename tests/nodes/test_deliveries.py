"""How pairs are delivered: kept, measured at once, early, turned into a Bell state, for one request or another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from emulator import MS, BellState, S, parity
from nodes import CircuitClosedError, Pair, PairExpiredError, PhotonicClient, ProgramNode

NAMES = ("alice", "r", "bob")


def run_both(
    worlds: SimpleNamespace,
    alice: Callable[[ProgramNode], Awaitable[None]],
    bob: Callable[[ProgramNode], Awaitable[None]],
    for_ns: int = S,
    **link: Any,
) -> Any:
    link = {"success_probability": 0.1, "memories": 4} | link
    world = worlds.read(worlds.line(*NAMES, **link) | {"route": []})
    world.install("alice", alice)
    world.install("bob", bob)
    outcome = world.network.run(for_ns=for_ns)
    assert [str(error) for _, error in world.programs.failures] == []
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)
    return world


class Takers:
    """Programs at both ends that take pairs until the circuit is closed."""

    def __init__(self, pairs: int, **options: Any) -> None:
        self.pairs = pairs
        self.options = options
        self.got: dict[str, list[Pair]] = {"alice": [], "bob": []}

    async def alice(self, node: ProgramNode) -> None:
        async with node.circuit(to="bob", **self.options) as circuit:
            for _ in range(self.pairs):
                await self._take(node, circuit)

    async def bob(self, node: ProgramNode) -> None:
        async with node.accept("alice") as circuit:
            try:
                while True:
                    await self._take(node, circuit)
            except CircuitClosedError:
                pass

    async def _take(self, node: ProgramNode, circuit: Any) -> None:
        pair = await circuit.pair()
        self.got[node.name].append(pair)
        if pair.qubit is not None:
            node.discard(pair.qubit)

    def both(self) -> list[tuple[Pair, Pair]]:
        bobs = {pair.name: pair for pair in self.got["bob"]}
        return [(pair, bobs[pair.name]) for pair in self.got["alice"] if pair.name in bobs]


@pytest.mark.parametrize("basis", ["X", "Y", "Z", ""])
@pytest.mark.parametrize("state", [None, BellState.PHI_PLUS, BellState.PSI_MINUS])
def test_measured_pairs_agree_as_their_bell_state_says(
    worlds: SimpleNamespace, basis: str, state: BellState | None
) -> None:
    takers = Takers(60, delivery="measure", basis=basis, state=state)
    run_both(worlds, takers.alice, takers.bob)
    both = takers.both()
    assert len(both) > 50
    alike = [(a, b) for a, b in both if a.basis == b.basis]
    assert all(a.outcome ^ b.outcome == parity(a.bell, a.basis) for a, b in alike)
    assert all(a.bell == b.bell and (state is None or a.bell == state) for a, b in both)
    assert all(pair.qubit is None for pair in (*both[0], *both[1]))
    if basis:
        assert {a.basis for a, _ in both} == {b.basis for _, b in both} == {"XYZ".index(basis) + 1}
    else:
        assert 5 < len(alike) < 40, "a third of the time both draw the same basis"
    assert len({a.outcome for a, _ in both}) == 2


def test_measuring_at_once_frees_the_memory_while_the_news_is_under_way(worlds: SimpleNamespace) -> None:
    rates = []
    for delivery in ("keep", "measure"):
        takers = Takers(10_000, delivery=delivery)
        run_both(worlds, takers.alice, takers.bob, length_km=50, success_probability=0.9, for_ns=100 * MS)
        rates.append(len(takers.got["alice"]))
    assert rates[1] > 1.2 * rates[0] > 10


@pytest.mark.parametrize("state", list(BellState))
def test_the_head_end_turns_kept_pairs_into_the_state_that_was_asked_for(
    worlds: SimpleNamespace, state: BellState
) -> None:
    outcomes: dict[tuple[str, Any], Any] = {}

    async def measure(node: ProgramNode, circuit: Any) -> None:
        pair = await circuit.pair()
        assert pair.bell == state
        axis = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)][pair.name[0][1] % 3]
        outcomes[node.name, pair.name] = await node.measure(pair.qubit, axis)

    async def alice(node: ProgramNode) -> None:
        async with node.circuit(to="bob", state=state) as circuit:
            for _ in range(12):
                await measure(node, circuit)

    async def bob(node: ProgramNode) -> None:
        async with node.accept("alice") as circuit:
            for _ in range(12):
                await measure(node, circuit)

    run_both(worlds, alice, bob)
    names = [name for node, name in outcomes if node == "alice" and ("bob", name) in outcomes]
    assert len(names) >= 10
    for name in names:
        basis = 1 + name[0][1] % 3
        assert outcomes["alice", name] ^ outcomes["bob", name] == parity(state, basis)


def test_early_qubits_are_there_before_the_news_and_are_confirmed_or_expire(worlds: SimpleNamespace) -> None:
    confirmed: list[tuple[int, int]] = []
    expired: list[int] = []
    outcomes: dict[tuple[str, object], int | None] = {}

    async def take(node: ProgramNode, circuit: Any) -> None:
        early = await circuit.early_pair()
        since_ns = node.now_ns
        outcome = await node.measure(early.qubit, (0.0, 0.0, 1.0))
        try:
            pair = await early.confirmed()
        except PairExpiredError:
            expired.append(node.now_ns - since_ns)
            return
        confirmed.append((since_ns, node.now_ns))
        outcomes[node.name, pair.name] = outcome if pair.bell in (0, 1) or node.name == "bob" else 1 - (outcome or 0)

    async def alice(node: ProgramNode) -> None:
        async with node.circuit(to="bob", delivery="early", cutoff_s=0.0002, lanes=2) as circuit:
            for _ in range(60):
                await take(node, circuit)

    async def bob(node: ProgramNode) -> None:
        async with node.accept("alice") as circuit:
            try:
                while True:
                    await take(node, circuit)
            except CircuitClosedError:
                pass

    run_both(worlds, alice, bob, success_probability=0.3)
    assert len(confirmed) > 20
    assert len(expired) > 5
    assert max(later - early for early, later in confirmed) > 0.1 * MS
    pairs = [
        (outcome, outcomes["bob", name])
        for (node, name), outcome in outcomes.items()
        if node == "alice" and ("bob", name) in outcomes
    ]
    assert len(pairs) > 8
    assert all(a == b for a, b in pairs)


def test_requests_come_and_go_within_a_circuit_and_without_any_its_links_rest(worlds: SimpleNamespace) -> None:
    got: list[tuple[str, int, int]] = []
    resting: list[int] = []

    async def alice(node: ProgramNode) -> None:
        async with node.circuit(to="bob", delivery=None, lanes=2) as circuit:
            for number, kind in enumerate(("keep", "measure", "keep"), start=2):
                async with circuit.request(pairs=5, delivery=kind) as request:
                    for _ in range(5):
                        pair = await request.pair()
                        got.append((kind, pair.request, number))
                        assert (pair.qubit is None) == (kind == "measure")
                        if pair.qubit is not None:
                            node.discard(pair.qubit)
                await trio.sleep(0.02)
                resting.append(world_sessions())
                await trio.sleep(0.02)

    async def bob(node: ProgramNode) -> None:
        async with node.accept("alice") as circuit:
            try:
                while True:
                    pair = await circuit.pair()
                    got.append(("bob", pair.request, pair.request))
                    if pair.qubit is not None:
                        node.discard(pair.qubit)
            except CircuitClosedError:
                pass

    world = worlds.read(worlds.line(*NAMES, success_probability=0.1, memories=4) | {"route": []})

    def world_sessions() -> int:
        return sum(actor.held().get("sessions", 0) for actor in world.network.actors.values())

    world.install("alice", alice)
    world.install("bob", bob)
    outcome = world.network.run(for_ns=S)
    assert [str(error) for _, error in world.programs.failures] == []
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)
    assert [entry for entry in got if entry[0] != "bob"] == [("keep", 2, 2)] * 5 + [("measure", 3, 3)] * 5 + [
        ("keep", 4, 4)
    ] * 5
    assert {request for kind, request, _ in got if kind == "bob"} <= {0, 2, 3, 4}
    assert resting == [0, 0, 0]


def test_a_request_for_some_pairs_goes_on_in_the_next_epoch_of_its_circuit(worlds: SimpleNamespace) -> None:
    got: list[int] = []

    async def alice(node: ProgramNode) -> None:
        async with node.circuit(to="bob", delivery=None) as circuit, circuit.request(pairs=40) as request:
            for _ in range(40):
                pair = await request.pair()
                got.append(node.now_ns)
                assert pair.qubit is not None
                node.discard(pair.qubit)

    async def bob(node: ProgramNode) -> None:
        async with node.accept("alice") as circuit:
            try:
                while True:
                    node.discard((await circuit.pair()).qubit)  # type: ignore[arg-type]
            except CircuitClosedError:
                pass

    world = worlds.read(worlds.line(*NAMES, success_probability=0.1) | {"route": []})
    world.install("alice", alice)
    world.install("bob", bob)
    world.network._restart_ns["r"] = MS
    world.network.timeline.at(20 * MS, world.network.crash, "r")
    outcome = world.network.run(for_ns=S)
    assert [str(error) for _, error in world.programs.failures] == []
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)
    assert len(got) == 40
    assert got[0] < 20 * MS < got[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delivery": "sideways"}, "delivery = 'sideways' must be 'keep', 'measure' or 'early'"),
        ({"basis": "Z"}, "is for delivery = 'measure' only"),
        ({"delivery": "measure", "basis": "W"}, "basis = 'W' must be 'X', 'Y' or 'Z'"),
        ({"delivery": "early", "state": BellState.PHI_PLUS}, "state must be None"),
        ({"pairs": -1}, "pairs = -1 must not be negative"),
        ({"delivery": "early", "distil": "dejmps", "lanes": 2}, "there is no 'early' of them"),
    ],
)
def test_requests_that_make_no_sense_are_refused_with_the_reason(
    worlds: SimpleNamespace, options: dict[str, Any], message: str
) -> None:
    world = worlds.read(worlds.line(*NAMES, memories=4) | {"route": []})

    async def alice(node: ProgramNode) -> None:
        async with node.circuit(to="bob", **options):
            pass

    world.install("alice", alice)
    outcome = world.network.run(for_ns=10 * MS)
    ((_, error),) = world.programs.failures
    assert isinstance(error, ValueError)
    assert message in str(error)
    assert outcome.leaks == {}


def test_a_photonic_client_has_measured_whatever_is_asked(worlds: SimpleNamespace) -> None:
    document = worlds.line(*NAMES, success_probability=0.1)
    document["node"][2]["kind"] = "photonic"
    world = worlds.read(document | {"route": []})
    got: list[Pair] = []

    async def alice(node: ProgramNode) -> None:
        async with node.circuit(to="bob") as circuit:
            for _ in range(5):
                pair = await circuit.pair()
                got.append(pair)
                assert pair.qubit is not None
                node.discard(pair.qubit)

    world.install("alice", alice)
    outcome = world.network.run(for_ns=S)
    assert isinstance(world.network.actors["bob"], PhotonicClient)
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)
    assert len(got) == 5


def test_pairs_that_come_after_the_deadline_say_so_and_none_is_begun_after_it(worlds: SimpleNamespace) -> None:
    broken: list[tuple[int, tuple[str, ...]]] = []
    refused: list[str] = []

    async def alice(node: ProgramNode) -> None:
        async with node.circuit(to="bob", deadline_s=0.02) as circuit:
            while node.now_ns < 40 * MS:
                pair = await circuit.pair()
                broken.append((node.now_ns, pair.broken))
                node.discard(pair.qubit)  # type: ignore[arg-type]
        try:
            async with node.circuit(to="bob", deadline_s=0.02):
                pass
        except Exception as error:  # noqa: BLE001
            refused.append(str(error))

    async def bob(_: ProgramNode) -> None:
        await trio.sleep_forever()

    run_both(worlds, alice, bob)
    assert all((time_ns > 20 * MS) == (why == ("deadline",)) for time_ns, why in broken)
    assert {why for _, why in broken} == {(), ("deadline",)}
    assert refused == ["alice refused: 0.02 s are over already (NOTIME)"]


def test_a_trace_tells_the_swaps_from_the_head_end_on_at_both_ends(worlds: SimpleNamespace) -> None:
    names = ("alice", "r1", "r2", "r3", "bob")
    for nested in (False, True):
        takers = Takers(10, trace=True, nested=nested)
        world = worlds.read(worlds.line(*names, success_probability=0.2, fidelity=0.9) | {"route": []})
        world.install("alice", takers.alice)
        world.install("bob", takers.bob)
        world.network.run(for_ns=S)
        both = takers.both()
        assert len(both) > 5
        for a, b in both:
            assert a.history == b.history
            assert [note.node for note in a.history] == ["r1", "r2", "r3"]
            chain = [a.name[0], *(pair for note in a.history for pair in (note.west, note.east)), a.name[1]]
            assert chain[::2] == chain[1::2], "each pair on the way joins two neighbours"
            assert [f for note in a.history for f in note.fidelities] == [pytest.approx(0.9)] * 6
            swaps = {
                (r.actor, r.fields[1], r.fields[2]): (r.time_ns, r.fields[3])
                for r in worlds.records_of(world)
                if r.kind == "swap"
            }
            for note in a.history:
                assert swaps[note.node, note.west, note.east] == (note.time_ns, note.outcome)
