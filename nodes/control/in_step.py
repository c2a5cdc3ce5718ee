"""A circuit played through pair by pair: the k-th pairs of all links become the k-th end-to-end pair. Sans-io."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from emulator import RandomStream

from .path import Delivery, Path


def in_step(path: Path, random: RandomStream) -> Iterator[Delivery]:
    """Yield pairs of a chain with one lane, in which the k-th pairs of all links become the k-th end-to-end pair."""
    links = [(link.period_ns, slope, *link.light_ns) for link, slope in zip(path.links, path.slopes, strict=True)]
    swaps_ns = [node.swap_ns for node in path.nodes]
    spans = path.spans_ns
    last = len(links) - 1
    head_light, tail_light = links[0][2], links[last][3]
    head_measures, tail_measures = path.nodes[0].measures, path.nodes[-1].measures
    disturbed = path.is_disturbed
    offers = [(west, east) for _, _, west, east in links]  # when the two positions of a link are ready at its station
    uniform, log = random.uniform, math.log
    while True:
        emitted = done = tail = head_click = 0  # in the link before; at the node; the Track that goes east
        dones: list[int] = []
        clicks: list[tuple[int, int]] = []  # with the number of attempts
        stored: list[int] = [0]
        ready = offers[0][0]
        fresh: list[tuple[int, int]] = []
        for k, (period, slope, west, east) in enumerate(links):
            attempts = 1 + int(log(1 - uniform()) * slope)
            click = max(offers[k]) + period * attempts
            if k:
                done = max(click + west, done) + swaps_ns[k]
                stored += (done - emitted, done - click + west)
                dones.append(done)
                fresh.append((ready, done + links[k - 1][3]))
                ready = done + west
                tail = max(tail, done) + spans[k]
            else:
                head_click = click
                tail = click + west + spans[0]
            clicks.append((click, attempts))
            emitted = click - east
            done = click + east  # the herald
        head = done + spans[last]
        for k in range(last, 0, -1):
            head = max(head, dones[k - 1]) + spans[k - 1]
        fresh.append((ready, (done if tail_measures else tail) + tail_light))
        fresh[0] = ((head_click + head_light if head_measures else head) + head_light, fresh[0][1])
        offers = fresh
        stored[0] = head - head_click + head_light
        stored.append(tail - emitted)
        yield Delivery(head, stored, _disturbed(path, clicks) if disturbed else 0.0)


def _disturbed(path: Path, clicks: Sequence[tuple[int, int]]) -> float:
    """Return what the attempts of the later link of each two have done to the half that waits between them."""
    exponent = 0.0
    for k, node in enumerate(path.nodes[1:-1]):
        heralds_ns = clicks[k][0] + path.links[k].light_ns[1], clicks[k + 1][0] + path.links[k + 1].light_ns[0]
        late = 1 if heralds_ns[1] > heralds_ns[0] else 0
        link = path.links[k + late]
        since_ns = clicks[k + late][0] - link.light_ns[1 - late] - heralds_ns[1 - late]  # until its last photon leaves
        made = min(clicks[k + late][1], max(0, since_ns // link.period_ns + 1))
        exponent += made * path.attempts[k + late] / node.storage.attempts_1_over_e
    return exponent
