"""Pulses under way: click probabilities by brute force, and trains against the closed forms of decoy-state BB84."""

from __future__ import annotations

import itertools
import math
import random

import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import Detector, PulseTrain, Setting, UnderWayError, Vector

ALARM = 1e-6  # probability of a false alarm of each statistical assertion
X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)

shares = st.floats(0, 1)
angles = st.floats(0, math.pi)


def direction(theta: float, phi: float) -> Vector:
    return math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta)


def operator(vector: Vector) -> qutip.Qobj:
    return sum((v * s for v, s in zip(vector, (qutip.sigmax(), qutip.sigmay(), qutip.sigmaz()), strict=True)), 0)


def brute_force(setting: Setting, detector: Detector, transmission: float, along: Vector) -> tuple[float, float]:
    """Send each number of photons one by one to one detector, the other, or none; then add dark counts."""
    state = (qutip.qeye(2) + operator(setting.bloch)) / 2
    told = qutip.expect((qutip.qeye(2) + detector.contrast * operator(along)) / 2, state)
    seen = transmission * detector.efficiency
    mean = setting.mean_photons
    numbers = {0: 1 - mean, 1: mean} if setting.single else {n: _poisson(n, mean) for n in range(40)}
    silent = {(True, True): 0.0, (True, False): 0.0, (False, True): 0.0, (False, False): 0.0}
    for n, weight in numbers.items():
        for zeros in range(n + 1):
            for ones in range(n + 1 - zeros):
                ways = math.comb(n, zeros) * math.comb(n - zeros, ones)
                p = weight * ways * (seen * told) ** zeros * (seen * (1 - told)) ** ones
                silent[zeros == 0, ones == 0] += p * (1 - seen) ** (n - zeros - ones)
    d = detector.dark_probability
    clicks = dict.fromkeys(itertools.product((False, True), repeat=2), 0.0)
    for (no_0, no_1), p in silent.items():
        for dark_0, dark_1 in itertools.product((False, True), repeat=2):
            q = (d if dark_0 else 1 - d) * (d if dark_1 else 1 - d)
            clicks[not no_0 or dark_0, not no_1 or dark_1] += p * q
    detected = 1 - clicks[False, False]
    return detected, clicks[True, False] + clicks[True, True] / 2


def _poisson(n: int, mean: float) -> float:
    return math.exp(-mean) * mean**n / math.factorial(n)


@pytest.mark.parametrize("single", [False, True])
@settings(deadline=None, max_examples=25)
@given(shares, shares, shares, shares, st.tuples(angles, angles, angles, angles), shares)
def test_click_probabilities_are_those_of_photons_one_by_one(
    single: bool,  # noqa: FBT001
    mean: float,
    transmission: float,
    efficiency: float,
    dark: float,
    turns: tuple[float, float, float, float],
    contrast: float,
) -> None:
    setting = Setting(direction(turns[0], turns[1]), mean, single=single)
    detector = Detector(efficiency, dark, contrast)
    along = direction(turns[2], turns[3])
    detected, zero = brute_force(setting, detector, transmission, along)
    ours, ours_zero = detector.clicks(setting, transmission, along)
    assert ours == pytest.approx(detected, abs=1e-12)
    assert ours * ours_zero == pytest.approx(zero, abs=1e-12)


def wilson(k: int, n: int) -> tuple[float, float]:
    """Return a confidence interval of a probability, from k of n, that fails with probability ALARM."""
    z = 4.9
    middle, spread = k + z * z / 2, z * math.sqrt(k * (n - k) / n + z * z / 4)
    return (middle - spread) / (n + z * z), (middle + spread) / (n + z * z)


# The setting of the check values: mu .5, nu .1, detector .1, Y0 1e-6 (here larger), misalignment 1 %, 25 km.
MEANS = (0.5, 0.1, 0.0)
SHARES = (0.6, 0.2, 0.2)
DARK, ERROR, ETA = 1e-4, 0.01, 0.1 * 10**-0.5
PULSES = 40_000_000
Y0 = 1 - (1 - DARK) ** 2


def decoy_settings() -> tuple[list[tuple[float, int, int]], list[Setting]]:
    notes, found = [], []
    for mean, share in zip(MEANS, SHARES, strict=True):
        for basis, axis in ((1, X), (3, Z)):
            for bit in (0, 1):
                vector = tuple((1 - 2 * bit) * a for a in axis)
                notes.append((mean, basis, bit))
                found.append(Setting(vector, mean, weight=share / 4))
    return notes, found


def uniforms(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.fixture(scope="module")
def counts() -> dict[float, tuple[int, int, int, int]]:
    """Return of each mean: pulses sent, detected, with equal bases, and those of them in error."""
    notes, found = decoy_settings()
    train = PulseTrain(found, PULSES, kept=True)
    draw = uniforms(7).random
    train.watch(Detector(0.1, DARK, 1 - 2 * ERROR), 10**-0.5, [(X, 0.5), (Z, 0.5)])
    detected, sifted, errors = (dict.fromkeys(MEANS, 0) for _ in range(3))
    while (detection := train.next_detection((draw(), draw(), draw(), draw()))) is not None:
        mean, basis, bit = notes[train.prepared(detection.pulse, draw())]
        detected[mean] += 1
        if basis == (1, 3)[detection.direction]:
            sifted[mean] += 1
            errors[mean] += bit != detection.bit
    totals = train.totals(draw())
    assert sum(totals) == PULSES
    sent = {m: sum(n for n, note in zip(totals, notes, strict=True) if note[0] == m) for m in MEANS}
    return {m: (sent[m], detected[m], sifted[m], errors[m]) for m in MEANS}


def test_gains_are_those_of_the_closed_form(counts: dict[float, tuple[int, int, int, int]]) -> None:
    for mean, (sent, detected, _, _) in counts.items():
        low, high = wilson(detected, sent)
        assert low < 1 - (1 - Y0) * math.exp(-ETA * mean) < high
        assert 1 - (1 - Y0) * math.exp(-ETA * mean) == pytest.approx(Y0 + 1 - math.exp(-ETA * mean), rel=0.02)


def test_error_rates_are_those_of_the_closed_form(counts: dict[float, tuple[int, int, int, int]]) -> None:
    for mean, (_, _, sifted, errors) in counts.items():
        seen = 1 - math.exp(-ETA * mean)
        low, high = wilson(errors, sifted)
        assert low < (Y0 / 2 + ERROR * seen) / (Y0 + seen) < high


def test_numbers_of_sent_pulses_are_binomial(counts: dict[float, tuple[int, int, int, int]]) -> None:
    for mean, share in zip(MEANS, SHARES, strict=True):
        low, high = wilson(counts[mean][0], PULSES)
        assert low < share < high


def test_three_intensities_bound_the_yield_of_single_photons(counts: dict[float, tuple[int, int, int, int]]) -> None:
    mu, nu, _ = MEANS
    gain = {m: detected / sent for m, (sent, detected, _, _) in counts.items()}
    bound = (mu / (mu * nu - nu**2)) * (
        gain[nu] * math.exp(nu) - gain[mu] * math.exp(mu) * nu**2 / mu**2 - (mu**2 - nu**2) / mu**2 * gain[0.0]
    )
    upper = gain[nu] * math.exp(nu) / nu  # as if all detections of the decoy were of single photons
    true = 1 - (1 - Y0) * (1 - ETA)
    assert true * 0.9 < bound < true < upper
    assert counts[mu][1] > 300_000


def test_the_sender_can_read_every_pulse_and_the_totals_stay_true() -> None:
    notes, found = decoy_settings()
    draw = uniforms(3).random
    for read_before in (0, 40):
        train = PulseTrain(found, 400, kept=True)
        train.watch(Detector(), 1.0, [(X, 1.0)])
        for _ in range(20):
            assert train.next_detection((draw(), draw(), draw(), draw())) is not None
        train.end()  # before all have come: nobody looks at the rest
        early = [train.prepared(pulse, draw()) for pulse in range(0, 10 * read_before, 10)]
        totals = train.totals(draw())
        assert train.totals(draw()) == totals
        read = [train.prepared(pulse, draw()) for pulse in range(400)]
        assert read[: 10 * read_before : 10] == early
        assert [read.count(k) for k in range(len(notes))] == totals
        assert [train.prepared(pulse, draw()) for pulse in range(400)] == read


def test_undetected_pulses_are_more_often_faint() -> None:
    found = [Setting(Z, 2.0), Setting(Z, 0.0)]
    draw = uniforms(5).random
    train = PulseTrain(found, 20_000)
    train.watch(Detector(), 1.0, [(Z, 1.0)])
    detected = 0
    while train.next_detection((draw(), draw(), draw(), draw())) is not None:
        detected += 1
    bright, dark = train.totals(draw())
    missed_bright = bright - detected
    low, high = wilson(missed_bright, missed_bright + dark)
    assert low < math.exp(-2) / (1 + math.exp(-2)) < high


def test_nothing_is_told_of_pulses_that_may_still_be_detected() -> None:
    train = PulseTrain([Setting(Z, 0.5), Setting(X, 0.5)], 1000, kept=True)
    train.watch(Detector(), 1.0, [(Z, 1.0)])
    detection = train.next_detection((0.5, 0.9, 0.5, 0.5))
    assert detection is not None
    assert train.prepared(detection.pulse, 0.1) == 1
    with pytest.raises(UnderWayError, match="still under way"):
        train.prepared(detection.pulse + 1, 0.1)
    with pytest.raises(UnderWayError):
        train.totals(0.1)
    with pytest.raises(IndexError, match="no pulse 1000, only 0 to 999"):
        train.prepared(1000, 0.1)
    train.end()
    assert train.next_detection((0.0, 0.0, 0.0, 0.0)) is None
    assert sum(train.totals(0.1)) == 1000


def test_a_perfect_photon_is_told_as_it_was_prepared_and_darkness_is_silent() -> None:
    for bit in (0, 1):
        train = PulseTrain([Setting((0.0, 1.0 - 2 * bit, 0.0), 1.0, single=True)], 1)
        train.watch(Detector(), 1.0, [(Y, 1.0)])
        assert train.next_detection((0.99, 0.0, 0.99, 0.5)) == (0, 0, bit)
        assert train.next_detection((0.0, 0.0, 0.0, 0.0)) is None
    train = PulseTrain([Setting(Z, 0.0)], 10**15)
    train.watch(Detector(), 1.0, [(Z, 1.0)])
    assert train.next_detection((0.999, 0.5, 0.5, 0.5)) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Setting((1.0, 1.0, 0.0), 0.5), "bloch"),
        (lambda: Setting(Z, 1.1, single=True), "between 0 and 1"),
        (lambda: Setting(Z, -0.1), "mean_photons"),
        (lambda: Setting(Z, 0.1, weight=-1.0), "weight"),
        (lambda: Detector(efficiency=1.2), "efficiency"),
        (lambda: PulseTrain([Setting(Z, 0.1)], 0), "pulses"),
        (lambda: PulseTrain([Setting(Z, 0.1, weight=0.0)], 5), "weights"),
    ],
)
def test_what_is_out_of_range_is_named(wrong: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()  # type: ignore[operator]
