"""Two actors that talk, to be disturbed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from emulator import MS, Actor, Envelope, Handler, Message, Network, Record


class Count(Message, frozen=True, tag="faults-count"):
    number: int
    contrasts: tuple[float, ...] = ()


class Talker(Actor):
    """Sends numbered messages to its neighbour, one each period, and notes what comes."""

    def __init__(self, name: str, to: str, period_ns: int = MS, most: int = 1 << 60) -> None:
        super().__init__(name)
        self.to, self.period_ns, self.most = to, period_ns, most
        self.heard: list[tuple[int, int]] = []
        self.going = True

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {Count: self.on_count}

    def begin(self) -> None:
        self.sent = 0
        self.going = True
        if self.to:
            self.after(self.period_ns, self.speak)

    def speak(self) -> None:
        if self.going and self.sent < self.most:
            self.sent += 1
            self.send(self.to, Count(self.sent))
            self.after(self.period_ns, self.speak)

    def on_count(self, message: Count, envelope: Envelope) -> None:
        self.heard.append((self.now_ns, message.number))

    def close(self) -> None:
        self.going = False


def pair(seed: int = 1, rate: float = math.inf, **options: Any) -> tuple[Network, Talker, Talker]:
    """Return a network of alice, who speaks, and bob, who listens; light takes 1 ms between them."""
    network = Network(seed=seed, rate=rate, keep_history=True)
    alice = network.add(Talker("alice", "bob", **options), restart_after_ns=MS)
    bob = network.add(Talker("bob", ""), restart_after_ns=MS)
    network.connect("alice", "bob", latency_ns=MS)
    return network, alice, bob


def records_of(network: Network, *kinds: str) -> list[Record]:
    """Return the records of some kinds."""
    network.history.sha256()
    return [record for record in network.history.kept or [] if record.kind in kinds]


@pytest.fixture(scope="session")
def talk() -> SimpleNamespace:
    return SimpleNamespace(pair=pair, records_of=records_of, Talker=Talker, Count=Count)
