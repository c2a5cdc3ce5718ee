"""In which order the intermediate nodes of a path may swap."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SwapOrder:
    """As soon as possible, or nested: a node swaps only pairs that reach to nodes of higher rank.

    Nested ranks halve the path again and again: of the nodes left, every second one comes next.

    >>> SwapOrder(11, nested=True).ranks
    (4, 0, 1, 0, 2, 0, 1, 0, 3, 0, 4)
    >>> SwapOrder(11, nested=False).may_swap(4, 3)
    True
    >>> SwapOrder(11, nested=True).may_swap(4, 3), SwapOrder(11, nested=True).may_swap(4, 0)
    (False, True)
    """

    nodes: int
    nested: bool
    ranks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        ranks = [0] * self.nodes
        left, rank = list(range(1, self.nodes - 1)), 0
        while left:
            for node in left[::2]:
                ranks[node] = rank
            left, rank = left[1::2], rank + 1
        ranks[0] = ranks[-1] = rank
        object.__setattr__(self, "ranks", tuple(ranks))

    def may_swap(self, node: int, far: int) -> bool:
        """Return whether a node may swap a pair whose other half is at `far` (indices on the path)."""
        return not self.nested or self.ranks[far] > self.ranks[node]

    def is_intermediate(self, node: int) -> bool:
        """Return whether a node is not an end of the path."""
        return 0 < node < self.nodes - 1
