"""Models of noise on the wire: the same to the last bit on the other side, and nothing that is none gets in."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from emulator.faults.hardware import Hastened
from emulator.quantum import PERFECT, LindbladNoise, MemoryNoise, Noise
from emulator.wire.frames import NoiseData
from emulator.wire.framing import WireError
from emulator.wire.noises import noise_data, noise_of

INF, NAN = math.inf, math.nan
TIMES_S = st.floats(1e-9, 1e6) | st.just(INF)
LINDBLAD = (
    LindbladNoise([[[0, 0.7], [0, 0]]]),
    LindbladNoise([[[0, 30.0], [10.0, 0]], [[1.0, 0], [0, -1.0]]], [[5.0, 2.0 - 1.0j], [2.0 + 1.0j, -5.0]]),
    LindbladNoise([], [[0.0, 1e6], [1e6, 0.0]]),
    LindbladNoise([[[0, 1.0], [0, 0]], [[0.5, 0], [0, -0.5]]], [[0, 0.125], [0.125, 0]]),  # near a defective generator
)


@st.composite
def memories(draw: st.DrawFn) -> MemoryNoise:
    t1_s = draw(TIMES_S)
    t2_s = draw(TIMES_S)
    assume(t2_s <= 2 * t1_s)
    others = draw(TIMES_S), draw(st.floats(-1, 1)), draw(TIMES_S), draw(st.floats(0.5, 10))
    return MemoryNoise(t1_s, t2_s, *others)


NOISES: st.SearchStrategy[Noise] = st.recursive(
    memories() | st.sampled_from(LINDBLAD),
    lambda inner: st.builds(Hastened, inner, st.floats(1e-6, 1e6)),
    max_leaves=4,
)


def through_the_wire(noise: Noise) -> Noise:
    data = msgspec.msgpack.encode(noise_data(noise))
    return noise_of(msgspec.msgpack.decode(data, type=NoiseData))


@settings(derandomize=True, deadline=None, database=None, max_examples=150)
@given(NOISES, st.integers(0, 10**10), st.integers(0, 10**10))
def test_a_model_does_the_same_to_the_bit_on_the_other_side(noise: Noise, from_ns: int, span_ns: int) -> None:
    there = through_the_wire(noise)
    to_ns = from_ns + span_ns
    assert type(there) is type(noise)
    assert there.factors(from_ns, to_ns) == noise.factors(from_ns, to_ns)
    assert there.matrix(from_ns, to_ns).tobytes() == noise.matrix(from_ns, to_ns).tobytes()
    assert noise_data(there) == noise_data(noise)


def test_a_perfect_memory_stays_the_very_object() -> None:
    assert through_the_wire(PERFECT) is PERFECT
    assert through_the_wire(MemoryNoise()) is PERFECT
    assert through_the_wire(MemoryNoise(t1_s=1.0, t2_s=1.0)) is not PERFECT


def test_one_model_comes_as_one_object_however_often_it_comes() -> None:
    assert through_the_wire(LINDBLAD[1]) is through_the_wire(LINDBLAD[1])


def test_the_sign_of_zero_is_a_bit_too() -> None:
    generator = np.diag([0.0, -1.0, -2.0, -3.0])
    for zero in (0.0, -0.0, 0.0):
        generator[2, 1] = zero
        there = through_the_wire(LindbladNoise.of_generator(generator.copy()))
        assert isinstance(there, LindbladNoise)
        assert there.generator.tobytes() == generator.tobytes()


def test_faults_hasten_what_others_have_hastened() -> None:
    noise: Noise = MemoryNoise(t1_s=1.0, t2_s=0.5)
    for _ in range(20):
        noise = Hastened(noise, 1.5)
    assert through_the_wire(noise) == noise


class Foreign:
    def factors(self, from_ns: int, to_ns: int) -> None: ...

    def matrix(self, from_ns: int, to_ns: int) -> np.ndarray:
        return np.eye(4)


def test_a_model_that_cannot_travel_is_named() -> None:
    with pytest.raises(TypeError, match="Foreign is a model of noise that cannot go to another host"):
        noise_data(Hastened(Foreign(), 2.0))


GOOD = [1.0, 0.5, INF, 1.0, INF, 2.0]
STILL = [0.0] * 16


def changed(numbers: list[float], place: int, value: float) -> list[float]:
    return [value if k == place else number for k, number in enumerate(numbers)]


BAD: list[NoiseData] = [
    ("", []),
    ("memory", []),
    ("memory", GOOD[:-1]),
    ("memory", [*GOOD, 1.0]),
    *(("memory", changed(GOOD, place, NAN)) for place in range(6)),
    *(("memory", changed(GOOD, place, -1.0)) for place in (0, 1, 2, 4, 5)),
    *(("memory", changed(GOOD, place, 0.0)) for place in (0, 1, 2, 4, 5)),
    ("memory", changed(GOOD, 0, 0.2)),  # T2 > 2 T1
    ("memory", changed(GOOD, 3, 1.5)),
    ("memory", changed(GOOD, 3, INF)),
    ("memory", changed(GOOD, 5, INF)),
    ("memory", [5e-324, 5e-324, INF, 1.0, INF, 2.0]),  # its rate is no number
    ("memory", [INF, INF, INF, 1.0, 1e-300, 10.0]),  # the power overflows
    ("lindblad", []),
    ("lindblad", [0.0] * 15),
    *(("lindblad", changed(STILL, place, value)) for place in (0, 5, 15) for value in (NAN, INF, -INF)),
    ("lindblad", changed(STILL, 1, 1.0)),  # the trace changes
    ("lindblad", changed(STILL, 5, 1.0)),  # the state grows
    ("lindblad", changed(STILL, 5, 1e308)),
    ("lindblad", [0.0] * 4 + [1e308] * 12),
    ("lindblad", changed(STILL, 6, 1e300)),
    ("hastened", []),
    ("hastened", [2.0]),
    ("hastened memory", []),
    ("hastened memory", GOOD),
    *(("hastened memory", [speed, *GOOD]) for speed in (0.0, -1.0, NAN, INF)),
    ("hastened memory", [1e305, INF, INF, INF, 1.0, 1.0, 2.0]),
    ("hastened " * 10_000 + "memory", [2.0] * 10_000 + GOOD),
    ("hastened " * 100_000 + "memory", GOOD),
    ("memory " * 3, GOOD),
    ("MEMORY", GOOD),
    ("nothing\n" * 10_000, GOOD),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_what_is_no_model_of_noise_is_refused_in_one_line(number: int) -> None:
    with pytest.raises(WireError, match=r"^not a model of noise: ") as refused:
        noise_of(BAD[number])
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


@settings(derandomize=True, deadline=None, database=None, max_examples=200)
@given(
    st.sampled_from(["memory", "lindblad", "hastened memory", "hastened hastened lindblad"]),
    st.lists(st.floats(), min_size=5, max_size=18),
)
def test_whatever_numbers_come_they_make_a_model_that_does_no_harm_or_none(kind: str, numbers: list[float]) -> None:
    try:
        noise = noise_of((kind, numbers))
    except WireError:
        return
    assert np.abs(noise.matrix(10, 1_000)).max() <= 1 + 1e-3
