"""An end node's part in a circuit: hold halves until it is known what they are entangled with. Sans-io, no clock.

Ends never discard on their own: each half is delivered by the Track of the other end or ended by an Expire, and
exactly one of the two comes. Both ends sum up the same Bell index, since a Track passes every link and every swap.
"""

from __future__ import annotations

from typing import Protocol

from emulator import Half, Message, PairId

from .messages import Expire, Track


class EndActions(Protocol):
    """What the node does for its part in a circuit."""

    def send(self, side: int, message: Message) -> None:
        """Send to the neighbour on that side."""

    def deliver(self, half: Half, track: Track) -> None:
        """Hand over an end-to-end pair, with what the other end's Track says of it."""

    def free(self, half: Half) -> None:
        """Give up a qubit."""


class EndRole:
    """The state of one circuit at its head-end or tail-end; `side` is where its only link is."""

    def __init__(self, circuit: str, side: int, actions: EndActions) -> None:
        self.circuit = circuit
        self.side = side
        self.delivered = self.expired = 0
        self._actions = actions
        self._held: dict[PairId, Half] = {}
        self._early: dict[PairId, Track | Expire] = {}

    @property
    def pending(self) -> int:
        """Return how many halves and words are in here."""
        return len(self._held) + len(self._early)

    @property
    def halves(self) -> list[Half]:
        """Return the halves that wait, oldest first."""
        return list(self._held.values())

    def pair(self, half: Half) -> None:
        """Take a half that the link delivered, and begin its Track."""
        self._held[half.pair] = half
        told = (half.bell, half.emitted_ns, half.contrasts, half.bias, half.disturbed)
        track = Track(self.circuit, half.pair, half.pair, *told)
        self._actions.send(self.side, track)
        if (word := self._early.pop(half.pair, None)) is not None:
            self.word(word)

    def word(self, word: Track | Expire) -> None:
        """Take the other end's Track, or the news that there is none."""
        half = self._held.pop(word.link, None)
        if half is None:
            self._early[word.link] = word
        elif isinstance(word, Track):
            self.delivered += 1
            self._actions.deliver(half, word)
        else:
            self.expired += 1
            self._actions.free(half)

    def stop(self) -> None:
        """Tear down: what is held stays until its word has come, so that no pair is delivered at one end only."""
