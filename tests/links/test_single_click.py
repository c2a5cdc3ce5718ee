import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.quantum import BellState
from links.schemes import SingleClick

SHARE = st.floats(0, 1)
PLAIN = SingleClick(0.1, 0.1, 0.01, 0.01)
RANDOM_LINKS = st.builds(
    SingleClick,
    *(SHARE,) * 4,
    dark_probability=SHARE,
    visibility=SHARE,
    phase_rad=st.floats(-4, 4),
    phase_std_rad=st.floats(0, 0.8),
    double_excitation=SHARE,
    number_resolving=st.booleans(),
)


def optics(fock: Any, link: SingleClick) -> Any:
    return fock.Optics(
        link.efficiency_a,
        link.efficiency_b,
        link.dark_probability,
        link.visibility,
        link.number_resolving,
        link.double_excitation,
    )


@settings(derandomize=True, deadline=None, max_examples=100)
@given(RANDOM_LINKS)
def test_matrices_agree_with_photons_counted_one_by_one(fock: Any, link: SingleClick) -> None:
    counted = fock.single_click(optics(fock, link), link.alpha_a, link.alpha_b, link.phase_rad, link.phase_std_rad)
    for matrix, expected in zip(link.matrices(), counted, strict=True):
        np.testing.assert_allclose(matrix, expected, rtol=0, atol=1e-12)
        assert np.linalg.eigvalsh(matrix)[0] > -1e-15


def test_rare_clicks_keep_their_digits(fock: Any) -> None:
    link = SingleClick(1e-3, 2e-3, 3e-9, 2e-9, 1e-13, 0.9)
    counted = fock.single_click(optics(fock, link), link.alpha_a, link.alpha_b)
    for matrix, expected in zip(link.matrices(), counted, strict=True):
        np.testing.assert_allclose(matrix, expected, rtol=1e-13, atol=0)
    assert 1e-12 < link.model().p_success < 1e-11


@pytest.mark.parametrize(
    ("link", "p_success", "fidelity"),
    [
        (SingleClick(0.05, 0.05, 1e-3, 1e-3, 1e-7), 1.00197470e-4, 0.94822236),
        (SingleClick(0.1, 0.1, 1e-3, 1e-3, 1e-6, 0.9, 0.0, 0.25, 0.04), 2.01988898e-4, 0.83976918),
        (SingleClick(0.1, 0.1, 0.1, 0.1, number_resolving=True), 1.98e-2, 0.90909091),
    ],
)
def test_values_to_compare_with(link: SingleClick, p_success: float, fidelity: float) -> None:
    model = link.model()
    assert model.p_success == pytest.approx(p_success, rel=1e-8, abs=0)
    assert model.fidelity == pytest.approx(fidelity, abs=1e-8)
    assert model.p_loaded == 1


def test_small_efficiencies_follow_the_textbook() -> None:
    alpha, eta, dark, visibility, std, second = 0.2, 1e-6, 1e-8, 0.9, 0.3, 0.05
    model = SingleClick(alpha, alpha, eta, eta, dark, visibility, 0.0, std, second).model()
    contrast = math.sqrt(visibility) * math.exp(-(std**2) / 2) * (1 - second)
    p_success = 2 * alpha * eta + 2 * dark
    good = alpha * eta * (1 - alpha) * (1 + contrast) + 2 * dark * alpha * (1 - alpha)
    assert model.p_success == pytest.approx(p_success, rel=1e-5, abs=0)
    assert model.fidelity == pytest.approx(good / p_success, rel=1e-5, abs=0)


def test_the_dimmer_the_purer() -> None:
    assert SingleClick(1e-9, 1e-9, 0.5, 0.5).model().fidelity == pytest.approx(1, abs=1e-8)


def test_strangers_do_not_interfere() -> None:
    plus, minus = replace(PLAIN, visibility=0.0).matrices()
    assert plus[1, 2] == minus[1, 2] == 0
    assert replace(PLAIN, visibility=0.0).model().fidelity < 0.5


def test_without_light_all_heralds_are_dark_counts() -> None:
    p, alpha = 1e-4, 0.3
    model = SingleClick(alpha, alpha, 0.0, 0.0, p).model()
    assert model.p_success == pytest.approx(2 * p * (1 - p))
    assert model.fidelity == pytest.approx(alpha * (1 - alpha))


def test_without_light_or_dark_counts_nothing_is_heralded() -> None:
    model = SingleClick(0.1, 0.1, 0.0, 0.0).model()
    assert model.p_success == 0
    assert model.states == ()


def test_each_detector_announces_its_bell_state() -> None:
    plus, minus = SingleClick(0.01, 0.01, 0.1, 0.1, phase_rad=1.3).model().states
    assert (plus.bell, minus.bell) == (BellState.PSI_PLUS, BellState.PSI_MINUS)
    xx, zz = 5, 15
    assert plus.pauli[xx] > 0.97
    assert minus.pauli[xx] < -0.97
    assert plus.pauli[zz] < -0.97
    assert minus.pauli[zz] < -0.97


def test_the_known_phase_is_in_the_matrices_and_rotated_away_in_the_states() -> None:
    turned = replace(PLAIN, phase_rad=0.7)
    assert np.angle(turned.matrices()[0][1, 2]) == pytest.approx(0.7)
    assert turned.model() == PLAIN.model()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha_a", -0.1),
        ("alpha_b", 1.1),
        ("efficiency_a", 2.0),
        ("efficiency_b", math.nan),
        ("dark_probability", -1e-9),
        ("visibility", 1.0001),
        ("phase_rad", math.inf),
        ("phase_std_rad", -0.1),
        ("double_excitation", 5.0),
    ],
)
def test_bad_parameters_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got {value!r}$"):
        replace(PLAIN, **{name: value})
