"""Node programs: circuits, pairs, qubits, sockets; and what happens when a program goes wrong."""

from __future__ import annotations

import math

import pytest
import trio

from emulator import MemoryFullError, parity
from emulator.quantum import gates
from nodes import CircuitClosedError, CircuitRefusedError, ProgramNode
from scenarios.load import InputError
from scenarios.report import Run
from scenarios.run import run_programs

CHAIN = ("links=3", "length_km=10", "hardware=ideal", "chain.0.success_probability=0.2", "chain.0.fidelity=1")
ALICE, BOB = "chain-a", "chain-b"
X_AXIS = (1.0, 0.0, 0.0)


def good(run: Run) -> Run:
    assert run.violations == []
    assert run.outcome.leaks == {}
    return run


def reclaimed(run: Run) -> int:
    return run.world.network.history.counts.get("reclaimed", 0)


def test_both_programs_get_the_same_pairs_and_perfectly_correlated_outcomes() -> None:
    seen: dict[str, list[tuple[object, int, int | None]]] = {ALICE: [], BOB: []}

    async def measure_ten(node: ProgramNode, circuit: object) -> None:
        for _ in range(10):
            pair = await circuit.pair()  # type: ignore[attr-defined]
            seen[node.name].append((pair.name, pair.bell, await node.measure(pair.qubit, X_AXIS)))

    async def alice(node: ProgramNode) -> None:
        async with node.circuit(to=BOB) as circuit:
            await measure_ten(node, circuit)

    async def bob(node: ProgramNode) -> None:
        async with node.accept(ALICE) as circuit:
            await measure_ten(node, circuit)

    good(run_programs("chain", {ALICE: alice, BOB: bob}, for_s=2, settings=CHAIN))
    assert len(seen[ALICE]) == 10
    for (name_a, bell_a, a), (name_b, bell_b, b) in zip(seen[ALICE], seen[BOB], strict=True):
        assert (name_a, bell_a) == (name_b, bell_b)
        assert a is not None
        assert b is not None
        assert a ^ b == parity(bell_a, 1)


def test_teleportation_over_three_links_with_real_latency() -> None:
    angle = 1.1
    arrived: list[tuple[int | None, int]] = []

    async def alice(node: ProgramNode) -> None:
        socket = node.socket(BOB)
        async with node.circuit(to=BOB, lanes=1) as circuit:
            for _ in range(20):
                pair = await circuit.pair()
                await node.correct(pair)
                secret = await node.allocate()
                await node.apply(gates.rotation(0, 1, 0, angle), secret)
                assert pair.qubit is not None
                await node.apply(gates.CNOT, secret, pair.qubit)
                await node.apply(gates.H, secret)
                bits = (await node.measure(pair.qubit), await node.measure(secret))
                socket.send(bytes([bits[0] or 0, bits[1] or 0, *node.now_ns.to_bytes(8, "big")]))
                await trio.sleep(1e-3)

    async def bob(node: ProgramNode) -> None:
        socket = node.socket(ALICE)
        async with node.accept(ALICE) as circuit:
            for _ in range(20):
                pair = await circuit.pair()
                message = await socket.receive()
                latency_ns = node.now_ns - int.from_bytes(message[2:], "big")
                assert pair.qubit is not None
                if message[0]:
                    await node.apply(gates.X, pair.qubit)
                if message[1]:
                    await node.apply(gates.Z, pair.qubit)
                await node.apply(gates.rotation(0, 1, 0, -angle), pair.qubit)
                arrived.append((await node.measure(pair.qubit), latency_ns))

    good(
        run_programs(
            "chain", {ALICE: alice, BOB: bob}, for_s=2, settings=(*CHAIN, "override.processor_qubits=1"), seed=2
        )
    )
    assert len(arrived) == 20
    assert [bit for bit, _ in arrived] == [0] * 20  # |0> after undoing the rotation: exact with ideal hardware
    assert all(latency >= 3 * 10 * 4890 for _, latency in arrived)


def test_a_refused_circuit_says_who_and_why_and_the_program_goes_on() -> None:
    errors: list[CircuitRefusedError] = []

    async def alice(node: ProgramNode) -> None:
        for to, lanes in ((BOB, 5), ("nobody", 1), (ALICE, 1)):
            try:
                async with node.circuit(to=to, lanes=lanes):
                    pytest.fail("granted")
            except CircuitRefusedError as error:
                errors.append(error)
        async with node.circuit(to=BOB) as circuit:
            await circuit.pair()

    run = good(run_programs("chain", {ALICE: alice}, for_s=1, settings=CHAIN))
    assert [error.reason for error in errors] == [
        "no free memory towards chain-1",
        "there is no path to 'nobody'",
        "there is no path to 'chain-a'",
    ]
    assert reclaimed(run) == 1  # the pair that alice did not measure


def test_what_a_program_leaves_behind_is_taken_back_and_recorded() -> None:
    async def alice(node: ProgramNode) -> None:
        await node.allocate()
        async with node.circuit(to=BOB) as circuit:
            await circuit.pair()
        await node.allocate()

    run = good(run_programs("chain", {ALICE: alice}, for_s=1, settings=(*CHAIN, "override.processor_qubits=2")))
    assert reclaimed(run) == 2  # once at the end of the circuit, once at the end of the program


def test_a_program_that_raises_ends_alone() -> None:
    got: list[int] = []

    async def alice(node: ProgramNode) -> None:
        async with node.circuit(to=BOB) as circuit:
            await circuit.pair()
            raise ZeroDivisionError("oh")

    async def other(node: ProgramNode) -> None:
        await trio.sleep(0.5)
        async with node.circuit(to=ALICE) as circuit:
            got.append((await circuit.pair()).bell)

    run = run_programs("chain", {ALICE: alice, BOB: other}, for_s=2, settings=CHAIN)
    assert run.outcome.leaks == {}
    assert len(got) == 1
    (violation,) = run.broken
    assert (violation.invariant, violation.text) == (
        "programs",
        "a program on chain-a failed: ZeroDivisionError: oh",
    )
    assert not run.good


def test_a_gone_or_foreign_qubit_cannot_be_used() -> None:
    async def alice(node: ProgramNode) -> None:
        qubit = await node.allocate()
        assert await node.measure(qubit) == 0
        for use in (node.measure(qubit), node.apply(gates.X, qubit)):
            with pytest.raises(ValueError, match="does not hold"):
                await use
        with pytest.raises(ValueError, match="does not hold"):
            node.discard(qubit)
        await node.allocate()
        with pytest.raises(MemoryFullError, match="all positions of the processor are in use"):
            await node.allocate()

    good(run_programs("chain", {ALICE: alice}, for_s=1, settings=(*CHAIN, "override.processor_qubits=1")))


def test_the_other_end_hears_that_a_circuit_is_closed() -> None:
    heard: list[str] = []

    async def alice(node: ProgramNode) -> None:
        async with node.circuit(to=BOB) as circuit:
            pair = await circuit.pair()
            await node.measure(pair.qubit)

    async def bob(node: ProgramNode) -> None:
        async with node.accept(ALICE) as circuit:
            while True:
                try:
                    pair = await circuit.pair()
                except CircuitClosedError as error:
                    heard.append(str(error))
                    return
                await node.measure(pair.qubit)

    good(run_programs("chain", {ALICE: alice, BOB: bob}, for_s=1, settings=CHAIN))
    assert heard == ["chain-b: the circuit is closed"]


def test_time_outs_of_trio_count_emulated_time_and_leave_no_circuit_behind() -> None:
    waited: list[float] = []

    async def alice(node: ProgramNode) -> None:
        for patience_s in (1e-6, 1e-4, 2e-4, 1e-2):  # while asking, at the answer, with and without a pair
            with trio.move_on_after(patience_s):
                async with node.circuit(to=BOB) as circuit:
                    while True:
                        await node.measure((await circuit.pair()).qubit)
            waited.append(trio.current_time())
            await trio.sleep(1e-3)  # what was asked for in vain is given back after a round trip

    good(run_programs("chain", {ALICE: alice}, for_s=1, settings=CHAIN))
    assert len(waited) == 4
    assert waited[-1] < 0.05


def test_programs_still_running_at_the_end_are_ended_and_leave_nothing() -> None:
    async def forever(node: ProgramNode) -> None:
        peer = BOB if node.name == ALICE else ALICE
        block = node.circuit(to=peer) if node.name == ALICE else node.accept(peer)
        async with block as circuit:
            while True:
                await circuit.pair()  # never measured: the memory is full at once

    run = good(run_programs("chain", {ALICE: forever, BOB: forever}, for_s=0.5, settings=CHAIN))
    assert run.world.monitor.routes[ALICE, BOB].delivered == 1


def test_a_photonic_client_has_outcomes_instead_of_qubits() -> None:
    rounds: list[tuple[int, int, int, int | None]] = []

    async def client(node: ProgramNode) -> None:
        async with node.circuit(to="city-1") as circuit:
            socket = node.socket("city-1", "bases")
            for _ in range(30):
                pair = await circuit.pair()
                assert pair.qubit is None
                with pytest.raises(TypeError, match="photonic client"):
                    await node.measure(pair.qubit)
                socket.send(bytes([pair.basis, pair.outcome]))

    async def server(node: ProgramNode) -> None:
        socket = node.socket("city-2", "bases")
        axes = {1: (1.0, 0.0, 0.0), 2: (0.0, 1.0, 0.0), 3: (0.0, 0.0, 1.0)}
        async with node.accept("city-2") as circuit:
            for _ in range(30):
                pair = await circuit.pair()
                basis, outcome = await socket.receive()
                rounds.append((pair.bell, basis, outcome, await node.measure(pair.qubit, axes[basis])))

    settings = ["end_nodes=2", "photonic_clients=1", "hardware=ideal", "star.0.client_hardware=ideal"]
    settings += ["star.0.success_probability=0.3", "star.0.fidelity=1"]
    good(run_programs("metro", {"city-2": client, "city-1": server}, for_s=2, settings=settings))
    assert len(rounds) == 30
    for bell, basis, outcome, other in rounds:
        assert other is not None
        assert outcome ^ other == parity(bell, basis)


def test_a_program_history_is_the_same_at_every_rate_and_its_random_numbers_are_its_own() -> None:
    async def alice(node: ProgramNode) -> None:
        async with node.circuit(to=BOB) as circuit:
            while True:
                pair = await circuit.pair()
                await trio.sleep(1e-3 * node.random.uniform())
                await node.measure(pair.qubit)

    def sha256(rate: float, seed: int = 1) -> str:
        run = good(run_programs("chain", {ALICE: alice}, for_s=0.2, rate=rate, seed=seed, settings=CHAIN))
        return run.world.network.history.sha256()

    assert sha256(math.inf) == sha256(1) == sha256(0.5)
    assert sha256(math.inf) != sha256(math.inf, seed=2)


def test_programs_run_on_end_nodes_only() -> None:
    async def nothing(node: ProgramNode) -> None:
        pass

    with pytest.raises(InputError, match="'chain-1': it is no end node"):
        run_programs("chain", {"chain-1": nothing}, settings=CHAIN)
    with pytest.raises(InputError, match="'nobody': there is no node of that name"):
        run_programs("chain", {"nobody": nothing}, settings=CHAIN)
