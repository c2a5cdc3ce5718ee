"""A node with a processor: qubits of its own, operations that take time and have noise."""

import math
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from emulator import MS, US, Bank, MemoryFullError, MemoryNoise, Network, QubitError, Readout
from emulator.quantum.gates import CNOT, H, X
from nodes import NodePhysics, ProcessingNode

X_AXIS = (1.0, 0.0, 0.0)
PHYSICS = NodePhysics(one_qubit_ns=100, two_qubit_ns=1000, readout_ns=500)


class Scripted(ProcessingNode):
    """A node that does what a test says."""

    script: Callable[["Scripted"], Awaitable[None]]

    async def run(self) -> None:
        await self.script(self)

    def pauli(self, *qubits: Any) -> tuple[float, ...]:
        """Look at the true state, as only a test may."""
        return self._device.snapshot(*(q.id for q in qubits)).r


def run(
    script: Callable[[Any], Awaitable[None]],
    *,
    physics: NodePhysics = PHYSICS,
    positions: int | None = 2,
    noise: MemoryNoise | None = None,
    seed: int = 1,
) -> SimpleNamespace:
    network = Network(seed=seed)
    bank = {} if positions is None else {"processor": Bank(positions, noise) if noise else Bank(positions)}
    node = network.add(Scripted("alice", network.engine, bank, {}, physics))
    finished = []

    async def all_of_it(self: Any) -> None:
        await script(self)
        finished.append(self.now_ns)

    node.script = all_of_it
    outcome = network.run(for_ns=100 * MS)
    assert finished, "the script did not come to its end"
    return SimpleNamespace(leaks=outcome.leaks, finished_ns=finished[0], node=node)


def test_operations_take_their_time() -> None:
    async def script(node: Any) -> None:
        a = await node.allocate()
        assert node.now_ns == 100
        b = await node.allocate()
        assert node.now_ns == 200
        await node.apply(X, a)
        assert node.now_ns == 300
        await node.apply(CNOT, a, b)
        assert node.now_ns == 1300
        assert await node.measure(b) == 1
        assert node.now_ns == 1800
        node.discard(a)

    assert run(script).leaks == {}


def test_an_operation_is_applied_at_its_end() -> None:
    seen = []

    async def script(node: Any) -> None:
        qubit = await node.allocate()
        for delay_ns in (99, 100):
            node.after(delay_ns, lambda: seen.append(node.pauli(qubit)[3]))
        await node.apply(X, qubit)
        seen.append(node.pauli(qubit)[3])
        node.discard(qubit)

    run(script)
    assert seen[0] == 1
    assert seen[-1] == -1


def test_a_qubit_begins_as_zero_and_measures_as_what_gates_make_of_it() -> None:
    async def script(node: Any) -> None:
        for _ in range(20):
            zero, plus = await node.allocate(), await node.allocate()
            await node.apply(H, plus)
            assert await node.measure(zero) == 0
            assert await node.measure(plus, X_AXIS) == 0

    assert run(script).leaks == {}


def test_a_bell_pair_of_a_node_of_its_own_has_equal_outcomes() -> None:
    outcomes = []

    async def script(node: Any) -> None:
        for _ in range(60):
            a, b = await node.allocate(), await node.allocate()
            await node.apply(H, a)
            await node.apply(CNOT, a, b)
            outcomes.append((await node.measure(a), await node.measure(b)))

    assert run(script).leaks == {}
    assert set(outcomes) == {(0, 0), (1, 1)}  # a missing one has a probability of 2^-59


def test_a_full_processor_says_so_and_a_discarded_position_serves_again() -> None:
    async def script(node: Any) -> None:
        a, b = await node.allocate(), await node.allocate()
        began_ns = node.now_ns
        with pytest.raises(MemoryFullError, match="alice: all positions of the processor are in use"):
            await node.allocate()
        assert node.now_ns == began_ns
        node.discard(a)
        c = await node.allocate()
        assert c.id != a.id
        assert (node.memory.in_use, node.memory.reserved) == (2, 2)
        await node.measure(b)
        assert (node.memory.in_use, node.memory.reserved) == (1, 1)
        node.discard(c)

    assert run(script).leaks == {}


def test_a_node_without_a_processor_is_always_full() -> None:
    async def script(node: Any) -> None:
        with pytest.raises(MemoryFullError, match="alice"):
            await node.allocate()

    assert run(script, positions=None).leaks == {}


@pytest.mark.parametrize("how", ["measured", "discarded"])
def test_a_qubit_that_is_gone_cannot_be_used(how: str) -> None:
    async def script(node: Any) -> None:
        qubit = await node.allocate()
        if how == "measured":
            await node.measure(qubit)
        else:
            node.discard(qubit)
        with pytest.raises((QubitError, LookupError)):
            node.discard(qubit)

    assert run(script).leaks == {}


def test_a_qubit_that_is_kept_is_counted() -> None:
    async def script(node: Any) -> None:
        await node.allocate()

    assert run(script).leaks == {"qubits": 1, "alice memory positions in use": 1, "alice memory positions reserved": 1}


def test_gates_depolarise_with_the_probability_of_the_hardware() -> None:
    p, q = 0.1, 0.25
    physics = NodePhysics(one_qubit_depolarising=p, two_qubit_depolarising=q)

    async def script(node: Any) -> None:
        a, b = await node.allocate(), await node.allocate()
        await node.apply(H, a)
        assert node.pauli(a) == pytest.approx((1, 1 - p, 0, 0))
        await node.apply(CNOT, a, b)
        r = node.pauli(a, b)
        xx, yy, zz = r[5], r[10], r[15]
        # The gate turns X of a into XX and Z of b into ZZ; only the first has been through a noisy gate before.
        assert (xx, yy, zz) == pytest.approx(((1 - p) * (1 - q), -(1 - p) * (1 - q), 1 - q))
        node.discard(a)
        node.discard(b)

    assert run(script, physics=physics).leaks == {}


def test_a_stored_qubit_decoheres_in_emulated_time() -> None:
    async def script(node: Any) -> None:
        qubit = await node.allocate()
        await node.apply(H, qubit)
        await node.sleep(700 * US)
        await node.apply(H, qubit)
        # From |0> at rest (100 ns do nothing to it) to the second Hadamard gate: 700 us and a gate as |+>.
        assert node.pauli(qubit)[3] == pytest.approx(math.exp(-700_100e-9 / 1e-3), rel=1e-12)
        node.discard(qubit)

    assert run(script, noise=MemoryNoise(t2_s=1e-3)).leaks == {}


def test_readout_errors_are_those_of_the_hardware() -> None:
    async def wrong(node: Any) -> None:
        for flip, expected in ((False, 1), (True, 1)):
            qubit = await node.allocate()
            if flip:
                await node.apply(X, qubit)
            assert await node.measure(qubit) == expected

    async def silent(node: Any) -> None:
        assert await node.measure(await node.allocate()) is None

    assert run(wrong, physics=NodePhysics(readout=Readout(error_0=1.0))).leaks == {}
    assert run(silent, physics=NodePhysics(readout=Readout(efficiency=0.0))).leaks == {}


def test_outcomes_come_from_the_nodes_own_seeded_stream() -> None:
    def outcomes(seed: int) -> list[int]:
        found: list[int] = []

        async def script(node: Any) -> None:
            for _ in range(64):
                qubit = await node.allocate()
                await node.apply(H, qubit)
                found.append(await node.measure(qubit))

        run(script, seed=seed)
        return found

    assert outcomes(1) == outcomes(1) != outcomes(2)
