"""Photons one by one: the schemes again, by brute force in Fock space.

Nothing here uses the closed forms under test. States are polynomials in creation operators; fibres, beam splitter and
detectors act on modes; second photons sit in modes that nobody looks at.
"""

from __future__ import annotations

import cmath
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

Ket = dict[tuple[int, ...], complex]
Elements = dict[tuple[int, int, int, int], complex]

# Modes of one round. The photon of B overlaps with that of A in part: the rest is in modes of its own.
PLUS, MINUS, PLUS_REST, MINUS_REST, LOST_A, LOST_B, SECOND_A, SECOND_B = range(8)
ROUND = 8

SPINS = list(itertools.product((0, 1), repeat=2))


@dataclass(frozen=True)
class Optics:
    efficiency_a: float
    efficiency_b: float
    dark: float = 0.0
    visibility: float = 1.0
    resolving: bool = False
    second: float = 0.0  # probability that an emission leaves a second photon

    def photon(self, node: int, phase: float) -> dict[int, complex]:
        """Which modes a photon of this node ends up in, behind fibre and beam splitter."""
        if node == 0:
            arrives = math.sqrt(self.efficiency_a / 2)
            return {PLUS: arrives, MINUS: arrives, LOST_A: math.sqrt(1 - self.efficiency_a)}
        arrives = cmath.rect(math.sqrt(self.efficiency_b / 2), phase)
        same, other = math.sqrt(self.visibility), math.sqrt(1 - self.visibility)
        return {
            PLUS: arrives * same,
            MINUS: -arrives * same,
            PLUS_REST: arrives * other,
            MINUS_REST: -arrives * other,
            LOST_B: math.sqrt(1 - self.efficiency_b),
        }

    def click(self, occupation: tuple[int, ...], detector: int, round_: int = 0) -> float:
        """Probability that one detector clicks once, 0 for D+ and 1 for D-, and the other does not."""
        first = ROUND * round_
        counts = (
            occupation[first + PLUS] + occupation[first + PLUS_REST],
            occupation[first + MINUS] + occupation[first + MINUS_REST],
        )
        hit, silent = counts[detector], counts[1 - detector]
        if silent:
            return 0.0
        from_light = 1 - self.dark if self.resolving and hit == 1 else float(not self.resolving)
        return (from_light if hit else self.dark) * (1 - self.dark)


def create(ket: Ket, modes: Mapping[int, complex]) -> Ket:
    """Apply the creation operator of a superposition of modes."""
    out: Ket = defaultdict(complex)
    for occupation, amplitude in ket.items():
        for mode, share in modes.items():
            n = occupation[mode]
            raised = (*occupation[:mode], n + 1, *occupation[mode + 1 :])
            out[raised] += amplitude * share * math.sqrt(n + 1)
    return dict(out)


def emit(ket: Ket, optics: Optics, node: int, round_: int, phase: float) -> Ket:
    """Let an emitter send its photon, and perhaps a second one into the unknown."""
    sent = create(ket, {mode + ROUND * round_: c for mode, c in optics.photon(node, phase).items()})
    twice = create(sent, {SECOND_A + node + ROUND * round_: 1.0})
    out: Ket = {occupation: math.sqrt(1 - optics.second) * c for occupation, c in sent.items()}
    for occupation, c in twice.items():
        out[occupation] = out.get(occupation, 0.0) + math.sqrt(optics.second) * c
    return out


def element(ket: Ket, bra: Ket, weigh: Callable[[tuple[int, ...]], float]) -> complex:
    """Trace out all modes, with the probability of the click pattern in each occupation."""
    return sum(
        (c * complex(bra[n]).conjugate() * weigh(n) for n, c in ket.items() if n in bra),
        start=0j,
    )


def spin_matrix(kets: Mapping[tuple[int, int], Ket], weigh: Callable[[tuple[int, ...]], float]) -> np.ndarray:
    return np.array([[element(kets[s], kets[t], weigh) for t in SPINS] for s in SPINS])


def gaussian(std: float) -> list[tuple[float, float]]:
    """Phases and weights that stand for a normal distribution; exact to 1e-15 for std below 1."""
    if std == 0:
        return [(0.0, 1.0)]
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    return [(float(x) * std, float(w)) for x, w in zip(nodes, weights / weights.sum(), strict=True)]


def single_click(
    optics: Optics, alpha_a: float, alpha_b: float, phase: float = 0.0, std: float = 0.0
) -> list[np.ndarray]:
    """States after D+ alone and after D- alone."""
    out = [np.zeros((4, 4), complex), np.zeros((4, 4), complex)]
    for offset, share in gaussian(std):
        kets = {}
        for spins in SPINS:
            amplitude = math.prod(
                math.sqrt(alpha if bright else 1 - alpha)
                for alpha, bright in zip((alpha_a, alpha_b), spins, strict=True)
            )
            ket: Ket = {(0,) * ROUND: amplitude}
            for node in (0, 1):
                if spins[node]:
                    ket = emit(ket, optics, node, 0, phase + offset)
            kets[spins] = ket
        for detector in (0, 1):
            out[detector] += share * spin_matrix(kets, lambda n, d=detector: optics.click(n, d))
    return out


def two_round_ket(optics: Optics, rounds: tuple[int, int], phases: tuple[float, float]) -> Ket:
    """Photons of A and B in the given rounds."""
    ket: Ket = {(0,) * (2 * ROUND): 0.5}
    for node in (0, 1):
        ket = emit(ket, optics, node, rounds[node], phases[rounds[node]])
    return ket


def coincidence(optics: Optics, *, same: bool) -> Callable[[tuple[int, ...]], float]:
    patterns = [(0, 0), (1, 1)] if same else [(0, 1), (1, 0)]
    return lambda n: sum(optics.click(n, first, 0) * optics.click(n, second, 1) for first, second in patterns)


def double_click(optics: Optics, phase: float = 0.0, std: float = 0.0) -> list[np.ndarray]:
    """States after two clicks of one detector and after one click of each.

    A spin in |1> emits in the first round; flipped in between, one in |0> emits in the second.
    """
    out = [np.zeros((4, 4), complex), np.zeros((4, 4), complex)]
    for drift, share in gaussian(std):
        kets = {s: two_round_ket(optics, (1 - s[0], 1 - s[1]), (phase, phase + drift)) for s in SPINS}
        for k, same in enumerate((True, False)):
            out[k] += share * spin_matrix(kets, coincidence(optics, same=same))
    return out


def double_click_white(optics: Optics, w_a: float, w_b: float) -> list[np.ndarray]:
    """Do the same with emitters that, with probability 1 - w, know nothing of the round of their photon."""
    out = []
    for same in (True, False):
        weigh = coincidence(optics, same=same)
        total = np.zeros((4, 4), complex)
        for good_a, good_b in itertools.product((True, False), repeat=2):
            weight = (w_a if good_a else 1 - w_a) * (w_b if good_b else 1 - w_b)
            total += weight * white_part(optics, (good_a, good_b), weigh)
        out.append(total)
    return out


def white_part(optics: Optics, good: tuple[bool, bool], weigh: Callable[[tuple[int, ...]], float]) -> np.ndarray:
    """Spins in any state, photons in any round, independent wherever `good` is False."""
    rho = np.zeros((4, 4), complex)
    # What each photon does: follow the spin, or be in one round or the other with equal probability.
    options = [("follow",) if g else (0, 1) for g in good]
    for choice in itertools.product(*options):
        kets = {}
        for s in SPINS:
            rounds = [1 - s[k] if choice[k] == "follow" else int(choice[k]) for k in (0, 1)]
            kets[s] = two_round_ket(optics, (rounds[0], rounds[1]), (0.0, 0.0))
        part = spin_matrix(kets, weigh) / math.prod(len(o) for o in options)
        for (i, s), (j, t) in itertools.product(enumerate(SPINS), repeat=2):
            if all(g or s[k] == t[k] for k, g in enumerate(good)):
                rho[i, j] += part[i, j]
    return rho


def memories(
    optics: Optics, x: tuple[float, float], write: tuple[float, float], phase: float, most: int
) -> list[Elements]:
    """State of the signals of one rail, stored, after D+ alone and after D- alone.

    Keys are excitations (a, b, a', b') of ket and bra. Up to `most` pairs of both sources together.
    """
    idlers: dict[tuple[int, int], Ket] = {(0, 0): {(0,) * ROUND: 1.0}}
    for a, b in itertools.product(range(most + 1), repeat=2):
        if b and a + b <= most:
            photon, before, n = optics.photon(1, phase), (a, b - 1), b
        elif a and a + b <= most:
            photon, before, n = optics.photon(0, phase), (a - 1, b), a
        else:
            continue
        idlers[a, b] = {m: c / math.sqrt(n) for m, c in create(idlers[before], photon).items()}
    out = []
    for detector in (0, 1):
        signals: Elements = {}
        for s, t in itertools.product(idlers, repeat=2):
            if sum(s) == sum(t):
                squeezed = math.prod((1 - y) * math.sqrt(y) ** (i + j) for y, i, j in zip(x, s, t, strict=True))
                click = element(idlers[s], idlers[t], lambda n, d=detector: optics.click(n, d))
                signals[s + t] = squeezed * click
        out.append(stored(signals, write))
    return out


def stored(signals: Elements, write: tuple[float, float]) -> Elements:
    """Lose excitations at random while they are written."""

    def kept(n: int, m: int, share: float) -> float:
        return math.sqrt(math.comb(n, m) * share**m * (1 - share) ** (n - m))

    out: Elements = defaultdict(complex)
    for (a, b, c, d), value in signals.items():
        for i, j in itertools.product(range(min(a, c) + 1), range(min(b, d) + 1)):
            loss_a = kept(a, a - i, write[0]) * kept(c, c - i, write[0])
            loss_b = kept(b, b - j, write[1]) * kept(d, d - j, write[1])
            out[a - i, b - j, c - i, d - j] += value * loss_a * loss_b
    return out


@pytest.fixture(scope="session")
def fock() -> SimpleNamespace:
    return SimpleNamespace(
        Optics=Optics,
        single_click=single_click,
        double_click=double_click,
        double_click_white=double_click_white,
        memories=memories,
    )
