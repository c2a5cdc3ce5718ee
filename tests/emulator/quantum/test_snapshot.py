"""The omniscient view: true states of one or two qubits, now or after more storage, and estimates of fidelity."""

import itertools
from typing import Any

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.quantum import (
    Engine,
    LindbladNoise,
    MemoryNoise,
    Noise,
    QubitError,
    Readout,
    Snapshot,
    from_density,
    parity,
    werner,
)

EXACT = settings(derandomize=True, deadline=None, max_examples=35, database=None)
SEED = st.integers(0, 2**32 - 1)
TIMES = st.integers(0, 10**9)
NOISES: list[Noise] = [
    MemoryNoise(t1_s=0.8, t2_s=0.9, depolarising_s=2.0, z_equilibrium=0.5, dephasing_s=0.7),
    LindbladNoise([qutip.destroy(2).full()], qutip.sigmax().full()),
]
AXES = {1: (1.0, 0.0, 0.0), 2: (0.0, 1.0, 0.0), 3: (0.0, 0.0, 1.0)}
LAST = 1 - 2**-53
A, B, C = (("a", 0, 1), ("b", 0, 1), ("c", 0, 1))


@EXACT
@given(data=st.data(), sizes=st.sampled_from([(1, 1), (2,), (2, 1), (3,), (2, 2), (4,)]), seed=SEED)
def test_snapshots_are_partial_traces_in_the_order_asked_for(
    lab: Any, data: Any, sizes: tuple[int, ...], seed: int
) -> None:
    one = lab(sizes, seed)
    a, b = data.draw(st.permutations(range(sum(sizes))), label="qubits")[:2]
    reduced = one.rho.ptrace([a, b])  # in ascending order, whatever is asked for
    if a > b:
        reduced = reduced.permute([1, 0])
    snapshot = one.engine.snapshot(one.ids[a], one.ids[b])
    assert snapshot.r == pytest.approx(from_density(reduced.full()).ravel(), abs=1e-13)
    assert one.engine.snapshot(one.ids[a]).r == pytest.approx(from_density(one.rho.ptrace([a]).full()), abs=1e-13)
    for m in range(4):
        f = qutip.expect(one.oracle.bell_kets[m].proj(), reduced)
        assert snapshot.fidelity(m) == pytest.approx(f, abs=1e-13)
        assert snapshot.fidelity(m) == pytest.approx(
            qutip.fidelity(one.oracle.bell_kets[m].proj(), reduced) ** 2, abs=1e-6
        )


@EXACT
@given(n=st.integers(2, 4), seed=SEED, first=TIMES, later=st.tuples(TIMES, TIMES))
def test_a_snapshot_can_be_aged_as_the_qubits_themselves_are(
    lab: Any, n: int, seed: int, first: int, later: tuple[int, int]
) -> None:
    one = lab((n,), seed, [NOISES[k % 2] for k in range(n)])
    one.engine.frame(one.ids[0], 0, first)
    before = one.engine.snapshot(one.ids[0], one.ids[-1])
    a, b = first + later[0], later[1]
    aged = before.at(a, b)
    assert one.engine.snapshot(one.ids[0], one.ids[-1]) == before  # looking changes nothing
    one.engine.frame(one.ids[0], 0, a)
    one.engine.frame(one.ids[-1], 0, b)
    after = one.engine.snapshot(one.ids[0], one.ids[-1])
    assert aged.r == pytest.approx(after.r, abs=1e-13)
    assert (aged.bells, aged.memories) == (after.bells, after.memories)
    assert aged.at(a + 5, b).memories[0][1:] == (0, a + 5)


def test_a_snapshot_cannot_be_made_younger(lab: Any) -> None:
    one = lab((2,), 1, NOISES[0])
    one.engine.frame(one.ids[1], 0, 100)
    snapshot = one.engine.snapshot(*one.ids)
    with pytest.raises(QubitError, match="touched at 100 ns cannot show it at 99 ns"):
        snapshot.at(100, 99)
    assert snapshot.at(0, 100) == snapshot
    with pytest.raises(ValueError, match="shorter"):
        snapshot.at(100)


def measured(r: list[float], basis: int, u: float) -> tuple[int, Snapshot, float]:
    """Measure the first half of a pair; return the outcome, what is left, and the probability of outcome 0."""
    engine = Engine()
    for qubit in (A, B):
        engine.open(qubit)
    engine.new_pair(r, A, B, times_ns=(0, 0), bell=1)
    p = (1 + engine.snapshot(A).r[basis]) / 2
    outcome = engine.measure(A, 0, u=(u, 0.5), direction=AXES[basis])
    assert outcome is not None
    return outcome, engine.snapshot(B), p


@EXACT
@given(seed=SEED, bell=st.integers(0, 3))
def test_the_mean_of_fidelity_samples_over_bases_is_the_fidelity(oracle: Any, seed: int, bell: int) -> None:
    rho = oracle.random_state(2, np.random.default_rng(seed))
    r = from_density(rho.full()).ravel().tolist()
    mean = 0.0
    for basis, u in itertools.product((1, 2, 3), (0.0, LAST)):
        outcome, snapshot, p = measured(r, basis, u)
        assert snapshot.bells == (1, 1)
        mean += (1 - p if outcome else p) * snapshot.fidelity_sample(bell, basis, outcome) / 3
    assert mean == pytest.approx(qutip.expect(oracle.bell_kets[bell].proj(), rho), abs=1e-12)


@pytest.mark.parametrize("bell", range(4))
@pytest.mark.parametrize("basis", [1, 2, 3])
def test_fidelity_samples_of_perfect_pairs_are_one_and_of_wrong_ones_are_not(bell: int, basis: int) -> None:
    for u in (0.0, LAST):
        outcome, snapshot, _ = measured(werner(1.0, bell), basis, u)
        samples = [snapshot.fidelity_sample(m, basis, outcome) for m in range(4)]
        expected = [1.0 if parity(m, basis) == parity(bell, basis) else -0.5 for m in range(4)]
        assert samples == expected
        assert sum(samples) == 1


def test_a_read_out_error_lowers_the_samples_not_the_state() -> None:
    engine = Engine()
    for qubit in (A, B):
        engine.open(qubit)
    engine.new_pair(werner(1.0), A, B, times_ns=(0, 0), bell=0)
    told = engine.measure(A, 0, u=(0.3, 0.0), readout=Readout(error_0=0.5))
    assert told == 1
    snapshot = engine.snapshot(B)
    assert snapshot.r == (1, 0, 0, 1)
    assert snapshot.fidelity_sample(0, 3, told) == -0.5


def test_each_question_wants_its_own_number_of_qubits() -> None:
    engine = Engine()
    for qubit in (A, B):
        engine.open(qubit)
    engine.new_pair(werner(1.0), A, B, times_ns=(0, 0), bell=0)
    with pytest.raises(ValueError, match="two qubits"):
        engine.snapshot(A).fidelity(0)
    with pytest.raises(ValueError, match="one qubit"):
        engine.snapshot(A, B).fidelity_sample(0, 1, 0)


def test_qubits_of_different_states_share_no_bell_index() -> None:
    engine = Engine()
    for qubit in (A, B, C):
        engine.open(qubit)
    engine.new_pair(werner(1.0), A, B, times_ns=(0, 0), bell=0)
    engine.new_qubit(C, 0)
    snapshot = engine.snapshot(A, C)
    assert snapshot.bells is None
    assert [snapshot.fidelity(m) for m in range(4)] == [0.25] * 4
    assert engine.snapshot(B, A).bells == (0, 0)
