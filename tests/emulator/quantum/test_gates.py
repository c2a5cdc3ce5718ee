"""Gates on every qubit and pair of qubits, within one state and across states, with their noise, against QuTiP."""

import math
from typing import Any

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.quantum import Gate, gates, rotation, transfer_matrix

EXACT = settings(derandomize=True, deadline=None, max_examples=50, database=None)
SEED = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([(1,), (2,), (1, 1), (3,), (2, 1), (1, 2), (4,), (2, 2), (1, 3), (1, 1, 2)])
SEVERAL = SIZES.filter(lambda sizes: sum(sizes) > 1)
BIG = st.sampled_from([(5,), (2, 3), (6,)])

NAMED = {
    "I": qutip.qeye(2),
    "X": qutip.sigmax(),
    "Y": qutip.sigmay(),
    "Z": qutip.sigmaz(),
    "H": qutip.gates.hadamard_transform(),
    "S": qutip.gates.phasegate(math.pi / 2),
    "T": qutip.gates.phasegate(math.pi / 4),
    "CNOT": qutip.gates.cnot(),
    "CZ": qutip.gates.cz_gate(),
    "SWAP": qutip.gates.swap(),
}


def on(oracle: Any, n: int, qubits: list[int], unitary: Any) -> Any:
    return oracle.on(n, {qubits[0]: unitary}) if len(qubits) == 1 else oracle.on_two(n, *qubits, unitary)


@pytest.mark.parametrize("name", NAMED)
def test_named_gates_are_what_they_are_called(lab: Any, name: str) -> None:
    gate: Gate = getattr(gates, name)
    assert gate.name == name
    for qubits in ([0], [1], [2]) if gate.qubits == 1 else ([0, 1], [1, 0], [2, 0], [1, 2]):
        one = lab((3,), seed=7)
        one.engine.gate(gate, *(one.ids[q] for q in qubits), time_ns=0)
        assert one.error(oracle_conjugate(one, qubits, NAMED[name])) < 1e-13


def oracle_conjugate(one: Any, qubits: list[int], unitary: Any) -> Any:
    n = len(one.rho.dims[0])
    return one.oracle.apply(one.rho, [on(one.oracle, n, qubits, unitary)])


@EXACT
@given(data=st.data(), sizes=st.one_of(SIZES, BIG), seed=SEED)
def test_any_gate_on_any_qubit(lab: Any, data: Any, sizes: tuple[int, ...], seed: int) -> None:
    one = lab(sizes, seed)
    q = data.draw(st.integers(0, sum(sizes) - 1), label="qubit")
    unitary = qutip.rand_unitary(2, seed=seed)
    one.engine.gate(Gate.from_unitary("U", unitary.full()), one.ids[q], time_ns=0)
    assert one.error(oracle_conjugate(one, [q], unitary)) < 1e-12


@EXACT
@given(
    data=st.data(),
    sizes=st.one_of(SEVERAL, BIG),
    seed=SEED,
    noise=st.sampled_from([0.0, 0.03, 1.0]),
)
def test_any_noisy_gate_on_any_two_qubits_in_either_order(
    lab: Any, data: Any, sizes: tuple[int, ...], seed: int, noise: float
) -> None:
    one = lab(sizes, seed)
    a, b = data.draw(st.permutations(range(sum(sizes))), label="qubits")[:2]
    unitary = qutip.rand_unitary([2, 2], seed=seed)
    gate = Gate.from_unitary("U", unitary.full()).depolarised(noise)
    one.engine.gate(gate, one.ids[a], one.ids[b], time_ns=0)
    expected = one.oracle.depolarised(oracle_conjugate(one, [a, b], unitary), [a, b], noise)
    assert one.error(expected) < 1e-12


@EXACT
@given(data=st.data(), sizes=SIZES, seed=SEED, noise=st.sampled_from([0.0, 0.03, 1.0]))
def test_any_noisy_gate_on_one_qubit(lab: Any, data: Any, sizes: tuple[int, ...], seed: int, noise: float) -> None:
    one = lab(sizes, seed)
    q = data.draw(st.integers(0, sum(sizes) - 1), label="qubit")
    unitary = qutip.rand_unitary(2, seed=seed)
    one.engine.gate(Gate.from_unitary("U", unitary.full()).depolarised(noise), one.ids[q], time_ns=0)
    assert one.error(one.oracle.depolarised(oracle_conjugate(one, [q], unitary), [q], noise)) < 1e-12


@EXACT
@given(data=st.data(), sizes=SEVERAL, seed=SEED)
def test_any_channel_can_be_a_gate(lab: Any, data: Any, sizes: tuple[int, ...], seed: int) -> None:
    one = lab(sizes, seed)
    n = sum(sizes)
    a, b = data.draw(st.permutations(range(n)), label="qubits")[:2]
    kraus = qutip.rand_kraus_map([2, 2], seed=seed)
    one.engine.gate(Gate("channel", transfer_matrix(*(k.full() for k in kraus))), one.ids[a], one.ids[b], time_ns=0)
    assert one.error(one.oracle.apply(one.rho, [one.oracle.on_two(n, a, b, k) for k in kraus])) < 1e-12


@EXACT
@given(
    axis=st.tuples(*[st.floats(-2, 2)] * 3).filter(lambda v: math.hypot(*v) > 0.1),
    angle=st.floats(-10, 10),
    seed=SEED,
)
def test_rotations_turn_about_their_axis(lab: Any, axis: tuple[float, float, float], angle: float, seed: int) -> None:
    one = lab((2,), seed)
    spin = sum(c * s for c, s in zip(axis, one.oracle.paulis[1:], strict=True)) / math.hypot(*axis)
    one.engine.gate(rotation(*axis, angle), one.ids[1], time_ns=0)
    assert one.error(oracle_conjugate(one, [1], (-0.5j * angle * spin).expm())) < 1e-12


@EXACT
@given(data=st.data(), sizes=st.one_of(SIZES, BIG), seed=SEED, bell=st.integers(0, 3))
def test_frames_are_x_and_z_on_their_qubit(lab: Any, data: Any, sizes: tuple[int, ...], seed: int, bell: int) -> None:
    one = lab(sizes, seed)
    q = data.draw(st.integers(0, sum(sizes) - 1), label="qubit")
    one.engine.frame(one.ids[q], bell, 0)
    _, x, _, z = one.oracle.paulis
    assert one.error(oracle_conjugate(one, [q], x ** (bell >> 1) * z ** (bell & 1))) < 1e-13


def test_eight_qubits_are_exact_too(lab: Any) -> None:
    one = lab((2, 3, 3), seed=8)
    unitary = qutip.rand_unitary([2, 2], seed=8)
    for a, b in ((1, 2), (7, 4), (6, 0)):
        one.engine.gate(Gate.from_unitary("U", unitary.full()), one.ids[a], one.ids[b], time_ns=0)
        one.rho = oracle_conjugate(one, [a, b], unitary)
    assert len(one.engine) == 8
    assert one.error(one.rho) < 1e-12


def test_a_rotation_by_a_full_turn_changes_nothing() -> None:
    assert np.allclose(rotation(1, 2, 3, 2 * math.pi).matrix, np.eye(4), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Gate.from_unitary("U", np.diag([1, 2])), "gate U is not given by a 2x2 or 4x4 unitary"),
        (lambda: Gate.from_unitary("U", np.eye(8)), "gate U is not given by a 2x2 or 4x4 unitary"),
        (lambda: Gate("P", np.eye(2)), "gate P: a transfer matrix is 4x4 or 16x16"),
        (lambda: Gate("P", transfer_matrix(np.diag([1.0 + 0j, 0.0]))), "gate P does not preserve the trace"),
        (lambda: gates.X.depolarised(1.01), r"depolarising probability 1.01 must lie in \[0, 1\]"),
        (lambda: gates.X.depolarised(-0.01), r"depolarising probability -0.01 must lie in \[0, 1\]"),
        (lambda: gates.X.depolarised(math.nan), "depolarising probability nan"),
        (lambda: rotation(0, 0, 0, 1.0), "zero vector"),
    ],
)
def test_what_is_no_gate_is_refused(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()
