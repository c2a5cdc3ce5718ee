"""States that go from one engine to another: everything about them goes, to the bit, and nothing else is taken in."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from emulator.quantum import (
    PERFECT,
    Engine,
    MemoryNoise,
    QubitError,
    QubitId,
    UnphysicalStateError,
    from_density,
    gates,
    werner,
)
from emulator.quantum.engine import JointState, StoredQubit

NOISES = (PERFECT, MemoryNoise(t1_s=1.0, t2_s=0.7), MemoryNoise(dephasing_s=0.1), MemoryNoise(depolarising_s=3.0))
IDS: list[QubitId] = [(name, k, 5) for k, name in enumerate("abcdefghi")]


def prepared(n: int, oracle: Any) -> Engine:
    """Return an engine with a random state of n qubits, of which each has its own past."""
    engine = Engine()
    for qubit, noise in zip(IDS[:n], NOISES, strict=False):
        engine.open(qubit, noise)
    rho = oracle.random_state(n, np.random.default_rng(n)).full()
    engine.new_state(from_density(rho), IDS[:n], 10)
    for k, qubit in enumerate(IDS[:n]):
        engine.frame(qubit, k % 4, 100 * (k + 1))
        engine.dephase(qubit, 0.9 - 0.1 * k, 100 * (k + 1) + 50)
    return engine


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_state_that_moves_is_the_same_to_the_bit_and_goes_on_as_if_it_had_stayed(n: int, oracle: Any) -> None:
    stayed, left, there = prepared(n, oracle), prepared(n, oracle), Engine()
    joint = left.release(IDS[n - 1])
    assert left.qubits == []
    assert len(joint.r) == 4**n
    there.adopt(joint)
    assert there.qubits == IDS[:n]
    assert [stored.id for stored in joint.qubits] == IDS[:n]
    assert [stored.begun_ns for stored in joint.qubits] == [10] * n
    assert [stored.touched_ns for stored in joint.qubits] == [100 * (k + 1) + 50 for k in range(n)]
    for qubit in IDS[:n]:
        assert there.snapshot(qubit) == stayed.snapshot(qubit)
        assert there.partners(qubit) == stayed.partners(qubit)
    for engine in (stayed, there):
        engine.gate(gates.H, IDS[0], time_ns=10_000)
        if n > 1:
            engine.gate(gates.CNOT, IDS[0], IDS[1], time_ns=20_000)
    outcomes = [[e.measure(q, 90_000, u=(0.3, 0.2)) for q in IDS[: n - 1]] for e in (stayed, there)]
    assert outcomes[0] == outcomes[1]
    assert stayed.release(IDS[n - 1]) == there.release(IDS[n - 1])


def test_what_a_pair_was_heralded_as_goes_with_it_and_its_memories_too() -> None:
    engine, there = Engine(), Engine()
    for qubit in IDS[:2]:
        engine.open(qubit, NOISES[1])
    engine.new_pair(werner(0.8, 2), IDS[0], IDS[1], times_ns=(3, 8), bell=2, loaded=(True, False))
    there.adopt(engine.release(IDS[0]))
    assert there.snapshot(*IDS[:2]).bells == (2, 2)
    assert there.measure(IDS[1], 9, u=(0.1, 0.1)) is None  # its memory was empty
    assert there.measure(IDS[0], 9, u=(0.1, 0.1)) is not None
    assert there.qubits == []


def test_the_position_stays_where_it_is_and_the_qubit_can_come_back() -> None:
    engine, there = Engine(), Engine()
    engine.open(IDS[0])
    engine.new_qubit(IDS[0], 5)
    there.adopt(engine.release(IDS[0]))
    assert not engine.exists(IDS[0])
    engine.adopt(there.release(IDS[0]))
    engine.close(IDS[0])
    assert len(engine) == len(there) == 0


def test_only_a_whole_state_moves_and_only_one_that_is_there(oracle: Any) -> None:
    engine = prepared(3, oracle)
    engine.release(IDS[1])
    for qubit in IDS[:3]:
        with pytest.raises(QubitError, match="no qubit at"):
            engine.release(qubit)


def stored(count: int) -> tuple[StoredQubit, ...]:
    return tuple(StoredQubit(qubit, PERFECT, 0, 0, loaded=True, dephased=1.0) for qubit in IDS[:count])


ZERO = (1.0, 0.0, 0.0, 1.0)
NO_STATES: dict[str, Callable[[], JointState]] = {
    "of no qubit": lambda: JointState((), (1.0,), None),
    "of nine": lambda: JointState(stored(9), (1.0,) * 4**9, None),
    "too short": lambda: JointState(stored(2), ZERO, None),
    "too long": lambda: JointState(stored(1), ZERO * 2, None),
    "empty": lambda: JointState(stored(1), (), None),
    "of another norm": lambda: JointState(stored(1), (0.9, 0.0, 0.0, 0.5), None),
    "of no norm": lambda: JointState(stored(1), (math.nan, 0.0, 0.0, 1.0), None),
    "with a part that is no number": lambda: JointState(stored(1), (1.0, 0.0, math.nan, 0.0), None),
    "with an infinite part": lambda: JointState(stored(1), (1.0, 0.0, 0.0, math.inf), None),
    "beyond the Bloch ball": lambda: JointState(stored(1), (1.0, 0.0, -1.1, 0.0), None),
    "of a fifth Bell state": lambda: JointState(stored(2), (1.0, *ZERO * 3, 0.0, 0.0, 0.0), (4, 0)),
}


@pytest.mark.parametrize("what", NO_STATES)
def test_what_is_no_state_is_not_taken_in(what: str) -> None:
    engine = Engine()
    with pytest.raises(UnphysicalStateError):
        engine.adopt(NO_STATES[what]())
    assert engine.qubits == []


def test_no_qubit_is_taken_in_twice() -> None:
    engine = Engine()
    with pytest.raises(QubitError, match="more than once"):
        engine.adopt(JointState(stored(1) * 2, (1.0, *[0.0] * 15), None))
    engine.adopt(JointState(stored(1), ZERO, None))
    with pytest.raises(QubitError, match="holds a qubit already"):
        engine.adopt(JointState(stored(1), ZERO, None))
    assert engine.qubits == IDS[:1]
