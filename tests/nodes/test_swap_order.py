"""In which order nodes may swap."""

from itertools import combinations

import pytest

from nodes.circuits import SwapOrder


@pytest.mark.parametrize("nodes", range(2, 40))
def test_between_two_nodes_of_one_rank_there_is_one_of_a_higher_rank(nodes: int) -> None:
    # So of two nodes that share a pair, exactly one may swap it, and nested order cannot stall.
    ranks = SwapOrder(nodes, nested=True).ranks
    assert ranks[0] == ranks[-1]
    for a, b in combinations(range(nodes), 2):
        if ranks[a] == ranks[b] and (a, b) != (0, nodes - 1):
            assert max(ranks[a + 1 : b]) > ranks[a]


@pytest.mark.parametrize("nodes", range(3, 40))
def test_ends_have_the_highest_rank_and_it_grows_with_the_logarithm_of_the_length(nodes: int) -> None:
    ranks = SwapOrder(nodes, nested=True).ranks
    assert ranks[0] > max(ranks[1:-1])
    assert ranks[0] == (nodes - 2).bit_length()


def test_nested_order_allows_only_pairs_that_reach_a_higher_rank() -> None:
    order = SwapOrder(5, nested=True)
    assert order.ranks == (2, 0, 1, 0, 2)
    assert [(n, far) for n in (1, 2, 3) for far in range(5) if order.may_swap(n, far)] == [
        (1, 0), (1, 2), (1, 4), (2, 0), (2, 4), (3, 0), (3, 2), (3, 4),
    ]  # fmt: skip


def test_as_soon_as_possible_allows_all() -> None:
    order = SwapOrder(5, nested=False)
    assert all(order.may_swap(n, far) for n in (1, 2, 3) for far in range(5))


def test_all_but_the_ends_are_intermediate() -> None:
    order = SwapOrder(5, nested=True)
    assert [order.is_intermediate(n) for n in range(5)] == [False, True, True, True, False]
