"""Sender-receiver and midpoint-source links against density matrices of photons that may be lost."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.quantum import to_density
from links import HeraldedStateModel, MidpointSource, SenderReceiver

shares = st.floats(0.01, 1)
errors = st.floats(0, 0.5)
PAULIS = (qutip.sigmax(), qutip.sigmay(), qutip.sigmaz())
VACUUM = 2  # a photon is a qutrit: |0>, |1>, or not there


def werner_photon(fidelity: float) -> qutip.Qobj:
    """Return a memory and its photon, the latter as a qutrit."""
    phi = (
        qutip.tensor(qutip.basis(2, 0), qutip.basis(3, 0)) + qutip.tensor(qutip.basis(2, 1), qutip.basis(3, 1))
    ).unit()
    present = qutip.basis(3, 0).proj() + qutip.basis(3, 1).proj()
    w = (4 * fidelity - 1) / 3
    return w * phi.proj() + (1 - w) * qutip.tensor(qutip.qeye(2) / 2, present / 2)


def lose(rho: qutip.Qobj, efficiency: float) -> qutip.Qobj:
    kraus = [math.sqrt(efficiency) * (qutip.qeye(3) - qutip.basis(3, VACUUM).proj()) + qutip.basis(3, VACUUM).proj()]
    kraus += [math.sqrt(1 - efficiency) * qutip.basis(3, VACUUM) * qutip.basis(3, k).dag() for k in (0, 1)]
    operators = [qutip.tensor(qutip.qeye(2), k) for k in kraus]
    return sum(k * rho * k.dag() for k in operators)


def povm(basis: int, dark: float, error: float) -> list[qutip.Qobj]:
    """Return what each bit of a receiver measures on the qutrit; both detectors clicking is a fair coin."""
    out = []
    for sign in (1, -1):
        told = np.zeros((3, 3), complex)
        told[:2, :2] = ((qutip.qeye(2) + sign * (1 - 2 * error) * PAULIS[basis]) / 2).full()
        other = np.eye(3) - told
        other[VACUUM, VACUUM] = 0
        empty = np.zeros((3, 3))
        empty[VACUUM, VACUUM] = 1
        # Right detector: alone, or with a dark count in the other; wrong one: with a dark count in the right one.
        matrix = told * (1 - dark + dark / 2) + other * (dark / 2) + empty * (dark * (1 - dark) + dark**2 / 2)
        out.append(qutip.Qobj(matrix))
    return out


@settings(deadline=None, max_examples=25)
@given(shares, st.floats(0, 0.3), st.floats(0.25, 1), errors)
def test_a_sender_and_a_receiver(efficiency: float, dark: float, fidelity: float, error: float) -> None:
    model = SenderReceiver(efficiency, dark, fidelity, error).model()
    rho = lose(werner_photon(fidelity), efficiency)
    heralded = qutip.Qobj(to_density(np.array(model.states[0].pauli).reshape(4, 4)), dims=[[2, 2], [2, 2]])
    for basis in range(3):
        for bit, element in enumerate(povm(basis, dark, error)):
            true = (qutip.tensor(qutip.qeye(2), element) * rho).ptrace(0)  # of the memory, not normalised
            projector = (qutip.qeye(2) + (1 - 2 * bit) * PAULIS[basis]) / 2
            ours = (qutip.tensor(qutip.qeye(2), projector) * heralded).ptrace(0) * model.p_success
            assert np.abs((true - ours).full()).max() < 1e-12


Lit = tuple[frozenset[int], frozenset[int]]  # the detectors that photons have reached, at either side


def one_pair(a: float, b: float, contrast: float) -> dict[tuple[int | None, int | None], float]:
    """Return what a pair does at each side: the detector it is seen by, or None."""
    pair: dict[tuple[int | None, int | None], float] = {}
    for i, j in itertools.product((0, 1), repeat=2):
        q = (1 + contrast * (1 if i == j else -1)) / 4
        for seen_a, seen_b in itertools.product((True, False), repeat=2):
            key = (i if seen_a else None, j if seen_b else None)
            weight = (a if seen_a else 1 - a) * (b if seen_b else 1 - b) * q
            pair[key] = pair.get(key, 0.0) + weight
    return pair


def read(lights: frozenset[int], dark: float) -> np.ndarray:
    """Return the probabilities of both bits at one side, with dark counts; of two clicks each has half a chance."""
    bits = np.zeros(2)
    for counts in itertools.product((False, True), repeat=2):
        weight = math.prod(dark if c else 1 - dark for c in counts)
        clicks = [k for k in (0, 1) if k in lights or counts[k]]
        for k in clicks:
            bits[k] += weight / len(clicks)
    return bits


def midpoint_bits(source: MidpointSource, contrast: float, most: int) -> np.ndarray:
    """Return the probabilities of both bits, by counting what each pair does, one after the other."""
    pair = one_pair(source.efficiency_a, source.efficiency_b, contrast)
    lit: dict[Lit, float] = {(frozenset(), frozenset()): 1.0}
    total: dict[Lit, float] = {}
    for n in range(most + 1):
        poisson = math.exp(-source.mean_pairs) * source.mean_pairs**n / math.factorial(n)
        for key, p in lit.items():
            total[key] = total.get(key, 0.0) + poisson * p
        after: dict[Lit, float] = {}
        for (left, right), p in lit.items():
            for (i, j), q in pair.items():
                key = (left | {i} if i is not None else left, right | {j} if j is not None else right)
                after[key] = after.get(key, 0.0) + p * q
        lit = after
    out = np.zeros((2, 2))
    for (left, right), p in total.items():
        out += p * np.outer(read(left, source.dark_probability_a), read(right, source.dark_probability_b))
    return out


@settings(deadline=None, max_examples=20)
@given(st.floats(0.001, 1), shares, shares, st.floats(0, 0.2), st.floats(0, 0.2), errors, errors)
def test_a_source_between_two_receivers(
    mean: float, a: float, b: float, dark_a: float, dark_b: float, error_a: float, error_b: float
) -> None:
    source = MidpointSource(mean, a, b, dark_a, dark_b, error_a, error_b)
    model = source.model()
    bits = midpoint_bits(source, (1 - 2 * error_a) * (1 - 2 * error_b), most=18)
    assert model.p_success == pytest.approx(bits.sum(), abs=1e-12)
    told = (bits[0, 0] + bits[1, 1] - bits[0, 1] - bits[1, 0]) / bits.sum()
    for basis, sign in ((1, 1), (2, -1), (3, 1)):
        assert model.states[0].pauli[5 * basis] == pytest.approx(sign * told, abs=1e-9)


def fidelity(model: HeraldedStateModel) -> float:
    return model.fidelity


def test_limits_that_are_known_without_calculation() -> None:
    perfect = SenderReceiver(0.2).model()
    assert (perfect.p_success, fidelity(perfect)) == (pytest.approx(0.2), pytest.approx(1.0))
    dark = SenderReceiver(0.0, dark_probability=0.1).model()
    assert (dark.p_success, fidelity(dark)) == (pytest.approx(0.19), pytest.approx(0.25))
    faint = MidpointSource(1e-6, 0.3, 0.5).model()
    assert faint.p_success == pytest.approx(1e-6 * 0.15, rel=1e-5)
    assert fidelity(faint) == pytest.approx(1, abs=1e-5)
    assert MidpointSource(0.0, 1.0, 1.0).model().p_success == 0
    assert SenderReceiver(0.0).model().p_success == 0


@pytest.mark.parametrize(
    ("scheme", "key"),
    [
        (lambda: SenderReceiver(1.1), "efficiency"),
        (lambda: SenderReceiver(0.5, emission_fidelity=0.1), "emission_fidelity"),
        (lambda: SenderReceiver(0.5, optical_error=0.6), "optical_error"),
        (lambda: MidpointSource(-1.0, 0.5, 0.5), "mean_pairs"),
        (lambda: MidpointSource(0.1, 0.5, 0.5, dark_probability_b=2.0), "dark_probability_b"),
    ],
)
def test_what_is_out_of_range_is_named(scheme: object, key: str) -> None:
    with pytest.raises(ValueError, match=key):
        scheme()  # type: ignore[operator]
