"""Bell-state measurements of any two qubits: the fast path of pairs, the general path, and QuTiP must agree."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.quantum import (
    BellMeasurement,
    BellState,
    Engine,
    QubitError,
    StateTooLargeError,
    from_density,
    gates,
    ghz,
    to_density,
    werner,
)
from emulator.quantum import pair as pairs
from emulator.quantum import tensor as tensors

EXACT = settings(derandomize=True, deadline=None, max_examples=35, database=None)
SEED = st.integers(0, 2**32 - 1)
LAST = 1 - 2**-53
NOISE = st.sampled_from([0.0, 0.02, 0.5, 1.0])


def expected(one: Any, b: int, c: int, depolarising: float) -> list[tuple[float, Any]]:
    """Return, for each outcome, its probability and the state of the other qubits."""
    n = len(one.rho.dims[0])
    noisy = one.oracle.depolarised(one.rho, [b, c], depolarising)
    rest = [k for k in range(n) if k not in (b, c)]
    out = []
    for m in range(4):
        projector = one.oracle.bell(n, b, c, m)
        rho = projector * noisy * projector
        p = rho.tr().real
        out.append((p, (rho / p).ptrace(rest) if p > 1e-9 and rest else None))
    return out


def middle_of_each_outcome(outcomes: list[tuple[float, Any]]) -> list[tuple[int, float]]:
    """Return (outcome, u) for each outcome that is not too unlikely: u in the middle of its range."""
    edges = [0.0, *itertools.accumulate(p for p, _ in outcomes)]
    return [(m, (edges[m] + edges[m + 1]) / 2) for m in range(4) if outcomes[m][0] > 1e-6]


def check_all_outcomes(lab: Any, sizes: tuple[int, ...], seed: int, b: int, c: int, depolarising: float) -> None:
    bsm = BellMeasurement(depolarising=depolarising)
    outcomes = expected(lab(sizes, seed), b, c, depolarising)
    for m, u in middle_of_each_outcome(outcomes):
        one = lab(sizes, seed)
        assert one.engine.swap(one.ids[b], one.ids[c], 0, u=(u, 0.5, 0.5), bsm=bsm) == m
        p, rest = outcomes[m]
        if rest is not None:
            assert one.error(rest, [q for k, q in enumerate(one.ids) if k not in (b, c)]) < 1e-13 / p


@EXACT
@given(b=st.integers(0, 1), c=st.integers(2, 3), turned=st.booleans(), seed=SEED, depolarising=NOISE)
def test_a_swap_of_two_pairs(lab: Any, *, b: int, c: int, turned: bool, seed: int, depolarising: float) -> None:
    check_all_outcomes(lab, (2, 2), seed, *((c, b) if turned else (b, c)), depolarising)


@EXACT
@given(
    data=st.data(),
    sizes=st.sampled_from([(2,), (1, 1), (3,), (1, 2), (2, 1), (4,), (1, 3), (3, 2), (2, 1, 1), (5,), (3, 3)]),
    seed=SEED,
    depolarising=NOISE,
)
def test_a_bell_measurement_of_any_two_qubits(
    lab: Any, data: Any, sizes: tuple[int, ...], seed: int, depolarising: float
) -> None:
    b, c = data.draw(st.permutations(range(sum(sizes))), label="qubits")[:2]
    check_all_outcomes(lab, sizes, seed, b, c, depolarising)


@EXACT
@given(seed=SEED, depolarising=NOISE)
def test_the_boundaries_between_outcomes_are_their_probabilities(lab: Any, seed: int, depolarising: float) -> None:
    for sizes, b, c in (((2, 2), 1, 2), ((1, 2), 0, 1)):
        outcomes = expected(lab(sizes, seed), b, c, depolarising)
        edges = [0.0, *itertools.accumulate(p for p, _ in outcomes)]
        for m in range(4):
            if outcomes[m][0] < 1e-6:
                continue
            for u in (edges[m] + 1e-12, edges[m + 1] - 1e-12):
                one = lab(sizes, seed)
                bsm = BellMeasurement(depolarising=depolarising)
                assert one.engine.swap(one.ids[b], one.ids[c], 0, u=(u, 0.5, 0.5), bsm=bsm) == m


@EXACT
@given(seed=SEED, depolarising=NOISE, u=st.floats(0, 1, exclude_max=True))
def test_the_fast_path_is_the_general_path(oracle: Any, seed: int, depolarising: float, u: float) -> None:
    rng = np.random.default_rng(seed)
    p, q = (from_density(oracle.random_state(2, rng).full()) for _ in range(2))
    m, fast = pairs.swap(p.ravel().tolist(), q.ravel().tolist(), u, depolarising)
    joint = tensors.depolarise_two(tensors.merge(p, q), 1, 2, depolarising)
    n, general = tensors.bell_measure(joint, 1, 2, u)
    assert m == n
    assert np.abs(np.reshape(fast, (4, 4)) - general).max() < 1e-12


def test_the_qubits_of_a_pair_itself_can_be_measured() -> None:
    for m in range(4):
        engine = pair_engine(m)
        assert engine.swap(("a", 0, 1), ("b", 0, 1), 0, u=(0.3, 0.5, 0.5)) == m
        assert len(engine) == 0


def pair_engine(bell: int, *, times: int = 1, **how: Any) -> Engine:
    """Return an engine with perfect pairs (a, b), (c, d), ... in a Bell state."""
    engine = Engine()
    names = iter("abcdefgh")
    for _ in range(times):
        one, other = ((next(names), 0, 1) for _ in range(2))
        engine.open(one)
        engine.open(other)
        engine.new_pair(werner(1.0, bell), one, other, times_ns=(0, 0), bell=bell, **how)
    return engine


A, B, C, D = ((name, 0, 1) for name in "abcd")


@pytest.mark.parametrize("outcome", range(4))
@pytest.mark.parametrize("u", [0.0, 0.249, 0.25, 0.9])
def test_a_failed_measurement_consumes_both_qubits(outcome: int, u: float) -> None:
    engine = pair_engine(0, times=2)
    bsm = BellMeasurement(efficiency=0.5)
    told = engine.swap(B, C, 0, u=((outcome + 0.5) / 4, u, 0.5), bsm=bsm, efficiency=0.5)
    assert told == (outcome if u < 0.25 else None)
    assert engine.qubits == [A, D]
    # The ends are in a Bell state even if nobody is told which; only who is told has an index to compare with.
    assert engine.snapshot(A, D).fidelity(outcome) == 1
    assert engine.snapshot(A, D).bells == ((outcome, outcome) if u < 0.25 else None)


@pytest.mark.parametrize("outcome", range(4))
def test_linear_optics_tell_only_the_psi_states(outcome: int) -> None:
    engine = pair_engine(0, times=2)
    told = engine.swap(B, C, 0, u=((outcome + 0.5) / 4, 0.0, 0.5), bsm=BellMeasurement(linear_optics=True))
    assert told == (None if outcome in (BellState.PHI_PLUS, BellState.PHI_MINUS) else outcome)
    assert engine.qubits == [A, D]


@pytest.mark.parametrize("which", range(4))
def test_empty_memories_make_a_swap_fail_or_stay_hidden_in_the_ends(which: int) -> None:
    engine = Engine()
    for qubit in (A, B, C, D):
        engine.open(qubit)
    loaded = [k != which for k in range(4)]
    mixed = (1.0,) + (0.0,) * 15
    engine.new_pair(mixed, A, B, times_ns=(0, 0), bell=0, loaded=(loaded[0], loaded[1]))
    engine.new_pair(mixed, C, D, times_ns=(0, 0), bell=0, loaded=(loaded[2], loaded[3]))
    told = engine.swap(B, C, 0, u=(0.6, 0.0, 0.5))
    assert (told is None) == (which in (1, 2))
    assert (engine.measure(A, 0, u=(0.5, 0.0)) is None) == (which == 0)
    assert (engine.measure(D, 0, u=(0.5, 0.0)) is None) == (which == 3)


@pytest.mark.parametrize(
    ("u", "flipped"),
    # flip_x = 0.2, flip_z = 0.1, from one uniform: the errors are independent, so both happen with 0.02.
    [(0.0, 3), (0.0199, 3), (0.0201, 2), (0.1999, 2), (0.2001, 1), (0.2799, 1), (0.2801, 0), (LAST, 0)],
)
@pytest.mark.parametrize("outcome", range(4))
def test_reported_bits_flip_and_the_state_knows_better(u: float, flipped: int, outcome: int) -> None:
    engine = pair_engine(2, times=2)
    told = engine.swap(B, C, 0, u=((outcome + 0.5) / 4, 0.5, u), bsm=BellMeasurement(flip_x=0.2, flip_z=0.1))
    assert told == outcome ^ flipped
    assert isinstance(told, BellState)
    assert engine.snapshot(A, D).bells == (outcome, outcome ^ flipped)
    assert engine.snapshot(A, D).fidelity(outcome) == 1


@pytest.mark.parametrize(("flip_x", "flip_z", "flipped"), [(1, 0, 2), (0, 1, 1), (1, 1, 3), (0, 0, 0)])
@pytest.mark.parametrize("u", [0.0, 0.5, LAST])
def test_certain_flips(flip_x: float, flip_z: float, flipped: int, u: float) -> None:
    engine = pair_engine(0, times=2)
    bsm = BellMeasurement(flip_x=flip_x, flip_z=flip_z)
    assert engine.swap(B, C, 0, u=(0.3, 0.5, u), bsm=bsm) == 1 ^ flipped


def test_a_swap_knows_no_bell_index_where_one_of_its_states_had_none() -> None:
    for spoilt in (A, B, C, D):
        engine = pair_engine(0, times=2)
        engine.gate(gates.Z, spoilt, time_ns=0)
        assert engine.swap(B, C, 0, u=(0.1, 0.5, 0.5)) == 0
        snapshot = engine.snapshot(A, D)
        assert snapshot.bells is None
        assert snapshot.fidelity(1) == pytest.approx(1)


@EXACT
@given(l=st.integers(0, 3), r=st.integers(0, 3), o=st.integers(0, 3), basis=st.integers(1, 3), bit=st.integers(0, 1))
def test_a_half_measured_before_the_swap_is_as_good_as_after(l: int, r: int, o: int, basis: int, bit: int) -> None:  # noqa: E741
    engine = pair_engine(l)
    for qubit in (C, D):
        engine.open(qubit)
    engine.new_pair(werner(1.0, r), C, D, times_ns=(0, 0), bell=r)
    direction = tuple(float(k == basis) for k in (1, 2, 3))
    assert engine.measure(A, 0, u=((0.0, LAST)[bit], 0.5), direction=direction) == bit  # type: ignore[arg-type]
    assert engine.swap(B, C, 1, u=((o + 0.5) / 4, 0.5, 0.5)) == o
    snapshot = engine.snapshot(D)
    assert snapshot.bells == (l ^ o ^ r, l ^ o ^ r)
    assert snapshot.fidelity_sample(l ^ o ^ r, basis, bit) == pytest.approx(1, abs=1e-12)


@EXACT
@given(data=st.data(), sizes=st.sampled_from([(1,), (2,), (3,), (1, 2), (2, 2), (4,), (5,), (6,)]), seed=SEED)
def test_discarding_is_the_partial_trace(lab: Any, data: Any, sizes: tuple[int, ...], seed: int) -> None:
    one = lab(sizes, seed)
    q = data.draw(st.integers(0, sum(sizes) - 1), label="qubit")
    one.engine.discard(one.ids[q])
    rest = [k for k in range(sum(sizes)) if k != q]
    assert one.engine.qubits == sorted(one.ids[k] for k in rest)
    if rest:
        assert one.error(one.rho.ptrace(rest), [one.ids[k] for k in rest]) < 1e-13


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_fusing_pairs_makes_ghz_states(n: int) -> None:
    # A chain of Phi+ pairs; the node between two of them applies CNOT from the first to the second half, measures the
    # second, and the far end corrects its bit. (Were the bit not corrected, the state would not be GHZ.)
    for wrong in (False, True):
        engine = pair_engine(0)
        chain = [A, B]
        for k in range(2, n):
            half, end = ("half", k, 1), ("end", k, 1)
            engine.open(half)
            engine.open(end)
            engine.new_pair(werner(1.0), half, end, times_ns=(0, 0), bell=0)
            engine.gate(gates.CNOT, chain[-1], half, time_ns=k)
            bit = engine.measure(half, k, u=(LAST, 0.5))
            assert bit == 1
            engine.frame(end, 0 if wrong else bit << 1, k)
            chain.append(end)
        r, axes = engine.density_tensor(A, n)
        r = np.moveaxis(r, [axes.index(q) for q in chain], range(n))
        assert (np.abs(r - ghz(n)).max() < 1e-12) == (not wrong or n == 2)


def test_more_than_eight_qubits_are_refused_and_nothing_is_changed(lab: Any) -> None:
    one = lab((4, 4, 1), 1)
    one.engine.gate(gates.CZ, one.ids[0], one.ids[4], time_ns=0)
    with pytest.raises(StateTooLargeError, match="9 entangled qubits; exact joint states have at most 8"):
        one.engine.gate(gates.CZ, one.ids[0], one.ids[8], time_ns=0)
    with pytest.raises(StateTooLargeError, match="9 entangled"):
        one.engine.swap(one.ids[8], one.ids[7], 0, u=(0.1, 0.1, 0.1))
    assert one.engine.qubits == sorted(one.ids)
    assert one.engine.snapshot(one.ids[8]).r == pytest.approx(from_density(one.rho.ptrace([8]).full()), abs=1e-12)


def test_a_qubit_cannot_be_swapped_with_itself(lab: Any) -> None:
    one = lab((2, 2), 1)
    with pytest.raises(QubitError, match=r"node 1 position 1 .* more than once"):
        one.engine.swap(one.ids[1], one.ids[1], 0, u=(0.1, 0.1, 0.1))


@pytest.mark.parametrize("name", ["efficiency", "depolarising", "flip_x", "flip_z"])
@pytest.mark.parametrize("value", [-0.01, 1.01, 2, math.nan])
def test_impossible_bell_measurements_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} = {value} must lie in"):
        BellMeasurement(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("efficiency", [-0.1, 1.1, math.nan])
def test_an_impossible_further_efficiency_is_refused(lab: Any, efficiency: float) -> None:
    one = lab((2, 2), 1)
    with pytest.raises(ValueError, match="efficiency = "):
        one.engine.swap(one.ids[1], one.ids[2], 0, u=(0.1, 0.1, 0.1), efficiency=efficiency)
    assert len(one.engine) == 4


def test_a_pure_state_stays_one_through_a_swap(oracle: Any) -> None:
    # Pure but not maximally entangled pairs: outcomes differ in probability and in what they leave.
    ket = (math.sqrt(0.9) * oracle.bell_kets[0] + math.sqrt(0.1) * oracle.bell_kets[1]).unit()
    p = from_density(ket.proj().full()).ravel().tolist()
    purities = set()
    for u in (0.1, 0.6, 0.9):
        _, out = pairs.swap(p, p, u)
        rho = to_density(np.reshape(out, (4, 4)))
        assert np.trace(rho @ rho).real == pytest.approx(1, abs=1e-12)
        purities.add(round(pairs.fidelity(out, 0), 3))
    assert len(purities) > 1
