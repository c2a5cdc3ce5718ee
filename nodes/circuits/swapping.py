"""An intermediate node's part in a circuit: which pairs to swap, and what to tell whom. Sans-io, no clock.

Theory of operation. Links deliver halves of pairs on both sides; a swap joins one from the west with one from the east.
Ends send a `Track` along the chain of swapped pairs. Swaps never wait for messages: a Track that comes early waits at
the half it is for, and a swap that comes early leaves a record (`crossed`) for the Track. A half that ends otherwise
(cutoff, failed swap) sends an `Expire` instead. So along each maximal chain of swapped pairs each of its two final
halves *sends one word and gets one word*, Track or Expire, and each record on the way is used up by the word that
passes. Nothing is left over and nothing is told twice: that is the invariant the tests hold this to.

| a word (Track or Expire) for pair p comes, and p ... | then |
| --- | --- |
| was swapped (record) | it goes on along the chain, and the record is gone |
| waits here; the word is a Track | it waits with p |
| waits here; the word is an Expire | p is freed, and an Expire is the answer |
| is being swapped | it waits with p |
| has ended here (`gone`) | that was the word to get: forget p |
| is not known yet | it waits for the herald |

In nested order a swap also tells both far nodes how far their pair reaches now (`Extended`), before any word passes. So
this news comes to a half before its word does: a pair that is not known when its news comes is one whose herald is
still to come.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias

from emulator import FRESH, UNBIASED, UNKNOWN, Bias, Contrasts, Half, Message, PairId, Stored

from .messages import Expire, Extended, SwapNote, Track
from .order import SwapOrder

WEST: Final = 0  # towards the head-end
EAST: Final = 1  # towards the tail-end

Word: TypeAlias = Track | Expire


class SwapActions(Protocol):
    """What the node does for its part in a circuit."""

    def send(self, side: int, message: Message) -> None:
        """Send to the neighbour on that side."""

    def swap(self, west: Half, east: Half) -> None:
        """Begin a Bell-state measurement; `swapped` is called with its result."""

    def free(self, half: Half) -> None:
        """Give up a qubit."""


@dataclass(slots=True, eq=False)
class _Held:
    half: Half
    side: int
    far: int  # index on the path of the node at the other end of this pair, as far as is known
    far_link: PairId
    word: Word | None = None
    swapping: bool = False


class _Way(NamedTuple):
    """How a word goes on along a chain: to which side, by which pair, and what has to be added to it.

    left: what storage of both halves and the measurement leave of contrasts, times those of the pair by which it goes
    on; kept_z, shift_z: what becomes of Z of the half by which it comes; near_z: as left, for Z of the half here by
    which it goes on (see `Bias`).
    """

    side: int
    link: PairId
    bell: int
    left: Contrasts
    kept_z: float
    shift_z: float
    near_z: float
    note: SwapNote | None
    expected: int  # the Bell state that was announced here of the pair by which the word comes,
    announced: int  # and of `link`

    def added(self, contrasts: Contrasts, bias: Bias) -> tuple[Contrasts, Bias]:
        """Return the contrasts and bias of a longer pair, from those of the pair up to here."""
        x, y, z = self.left
        sign, origin_z, here_z = bias
        shift_z, near_z = self.shift_z, self.near_z
        z_end = self.kept_z * contrasts[2] + shift_z * origin_z
        longer = (contrasts[0] * x, contrasts[1] * y, z_end * z)
        if not (near_z or shift_z or here_z):
            return longer, UNBIASED
        neutral = self.kept_z * here_z + shift_z * sign
        return longer, (neutral * near_z, z_end * near_z, neutral * z)


class SwapRole:
    """The state of one circuit at one intermediate node, the `index`-th of its path."""

    def __init__(self, circuit: str, index: int, order: SwapOrder, actions: SwapActions) -> None:
        self.circuit = circuit
        self.index = index
        self.order = order
        self.swaps = 0
        self.stopping = self.abandoned = self.resting = False
        self._actions = actions
        self._held: dict[PairId, _Held] = {}
        self._ready: tuple[deque[_Held], deque[_Held]] = (deque(), deque())
        self._crossed: dict[PairId, _Way] = {}  # by the pair by which a word will come in
        self._gone: set[PairId] = set()
        self._early: dict[PairId, Word] = {}
        self._early_reach: dict[PairId, Extended] = {}

    @property
    def pending(self) -> int:
        """Return how many halves, records and words are in here."""
        early = len(self._early) + len(self._early_reach)
        return len(self._held) + len(self._crossed) + len(self._gone) + early

    @property
    def halves(self) -> list[Half]:
        """Return the halves that wait or are being swapped, in the order in which they came."""
        return [held.half for held in self._held.values()]

    @property
    def waiting(self) -> list[Half]:
        """Return the halves that wait and are not being swapped, in the order in which they came."""
        return [held.half for held in self._held.values() if not held.swapping]

    def pair(self, side: int, half: Half, *, too_old: bool = False) -> None:
        """Take a half that a link delivered on one side; too_old: it is beyond the cutoff already."""
        held = _Held(half, side, self.index + (1 if side else -1), half.pair)
        self._held[half.pair] = held
        word = self._early.pop(half.pair, None)
        if (reach := self._early_reach.pop(half.pair, None)) is not None:
            held.far, held.far_link = reach.far, reach.far_link
        if self.order.may_swap(self.index, held.far):
            self._ready[side].append(held)
        if word is not None:
            self.word(word)
        if (self.stopping or self.resting or too_old) and half.pair in self._held:
            self._end(held)
        self._match()

    def word(self, word: Word) -> None:
        """Take a Track or an Expire for the pair `word.link`."""
        link = word.link
        held = self._held.get(link)
        if link in self._crossed:
            self._pass_on(word, self._crossed.pop(link))
        elif held is not None:
            held.word = word
            if isinstance(word, Expire) and not held.swapping:
                self._end(held)
        elif link in self._gone:
            self._gone.remove(link)
        else:
            self._early[link] = word

    def extended(self, message: Extended) -> None:
        """Take the news that a pair reaches further; in nested order that may make it ready."""
        held = self._held.get(message.link)
        if held is None:
            if message.link not in self._gone:
                self._early_reach[message.link] = message
        elif not held.swapping:
            held.far, held.far_link = message.far, message.far_link
            if self.order.may_swap(self.index, held.far):
                self._ready[held.side].append(held)
                self._match()

    def swapped(
        self,
        west: Half,
        east: Half,
        outcome: int | None,
        contrasts: Contrasts = UNKNOWN,
        stored: tuple[Stored, Stored] = (FRESH, FRESH),
        note: SwapNote | None = None,
    ) -> None:
        """Take the result of a swap; None: it failed.

        contrasts: what the measurement has left; stored: what storage of the two halves, west and east, has done; note:
        what to tell the ends of it, if they want to know.
        """
        x, y = self._held.pop(west.pair), self._held.pop(east.pair)
        if self.abandoned:
            return
        if outcome is None:
            self._end_word(x)
            self._end_word(y)
            return
        self.swaps += 1
        if self.order.nested:
            self._tell_extended(x, y)
            self._tell_extended(y, x)
        for incoming, outgoing, came, goes in ((x, y, *stored), (y, x, stored[1], stored[0])):
            way = _way((incoming, came), (outgoing, goes), outcome, contrasts, note)
            if incoming.word is not None:
                self._pass_on(incoming.word, way)
            else:
                self._crossed[incoming.half.pair] = way

    def discard_before(self, emitted_ns: int) -> None:
        """Discard what was emitted before a time and still waits (the cutoff)."""
        for held in [h for h in self._held.values() if h.half.emitted_ns < emitted_ns and not h.swapping]:
            self._end(held)

    def rest(self) -> None:
        """End what waits and what still comes, until `resume`: nobody asks for pairs."""
        self.resting = True
        for held in [h for h in self._held.values() if not h.swapping]:
            self._end(held)

    def resume(self) -> None:
        """Take pairs again."""
        self.resting = False

    def stop(self) -> None:
        """Tear down: end what waits and what still comes. All is over when nothing is pending."""
        self.stopping = True
        for held in [h for h in self._held.values() if not h.swapping]:
            self._end(held)

    def abandon(self) -> None:
        """Give up everything at once: the circuit is broken. Only swaps that have begun come to their end."""
        self.stopping = self.abandoned = True
        for pair, held in list(self._held.items()):
            if not held.swapping:
                del self._held[pair]
                self._actions.free(held.half)
        for table in (*self._ready, self._crossed, self._gone, self._early, self._early_reach):
            table.clear()

    def _match(self) -> None:
        west, east = self._ready
        while west and east:
            x, y = west.popleft(), east.popleft()
            x.swapping = y.swapping = True
            self._actions.swap(x.half, y.half)

    def _pass_on(self, word: Word, way: _Way) -> None:
        if isinstance(word, Track) and word.fits(way.expected):
            contrasts, bias = way.added(word.contrasts, word.bias)
            history = word.history if way.note is None else (*word.history, way.note)
            request = (word.asked, word.measured)
            told = (word.emitted_ns, contrasts, bias, word.disturbed, *request, history, way.announced)
            bell = word.bell ^ way.bell
            self._actions.send(way.side, Track(self.circuit, word.origin, way.link, bell, *told))
        else:
            self._actions.send(way.side, Expire(self.circuit, way.link))

    def _end(self, held: _Held) -> None:
        """End a half that waits: free it and say so."""
        del self._held[held.half.pair]
        if held in self._ready[held.side]:
            self._ready[held.side].remove(held)
        self._actions.free(held.half)
        self._end_word(held)

    def _end_word(self, held: _Held) -> None:
        self._actions.send(held.side, Expire(self.circuit, held.half.pair))
        if held.word is None:
            self._gone.add(held.half.pair)

    def _tell_extended(self, near: _Held, other: _Held) -> None:
        if self.order.is_intermediate(near.far):
            message = Extended(self.circuit, near.far, near.far_link, other.far, other.far_link)
            self._actions.send(near.side, message)


def _way(
    comes: tuple[_Held, Stored], goes: tuple[_Held, Stored], outcome: int, measured: Contrasts, note: SwapNote | None
) -> _Way:
    half = goes[0].half
    x, y, z = half.contrasts
    sign, mine_z, other_z = half.bias
    a, b, c = measured
    kept_x, kept_y, kept_z, shift_z = comes[1]
    x_left, y_left, e, s = goes[1]
    left = (a * kept_x * x_left * x, b * kept_y * y_left * y, c * (e * z + s * other_z))
    near_z = c * (e * mine_z + s * sign)
    bell, expected = half.bell, comes[0].half.bell
    return _Way(goes[0].side, half.pair, outcome ^ bell, left, kept_z, shift_z, near_z, note, expected, bell)
