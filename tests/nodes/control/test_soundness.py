"""Whatever nodes and stations say of themselves, the controller lives; what cannot be true it does not believe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import Actor, Enquire, Envelope, Figures, Handler, LinkFigures, Message, Network, S, StorageLaw
from nodes.circuits import Terms
from nodes.control.controller import Controller
from nodes.control.messages import Ask, Contract, Deny, Describe, Ended, Grant, NodeReport, PortReport, Promise
from nodes.control.path import NodeFigures
from nodes.control.soundness import flaw_of_figures, flaw_of_promise, flaw_of_report
from nodes.distillation import Gates

LINK = LinkFigures(0.1, 100_000, (0.9, 0.9, 0.9), (50_000, 50_000), 0, 0, (-1.0, 0.0, 0.0), (1.0, 1.0, 1.0))
LAW = StorageLaw(1.0, 0.5, 1.0, 0.5, 2.0, 1e4, 1.0, math.inf)
NODE = NodeFigures(LAW, 1_000, 1.0, (0.99, 0.99, 0.99), False, Gates(), 1_000)
PROMISE = Promise("a>b:1.1", ("a", "h", "b"), Terms(), 1.0, 0.5)
PATHS = {"a": ("h",), "h": ("a", "b"), "b": ("h",)}
ASKS = (
    Contract(),
    Contract(rate_hz=1.0, fidelity=0.5, may_distil=True),
    Contract(rate_hz=0.01, fidelity=0.9, terms=Terms(lanes=2, nested=True)),
)


def station_of(a: str, b: str) -> str:
    return "~".join(sorted((a, b)))


def report(name: str) -> NodeReport:
    peers = PATHS[name]
    ports = tuple(PortReport(peer, station_of(name, peer), 100_000, f"towards {peer}", 4) for peer in peers)
    swaps = name == "h"
    return NodeReport(not swaps, swaps, NODE, ports, "", 0, (PROMISE,) if name == "a" else ())


class Node(Actor):
    """Says what it is told to say, and asks."""

    def __init__(self, name: str, says: NodeReport, again: NodeReport | None, asks: tuple[Contract, ...] = ()) -> None:
        super().__init__(name)
        self.says, self.again, self.asks = says, again, asks
        self.answers: list[Message] = []

    def begin(self) -> None:
        for k, contract in enumerate(self.asks):
            self.after(2 * S + k, self.send, "controller", Ask(f"a>b:1.{2 + k}", "b", contract))

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {Describe: self.on_describe, Grant: self.on_answer, Deny: self.on_answer}

    def on_describe(self, message: Describe, envelope: Envelope) -> None:
        self.send("controller", self.says)
        if self.again is not None:
            self.after(3 * S, self.send, "controller", self.again)

    def on_answer(self, message: Grant | Deny, envelope: Envelope) -> None:
        self.answers.append(message)


class Station(Actor):
    """Says the same of every link."""

    def __init__(self, name: str, figures: LinkFigures) -> None:
        super().__init__(name)
        self.figures = figures

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {Enquire: self.on_enquire}

    def on_enquire(self, message: Enquire, envelope: Envelope) -> None:
        self.send("controller", Figures(message.a, message.b, message.min_fidelity, self.figures))


def run(
    reports: Mapping[str, NodeReport], figures: LinkFigures = LINK, again: Mapping[str, NodeReport] | None = None
) -> tuple[Controller, list[Message], int]:
    """Let the nodes report; return the controller, what alice was answered, and how much was found unsound."""
    network = Network(seed=1)
    controller = Controller("controller", sorted(reports))
    network.add(controller)
    nodes = {name: Node(name, says, (again or {}).get(name), ASKS * (name == "a")) for name, says in reports.items()}
    stations = [Station(station_of("a", "h"), figures), Station(station_of("b", "h"), LINK)]
    for actor in (*nodes.values(), *stations):
        network.add(actor)
        network.connect("controller", actor.name, latency_ns=1_000)
    network.run(for_ns=12 * S)
    assert "crashes" not in network.history.counts
    return controller, nodes["a"].answers, network.history.counts.get("unsound", 0)


REPORTS = {name: report(name) for name in PATHS}


def test_sound_reports_are_believed() -> None:
    controller, answers, unsound = run(REPORTS)
    assert unsound == 0
    assert PROMISE.demand in controller.ledger.promises
    assert [type(answer) for answer in answers] == [Grant, Grant, Deny]
    assert all(flaw_of_report(name, said) is None for name, said in REPORTS.items())
    assert flaw_of_figures(LINK) is None
    assert flaw_of_promise("a", PROMISE) is None


# -- one thing wrong after the other -------------------------------------------------------------------------------


def with_law(**wrong: float) -> NodeReport:
    law = msgspec.structs.replace(LAW, **wrong)
    return msgspec.structs.replace(REPORTS["a"], figures=msgspec.structs.replace(NODE, storage=law))


def with_port(**wrong: Any) -> NodeReport:
    (port,) = REPORTS["a"].ports
    return msgspec.structs.replace(REPORTS["a"], ports=(msgspec.structs.replace(port, **wrong),))


@pytest.mark.parametrize(
    ("said", "flaw"),
    [
        (with_law(transverse_per_s=math.nan), "transverse_per_s"),
        (with_law(longitudinal_per_s=-1.0), "longitudinal_per_s"),
        (with_law(equilibrium=2.0), "equilibrium"),
        (with_law(dephasing_s=0.0), "dephasing_s"),
        (with_law(dephasing_exponent=1e3), "dephasing_exponent"),
        (with_law(retrieval_efficiency=1.5), "retrieval_efficiency"),
        (with_law(retrieval_decay_s=-math.inf), "retrieval_decay_s"),
        (with_law(attempts_1_over_e=math.nan), "attempts_1_over_e"),
        (with_port(latency_ns=-1), "latency_ns"),
        (with_port(positions=-4), "positions"),
        (with_port(peer="a"), "peer"),
        (msgspec.structs.replace(REPORTS["a"], analysers=-1), "analysers"),
        (msgspec.structs.replace(REPORTS["a"], ports=REPORTS["a"].ports * 2), "two ports to one neighbour"),
        (msgspec.structs.replace(REPORTS["a"], figures=msgspec.structs.replace(NODE, swap_ns=-1)), "swap_ns"),
    ],
)
def test_what_a_node_cannot_be_is_not_believed(said: NodeReport, flaw: str) -> None:
    assert flaw_of_report("a", said) == flaw
    controller, answers, unsound = run(REPORTS | {"a": said})
    assert unsound == 1
    assert "a" not in controller.topology.nodes
    assert {answer.code for answer in answers if isinstance(answer, Deny)} == {"CREATE"}
    assert len(answers) == len(ASKS)


@pytest.mark.parametrize(
    ("wrong", "flaw"),
    [
        ({"success_probability": math.nan}, "success_probability"),
        ({"success_probability": 5e-324}, "success_probability"),
        ({"period_ns": 0}, "period_ns"),
        ({"contrasts": (0.9, math.nan, 0.9)}, "contrasts"),
        ({"bias": (-2.0, 0.0, 0.0)}, "bias"),
        ({"light_ns": (-1, 0)}, "times"),
        ({"loaded": (0.5, 0.5, 0.6)}, "loaded"),
        ({"loaded": (0.9, 0.9, 0.1)}, "loaded"),
    ],
)
def test_what_a_link_cannot_be_is_not_believed(wrong: dict[str, Any], flaw: str) -> None:
    figures = msgspec.structs.replace(LINK, **wrong)
    assert flaw_of_figures(figures) == flaw
    _, answers, unsound = run(REPORTS, figures)
    assert unsound > 0
    denied = [answer.reason for answer in answers if isinstance(answer, Deny)]
    assert denied == ["the heralding station a~h gives no sound answer"] * 2  # who wants no promise needs no figures


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": ("a",)},
        {"path": ()},
        {"path": ("b", "h", "a")},
        {"path": ("a", "b")},
        {"path": ("a", "nowhere", "b")},
        {"path": ("a", "h", "a")},
        {"terms": Terms(lanes=-3)},
        {"terms": Terms(shares=(math.nan, 0.0))},
        {"rate_hz": math.nan},
        {"fidelity": 1.5},
    ],
    ids=str,
)
def test_a_promise_that_cannot_have_been_made_is_not_entered(wrong: dict[str, Any]) -> None:
    promise = msgspec.structs.replace(PROMISE, **wrong)
    said = msgspec.structs.replace(REPORTS["a"], promises=(promise,))
    controller, _, unsound = run(REPORTS | {"a": said})
    assert unsound == 1
    assert PROMISE.demand not in controller.ledger.promises
    assert controller.ledger.lanes(("a", "h", "b"))[0] == 4 - len(controller.ledger.promises)


@pytest.mark.parametrize(
    "reports",
    [
        {"h": msgspec.structs.replace(REPORTS["h"], ports=REPORTS["h"].ports[:1])},  # does not know bob
        {"h": msgspec.structs.replace(REPORTS["h"], ports=())},
        {"a": with_port(peer="nowhere")},
        {"a": with_port(station="nowhere")},
    ],
)
def test_neighbours_must_name_each_other(reports: dict[str, NodeReport]) -> None:
    _, answers, _ = run(REPORTS | reports)
    assert {(type(answer), getattr(answer, "code", "")) for answer in answers} == {(Deny, "UNSUPP")}


def test_a_station_that_is_not_there_is_not_asked() -> None:
    nowhere = {"a": with_port(station="nowhere")}
    nowhere["h"] = msgspec.structs.replace(
        REPORTS["h"], ports=(msgspec.structs.replace(REPORTS["h"].ports[0], station="nowhere"), REPORTS["h"].ports[1])
    )
    _, answers, _ = run(REPORTS | nowhere)
    assert [type(answer) for answer in answers] == [Grant, Deny, Deny]


def test_nobody_ends_what_another_was_promised_nor_speaks_for_a_station() -> None:
    class Liar(Node):
        def begin(self) -> None:
            self.after(3 * S, self.send, "controller", Ended(PROMISE.demand))
            for a, b in (("a", "h"), ("h", "b")):
                self.after(2 * S - 1, self.send, "controller", Figures(a, b, 0.0, LINK))

    network = Network(seed=1)
    controller = Controller("controller", sorted(PATHS))
    nodes = [(Liar if name == "b" else Node)(name, REPORTS[name], None) for name in PATHS]
    for actor in (controller, *nodes):
        network.add(actor)
    for node in nodes:
        network.connect("controller", node.name, latency_ns=1_000)
    network.run(for_ns=4 * S)
    assert list(controller.ledger.promises) == [PROMISE.demand]
    assert controller._figures == {}


# -- anything -------------------------------------------------------------------------------------------------------

FLOATS = st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 0.0, 5e-324, 1e-12, 0.5, 1.0, 2.0, 1e300])
INTS = st.sampled_from([-(2**62), -1, 0, 1, 3, 10**15, 2**62])
WORDS = st.sampled_from(["", "a", "h", "b", "nowhere", "a~h", "b~h", "towards h", "dejmps"])


@st.composite
def spoilt(draw: st.DrawFn, said: Any) -> Any:
    """Return a message with some of its numbers and words replaced by others of their kind."""
    plain = msgspec.msgpack.decode(msgspec.msgpack.encode(said))
    leaves = list(_leaves(plain))
    for where in draw(st.lists(st.sampled_from(leaves), min_size=1, max_size=3)):
        *way, last = where
        place = plain
        for step in way:
            place = place[step]
        place[last] = _other(draw, place[last])
    return msgspec.convert(plain, type(said))


def _leaves(plain: list[Any], way: tuple[int, ...] = ()) -> Any:
    for k, value in enumerate(plain):
        if isinstance(value, list):
            yield from _leaves(value, (*way, k))
        elif (*way, k) != (0,) or not isinstance(plain[0], str):
            yield (*way, k)


def _other(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw(INTS)
    return draw(WORDS if isinstance(value, str) else FLOATS)


ANY_REPORTS = st.fixed_dictionaries({name: st.one_of(st.just(said), spoilt(said)) for name, said in REPORTS.items()})


@settings(derandomize=True, deadline=None, max_examples=400, database=None)
@given(ANY_REPORTS, st.one_of(st.just(LINK), spoilt(LINK)), ANY_REPORTS)
def test_the_controller_lives_whatever_it_is_told(
    reports: dict[str, NodeReport], figures: LinkFigures, again: dict[str, NodeReport]
) -> None:
    _, answers, _ = run(reports, figures, again)
    assert len(answers) == len(ASKS)
    for answer in answers:
        if isinstance(answer, Grant):
            assert math.isfinite(answer.promise.rate_hz)
