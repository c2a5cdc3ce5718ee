import itertools
import math
from dataclasses import astuple, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.quantum import BellState
from links.schemes import AtomicFrequencyComb, PairSource

SHARE = st.floats(0, 1)
PLAIN = PairSource(0.02, 0.02, 0.1, 0.1)
# The brute force stops at this many pairs per rail. With at most 0.02 pairs per source it leaves out 1e-12 of the
# state, and of the heralds less than 1e-9.
PAIRS_AT_MOST = 6
RANDOM_LINKS = st.builds(
    PairSource,
    *(st.floats(0, 0.02),) * 2,
    *(SHARE,) * 4,
    dark_probability=st.floats(0, 0.2),
    visibility=SHARE,
    phase_rad=st.floats(-4, 4),
)


def counted(fock: Any, link: PairSource) -> list[Any]:
    optics = fock.Optics(link.efficiency_a, link.efficiency_b, link.dark_probability, link.visibility)
    x_a, x_b = (n / (1 + n) for n in (link.mean_pairs_a, link.mean_pairs_b))
    write = (link.write_efficiency_a, link.write_efficiency_b)
    return fock.memories(optics, (x_a, x_b), write, link.phase_rad, PAIRS_AT_MOST)


def one_rail(rail: Any) -> np.ndarray:
    """Return the part with at most one excitation in each memory."""
    basis = list(itertools.product((0, 1), repeat=2))
    return np.array([[rail.get(s + t, 0.0) for t in basis] for s in basis])


def two_rails(first: Any, second: Any) -> np.ndarray:
    """Return the part with one excitation in each memory; the qubit is the rail it is in."""

    def on(rail: int, qubits: tuple[int, int]) -> tuple[int, int]:
        return int(qubits[0] == rail), int(qubits[1] == rail)

    basis = list(itertools.product((0, 1), repeat=2))
    return np.array(
        [[first.get(on(0, s) + on(0, t), 0.0) * second.get(on(1, s) + on(1, t), 0.0) for t in basis] for s in basis]
    )


def filling(*rails: Any) -> np.ndarray:
    """Sum the probabilities of: both empty, only A, only B, one excitation in each, more in both."""
    out = np.zeros(5)
    populations = [[(a, b, v.real) for (a, b, c, d), v in rail.items() if (a, b) == (c, d)] for rail in rails]
    for combination in itertools.product(*populations):
        a, b = (sum(part[k] for part in combination) for k in (0, 1))
        kind = 3 + (a + b > 2) if a and b else (a > 0) + 2 * (b > 0)
        out[int(kind)] += math.prod(part[2] for part in combination)
    return out


@settings(derandomize=True, deadline=None, max_examples=60)
@given(RANDOM_LINKS)
def test_one_rail_agrees_with_photons_counted_one_by_one(fock: Any, link: PairSource) -> None:
    link = replace(link, rails=1)
    rails = counted(fock, link)
    for matrix, rail in zip(link.matrices(), rails, strict=True):
        np.testing.assert_allclose(matrix, one_rail(rail), rtol=0, atol=1e-12)
    np.testing.assert_allclose(astuple(link.occupation()), filling(rails[0]) + filling(rails[1]), rtol=0, atol=1e-12)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(RANDOM_LINKS)
def test_two_rails_agree_with_photons_counted_one_by_one(fock: Any, link: PairSource) -> None:
    plus, minus = counted(fock, link)
    same, different = link.matrices()
    np.testing.assert_allclose(same, two_rails(plus, plus) + two_rails(minus, minus), rtol=0, atol=1e-12)
    np.testing.assert_allclose(different, two_rails(plus, minus) + two_rails(minus, plus), rtol=0, atol=1e-12)
    expected = sum(filling(*rails) for rails in itertools.product((plus, minus), repeat=2))
    np.testing.assert_allclose(astuple(link.occupation()), expected, rtol=0, atol=2e-12)


@pytest.mark.parametrize("rails", [1, 2])
@pytest.mark.parametrize("dark", [0.0, 1e-10])
def test_rare_clicks_keep_their_digits(fock: Any, rails: int, dark: float) -> None:
    """Two silences of probability almost 1 differ by 1e-7 and less here, and still nothing is lost."""
    link = PairSource(1e-3, 2e-3, 4e-4, 3e-4, 0.6, 0.7, dark, 0.9, rails=rails)
    plus, minus = counted(fock, link)
    if rails == 1:
        expected, fill = one_rail(plus), filling(plus) + filling(minus)
    else:
        expected = 2 * two_rails(plus, plus)
        fill = sum(filling(*pattern) for pattern in itertools.product((plus, minus), repeat=2))
        assert 1e-13 < link.model().p_success < 1e-11
    np.testing.assert_allclose(link.matrices()[0], expected, rtol=1e-12, atol=0)
    np.testing.assert_allclose(astuple(link.occupation()), fill, rtol=1e-12, atol=1e-15 * fill.sum())


@pytest.mark.parametrize(
    ("x", "eta", "dark", "visibility", "write", "p_herald", "one_each", "fidelity", "some_empty"),
    [
        (0.02, 0.1, 0.0, 1.0, 1.0, 1.652442e-5, 0.44655, 1.00000, 0.48118),
        (0.02, 0.1, 0.0, 0.9, 1.0, 1.652273e-5, 0.44659, 0.95000, 0.48123),
        (0.02, 0.1, 0.0, 1.0, 0.4, 1.652442e-5, 0.08533, 0.93774, 0.90953),
        (0.005, 0.01, 1e-6, 1.0, 1.0, 1.050463e-8, 0.46690, 0.99940, 0.51417),
    ],
)
def test_values_to_compare_with_on_two_rails(
    x: float,
    eta: float,
    dark: float,
    visibility: float,
    write: float,
    p_herald: float,
    one_each: float,
    fidelity: float,
    some_empty: float,
) -> None:
    n = x / (1 - x)
    link = PairSource(n, n, eta, eta, write, write, dark, visibility)
    filled, model = link.occupation(), link.model()
    assert filled.total == pytest.approx(p_herald, rel=1e-6, abs=0)
    assert model.p_success == pytest.approx(p_herald, rel=1e-6, abs=0)
    assert filled.one_each / filled.total == pytest.approx(one_each, abs=6e-6)
    assert model.states[0].fidelity == pytest.approx(fidelity, abs=6e-6)
    assert 1 - model.p_loaded == pytest.approx(some_empty, abs=6e-6)


@pytest.mark.parametrize(
    ("x", "eta", "dark", "visibility", "write", "p_herald", "populations", "coherence"),
    [
        (0.01, 0.1, 0.0, 1.0, 1.0, 2.016127e-3, (0, 0.48613, 0.48613, 0.00924), 0.48613),
        (0.01, 0.01, 1e-6, 0.95, 0.3, 2.039785e-4, (0.69666, 0.15032, 0.15032, 0.00090), 0.14448),
    ],
)
def test_values_to_compare_with_on_one_rail(
    x: float,
    eta: float,
    dark: float,
    visibility: float,
    write: float,
    p_herald: float,
    populations: tuple[float, ...],
    coherence: float,
) -> None:
    n = x / (1 - x)
    link = PairSource(n, n, eta, eta, write, write, dark, visibility, rails=1)
    assert link.model().p_success == pytest.approx(p_herald, rel=1e-6, abs=0)
    shares = 2 * link.matrices()[0] / link.occupation().total
    assert np.diag(shares).real == pytest.approx(populations, abs=6e-6)
    assert shares[1, 2].real == pytest.approx(coherence, abs=6e-6)


@settings(derandomize=True, deadline=None)
@given(
    st.builds(
        PairSource,
        *(st.floats(0, 3),) * 2,
        *(SHARE,) * 4,
        dark_probability=SHARE,
        visibility=SHARE,
        phase_std_rad=st.floats(0, 2),
        rails=st.sampled_from([1, 2]),
    )
)
def test_states_are_physical_and_nothing_is_lost_for_strong_sources_too(link: PairSource) -> None:
    for matrix in link.matrices():
        assert np.linalg.eigvalsh(matrix)[0] > -1e-15
    assert all(part >= 0 for part in astuple(link.occupation()))
    assert link.model().p_success == pytest.approx(link.occupation().total, rel=1e-12, abs=1e-300)
    assert link.occupation().total <= 1


@settings(derandomize=True, deadline=None)
@given(st.tuples(st.floats(0, 3), st.floats(0, 3)), st.tuples(SHARE, SHARE), st.floats(0, 0.5), SHARE)
def test_writing_does_not_change_what_the_station_sees(
    pairs: tuple[float, float], write: tuple[float, float], dark: float, visibility: float
) -> None:
    """The herald is a matter of the idlers alone: a thermal state each, mixed on a beam splitter."""
    link = PairSource(*pairs, 0.3, 0.4, *write, dark, visibility, rails=1)
    mean = np.diag([0.3 * pairs[0], 0.4 * pairs[1]])
    overlap = math.sqrt(visibility) / 2
    seen_by_minus = np.array([[0.5, -overlap], [-overlap, 0.5]])
    root = np.sqrt(mean)
    minus_silent = 1 / np.linalg.det(np.eye(2) + root @ seen_by_minus @ root)
    both_silent = 1 / np.linalg.det(np.eye(2) + mean)
    p_plus = (1 - dark) * (minus_silent - (1 - dark) * both_silent)
    assert link.occupation().total == pytest.approx(2 * p_plus, abs=1e-14)


def test_two_rails_announce_psi_plus_for_same_detectors_and_psi_minus_for_different_ones() -> None:
    same, different = PLAIN.model().states[:2]
    assert (same.bell, different.bell) == (BellState.PSI_PLUS, BellState.PSI_MINUS)
    assert (same.pauli[5], different.pauli[5]) == pytest.approx((1, -1))
    assert (same.pauli[15], different.pauli[15]) == pytest.approx((-1, -1))


def test_one_rail_announces_a_bell_state_of_excitation_numbers() -> None:
    plus, minus = replace(PLAIN, rails=1, phase_rad=2.0).model().states
    assert (plus.bell, minus.bell) == (BellState.PSI_PLUS, BellState.PSI_MINUS)
    assert plus.pauli[5] > 0.9
    assert minus.pauli[5] < -0.9
    assert plus.loaded
    assert minus.loaded


def test_one_rail_reads_several_excitations_as_one() -> None:
    link = PairSource(0.4, 0.1, 0.2, 0.5, 0.9, 0.6, rails=1)
    filled, state = link.occupation(), link.model().states[0]
    z_of_a, z_of_b = state.pauli[12], state.pauli[3]
    assert (1 + z_of_a) / 2 == pytest.approx((filled.empty + filled.only_b) / filled.total)
    assert (1 + z_of_b) / 2 == pytest.approx((filled.empty + filled.only_a) / filled.total)
    assert z_of_a < 0 < z_of_b


def test_phase_spread_blurs_the_coherence() -> None:
    for rails in (1, 2):
        sharp, blurred = (replace(PLAIN, rails=rails, phase_std_rad=s).matrices()[0][1, 2] for s in (0.0, 0.5))
        assert blurred == pytest.approx(sharp * math.exp(-0.125))


def test_half_of_the_heralds_are_false_when_all_is_weak() -> None:
    model = PairSource(1e-6, 1e-6, 1e-3, 1e-3).model()
    assert model.p_success == pytest.approx((2e-6 * 1e-3) ** 2, rel=1e-4, abs=0)
    assert model.p_loaded == pytest.approx(0.5, abs=1e-5)
    assert model.fidelity == pytest.approx(1, abs=1e-5)


def test_branches_tell_which_memory_is_empty() -> None:
    link = replace(PLAIN, write_efficiency_a=0.2, dark_probability=1e-5)
    model, filled = link.model(), link.occupation()
    weights = {(True, True): 0.0, (True, False): 0.0, (False, True): 0.0, (False, False): 0.0}
    for state, weight in zip(model.states, model.weights, strict=True):
        weights[state.loaded_a, state.loaded_b] += weight
        if not state.loaded:
            assert state.pauli == (1.0, *(0.0,) * 15)
    assert weights[True, True] == pytest.approx(filled.one_each + filled.more, rel=1e-9, abs=0)
    assert weights[True, False] == pytest.approx(filled.only_a, rel=1e-9, abs=0)
    assert weights[False, True] == pytest.approx(filled.only_b, rel=1e-9, abs=0)
    assert weights[False, False] == pytest.approx(filled.empty, rel=1e-9, abs=0)
    assert filled.only_b > 2 * filled.only_a


def test_without_light_nothing_is_heralded_and_dark_counts_find_empty_memories() -> None:
    assert PairSource(0.0, 0.0, 0.5, 0.5).model().p_success == 0
    model = PairSource(0.0, 0.0, 0.5, 0.5, dark_probability=1e-3).model()
    assert model.p_success == pytest.approx((2e-3 * 0.999) ** 2, rel=1e-9, abs=0)
    assert model.p_loaded == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean_pairs_a", -0.1),
        ("mean_pairs_b", math.inf),
        ("efficiency_a", 1.1),
        ("efficiency_b", -0.1),
        ("write_efficiency_a", 2.0),
        ("write_efficiency_b", math.nan),
        ("dark_probability", -1e-3),
        ("visibility", 1.5),
        ("phase_rad", math.nan),
        ("phase_std_rad", -1.0),
        ("rails", 3),
    ],
)
def test_bad_parameters_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got {value!r}$"):
        replace(PLAIN, **{name: value})


@pytest.mark.parametrize(
    ("depth", "finesse", "gaussian", "square"), [(10, 5, 0.409, 0.474), (20, 8, 0.460, 0.487), (40, 6, 0.047, 0.052)]
)
def test_efficiency_of_combs(depth: float, finesse: float, gaussian: float, square: float) -> None:
    comb = AtomicFrequencyComb(depth, finesse)
    assert comb.efficiency() == pytest.approx(gaussian, abs=5e-4)
    assert replace(comb, square_teeth=True).efficiency() == pytest.approx(square, abs=5e-4)


def test_a_forward_echo_is_reabsorbed_and_a_backward_echo_is_not() -> None:
    best = AtomicFrequencyComb(optical_depth=2e6, finesse=1e6)
    assert best.efficiency() == pytest.approx(4 * math.exp(-2), abs=1e-9)
    deep = AtomicFrequencyComb(optical_depth=4e7, finesse=1e6, backward=True)
    assert deep.efficiency() == pytest.approx(1, abs=1e-9)
    d_over_f, finesse = 2.5, 4
    backward = AtomicFrequencyComb(d_over_f * finesse, finesse, background_depth=0.3, backward=True)
    expected = (1 - math.exp(-d_over_f)) ** 2 * math.exp(-7 / 16) * math.exp(-0.3)
    assert backward.efficiency() == pytest.approx(expected)


def test_an_echo_decays_with_four_over_t2() -> None:
    comb = AtomicFrequencyComb(10, 5, t2_s=100e-6)
    assert comb.efficiency(25e-6) == pytest.approx(comb.efficiency() / math.e)


def test_a_comb_holds_as_many_pulses_as_fit() -> None:
    assert AtomicFrequencyComb(10, 5).modes(storage_s=25e-6, bandwidth_hz=10e6) == 100


@pytest.mark.parametrize(
    ("name", "value"),
    [("optical_depth", -1.0), ("background_depth", math.nan), ("finesse", 0.5), ("t2_s", 0.0), ("t2_s", math.nan)],
)
def test_bad_combs_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got {value!r}$"):
        replace(AtomicFrequencyComb(10, 5), **{name: value})


def test_bad_storage_is_named() -> None:
    comb = AtomicFrequencyComb(10, 5)
    with pytest.raises(ValueError, match=r"^storage_s must be"):
        comb.efficiency(-1.0)
    with pytest.raises(ValueError, match=r"^storage_s must be"):
        comb.modes(math.inf, 1e6)
    with pytest.raises(ValueError, match=r"^bandwidth_hz must be"):
        comb.modes(1e-6, -1e6)
