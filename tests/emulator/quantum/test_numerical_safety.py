"""Long histories, unlikely branches and random numbers at their limits leave states physical."""

import itertools
import math
import random
from typing import Any

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.quantum import (
    BellMeasurement,
    Engine,
    Gate,
    MemoryNoise,
    StateTooLargeError,
    UnphysicalStateError,
    from_density,
    gates,
    ghz,
    to_density,
    werner,
)
from emulator.quantum import pair as pairs
from emulator.quantum import tensor as tensors

EXACT = settings(derandomize=True, deadline=None, max_examples=200, database=None)
LAST = 1 - 2**-53


def lowest(r: Any, n: int) -> float:
    return float(np.linalg.eigvalsh(to_density(np.reshape(r, (4,) * n)))[0])


@pytest.mark.parametrize("n", [1, 2, 5])
def test_twenty_thousand_gates_leave_a_state_physical(lab: Any, n: int) -> None:
    rng = random.Random(n)
    one = lab((n,), seed=n)
    singles = [Gate.from_unitary("U", qutip.rand_unitary(2, seed=k).full()) for k in range(20)]
    singles += [gates.H, gates.S, gates.T, gates.Y]
    doubles = [Gate.from_unitary("U", qutip.rand_unitary([2, 2], seed=k).full()) for k in range(20)]
    doubles += [gates.CNOT, gates.CZ, gates.SWAP]
    purity = one.rho.purity()
    for _ in range(20_000):
        if n > 1 and rng.random() < 0.5:
            one.engine.gate(rng.choice(doubles), *rng.sample(one.ids, 2), time_ns=0)
        else:
            one.engine.gate(rng.choice(singles), rng.choice(one.ids), time_ns=0)
    r, _ = one.engine.density_tensor(one.ids[0], 0)
    assert r.flat[0] == 1.0
    assert np.abs(r).max() <= 1 + 1e-12
    assert lowest(r, n) >= -1e-12
    assert np.sum(r**2) / 2**n == pytest.approx(purity, abs=1e-9)


def test_a_thousand_noisy_steps_leave_a_state_physical(lab: Any) -> None:
    noise = MemoryNoise(t1_s=1e-3, t2_s=2e-3, depolarising_s=1.0, z_equilibrium=-1.0)
    one = lab((3,), 3, noise)
    for k in range(1, 1001):
        one.engine.gate(gates.CNOT, one.ids[k % 3], one.ids[(k + 1) % 3], time_ns=1000 * k)
        one.engine.gate(gates.H, one.ids[k % 3], time_ns=1000 * k)
    r, _ = one.engine.density_tensor(one.ids[0], 10**6)
    assert r.flat[0] == 1.0
    assert lowest(r, 3) >= -1e-12


@EXACT
@given(
    p=st.floats(1e-15, 1e-3),
    u=st.sampled_from([0.0, 1e-15, 0.5, LAST, 1.0]),
    wrong=st.sampled_from(["first", "last"]),
)
def test_unlikely_outcomes_of_a_measurement(oracle: Any, p: float, u: float, wrong: str) -> None:
    # cos |00> + sin |11>, with the unlikely outcome 1 (or 0) of the first qubit.
    tilt = math.sqrt(p)
    ket = math.sqrt(1 - p) * qutip.basis([2, 2], [0, 0]) + tilt * qutip.basis([2, 2], [1, 1])
    r = from_density(ket.proj().full())
    if wrong == "first":
        r = tensors.frame(tensors.frame(r, 0, 2), 1, 2)
    outcome, rest = tensors.measure(r, 0, (0.0, 0.0, 1.0), u)
    assert np.abs(rest).max() <= 1
    assert rest.flat[0] == 1
    unlikely = outcome == (0 if wrong == "first" else 1)
    if unlikely:
        assert p > 0.9e-12  # below 1e-12 it is taken for rounding, and never drawn
    probability = p if unlikely else 1
    assert rest[3] == pytest.approx(1 - 2 * outcome, abs=4e-16 / probability)
    assert oracle is not None


@EXACT
@given(p=st.floats(1e-15, 1e-2), u=st.sampled_from([0.0, 1e-16, 0.3, 0.9, LAST, 1.0]), depolarising=st.floats(0, 1e-6))
def test_unlikely_outcomes_of_a_swap(p: float, u: float, depolarising: float) -> None:
    # |0>-polarised halves: Psi outcomes have probability of order p.
    up = [1.0, 0.0, 0.0, 1 - 2 * p]
    product = [a * b for a in up for b in up]
    m, out = pairs.swap(product, product, u, depolarising)
    assert out[0] == 1.0
    assert max(map(abs, out)) <= 1
    chance = (p * (1 - p) if m > 1 else 0.25) + depolarising / 4
    assert chance > 0.2e-12
    assert out == pytest.approx(product, abs=1e-15 / chance)  # the halves were independent


@pytest.mark.parametrize("seed", range(20))
def test_rounding_that_an_unlikely_branch_amplifies_stays_within_bounds(seed: int) -> None:
    # |00> after a gate and its inverse, so with some rounding; what is left is |0>, at the edge of the Bloch sphere.
    zeros = np.multiply.outer([1.0, 0, 0, 1], [1.0, 0, 0, 1])
    gate = Gate.from_unitary("U", qutip.rand_unitary([2, 2], seed=seed).full()).matrix
    r = tensors.transform_two(tensors.transform_two(zeros, 0, 1, gate), 0, 1, gate.T)
    for tilt in (1e-5, 1e-4, 1e-3):
        outcome, rest = tensors.measure(r, 0, (math.sin(tilt), 0.0, -math.cos(tilt)), 0.0)
        assert outcome == 0
        assert np.abs(rest).max() <= 1
        nearly = np.multiply.outer([1, math.sin(tilt), 0, math.cos(tilt)], [1.0, 0, 0, 1]).ravel().tolist()
        m, out = pairs.swap(r.ravel().tolist(), nearly, LAST)
        assert m == 3  # the least likely, of order tilt squared
        assert max(map(abs, out)) <= 1


@EXACT
@given(seed=st.integers(0, 2**32 - 1), u=st.one_of(st.just(LAST), st.just(0.0), st.floats(0, 1, exclude_max=True)))
def test_what_a_swap_leaves_is_a_state(oracle: Any, seed: int, u: float) -> None:
    rng = np.random.default_rng(seed)
    p, q = (from_density(oracle.random_state(2, rng).full()).ravel().tolist() for _ in range(2))
    _, out = pairs.swap(p, q, u)
    assert out[0] == 1.0
    assert max(map(abs, out)) <= 1
    assert lowest(out, 2) > -1e-10


def test_random_numbers_at_their_limits_give_an_outcome_that_can_be() -> None:
    for bell in range(4):
        for u in (0.0, LAST, 1.0):
            r = werner(1.0, bell)
            assert pairs.swap(r, [1.0, 0, 0, 1, *[0.0] * 8, 1, 0, 0, 1], u)[0] in range(4)
            assert tensors.bell_measure(np.reshape(r, (4, 4)), 0, 1, u)[0] == bell


def test_perfect_states_stay_perfect_through_a_long_chain() -> None:
    engine = Engine()
    ends = [(("west", k, 1), ("east", k, 1)) for k in range(200)]
    for a, b in ends:
        engine.open(a)
        engine.open(b)
        engine.new_pair(werner(1.0, 3), a, b, times_ns=(0, 0), bell=3)
    rng = random.Random(200)
    for (_, b), (c, _) in itertools.pairwise(ends):
        engine.swap(b, c, 0, u=(rng.random(), rng.random(), rng.random()))
    snapshot = engine.snapshot(ends[0][0], ends[-1][1])
    assert snapshot.bells is not None
    assert snapshot.fidelity(snapshot.bells[0]) == 1.0  # exactly
    assert len(engine) == 2


def test_fully_depolarised_swaps_have_four_equal_outcomes() -> None:
    bsm = BellMeasurement(depolarising=1.0)
    for m in range(4):
        engine = Engine()
        qubits = [("n", k, 1) for k in range(4)]
        for qubit in qubits:
            engine.open(qubit)
        engine.new_pair(werner(0.9), qubits[0], qubits[1], times_ns=(0, 0), bell=0)
        engine.new_pair(werner(0.9), qubits[2], qubits[3], times_ns=(0, 0), bell=0)
        assert engine.swap(qubits[1], qubits[2], 0, u=((m + 0.5) / 4, 0.5, 0.5), bsm=bsm) == m
        assert engine.snapshot(qubits[0], qubits[3]).r == (1.0, *[0.0] * 15)


@pytest.mark.parametrize(
    "r",
    [
        np.diag([1.0, 1.0, 1.0, 1.0]),
        np.array([1.0, 0.8, 0.8, 0.0]),
        np.array([2.0, 0.0, 0.0, 0.0]),
        np.array([1.0, math.inf, 0.0, 0.0]),
    ],
)
def test_unphysical_states_are_refused(r: Any) -> None:
    engine = Engine()
    ids = [("a", k, 1) for k in range(r.ndim)]
    for qubit in ids:
        engine.open(qubit)
    with pytest.raises(UnphysicalStateError):
        engine.new_state(r, ids, 0)
    assert len(engine) == 0


@pytest.mark.parametrize("r", [[1.0] * 15, [0.5] + [0.0] * 15, [math.nan] * 16, [1.0, 0.0, 0.0, 1.0]])
def test_what_is_no_pair_is_refused(r: list[float]) -> None:
    engine = Engine()
    engine.open(("a", 0, 1))
    with pytest.raises(UnphysicalStateError, match="a pair is 16 floats"):
        engine.new_pair(r, ("a", 0, 1), ("b", 0, 1), times_ns=(0, 0), bell=0)
    assert len(engine) == 0


def test_rounding_of_the_trace_ends_at_the_door() -> None:
    engine = Engine()
    engine.open(("a", 0, 1))
    engine.open(("b", 0, 1))
    engine.new_pair([1 - 2e-16, *werner(1.0)[1:]], ("a", 0, 1), ("b", 0, 1), times_ns=(0, 0), bell=0)
    assert engine.snapshot(("a", 0, 1), ("b", 0, 1)).r[0] == 1.0


def test_states_of_more_than_eight_qubits_are_refused() -> None:
    engine = Engine()
    ids = [("a", k, 1) for k in range(9)]
    for qubit in ids:
        engine.open(qubit)
    mixed = np.zeros((4,) * 9)
    mixed.flat[0] = 1.0
    with pytest.raises(StateTooLargeError, match="9 entangled qubits; exact joint states have at most 8"):
        engine.new_state(mixed, ids, 0)
    engine.new_state(ghz(8), ids[:8], 0)
    assert len(engine) == 8


@pytest.mark.parametrize("fidelity", [-0.01, 1.01, math.nan])
def test_werner_states_have_a_fidelity_from_0_to_1(fidelity: float) -> None:
    with pytest.raises(ValueError, match="fidelity = "):
        werner(fidelity)
    assert lowest(werner(0.0), 2) == pytest.approx(0, abs=1e-15)
