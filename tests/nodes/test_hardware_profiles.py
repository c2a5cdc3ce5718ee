"""Hardware profiles: every number has its source, and none is unphysical."""

import math

import pytest
from pydantic import ValidationError

from nodes.hardware import ERAS, IDEAL, Profile, UnknownProfileError, _entries, load, platforms, profiles, source

NAMES = [name for name in profiles() if name != IDEAL]


def test_there_are_two_eras_of_each_platform_and_the_ideal() -> None:
    assert platforms() == ["afc", "atom", "ion", "nv", "photonic", "receiver", "siv"]
    assert profiles() == [IDEAL, *(f"{platform}.{era}" for platform in platforms() for era in ERAS)]


@pytest.mark.parametrize("name", profiles())
def test_every_profile_loads_and_makes_sense(name: str) -> None:
    profile = load(name)
    physics = profile.physics()
    assert min(physics.bsm_ns, physics.readout_ns, physics.one_qubit_ns, physics.two_qubit_ns) >= 1
    assert 0 < profile.arm_efficiency(1.0) <= 1
    assert profile.arm_efficiency(0.25) == pytest.approx(profile.arm_efficiency(1.0) / 4)
    assert profile.t2_s <= 2 * profile.t1_s
    profile.noise()


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_a_source(name: str) -> None:
    entries = _entries(name)
    assert entries
    for key, entry in entries.items():
        assert set(entry) == {"value", "source"}, key
        assert source(name, key).strip(), key
        assert source(name, key) == entry["source"]
        assert getattr(load(name), key) == entry["value"], key


@pytest.mark.parametrize("platform", platforms())
def test_the_near_future_is_today_but_for_what_it_says(platform: str) -> None:
    today, future = load(f"{platform}.today"), load(f"{platform}.near_future")
    said = _entries(f"{platform}.near_future")
    before = _entries(f"{platform}.today")
    assert before.keys() <= said.keys()
    inherited = [key for key in before if said[key] == before[key]]
    assert inherited
    for key in inherited:
        assert getattr(future, key) == getattr(today, key)
        assert source(f"{platform}.near_future", key) == source(f"{platform}.today", key)
    assert future != today


def test_a_key_left_at_its_default_has_no_source() -> None:
    with pytest.raises(KeyError):
        source("ion.today", "pairs_per_mode")


def test_the_ideal_has_no_imperfection() -> None:
    ideal = load(IDEAL)
    assert ideal == Profile()
    assert ideal.arm_efficiency(1.0) == 1
    assert ideal.noise().factors(0, 10**9) == pytest.approx((1, 1, 0))
    physics = ideal.physics()
    assert (physics.bsm.efficiency, physics.bsm.depolarising, physics.attempts_1_over_e) == (1, 0, math.inf)
    assert physics.retrieval(10**12) == 1


@pytest.mark.parametrize("name", ["iron.today", "ion", "ion.tomorrow", "", "ion.today.today"])
def test_an_unknown_name_lists_what_there_is(name: str) -> None:
    with pytest.raises(UnknownProfileError) as error:
        load(name)
    assert repr(name) in str(error.value)
    for known in profiles():
        assert known in str(error.value)


def test_a_coherence_time_beyond_twice_the_lifetime_is_refused() -> None:
    with pytest.raises(ValidationError, match="not physical"):
        Profile(t1_s=1.0, t2_s=2.001)
    assert Profile(t1_s=1.0, t2_s=2.0).t2_s == 2.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"collection": 1.1},
        {"swap_us": 0},
        {"t2_s": -1},
        {"modes": 0},
        {"colection": 0.5},
        {"dark_probability": math.nan},
    ],
)
def test_numbers_out_of_range_and_unknown_keys_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Profile(**wrong)
