"""Random streams: what they depend on, and that they are uniform."""

import hashlib
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import RandomStream

BATCH = 256
PRINT = "from emulator import RandomStream as R; s = R(7, 'alice', 'swap'); print([s.uniform() for _ in range(600)])"


def numbers(seed: int, actor: str, purpose: str, n: int = 8) -> list[float]:
    stream = RandomStream(seed, actor, purpose)
    return [stream.uniform() for _ in range(n)]


def test_seed_actor_and_purpose_each_make_another_stream() -> None:
    keys = [(seed, actor, purpose) for seed in (0, 1, -1) for actor in ("a", "b", "") for purpose in ("", "a", "b")]
    assert len({tuple(numbers(*key)) for key in keys}) == len(keys)
    assert numbers(1, "ab", "c") != numbers(1, "a", "bc")
    assert numbers(1, "1", "c") != numbers(11, "", "c")


def test_a_stream_is_the_same_however_others_are_drawn_from() -> None:
    alone = numbers(3, "alice", "apps", 3 * BATCH)
    stream, other = RandomStream(3, "alice", "apps"), RandomStream(3, "alice", "swap")
    mixed = []
    for _ in range(3 * BATCH):
        mixed.append(stream.uniform())
        other.uniform()
    assert mixed == alone


def test_a_stream_goes_on_from_batch_to_batch_as_its_generator_does() -> None:
    key = np.frombuffer(hashlib.blake2b(b"9\0bob\0x", digest_size=16).digest(), np.uint64)
    expected = np.random.Generator(np.random.Philox(key=key)).random(3 * BATCH + 1).tolist()
    assert numbers(9, "bob", "x", 3 * BATCH + 1) == expected


def test_a_stream_is_the_same_in_every_process() -> None:
    outs = {
        subprocess.run(
            [sys.executable, "-c", PRINT],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert outs == {f"{numbers(7, 'alice', 'swap', 600)}\n"}


@settings(derandomize=True, deadline=None, database=None)
@given(st.integers(), st.text(), st.text())
def test_every_number_lies_in_its_range(seed: int, actor: str, purpose: str) -> None:
    stream = RandomStream(seed, actor, purpose)
    assert all(0 <= stream.uniform() < 1 for _ in range(20))
    assert all(stream.below(1) == 0 for _ in range(20))
    assert all(0 <= stream.below(7) < 7 for _ in range(20))


@pytest.mark.parametrize("n", [1, 3, 10, 2**20 - 1, 2**53])
def test_the_largest_uniform_number_stays_below(n: int) -> None:
    stream = RandomStream(0, "alice")
    stream._buffer = [1 - 2**-53]
    assert stream.below(n) == n - 1


def test_integers_are_uniform() -> None:
    # chi^2 of 10 cells, 9 degrees of freedom: beyond 45.08 with probability 9e-7; the seed is fixed anyway
    stream, n = RandomStream(5, "alice", "dice"), 20_000
    counts = Counter(stream.below(10) for _ in range(n))
    assert sum((counts[k] - n / 10) ** 2 / (n / 10) for k in range(10)) < 45.08


def test_streams_of_neighbours_are_not_correlated() -> None:
    # a correlation of 20,000 pairs has a standard deviation of 1/sqrt(20,000); five of them
    a, b = numbers(1, "alice", "", 20_000), numbers(1, "bob", "", 20_000)
    assert abs(float(np.corrcoef(a, b)[0, 1])) < 5 / 20_000**0.5
