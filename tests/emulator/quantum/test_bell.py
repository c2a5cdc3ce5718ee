"""What the two bits of a Bell state mean. Composition alone does not fix it, so signs and kets do."""

import itertools
from typing import Any

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.quantum import SIGNS, BellState, Engine, from_density, gates, parity, werner
from emulator.quantum import pair as pairs

EXACT = settings(derandomize=True, deadline=None, max_examples=20, database=None)
SEED = st.integers(0, 2**32 - 1)
LAST = 1 - 2**-53
A, B, C, D = ((name, 0, 1) for name in "abcd")
AXES = {1: (1.0, 0.0, 0.0), 2: (0.0, 1.0, 0.0), 3: (0.0, 0.0, 1.0)}


def pair_engine(left: int, right: int | None = None) -> Engine:
    """Return an engine with a perfect pair (a, b), and (c, d) if asked for."""
    engine = Engine()
    for bell, ends in ((left, (A, B)), (right, (C, D))):
        if bell is not None:
            for qubit in ends:
                engine.open(qubit)
            engine.new_pair(werner(1.0, bell), *ends, times_ns=(0, 0), bell=bell)
    return engine


def test_the_numbers_are_those_on_the_wire() -> None:
    assert [(state.name, state.x, state.z) for state in BellState] == [
        ("PHI_PLUS", 0, 0),
        ("PHI_MINUS", 0, 1),
        ("PSI_PLUS", 1, 0),
        ("PSI_MINUS", 1, 1),
    ]


def agrees_with_the_kets(oracle: Any, numbering: tuple[int, ...]) -> bool:
    """Return whether the signs of <XX>, <YY>, <ZZ> are those of the kets, if state m is called `numbering[m]`."""
    return all(
        SIGNS[numbering[m]][k] == round(qutip.expect(qutip.tensor(s, s), oracle.bell_kets[m]))
        for m in range(4)
        for k, s in enumerate(oracle.paulis)
    )


def test_the_signs_are_those_of_the_kets_and_of_no_other_numbering(oracle: Any) -> None:
    for numbering in itertools.permutations(range(4)):
        assert agrees_with_the_kets(oracle, numbering) == (numbering == (0, 1, 2, 3))


def test_composition_cannot_tell_numberings_apart() -> None:
    # Why the test above is needed: XOR of relabelled states is relabelled XOR, for any order of the three others.
    for numbering in itertools.permutations(range(4)):
        composes = all(numbering[a ^ b] == numbering[a] ^ numbering[b] for a in range(4) for b in range(4))
        assert composes == (numbering[0] == 0)


@pytest.mark.parametrize("bell", BellState)
def test_a_perfect_pair_is_its_ket(oracle: Any, bell: BellState) -> None:
    expected = from_density(oracle.bell_kets[bell].proj().full()).ravel()
    assert np.allclose(werner(1.0, bell), expected, rtol=0, atol=1e-15)
    assert [pairs.fidelity(werner(1.0, bell), m) for m in range(4)] == [float(m == bell) for m in range(4)]


@pytest.mark.parametrize("bell", BellState)
@pytest.mark.parametrize("half", [0, 1])
def test_x_and_z_on_either_half_turn_phi_plus_into_it_and_back(oracle: Any, bell: BellState, half: int) -> None:
    x, z = oracle.on(2, {half: oracle.paulis[1]}), oracle.on(2, {half: oracle.paulis[3]})
    ket = x**bell.x * z**bell.z * oracle.bell_kets[0]
    assert abs(ket.overlap(oracle.bell_kets[bell])) == pytest.approx(1, abs=1e-15)
    engine = pair_engine(bell)
    engine.frame((A, B)[half], bell, 0)
    snapshot = engine.snapshot(A, B)
    assert snapshot.fidelity(BellState.PHI_PLUS) == 1
    assert snapshot.bells == (0, 0)


@pytest.mark.parametrize(("left", "outcome", "right"), [*itertools.product(range(4), repeat=3)])
def test_swapping_composes_by_exclusive_or(oracle: Any, left: int, outcome: int, right: int) -> None:
    engine = pair_engine(left, right)
    assert engine.swap(B, C, 0, u=((outcome + 0.5) / 4, 0.5, 0.5)) == outcome
    snapshot = engine.snapshot(A, D)
    assert [snapshot.fidelity(m) for m in range(4)] == [float(m == left ^ outcome ^ right) for m in range(4)]
    assert snapshot.bells == (left ^ outcome ^ right,) * 2
    ket = qutip.tensor(oracle.bell_kets[left], oracle.bell_kets[right])
    rest = (oracle.bell(4, 1, 2, outcome) * ket).unit().proj().ptrace([0, 3])
    assert qutip.expect(rest, oracle.bell_kets[left ^ outcome ^ right]) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("bell", BellState)
@pytest.mark.parametrize("basis", [1, 2, 3])
@pytest.mark.parametrize("u", [0.0, 0.49, 0.51, LAST])
def test_parity_is_what_the_outcomes_have_never_anything_else(bell: BellState, basis: int, u: float) -> None:
    engine = pair_engine(bell)
    first = engine.measure(A, 0, u=(u, 0.5), direction=AXES[basis])
    for v in (0.0, 0.5, LAST):  # the second outcome is certain, whatever the random number
        other = pair_engine(bell)
        assert other.measure(A, 0, u=(u, 0.5), direction=AXES[basis]) == first
        second = other.measure(B, 0, u=(v, 0.5), direction=AXES[basis])
        assert first is not None
        assert second is not None
        assert first ^ second == parity(bell, basis)


def test_every_bell_state_has_its_own_parities() -> None:
    assert [[parity(bell, basis) for basis in (1, 2, 3)] for bell in BellState] == [
        [0, 1, 0],
        [1, 0, 0],
        [0, 0, 1],
        [1, 1, 1],
    ]


@EXACT
@given(seed=SEED)
def test_teleportation_is_corrected_by_pair_and_outcome_together(oracle: Any, seed: int) -> None:
    rho = oracle.random_state(2, np.random.default_rng(seed))  # the qubit sent is half of an arbitrary state
    expected = from_density(rho.full()).ravel().tolist()
    for bell, outcome, correction in itertools.product(range(4), repeat=3):
        engine = pair_engine(bell)
        data, kept = ("data", 0, 1), ("kept", 0, 1)
        engine.open(data)
        engine.open(kept)
        engine.new_state(from_density(rho.full()), [kept, data], 0)
        assert engine.swap(data, A, 0, u=((outcome + 0.5) / 4, 0.5, 0.5)) == outcome
        engine.frame(B, correction, 0)
        error = max(abs(x - y) for x, y in zip(engine.snapshot(kept, B).r, expected, strict=True))
        if correction == bell ^ outcome:
            assert error < 1e-13
        else:  # a wrong correction is a Pauli error on the qubit sent
            wrong = oracle.paulis[1] ** ((correction ^ bell ^ outcome) >> 1) * oracle.paulis[3] ** (
                (correction ^ bell ^ outcome) & 1
            )
            spoilt = from_density(oracle.local(rho, 1, [wrong]).full()).ravel()
            assert engine.snapshot(kept, B).r == pytest.approx(spoilt, abs=1e-13)


def test_gates_make_each_bell_state_from_zeros() -> None:
    for bell in BellState:
        engine = Engine()
        for qubit in (A, B):
            engine.open(qubit)
            engine.new_qubit(qubit, 0)
        engine.gate(gates.H, A, time_ns=0)
        engine.gate(gates.CNOT, A, B, time_ns=0)
        if bell.z:
            engine.gate(gates.Z, A, time_ns=0)
        if bell.x:
            engine.gate(gates.X, B, time_ns=0)
        assert engine.snapshot(A, B).fidelity(bell) == pytest.approx(1, abs=1e-15)
