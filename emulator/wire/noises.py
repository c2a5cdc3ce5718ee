"""Models of storage noise as plain numbers: a state can go to another host and decohere there to the same bit."""

from __future__ import annotations

import math
from array import array
from functools import lru_cache
from typing import Final

import numpy as np

from emulator.faults.hardware import Hastened
from emulator.quantum import PERFECT, LindbladNoise, MemoryNoise, Noise
from emulator.time import END_NS

from .frames import NoiseData
from .framing import WireError, one_line

_DEPTH: Final = 100  # of faults that hasten what another has hastened
_SECOND_NS: Final = 10**9
_PARTS: Final = ("t1_s", "t2_s", "depolarising_s", "z_equilibrium", "dephasing_s", "dephasing_exponent")


def noise_data(noise: Noise) -> NoiseData:
    """Return what `noise_of` makes a model of. Raises TypeError for a model that is not known here."""
    if isinstance(noise, MemoryNoise):
        return "memory", [getattr(noise, part) for part in _PARTS]
    if isinstance(noise, LindbladNoise):
        return "lindblad", noise.generator.ravel().tolist()
    if isinstance(noise, Hastened):
        kind, numbers = noise_data(noise.noise)
        return "hastened " + kind, [noise.speed, *numbers]
    raise TypeError(f"{type(noise).__name__} is a model of noise that cannot go to another host")


def noise_of(data: NoiseData) -> Noise:
    """Return the model. Raises WireError for what is none."""
    try:
        return _made(data[0], array("d", data[1]).tobytes())
    except (ValueError, TypeError, ArithmeticError) as error:
        raise WireError(f"not a model of noise: {error}") from error


@lru_cache(maxsize=1024)
def _made(kind: str, packed: bytes) -> Noise:  # packed, since for floats 0 is as good a key as -0, but not the same bit
    made = _unpacked(kind, array("d", packed).tolist())
    with np.errstate(all="ignore"):
        factors = made.factors(END_NS // 2, END_NS)
        numbers = made.matrix(0, _SECOND_NS) if factors is None else np.array(factors)
    if not np.abs(numbers).max() <= 1 + 1e-3:
        raise ValueError(f"{kind} that grows without end")
    return made


def _unpacked(kind: str, numbers: list[float]) -> Noise:
    first, _, rest = kind.partition(" ")
    if first == "hastened" and kind.count(" ") <= _DEPTH and numbers and 0 < numbers[0] < math.inf:
        return Hastened(_unpacked(rest, numbers[1:]), numbers[0])
    if kind == "memory" and len(numbers) == len(_PARTS):
        made = MemoryNoise(*numbers)
        return PERFECT if made == PERFECT else made
    if kind == "lindblad" and len(numbers) == 16 and not any(numbers[:4]):
        return LindbladNoise.of_generator(np.array(numbers).reshape(4, 4))
    raise ValueError(f"{one_line(kind, length_max=80)!r} with {len(numbers)} numbers")
