"""Faults of scenario files and of the command line, from what is wrong with them to what is said of them at the end."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from emulator import MS, FaultError, S
from emulator.faults import kinds
from scenarios.build import build
from scenarios.load import InputError, parse
from scenarios.report import as_json, summary
from scenarios.run import Run, prepare, run_scenario

Qie = Callable[..., "CompletedProcess[str]"]

LIGHT_NS = 4_890 * 665  # of the whole way from Berlin to Frankfurt, and more


# -- what must be shown ------------------------------------------------------------------------------------------------


def test_a_cut_backbone_stops_pairs_is_reported_and_is_back_after_the_splice() -> None:
    deliveries: list[int] = []
    scenario, _, world = prepare("berlin-frankfurt", seed=7)
    world.network.history.observe("pair", lambda r: deliveries.append(r.time_ns))
    world.network.inject("cut", "eulau-erfurt", start_ns=2 * S, end_ns=5 * S)
    run = Run(scenario.name, 7, 1.0, world, world.network.run(for_ns=7 * S), 1.0)
    data = as_json(run)
    assert run.good
    # What had been swapped together by then is still to be told: that is one way of light, and the swaps.
    assert not [t for t in deliveries if 2 * S + LIGHT_NS + 10 * MS < t < 5 * S]
    # Memories elsewhere are full of old pairs when it is spliced, which are delivered, or not, at once.
    before, after = (sum(a * S < t < (a + 1.8) * S for t in deliveries) for a in (0.2, 5.2))
    assert after > 0.8 * before > 100
    ((fault),) = data["faults"]
    assert fault["fired"] > 0
    assert (fault["kind"], fault["target"], fault["start_s"], fault["end_s"]) == ("cut", "eulau-erfurt", 2.0, 5.0)
    assert len({stall["circuit"] for stall in data["stalls"]}) == 4
    assert {stall["station"] for stall in data["stalls"]} == {"eulau~erfurt"}
    assert all(4.9 < stall["since_s"] + stall["seconds"] < 5.3 for stall in data["stalls"])
    lines = list(summary(run))
    assert any(line.startswith("fault cut eulau-erfurt: met something") for line in lines)
    assert any(line.startswith("4 circuits were stalled: no pairs from eulau~erfurt for") for line in lines)


# -- all kinds ---------------------------------------------------------------------------------------------------------

FILE = """
name = "all"
hardware = "$hardware"
[parameters]
hardware = "atom.near_future"
[[star]]
name = "city"
end_nodes = 3
length_km = 3
analysers = 2
[[node]]
name = "r"
kind = "repeater"
[[node]]
name = "far"
[[link]]
a = "city"
b = "r"
length_km = 15
modes = 50
memories = 3
[[link]]
a = "r"
b = "far"
length_km = 15
modes = 50
memories = 3
[[route]]
a = "city-1"
b = "far"
lanes = 2
pairs = 6
pause_s = 0.01
patience_s = 10
[[route]]
a = "city-2"
b = "city-3"
pairs = 6
pause_s = 0.01
patience_s = 10
[controller]
at = "city"
restart_after_s = 0.05
"""

TARGETS = {
    "AnalyserDown": "city~switch",
    "SwitchStuck": "city~switch",
    "ControllerCrash": "controller",
    "Overload": "city-1>far",
    "SlowHost": "host",
}
BY_FAMILY = {"OnChannels": "city-r", "OnClock": "r", "OnFibre": "city-r", "OnHeralds": "city~r", "OnStation": "city~r"}


def target_of(kind: type) -> str:
    families = [parent.__name__ for parent in kind.__mro__]
    return TARGETS.get(kind.__name__) or next((BY_FAMILY[f] for f in families if f in BY_FAMILY), "r")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("faults") / "all.toml"
    path.write_text(FILE, "utf-8")
    return str(path)


OURS = {name: kind for name, kind in kinds().items() if kind.__module__.startswith("emulator.")}


@pytest.mark.parametrize("name", OURS)
def test_no_kind_breaks_an_invariant_or_leaves_a_leak_and_all_give_the_same_history_again(file: str, name: str) -> None:
    span = "@0.03" if OURS[name].at_once else "@0.03..0.1"
    option = f"{name}:{target_of(OURS[name])}{span}"
    first, second = (as_json(run_scenario(file, for_s=0.15, seed=5, faults=[option])) for _ in range(2))
    assert (first["leaks"], first["violations"], first["lost_messages"]) == ({}, [], 0)
    assert first["faults"][0]["began"]
    assert first["history_sha256"] == second["history_sha256"]


@pytest.mark.parametrize("seed", range(8))
def test_faults_of_all_kinds_at_random_times_leave_nothing_behind(file: str, seed: int) -> None:
    rng = random.Random(seed)
    _, _, world = prepare(file, seed=seed)
    for name in rng.choices(list(OURS), k=15):
        kind = OURS[name]
        start_ns = rng.randrange(400 * MS)
        end_ns = None if kind.at_once else start_ns + 1 + rng.randrange(150 * MS)
        target, probability = target_of(kind), rng.choice((1.0, 1.0, 0.5))
        with suppress(FaultError):  # of two that contradict each other
            world.network.inject(name, target, start_ns=start_ns, end_ns=end_ns, probability=probability)
    outcome = world.network.run(for_ns=500 * MS)
    assert (outcome.leaks, world.invariants.violations, world.monitor.unmatched) == ({}, [], 0)
    assert len(world.network.faults.injections) > 5
    assert sum(injection.fired > 0 for injection in world.network.faults.injections) > 2


def test_a_fault_that_is_never_met_does_not_change_what_happens() -> None:
    plain = run_scenario("chain", for_s=0.5, seed=2)
    broken = run_scenario("chain", for_s=0.5, seed=2, faults=["overload:chain-a>chain-b@9"])
    assert plain.world.network.history.sha256() == broken.world.network.history.sha256()
    assert "fault overload chain-a>chain-b: never began" in list(summary(broken))


def test_a_station_that_intercepts_leaves_correlations_in_one_basis_only() -> None:
    document = with_faults({"kind": "intercept", "target": "alice-bob"})
    document["link"][0] |= {"scheme": "double_click", "length_km": 5, "modes": 1}
    document["hardware"] = "ion.near_future"
    world = build(*parse(document, "two"), seed=1)
    world.network.run(for_ns=S)
    statistics = world.monitor.routes["alice", "bob"]
    assert statistics.samples > 40
    assert statistics.fidelity_mean == pytest.approx(0.5, abs=0.02)  # (1 + |<ZZ>|) / 4
    assert world.invariants.violations == []


@pytest.mark.parametrize(("scheme", "power"), [("single_click", 0.5), ("double_click", 1.0), ("pair_source", 1.0)])
def test_the_optics_of_a_link_are_worse_by_what_was_added_at_the_setting_it_was_calibrated_for(
    scheme: str, power: float
) -> None:
    document = with_faults({"kind": "added-loss", "target": "alice-bob", "attributes": {"loss_db": 1.0}})
    document["link"][0] |= {"scheme": scheme, "length_km": 50, "modes": 1}
    world = build(*parse(document, "two"))
    station: Any = world.network.actors["alice~bob"]
    seen: list[Any] = []
    for time_ns in (0, 5):
        world.network.timeline.at(time_ns, lambda: seen.extend(station.link((0, 1), f) for f in (0.0, 0.8)))
    world.network.run(for_ns=10)
    for before, after in ((seen[0], seen[2]), (seen[1], seen[3])):
        assert before.model is before.calibrated
        assert after.calibrated == before.calibrated
        assert after.told == before.told
        assert after.model.p_success == pytest.approx(before.model.p_success * 10 ** (-0.1 * power), rel=0.03)


# -- scenario files ----------------------------------------------------------------------------------------------------


def with_faults(*faults: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "two",
        "node": [{"name": "alice"}, {"name": "bob"}],
        "link": [{"a": "alice", "b": "bob", "length_km": 5}],
        "route": [{"a": "alice", "b": "bob"}],
        "fault": list(faults),
    }


def test_a_file_says_what_is_broken(tmp_path: Path) -> None:
    file = tmp_path / "two.toml"
    file.write_text(
        """
name = "two"
[[node]]
name = "alice"
[[node]]
name = "bob"
[[link]]
a = "alice"
b = "bob"
length_km = 5
[[fault]]
kind = "loss"
target = "alice>bob"
start_s = 0.001
attributes.percent = 30
[[fault]]
name = "the wall"
kind = "partition"
target = "alice|bob"
start_s = 0.01
end_s = 0.02
""",
        "utf-8",
    )
    data = as_json(run_scenario(str(file), for_s=0.05))
    assert [(f["name"], f["start_s"], f["end_s"], f["attributes"]) for f in data["faults"]] == [
        ("loss alice>bob", 0.001, None, {"percent": 30.0, "mean_burst": 0.0}),
        ("the wall", 0.01, 0.02, {}),
    ]
    file.write_text(file.read_text("utf-8").replace("alice|bob", "alice|carol"), "utf-8")
    with pytest.raises(InputError, match=r"two\.toml: fault\[1\]\.target: there is nobody named 'carol'"):
        run_scenario(str(file))


LOSS = {"kind": "loss", "target": "alice>bob"}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "los", "target": "alice>bob"}, r"fault\[0\]: there is no kind of fault 'los'; did you mean 'loss'"),
        ({"kind": "loss"}, r"fault\[0\]\.target: target is missing"),
        (LOSS | {"start": 1}, r"fault\[0\]\.start: unknown key 'start': its unit is missing"),
        (LOSS | {"probability": 2}, r"fault\[0\]\.probability: must be at most 1, got 2"),
        (LOSS | {"start_s": 2, "end_s": 1}, r"end_s = 1 must be later than start_s = 2"),
        (LOSS | {"attributes": {"percentage": 1}}, r"loss has no attribute 'percentage'; did you mean 'percent'"),
    ],
)
def test_what_is_wrong_with_a_fault_is_said_with_its_place(fault: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse(with_faults(fault), "two")


# -- the command line --------------------------------------------------------------------------------------------------


def test_the_command_line_takes_faults_and_lists_their_kinds(qie: Qie, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    done = qie(
        "run", "chain", "--rate", "max", "--for", "0.1", "--json", str(file),
        "--fault", "loss:chain-a>chain-1@0.01..,percent=20", "--fault", "pause:chain-2@0.02..0.06,name=nap",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "fault nap: met something" in done.stdout
    assert [fault["name"] for fault in json.loads(file.read_text("utf-8"))["faults"]] == ["loss chain-a>chain-1", "nap"]
    listed = json.loads(qie("faults", "--json").stdout)["faults"]
    assert [kind["kind"] for kind in listed] == list(OURS)
    plain = qie("faults").stdout
    assert all(re.search(rf"^{name}:", plain, re.MULTILINE) for name in OURS)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("nonsense", "expected KIND:TARGET@START..END,ATTRIBUTE=VALUE, such as cut:eulau-erfurt@5..12"),
        ("cut:chain-a-chain-1@x..2", "start_s: must be a number, got 'x'"),
        ("cut:chain-a-chain-1@", "expected a span START..END after the @"),
        ("cut:chain-a-chain-1@3..2", "end_s = 2 must be later than start_s = 3"),
        ("cut:chain-a-chain-9@1..2", "there is nobody named 'chain-9'"),
        (
            "cut:chain-a-chain-2@1..2",
            "no fibre joins 'chain-a' and 'chain-2'; from 'chain-a' there are",
        ),
        ("loss:chain-a>chain-1,percent=120", "percent must be: number, >= 0, <= 100"),
        ("loss:chain-a>chain-1@1..,probability=7", "probability: must be at most 1, got 7"),
        ("sequence-reset:chain-a~chain-1@1..2", "happens at once, so it has no end"),
        ("switch-stuck:chain-a~chain-1@1..2", "has no switch"),
    ],
)
def test_a_wrong_fault_is_bad_input(fault: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        run_scenario("chain", for_s=0.01, faults=[fault])
    assert str(error.value).startswith(f"--fault {fault}: ")
    assert words in str(error.value)


def test_bad_input_has_its_exit_code_and_so_have_two_cuts_of_one_fibre(qie: Qie) -> None:
    done = qie(
        "run", "chain", "--rate", "max", "--for", "0.1",
        "--fault", "cut:chain-a-chain-1@1..3", "--fault", "cut:chain-1-chain-a@2..",
    )  # fmt: skip
    assert done.returncode == 2
    assert "contradicts 'cut chain-a-chain-1', which acts there from 1 s to 3 s" in done.stderr
