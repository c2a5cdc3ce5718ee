"""An intermediate node's state machine, row by row of its table, and race by race."""

from types import SimpleNamespace
from typing import Any

import pytest

from emulator import UNBIASED, UNDISTURBED, UNKNOWN
from nodes.circuits import EAST, WEST, Expire, Extended, SwapOrder, SwapRole, Track

W0, W1, E0, E1 = ("w", 0), ("w", 1), ("e", 0), ("e", 1)
HEAD, TAIL = ("head", 7), ("tail", 7)


@pytest.fixture
def role(machines: SimpleNamespace) -> Any:
    """The middle of three nodes, with a notebook of what it does."""
    notebook = machines.Notebook()
    role = SwapRole("c", 1, SwapOrder(3, nested=False), notebook)
    return SimpleNamespace(role=role, did=notebook.take, half=machines.half, announced=notebook.announced)


def track(link: tuple[str, int], origin: tuple[str, int], bell: int = 0) -> Track:
    return Track("c", origin, link, bell, 0, UNKNOWN, UNBIASED, UNDISTURBED, None, 0, (), -1)


def expire(link: tuple[str, int]) -> Expire:
    return Expire("c", link)


def swapping(role: Any, west_bell: int = 0, east_bell: int = 0) -> tuple[Any, Any]:
    """Let a pair come from each side, and the swap begin."""
    west, east = role.half(W0, west_bell), role.half(E0, east_bell)
    role.role.pair(WEST, west)
    role.role.pair(EAST, east)
    assert role.did() == [("swap", W0, E0)]
    return west, east


@pytest.mark.parametrize("east_first", [False, True])
def test_a_swap_begins_as_soon_as_there_is_a_pair_on_each_side(role: Any, *, east_first: bool) -> None:
    sides = [(WEST, W0), (EAST, E0)]
    first, second = reversed(sides) if east_first else sides
    role.role.pair(first[0], role.half(first[1]))
    assert role.did() == []
    role.role.pair(second[0], role.half(second[1]))
    assert role.did() == [("swap", W0, E0)]


def test_pairs_are_swapped_oldest_first_on_each_side(role: Any) -> None:
    for pair in (W0, W1):
        role.role.pair(WEST, role.half(pair))
    for pair in (E0, E1):
        role.role.pair(EAST, role.half(pair))
    assert role.did() == [("swap", W0, E0), ("swap", W1, E1)]


def test_two_pairs_of_one_side_are_never_swapped(role: Any) -> None:
    for number in range(5):
        role.role.pair(WEST, role.half(("w", number)))
    assert role.did() == []
    assert role.role.pending == 5


@pytest.mark.parametrize("bell", range(4))
@pytest.mark.parametrize("outcome", range(4))
def test_a_track_after_the_swap_goes_on_with_the_outcome_and_the_next_bell_index(
    role: Any, bell: int, outcome: int
) -> None:
    role.role.swapped(*swapping(role, west_bell=1, east_bell=2), outcome)
    assert role.did() == []
    role.role.word(track(W0, HEAD, bell))
    assert role.did() == [("send", EAST, track(E0, HEAD, bell ^ outcome ^ 2))]
    role.role.word(track(E0, TAIL, bell))
    assert role.did() == [("send", WEST, track(W0, TAIL, bell ^ outcome ^ 1))]
    assert role.role.pending == 0


@pytest.mark.parametrize("when", ["waiting", "swapping"])
def test_a_track_before_the_swap_waits_for_it(role: Any, when: str) -> None:
    west, east = role.half(W0, 1), role.half(E0, 2)
    role.role.pair(WEST, west)
    if when == "waiting":
        role.role.word(track(W0, HEAD, 3))
    role.role.pair(EAST, east)
    if when == "swapping":
        role.role.word(track(W0, HEAD, 3))
    assert role.did() == [("swap", W0, E0)]
    role.role.swapped(west, east, 3)
    assert role.did() == [("send", EAST, track(E0, HEAD, 3 ^ 3 ^ 2))]
    assert role.role.pending == 1  # the record for the way back
    role.role.word(track(E0, TAIL, 0))
    assert role.did() == [("send", WEST, track(W0, TAIL, 3 ^ 1))]
    assert role.role.pending == 0


def test_a_track_before_the_herald_waits_for_it(role: Any) -> None:
    role.role.word(track(W0, HEAD, 1))
    assert role.did() == []
    assert role.role.pending == 1
    west, east = role.half(W0), role.half(E0)
    role.role.pair(EAST, east)
    role.role.pair(WEST, west)
    role.role.swapped(west, east, 2)
    assert role.did() == [("swap", W0, E0), ("send", EAST, track(E0, HEAD, 1 ^ 2))]


def test_an_expire_before_the_herald_ends_the_pair_when_it_comes(role: Any) -> None:
    role.role.word(expire(W0))
    role.role.pair(EAST, role.half(E0))
    assert role.did() == []
    role.role.pair(WEST, role.half(W0))
    assert role.did() == [("free", W0), ("send", WEST, expire(W0))]
    assert role.role.pending == 1  # the one from the east waits for a better partner
    role.role.pair(WEST, role.half(W1))
    assert role.did() == [("swap", W1, E0)]


def test_an_expire_for_a_pair_that_waits_frees_it_and_is_answered(role: Any) -> None:
    role.role.pair(WEST, role.half(W0))
    role.role.word(expire(W0))
    assert role.did() == [("free", W0), ("send", WEST, expire(W0))]
    assert role.role.pending == 0
    role.role.pair(EAST, role.half(E0))
    assert role.did() == [], "what was ended must not be swapped"


def test_an_expire_for_a_pair_that_is_being_swapped_waits_and_goes_on(role: Any) -> None:
    west, east = swapping(role)
    role.role.word(expire(W0))
    assert role.did() == []
    role.role.swapped(west, east, 1)
    assert role.did() == [("send", EAST, expire(E0))]
    role.role.word(track(E0, TAIL))
    assert role.did() == [("send", WEST, track(W0, TAIL, 1))]
    assert role.role.pending == 0


def test_an_expire_after_the_swap_goes_on_along_the_chain(role: Any) -> None:
    role.role.swapped(*swapping(role), 1)
    role.role.word(expire(E0))
    assert role.did() == [("send", WEST, expire(W0))]
    role.role.word(expire(W0))
    assert role.did() == [("send", EAST, expire(E0))]
    assert role.role.pending == 0


def test_a_failed_swap_says_so_to_both_sides_and_awaits_their_words(role: Any) -> None:
    role.role.swapped(*swapping(role), None)
    assert role.did() == [("send", WEST, expire(W0)), ("send", EAST, expire(E0))]
    assert (role.role.pending, role.role.swaps) == (2, 0)
    role.role.word(track(W0, HEAD))
    role.role.word(expire(E0))
    assert role.did() == []
    assert role.role.pending == 0


def test_a_failed_swap_with_words_at_hand_awaits_none(role: Any) -> None:
    west, east = swapping(role)
    role.role.word(track(W0, HEAD))
    role.role.word(expire(E0))
    role.role.swapped(west, east, None)
    assert role.did() == [("send", WEST, expire(W0)), ("send", EAST, expire(E0))]
    assert role.role.pending == 0


@pytest.mark.parametrize("cutoff_first", [False, True])
def test_a_cutoff_and_a_track_at_one_instant_end_alike_in_either_order(role: Any, *, cutoff_first: bool) -> None:
    role.role.pair(WEST, role.half(W0, emitted_ns=5))
    steps = [lambda: role.role.discard_before(6), lambda: role.role.word(track(W0, HEAD))]
    for step in steps if cutoff_first else reversed(steps):
        step()
    assert role.did() == [("free", W0), ("send", WEST, expire(W0))]
    assert role.role.pending == 0


def test_expire_crossing_expire_leaves_nothing(role: Any) -> None:
    role.role.pair(WEST, role.half(W0))
    role.role.discard_before(1)
    assert role.did() == [("free", W0), ("send", WEST, expire(W0))]
    assert role.role.pending == 1
    role.role.word(expire(W0))  # sent before ours arrived
    assert role.did() == []
    assert role.role.pending == 0


def test_a_cutoff_spares_what_is_younger_and_what_is_being_swapped(role: Any) -> None:
    role.role.pair(WEST, role.half(W0, emitted_ns=1))
    role.role.pair(EAST, role.half(E0, emitted_ns=1))
    role.role.pair(WEST, role.half(W1, emitted_ns=10))
    role.did()
    role.role.discard_before(10)
    assert role.did() == []
    assert [half.pair for half in role.role.waiting] == [W1]
    assert [half.pair for half in role.role.halves] == [W0, E0, W1]
    role.role.discard_before(11)
    assert role.did() == [("free", W1), ("send", WEST, expire(W1))]


def test_tear_down_ends_what_waits_and_what_still_comes(role: Any) -> None:
    role.role.pair(WEST, role.half(W0))
    role.role.stop()
    assert role.did() == [("free", W0), ("send", WEST, expire(W0))]
    role.role.pair(WEST, role.half(W1))
    assert role.did() == [("free", W1), ("send", WEST, expire(W1))]
    role.role.pair(EAST, role.half(E0))
    assert role.did() == [("free", E0), ("send", EAST, expire(E0))], "nothing is swapped any more"
    assert role.role.pending == 3  # each still gets the word of the other end
    for pair in (W0, W1, E0):
        role.role.word(track(pair, HEAD))
    assert role.role.pending == 0


def test_tear_down_lets_a_swap_come_to_its_end(role: Any) -> None:
    west, east = swapping(role)
    role.role.stop()
    assert role.did() == []
    role.role.word(track(W0, HEAD, 1))
    role.role.swapped(west, east, 2)
    assert role.did() == [("send", EAST, track(E0, HEAD, 1 ^ 2))]
    role.role.word(expire(E0))
    assert role.did() == [("send", WEST, expire(W0))]
    assert role.role.pending == 0


def test_tear_down_crossing_a_track_that_came_before_the_herald_ends_the_pair_once(role: Any) -> None:
    role.role.word(track(W0, HEAD))
    role.role.stop()
    role.role.pair(WEST, role.half(W0))
    assert role.did() == [("free", W0), ("send", WEST, expire(W0))]
    assert role.role.pending == 0


@pytest.mark.parametrize("word", [track(("nowhere", 1), HEAD), expire(("nowhere", 1))])
def test_a_word_for_a_pair_nobody_knows_is_kept_and_does_no_harm(role: Any, word: Track | Expire) -> None:
    role.role.word(word)
    role.role.stop()
    assert role.did() == []
    assert role.role.pending == 1, "it may still be that the herald comes"


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("bell", range(4))
def test_a_track_over_a_link_whose_nodes_were_told_different_bell_states_becomes_an_expire(
    role: Any, bell: int, *, early: bool
) -> None:
    west, east = swapping(role, west_bell=2, east_bell=1)
    word = Track("c", HEAD, W0, 3, 0, UNKNOWN, UNBIASED, UNDISTURBED, None, 0, (), bell)
    if early:
        role.role.word(word)
    role.role.swapped(west, east, 0)
    if not early:
        role.role.word(word)
    if bell == 2:
        assert role.did() == [("send", EAST, track(E0, HEAD, 3 ^ 1))]
        assert role.announced == [1], "for the next node to compare"
    else:
        assert role.did() == [("send", EAST, expire(E0))]
    role.role.word(track(E0, TAIL))
    assert role.role.pending == 0


class TestNestedOrder:
    """The middle of five nodes: it may swap only pairs that reach the ends; its neighbours swap first."""

    @pytest.fixture
    def role(self, machines: SimpleNamespace) -> Any:
        notebook = machines.Notebook()
        role = SwapRole("c", 2, SwapOrder(5, nested=True), notebook)
        return SimpleNamespace(role=role, did=notebook.take, half=machines.half, announced=notebook.announced)

    @staticmethod
    def reach(link: tuple[str, int], far: int, far_link: tuple[str, int]) -> Extended:
        return Extended("c", 2, link, far, far_link)

    def test_it_swaps_when_both_pairs_reach_further(self, role: Any) -> None:
        role.role.pair(WEST, role.half(W0))
        role.role.pair(EAST, role.half(E0))
        assert role.did() == []
        role.role.extended(self.reach(W0, 0, HEAD))
        assert role.did() == []
        role.role.extended(self.reach(E0, 4, TAIL))
        assert role.did() == [("swap", W0, E0)]

    def test_news_before_the_herald_waits_for_it(self, role: Any) -> None:
        role.role.extended(self.reach(W0, 0, HEAD))
        role.role.extended(self.reach(E0, 4, TAIL))
        assert role.role.pending == 2
        role.role.pair(WEST, role.half(W0))
        role.role.pair(EAST, role.half(E0))
        assert role.did() == [("swap", W0, E0)]

    def test_news_of_a_pair_that_ended_is_of_no_use(self, role: Any) -> None:
        role.role.pair(WEST, role.half(W0))
        role.role.stop()
        role.role.extended(self.reach(W0, 0, HEAD))
        assert role.did() == [("free", W0), ("send", WEST, expire(W0))]
        role.role.word(track(W0, HEAD))
        assert role.role.pending == 0

    def test_a_swap_tells_the_far_nodes_that_may_swap_before_any_word_passes(self, machines: SimpleNamespace) -> None:
        notebook = machines.Notebook()
        role = SwapRole("c", 1, SwapOrder(5, nested=True), notebook)
        west, east = machines.half(W0), machines.half(E0)
        role.pair(WEST, west)
        role.pair(EAST, east)
        role.word(track(W0, HEAD))
        notebook.take()
        role.swapped(west, east, 0)
        # The head-end is no node that swaps, so only the node to the east needs to know.
        news = Extended("c", 2, E0, 0, W0)
        assert notebook.take() == [("send", EAST, news), ("send", EAST, track(E0, HEAD))]
