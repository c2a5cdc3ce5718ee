"""Requests within a circuit: both ends agree which pair is for which, whatever the order of events."""

from __future__ import annotations

import random
from collections import Counter, deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import Half, Message, PairId
from nodes.circuits import EAST, WEST, Complete, EndRole, Expire, Forward, Request, Requests, Track

RUNS = settings(derandomize=True, deadline=None, max_examples=200, database=None)
KINDS = (("keep", 0), ("measure", 1), ("measure", 3), ("measure", 0), ("early", 0))


def test_pairs_are_dealt_out_in_turn_and_no_request_gets_more_than_it_wants() -> None:
    requests = Requests((Request(1), Request(2, pairs=2)))
    requests.begin(Request(3, pairs=1))
    dealt = [request.number if (request := requests.assign()) else 0 for _ in range(7)]
    assert dealt == [1, 2, 3, 1, 2, 1, 1]
    assert sorted(requests.remaining, key=lambda r: r.number) == [Request(1), Request(2, pairs=2), Request(3, pairs=1)]


def test_what_is_left_of_a_request_counts_delivered_pairs_not_those_under_way() -> None:
    requests = Requests((Request(4, pairs=3),))
    asked = [requests.assign() for _ in range(4)]
    assert asked == [Request(4, pairs=3)] * 3 + [None]
    requests.expired(Request(4, pairs=3))
    assert requests.delivered(Request(4, pairs=3)) is False
    assert requests.remaining == (Request(4, pairs=2),)
    assert requests.assign() == Request(4, pairs=3), "in the place of the one that expired"
    assert [requests.delivered(Request(4, pairs=3)) for _ in range(2)] == [False, True]
    requests.end(4)
    assert (len(requests), requests.assign(), requests.delivered(Request(4, pairs=3))) == (0, None, False)


@pytest.mark.parametrize(
    ("kinds", "common"),
    [
        ([], None),
        ([("keep", 0)], 1),
        ([("measure", 1), ("measure", 1)], 1),
        ([("measure", 1), ("measure", 3)], None),
        ([("keep", 0), ("early", 0)], None),
    ],
)
def test_a_half_can_be_used_at_once_only_if_all_requests_want_the_same(kinds: list[Any], common: int | None) -> None:
    requests = Requests(tuple(Request(k, 0, *kind) for k, kind in enumerate(kinds, start=1)))
    assert (requests.common.number if requests.common else None) == common


@pytest.mark.parametrize(
    ("request_", "accepted"),
    [
        (Request(1), [0]),
        (Request(1, delivery="early"), [0]),
        (Request(1, delivery="measure", basis=3), [0, 3]),
        (Request(1, delivery="measure"), [0, 1, 2, 3]),
    ],
)
def test_what_the_tail_end_did_too_soon_serves_some_requests(request_: Request, accepted: list[int]) -> None:
    assert [basis for basis in range(4) if request_.accepts(basis)] == accepted


class Ends:
    """Both ends of a circuit of one link, and wires that keep their order; all else may happen at any time."""

    def __init__(self) -> None:
        self.wires: tuple[deque[Message], deque[Message]] = (deque(), deque())  # to the head-end, to the tail-end
        self.requests = Requests(), Requests()
        self.roles = tuple(EndRole("c", (EAST, WEST)[k], _Actions(self, k), self.requests[k]) for k in (0, 1))
        self.heralds: list[tuple[int, PairId]] = []
        self.taken: tuple[dict[PairId, int], dict[PairId, int]] = ({}, {})  # pair: for which request
        self.freed: tuple[list[PairId], list[PairId]] = ([], [])
        self.asked: dict[int, Request] = {}
        self.born = 0

    def begin(self, pairs: int, kind: tuple[Any, int]) -> None:
        request = self.asked[len(self.asked) + 1] = Request(len(self.asked) + 1, pairs, *kind)
        self.requests[0].begin(request)
        self.wires[1].append(Forward("c", request))

    def end(self, number: int) -> None:
        if number in self.requests[0]:
            self.requests[0].end(number)
            self.wires[1].append(Complete("c", number))

    def birth(self) -> None:
        self.heralds += [(0, ("l", self.born)), (1, ("l", self.born))]
        self.born += 1

    def herald(self, number: int) -> None:
        end, pair = self.heralds.pop(number)
        half = Half(pair, 0, None, 0)
        if end == 0:
            self.roles[0].pair(half, self.requests[0].assign())
        else:
            common = self.requests[1].common
            self.roles[1].pair(half, None, (common.basis or 2) if common and common.delivery == "measure" else 0)

    def arrive(self, end: int) -> None:
        message = self.wires[end].popleft()
        if isinstance(message, Forward):
            self.requests[1].begin(message.request)
        elif isinstance(message, Complete):
            self.requests[1].end(message.number)
        else:
            assert isinstance(message, (Track, Expire))
            self.roles[end].word(message)

    def step(self, choice: int, *, new: bool) -> bool:
        ends = [end for end in (0, 1) if self.wires[end]]
        news = 3 if new else 0
        total = len(self.heralds) + len(ends) + news
        if not total:
            return False
        x, k = divmod(choice, total)
        if k < len(self.heralds):
            self.herald(k)
        elif k < len(self.heralds) + len(ends):
            self.arrive(ends[k - len(self.heralds)])
        elif k == total - 1:
            self.begin(x % 3, KINDS[x // 3 % len(KINDS)])
        elif k == total - 2:
            self.end(1 + x % (len(self.asked) + 1))
        else:
            self.birth()
        return True


class _Actions:
    def __init__(self, ends: Ends, end: int) -> None:
        self._ends = ends
        self._end = end

    def send(self, side: int, message: Message) -> None:
        self._ends.wires[side].append(message)

    def deliver(self, half: Half, track: Track, request: Request | None) -> None:
        ends = self._ends
        assert half.pair == track.origin
        ends.taken[self._end][half.pair] = request.number if request else 0
        if self._end == 0 and request is not None and ends.requests[0].delivered(request):
            ends.end(request.number)

    def free(self, half: Half) -> None:
        self._ends.freed[self._end].append(half.pair)


@given(script=st.lists(st.integers(0, (1 << 16) - 1), max_size=150), seed=st.integers(0, 999))
@RUNS
def test_both_ends_agree_on_the_request_of_each_pair_or_both_give_it_up(script: list[int], seed: int) -> None:
    ends = Ends()
    ends.begin(2, KINDS[seed % len(KINDS)])
    for choice in script:
        ends.step(choice, new=True)
    order = random.Random(seed)
    while ends.step(order.randrange(1 << 16), new=False):
        pass
    assert ends.taken[0] == ends.taken[1]
    assert sorted(ends.freed[0]) == sorted(ends.freed[1])
    assert len(ends.taken[0]) + len(ends.freed[0]) == ends.born
    assert [role.pending for role in ends.roles] == [0, 0]
    got = Counter(ends.taken[0].values())
    for number, request in ends.asked.items():
        assert not request.pairs or got[number] <= request.pairs


@given(seed=st.integers(0, 999), wanted=st.lists(st.tuples(st.integers(1, 4), st.sampled_from(KINDS)), max_size=5))
@RUNS
def test_each_request_gets_all_its_pairs_if_the_link_goes_on(seed: int, wanted: list[tuple[int, Any]]) -> None:
    ends, order = Ends(), random.Random(seed)
    for pairs, kind in wanted:
        ends.begin(pairs, kind)
        for _ in range(order.randrange(9)):
            ends.step(order.randrange(1 << 16), new=False)
        ends.birth()
    for _ in range(400):
        if not ends.requests[0]:
            break
        ends.birth()
        while ends.step(order.randrange(1 << 16), new=False):
            pass
    got = Counter(ends.taken[0].values())
    assert [got[number] for number in ends.asked] == [pairs for pairs, _ in wanted]


def test_the_random_orders_meet_pairs_that_the_tail_end_measured_in_vain() -> None:
    unfit = 0
    for seed in range(100):
        ends, order = Ends(), random.Random(seed)
        for _ in range(100):
            ends.step(order.randrange(1 << 16), new=True)
        unfit += sum(role.unfit for role in ends.roles)
    assert unfit > 20
