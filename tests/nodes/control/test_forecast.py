"""The forecast of a circuit agrees with the emulation of it, and with what can be worked out on paper."""

import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from emulator import LinkFigures, RandomStream, StorageLaw
from links.station import HeraldingStation
from nodes import QuantumNode
from nodes.control.forecast import Forecast, fidelity, forecast
from nodes.control.path import NodeFigures
from scenarios.build import World
from scenarios.report import route_json
from scenarios.run import prepare, run_scenario

TOLD = 2000  # pairs of the forecast
SEEN = 500  # pairs of the emulation
MS = 1_000_000
WERNER = ("hardware=ideal", "chain.0.success_probability=0.05", "chain.0.fidelity=0.99")
IDEAL = (*WERNER, "override.depolarising_s=0.5")
RELAXING = (*WERNER, "override.t1_s=0.5", "override.t2_s=0.3")
FAILING = (*IDEAL, "override.swap_efficiency=0.7", "override.swap_us=300")
ION = ("hardware=ion.near_future", "length_km=20")
DISTURBED = (*WERNER, "override.attempts_1_over_e=60")
DRIFTING = (*WERNER, "override.t1_s=0.2", "override.t2_s=0.2", "override.dephasing_s=0.1")
ABSORPTIVE = ("hardware=afc.near_future", "length_km=20", "override.retrieval_decay_s=0.002")

LINK = LinkFigures(0.02, 500_000, (0.98, 0.97, 0.99), (100_000, 50_000))
NODE = NodeFigures(StorageLaw(2.0, 1.0), 10_000, 1.0, (0.99, 0.99, 0.98))
WAYS: list[dict[str, Any]] = [{}, {"lanes": 3}, {"cutoff_ns": 20 * MS}, {"nested": True}]


def chain(number: int, link: LinkFigures = LINK, node: NodeFigures = NODE, seed: int = 1, **options: Any) -> Forecast:
    return forecast([link] * number, [node] * (number + 1), RandomStream(seed, "forecast"), **options)


def figures(world: World, path: tuple[str, ...]) -> tuple[list[LinkFigures], list[NodeFigures]]:
    """Read off a world what its links and nodes would publish."""
    actors = world.network.actors
    links = []
    for a, b in pairwise(path):
        node = actors[a]
        assert isinstance(node, QuantumNode)
        station = actors[node.ports[b].station]
        assert isinstance(station, HeraldingStation)
        links.append(station.figures(a, b, 0.0))
    nodes = [node.report().figures for name in path if isinstance(node := actors[name], QuantumNode)]
    return links, nodes


def check(told: Forecast, seen: dict[str, Any], *, rare: bool = False) -> None:
    """Check rate and fidelity to three standard errors; the emulation is the same process, but shorter.

    rare: fidelities of single pairs are not near their mean, but a few of them far away (dark counts, outcomes of one
    bit), so that what was seen may lack one by chance, and its scatter says nothing of it.
    """
    longer = math.sqrt(1 + TOLD / seen["delivered"])
    rate_error = longer * told.rate_error_hz or seen["rate_hz"] / math.sqrt(seen["delivered"])
    assert abs(seen["rate_hz"] - told.rate_hz) < 3 * rate_error
    fidelity_error = max(longer * told.fidelity_error, math.hypot(told.fidelity_error, seen["fidelity_sem"]), 1e-9)
    if rare:
        fidelity_error = math.hypot(fidelity_error, 1 / seen["fidelity_samples"])
    assert abs(seen["fidelity_mean"] - told.fidelity) < 3 * fidelity_error


def compare(number: int, *settings: str, pairs: int = SEEN, **options: Any) -> None:
    lanes, cutoff_ns = options.get("lanes", 1), options.get("cutoff_ns", 0)
    cutoff = [f"route.0.cutoff_s={cutoff_ns * 1e-9}"] if cutoff_ns else []
    order = ["order=nested"] if options.get("nested") else []
    settings = (f"links={number}", "pairs=0", f"lanes={lanes}", f"memories={lanes}", *settings, *cutoff, *order)
    _, plan, world = prepare("chain", settings)
    ((_, path),) = plan.demands
    told = forecast(*figures(world, path), RandomStream(1, "forecast"), pairs=TOLD, **options)
    run = run_scenario("chain", for_s=pairs / told.rate_hz, seed=2, settings=settings)
    assert run.good, run.violations
    seen = route_json(run.world, path[0], path[-1], run.outcome.emulated_ns / 1e9)
    check(told, seen, rare=any(setting.startswith("hardware=") and setting != WERNER[0] for setting in settings))


# -- the emulation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("number", [1, 2, 3, 4, 8])
def test_it_agrees_with_the_emulation(number: int, lanes: int) -> None:
    compare(number, *IDEAL, lanes=lanes)


@pytest.mark.parametrize(("lanes", "cutoff_ns"), [(1, 10 * MS), (4, 4 * MS)])
@pytest.mark.parametrize("number", [2, 3, 4, 8])
def test_it_agrees_with_the_emulation_with_a_cutoff(number: int, lanes: int, cutoff_ns: int) -> None:
    compare(number, *IDEAL, lanes=lanes, cutoff_ns=cutoff_ns)


@pytest.mark.parametrize("options", [{"lanes": 1}, {"lanes": 4, "cutoff_ns": 4 * MS}], ids=str)
@pytest.mark.parametrize("number", [1, 2, 3, 4, 8])
def test_it_agrees_with_the_emulation_of_ions(number: int, options: dict[str, int]) -> None:
    compare(number, *ION, **options)


@pytest.mark.parametrize("options", [{}, {"lanes": 4}, {"cutoff_ns": 10 * MS}, {"nested": True}], ids=str)
@pytest.mark.parametrize("hardware", [RELAXING, FAILING], ids=["relaxing", "failing"])
def test_it_agrees_when_memories_relax_and_swaps_fail(hardware: tuple[str, ...], options: dict[str, Any]) -> None:
    compare(3, *hardware, **options)


@pytest.mark.parametrize("options", [{}, {"lanes": 4}, {"cutoff_ns": 10 * MS}, {"nested": True, "lanes": 2}], ids=str)
@pytest.mark.parametrize("hardware", [DISTURBED, DRIFTING], ids=["disturbed", "drifting"])
def test_it_agrees_when_attempts_disturb_and_when_memories_decay_in_any_way(
    hardware: tuple[str, ...], options: dict[str, Any]
) -> None:
    compare(3, *hardware, **options)


@pytest.mark.parametrize("options", [{}, {"lanes": 3, "cutoff_ns": 2 * MS}], ids=str)
def test_it_agrees_when_memories_may_be_empty(options: dict[str, Any]) -> None:
    compare(2, *ABSORPTIVE, pairs=150, **options)


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("ends", [("photonic", "photonic"), ("photonic", "processing")])
@pytest.mark.parametrize("names", ["ab", "amb"])
def test_it_agrees_for_photonic_clients_and_stations_off_the_middle(
    worlds: SimpleNamespace, names: str, ends: tuple[str, str], lanes: int
) -> None:
    options = {"length_km": 50, "success_probability": 0.05, "fidelity": 0.99, "station_at": 0.2}
    document = worlds.line(*names, memories=lanes, **options)
    document["node"][0]["kind"], document["node"][-1]["kind"] = ends
    document["route"][0]["lanes"] = lanes
    document["override"] = {"depolarising_s": 0.5}
    world = worlds.read(document, seed=3)
    told = forecast(*figures(world, tuple(names)), RandomStream(1, "forecast"), lanes=lanes, pairs=TOLD)
    emulated_s = SEEN / told.rate_hz
    world.network.run(for_ns=round(emulated_s * 1e9))
    check(told, route_json(world, names[0], names[-1], emulated_s), rare=True)


# -- on paper ----------------------------------------------------------------------------------------------------------


def test_two_equal_links_take_the_greater_of_two_geometric_numbers() -> None:
    p, period_ns, decay = 0.05, MS, 3.0
    link, node = (
        LinkFigures(p, period_ns, (1.0,) * 3, (0, 0)),
        NodeFigures(StorageLaw(decay, decay), 0, 1.0, (1.0,) * 3),
    )
    attempts = 2 / p - 1 / (1 - (1 - p) ** 2)
    s = (1 - p) * math.exp(-2 * decay * period_ns * 1e-9)  # both halves of the pair that came first are stored
    contrast = p / (2 - p) * (1 + 2 * s / (1 - s))
    for cutoff_ns in (0, 10**15):  # pair by pair, and event by event
        told = chain(2, link, node, pairs=10_000, cutoff_ns=cutoff_ns)
        assert abs(told.rate_hz - 1e9 / (period_ns * attempts)) < 3 * told.rate_error_hz
        assert abs(told.fidelity - fidelity((contrast,) * 3)) < 3 * told.fidelity_error


@pytest.mark.parametrize("lanes", [1, 5])
def test_one_link_is_idle_while_its_ends_hear_of_each_other(lanes: int) -> None:
    told = chain(1, lanes=lanes)
    idle_s = 2 * 150_000e-9
    assert told.rate_hz == pytest.approx(lanes / (500_000e-9 / 0.02 + idle_s))
    x, z = math.exp(-2 * 2.0 * idle_s), math.exp(-2 * 1.0 * idle_s)
    assert told.contrasts == pytest.approx((0.98 * x, 0.97 * x, 0.99 * z))
    assert (told.age_s, told.rate_error_hz, told.fidelity_error) == (pytest.approx(idle_s), 0.0, 0.0)


def test_sure_links_and_swaps_have_no_errors() -> None:
    told = chain(4, LinkFigures(1.0, 500_000, (0.9, 0.8, 0.7), (100_000, 100_000)), pairs=40)
    cycle_ns = 100_000 + 4 * 200_000 + 100_000 + 500_000  # herald, Track, offer, attempt
    assert told.rate_hz == pytest.approx(1e9 / cycle_ns)
    assert told.rate_error_hz == pytest.approx(0, abs=1e-9)
    assert told.fidelity_error == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("number", [2, 5])
def test_pair_by_pair_and_event_by_event_are_the_same_process(number: int) -> None:
    quick, slow = chain(number, pairs=5000), chain(number, pairs=5000, cutoff_ns=10**15, seed=2)
    assert abs(quick.rate_hz - slow.rate_hz) < 3 * math.hypot(quick.rate_error_hz, slow.rate_error_hz)
    assert abs(quick.fidelity - slow.fidelity) < 3 * math.hypot(quick.fidelity_error, slow.fidelity_error)


# -- what callers rely on ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_equal_streams_make_equal_forecasts(options: dict[str, Any]) -> None:
    assert chain(4, **options) == chain(4, **options) != chain(4, seed=2, **options)


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_the_faster_memories_decay_the_worse_are_the_pairs(options: dict[str, Any]) -> None:
    decays = [(0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (3.0, 0.5), (10.0, 10.0)]
    told = [chain(4, node=msgspec.structs.replace(NODE, storage=StorageLaw(*decay)), **options) for decay in decays]
    assert all(a.fidelity > b.fidelity and a.rate_hz == b.rate_hz for a, b in pairwise(told))


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_the_likelier_attempts_succeed_the_more_pairs_there_are(options: dict[str, Any]) -> None:
    links = [msgspec.structs.replace(LINK, success_probability=p) for p in (0.005, 0.01, 0.02, 0.05, 0.2, 1.0)]
    told = [chain(4, link, **options) for link in links]
    assert all(a.rate_hz < b.rate_hz for a, b in pairwise(told))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_share_makes_attempts_of_the_outer_links_rarer(number: int) -> None:
    rarer = msgspec.structs.replace(LINK, success_probability=0.01)
    links = [rarer, LINK, rarer] if number == 3 else [rarer] * number
    told = forecast(links, [NODE] * (number + 1), RandomStream(1, "forecast"))
    assert chain(number, shares=(0.5, 0.5)) == told


def test_what_never_succeeds_makes_no_pairs() -> None:
    dead = msgspec.structs.replace(LINK, success_probability=0.0)
    broken = msgspec.structs.replace(NODE, swap_probability=0.0)
    hasty = chain(4, cutoff_ns=1)
    for told in (chain(2, dead), chain(2, node=broken), chain(2, shares=(0.0, 1.0)), hasty):
        assert (told.rate_hz, told.fidelity, told.age_s) == (0.0, 0.25, math.inf)
    assert chain(1, node=broken).rate_hz > 0  # ends do not swap


def test_if_no_pair_came_the_rate_has_an_upper_limit_and_the_fidelity_is_unknown() -> None:
    rare = msgspec.structs.replace(NODE, storage=msgspec.structs.replace(NODE.storage, retrieval_efficiency=1e-4))
    for options in ({}, {"lanes": 3}):
        told = chain(3, node=rare, pairs=20, **options)
        assert (told.rate_hz, told.fidelity) == (0.0, 0.25)
        assert told.fidelity - 3 * told.fidelity_error < 0
        # One of 10^16 swaps works. The limit only says how long the rehearsal was, in which links made pairs.
        assert 0 < told.rate_error_hz < 20
    longer = chain(3, node=rare, pairs=80)
    assert longer.rate_error_hz < told.rate_error_hz


def test_swaps_of_memories_that_are_empty_half_of_the_time_fail_as_often() -> None:
    half = msgspec.structs.replace(LINK, loaded=(0.5, 0.5, 0.25))
    still = msgspec.structs.replace(NODE, storage=StorageLaw())
    full, empty = chain(2, node=still, pairs=4000, cutoff_ns=10**15), chain(2, half, still, pairs=4000)
    assert empty.contrasts == pytest.approx([4 * c for c in full.contrasts])  # of the heralds most bring nothing
    # Whoever fails is free again a little sooner than by a Track.
    assert empty.rate_hz == pytest.approx(full.rate_hz / 4, rel=0.1)


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_the_more_attempts_disturb_the_worse_are_the_pairs(options: dict[str, Any]) -> None:
    laws = [StorageLaw(2.0, 1.0, attempts_1_over_e=n) for n in (math.inf, 1e4, 1e3, 100.0)]
    told = [chain(4, node=msgspec.structs.replace(NODE, storage=law), **options) for law in laws]
    assert all(a.fidelity > b.fidelity and a.rate_hz == b.rate_hz for a, b in pairwise(told))


def test_few_pairs_are_better_than_none_but_uncertain() -> None:
    told = chain(3, cutoff_ns=2 * MS, pairs=40)
    assert told.rate_hz > 0
    assert told.rate_error_hz > 0.2 * told.rate_hz


@pytest.mark.parametrize(
    ("links", "nodes", "options"), [(0, 1, {}), (2, 2, {}), (2, 3, {"lanes": 0}), (2, 3, {"pairs": 3})]
)
def test_numbers_that_make_no_path_are_refused(links: int, nodes: int, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="not"):
        forecast([LINK] * links, [NODE] * nodes, RandomStream(1, "forecast"), **options)


def test_figures_travel_in_messages() -> None:
    for figure in (LINK, NODE):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(figure), type=type(figure)) == figure
