import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.quantum import BellState
from links.schemes import DoubleClick

SHARE = st.floats(0, 1)
PLAIN = DoubleClick(0.1, 0.2)
RANDOM_LINKS = st.builds(
    DoubleClick,
    *(SHARE,) * 2,
    dark_probability=SHARE,
    visibility=SHARE,
    phase_std_rad=st.floats(0, 0.8),
    double_excitation=SHARE,
    number_resolving=st.booleans(),
)


def optics(fock: Any, link: DoubleClick) -> Any:
    return fock.Optics(
        link.efficiency_a,
        link.efficiency_b,
        link.dark_probability,
        link.visibility,
        link.number_resolving,
        link.double_excitation,
    )


@settings(derandomize=True, deadline=None, max_examples=80)
@given(RANDOM_LINKS, st.floats(-4, 4))
def test_matrices_agree_with_photons_counted_one_by_one(fock: Any, link: DoubleClick, phase: float) -> None:
    counted = fock.double_click(optics(fock, link), phase, link.phase_std_rad)
    for matrix, expected in zip(link.matrices(), counted, strict=True):
        np.testing.assert_allclose(matrix, expected, rtol=0, atol=1e-12)
        assert np.linalg.eigvalsh(matrix)[0] > -1e-15


@settings(derandomize=True, deadline=None, max_examples=60)
@given(RANDOM_LINKS, st.floats(0.25, 1), st.floats(0.25, 1))
def test_noisy_emission_agrees_with_emitters_that_forget_their_photon(
    fock: Any, link: DoubleClick, fidelity_a: float, fidelity_b: float
) -> None:
    link = replace(link, phase_std_rad=0.0, emission_fidelity_a=fidelity_a, emission_fidelity_b=fidelity_b)
    w_a, w_b = ((4 * f - 1) / 3 for f in (fidelity_a, fidelity_b))
    counted = fock.double_click_white(optics(fock, link), w_a, w_b)
    for matrix, expected in zip(link.matrices(), counted, strict=True):
        np.testing.assert_allclose(matrix, expected, rtol=0, atol=1e-12)


def test_rare_clicks_keep_their_digits(fock: Any) -> None:
    link = DoubleClick(2e-6, 1e-6, 1e-9, 0.9)
    for matrix, expected in zip(link.matrices(), fock.double_click(optics(fock, link)), strict=True):
        np.testing.assert_allclose(matrix, expected, rtol=1e-13, atol=0)
    assert link.model().p_success == pytest.approx(1e-12, rel=0.01, abs=0)


@pytest.mark.parametrize(
    ("link", "p_success", "fidelity"),
    [
        (DoubleClick(0.01, 0.01, 1e-7, 0.9), 5.00039595e-5, 0.94994438),
        (DoubleClick(1e-3, 1e-3, 1e-6, 0.9, 0.0, 0.04), 5.03999934e-7, 0.90944274),
        (DoubleClick(0.1, 0.05, 1e-4, 0.95, 0.2), 2.52801602e-3, 0.95747427),
        (DoubleClick(0.1, 0.05, 1e-4, 0.95, number_resolving=True), 2.52702594e-3, 0.96695944),
    ],
)
def test_values_to_compare_with(link: DoubleClick, p_success: float, fidelity: float) -> None:
    model = link.model()
    assert model.p_success == pytest.approx(p_success, rel=1e-8, abs=0)
    assert model.fidelity == pytest.approx(fidelity, abs=1e-8)
    assert model.p_loaded == 1


@pytest.mark.parametrize(("f_a", "f_b", "visibility"), list(itertools.product((0.25, 0.8, 1), (0.9, 1), (0, 0.7, 1))))
def test_noisy_emission_multiplies_the_bell_correlations(f_a: float, f_b: float, visibility: float) -> None:
    link = DoubleClick(0.1, 0.2, visibility=visibility, emission_fidelity_a=f_a, emission_fidelity_b=f_b)
    w_a, w_b = (4 * f_a - 1) / 3, (4 * f_b - 1) / 3
    assert link.model().fidelity == pytest.approx((1 + w_a * w_b * (1 + 2 * visibility)) / 4)
    assert link.model().p_success == pytest.approx(0.1 * 0.2 / 2)


def test_each_outcome_announces_its_bell_state() -> None:
    same, different = DoubleClick(0.1, 0.1, visibility=0.9).model().states
    assert (same.bell, different.bell) == (BellState.PSI_PLUS, BellState.PSI_MINUS)
    assert (same.pauli[5], different.pauli[5]) == pytest.approx((0.9, -0.9))
    assert (same.pauli[15], different.pauli[15]) == pytest.approx((-1, -1))


def test_strangers_leave_classical_correlations() -> None:
    assert replace(PLAIN, visibility=0.0).model().fidelity == pytest.approx(0.5)


def test_without_light_all_heralds_are_dark_counts() -> None:
    p = 1e-3
    model = DoubleClick(0.0, 0.0, p).model()
    assert model.p_success == pytest.approx((2 * p * (1 - p)) ** 2, rel=1e-9, abs=0)
    assert model.fidelity == pytest.approx(0.25)
    assert DoubleClick(0.0, 0.0).model().p_success == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("efficiency_a", -0.1),
        ("efficiency_b", 1.5),
        ("dark_probability", math.nan),
        ("visibility", -0.2),
        ("phase_std_rad", math.inf),
        ("double_excitation", 1.1),
        ("emission_fidelity_a", 0.2),
        ("emission_fidelity_b", 1.01),
    ],
)
def test_bad_parameters_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got {value!r}$"):
        replace(PLAIN, **{name: value})
