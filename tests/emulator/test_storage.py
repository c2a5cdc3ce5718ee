"""What nodes tell each other of their memories is what the engine does to qubits there."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import (
    FRESH,
    Bank,
    Engine,
    MemoryNoise,
    Noise,
    QuantumMemory,
    StorageLaw,
    Stored,
    after_storage,
)
from emulator.quantum import werner
from emulator.quantum.noise import LindbladNoise

A, B = ("alice", 0, 1), ("bob", 0, 1)
TIMES = st.floats(1e-3, 1e2) | st.just(math.inf)


def memory_of(noise: Noise) -> QuantumMemory:
    return QuantumMemory(Engine(), "alice", {"west": Bank(1, noise)})


@st.composite
def noises(draw: st.DrawFn) -> MemoryNoise:
    t1_s = draw(TIMES)
    return MemoryNoise(
        t1_s=t1_s,
        t2_s=min(draw(TIMES), 2 * t1_s),
        depolarising_s=draw(TIMES),
        z_equilibrium=draw(st.floats(-1, 1)),
        dephasing_s=draw(TIMES),
        dephasing_exponent=draw(st.floats(1, 4)),
    )


@settings(derandomize=True, deadline=None, max_examples=200)
@given(noises(), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_law_is_the_noise_between_any_two_moments(noise: MemoryNoise, from_ns: int, longer_ns: int) -> None:
    memory, to_ns = memory_of(noise), from_ns + longer_ns
    told, known = memory.law("west").stored(to_ns, from_ns), memory.stored("west", to_ns, from_ns)
    c, e, s = noise.factors(from_ns, to_ns)
    assert known == (c, c, e, s)
    assert told == pytest.approx(known, rel=1e-9, abs=1e-12)


def test_a_perfect_memory_has_no_law() -> None:
    law = memory_of(MemoryNoise()).law("west")
    assert law == StorageLaw()
    assert law.stored(10**18) == FRESH
    assert (law.retrieval(10**18), law.lifetime_s(1.0)) == (1.0, math.inf)


def test_noise_of_any_other_kind_is_told_as_it_begins() -> None:
    decay, t1_s = [[0, 1], [0, 0]], 0.5  # to |0>
    law = memory_of(LindbladNoise([[[x / math.sqrt(t1_s) for x in row] for row in decay]])).law("west")
    assert law.longitudinal_per_s == pytest.approx(1 / t1_s, rel=1e-4)
    assert law.transverse_per_s == pytest.approx(0.5 / t1_s, rel=1e-4)
    assert law.equilibrium == pytest.approx(1, rel=1e-4)


def test_the_lifetime_is_that_of_what_goes_first() -> None:
    assert StorageLaw(2.0, 4.0).lifetime_s(1.0) == 0.25
    assert StorageLaw(dephasing_s=0.1).lifetime_s(1.0) == 0.1
    assert StorageLaw(attempts_1_over_e=1e3).lifetime_s(1e-5) == pytest.approx(1e-2)
    assert StorageLaw(1.0, retrieval_decay_s=1e-3).lifetime_s(1.0) == 1e-3


@settings(derandomize=True, deadline=None, max_examples=100)
@given(noises(), noises(), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 3), st.floats(0.25, 1))
def test_contrasts_after_storage_are_those_of_the_engine(
    first: MemoryNoise, second: MemoryNoise, a_ns: int, b_ns: int, bell: int, fidelity: float
) -> None:
    engine = Engine()
    engine.open(A, first)
    engine.open(B, second)
    engine.new_pair(werner(fidelity, bell), A, B, times_ns=(0, 0), bell=bell)
    true = engine.snapshot(A, B).at(a_ns, b_ns).fidelity(bell)
    contrast = (4 * fidelity - 1) / 3
    stored: list[Stored] = [memory_of(noise).law("west").stored(ns) for noise, ns in ((first, a_ns), (second, b_ns))]
    told = after_storage((contrast,) * 3, (1.0 if bell < 2 else -1.0, 0.0, 0.0), *stored)
    assert (1 + sum(told)) / 4 == pytest.approx(true, abs=1e-9)
