"""An end node's state machine: each half is delivered or ended, once."""

from types import SimpleNamespace
from typing import Any

import pytest

from emulator import UNBIASED, UNDISTURBED, UNKNOWN
from nodes.circuits import EAST, EndRole, Expire, Track

MINE, FAR = ("link", 3), ("other", 4)


@pytest.fixture
def end(machines: SimpleNamespace) -> Any:
    notebook = machines.Notebook()
    return SimpleNamespace(
        role=EndRole("c", EAST, notebook), did=notebook.take, half=machines.half, announced=notebook.announced
    )


def test_a_pair_begins_its_track_with_its_own_bell_index(end: Any) -> None:
    end.role.pair(end.half(MINE, bell=2))
    assert end.did() == [("send", EAST, Track("c", MINE, MINE, 2, 0, UNKNOWN, UNBIASED, UNDISTURBED, None, 0, (), -1))]
    assert end.announced == [2]
    assert end.role.pending == 1
    assert [half.pair for half in end.role.halves] == [MINE]


def test_a_track_delivers_what_the_other_end_calls_it_and_its_bell_index(end: Any) -> None:
    end.role.pair(end.half(MINE, bell=2))
    end.did()
    end.role.word(Track("c", FAR, MINE, 3, 0, UNKNOWN, UNBIASED, UNDISTURBED, None, 0, (), -1))
    assert end.did() == [("deliver", MINE, FAR, 3)]
    assert (end.role.delivered, end.role.expired, end.role.pending) == (1, 0, 0)


def test_a_track_whose_sender_was_told_another_bell_state_of_the_link_is_worth_nothing(end: Any) -> None:
    end.role.pair(end.half(MINE, bell=2))
    end.did()
    end.role.word(Track("c", FAR, MINE, 3, 0, UNKNOWN, UNBIASED, UNDISTURBED, None, 0, (), 3))
    assert end.did() == [("free", MINE)]
    assert (end.role.delivered, end.role.expired, end.role.pending) == (0, 1, 0)


def test_an_expire_frees(end: Any) -> None:
    end.role.pair(end.half(MINE))
    end.did()
    end.role.word(Expire("c", MINE))
    assert end.did() == [("free", MINE)]
    assert (end.role.delivered, end.role.expired, end.role.pending) == (0, 1, 0)


@pytest.mark.parametrize(
    "word", [Track("c", FAR, MINE, 1, 0, UNKNOWN, UNBIASED, UNDISTURBED, None, 0, (), -1), Expire("c", MINE)]
)
def test_a_word_before_the_herald_waits_for_it_and_the_own_track_still_goes_out(end: Any, word: Track | Expire) -> None:
    end.role.word(word)
    assert end.did() == []
    assert end.role.pending == 1
    end.role.pair(end.half(MINE, bell=2))
    last = ("deliver", MINE, FAR, 1) if isinstance(word, Track) else ("free", MINE)
    assert end.did() == [
        ("send", EAST, Track("c", MINE, MINE, 2, 0, UNKNOWN, UNBIASED, UNDISTURBED, None, 0, (), -1)),
        last,
    ]
    assert end.role.pending == 0


def test_tear_down_keeps_what_is_held_until_its_word_has_come(end: Any) -> None:
    end.role.pair(end.half(MINE))
    end.did()
    end.role.stop()
    assert end.did() == []
    assert end.role.pending == 1
    end.role.word(Track("c", FAR, MINE, 0, 0, UNKNOWN, UNBIASED, UNDISTURBED, None, 0, (), -1))
    assert end.did() == [("deliver", MINE, FAR, 0)]
    assert end.role.pending == 0


def test_a_word_for_a_pair_nobody_knows_is_kept_and_does_no_harm(end: Any) -> None:
    end.role.word(Expire("c", ("nowhere", 1)))
    end.role.word(Track("c", FAR, ("nowhere", 2), 1, 0, UNKNOWN, UNBIASED, UNDISTURBED, None, 0, (), -1))
    assert end.did() == []
    assert end.role.pending == 2, "it may still be that the heralds come"
