"""Formulas of the literature, reached by operations of the engine alone."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.quantum import (
    SIGNS,
    BellMeasurement,
    BellState,
    Engine,
    MemoryNoise,
    QubitId,
    from_density,
    gates,
    rotation,
    werner,
)

EXACT = settings(derandomize=True, deadline=None, max_examples=20, database=None)
LAST = 1 - 2**-53
SECOND = 10**9


def add_pair(engine: Engine, r: list[float], a: QubitId, b: QubitId, noise: MemoryNoise | None = None) -> None:
    for qubit in (a, b):
        engine.open(qubit, *([noise] if noise else []))
    engine.new_pair(r, a, b, times_ns=(0, 0), bell=0)


@EXACT
@given(
    fidelities=st.lists(st.floats(0.3, 1.0), min_size=2, max_size=8),
    bsm=st.floats(0.0, 0.3),
    us=st.lists(st.floats(0, 1, exclude_max=True), min_size=7, max_size=7),
    order=st.randoms(use_true_random=False),
)
def test_the_werner_parameters_of_a_chain_multiply(
    fidelities: list[float], bsm: float, us: list[float], order: Any
) -> None:
    engine = Engine()
    n = len(fidelities)
    for k, f in enumerate(fidelities):
        add_pair(engine, werner(f), ("west", k, 1), ("east", k, 1))
    index = 0
    repeaters = list(range(n - 1))
    order.shuffle(repeaters)  # in whatever order the repeaters swap
    for k, u in zip(repeaters, us, strict=False):
        told = engine.swap(
            ("east", k, 1), ("west", k + 1, 1), 0, u=(u, 0.5, 0.5), bsm=BellMeasurement(depolarising=bsm)
        )
        assert told is not None
        index ^= told
    w = math.prod((4 * f - 1) / 3 for f in fidelities) * (1 - bsm) ** (n - 1)
    snapshot = engine.snapshot(("west", 0, 1), ("east", n - 1, 1))
    assert snapshot.fidelity(index) == pytest.approx((1 + 3 * w) / 4, abs=1e-12)
    assert snapshot.fidelity(index ^ 1) == pytest.approx((1 - w) / 4, abs=1e-12)


@pytest.mark.parametrize(("n", "f"), [(2, 0.9605), (5, 0.9052), (10, 0.8224), (20, 0.6868)])
def test_chains_of_links_of_98_percent(n: int, f: float) -> None:
    engine = Engine()
    for k in range(n):
        add_pair(engine, werner(0.98), ("west", k, 1), ("east", k, 1))
    for k in range(n - 1):
        assert engine.swap(("east", k, 1), ("west", k + 1, 1), 0, u=(0.1, 0.5, 0.5)) == 0
    snapshot = engine.snapshot(("west", 0, 1), ("east", n - 1, 1))
    assert snapshot.fidelity(0) == pytest.approx((1 + 3 * ((4 * 0.98 - 1) / 3) ** n) / 4, abs=1e-12)
    assert snapshot.fidelity(0) == pytest.approx(f, abs=5e-5)


A1, B1, A2, B2 = (("a", 1, 1), ("b", 1, 1), ("a", 2, 1), ("b", 2, 1))


def bell_diagonal(weights: dict[BellState, float]) -> list[float]:
    r = [0.0] * 16
    for k in range(4):
        r[5 * k] = sum(w * SIGNS[m][k] for m, w in weights.items())
    return r


def weights_of(engine: Engine) -> list[float]:
    """Return the weights of Phi+, Psi-, Psi+, Phi- of what is left."""
    snapshot = engine.snapshot(A1, B1)
    return [snapshot.fidelity(m) for m in (0, 3, 2, 1)]


def distil(engine: Engine, *, kept: int, dejmps: bool) -> float:
    """Distil by DEJMPS or EPL to outcomes `kept` at both ends; return the success probability of the protocol.

    DEJMPS begins with rotations and succeeds if the outcomes agree; EPL has none and needs both to be 1.
    """
    if dejmps:
        for a, b in ((A1, B1), (A2, B2)):
            engine.gate(rotation(1, 0, 0, math.pi / 2), a, time_ns=0)
            engine.gate(rotation(1, 0, 0, -math.pi / 2), b, time_ns=0)
    engine.gate(gates.CNOT, A1, A2, time_ns=0)
    engine.gate(gates.CNOT, B1, B2, time_ns=0)
    r = engine.snapshot(A2, B2).r
    both = (1 + (1 - 2 * kept) * (r[12] + r[3]) + r[15]) / 4
    u = (LAST, 0.5) if kept else (0.0, 0.5)
    assert engine.measure(A2, 0, u=u) == engine.measure(B2, 0, u=u) == kept
    return both if not dejmps else (1 + r[15]) / 2


@pytest.mark.parametrize("kept", [0, 1])
def test_dejmps_of_werner_pairs(kept: int) -> None:
    engine = Engine()
    add_pair(engine, werner(0.8), A1, B1)
    add_pair(engine, werner(0.8), A2, B2)
    n = distil(engine, kept=kept, dejmps=True)
    assert [round(w, 4) for w in weights_of(engine)] == [0.8382, 0.0116, 0.0116, 0.1387]
    assert round(n, 4) == 0.7689


WEIGHTS = st.lists(st.floats(0.01, 1), min_size=4, max_size=4).map(lambda w: [x / sum(w) for x in w])


@EXACT
@given(one=WEIGHTS, two=WEIGHTS, kept=st.integers(0, 1))
def test_dejmps_of_any_bell_diagonal_pairs(one: list[float], two: list[float], kept: int) -> None:
    names = (BellState.PHI_PLUS, BellState.PSI_MINUS, BellState.PSI_PLUS, BellState.PHI_MINUS)
    engine = Engine()
    add_pair(engine, bell_diagonal(dict(zip(names, one, strict=True))), A1, B1)
    add_pair(engine, bell_diagonal(dict(zip(names, two, strict=True))), A2, B2)
    success = distil(engine, kept=kept, dejmps=True)
    (a, b, c, d), (e, f, g, h) = one, two
    n = (a + b) * (e + f) + (c + d) * (g + h)
    assert success == pytest.approx(n, abs=1e-12)
    expected = [(a * e + b * f) / n, (c * h + d * g) / n, (c * g + d * h) / n, (a * f + b * e) / n]
    assert weights_of(engine) == pytest.approx(expected, abs=1e-12)


def single_click(oracle: Any, alpha: float, phase_rad: float) -> list[float]:
    """Return the pair of a single click: Psi+ with an optical phase, or both emitters in |1>, the bright state."""
    z = oracle.on(2, {0: (-0.5j * phase_rad * oracle.paulis[3]).expm()})
    bright = oracle.on(2, {0: oracle.bloch_projector((0, 0, 1), 1), 1: oracle.bloch_projector((0, 0, 1), 1)})
    rho = (1 - alpha) * (z * oracle.bell_kets[2].proj() * z.dag()) + alpha * bright
    return list(from_density(rho.full()).ravel().tolist())


@EXACT
@given(alpha=st.floats(0.01, 0.9), phase_rad=st.floats(-3, 3))
def test_epl_of_single_click_pairs_is_perfect_whatever_their_common_phase(
    oracle: Any, alpha: float, phase_rad: float
) -> None:
    engine = Engine()
    r = single_click(oracle, alpha, phase_rad)
    add_pair(engine, r, A1, B1)
    add_pair(engine, r, A2, B2)
    assert distil(engine, kept=1, dejmps=False) == pytest.approx((1 - alpha) ** 2 / 2, abs=1e-12)
    assert engine.snapshot(A1, B1).fidelity(BellState.PSI_PLUS) == pytest.approx(1, abs=1e-12)


@EXACT
@given(
    t1_s=st.floats(0.1, 10), part=st.floats(0.05, 1), time_ns=st.integers(0, 10 * SECOND), bell=st.sampled_from([0, 2])
)
def test_twirled_relaxation_misjudges_the_fidelity_by_a_known_amount(
    t1_s: float, part: float, time_ns: int, bell: int
) -> None:
    # Relaxation towards <Z> = 0 is the Pauli twirl of relaxation towards |0>: the same factors without the shift.
    fidelity = []
    for z in (1.0, 0.0):
        engine = Engine()
        add_pair(engine, werner(1.0, bell), A1, B1, MemoryNoise(t1_s, 2 * t1_s * part, z_equilibrium=z))
        fidelity.append(engine.snapshot(A1, B1).at(time_ns, time_ns).fidelity(bell))
    loss = (1 - math.exp(-time_ns / SECOND / t1_s)) ** 2 / 4
    assert fidelity[0] - fidelity[1] == pytest.approx(loss if bell == 0 else -loss, abs=1e-12)


@pytest.mark.parametrize(("ratio", "loss"), [(0.01, 2.5e-5), (0.05, 6e-4), (0.1, 2.3e-3), (0.3, 1.7e-2), (1.0, 0.10)])
def test_published_values_of_the_twirling_loss(ratio: float, loss: float) -> None:
    exact, twirled = (MemoryNoise(1.0, 1.0, z_equilibrium=z) for z in (1.0, 0.0))
    fidelity = []
    for noise in (exact, twirled):
        engine = Engine()
        add_pair(engine, werner(1.0), A1, B1, noise)
        engine.frame(A1, 0, round(ratio * SECOND))
        engine.frame(B1, 0, round(ratio * SECOND))
        fidelity.append(engine.snapshot(A1, B1).fidelity(0))
    assert fidelity[0] - fidelity[1] == pytest.approx(loss, rel=0.03)


@EXACT
@given(alpha=st.floats(0.05, 0.3), links=st.integers(2, 4))
def test_single_click_swaps_are_right_on_average_but_differ_by_outcome(oracle: Any, alpha: float, links: int) -> None:
    # What a Bell-diagonal shortcut would say is the mean over the outcomes; each outcome by itself deviates.
    r = single_click(oracle, alpha, 0.0)
    mean, seen = 0.0, set()
    for outcomes in itertools.product(range(4), repeat=links - 1):
        engine = Engine()
        for k in range(links):
            add_pair(engine, r, ("west", k, 1), ("east", k, 1))
        probability, index = 1.0, 2 * (links % 2)
        for k, m in enumerate(outcomes):
            left, right = ("east", k, 1), ("west", k + 1, 1)
            p = weights(engine, left, right)
            assert engine.swap(left, right, 0, u=(sum(p[:m]) + p[m] / 2, 0.5, 0.5)) == m
            probability, index = probability * p[m], index ^ m
        f = engine.snapshot(("west", 0, 1), ("east", links - 1, 1)).fidelity(index)
        mean += probability * f
        seen.add(round(f, 9))
    # The correlators of one link are <XX> = <YY> = 1 - alpha and <ZZ> = -(1 - 2 alpha); they multiply.
    assert mean == pytest.approx((1 + 2 * (1 - alpha) ** links + (1 - 2 * alpha) ** links) / 4, abs=1e-12)
    assert len(seen) > 1


def weights(engine: Engine, left: QubitId, right: QubitId) -> list[float]:
    snapshot = engine.snapshot(left, right)
    return [snapshot.fidelity(m) for m in range(4)]


def test_the_fidelities_by_outcome_of_two_single_click_links(oracle: Any) -> None:
    r = single_click(oracle, 0.3, 0.0)
    found = set()
    for u in (0.01, 0.3, 0.6, 0.99):
        engine = Engine()
        for k in range(2):
            add_pair(engine, r, ("west", k, 1), ("east", k, 1))
        m = engine.swap(("east", 0, 1), ("west", 1, 1), 0, u=(u, 0.5, 0.5))
        assert m is not None
        found.add(round(engine.snapshot(("west", 0, 1), ("east", 1, 1)).fidelity(m), 3))
    assert found == {0.532, 0.538}


@EXACT
@given(f=st.floats(0.25, 1.0), basis=st.integers(1, 3))
def test_the_error_rate_of_a_werner_pair_is_the_same_in_every_basis(f: float, basis: int) -> None:
    engine = Engine()
    add_pair(engine, werner(f), A1, B1)
    r = engine.snapshot(A1, B1).r
    assert (1 - SIGNS[0][basis] * r[5 * basis]) / 2 == pytest.approx((1 - (4 * f - 1) / 3) / 2, abs=1e-15)


def test_chsh_of_a_werner_pair() -> None:
    w = 0.9
    engine = Engine()
    add_pair(engine, werner((1 + 3 * w) / 4), A1, B1)
    t = np.reshape(engine.snapshot(A1, B1).r, (4, 4))[1:, 1:]
    z, x = np.array([0, 0, 1]), np.array([1, 0, 0])
    p, q = (z + x) / math.sqrt(2), (z - x) / math.sqrt(2)
    assert z @ t @ p + z @ t @ q + x @ t @ p - x @ t @ q == pytest.approx(2 * math.sqrt(2) * w, abs=1e-14)
