"""Demands in a city and between two: what is promised is kept, what cannot be is refused with the reason."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from nodes import CircuitRefusedError, Program, ProgramNode
from scenarios.report import Run
from scenarios.run import prepare, run_programs, run_scenario

CITY = ("photonic_clients=0", "end_nodes=8", "demands=0")


def demands(run: Run) -> list[dict[str, Any]]:
    return run.world.promises.as_json(run.outcome.emulated_ns)


def is_kept(demand: dict[str, Any]) -> bool:
    """Photonic clients show their fidelity only in samples, hence three standard errors of the mean."""
    is_fast = demand["rate_hz"] >= 0.95 * demand["promised_rate_hz"]
    return bool(is_fast and demand["fidelity_mean"] + 3 * demand["fidelity_sem"] >= demand["promised_fidelity"])


def good(run: Run) -> Run:
    assert run.outcome.leaks == {}
    assert run.violations == []
    return run


@pytest.mark.parametrize("seed", [1, 2])
def test_each_admitted_demand_gets_what_it_was_promised_and_each_other_a_reason(seed: int) -> None:
    # Half as many heralding stations as all would need.
    settings = ["end_nodes=60", "demands=30", "analysers=3", "photonic_clients=4", "rate_hz=6"]
    found = demands(good(run_scenario("metro", for_s=10, seed=seed, settings=settings)))
    admitted = [d for d in found if d["admitted"]]
    refused = [d for d in found if not d["admitted"]]
    assert len(found) == 30
    assert len(admitted) >= 8
    assert len(refused) >= 8
    assert all(is_kept(d) for d in admitted)
    assert {d["code"] for d in refused} == {"NORES"}
    assert all("heralding stations have" in d["reason"] for d in refused)


def test_a_promise_holds_beside_demands_that_take_whatever_is_left() -> None:
    """Two promised and six others on two stations: the others share the rest, and the promises are kept."""
    document = ["photonic_clients=0", "end_nodes=16", "demands=0", "analysers=2", "rate_hz=0"]
    counts: dict[str, int] = {}

    def asking(to: str, **contract: float) -> Program:
        async def program(node: ProgramNode) -> None:
            async with node.circuit(to=to, **contract) as circuit:  # type: ignore[arg-type]
                while True:
                    pair = await circuit.pair()
                    counts[node.name] = counts.get(node.name, 0) + 1
                    assert pair.qubit is not None
                    node.discard(pair.qubit)

        return program

    programs = {f"city-{k}": asking(f"city-{k + 1}") for k in range(5, 17, 2)}
    programs |= {f"city-{k}": asking(f"city-{k + 1}", rate=12.0, fidelity=0.9) for k in (1, 3)}
    good(run_programs("metro", programs, for_s=10, seed=3, settings=document))
    assert min(counts["city-1"], counts["city-3"]) >= 0.95 * 120
    assert all(counts[f"city-{k}"] > 10 for k in range(5, 17, 2))


def test_a_fidelity_beyond_a_way_is_refused_with_the_best_and_distillation_reaches_it() -> None:
    settings = [*CITY, "demands=4", "rate_hz=0.5", "fidelity=0.96"]
    refused = demands(good(run_scenario("metro", for_s=1, settings=settings)))
    assert {d["code"] for d in refused} == {"UNSUPP"}
    assert all("the best fidelity that the way can give is 0.951" in d["reason"] for d in refused)
    kept = demands(good(run_scenario("metro", for_s=10, settings=[*settings, "route.0.may_distil=true"])))
    assert len(kept) == 4
    assert all(d["admitted"] and is_kept(d) for d in kept)
    assert all(d["fidelity_mean"] > 0.96 for d in kept)


def test_a_controller_that_crashes_loses_no_circuit_and_serves_new_demands_when_it_is_back() -> None:
    settings = [*CITY, "route=[]", "controller.restart_after_s=1"]
    arrivals: list[int] = []
    granted_ns: list[int] = []

    async def user(node: ProgramNode) -> None:
        async with node.circuit(to="city-2", rate=5.0, fidelity=0.9) as circuit:
            while True:
                pair = await circuit.pair()
                arrivals.append(node.now_ns)
                assert pair.qubit is not None
                node.discard(pair.qubit)

    async def late(node: ProgramNode) -> None:
        await trio.sleep(2.2)
        async with node.circuit(to="city-4", rate=5.0, fidelity=0.9) as circuit:
            granted_ns.append(node.now_ns)
            await circuit.pair()

    _, _, world = prepare("metro", settings, seed=5)
    world.install("city-1", user)
    world.install("city-3", late)
    world.network.timeline.at(2_000_000_000, world.network.crash, "controller")
    found: list[tuple[int, int]] = []
    world.network.history.observe("settled", lambda record: found.append(record.fields))
    outcome = world.network.run(for_ns=5_000_000_000)
    assert outcome.leaks == {}
    assert world.programs.failures == []
    assert found == [(9, 0), (9, 1)]  # nodes that have reported, and promises in force
    assert sum(2_000_000_000 < t < 3_000_000_000 for t in arrivals) > 20
    assert len(granted_ns) == 1
    assert granted_ns[0] > 3_000_000_000


def test_a_controller_that_stays_away_is_a_time_out() -> None:
    refused: list[CircuitRefusedError] = []

    async def user(node: ProgramNode) -> None:
        try:
            async with node.circuit(to="city-2"):
                pass
        except CircuitRefusedError as error:
            refused.append(error)

    _, _, world = prepare("metro", [*CITY, "route=[]", "controller.restart_after_s=100"], seed=5)
    world.install("city-1", user)
    world.network.timeline.at(2, world.network.crash, "controller")
    world.network.run(for_ns=12_000_000_000)
    assert [error.code for error in refused] == ["TIMEOUT"]


async def _refused(node: ProgramNode, to: str, **contract: Any) -> CircuitRefusedError | None:
    try:
        async with node.circuit(to=to, **contract):
            return None
    except CircuitRefusedError as error:
        return error


@pytest.mark.parametrize(
    ("to", "contract", "code", "reason"),
    [
        ("city-2", {"fidelity": 1.5}, "CREATE", "a fidelity of 1.5 is impossible"),
        ("city-2", {"rate": -1.0}, "CREATE", "a rate of -1 pairs per second is impossible"),
        ("city-2", {"rate": 1e6}, "NORES", "more than 4 memory positions per link can promise"),
        ("city-2", {"lanes": 0}, "CREATE", "0 memory positions are none"),
        ("city-2", {"lanes": 50}, "NORES", "no free memory at city-"),
        ("city-2", {"rate": 1.0, "cutoff_s": -1.0}, "CREATE", "a cutoff must not be negative"),
        (
            "city-2",
            {"rate": 1.0, "lanes": 2, "distil": "alchemy"},
            "CREATE",
            "there is no distillation protocol 'alchemy'",
        ),
        ("city-2", {"rate": 1.0, "lanes": 2, "distil": "epl", "rounds": 0}, "CREATE", "0 rounds of distillation"),
        ("city-2", {"rate": 1.0, "distil": "epl"}, "CREATE", "distillation needs more lanes than rounds"),
        ("city-1", {}, "CREATE", "there is no path to 'city-1'"),
        ("nowhere", {"rate": 1.0}, "CREATE", "there is no path to 'nowhere'"),
    ],
)
def test_a_demand_that_makes_no_sense_is_refused_and_others_notice_nothing(
    to: str, contract: dict[str, Any], code: str, reason: str
) -> None:
    errors: list[CircuitRefusedError | None] = []
    pairs: list[int] = []

    async def odd(node: ProgramNode) -> None:
        errors.append(await _refused(node, to, **contract))

    async def other(node: ProgramNode) -> None:
        async with node.circuit(to="city-4", rate=5.0) as circuit:
            while True:
                pair = await circuit.pair()
                pairs.append(pair.bell)
                assert pair.qubit is not None
                node.discard(pair.qubit)

    programs: dict[str, Callable[[ProgramNode], Awaitable[object]]] = {"city-1": odd, "city-3": other}
    run = good(run_programs("metro", programs, for_s=1, settings=CITY))
    assert "crashes" not in run.world.network.history.counts
    (error,) = errors
    assert error is not None
    assert (error.code, reason in error.reason) == (code, True)
    assert len(pairs) > 10


@pytest.mark.parametrize("contract", [{"lanes": 12, "rate": 1.0}, {"fidelity": 0.2}, {"lanes": 12, "fidelity": 0.9}])
def test_a_demand_that_is_unusual_but_sound_is_admitted(contract: dict[str, Any]) -> None:
    errors: list[CircuitRefusedError | None] = []

    async def user(node: ProgramNode) -> None:
        errors.append(await _refused(node, "city-2", **contract))

    run = good(run_programs("metro", {"city-1": user}, for_s=1, settings=[*CITY, "star.0.memories=12"]))
    assert errors == [None]
    assert "crashes" not in run.world.network.history.counts


def test_a_way_that_never_delivers_is_refused_and_the_controller_lives() -> None:
    errors: list[CircuitRefusedError | None] = []

    async def user(node: ProgramNode) -> None:
        errors.append(await _refused(node, "city-2", fidelity=0.2))

    # No swap of the hub ever works.
    settings = [*CITY, "analysers=0", "override.swap_efficiency=0"]
    run = good(run_programs("metro", {"city-1": user}, for_s=1, settings=settings))
    assert [error.code for error in errors if error] == ["UNSUPP"]
    assert "crashes" not in run.world.network.history.counts


def test_who_waits_is_served_by_priority_when_something_is_given_back() -> None:
    served: list[str] = []

    def asking(to: str, priority: int, delay_s: float) -> Program:
        async def program(node: ProgramNode) -> None:
            await trio.sleep(delay_s)
            async with node.circuit(to=to, priority=priority, patience_s=5, lanes=4):
                served.append(node.name)
                await trio.sleep(0.5)

        return program

    # All want all memory of one end node.
    programs = {
        "city-1": asking("city-8", 0, 0.0),
        "city-2": asking("city-8", 1, 0.1),
        "city-3": asking("city-8", 5, 0.2),
        "city-4": asking("city-8", 1, 0.3),
    }
    good(run_programs("metro", programs, for_s=4, settings=CITY))
    assert served == ["city-1", "city-3", "city-2", "city-4"]


def test_two_hundred_circuits_between_two_cities_are_set_up_used_and_torn_down() -> None:
    settings = ["end_nodes=50", "photonic_clients=5", "pairs=2", "memories=16", "modes=400", "pause_s=0.5"]
    run = good(run_scenario("berlin-frankfurt", for_s=4, seed=7, settings=settings))
    counts = run.world.network.history.counts
    assert counts["active"] >= 200
    assert counts["closing"] == counts["ended"] == counts["granted"]  # some are given back before they begin
    assert run.world.monitor.unmatched == 0
    assert sum(route.delivered for route in run.world.monitor.routes.values()) >= 400


def test_the_same_seed_gives_the_same_history_with_a_controller_and_promises() -> None:
    settings = ["end_nodes=20", "demands=10", "analysers=4", "rate_hz=3"]
    hashes = {
        run_scenario("metro", for_s=1, rate=rate, seed=4, settings=settings).world.network.history.sha256()
        for rate in (float("inf"), float("inf"), 4.0)
    }
    assert len(hashes) == 1
