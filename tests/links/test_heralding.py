import doctest
import importlib
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.quantum import BellState, werner
from links.heralding import (
    MAXIMALLY_MIXED,
    HeraldedState,
    HeraldedStateModel,
    dark_count_probability,
    pauli_coefficients,
    psi_matrix,
)
from links.schemes import AbstractLink

ALMOST_ONE = math.nextafter(1.0, 0.0)
GOOD = HeraldedState(tuple(werner(0.9, BellState.PSI_PLUS)), BellState.PSI_PLUS)
OTHER = HeraldedState(tuple(werner(0.7, BellState.PSI_MINUS)), BellState.PSI_MINUS)
EMPTY = HeraldedState(MAXIMALLY_MIXED, BellState.PSI_PLUS, loaded_a=False)


def chance(p: float) -> HeraldedStateModel:
    return HeraldedStateModel((GOOD,), (p,))


@pytest.mark.parametrize(
    "module",
    [
        "fibre",
        "heralding",
        "schemes.abstract",
        "schemes.afc",
        "schemes.double_click",
        "schemes.pair_source",
        "schemes.rail",
        "schemes.received",
        "schemes.single_click",
    ],
)
def test_examples_in_docstrings_run(module: str) -> None:
    assert doctest.testmod(importlib.import_module(f"links.{module}")).failed == 0


@pytest.mark.parametrize(("bell", "name"), [(0, "00"), (1, "10"), (2, "01"), (3, "11")])
def test_bell_states_have_fidelity_one_with_themselves_and_zero_with_the_others(bell: int, name: str) -> None:
    matrix = 0.3 * qutip.ket2dm(qutip.bell_state(name[::-1])).full()
    for announced in BellState:
        state = HeraldedState.from_matrix(matrix, announced)
        assert state.fidelity == pytest.approx(float(announced == bell))


def test_coefficients_are_expectation_values_of_pauli_products() -> None:
    rho = qutip.rand_dm([2, 2], seed=7)
    paulis = [qutip.qeye(2), qutip.sigmax(), qutip.sigmay(), qutip.sigmaz()]
    expected = [qutip.expect(qutip.tensor(a, b), rho) for a in paulis for b in paulis]
    assert pauli_coefficients(0.02 * rho.full()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(2, dtype=complex), "must be 4x4"),
        (np.zeros((4, 4), complex), "trace of at least"),
        (psi_matrix((0.5, 0.1, 0.1, 0.3), 0.2), "Hermitian and positive"),
        (np.eye(4) + 0.1 * np.eye(4, k=1, dtype=complex), "Hermitian and positive"),
    ],
)
def test_what_is_no_state_is_refused(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pauli_coefficients(matrix)


@pytest.mark.parametrize(
    "pauli", [(1.0,) * 15, (0.5, *(0.0,) * 15), (1.0, 1.1, *(0.0,) * 14), (1.0, math.nan) + (0.0,) * 14]
)
def test_malformed_coefficients_are_refused(pauli: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"^pauli must be 16 numbers"):
        HeraldedState(pauli, BellState.PSI_PLUS)


def test_an_unknown_bell_state_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^bell must be 0, 1, 2 or 3, got 4$"):
        HeraldedState(MAXIMALLY_MIXED, 4)


def test_fidelity_counts_loaded_pairs_only_and_the_rest_shows_in_p_loaded() -> None:
    model = HeraldedStateModel((GOOD, OTHER, EMPTY), (0.01, 0.03, 0.06))
    assert model.p_success == pytest.approx(0.1)
    assert model.p_loaded == pytest.approx(0.4)
    assert model.fidelity == pytest.approx((0.9 + 3 * 0.7) / 4)


def test_outcomes_that_never_happen_are_left_out() -> None:
    never, seldom = psi_matrix((0, 0, 0, 0), 0), psi_matrix((0, 1e-9, 1e-9, 0), 1e-9)
    model = HeraldedStateModel.from_matrices([(never, BellState.PSI_MINUS), (seldom, BellState.PSI_PLUS)])
    assert model.weights == (2e-9,)
    assert model.fidelity == pytest.approx(1)


@pytest.mark.parametrize("p", [0.9, 0.2, 3e-4, 1e-12])
def test_attempts_take_one_over_p_on_average(p: float) -> None:
    rng, draws = np.random.default_rng(11), 40_000
    model = chance(p)
    attempts = [model.draw_attempts(u) for u in rng.random(draws).tolist()]
    mean, std = 1 / p, math.sqrt(1 - p) / p
    assert abs(np.mean(attempts) - mean) < 3.5 * std / math.sqrt(draws)
    assert min(attempts) >= 1


@settings(derandomize=True, deadline=None)
@given(st.floats(0, ALMOST_ONE, exclude_max=False), st.floats(-12, -0.01))
def test_attempts_follow_the_geometric_distribution(u: float, magnitude: float) -> None:
    """The draw is the first attempt by which success has come with probability above u, to 40 digits."""
    p = 10**magnitude
    attempts = chance(p).draw_attempts(u)
    with localcontext() as context:
        context.prec = 40
        exact = 1 + (1 - Decimal(u)).ln() / (1 - Decimal(p)).ln()
        # Rounding may move the draw across the edge of an integer, and by no more than its last digits.
        assert abs(Decimal(attempts) - exact) <= 1 + exact * Decimal("1e-14")


def test_small_probabilities_keep_their_digits() -> None:
    assert chance(1e-9).draw_attempts(0.5) == 1 + math.floor(math.log(2) / 1e-9 - math.log(2) / 2)


@pytest.mark.parametrize("p", [1e-12, 1e-9, 0.5, ALMOST_ONE, 1.0])
def test_the_ends_of_the_unit_interval_are_safe(p: float) -> None:
    model = chance(p)
    assert model.draw_attempts(0.0) == 1
    assert 1 <= model.draw_attempts(ALMOST_ONE) < 37 / p + 1
    assert model.draw_state(0.0) == model.draw_state(ALMOST_ONE) == GOOD


def test_certain_success_takes_one_attempt() -> None:
    assert {chance(1.0).draw_attempts(u) for u in (0.0, 0.3, ALMOST_ONE)} == {1}
    assert chance(1.0).with_modes(5).p_success == 1
    assert chance(1.0).with_modes(5).draw_mode(ALMOST_ONE) == 0


def test_without_any_success_there_is_nothing_to_draw() -> None:
    for model in (chance(0.0), HeraldedStateModel((), ()), chance(1e-310)):
        for draw in (model.draw_attempts, model.draw_state, model.draw_mode):
            with pytest.raises(ValueError, match="no attempt is ever heralded"):
                draw(0.5)
        with pytest.raises(ValueError, match="no attempt is ever heralded"):
            _ = model.p_loaded
    with pytest.raises(ValueError, match="fidelity is undefined"):
        _ = HeraldedStateModel((EMPTY,), (0.1,)).fidelity


@pytest.mark.parametrize("u", [-1e-9, 1.0, math.nan])
def test_draws_want_a_uniform_number(u: float) -> None:
    model = chance(0.5)
    for draw in (model.draw_attempts, model.draw_state, model.draw_mode):
        with pytest.raises(ValueError, match=r"^u must be at least 0 and below 1"):
            draw(u)


def test_states_are_drawn_by_weight() -> None:
    model = HeraldedStateModel((GOOD, OTHER, EMPTY), (1e-9, 3e-9, 6e-9))
    us = (np.arange(10_000) + 0.5) / 10_000
    drawn = [model.draw_state(u) for u in us.tolist()]
    assert [drawn.count(state) for state in (GOOD, OTHER, EMPTY)] == [1000, 3000, 6000]


def test_a_branch_that_is_only_rounding_is_never_drawn() -> None:
    for states, weights in (((EMPTY, GOOD), (1e-18, 1e-2)), ((GOOD, EMPTY), (1e-2, 1e-18)), ((EMPTY, GOOD), (0, 0.1))):
        model = HeraldedStateModel(states, weights)
        assert model.draw_state(0.0) == model.draw_state(ALMOST_ONE) == GOOD


@pytest.mark.parametrize("p", [0.3, 1e-3, 1e-9, 1e-12])
@pytest.mark.parametrize("modes", [1, 2, 100, 16_340])
def test_many_modes_succeed_more_often(p: float, modes: int) -> None:
    with localcontext() as context:
        context.prec = 60
        expected = float(1 - (1 - Decimal(p)) ** modes)
    model = chance(p).with_modes(modes)
    assert model.p_success == pytest.approx(expected, rel=1e-14, abs=0)
    assert (model.states, model.weights) == (chance(p).states, chance(p).weights)
    assert model.with_modes(1) == chance(p)


@pytest.mark.parametrize("p", [0.4, 0.01, 1e-10])
def test_the_first_mode_that_succeeds_is_drawn(p: float) -> None:
    modes, draws = 8, 20_000
    model = chance(p).with_modes(modes)
    us = (np.arange(draws) + 0.5) / draws
    drawn = np.bincount([model.draw_mode(u) for u in us.tolist()], minlength=modes)
    expected = p * (1 - p) ** np.arange(modes) / model.p_success
    assert drawn / draws == pytest.approx(expected, abs=1.1 / draws)
    assert model.draw_mode(0.0) == 0
    assert model.draw_mode(ALMOST_ONE) == modes - 1


def test_a_single_mode_is_mode_zero() -> None:
    assert {chance(0.1).draw_mode(u) for u in (0.0, 0.5, ALMOST_ONE)} == {0}


@pytest.mark.parametrize(
    ("states", "weights", "modes", "message"),
    [
        ((GOOD,), (0.1, 0.1), 1, "^weights must be one per state"),
        ((GOOD,), (-0.1,), 1, "^weights must be probabilities"),
        ((GOOD,), (math.nan,), 1, "^weights must be probabilities"),
        ((GOOD, OTHER), (0.6, 0.6), 1, "^weights must be probabilities"),
        ((GOOD,), (0.1,), 0, "^modes must be at least 1"),
    ],
)
def test_models_that_make_no_sense_are_refused(
    states: tuple[HeraldedState, ...], weights: tuple[float, ...], modes: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        HeraldedStateModel(states, weights, modes)


@pytest.mark.parametrize("bell", list(BellState))
@pytest.mark.parametrize("fidelity", [0.0, 0.25, 0.5, 0.93, 1.0])
def test_an_abstract_link_delivers_werner_states(bell: BellState, fidelity: float) -> None:
    model = AbstractLink(1e-3, fidelity, bell).model()
    (state,) = model.states
    assert (model.p_success, state.bell) == (1e-3, bell)
    assert state.fidelity == pytest.approx(fidelity)
    diagonal = state.pauli[5::5]
    assert max(map(abs, diagonal)) == pytest.approx(min(map(abs, diagonal)))
    assert sum(map(abs, state.pauli)) == pytest.approx(1 + abs(4 * fidelity - 1))


def test_an_abstract_link_names_its_bad_parameters() -> None:
    with pytest.raises(ValueError, match=r"^p_success must be between 0 and 1, got 1.5$"):
        AbstractLink(1.5, 0.9)
    with pytest.raises(ValueError, match=r"^fidelity must be between 0 and 1, got -0.1$"):
        AbstractLink(0.5, -0.1)


def test_dark_counts_fill_a_window() -> None:
    assert dark_count_probability(100.0, 1e-9) == pytest.approx(1e-7, rel=1e-6, abs=0)
    assert dark_count_probability(1e-3, 1e-9) == pytest.approx(1e-12, rel=1e-12, abs=0)
    assert dark_count_probability(0.0, 1.0) == 0
    with pytest.raises(ValueError, match=r"^rate_hz must be"):
        dark_count_probability(-1.0, 1.0)
    with pytest.raises(ValueError, match=r"^window_s must be"):
        dark_count_probability(1.0, math.inf)
