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
