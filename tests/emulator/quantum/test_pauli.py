"""The Pauli basis: states and channels as real arrays, against expectation values and Kraus sums by QuTiP."""

import itertools
from typing import Any

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.quantum import UnphysicalStateError, from_density, ghz, to_density, transfer_matrix
from emulator.quantum.pauli import checked, pauli_products, pick

EXACT = settings(derandomize=True, deadline=None, max_examples=20, database=None)
SEED = st.integers(0, 2**32 - 1)


@EXACT
@given(n=st.integers(1, 4), seed=SEED)
def test_each_element_is_the_expectation_value_of_its_pauli_string(oracle: Any, n: int, seed: int) -> None:
    rho = oracle.random_state(n, np.random.default_rng(seed))
    r = from_density(rho.full())
    for index in itertools.product(range(4), repeat=n):
        expected = qutip.expect(qutip.tensor([oracle.paulis[k] for k in index]), rho)
        assert abs(r[index] - expected) < 1e-12


@EXACT
@given(n=st.integers(1, 6), seed=SEED)
def test_density_matrices_survive_the_round_trip(oracle: Any, n: int, seed: int) -> None:
    rho = oracle.random_state(n, np.random.default_rng(seed)).full()
    assert np.abs(to_density(from_density(rho)) - rho).max() < 1e-13


@pytest.mark.parametrize("n", [1, 2, 3])
def test_pauli_products_are_in_the_order_of_the_flattened_state(oracle: Any, n: int) -> None:
    products = pauli_products(n)
    for k, index in enumerate(itertools.product(range(4), repeat=n)):
        assert (products[k] == qutip.tensor([oracle.paulis[i] for i in index]).full()).all()


@EXACT
@given(n=st.integers(1, 2), seed=SEED)
def test_transfer_matrices_do_what_the_kraus_operators_do(oracle: Any, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rho = oracle.random_state(n, rng)
    kraus = qutip.rand_kraus_map([2] * n, seed=rng)
    matrix = transfer_matrix(*(k.full() for k in kraus))
    assert matrix[0].tolist() == [1.0] + [0.0] * (4**n - 1)  # exactly, or traces would drift
    out = (matrix @ from_density(rho.full()).ravel()).reshape((4,) * n)
    assert np.abs(to_density(out) - oracle.apply(rho, kraus).full()).max() < 1e-13


def test_a_projection_keeps_its_trace_row(oracle: Any) -> None:
    projector = oracle.bloch_projector((0, 0, 1), 0).full()
    assert np.allclose(transfer_matrix(projector)[0], [0.5, 0, 0, 0.5])


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_ghz_states(n: int) -> None:
    assert np.abs(to_density(ghz(n)) - qutip.ghz_state(n).proj().full()).max() < 1e-15


def test_the_ghz_state_of_one_qubit_is_plus() -> None:
    assert np.allclose(ghz(1), [1, 1, 0, 0])


@pytest.mark.parametrize(
    ("r", "complaint"),
    [
        (np.array([1.0, 1.0, 1.0, 0.0]), "negative eigenvalue -0.207"),
        (np.array([0.9, 0.0, 0.0, 0.0]), "element 0"),
        (np.array([1.0, 0.0, 0.0, 1.1]), "within"),
        (np.array([1.0, 0.0, 0.0, np.nan]), "within"),
        (np.array([1.0, 0.0, 0.0]), "shape"),
        (np.array(1.0), "shape"),
        (np.diag([1.0, 1.0, 1.0, 1.0]), "negative eigenvalue -0.5"),  # the partial transpose of Phi+
    ],
)
def test_what_is_not_a_state_is_refused(r: Any, complaint: str) -> None:
    with pytest.raises(UnphysicalStateError, match=complaint):
        checked(r)


def test_a_state_that_is_right_up_to_rounding_is_taken_and_made_exact() -> None:
    given_r = np.array([1 + 1e-10, 0, 0, 1 + 3e-10])
    r = checked(given_r)
    assert r.tolist() == [1, 0, 0, 1]
    assert r is not given_r


@EXACT
@given(
    weights=st.lists(st.floats(0, 1), min_size=1, max_size=4).filter(lambda w: max(w) > 1e-6),
    u=st.floats(0, 1, exclude_max=True),
)
def test_pick_draws_by_weight(weights: list[float], u: float) -> None:
    k = pick(weights, u)
    usable = [w if w > 1e-12 else 0.0 for w in weights]
    assert usable[k] > 0
    total = sum(usable)
    assert sum(usable[:k]) - 1e-12 <= u * total <= sum(usable[: k + 1]) + 1e-12


def test_pick_never_takes_rounding_errors() -> None:
    assert pick([-1e-16, 1e-13, 1.0, -1e-17], 0.0) == 2
    assert pick([-1e-16, 1e-13, 1.0, 1e-13], 1 - 2**-53) == 2
    assert pick([0.25, 0.75, 0.0, 0.0], 1.0) == 1  # the last resort is the likeliest
    assert pick([0.75, 0.25], 1.0) == 0
