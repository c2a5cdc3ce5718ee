"""What a target means."""

from __future__ import annotations

import pytest

from emulator import Actor, FaultError, Network
from emulator.faults.targets import channels, two_ends


def network_of(*joined: tuple[str, str]) -> Network:
    network = Network()
    for name in sorted({name for pair in joined for name in pair}):
        network.add(Actor(name))
    for a, b in joined:
        network.connect(a, b, latency_ns=1)
    return network


CITY = network_of(("berlin", "berlin-1"), ("berlin", "berlin-2"), ("berlin", "schaepe"), ("schaepe", "erfurt"))


def test_an_arrow_is_one_direction_and_a_dash_or_a_bar_are_both() -> None:
    assert channels(CITY, "berlin>schaepe") == [("berlin", "schaepe")]
    both = [("berlin", "schaepe"), ("schaepe", "berlin")]
    assert channels(CITY, "berlin-schaepe") == channels(CITY, "berlin|schaepe") == both


def test_names_with_dashes_are_found() -> None:
    assert two_ends(CITY, "berlin-1-berlin") == ("berlin-1", "berlin")
    assert two_ends(CITY, "berlin-berlin-2") == ("berlin", "berlin-2")


def test_a_dash_that_can_be_read_in_two_ways_is_refused() -> None:
    network = network_of(("a", "b-c"), ("a-b", "c"))
    with pytest.raises(FaultError, match=r"write a\|b-c or a-b\|c"):
        two_ends(network, "a-b-c")
    assert two_ends(network, "a|b-c") == ("a", "b-c")


def test_sets_have_all_channels_between_them() -> None:
    assert channels(CITY, "berlin,schaepe>*") == [("berlin", "berlin-1"), ("berlin", "berlin-2"), ("schaepe", "erfurt")]
    assert channels(CITY, "erfurt,berlin|schaepe") == [
        ("berlin", "schaepe"),
        ("schaepe", "berlin"),
        ("erfurt", "schaepe"),
        ("schaepe", "erfurt"),
    ]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("berlin>erfurt", "no channel joins 'berlin' and 'erfurt'"),
        ("berlin-erfrt", "nobody named 'erfrt'; did you mean 'erfurt'"),
        ("rome-paris", "no pair of names; write it like"),
        ("berlin>", "nobody named ''"),
    ],
)
def test_what_is_not_there_is_refused(target: str, words: str) -> None:
    with pytest.raises(FaultError, match=words):
        channels(CITY, target)
