"""Models of storage noise as plain numbers: a state can go to another host and decohere there to the same bit."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from emulator.faults.hardware import Hastened
from emulator.quantum import PERFECT, LindbladNoise, MemoryNoise, Noise

from .frames import NoiseData
from .framing import WireError

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
        return _made(data[0], tuple(data[1]))
    except (ValueError, TypeError) as error:
        raise WireError(f"not a model of noise: {error}") from error


@lru_cache(maxsize=1024)
def _made(kind: str, numbers: tuple[float, ...]) -> Noise:
    first, _, rest = kind.partition(" ")
    if first == "hastened" and rest and rest.count(" ") < 8:
        return Hastened(_made(rest, numbers[1:]), numbers[0])
    if kind == "memory" and len(numbers) == len(_PARTS):
        made = MemoryNoise(*numbers)
        return PERFECT if made == PERFECT else made
    if kind == "lindblad" and len(numbers) == 16:
        return LindbladNoise.of_generator(np.array(numbers).reshape(4, 4))
    raise ValueError(f"{kind} with {len(numbers)} numbers")
