"""Who gets an analyser next, in a small simulation without a clock: everybody always has jobs that wait."""

import random
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from links.analysers import AnalyserQueue

SLOT_NS = 1_000
SLOTS = 4_000


@dataclass
class Pool:
    """Analysers that serve labels with a number of jobs each, which come back for more as soon as they were served."""

    shares: dict[str, float]
    analysers: int = 1
    jobs: int = 2  # of each label
    seed: int = 1
    shortest_ns: int = 1
    now_ns: int = 0
    service_ns: dict[str, int] = field(default_factory=dict)
    queue: AnalyserQueue[tuple[str, int]] = field(default_factory=lambda: AnalyserQueue(SLOT_NS))

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.busy: list[tuple[int, int, int, tuple[str, int]]] = []  # until when, tie, since when, whose job
        self.order = count()
        for label in self.shares:
            self.come(label)

    def come(self, label: str) -> None:
        self.service_ns.setdefault(label, 0)
        for number in range(self.jobs):
            self.queue.enter((label, number), label, self.shares[label], self.now_ns)

    def run(self, for_ns: int, without: frozenset[str] = frozenset()) -> None:
        """Serve; labels that are left out do not come back for more."""
        until_ns = self.now_ns + for_ns
        while True:
            while len(self.busy) < self.analysers and (job := self.queue.next(self.now_ns)) is not None:
                end_ns = self.now_ns + self.rng.randint(self.shortest_ns, SLOT_NS)
                heappush(self.busy, (end_ns, next(self.order), self.now_ns, job))
            if not self.busy or self.busy[0][0] > until_ns:
                self.now_ns = until_ns
                return
            self.now_ns, _, since_ns, job = heappop(self.busy)
            label = job[0]
            self.service_ns[label] += self.now_ns - since_ns
            if label not in without:
                self.queue.enter(job, label, self.shares[label], self.now_ns)
            self.queue.served(job, label, self.shares[label], self.now_ns - since_ns, self.now_ns)


def jain(values: list[int]) -> float:
    return sum(values) ** 2 / (len(values) * sum(v * v for v in values))


def check_shares(pool: Pool, slots: int = SLOTS) -> None:
    """Each label has its share, to ten slots (what it may be behind) and one for each analyser and each other label."""
    pool.run(slots * SLOT_NS)
    margin_ns = (10 + pool.analysers + len(pool.shares)) * SLOT_NS
    for label, share in pool.shares.items():
        assert pool.service_ns[label] >= share * slots * SLOT_NS - margin_ns, (label, share, pool.service_ns)


# -- shares --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shortest_ns", [1, SLOT_NS])
@pytest.mark.parametrize("jobs", [1, 2, 5])
@pytest.mark.parametrize(
    "shares",
    [(1.0,), (0.5, 0.5), (0.6, 0.3), (0.9, 0.05, 0.05), (0.3, 0.3, 0.3), (0.5, *(0.05,) * 10), (0.01,) * 40],
)
def test_on_one_analyser_every_share_is_kept(shares: tuple[float, ...], jobs: int, shortest_ns: int) -> None:
    labels = {f"share {k}": share for k, share in enumerate(shares)} | {"rest 0": 0.0, "rest 1": 0.0}
    check_shares(Pool(labels, jobs=jobs, shortest_ns=shortest_ns))


@pytest.mark.parametrize("shortest_ns", [1, SLOT_NS])
@pytest.mark.parametrize(
    ("analysers", "shares"),
    [(2, (0.8, 0.7, 0.4)), (2, (0.75, 0.75, *(0.025,) * 20)), (4, (0.9, 0.9, 0.9, 0.9, *(0.02,) * 20))],
)
def test_on_several_analysers_every_share_is_kept(analysers: int, shares: tuple[float, ...], shortest_ns: int) -> None:
    labels = {f"share {k}": share for k, share in enumerate(shares)} | {"rest": 0.0}
    check_shares(Pool(labels, analysers, jobs=5, shortest_ns=shortest_ns))


@pytest.mark.parametrize(
    ("analysers", "shares"),
    [(1, (0.7, *(0.01,) * 30)), (1, (0.5, *(0.01,) * 50)), (2, (0.7, 0.7, *(0.02,) * 30)), (2, (0.7, 0.7, 0.6))],
)
def test_a_share_that_waits_behind_many_small_ones_loses_no_claim(analysers: int, shares: tuple[float, ...]) -> None:
    """All small ones are due at one instant, again and again: more of them than the slots that are saved when idle."""
    labels = {f"share {k}": share for k, share in enumerate(shares)} | {"rest": 0.0}
    pool = Pool(labels, analysers, jobs=1, shortest_ns=SLOT_NS)
    pool.run(20_000 * SLOT_NS)
    behind = [share * 20_000 - pool.service_ns[label] / SLOT_NS for label, share in labels.items()]
    assert max(behind) < len(shares)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.integers(1, 4),
    st.lists(st.floats(0.01, 1), min_size=1, max_size=12),
    st.floats(0.3, 1),
    st.integers(0, 3),
    st.integers(0, 1_000),
)
def test_shares_are_kept_if_their_sum_does_not_exceed_the_analysers(
    analysers: int, parts: list[float], load: float, others: int, seed: int
) -> None:
    scale = min(1 / max(parts), load * analysers / sum(parts))
    labels = {f"share {k}": scale * part for k, part in enumerate(parts)} | {f"rest {k}": 0.0 for k in range(others)}
    check_shares(Pool(labels, analysers, jobs=analysers + 1, seed=seed), 500)


# -- what is left over ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("analysers", [1, 3])
@pytest.mark.parametrize("shares", [(), (0.5,), (0.2, 0.2, 0.2)])
def test_what_is_left_over_goes_round_in_turn(shares: tuple[float, ...], analysers: int) -> None:
    labels = {f"share {k}": share for k, share in enumerate(shares)} | {f"rest {k}": 0.0 for k in range(5)}
    pool = Pool(labels, analysers)
    pool.run(SLOTS * SLOT_NS)
    rest = [service for label, service in pool.service_ns.items() if labels[label] == 0]
    assert jain(rest) > 0.99
    assert sum(rest) > 0.3 * SLOTS * SLOT_NS


def test_nobody_without_a_share_is_passed_by_another() -> None:
    queue = AnalyserQueue[int](SLOT_NS)
    for job in range(100):
        queue.enter(job, f"label {job % 7}", 0.0, now_ns=job)
    assert [queue.next(1_000) for _ in range(101)] == [*range(100), None]


# -- accounts ------------------------------------------------------------------------------------------------------


def test_a_label_that_was_idle_catches_up_on_ten_slots_of_lateness_at_most() -> None:
    pool = Pool({"late": 0.5, "rest": 0.0}, shortest_ns=SLOT_NS)
    pool.run(10 * SLOT_NS, without=frozenset({"late"}))
    pool.run(1_000 * SLOT_NS, without=frozenset({"late"}))
    before_ns = pool.service_ns["late"]
    pool.come("late")
    pool.run(100 * SLOT_NS)
    had = (pool.service_ns["late"] - before_ns) / SLOT_NS
    assert 50 - 2 <= had <= 50 + 10 * 0.5 + 2  # lateness is used up at the rate of the share


def test_a_label_that_had_left_over_time_does_not_pay_for_it() -> None:
    pool = Pool({"alone": 0.25}, shortest_ns=SLOT_NS)
    pool.run(1_000 * SLOT_NS)
    assert pool.service_ns["alone"] > 990 * SLOT_NS
    before_ns = pool.service_ns["alone"]
    pool.shares |= {"rest 0": 0.0, "rest 1": 0.0}
    for label in ("rest 0", "rest 1"):
        pool.come(label)
    pool.run(40 * SLOT_NS)
    assert pool.service_ns["alone"] - before_ns >= (10 - 2) * SLOT_NS


def test_accounts_of_idle_labels_are_forgotten() -> None:
    queue = AnalyserQueue[int](SLOT_NS)
    for job in range(20_000):
        now_ns = job * SLOT_NS
        queue.enter(job, f"label {job}", 0.5, now_ns)
        assert queue.next(now_ns) == job
        queue.served(job, f"label {job}", 0.5, SLOT_NS, now_ns + SLOT_NS)
        assert len(queue._accounts) <= 130
        assert len(queue._by_due) + len(queue._in_turn) <= 300


@pytest.mark.parametrize("rest", [{}, {"rest": 0.0}])
@pytest.mark.parametrize("shares", [{"all": 1.0}, {"a": 0.5, "b": 0.5}, {"much": 0.9, "too": 0.8}])
def test_what_was_served_leaves_nothing_behind_however_great_the_load(
    shares: dict[str, float], rest: dict[str, float]
) -> None:
    pool = Pool(shares | rest, jobs=3)
    pool.run(3_000 * SLOT_NS)
    assert len(pool.queue) <= 9
    assert len(pool.queue._in_turn) < 200
    assert len(pool.queue._by_due) < 200


def test_jobs_that_left_are_not_served() -> None:
    queue = AnalyserQueue[str](SLOT_NS)
    for job in "abcdef":
        queue.enter(job, job, 0.1 if job in "abc" else 0.0, now_ns=0)
    for job in "ace":
        queue.leave(job, 0)
    assert len(queue) == 3
    assert [queue.next(0) for _ in range(4)] == ["b", "d", "f", None]
    assert len(queue) == 0


def test_a_job_that_left_may_come_again_behind_the_others() -> None:
    queue = AnalyserQueue[str](SLOT_NS)
    for job in "ab":
        queue.enter(job, job, 0.0, now_ns=0)
    queue.leave("a", 1)
    queue.enter("a", "a", 0.0, now_ns=1)
    assert [queue.next(2) for _ in range(3)] == ["b", "a", None]


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(["enter", "leave", "next"]), st.integers(0, 9), st.integers(0, 3_000))))
def test_each_job_that_waits_is_served_once_or_leaves(steps: list[tuple[str, int, int]]) -> None:
    queue = AnalyserQueue[int](SLOT_NS)
    waiting: set[int] = set()
    now_ns = 0
    for what, job, later_ns in steps:
        now_ns += later_ns
        share = (job % 4) / 10
        if what == "enter" and job not in waiting:
            queue.enter(job, f"label {job % 5}", share, now_ns)
            waiting.add(job)
        elif what == "leave" and job in waiting:
            queue.leave(job, now_ns)
            waiting.remove(job)
        elif what == "next":
            served = queue.next(now_ns)
            assert (served in waiting) if waiting else (served is None)
            if served is not None:
                waiting.remove(served)
                queue.served(served, f"label {served % 5}", (served % 4) / 10, later_ns, now_ns)
        assert len(queue) == len(waiting)
