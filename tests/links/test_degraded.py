"""Links under other conditions: the schemes with other parameters, and what is neglected where there are no optics."""

from __future__ import annotations

import math

import pytest

from emulator.faults import CALIBRATED, Conditions
from links import AbstractLink, DoubleClick, PairSource, SingleClick, degraded_model, degraded_scheme, with_detectors
from links.degraded import with_false_heralds

SINGLE = SingleClick(0.05, 0.05, 1e-3, 2e-3, dark_probability=1e-7, visibility=0.9)
DOUBLE = DoubleClick(0.01, 0.02, dark_probability=1e-6, visibility=0.9)
SOURCES = PairSource(0.02, 0.02, 0.1, 0.05, dark_probability=1e-6, visibility=0.9)
WORSE = Conditions(0.5, 0.25, 0.8, 1e-5)


@pytest.mark.parametrize("scheme", [SINGLE, DOUBLE, SOURCES], ids=lambda scheme: type(scheme).__name__)
def test_conditions_change_the_parameters_of_a_scheme(scheme: SingleClick | DoubleClick | PairSource) -> None:
    assert degraded_scheme(scheme, CALIBRATED) == scheme
    found = degraded_scheme(scheme, WORSE)
    assert found.efficiency_a == pytest.approx(scheme.efficiency_a / 2)
    assert found.efficiency_b == pytest.approx(scheme.efficiency_b / 4)
    assert found.visibility == pytest.approx(0.72)
    assert found.dark_probability == pytest.approx(scheme.dark_probability + 1e-5, rel=1e-4)


def test_a_skew_takes_visibility_and_beyond_the_window_all() -> None:
    skewed = Conditions(visibility=0.9, skew_ns=-5, coherence_ns=10, window_ns=20)
    assert skewed.overlap == pytest.approx(0.9 * math.exp(-0.25))
    assert skewed.heralds
    assert not Conditions(skew_ns=-10.1, window_ns=20).heralds


def test_conditions_of_several_faults_come_together() -> None:
    both = Conditions.together(
        (WORSE, Conditions(0.1, visibility=0.5, skew_ns=3, window_ns=9, detectors=(True, False)))
    )
    assert (both.transmission_a, both.transmission_b, both.visibility) == pytest.approx((0.05, 0.25, 0.4))
    assert (both.skew_ns, both.window_ns, both.detectors, both.dark) == (3, 9, (True, False), False)
    assert Conditions.together(()) == CALIBRATED


@pytest.mark.parametrize("detectors", [(True, False), (False, True)])
def test_a_detector_less(detectors: tuple[bool, bool]) -> None:
    single, double = SINGLE.model(), DOUBLE.model()
    assert with_detectors(single, detectors, photons=1).p_success == pytest.approx(single.p_success / 2)
    assert with_detectors(double, detectors, photons=2).p_success == pytest.approx(double.p_success / 4, rel=1e-3)
    assert with_detectors(double, (True, True), photons=2) is double


def test_a_link_without_optics_is_degraded_as_if_two_photons_had_to_arrive() -> None:
    model = AbstractLink(0.01, 0.9).model()
    assert degraded_model(model, Conditions(0.5, 0.2)).p_success == pytest.approx(0.001)
    blurred = degraded_model(model, Conditions(visibility=0.5))
    w = (4 * 0.9 - 1) / 3
    assert blurred.fidelity == pytest.approx((1 + w + 2 * 0.5 * w) / 4)
    assert blurred.p_success == model.p_success
    noisy = degraded_model(model, Conditions(dark_probability=0.05))
    assert noisy.p_success == pytest.approx(0.01 * 0.99 + 4 * 0.05**2)
    assert degraded_model(model, Conditions(detectors=(False, True))).p_success == pytest.approx(0.0025)


@pytest.mark.parametrize("modes", [1, 100])
def test_false_heralds_come_at_their_probability_per_attempt_whatever_the_modes(modes: int) -> None:
    model = AbstractLink(1e-4, 0.9).model().with_modes(modes)
    false = with_false_heralds(model, 0.02)
    assert false.p_success == pytest.approx(1 - (1 - model.p_success) * (1 - 0.02))
    assert false.fidelity == pytest.approx((0.9 * model.p_success + 0.25 * 0.02) / (model.p_success + 0.02), rel=0.01)
