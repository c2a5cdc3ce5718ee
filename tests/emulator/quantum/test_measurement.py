"""Single-qubit measurements: outcomes, their probabilities, what is left, and what is read, against QuTiP."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.quantum import Engine, QubitError, Readout, from_density

EXACT = settings(derandomize=True, deadline=None, max_examples=50, database=None)
SEED = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([(1,), (2,), (3,), (1, 2), (4,), (2, 2), (5,), (6,)])
LAST = 1 - 2**-53  # the largest uniform number below 1
DIRECTIONS = st.one_of(
    st.sampled_from([(0.0, 0.0, 1.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0)]),
    st.tuples(st.floats(0, math.pi), st.floats(0, 2 * math.pi)).map(
        lambda a: (math.sin(a[0]) * math.cos(a[1]), math.sin(a[0]) * math.sin(a[1]), math.cos(a[0]))
    ),
)


def expected(one: Any, q: int, direction: Any, outcome: int) -> tuple[float, Any]:
    """Return the probability of an outcome and the state of the other qubits after it."""
    n = len(one.rho.dims[0])
    projector = one.oracle.on(n, {q: one.oracle.bloch_projector(direction, outcome)})
    rho = projector * one.rho * projector
    probability = rho.tr().real
    rest = [k for k in range(n) if k != q]
    return probability, (rho / probability).ptrace(rest) if rest and probability > 1e-9 else None


@EXACT
@given(data=st.data(), sizes=SIZES, seed=SEED, direction=DIRECTIONS)
def test_outcomes_probabilities_and_what_is_left(
    lab: Any, data: Any, sizes: tuple[int, ...], seed: int, direction: tuple[float, float, float]
) -> None:
    q = data.draw(st.integers(0, sum(sizes) - 1), label="qubit")
    p0, _ = expected(lab(sizes, seed), q, direction, 0)
    # Just below and just above its probability in u, outcome 0 turns into outcome 1.
    for u, outcome in ((0.0, 0), (p0 - 1e-12, 0), (p0 + 1e-12, 1), (LAST, 1)):
        one = lab(sizes, seed)
        p, rest = expected(one, q, direction, outcome)
        if p < 1e-6 or not 0 <= u < 1:
            continue
        assert one.engine.measure(one.ids[q], 0, u=(u, 0.5), direction=direction) == outcome
        assert not one.engine.exists(one.ids[q])
        if rest is not None:
            assert one.error(rest, one.ids[:q] + one.ids[q + 1 :]) < 1e-12 / p


@pytest.mark.parametrize("bit", [0, 1])
@pytest.mark.parametrize("u", [0.0, 0.5, LAST])
def test_a_certain_outcome_is_certain_whatever_the_random_number(bit: int, u: float) -> None:
    engine = Engine()
    qubit = ("a", 0, 1)
    engine.open(qubit)
    engine.new_qubit(qubit, 0)
    engine.frame(qubit, bit << 1, 0)
    assert engine.measure(qubit, 0, u=(u, 0.5)) == bit


READOUT = Readout(error_0=0.1, error_1=0.3, efficiency=0.8)


@pytest.mark.parametrize(
    ("truth", "u", "reported"),
    [
        # The conditional error of an answer is error_0 or error_1: an answer comes for u < 0.8, so below 0.8 x error.
        (0, 0.0, 1),
        (0, 0.0799, 1),
        (0, 0.0801, 0),
        (0, 0.7999, 0),
        (0, 0.8, None),
        (1, 0.0, 0),
        (1, 0.2399, 0),
        (1, 0.2401, 1),
        (1, 0.7999, 1),
        (1, 0.8001, None),
        (1, LAST, None),
    ],
)
def test_read_out_errors_and_efficiency(lab: Any, truth: int, u: float, reported: int | None) -> None:
    one = lab((3,), seed=5)
    p, rest = expected(one, 1, (0, 0, 1), truth)
    assert p > 0.1
    assert one.engine.measure(one.ids[1], 0, u=((0.0, LAST)[truth], u), readout=READOUT) is reported
    # The error is in what is read; the state knows the truth.
    assert one.error(rest, [one.ids[0], one.ids[2]]) < 1e-12


def test_an_empty_memory_gives_no_answer_and_is_consumed() -> None:
    engine = Engine()
    a, b = ("a", 0, 1), ("b", 0, 1)
    for loaded in ((True, False), (False, True)):
        engine.open(a)
        engine.open(b)
        engine.new_pair((1.0,) + (0.0,) * 15, a, b, times_ns=(0, 0), bell=0, loaded=loaded)
        assert (engine.measure(a, 0, u=(0.5, 0.0)) is not None) == loaded[0]
        assert (engine.measure(b, 0, u=(0.5, 0.0)) is not None) == loaded[1]
        assert len(engine) == 0
        engine.close(a)
        engine.close(b)


def test_an_empty_memory_stays_empty_when_moved() -> None:
    engine = Engine()
    a, b, c = ("a", 0, 1), ("b", 0, 1), ("a", 1, 1)
    for qubit in (a, b, c):
        engine.open(qubit)
    engine.new_pair((1.0,) + (0.0,) * 15, a, b, times_ns=(0, 0), bell=0, loaded=(False, True))
    engine.move(a, c, 5)
    assert engine.measure(c, 5, u=(0.5, 0.0)) is None


@pytest.mark.parametrize("direction", [(0.0, 0.0, 1.001), (1.0, 1.0, 0.0), (0.0, 0.0, 0.0), (math.nan, 0.0, 1.0)])
def test_a_direction_that_is_no_unit_vector_is_refused(lab: Any, direction: tuple[float, float, float]) -> None:
    one = lab((2,), 1)
    with pytest.raises(ValueError, match="must be a unit vector"):
        one.engine.measure(one.ids[0], 0, u=(0.1, 0.1), direction=direction)
    assert one.engine.exists(one.ids[0])


@pytest.mark.parametrize("name", ["error_0", "error_1", "efficiency"])
@pytest.mark.parametrize("value", [-0.01, 1.01, 2, -1, math.nan])
def test_impossible_read_outs_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} = {value} must lie in"):
        Readout(**{name: value})


def test_a_measured_qubit_cannot_be_measured_again(lab: Any) -> None:
    one = lab((2,), 1)
    one.engine.measure(one.ids[0], 0, u=(0.1, 0.1))
    with pytest.raises(QubitError, match=r"no qubit at node 0 position 0 \(generation 1\): measured"):
        one.engine.measure(one.ids[0], 0, u=(0.1, 0.1))


def test_the_frequency_of_outcomes_is_their_probability() -> None:
    # n = 4000 draws on a regular grid in u: no chance at all, the count is n p to within one.
    state = from_density(np.diag([0.3, 0.7]).astype(complex))
    ones = 0
    for k in range(4000):
        engine = Engine()
        engine.open(("a", 0, 1))
        engine.new_state(state, [("a", 0, 1)], 0)
        ones += engine.measure(("a", 0, 1), 0, u=((k + 0.5) / 4000, 0.5)) or 0
    assert ones == 2800
