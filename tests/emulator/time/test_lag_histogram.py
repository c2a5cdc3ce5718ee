import random

import pytest

from emulator.time import LagHistogram


def test_an_empty_histogram_has_no_lag() -> None:
    lag = LagHistogram()
    assert (lag.count, lag.max_ns, lag.percentile(50)) == (0, 0, 0)


@pytest.mark.parametrize("ns", [*range(300), 10**3, 10**6, 10**9, 2**40 - 1, 2**40, 2**63 - 1, 2**70])
def test_one_lag_is_every_percentile(ns: int) -> None:
    lag = LagHistogram()
    lag.add(ns)
    assert (lag.count, lag.max_ns) == (1, ns)
    assert lag.percentile(0) == lag.percentile(50) == lag.percentile(100)
    lag.add(2**71)  # else the maximum would hide how coarse the class is
    assert min(ns, 2**63 - 1) <= lag.percentile(50) <= ns * 33 / 32


def test_percentiles_are_those_of_the_sorted_values_to_three_per_cent() -> None:
    rng = random.Random(3)
    values = [int(rng.lognormvariate(10, 2)) for _ in range(10_000)]
    lag = LagHistogram()
    for ns in values:
        lag.add(ns)
    values.sort()
    for percent in (1, 25, 50, 90, 99, 99.9, 100):
        exact = values[max(0, -int(-len(values) * percent // 100) - 1)]
        assert exact <= lag.percentile(percent) <= exact * 33 / 32
    assert lag.percentile(100) == lag.max_ns == values[-1]
    assert "10000 lags" in repr(lag)


def test_a_clock_read_too_early_counts_as_no_lag() -> None:
    lag = LagHistogram()
    lag.add(-5)
    assert (lag.count, lag.max_ns, lag.percentile(100)) == (1, 0, 0)


@pytest.mark.parametrize("percent", [-1, 100.5, float("nan")])
def test_a_percentile_is_a_percentage(percent: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        LagHistogram().percentile(percent)


def test_histograms_add_up_as_if_one_had_counted_everything() -> None:
    rng = random.Random(5)
    whole, parts = LagHistogram(), [LagHistogram() for _ in range(3)]
    for _ in range(3_000):
        ns = int(rng.lognormvariate(8, 4)) - 1
        whole.add(ns)
        rng.choice(parts).add(ns)
    parts[1].add(2**70)
    whole.add(2**70)
    gathered = LagHistogram()
    for part in [*parts, LagHistogram()]:
        gathered.add_all(part.counts, part.max_ns)
    assert gathered.counts == whole.counts
    assert (gathered.count, gathered.max_ns) == (whole.count, whole.max_ns)
    assert [gathered.percentile(p) for p in (0, 10, 50, 99, 100)] == [whole.percentile(p) for p in (0, 10, 50, 99, 100)]


def test_counts_name_only_classes_that_have_any() -> None:
    lag = LagHistogram()
    assert lag.counts == {}
    for ns in (0, 7, 7, 63, 64, 65, 66):
        lag.add(ns)
    assert lag.counts == {0: 1, 7: 2, 63: 1, 64: 2, 65: 1}


@pytest.mark.parametrize("counts", [{-1: 1}, {2_000: 1}, {3: -1}])
def test_counts_of_no_class_are_refused(counts: dict[int, int]) -> None:
    lag = LagHistogram()
    lag.add(5)
    with pytest.raises(ValueError, match="no counts of lags"):
        lag.add_all({5: 2} | counts, 9)
    assert (lag.counts, lag.max_ns) == ({5: 1}, 5)
