"""Random streams that depend on the seed and on names, never on the order in which things were made or on the host."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

_BATCH: Final = 256  # numpy's cost of a call is spread over this many draws


class RandomStream:
    """Uniform numbers of one actor for one purpose.

    >>> RandomStream(7, "alice", "apps").uniform() == RandomStream(7, "alice", "apps").uniform()
    True
    >>> RandomStream(7, "alice", "apps").uniform() == RandomStream(7, "bob", "apps").uniform()
    False
    """

    __slots__ = ("_buffer", "_generator")

    def __init__(self, seed: int, actor: str, purpose: str = "") -> None:
        key = hashlib.blake2b(f"{seed}\0{actor}\0{purpose}".encode(), digest_size=16).digest()
        self._generator = np.random.Generator(np.random.Philox(key=np.frombuffer(key, np.uint64)))
        self._buffer: list[float] = []

    def uniform(self) -> float:
        """Return a number in [0, 1)."""
        if not self._buffer:
            self._buffer = self._generator.random(_BATCH).tolist()
            self._buffer.reverse()
        return self._buffer.pop()

    def below(self, n: int) -> int:
        """Return an integer in 0 .. n-1."""
        return int(self.uniform() * n)
