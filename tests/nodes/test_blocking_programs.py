"""Programs in threads: emulated time waits for them, and the history does not depend on how long they take."""

import math

import pytest
import trio

from nodes import BlockingNode, CircuitRefusedError, ProgramNode, blocking
from scenarios.report import Run
from scenarios.run import run_programs

SETTINGS = ("links=2", "hardware=ideal", "chain.0.success_probability=0.1", "chain.0.fidelity=1")


def busy(rounds: int) -> float:
    """Take some time of the host."""
    return sum(math.sqrt(k) for k in range(rounds))


def run(rounds: int, rate: float = math.inf) -> tuple[Run, list[tuple[int, int | None]], list[tuple[int, int | None]]]:
    """Measure ten pairs at both ends by blocking programs that compute in between."""
    outcomes: dict[str, list[tuple[int, int | None]]] = {"chain-a": [], "chain-b": []}

    def alice(node: BlockingNode) -> None:
        socket = node.socket("chain-b")
        with node.circuit(to="chain-b") as circuit:
            for _ in range(10):
                pair = circuit.pair()
                before_ns = node.now_ns
                busy(rounds)
                assert node.now_ns == before_ns
                outcomes[node.name].append((int(pair.bell), node.measure(pair.qubit)))
                socket.send(b"next")

    def bob(node: BlockingNode) -> None:
        socket = node.socket("chain-a")
        with node.accept("chain-a") as circuit:
            for _ in range(10):
                pair = circuit.pair()
                outcomes[node.name].append((int(pair.bell), node.measure(pair.qubit)))
                assert socket.receive() == b"next"
                node.sleep(0.001)

    programs = {"chain-a": blocking(alice), "chain-b": blocking(bob)}
    done = run_programs("chain", programs, for_s=1, seed=2, rate=rate, settings=SETTINGS)
    return done, outcomes["chain-a"], outcomes["chain-b"]


def test_both_ends_get_the_same_pairs_and_outcomes_that_fit() -> None:
    done, alice, bob = run(0)
    assert (done.outcome.leaks, done.violations) == ({}, [])
    assert len(alice) == len(bob) == 10
    for (bell, a), (other, b) in zip(alice, bob, strict=True):
        assert a is not None
        assert b is not None
        assert (bell, a ^ b) == (other, bell >> 1)


def test_the_history_does_not_depend_on_how_long_the_programs_compute_nor_on_the_rate() -> None:
    hashes = {
        done.world.network.history.sha256() for done in (run(0)[0], run(0)[0], run(30_000)[0], run(1_000, rate=10.0)[0])
    }
    assert len(hashes) == 1


def test_a_blocking_program_does_gates_and_hears_refusals() -> None:
    from emulator.quantum import gates  # noqa: PLC0415

    found: list[object] = []

    def alice(node: BlockingNode) -> None:
        qubit = node.allocate()
        node.apply(gates.X, qubit)
        found.append(node.measure(qubit))
        spare = node.allocate()
        node.discard(spare)
        try:
            with node.circuit(to="nobody"):
                pass
        except CircuitRefusedError as error:
            found.append(error.code)

    settings = ("links=1", "hardware=ion.near_future", "override.readout_error_0=0", "override.readout_error_1=0")
    done = run_programs("chain", {"chain-a": blocking(alice)}, for_s=1, seed=2, settings=settings)
    assert found == [1, "CREATE"]
    assert (done.outcome.leaks, done.violations) == ({}, [])


def test_a_program_that_raises_in_its_thread_fails_alone() -> None:
    def alice(node: BlockingNode) -> None:
        with node.circuit(to="chain-b") as circuit:
            circuit.pair()
            raise ZeroDivisionError

    async def bob(node: ProgramNode) -> None:
        async with node.accept("chain-a") as circuit:
            pair = await circuit.pair()
            assert pair.qubit is not None
            node.discard(pair.qubit)
            await trio.sleep(0.5)

    done = run_programs("chain", {"chain-a": blocking(alice), "chain-b": bob}, for_s=1, seed=2, settings=SETTINGS)
    assert done.outcome.leaks == {}
    assert [(name, type(error)) for name, error in done.world.programs.failures] == [("chain-a", ZeroDivisionError)]


@pytest.mark.parametrize("where", ["pair", "socket", "sleep"])
def test_a_program_that_waits_when_the_run_ends_is_let_go(where: str) -> None:
    def alice(node: BlockingNode) -> None:
        with node.circuit(to="chain-b") as circuit:
            while where == "pair":
                pair = circuit.pair()
                assert pair.qubit is not None
                node.discard(pair.qubit)
            if where == "socket":
                node.socket("chain-b").receive()
            node.sleep(100)

    done = run_programs("chain", {"chain-a": blocking(alice)}, for_s=0.2, seed=2, settings=SETTINGS)
    assert (done.outcome.leaks, done.violations) == ({}, [])
