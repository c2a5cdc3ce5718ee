"""Which setting of a single-click link a station chooses for the fidelity that is asked for."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from links import AbstractLink, BrightStates, Fixed, HeraldedStateModel, SingleClick

DIMMEST = 1e-4
SOURCES = [
    SingleClick(0.1, 0.1, 0.01, 0.01, dark_probability=1e-7),
    SingleClick(0.05, 0.2, 0.04, 0.01, dark_probability=1e-6, visibility=0.9),
    SingleClick(0.1, 0.1, 1e-3, 1e-3, dark_probability=1e-5, visibility=0.95, phase_std_rad=0.2),
    SingleClick(0.3, 0.3, 0.5, 0.5, visibility=0.99, double_excitation=0.04, number_resolving=True),
    SingleClick(0.02, 0.5, 0.2, 0.001, dark_probability=1e-6),
]


def dimmed(source: SingleClick, factor: float) -> HeraldedStateModel:
    return replace(source, alpha_a=factor * source.alpha_a, alpha_b=factor * source.alpha_b).model()


def brightest(source: SingleClick) -> float:
    return max(1.0, 0.5 / max(source.alpha_a, source.alpha_b))


def bright_states(source: SingleClick) -> BrightStates:
    return BrightStates(lambda factor: dimmed(source, factor), DIMMEST, brightest(source))


def grid(source: SingleClick, steps: int = 200) -> list[HeraldedStateModel]:
    low, high = math.log(DIMMEST), math.log(brightest(source))
    return [dimmed(source, math.exp(low + (high - low) * k / steps)) for k in range(steps)] + [
        dimmed(source, brightest(source))
    ]


def check(source: SingleClick, asked: float, models: list[HeraldedStateModel]) -> None:
    chosen = bright_states(source).at_least(asked)
    good = [model for model in models if model.fidelity >= asked]
    if good:
        assert chosen.fidelity >= asked - 1e-9
        assert chosen.p_success >= max(model.p_success for model in good) * (1 - 1e-9)
    else:
        assert chosen.fidelity >= max(model.fidelity for model in models) - 1e-9


@pytest.mark.parametrize("source", SOURCES)
def test_the_setting_has_the_fidelity_and_most_heralds_or_else_the_best_fidelity(source: SingleClick) -> None:
    models = grid(source)
    for asked in (0.01, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0):
        check(source, asked, models)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(
    alphas=st.tuples(st.floats(0.01, 0.5), st.floats(0.01, 0.5)),
    efficiencies=st.tuples(st.floats(1e-4, 0.5), st.floats(1e-4, 0.5)),
    dark=st.floats(0, 1e-5),
    visibility=st.floats(0.5, 1),
    asked=st.floats(0.01, 1),
)
def test_whatever_the_link_the_setting_is_the_best_of_a_fine_grid(
    alphas: tuple[float, float], efficiencies: tuple[float, float], dark: float, visibility: float, asked: float
) -> None:
    source = SingleClick(*alphas, *efficiencies, dark, visibility)
    check(source, asked, grid(source, 60))


@pytest.mark.parametrize("source", SOURCES)
def test_the_more_fidelity_is_asked_for_the_fewer_heralds_and_the_better_pairs(source: SingleClick) -> None:
    chosen = [bright_states(source).at_least(k / 20) for k in range(1, 21)]
    for worse, better in pairwise(chosen):
        assert better.fidelity >= worse.fidelity - 1e-9
        assert better.p_success <= worse.p_success * (1 + 1e-9)


@pytest.mark.parametrize("source", SOURCES)
def test_the_best_fidelity_is_reached_when_it_is_asked_for(source: SingleClick) -> None:
    best = bright_states(source).at_least(1.0)
    again = bright_states(source).at_least(best.fidelity - 1e-9)
    assert again.fidelity >= best.fidelity - 2e-9
    assert again.p_success >= best.p_success * (1 - 1e-9)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("asked", [0.0, -1.0])
def test_the_setting_of_the_hardware_stays_if_no_fidelity_is_asked_for(source: SingleClick, asked: float) -> None:
    assert bright_states(source).at_least(asked) == source.model()


def test_without_dark_counts_the_dimmest_setting_is_the_best() -> None:
    source = SingleClick(0.1, 0.1, 0.01, 0.01)
    assert bright_states(source).at_least(1.0).fidelity == pytest.approx(dimmed(source, DIMMEST).fidelity, abs=1e-9)


@pytest.mark.parametrize(("dimmest", "brightest_"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (math.nan, 1.0)])
def test_settings_that_are_no_range_are_refused(dimmest: float, brightest_: float) -> None:
    with pytest.raises(ValueError, match=r"^settings must go from above 0 upwards, not from"):
        BrightStates(lambda factor: dimmed(SOURCES[0], factor), dimmest, brightest_)


def test_a_link_of_one_setting_has_it_whatever_is_asked_for() -> None:
    model = AbstractLink(0.01, 0.9).model()
    assert [Fixed(model).model("alice", "bob", asked) for asked in (0.0, 0.5, 1.0)] == [model] * 3
