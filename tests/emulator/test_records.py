"""Histories: the canonical order, the hash, counts, observers."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import History, Message, Record


class Note(Message, frozen=True, tag="test-note"):
    text: str


Entry = tuple[int, str, str, tuple[Any, ...]]

ENTRIES = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from("abc"), st.sampled_from(["x", "y"]), st.tuples(st.integers(0, 9))),
    max_size=30,
).map(lambda entries: sorted(entries, key=lambda e: e[0]))


def history_of(entries: list[Entry]) -> History:
    history = History(keep=True)
    for entry in entries:
        history.add(*entry)
    return history


def another_order(entries: list[Entry], seed: int) -> list[Entry]:
    """Mix records of different actors at one instant, but not those of one actor."""
    rng, out = random.Random(seed), []
    for instant in sorted({e[0] for e in entries}):
        queues = [[e for e in entries if e[:2] == (instant, who)] for who in "abc"]
        while any(queues):
            out.append(rng.choice([q for q in queues if q]).pop(0))
    return out


@settings(derandomize=True, deadline=None, database=None)
@given(ENTRIES, st.integers())
def test_the_order_of_different_actors_at_one_instant_does_not_matter(entries: list[Entry], seed: int) -> None:
    one, other = history_of(entries), history_of(another_order(entries, seed))
    assert one.sha256() == other.sha256()
    assert one.kept == other.kept
    assert one.counts == other.counts


@settings(derandomize=True, deadline=None, database=None)
@given(ENTRIES)
def test_records_are_kept_in_the_canonical_order(entries: list[Entry]) -> None:
    kept = history_of(entries).kept
    assert kept == [Record(*e) for e in sorted(entries, key=lambda e: e[:2])]  # stable


@settings(derandomize=True, deadline=None, database=None)
@given(ENTRIES, st.sets(st.integers(0, 30)))
def test_to_look_at_a_history_does_not_change_it(entries: list[Entry], looks: set[int]) -> None:
    history = History(keep=True)
    for k, entry in enumerate(entries):
        if k in looks:
            assert history.sha256() == history_of(entries[:k]).sha256()
            assert len(history.kept or ()) == k
        history.add(*entry)
    assert history.sha256() == history.sha256() == history_of(entries).sha256()
    assert history.kept == history_of(entries).kept


BASE: list[Entry] = [(5, "a", "x", (1, "one")), (5, "a", "y", (Note("n"),)), (7, "b", "x", (None, 0.5))]


@pytest.mark.parametrize(
    "changed",
    [
        BASE[:2],
        [BASE[1], BASE[0], BASE[2]],  # the order of one actor's own records
        [(4, *BASE[0][1:]), *BASE[1:]],
        [(5, "b", *BASE[0][2:]), *BASE[1:]],
        [(5, "a", "z", BASE[0][3]), *BASE[1:]],
        [(5, "a", "x", (1, "two")), *BASE[1:]],
        [(5, "a", "x", (1,)), *BASE[1:]],
        [BASE[0], (5, "a", "y", (Note("m"),)), BASE[2]],
        [*BASE[:2], (7, "b", "x", (None, 0.5000000000000001))],
        [*BASE, BASE[-1]],
    ],
)
def test_everything_that_differs_changes_the_hash(changed: list[Entry]) -> None:
    assert history_of(changed).sha256() != history_of(BASE).sha256()


def test_the_hash_is_this_one() -> None:
    """A saved history can be compared with one of another version only as long as this does not change."""
    assert history_of([]).sha256() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert history_of(BASE).sha256() == "5a57d961b569f8678f76b13a22e665309f80cb7919dfad09a065f8d9359d238d"


def test_a_long_history_is_hashed_as_it_grows() -> None:
    short, long = History(), History()
    for k in range(20_000):
        long.add(k, "a", "x", (k,))
        short.add(k, "a", "x", (k,))
        short.flush()
    assert len(long._buffer) < 1 << 17
    assert long.sha256() == short.sha256()
    assert long.kept is None


def test_times_do_not_go_back() -> None:
    history = history_of(BASE)
    with pytest.raises(ValueError, match="a records 'x' at 6 ns, but it is 7 ns already"):
        history.add(6, "a", "x", ())


def test_observers_see_their_kind_at_once_and_counts_add_up() -> None:
    history, seen = History(), list[Record]()
    history.observe("x", seen.append)
    history.observe("x", seen.append)
    for k, entry in enumerate(BASE):
        history.add(*entry)
        assert len(seen) == [2, 2, 4][k]
    assert seen[-1] == Record(*BASE[2])
    assert history.counts == {"x": 2, "y": 1}
