"""The pytest plugin, as a stranger's tests see it: tests that should fail do, the others pass."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

import scenarios.testing  # so that the runs of pytest within this one need not import it anew

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]

PROGRAMS = """
import pytest
from emulator import MS, S, Actor, FaultError, Message
from scenarios.load import InputError
from scenarios.schema import Fault
from scenarios.testing import *

async def alice(node):
    async with node.circuit(to="chain-b") as circuit:
        while True:
            node.discard((await circuit.pair()).qubit)

async def bob(node):
    async with node.accept("chain-a") as circuit:
        while True:
            node.discard((await circuit.pair()).qubit)

BOTH = {"chain-a": alice, "chain-b": bob}
TWO_LINKS = ["links=2"]

class Idle(Actor):
    pass

class Holder(Actor):
    def held(self):
        return {"tokens": 3}

class Stumbler(Actor):
    def begin(self):
        if self.incarnation == 1:
            self.after(2 * MS, self.stumble)

    def stumble(self):
        raise ValueError("a stone")
"""

Tests = Callable[..., pytest.RunResult]


@pytest.fixture
def tests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Tests:
    """Return a function that runs the tests of a text by pytest, with this plugin and that of trio, and no others."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(text: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(PROGRAMS + text)
        plugins = ("-p", "scenarios.pytest_plugin", "-p", "pytest_trio.plugin", "-p", "no:cacheprovider")
        return pytester.runpytest_inprocess(*plugins, *options, no_reraise_ctrlc=True)

    return run


def fails(result: pytest.RunResult, *lines: str) -> None:
    """Check that each test fails, in its call, and that these lines are told."""
    outcomes = result.parseoutcomes()
    outcomes.pop("warnings", None)
    assert list(outcomes) == ["failed"], outcomes
    result.stdout.fnmatch_lines([f"*{line}*" for line in lines])


# -- scenarios ---------------------------------------------------------------------------------------------------------


def test_good_runs_pass_whatever_form_the_scenario_and_the_faults_have(tests: Tests) -> None:
    result = tests("""
import pathlib

DOCUMENT = {
    "name": "two",
    "hardware": "ideal",
    "node": [{"name": "chain-a"}, {"name": "chain-b"}],
    "link": [{"a": "chain-a", "b": "chain-b", "length_km": 5, "success_probability": 0.1, "fidelity": 1}],
    "route": [{"a": "chain-a", "b": "chain-b"}],
}
TEXT = '''
name = "two"
hardware = "ideal"
node = [{ name = "chain-a" }, { name = "chain-b" }]
link = [{ a = "chain-a", b = "chain-b", length_km = 5, success_probability = 0.1, fidelity = 1 }]
route = [{ a = "chain-a", b = "chain-b" }]
'''

def test_text_file_and_document_are_one(qie_run, tmp_path):
    file = tmp_path / "two.toml"
    file.write_text(TEXT)
    runs = [qie_run(source, for_s=0.02) for source in (TEXT, file, str(file), DOCUMENT)]
    assert len({run.world.network.history.sha256() for run in runs}) == 1
    assert_delivered(runs[0], "chain-a", "chain-b", at_least=10)
    assert "route" in DOCUMENT, "what is given is not changed"

@pytest.mark.parametrize("fault", [
    "cut:chain-a-chain-1@0.05..0.1",
    Fault(kind="cut", target="chain-a-chain-1", start_s=0.05, end_s=0.1),
])
def test_a_cut(qie_run, fault):
    run = qie_run("chain", BOTH, for_s=0.2, settings=TWO_LINKS, faults=[fault])
    assert_faults_fired(run)
    assert_delivered(run, "chain-b", "chain-a", at_least=20)

def test_from_python(qie_run):
    seen = []
    def prepare(world):
        world.network.inject("cut", "chain-a-chain-1", start_ns=50 * MS, end_ns=100 * MS)
        world.network.history.observe("pair", seen.append)
    run = qie_run("chain", BOTH, for_s=0.2, settings=TWO_LINKS, prepare=prepare)
    assert_faults_fired(run)
    assert seen

def test_demands_are_there_without_programs_or_when_wanted(qie_run):
    assert_delivered(qie_run("chain", for_s=0.05), "chain-a", "chain-b")
    idle = qie_run("chain", {"chain-a": sleeper}, for_s=0.05)
    assert idle.world.monitor.routes == {}
    assert_delivered(qie_run("chain", {"chain-a": sleeper}, for_s=0.05, demands=True), "chain-a", "chain-b")

async def sleeper(node):
    pass

def test_bad_input_is_told(qie_run):
    for options, words in (
        ({"settings": ["nonsense=1"]}, "no such parameter"),
        ({"faults": ["cut:chain-a-nobody"]}, "nobody"),
        ({"faults": [Fault(kind="cut", target="chain-a-nobody")]}, "fault cut on chain-a-nobody: "),
        ({"programs": {"chain-1": sleeper}}, "it is no end node"),
    ):
        with pytest.raises(InputError, match=words):
            qie_run("chain", for_s=0.01, **options)
""")
    result.assert_outcomes(passed=6)


def test_what_leaks_or_breaks_fails_the_test_when_it_has_ended_unless_it_may(tests: Tests) -> None:
    result = tests("""
async def failing(node):
    assert node.name == "carol"

def test_broken(qie_run):
    run = qie_run("chain", {"chain-a": failing}, for_s=0.01, settings=TWO_LINKS)
    print("and so it went on")

def test_leaking(qie_run):
    run = qie_run("chain", for_s=0.01, settings=TWO_LINKS, prepare=lambda world: world.network.add(Holder("holder")))

def test_which_of_two(qie_run):
    qie_run("chain", for_s=0.01)
    qie_run("chain", {"chain-b": failing}, for_s=0.01, may_break=True)
    qie_run("chain", {"chain-a": failing}, for_s=0.01, seed=77)
""")
    fails(
        result,
        "assert 'chain-a' == 'carol'",
        "The above exception was the direct cause",
        "AssertionError: chain, seed 0: broken:",
        "programs: a program on chain-a failed: AssertionError",
        "VIOLATION: programs: a program on chain-a failed*",
        "and so it went on",
        "AssertionError: chain, seed 0: still held though nothing goes on:",
        "3 holder tokens",
        "LEAK: 3 holder tokens",
        "AssertionError: chain, seed 77: broken:",
    )
    may = tests("""
async def failing(node):
    assert node.name == "carol"

def test_broken(qie_run):
    run = qie_run("chain", {"chain-a": failing}, for_s=0.01, may_break=True)
    with pytest.raises(AssertionError, match="a program on chain-a failed"):
        assert_no_violations(run)
    assert_no_leaks(run)

@pytest.mark.xfail(strict=True, raises=AssertionError)
def test_expected(qie_run):
    qie_run("chain", {"chain-a": failing}, for_s=0.01)
""")
    may.assert_outcomes(passed=1, xfailed=1)


def test_a_failure_of_the_test_itself_comes_first_with_what_there_was_of_its_runs(tests: Tests) -> None:
    result = tests("""
def test_both(qie_run):
    qie_run("chain", for_s=0.01, seed=5, prepare=lambda world: world.network.add(Holder("holder")))
    assert "this" == "that"

def test_a_crash(qie_run):
    qie_run("chain", for_s=0.01, seed=6, prepare=lambda world: world.network.add(Stumbler("stumbler")))
""")
    fails(
        result,
        "AssertionError: assert 'this' == 'that'",
        "chain: 0.010 s of emulated time in * s, seed 5",
        "LEAK: 3 holder tokens",
        "ActorCrashError: stumbler crashed at 0.002*",
        "chain, seed 6: its run did not come to its end",
    )
    assert "still held" not in result.stdout.str()


# -- bare networks -----------------------------------------------------------------------------------------------------


def test_networks_of_own_actors_are_looked_at_too(tests: Tests) -> None:
    bad = tests("""
def test_leaking(qie_network):
    network = qie_network()
    network.add(Holder("holder"))
    assert network.run(for_ns=S).leaks

def test_stumbling(qie_network):
    network = qie_network(seed=3)
    network.add(Stumbler("stumbler"), restart_after_ns=MS)
    network.run(for_ns=S)
""")
    fails(
        bad,
        "the network, seed 0: still held though nothing goes on:",
        "3 holder tokens",
        "a network of 1 actors: 1.00* s of emulated time, seed 0",
        "the network, seed 3: broken:",
        "crash: stumbler ended by ValueError, at 0.002*",
    )
    good = tests("""
def test_leaking(qie_network):
    network = qie_network(may_break=True)
    network.add(Holder("holder"))
    network.run(for_ns=S)

def test_of_a_fault(qie_network):
    network = qie_network()
    network.add(Idle("idle"))
    with pytest.raises(AssertionError, match="no fault at all"):
        assert_faults_fired(network)
    network.inject("crash", "idle", start_ns=MS, end_ns=2 * MS)
    network.run(for_ns=S)
    assert_faults_fired(network)

def test_never_run(qie_network):
    qie_network()
""")
    good.assert_outcomes(passed=3)


# -- seeds and histories -----------------------------------------------------------------------------------------------


def test_seeds_are_fixed_or_from_the_command_line_and_told(tests: Tests) -> None:
    text = """
def test_seeds(qie_run, qie_network, qie_seed):
    seeds = [qie_run("chain", for_s=0.001).seed, qie_network().seed, qie_seed, qie_network(seed=5).seed]
    assert not seeds, f"seeds: {seeds}"
"""
    fails(tests(text), "seeds: ?0, 0, 0, 5?")
    again = tests(text, "--qie-seed", "12")
    fails(again, "quantum internet: --qie-seed 12", "seeds: ?12, 12, 12, 5?", "chain: * s, seed 12")
    drawn = tests(text, "--qie-seed", "random")
    seed = int(drawn.stdout.str().split("--qie-seed ")[1].split()[0])
    fails(drawn, f"seeds: ?{seed}, {seed}, {seed}, 5?")
    assert tests(text, "--qie-seed", "seven").ret == pytest.ExitCode.USAGE_ERROR


def test_histories_that_differ_are_told_apart_at_their_first_record(tests: Tests) -> None:
    result = tests("""
def test_same(qie_run):
    assert_same_history(*(qie_run("chain", for_s=0.02) for _ in range(2)))

def test_other_seed(qie_run):
    runs = [qie_run("chain", for_s=0.02, seed=seed) for seed in (1, 2)]
    with pytest.raises(AssertionError, match=r"(?s)differ from 0\\.\\d{9} s on.*both +\\d.*first +\\d.*second +\\d"):
        assert_same_history(*runs)

def test_longer(qie_network):
    networks = [qie_network(), qie_network()]
    for network, ticks in zip(networks, (2, 3)):
        actor = network.add(Idle("idle"))
        for k in range(ticks):
            network.timeline.at((k + 1) * MS, actor.record, "tick", k)
        network.run(for_ns=S)
    with pytest.raises(AssertionError) as error:
        assert_same_history(*networks)
    lines = str(error.value).splitlines()
    assert lines[0] == "the histories differ from 0.003000000 s on:"
    assert [line.split(maxsplit=1) for line in lines[-3:]] == [
        ["both", "0.002000000 s  idle  tick  1"], ["first", "nothing more"], ["second", "0.003000000 s  idle  tick  2"],
    ]

def test_not_kept(qie_run):
    runs = [qie_run("chain", for_s=0.02, seed=seed, keep_history=False) for seed in (1, 2)]
    with pytest.raises(AssertionError, match="keep_history=True"):
        assert_same_history(*runs)

def test_too_few(qie_run):
    run = qie_run("chain", for_s=0.02, faults=["cut:chain-a-chain-1@9"])
    with pytest.raises(AssertionError) as error:
        assert_delivered(run, "chain-a", "chain-z", at_least=3)
    assert "0 pairs were delivered between chain-a and chain-z, at least 3 were wanted" in str(error.value)
    assert "there is no actor named 'chain-z'" in str(error.value)
    assert "pairs between chain-a and chain-b" in str(error.value)
    with pytest.raises(AssertionError, match="fault cut chain-a-chain-1: never began"):
        assert_faults_fired(run)
""")
    result.assert_outcomes(passed=5)


# -- with other things -------------------------------------------------------------------------------------------------


def test_it_works_together_with_pytest_trio(tests: Tests, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ntrio_mode = true\n")
    result = tests("""
import trio

async def test_of_trio(nursery):
    await trio.sleep(0)

def test_of_a_network(qie_run, qie_network):
    assert_delivered(qie_run("chain", for_s=0.02), "chain-a", "chain-b")
    qie_network().run(for_ns=S)

async def test_of_both(qie_network):
    with pytest.raises(RuntimeError, match="run.. from inside a run"):
        qie_network().run(for_ns=S)
""")
    result.assert_outcomes(passed=3)


def test_ctrl_c_ends_the_tests_and_not_a_run_alone(tests: Tests) -> None:
    result = tests("""
def test_interrupted(qie_network):
    network = qie_network()
    network.inputs.schedule(MS, "interrupt")
    network.run(for_ns=S)

def test_next():
    pass
""")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "passed" not in result.stdout.str()


def test_a_run_of_pytest_that_does_not_use_it_does_not_import_the_emulator(tmp_path: Path) -> None:
    file = tmp_path / "test_other.py"
    file.write_text(
        "import sys\ndef test_other():\n    assert not {'emulator', 'nodes', 'trio', 'numpy'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "scenarios.pytest_plugin", "--rootdir", str(tmp_path)]
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, str(file)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_pytest_finds_it_by_its_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    module = import_module(project["entry-points"]["pytest11"]["quantum_internet"])
    assert {"qie_run", "qie_network", "qie_seed"} <= set(vars(module))


def test_all_of_it_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "testing.md").read_text("utf-8")
    for name in [*scenarios.testing.__all__, "qie_run", "qie_network", "qie_seed", "--qie-seed"]:
        assert f"`{name}" in page, f"{name} is not described in testing.md"
