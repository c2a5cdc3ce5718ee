import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from links.fibre import Fibre

LENGTHS = st.floats(0, 2000)
FRACTIONS = st.floats(0, 1)


@pytest.mark.parametrize(("loss_db", "share"), [(0, 1.0), (10, 0.1), (20, 0.01), (3.0103, 0.5)])
def test_loss_in_decibel_is_a_share_of_the_photons(loss_db: float, share: float) -> None:
    assert Fibre(1.0, loss_db).transmission == pytest.approx(share, rel=1e-5, abs=0)


def test_light_takes_4_89_microseconds_per_kilometre() -> None:
    assert Fibre.of(101.0).latency_ns == 493_890
    assert Fibre.of(1e-4).latency_ns == 0
    assert isinstance(Fibre.of(0.3).latency_ns, int)


def test_other_conventions_of_the_latency_can_be_chosen() -> None:
    assert Fibre.of(50, latency_ns_per_km=5000).latency_ns == 250_000
    assert Fibre(50, 10, latency_ns_per_km=5000).latency_ns == 250_000


def test_loss_is_attenuation_times_length_and_what_connectors_add() -> None:
    assert Fibre.of(50).loss_db == pytest.approx(10)
    assert Fibre.of(664.4, loss_db_per_km=0.25, extra_loss_db=6.9).loss_db == pytest.approx(173)


@settings(derandomize=True, deadline=None)
@given(LENGTHS, FRACTIONS, FRACTIONS, st.sampled_from([4890.0, 5000.0, 4836.3]))
def test_the_parts_of_a_fibre_add_up_to_the_whole(km: float, first: float, second: float, pace: float) -> None:
    whole = Fibre.of(km, latency_ns_per_km=pace)
    near, far = whole.split(first)
    parts = [near, *far.split(second)]
    assert sum(part.latency_ns for part in parts) == whole.latency_ns
    assert all(part.latency_ns >= 0 for part in parts)
    assert sum(part.length_km for part in parts) == pytest.approx(km)
    assert sum(part.loss_db for part in parts) == pytest.approx(whole.loss_db)
    assert near.loss_db == pytest.approx(whole.loss_db * first)
    for part in parts:
        assert abs(part.latency_ns - part.length_km * pace) <= 2


def test_the_halves_of_an_odd_nanosecond_differ() -> None:
    near, far = Fibre(1 / 4890, 0.0).split(0.5)
    assert (near.latency_ns, far.latency_ns) == (0, 1)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["length_km", "loss_db", "latency_ns_per_km"])
def test_a_fibre_refuses_unphysical_values(name: str, value: float) -> None:
    good = {"length_km": 1.0, "loss_db": 0.2, "latency_ns_per_km": 4890.0}
    with pytest.raises(ValueError, match=rf"^{name} must be finite and not negative, got {value!r}$"):
        Fibre(**{**good, name: value})


@pytest.mark.parametrize("name", ["loss_db_per_km", "extra_loss_db"])
def test_of_names_the_part_of_the_loss_that_is_wrong(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be"):
        Fibre.of(10.0, **{name: -0.1})
    with pytest.raises(ValueError, match=r"^length_km must be"):
        Fibre.of(-10.0, **{name: 0.1})


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan])
def test_a_station_stands_between_the_ends(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"^fraction must be between 0 and 1"):
        Fibre.of(1.0).split(fraction)


def test_latency_cannot_be_made_negative() -> None:
    with pytest.raises(ValueError, match=r"^rounding_ns must not"):
        Fibre(0.0, 0.0, rounding_ns=-1)
