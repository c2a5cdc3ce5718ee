"""From a demand to terms or to a refusal, without a network."""

from __future__ import annotations

import msgspec
import pytest

from emulator import LinkFigures, RandomStream, StorageLaw
from nodes.control.messages import Contract
from nodes.control.path import NodeFigures
from nodes.control.planning import Foresight, Offer, Shortfall, Way, plan
from nodes.distillation import Gates

LINK = LinkFigures(0.05, 500_000, (0.9, 0.9, 0.9), (100_000, 100_000), bias=(-1.0, 0.0, 0.0))
NODE = NodeFigures(StorageLaw(2.0, 1.0), 10_000, 1.0, (0.99, 0.99, 0.98), gates=Gates((0.999, 0.999), 0.99, 0.99))


def planned(
    contract: Contract, node: NodeFigures = NODE, link: LinkFigures = LINK, links: int = 2
) -> Offer | Shortfall:
    path = tuple(f"n{k}" for k in range(links + 1))
    way = Way(path, (link,) * links, (node,) * (links + 1), 8, ("n1", "west"), (1.0, 1.0))
    return plan(contract, way, 0.0, Foresight(RandomStream(1, "forecast")))


def stored_by(law: StorageLaw) -> NodeFigures:
    return msgspec.structs.replace(NODE, storage=law)


@pytest.mark.parametrize(
    "contract", [Contract(rate_hz=0.1), Contract(fidelity=0.3), Contract(rate_hz=1.0, fidelity=0.9)]
)
def test_a_way_of_which_no_pair_was_seen_is_refused_and_the_reason_says_what_is_known(contract: Contract) -> None:
    answer = planned(contract, stored_by(StorageLaw(retrieval_efficiency=1e-4)))
    assert isinstance(answer, Shortfall)
    assert answer.code == "UNSUPP"
    start, end = "no pair came in a rehearsal: the way delivers fewer than ", " pairs per second"
    assert answer.reason.startswith(start)
    assert answer.reason.endswith(end)
    assert 0 < float(answer.reason.removeprefix(start).removesuffix(end)) < 10


def test_a_way_that_can_never_deliver_is_refused_with_certainty() -> None:
    answer = planned(Contract(rate_hz=0.1), msgspec.structs.replace(NODE, swap_probability=0.0))
    assert isinstance(answer, Shortfall)
    assert answer.reason == "the way delivers no pair, ever"


def test_pairs_that_speak_against_their_announcement_are_no_better_than_they_are() -> None:
    """Memories that decay to |0> turn Psi into its opposite, so without a cutoff F is below 1/4."""
    law = StorageLaw(20.0, 40.0, 1.0)
    slow = msgspec.structs.replace(LINK, success_probability=0.002)
    assert planned(Contract(fidelity=0.2), stored_by(law), slow) != planned(Contract(fidelity=0.2), NODE, slow)
    answer = planned(Contract(fidelity=0.2), stored_by(law), slow)
    assert isinstance(answer, Offer)
    assert answer.terms.cutoff_ns > 0
    assert isinstance(planned(Contract(fidelity=0.9), stored_by(law), slow), Shortfall)


@pytest.mark.parametrize(
    ("law", "lifetime_ns"),
    [
        (StorageLaw(dephasing_s=0.02), 0.02e9),
        (StorageLaw(attempts_1_over_e=40.0), 40 * 500_000),
        (StorageLaw(20.0, 50.0, 1.0), 0.02e9),
    ],
    ids=["gaussian", "attempts", "relaxing"],
)
def test_cutoffs_are_tried_on_the_scale_of_what_decays_first(law: StorageLaw, lifetime_ns: float) -> None:
    offers = [planned(Contract(fidelity=k / 50), stored_by(law)) for k in range(25, 45)]
    cutoffs_ns = {offer.terms.cutoff_ns for offer in offers if isinstance(offer, Offer)} - {0}
    assert cutoffs_ns
    assert cutoffs_ns <= {round(share * lifetime_ns) for share in (1.0, 0.3, 0.1, 0.03)}


def test_distillation_is_promised_with_the_lanes_that_its_waiting_pairs_leave() -> None:
    contract = Contract(fidelity=0.88, rate_hz=1.0, may_distil=True)
    answer = planned(contract, stored_by(StorageLaw(0.1, 0.1)), links=1)
    assert isinstance(answer, Offer)
    assert answer.terms.lanes > answer.terms.rounds * bool(answer.terms.distil)
    alone = planned(msgspec.structs.replace(contract, fidelity=0.95), stored_by(StorageLaw(0.1, 0.1)), links=1)
    assert isinstance(alone, Offer)
    assert alone.terms.distil == "dejmps"
