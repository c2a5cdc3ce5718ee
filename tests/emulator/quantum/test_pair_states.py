"""The plain-float path of pairs does exactly what the general path does."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.quantum import from_density, to_density, werner
from emulator.quantum import pair as pairs
from emulator.quantum import tensor as tensors

EXACT = settings(derandomize=True, deadline=None, max_examples=50, database=None)
SEED = st.integers(0, 2**32 - 1)
AXIS = st.integers(0, 1)


def both(oracle: Any, seed: int) -> tuple[list[float], Any]:
    r = from_density(oracle.random_state(2, np.random.default_rng(seed)).full())
    return r.ravel().tolist(), r


def same(fast: list[float], general: Any) -> bool:
    assert all(type(v) is float for v in fast)  # not numpy's, which are ten times slower
    assert len(fast) == 16
    return bool(np.abs(np.reshape(fast, (4, 4)) - general).max() < 1e-15)


@EXACT
@given(seed=SEED, axis=AXIS, c=st.floats(-1, 1), e=st.floats(0, 1), z=st.floats(-1, 1))
def test_relax(oracle: Any, seed: int, axis: int, c: float, e: float, z: float) -> None:
    fast, general = both(oracle, seed)
    s = z * (1 - e)
    copy = fast.copy()
    assert same(pairs.relax(fast, axis, c, e, s), tensors.relax(general, axis, c, e, s))
    assert fast == copy


@EXACT
@given(seed=SEED, axis=AXIS)
def test_transform(oracle: Any, seed: int, axis: int) -> None:
    fast, general = both(oracle, seed)
    matrix = np.random.default_rng(seed).uniform(-1, 1, (4, 4))
    assert same(pairs.transform(fast, axis, matrix.tolist()), tensors.transform(general, axis, matrix))


@EXACT
@given(seed=SEED, axis=AXIS, bell=st.integers(0, 3))
def test_frame(oracle: Any, seed: int, axis: int, bell: int) -> None:
    fast, general = both(oracle, seed)
    copy = fast.copy()
    assert same(pairs.frame(fast, axis, bell), tensors.frame(general, axis, bell))
    assert fast == copy


@EXACT
@given(seed=SEED)
def test_transpose(oracle: Any, seed: int) -> None:
    fast, general = both(oracle, seed)
    assert same(pairs.transpose(fast), general.T)


@EXACT
@given(seed=SEED, bell=st.integers(0, 3))
def test_fidelity(oracle: Any, seed: int, bell: int) -> None:
    fast, general = both(oracle, seed)
    ket = oracle.bell_kets[bell].full()
    assert pairs.fidelity(fast, bell) == pytest.approx(
        (ket.conj().T @ to_density(general) @ ket).item().real, abs=1e-14
    )


@EXACT
@given(fidelity=st.floats(0, 1), bell=st.integers(0, 3))
def test_werner_states_are_a_bell_state_and_white_noise(oracle: Any, fidelity: float, bell: int) -> None:
    target = oracle.bell_kets[bell].proj().full()
    expected = fidelity * target + (1 - fidelity) / 3 * (np.eye(4) - target)
    assert np.abs(to_density(np.reshape(werner(fidelity, bell), (4, 4))) - expected).max() < 1e-15
    assert pairs.fidelity(werner(fidelity, bell), bell) == pytest.approx(fidelity, abs=1e-15)


@EXACT
@given(seed=SEED, p=st.floats(0, 1))
def test_two_qubit_depolarising_of_the_general_path_is_random_paulis(oracle: Any, seed: int, p: float) -> None:
    rho = oracle.random_state(3, np.random.default_rng(seed))
    r = from_density(rho.full())
    for a, b in ((0, 1), (2, 0), (1, 2)):
        out = tensors.depolarise_two(r, a, b, p)
        assert np.abs(to_density(out) - oracle.depolarised(rho, [a, b], p).full()).max() < 1e-14
    assert (r == from_density(rho.full())).all()  # arrays are never changed in place
