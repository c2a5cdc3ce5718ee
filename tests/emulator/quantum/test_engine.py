"""Which qubits there are, and that operations on others are refused by name."""

from collections.abc import Callable
from typing import Any

import pytest

from emulator.quantum import Engine, MemoryNoise, QubitError, QubitId, from_density, gates, ghz, werner

A, B, C, D = ((name, k, 3) for k, name in enumerate("abcd"))
U = (0.4, 0.5, 0.5)


@pytest.fixture
def engine() -> Engine:
    """Return an engine with Phi+ at a, b and a free position c."""
    engine = Engine()
    for qubit in (A, B, C):
        engine.open(qubit)
    engine.new_pair(werner(1.0), A, B, times_ns=(10, 20), bell=0)
    return engine


OPERATIONS: dict[str, Callable[[Engine, QubitId, int], object]] = {
    "gate": lambda engine, q, t: engine.gate(gates.X, q, time_ns=t),
    "gate, first of two": lambda engine, q, t: engine.gate(gates.CNOT, q, B, time_ns=t),
    "gate, second of two": lambda engine, q, t: engine.gate(gates.CNOT, B, q, time_ns=t),
    "frame": lambda engine, q, t: engine.frame(q, 1, t),
    "dephase": lambda engine, q, t: engine.dephase(q, 0.5, t),
    "move": lambda engine, q, t: engine.move(q, C, t),
    "measure": lambda engine, q, t: engine.measure(q, t, u=(0.1, 0.1)),
    "swap, left": lambda engine, q, t: engine.swap(q, B, t, u=U),
    "swap, right": lambda engine, q, t: engine.swap(B, q, t, u=U),
}
VIEWS: dict[str, Callable[[Engine, QubitId, int], object]] = {
    "discard": lambda engine, q, _: engine.discard(q),
    "snapshot": lambda engine, q, _: engine.snapshot(q),
    "density_tensor": lambda engine, q, t: engine.density_tensor(q, t),
    "partners": lambda engine, q, _: engine.partners(q),
}
ENDS: dict[str, Callable[[Engine], object]] = {
    "measured": lambda engine: engine.measure(A, 30, u=(0.1, 0.1)),
    "discarded": lambda engine: engine.discard(A),
    "closed": lambda engine: engine.close(A),
    "moved": lambda engine: (engine.open(D), engine.move(A, D, 30)),
    "swapped": lambda engine: (engine.new_qubit(C, 30), engine.swap(A, C, 30, u=U)),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("operation", [*OPERATIONS, *VIEWS])
def test_a_qubit_that_is_gone_is_named(engine: Engine, end: str, operation: str) -> None:
    ENDS[end](engine)
    before = engine.qubits
    with pytest.raises(
        QubitError, match=r"no qubit at a position 0 \(generation 3\): measured, discarded or never made"
    ):
        (OPERATIONS | VIEWS)[operation](engine, A, 30)
    assert engine.qubits == before


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_past_of_a_qubit_is_closed(engine: Engine, operation: str) -> None:
    engine.frame(A, 0, 50)
    with pytest.raises(QubitError, match=r"a position 0 \(generation 3\) at 49 ns, but it was touched at 50 ns"):
        OPERATIONS[operation](engine, A, 49)
    assert engine.qubits == [A, B]


def test_a_pair_has_no_past_before_its_photons_left(engine: Engine) -> None:
    with pytest.raises(QubitError, match=r"b position 1 \(generation 3\) at 19 ns, but it was touched at 20 ns"):
        engine.measure(B, 19, u=(0.1, 0.1))
    engine.measure(A, 10, u=(0.1, 0.1))


def test_qubits_come_and_go(engine: Engine) -> None:
    assert (len(engine), engine.qubits) == (2, [A, B])
    assert [engine.exists(q) for q in (A, B, C, D)] == [True, True, False, False]
    engine.new_qubit(C, 0)
    assert engine.partners(C) == []
    assert engine.partners(A) == [B]
    engine.gate(gates.CNOT, C, A, time_ns=30)
    assert sorted(engine.partners(A)) == [B, C]
    engine.measure(A, 30, u=(0.1, 0.1))
    assert engine.qubits == [B, C]
    engine.close(C)
    assert engine.qubits == [B]
    engine.close(B)
    engine.close(A)
    assert len(engine) == 0


def test_a_closed_position_can_be_opened_again_and_only_then_used(engine: Engine) -> None:
    engine.close(A)
    with pytest.raises(QubitError, match=r"a position 0 .* is not open"):
        engine.close(A)
    with pytest.raises(QubitError, match=r"a position 0 .* is not open"):
        engine.new_qubit(A, 0)
    engine.open(A)
    with pytest.raises(QubitError, match=r"a position 0 .* is open already"):
        engine.open(A)
    engine.new_qubit(A, 0)
    assert engine.qubits == [A, B]


def test_closing_traces_the_qubit_out(engine: Engine) -> None:
    engine.close(A)
    snapshot = engine.snapshot(B)
    assert snapshot.r == (1, 0, 0, 0)
    assert snapshot.bells is None  # half a pair has no Bell state


@pytest.mark.parametrize("closed", [(C,), (D,), (C, D)])
def test_a_half_heralded_for_a_closed_position_is_lost(closed: tuple[QubitId, ...]) -> None:
    engine = Engine()
    polarised = from_density(GHZ_LIKE).ravel().tolist()
    for qubit in (C, D):
        if qubit not in closed:
            engine.open(qubit, MemoryNoise(t2_s=1.0))
    engine.new_pair(polarised, C, D, times_ns=(5, 6), bell=0)
    assert engine.qubits == [q for q in (C, D) if q not in closed]
    for qubit in engine.qubits:
        snapshot = engine.snapshot(qubit)
        assert snapshot.r == pytest.approx((1, 0, 0, 0.4), abs=1e-15)  # its reduced state
        assert snapshot.memories == ((MemoryNoise(t2_s=1.0), *((5, 5) if qubit == C else (6, 6))),)
        assert snapshot.bells is None
        assert engine.partners(qubit) == []


# sqrt(0.7) |00> + sqrt(0.3) |11>
GHZ_LIKE = [[0.7, 0, 0, 0.21**0.5], [0, 0, 0, 0], [0, 0, 0, 0], [0.21**0.5, 0, 0, 0.3]]


def test_a_position_holds_one_qubit(engine: Engine) -> None:
    for half, other in ((A, C), (C, A)):
        with pytest.raises(QubitError, match=r"a position 0 .* holds a qubit already"):
            engine.new_pair(werner(1.0), half, other, times_ns=(0, 0), bell=0)
    with pytest.raises(QubitError, match=r"a position 0 .* holds a qubit already"):
        engine.new_qubit(A, 0)
    with pytest.raises(QubitError, match=r"c position 2 .* more than once"):
        engine.new_pair(werner(1.0), C, C, times_ns=(0, 0), bell=0)
    with pytest.raises(QubitError, match=r"c position 2 .* more than once"):
        engine.new_state(ghz(2), [C, C], 0)
    assert engine.qubits == [A, B]
    assert engine.snapshot(A, B).fidelity(0) == 1


def test_a_qubit_moves_only_into_a_free_open_position(engine: Engine) -> None:
    with pytest.raises(QubitError, match=r"b position 1 .* holds a qubit, so it cannot take that of a position 0"):
        engine.move(A, B, 30)
    with pytest.raises(QubitError, match=r"a position 0 .* holds a qubit, so it cannot take that of a position 0"):
        engine.move(A, A, 30)
    with pytest.raises(QubitError, match=r"d position 3 .* is not open, so it cannot take the qubit of a position 0"):
        engine.move(A, D, 30)
    engine.move(A, C, 30)
    assert engine.qubits == [B, C]
    assert engine.snapshot(B, C).fidelity(0) == 1
    engine.new_qubit(A, 30)  # the place it left is still open


def test_gates_want_as_many_different_qubits_as_they_act_on(engine: Engine) -> None:
    with pytest.raises(ValueError, match="gate CNOT takes 2 qubits, not 1"):
        engine.gate(gates.CNOT, A, time_ns=30)
    with pytest.raises(ValueError, match="gate X takes 1 qubits, not 2"):
        engine.gate(gates.X, A, B, time_ns=30)
    with pytest.raises(QubitError, match=r"a position 0 .* more than once"):
        engine.gate(gates.CNOT, A, A, time_ns=30)


def test_a_state_fits_into_as_many_positions_as_it_has_qubits(engine: Engine) -> None:
    with pytest.raises(ValueError, match=r"a state of shape \(4, 4\) does not fit into 1 positions"):
        engine.new_state(ghz(2), [C], 0)


def test_an_array_given_to_the_engine_stays_the_callers() -> None:
    engine = Engine()
    for qubit in (A, B, C):
        engine.open(qubit)
    r = ghz(3)
    engine.new_state(r, [A, B, C], 0)
    r[:] = 0
    assert engine.snapshot(A, B).r[0] == 1
    out, _ = engine.density_tensor(A, 0)
    out[:] = 0
    assert engine.snapshot(A, B).r[0] == 1


@pytest.mark.parametrize("spoil", [gates.X, gates.CNOT])
def test_a_gate_ends_the_bell_index_of_a_pair_and_a_frame_changes_it(engine: Engine, spoil: gates.Gate) -> None:
    engine.frame(A, 2, 30)
    engine.frame(B, 1, 30)
    assert engine.snapshot(A, B).bells == (3, 3)
    assert engine.snapshot(A, B).fidelity(3) == 1
    engine.gate(spoil, *(A, B)[: spoil.qubits], time_ns=30)
    assert engine.snapshot(A, B).bells is None


def test_merging_ends_the_bell_index(engine: Engine) -> None:
    engine.new_qubit(C, 30)
    engine.gate(gates.CZ, C, B, time_ns=30)
    assert engine.snapshot(A, B).bells is None
    engine.measure(C, 30, u=(0.1, 0.1))
    assert engine.snapshot(A, B).bells is None


def test_equal_calls_give_equal_bits() -> None:
    def history() -> Any:
        engine = Engine()
        noise = MemoryNoise(1.0, 0.7, 3.0)
        for qubit in (A, B, C, D):
            engine.open(qubit, noise)
        engine.new_pair(werner(0.9), A, B, times_ns=(0, 3), bell=0)
        engine.new_pair(werner(0.9), C, D, times_ns=(5, 4), bell=0)
        told = engine.swap(B, C, 10**6, u=(0.7, 0.1, 0.2))
        return told, engine.measure(A, 10**8, u=(0.3, 0.4)), engine.snapshot(D).at(10**9)

    assert history() == history()
