"""Programs that send light and watch for it: exact times, closed forms, and nothing left behind."""

from __future__ import annotations

import doctest
import math
from typing import Any

import pytest
import trio

from emulator import MS, Light, UnderWayError
from emulator.quantum import light
from nodes import BlockingNode, Click, LightRefusedError, Program, ProgramNode, Reception, bases, blocking
from scenarios.build import World, build
from scenarios.load import parse

ALARM = 1e-6  # probability of a false alarm of each statistical assertion
X, Z = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
FLIGHT_NS = 10 * 4890
IDEAL = {"optical_error": 0.0, "detector_efficiency": 1.0, "dark_probability": 0.0, "preparation_us": 0.1}


def document(**receiver: Any) -> dict[str, Any]:
    """Return two clients on 10 km of fibre without loss: alice sends, bob detects; perfect unless said otherwise."""
    sender = {"collection": 1.0, "emission_fidelity": 1.0, "optical_error": 0.0, "preparation_us": 0.1}
    return {
        "name": "light",
        "node": [
            {"name": "alice", "kind": "photonic", "hardware": "photonic.today", "override": sender},
            {"name": "bob", "kind": "photonic", "hardware": "receiver.today", "override": IDEAL | receiver},
        ],
        "link": [{"a": "alice", "b": "bob", "length_km": 10, "loss_db": 0, "station_at": 0.3}],
    }


def world_of(source: dict[str, Any], *, seed: int = 1) -> World:
    scenario, plan = parse(source, "test")
    return build(scenario, plan, seed=seed, keep_history=True)


def run(source: dict[str, Any], programs: dict[str, Program], *, for_ns: int = 50 * MS, seed: int = 1) -> World:
    """Run programs; nothing may fail, and nothing may be left."""
    world = world_of(source, seed=seed)
    for name, program in programs.items():
        world.install(name, program)
    outcome = world.network.run(for_ns=for_ns)
    assert world.programs.failures == []
    assert outcome.leaks == {}
    return world


def within(share: float, expected: float, n: int) -> bool:
    return abs(share - expected) < math.sqrt(math.log(2 / ALARM) / (2 * n))


def photons(
    directions: list[tuple[float, float, float]], source: dict[str, Any], **watch: Any
) -> tuple[list[int], list[Click]]:
    """Send a photon along each direction; return when each left, and the clicks."""
    sent: list[int] = []
    clicks: list[Click] = []

    async def alice(node: ProgramNode) -> None:
        await trio.sleep(1e-6)
        sent.extend([await node.send_photon("bob", direction) for direction in directions])

    async def bob(node: ProgramNode) -> None:
        async with node.photons("alice", **watch) as receiver:
            while True:
                clicks.append(await receiver.click())
                assert node.now_ns == clicks[-1].time_ns

    run(source, {"alice": alice, "bob": bob})
    return sent, clicks


def test_a_photon_arrives_as_it_was_sent_after_exactly_the_light_s_time() -> None:
    sent, clicks = photons([X, (-1.0, 0.0, 0.0)] * 4, document(), direction=X)
    assert sent == [1000 + 100 * k for k in range(1, 9)]  # each takes its preparation
    assert [c.bit for c in clicks] == [0, 1] * 4
    assert [c.emitted_ns for c in clicks] == sent
    assert {c.time_ns - c.emitted_ns for c in clicks} == {FLIGHT_NS}
    assert {(c.basis, c.pulse) for c in clicks} == {(0, 0)}


def test_what_the_classical_channels_take_in_addition_makes_light_known_late_but_not_come_late() -> None:
    source = document()
    source["link"][0]["processing_us"] = 20.0
    found: list[tuple[int, Any]] = []

    async def alice(node: ProgramNode) -> None:
        await trio.sleep(1e-6)
        async with node.pulses("bob", 1000, intensities={2.0: 1.0}):
            pass

    async def bob(node: ProgramNode) -> None:
        async with node.photons("alice") as receiver:
            click = await receiver.click()
            found.append((node.now_ns, click))
            found.append((node.now_ns, await receiver.train()))

    run(source, {"alice": alice, "bob": bob})
    (first_ns, first), (_, rest) = found
    assert first_ns == 1000 + FLIGHT_NS + 40_000
    for click in (first, *rest.clicks):
        assert click.time_ns == click.emitted_ns + FLIGHT_NS == 1000 + click.pulse * 12_500 // 1000 + FLIGHT_NS
    assert len(rest.clicks) > 800


def test_bases_are_chosen_with_their_probabilities_and_the_right_one_tells_the_bit() -> None:
    sent, clicks = photons([Z] * 4000, document(), bases=(0.25, 0.0, 0.75))
    assert len(clicks) == len(sent)
    right = [c for c in clicks if c.basis == 3]
    assert within(len(right) / len(clicks), 0.75, len(clicks))
    assert all(c.bit == 0 for c in right)
    wrong = [c.bit for c in clicks if c.basis == 1]
    assert len(wrong) + len(right) == len(clicks)
    assert within(sum(wrong) / len(wrong), 0.5, len(wrong))


def test_loss_dark_counts_and_misalignment_are_those_of_the_hardware() -> None:
    source = document(detector_efficiency=0.8, dark_probability=0.02, optical_error=0.05)
    source["link"][0]["loss_db"] = 3.0
    source["node"][0]["override"] |= {"collection": 0.5, "emission_fidelity": 0.925}
    sent, clicks = photons([Z] * 6000, source, direction=Z)
    eta, dark, contrast = 0.5 * 10**-0.3 * 0.8, 0.02, 0.9 * 0.9
    detected = 1 - (1 - dark) ** 2 * (1 - eta)
    assert within(len(clicks) / len(sent), detected, len(sent))
    error = (eta * (dark / 2 + (1 - dark) * (1 - contrast) / 2) + (1 - eta) * (1 - (1 - dark) ** 2) / 2) / detected
    assert within(sum(c.bit for c in clicks) / len(clicks), error, len(clicks))


def test_light_goes_through_a_switch_from_end_node_to_end_node() -> None:
    source = {
        "name": "star",
        "hardware": "ideal",
        "star": [
            {
                "name": "hub",
                "end_nodes": 3,
                "photonic_clients": 2,
                "length_km": 1,
                "farthest_km": 5,
                "loss_db": 0,
                "analysers": 1,
                "client_hardware": "receiver.today",
            }
        ],
        "override": {"detector_efficiency": 1.0, "dark_probability": 0.0, "optical_error": 0.0},
    }
    clicks: list[Click] = []

    async def sender(node: ProgramNode) -> None:
        await trio.sleep(1e-6)
        for _ in range(3):
            await node.send_photon("hub-3", X)
        for nobody in ("hub", "hub-9"):
            with pytest.raises(LightRefusedError, match=f"no light can go from hub-1 to '{nobody}'"):
                await node.send_photon(nobody)

    async def receiver(node: ProgramNode) -> None:
        async with node.photons("hub-1", direction=X) as watching:
            clicks.extend([await watching.click() for _ in range(3)])

    run(source, {"hub-1": sender, "hub-3": receiver})
    assert [c.bit for c in clicks] == [0, 0, 0]
    assert {c.time_ns - c.emitted_ns for c in clicks} == {4890 + 5 * 4890}


def train_of(
    source: dict[str, Any], pulses: int, *, seed: int = 1, **options: Any
) -> tuple[Reception, dict[tuple[float, int], int], list[Any], World]:
    """Send one train; the receiver says which pulses counted, and the sender reads its notes of these."""
    found: dict[str, Any] = {}
    options = {"intensities": {0.5: 0.7, 0.1: 0.2, 0.0: 0.1}, "bases": (0.5, 0.0, 0.5)} | options

    async def alice(node: ProgramNode) -> None:
        await trio.sleep(1e-6)
        async with node.pulses("bob", pulses, **options) as train:
            found["left"] = node.now_ns, train.emitted_ns
            await node.socket("bob").receive()
            found["notes"] = [train.prepared(click.pulse) for click in found["reception"].clicks]
            found["totals"] = train.totals()

    async def bob(node: ProgramNode) -> None:
        async with node.photons("alice", bases=(0.5, 0.0, 0.5)) as receiver:
            found["reception"] = await receiver.train()
            found["over_ns"] = node.now_ns
            node.socket("alice").send(b"over")

    world = run(source, {"alice": alice, "bob": bob}, seed=seed)
    reception, duration_ns = found["reception"], pulses * 12_500 // 1000
    assert found["left"] == (1000 + duration_ns, 1000)
    assert reception.emitted_ns == 1000
    assert found["over_ns"] == 1000 + (pulses - 1) * 12_500 // 1000 + FLIGHT_NS
    return reception, found["totals"], found["notes"], world


def test_gains_and_error_rates_of_a_train_are_those_of_decoy_state_theory() -> None:
    source = document(detector_efficiency=0.2, dark_probability=1e-3, optical_error=0.03)
    source["link"][0]["loss_db"] = 10.0
    pulses = 2_000_000
    reception, totals, notes, world = train_of(source, pulses)
    assert sum(totals.values()) == pulses
    eta, y0 = 0.02, 1 - (1 - 1e-3) ** 2
    for mean, share in ((0.5, 0.7), (0.1, 0.2), (0.0, 0.1)):
        sent = totals[mean, 1] + totals[mean, 3]
        assert within(sent / pulses, share, pulses)
        mine = [(n, c) for n, c in zip(notes, reception.clicks, strict=True) if n.intensity == mean]
        seen = 1 - math.exp(-eta * mean)
        gain = y0 + (1 - y0) * seen
        assert abs(len(mine) - gain * sent) < 5 * math.sqrt(gain * sent)
        sifted = [n.bit != c.bit for n, c in mine if n.basis == c.basis]
        assert within(sum(sifted) / len(sifted), (y0 / 2 + 0.03 * seen) / gain, len(sifted))
    for click in reception.clicks[:100]:
        assert click.emitted_ns == 1000 + click.pulse * 12_500 // 1000
        assert click.time_ns == click.emitted_ns + FLIGHT_NS
    # Cost grows with what is detected: a handful of messages, and an event for each click.
    assert world.network.history.counts["message"] < 20
    assert world.network.history.counts["click"] == len(reception.clicks)


def test_the_same_seed_gives_the_same_train_and_another_seed_another() -> None:
    runs = [train_of(document(), 500, seed=seed) for seed in (1, 1, 2)]
    (first, second, third) = [(r.clicks, t, tuple(n)) for r, t, n, _ in runs]
    assert first == second != third
    hashes = [world.network.history.sha256() for *_, world in runs]
    assert hashes[0] == hashes[1] != hashes[2]


def test_what_a_train_tells_its_receiver_is_when_it_comes_and_nothing_of_its_preparation() -> None:
    *_, world = train_of(document(), 50)
    world.network.history.sha256()
    lights = [r for r in world.network.history.kept or () if r.kind == "message" and isinstance(r.fields[3], Light)]
    assert [r.actor for r in lights] == ["alice~bob", "bob"]
    assert lights[1].time_ns - lights[0].fields[2] == FLIGHT_NS
    assert lights[1].fields[3] == Light("alice", 1, "bob", 50, 12_500, 1000, 1.0, FLIGHT_NS)


def test_clicks_can_be_taken_one_by_one_and_what_is_open_is_not_told() -> None:
    clicks: list[Click] = []
    raised = []

    async def alice(node: ProgramNode) -> None:
        await trio.sleep(1e-6)
        async with node.pulses("bob", 100, intensities={1.0: 1.0}) as train:
            with pytest.raises(UnderWayError):
                train.totals()
            raised.append(True)
            await trio.sleep(1e-3)
            assert train.prepared(clicks[0].pulse).intensity == 1.0
            assert sum(train.totals().values()) == 100

    async def bob(node: ProgramNode) -> None:
        async with node.photons("alice") as receiver:
            for _ in range(10):
                clicks.append(await receiver.click())
                assert node.now_ns == clicks[-1].time_ns
            reception = await receiver.train()
            assert [c.pulse for c in reception.clicks] > [c.pulse for c in clicks]

    run(document(), {"alice": alice, "bob": bob})
    assert raised
    assert len(clicks) == 10


async def _send(node: ProgramNode) -> None:
    await trio.sleep(1e-6)
    async with node.pulses("bob", 10_000, intensities={0.5: 1.0}):
        pass
    for _ in range(5):
        await node.send_photon("bob", X)


def test_light_that_nobody_watches_for_leaves_nothing_behind() -> None:
    run(document(), {"alice": _send})


def test_a_receiver_may_stop_in_the_middle_of_a_train() -> None:
    async def bob(node: ProgramNode) -> None:
        async with node.photons("alice") as receiver:
            await receiver.click()
        await trio.sleep(1e-5)
        async with node.photons("alice") as receiver:  # the rest of the train has been missed, the photons have not
            assert (await receiver.click()).pulse == 0

    run(document(), {"alice": _send, "bob": bob})


@pytest.mark.parametrize("victim", ["alice", "bob", "alice~bob"])
@pytest.mark.parametrize("at_ns", [3_000, 40_000, 60_000, 120_000, 160_000])
def test_crashes_leave_nothing_behind(victim: str, at_ns: int) -> None:
    source = document()
    for node in source["node"]:
        node["restart_after_s"] = 1e-5
    world = world_of(source)
    world.network._restart_ns["alice~bob"] = 10_000

    async def bob(node: ProgramNode) -> None:
        async with node.photons("alice") as receiver:
            while True:
                await receiver.click()

    world.install("alice", _send)
    world.install("bob", bob)
    world.network.watch(at_ns, _once(world, victim))
    assert world.network.run(for_ns=5 * MS).leaks == {}
    assert world.programs.failures == []


def _once(world: World, victim: str) -> Any:
    left = [victim]

    def crash() -> None:
        while left:
            world.network.crash(left.pop())

    return crash


def test_the_hardware_says_who_can_send_and_who_can_receive() -> None:
    said: list[str] = []

    async def refuse(what: Any) -> None:
        with pytest.raises(LightRefusedError) as error:
            async with what:
                pass
        said.append(str(error.value))

    async def alice(node: ProgramNode) -> None:
        await refuse(node.photons("bob"))
        await refuse(node.pulses("bob", 10, intensities={0.5: 1.0}, clock_hz=1e9))
        for wrong, message in (({"intensities": {0.5: 0.9}}, "intensities"), ({"bases": (1, 0, 1)}, "bases")):
            with pytest.raises(ValueError, match=message):
                async with node.pulses("bob", 10, **{"intensities": {0.5: 1.0}} | wrong):  # type: ignore[arg-type]
                    pass
        with pytest.raises(ValueError, match="unit vector"):
            await node.send_photon("bob", (1.0, 1.0, 0.0))

    async def bob(node: ProgramNode) -> None:
        with pytest.raises(LightRefusedError, match="bob has no source of single photons"):
            await node.send_photon("alice")
        await refuse(node.pulses("alice", 10, intensities={0.5: 1.0}))
        async with node.photons("alice"):
            await refuse(node.photons("alice"))
        with pytest.raises(ValueError, match="not both"):
            async with node.photons("alice", bases=(1, 0, 0), direction=X):
                pass

    run(document(), {"alice": alice, "bob": bob})
    assert said == [
        'alice has no detectors: the role of its hardware is not "receives" or "both"',
        "alice sends at most 8e+07 pulses per second, not 1e+09",
        "bob has no source of weak pulses: pulse_clock_mhz of its hardware is 0",
        "bob watches for light of 'alice' already",
    ]


def test_a_processing_node_sends_photons_too_and_receives_them_if_it_has_detectors() -> None:
    source = document()
    source["node"] = [
        {"name": name, "kind": "processing", "hardware": "ideal", "override": {"role": role}}
        for name, role in (("alice", "sends"), ("bob", "both"))
    ]
    _, clicks = photons([Z] * 3, source, direction=(0.0, 0.0, -1.0))
    assert [c.bit for c in clicks] == [1, 1, 1]


def test_blocking_programs_send_and_receive() -> None:
    found: list[Any] = []

    def alice(node: BlockingNode) -> None:
        node.sleep(1e-5)
        node.send_photon("bob", X)
        with node.pulses("bob", 100, intensities={1.0: 1.0}) as train:
            node.sleep(1e-3)
            found.append(sum(train.totals().values()))

    def bob(node: BlockingNode) -> None:
        with node.photons("alice", bases=(1, 0, 0)) as receiver:
            found.append(receiver.click().bit)
            found.append(receiver.train().pulses)

    run(document(), {"alice": blocking(alice), "bob": blocking(bob)})
    assert found == [0, 100, 100]


def test_light_for_somebody_who_is_not_there_is_lost_at_the_station() -> None:
    world = world_of(document())
    world.network.actors["alice"].light.find_station = lambda _: "alice~bob"  # type: ignore[attr-defined]

    async def alice(node: ProgramNode) -> None:
        await trio.sleep(1e-6)
        await node.send_photon("carol", X)

    world.install("alice", alice)
    assert world.network.run(for_ns=MS).leaks == {}
    assert world.programs.failures == []
    assert world.network.history.counts["message"] == 1


def test_examples() -> None:
    assert doctest.testmod(bases).failed == 0
    assert doctest.testmod(light).failed == 0
