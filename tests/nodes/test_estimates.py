"""What Tracks add up along a chain is the mean of the truth, over all that swaps may announce."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

from emulator import (
    FULL,
    UNDISTURBED,
    BellMeasurement,
    Contrasts,
    Half,
    MemoryNoise,
    Stored,
    after_storage,
)
from emulator.quantum import SIGNS
from links import AbstractLink, HeraldedStateModel, PairSource, SingleClick
from nodes.circuit import Circuit
from nodes.circuits import EAST, WEST, EndRole, SwapOrder, SwapRole, Terms, Track

IONS = MemoryNoise(t1_s=0.7, t2_s=0.9, dephasing_s=0.8)  # decays to |0>
WARM = MemoryNoise(t1_s=0.3, t2_s=0.5, z_equilibrium=-0.4, depolarising_s=2.0)
BRIGHT = SingleClick(
    alpha_a=0.3, alpha_b=0.2, efficiency_a=0.1, efficiency_b=0.05, dark_probability=1e-3, visibility=0.9
)
BSM = BellMeasurement(depolarising=0.1, flip_x=0.03, flip_z=0.05)


def stored(noise: MemoryNoise, stored_ns: int) -> Stored:
    c, e, s = noise.factors(0, stored_ns)
    return c, c, e, s


def transfer(noise: MemoryNoise, stored_ns: int) -> np.ndarray:
    return noise.matrix(0, stored_ns)


def truth(models: list[HeraldedStateModel], halves: list[tuple[MemoryNoise, int]]) -> Contrasts:
    """Return the mean contrasts by brute force: all heralded states, all true and all reported outcomes."""
    found = np.zeros(3)
    w = np.diag([1.0, *(1 - BSM.depolarising,) * 3])
    branches = [list(zip(model.states, model.weights, strict=True)) for model in models]
    for states in product(*branches):
        likely = math.prod(weight / sum(model.weights) for (_, weight), model in zip(states, models, strict=True))
        pairs = []
        for k, (state, _) in enumerate(states):
            west, east = (transfer(*halves[2 * k + side]) for side in (0, 1))
            pairs.append(west @ np.array(state.pauli).reshape(4, 4) @ east.T)
        announced = 0
        for state, _ in states:
            announced ^= int(state.bell)
        swaps = len(models) - 1
        for outcomes in product(range(4), repeat=swaps):
            r = pairs[0]
            for outcome, pair in zip(outcomes, pairs[1:], strict=True):
                r = r @ np.diag(SIGNS[outcome]) @ w @ pair / 4
            for flips in product(range(4), repeat=swaps):
                odds = 1.0
                bell = announced
                for outcome, flip in zip(outcomes, flips, strict=True):
                    odds *= BSM.flip_x if flip & 2 else 1 - BSM.flip_x
                    odds *= BSM.flip_z if flip & 1 else 1 - BSM.flip_z
                    bell ^= outcome ^ flip
                found += likely * odds * np.array([SIGNS[bell][k] * r[k, k] for k in (1, 2, 3)])
    x, y, z = found.tolist()
    return x, y, z


class Notebook:
    """Takes what is sent, and sees to nothing else."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, Any]] = []

    def send(self, side: int, message: Any) -> None:
        self.sent.append((side, message))

    def swap(self, west: Half, east: Half) -> None:
        pass

    def free(self, half: Half) -> None:
        pass

    def deliver(self, half: Half, track: Track) -> None:
        pass


def told(models: list[HeraldedStateModel], halves: list[tuple[MemoryNoise, int]], *, east: bool) -> Contrasts:
    """Send a Track from one end to the other, and return what the other makes of it."""
    last = len(models)
    order = SwapOrder(last + 1, nested=False)
    pairs = []
    for k, model in enumerate(models):
        (sign, a, b), bell = model.bias, 0
        pairs.append(
            (
                Half((f"link {k}", 1), bell, None, 0, model.contrasts, (sign, a, b)),
                Half((f"link {k}", 1), bell, None, 0, model.contrasts, (sign, b, a)),
            )
        )
    start = Notebook()
    end = EndRole("c", EAST if east else WEST, start)
    end.pair(pairs[0][0] if east else pairs[-1][1])
    ((_, track),) = start.sent
    for index in range(1, last) if east else range(last - 1, 0, -1):
        notebook = Notebook()
        role = SwapRole("c", index, order, notebook)
        west_half, east_half = pairs[index - 1][1], pairs[index][0]
        role.pair(WEST, west_half)
        role.pair(EAST, east_half)
        role.swapped(
            west_half,
            east_half,
            0,
            BSM.contrasts,
            (stored(*halves[2 * index - 1]), stored(*halves[2 * index])),
        )
        role.word(track)
        (track,) = (message for side, message in notebook.sent if side == (EAST if east else WEST))
    far, mine = (halves[0], halves[-1]) if east else (halves[-1], halves[0])
    return after_storage(track.contrasts, track.bias, stored(*far), stored(*mine))


@pytest.mark.parametrize("east", [False, True])
@pytest.mark.parametrize(
    "models",
    [
        [BRIGHT.model()],
        [BRIGHT.model()] * 2,
        [BRIGHT.model(), AbstractLink(0.1, 0.9, 0).model(), BRIGHT.model()],  # type: ignore[arg-type]
        [AbstractLink(0.1, 0.95, 3).model(), BRIGHT.model()],  # type: ignore[arg-type]
    ],
    ids=["one", "two", "three", "unlike"],
)
def test_the_mean_over_all_outcomes_is_exact_even_where_memories_decay_to_a_pole(
    models: list[HeraldedStateModel], *, east: bool
) -> None:
    rng = np.random.default_rng(len(models))
    noises = [IONS, WARM] * len(models)
    halves = [(noise, int(rng.integers(1, 10**9))) for noise in noises]
    assert told(models, halves, east=east) == pytest.approx(truth(models, halves), abs=1e-12)


@pytest.mark.parametrize("links", [2, 3, 4])
def test_swaps_that_work_show_that_their_memories_are_full(links: int) -> None:
    """The factors at all swaps of a chain make of the mean of all heralds that of those whose inner halves exist."""
    model = PairSource(0.05, 0.08, 0.1, 0.2, 0.5, 0.7, visibility=0.9).model()
    first, second, both = model.loaded
    grown = 1.0
    path = tuple(f"n{k}" for k in range(links + 1))
    for index in range(1, links):
        circuit = Circuit("c", path, index, Terms(), SwapOrder(links + 1, nested=False), (None, None), [])
        halves = (
            Half(("west", 1), 0, None, 0, loaded=(second, both)),
            Half(("east", 1), 0, None, 0, loaded=(first, both)),
        )
        grown *= circuit.known_full(*halves)
    assert grown == pytest.approx(1 / (second * first * both ** (links - 2)))


def test_where_nothing_can_be_empty_nothing_is_learnt() -> None:
    circuit = Circuit("c", ("a", "m", "b"), 1, Terms(), SwapOrder(3, nested=False), (None, None), [])
    half = Half(("west", 1), 0, None, 0)
    assert (half.loaded, half.disturbed) == (FULL, UNDISTURBED)
    assert circuit.known_full(half, half) == 1
