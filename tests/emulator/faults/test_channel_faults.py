"""Each kind of fault of channels does what its attributes say. Envelopes are sent through the filters themselves."""

from __future__ import annotations

import math
from itertools import groupby, pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from emulator import MS, UNBIASED, UNDISTURBED, Channel, Envelope
from emulator.messages import encode
from nodes.circuits import Track

N = 20_000


def through(
    talk: SimpleNamespace, kind: str, probability: float = 1.0, **attributes: Any
) -> list[list[tuple[int, int]]]:
    """Return what comes of N envelopes, one each ms: of each, (arrival in ns, number)."""
    network, *_ = talk.pair(most=0)
    network.inject(kind, "alice>bob", start_ns=1, probability=probability, **attributes)
    found: list[list[tuple[int, int]]] = []

    def pass_all() -> None:
        channel = network.channel("alice", "bob")
        for k in range(N):
            envelope = Envelope("alice", 1, 0, talk.Count(k))
            arrivals = [(envelope, (k + 10) * MS)]
            for fault in channel.faults:
                arrivals = [late for early in arrivals for late in fault.deliveries(*early)]
            found.append([(time_ns, late.message.number) for late, time_ns in arrivals])  # type: ignore[attr-defined]

    network.timeline.at(2, pass_all)
    network.run(for_ns=10)
    return found


def share(found: list[Any], expected: float) -> None:
    """Check a share of N by four standard deviations."""
    assert abs(sum(map(bool, found)) / N - expected) < 4 * math.sqrt(expected * (1 - expected) / N) + 1e-9


def test_loss_by_itself(talk: SimpleNamespace) -> None:
    share([not arrivals for arrivals in through(talk, "loss", percent=20)], 0.2)


def test_the_probability_is_that_of_acting_at_all(talk: SimpleNamespace) -> None:
    share([not arrivals for arrivals in through(talk, "loss", probability=0.25, percent=40)], 0.1)


def test_loss_in_bursts(talk: SimpleNamespace) -> None:
    lost = [not arrivals for arrivals in through(talk, "loss", percent=20, mean_burst=5)]
    bursts = [len(list(group)) for bad, group in groupby(lost) if bad]
    assert sum(bursts) / len(bursts) == pytest.approx(5, abs=4 * math.sqrt(20 / len(bursts)))
    # Correlated draws: the variance of the share is greater by (1 + r) / (1 - r), r = 1 - 1/5 - 1/20.
    assert abs(sum(lost) / N - 0.2) < 4 * math.sqrt(0.16 / N * 1.75 / 0.25)


@pytest.mark.parametrize("percent", [0, 100])
def test_loss_of_none_and_of_all(talk: SimpleNamespace, percent: float) -> None:
    for mean_burst in (0, 3):
        assert sum(map(len, through(talk, "loss", percent=percent, mean_burst=mean_burst))) == (0 if percent else N)


@pytest.mark.parametrize("distribution", ["normal", "uniform", "exponential", "pareto"])
def test_delay_has_its_mean_and_jitter(talk: SimpleNamespace, distribution: str) -> None:
    found = through(talk, "delay", mean_ms=50, jitter_ms=5, distribution=distribution)
    delays = [arrivals[0][0] / MS - (k + 10) for k, arrivals in enumerate(found)]
    mean = sum(delays) / N
    assert mean == pytest.approx(50, abs=4 * 5 / math.sqrt(N))
    spread = math.sqrt(sum((delay - mean) ** 2 for delay in delays) / N)
    assert spread == pytest.approx(5, rel=0.5 if distribution == "pareto" else 0.05)  # its fourth moment is infinite


def test_a_delay_is_never_negative(talk: SimpleNamespace) -> None:
    found = through(talk, "delay", mean_ms=1, jitter_ms=5)
    assert min(arrivals[0][0] - (k + 10) * MS for k, arrivals in enumerate(found)) == 0


def test_duplicates_come_after_a_gap(talk: SimpleNamespace) -> None:
    found = through(talk, "duplicate", percent=30, gap_ms=2)
    share([len(arrivals) == 2 for arrivals in found], 0.3)
    assert {arrivals[1][0] - arrivals[0][0] for arrivals in found if len(arrivals) == 2} == {2 * MS}


def test_what_is_reordered_comes_later_by_the_gap(talk: SimpleNamespace) -> None:
    found = through(talk, "reorder", percent=30, gap_ms=2)
    late = [arrivals[0][0] - (k + 10) * MS for k, arrivals in enumerate(found)]
    assert set(late) == {0, 2 * MS}
    share(late, 0.3)


@pytest.mark.parametrize("bits", [1, 3, 7])
def test_corrupt_frames_are_dropped_by_their_checksum(talk: SimpleNamespace, bits: int) -> None:
    share([not arrivals for arrivals in through(talk, "corrupt", percent=30, bits=bits)], 0.3)


def test_a_bottleneck_sends_at_its_rate_and_drops_what_its_queue_cannot_hold(talk: SimpleNamespace) -> None:
    size = 8 * len(encode(talk.Count(N)))
    found = through(talk, "bandwidth", rate_bit_per_s=size * 500, queue_ms=100)  # half of what comes
    times = [arrivals[0][0] for arrivals in found if arrivals]
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps[1000:] == [2 * MS] * (len(gaps) - 1000)
    assert len(times) == pytest.approx(N / 2, rel=0.02)
    assert max(arrivals[0][0] / MS - (k + 10) for k, arrivals in enumerate(found) if arrivals) <= 102


def test_replayed_messages_are_old_and_come_once_more(talk: SimpleNamespace) -> None:
    found = through(talk, "replay", percent=20, age_ms=100)
    old = [(k, arrivals[1][1]) for k, arrivals in enumerate(found) if len(arrivals) == 2]
    assert len(old) == pytest.approx(0.2 * N, rel=0.1)
    assert min(k - number for k, number in old) >= 100
    assert len({number for _, number in old}) == len(old)


def test_two_faults_in_one_channel_act_in_the_order_of_the_schedule(talk: SimpleNamespace) -> None:
    arrivals: list[list[int]] = []
    for order in (("duplicate", "delay"), ("delay", "duplicate")):
        network, *_ = talk.pair(most=0)
        attributes: dict[str, Any] = {
            "duplicate": {"percent": 100, "gap_ms": 7},
            "delay": {"mean_ms": 10, "jitter_ms": 5, "distribution": "uniform"},
        }
        starts = {order[0]: 20, order[1]: 10}  # the later in the schedule begins first
        for kind in order:
            network.inject(kind, "alice>bob", start_ns=starts[kind], **attributes[kind])
        network.timeline.at(30, _pass, talk, network.channel("alice", "bob"), arrivals)
        network.run(for_ns=40)
    first, second = arrivals
    assert len(first) == len(second) == 2
    assert first[1] - first[0] != 7 * MS, "each copy was delayed by itself"
    assert second[1] - second[0] == 7 * MS, "the delayed one was copied"


def _pass(talk: SimpleNamespace, channel: Channel, found: list[list[int]]) -> None:
    arrivals = [(Envelope("alice", 1, 0, talk.Count(1)), MS)]
    for fault in channel.faults:
        arrivals = [late for early in arrivals for late in fault.deliveries(*early)]
    found.append([time_ns for _, time_ns in arrivals])


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("loss", {"percent": 40}),
        ("loss", {"percent": 40, "mean_burst": 4}),
        ("delay", {"mean_ms": 5, "jitter_ms": 5}),
        ("duplicate", {"percent": 50}),
        ("reorder", {"percent": 50, "gap_ms": 5}),
        ("corrupt", {"percent": 40}),
        ("bandwidth", {"rate_bit_per_s": 200_000}),
        ("partition", {}),
        ("clog", {}),
        ("replay", {"percent": 50, "age_ms": 5}),
    ],
)
def test_the_transport_makes_delay_of_it_and_nothing_is_left(
    talk: SimpleNamespace, kind: str, attributes: dict[str, Any]
) -> None:
    histories = []
    for _ in range(2):
        network, _, bob = talk.pair(most=300)
        fault = network.inject(kind, "alice-bob", start_ns=20 * MS, end_ns=200 * MS, **attributes)
        outcome = network.run(for_ns=3_000 * MS)
        assert [number for _, number in bob.heard] == list(range(1, 301)), "each once, in order"
        assert outcome.leaks == {}
        assert fault.fired > 0
        assert network.channel("alice", "bob").faults == []
        histories.append(network.history.sha256())
    assert histories[0] == histories[1]


def test_a_clog_lets_all_go_at_its_end(talk: SimpleNamespace) -> None:
    network, _, bob = talk.pair(most=100)
    network.inject("clog", "alice>bob", start_ns=10 * MS, end_ns=40 * MS)
    network.run(for_ns=200 * MS)
    times = {number: time_ns for time_ns, number in bob.heard}
    assert {times[number] for number in range(10, 40)} == {41 * MS}  # and not sooner than light
    assert times[41] == 42 * MS


def test_a_tampered_message_is_believed(talk: SimpleNamespace) -> None:
    network, *_ = talk.pair(most=0)
    network.inject("tamper", "alice>bob", start_ns=1, factor=0.5, what="contrasts of track")
    channel, seen = network.channel("alice", "bob"), []

    def look() -> None:
        for message in (
            Track("c", ("s", 1), ("s", 1), 2, 9, (1.0, 0.5, 0.2), UNBIASED, UNDISTURBED, None, 0, (), -1),
            talk.Count(3),
        ):
            ((envelope, _),) = channel.faults[0].deliveries(Envelope("alice", 1, 0, message, sequence=5), MS)
            seen.append((envelope.sequence, envelope.message))

    network.timeline.at(5, look)
    network.run(for_ns=10)
    believed = Track("c", ("s", 1), ("s", 1), 2, 9, (0.5, 0.25, 0.1), UNBIASED, UNDISTURBED, None, 0, (), -1)
    assert seen == [(5, believed), (5, talk.Count(3))]


def test_channels_without_a_fault_are_as_they_were(talk: SimpleNamespace) -> None:
    network, *_ = talk.pair(most=50)
    network.inject("delay", "bob>alice", start_ns=1, end_ns=2)
    network.run(for_ns=100 * MS)
    plain, *_ = talk.pair(most=50)
    plain.run(for_ns=100 * MS)
    mine, theirs = (
        [record for record in (net.history.kept or []) if record.actor != "faults"] for net in (network, plain)
    )
    assert mine == theirs
