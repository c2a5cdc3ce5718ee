"""An end node's part in a circuit: hold halves until it is known what they are entangled with. Sans-io, no clock.

Ends never discard on their own: each half is delivered by the Track of the other end or ended by an Expire, and
exactly one of the two comes. Both ends sum up the same Bell index, since a Track passes every link and every swap.
If the two nodes of a link were told different Bell states of a pair, whoever is next to pass a Track over it notices,
and the far end gets an Expire instead; since Tracks go both ways, both ends do.

Both also know for which request a pair is, and what the tail-end has done with its half before it knew; if that does
not fit, neither of them delivers the pair.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from emulator import Half, Message, PairId

from .messages import Expire, Track
from .requests import Request, Requests
from .swapping import EAST


class EndActions(Protocol):
    """What the node does for its part in a circuit."""

    def send(self, side: int, message: Message) -> None:
        """Send to the neighbour on that side."""

    def deliver(self, half: Half, track: Track, request: Request | None) -> None:
        """Hand over an end-to-end pair, with what the other end's Track says of it; None: nobody asked for it."""

    def free(self, half: Half) -> None:
        """Give up a qubit."""


class _Held(NamedTuple):
    half: Half
    asked: Request | None
    measured: int


class EndRole:
    """The state of one circuit at its head-end or tail-end; `side` is where its only link is."""

    def __init__(self, circuit: str, side: int, actions: EndActions, requests: Requests | None = None) -> None:
        self.circuit = circuit
        self.side = side
        self.delivered = self.expired = self.unfit = 0
        self._actions = actions
        self._requests = Requests() if requests is None else requests
        self._held: dict[PairId, _Held] = {}
        self._early: dict[PairId, Track | Expire] = {}

    @property
    def pending(self) -> int:
        """Return how many halves and words are in here."""
        return len(self._held) + len(self._early)

    @property
    def halves(self) -> list[Half]:
        """Return the halves that wait, oldest first."""
        return [held.half for held in self._held.values()]

    def pair(self, half: Half, asked: Request | None = None, measured: int = 0) -> None:
        """Take a half that the link delivered, and begin its Track.

        asked: at the head-end, the request for which it is; measured: the basis in which it was measured for a request
        (0: it was not).
        """
        self._held[half.pair] = _Held(half, asked, measured)
        told = (half.emitted_ns, half.contrasts, half.bias, half.disturbed, asked, measured, (), half.bell)
        self._actions.send(self.side, Track(self.circuit, half.pair, half.pair, half.bell, *told))
        if (word := self._early.pop(half.pair, None)) is not None:
            self.word(word)

    def word(self, word: Track | Expire) -> None:
        """Take the other end's Track, or the news that there is none."""
        held = self._held.pop(word.link, None)
        if held is None:
            self._early[word.link] = word
        elif isinstance(word, Expire) or not word.fits(held.half.bell):
            self._expire(held)
        elif self.side == EAST:
            self._deliver(held, word, held.asked, word.measured)
        else:
            self._deliver(held, word, word.asked, held.measured)

    def _deliver(self, held: _Held, track: Track, request: Request | None, measured: int) -> None:
        if request is None or request.accepts(measured):
            self.delivered += 1
            self._actions.deliver(held.half, track, request)
        else:
            self.unfit += 1
            self._expire(held)

    def _expire(self, held: _Held) -> None:
        self.expired += 1
        if held.asked is not None:
            self._requests.expired(held.asked)
        self._actions.free(held.half)

    def abandon(self) -> None:
        """Give up everything at once: the circuit is broken, and no word will come any more."""
        for held in self._held.values():
            self._expire(held)
        self._held.clear()
        self._early.clear()

    def stop(self) -> None:
        """Tear down: what is held stays until its word has come, so that no pair is delivered at one end only."""
