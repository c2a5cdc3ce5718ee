"""An end node's part in the distillation of a circuit's pairs: which two meet, and what becomes of them. Sans-io.

Theory of operation. Both ends are given the same end-to-end pairs, in whatever order. The head-end alone decides which
two meet: a pair that comes meets the one of its round that waits, if there is one. It does its part at once and says so
in a `Distil`; the tail-end does its own part when it holds both, and answers with a `Distilled`. So each end knows
both outcomes, and comes to the same verdict: the kept pair goes into the next round, is handed on after the last one,
or is freed.

    head-end                              tail-end
      | gates, reads the spent pair          |
      | -- Distil(kept, spent, outcome) -->  | waits until it holds both
      |                                      | gates, reads the spent pair; verdict
      | <-- Distilled(kept, outcome) ------  |
      | verdict                              |

No deadlock: at the head-end at most one pair of each round waits, so with more lanes than rounds another may come.

Tear-down. After its `stop` the head-end begins nothing and sends no `Distil`; what waits is freed. The news of it
travels behind all `Distil`s, so when the tail-end is stopped, it knows all that is still to be done: it frees the rest.
What was begun at both ends comes to its end at both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import msgspec

from emulator import SIGNS, UNKNOWN, Contrasts, Half, Message, PairId
from nodes import distillation

from .messages import Track
from .swapping import EAST, WEST

# The same at both ends: what the head-end calls the pair, and what the tail-end calls it.
PairName: TypeAlias = tuple[PairId, PairId]


class Distil(Message, frozen=True, tag="distil"):
    """Head-end to tail-end: the head-end has done its part in the distillation of two pairs.

    round: how often each of them has been distilled; turns: the numbers of the turns that both were given; outcome:
    what was read of the spent pair (-1: no answer); gates: the noise of the head-end's gates and read-out.
    """

    circuit: str
    kept: PairName
    spent: PairName
    round: int
    turns: tuple[int, int]
    outcome: int
    gates: distillation.Gates


class Distilled(Message, frozen=True, tag="distilled"):
    """Tail-end to head-end: the tail-end has done its part too; outcome, gates: as in `Distil`."""

    circuit: str
    kept: PairName
    spent: PairName
    outcome: int
    gates: distillation.Gates


@dataclass(slots=True, eq=False)
class Held:
    """A pair as an end knows it: its half, and what the other end's Track and further rounds say of the pair."""

    name: PairName
    half: Half
    track: Track


@dataclass(frozen=True, slots=True)
class Reading:
    """What an end's part in a distillation came to.

    outcome: what was read of the spent pair (-1: no answer), and when; kept, spent: contrasts of both pairs before the
    gates, by what is known here; gates: this end's noise.
    """

    outcome: int
    time_ns: int = 0
    kept: Contrasts = UNKNOWN
    spent: Contrasts = UNKNOWN
    gates: distillation.Gates = distillation.NOISELESS

    def forecast(self, protocol: distillation.Protocol, far: distillation.Gates) -> Contrasts:
        """Return the contrasts of the pair if it is kept; far: the noise of the other end."""
        kept, spent = distillation.weights_of(self.kept), distillation.weights_of(self.spent)
        return distillation.contrasts_of(protocol.forecast(kept, spent, self.gates * far).weights)


@dataclass(slots=True, eq=False)
class Meeting:
    """Two pairs of one round at one end, and the turns that they are given."""

    kept: Held
    spent: Held
    round: int
    turns: tuple[int, int]
    reading: Reading | None = None  # once this end has done its part


class DistilActions(Protocol):
    """What the node does for its part in the distillation of a circuit's pairs."""

    def send(self, side: int, message: Message) -> None:
        """Send to the neighbour on that side."""

    def choose(self, n: int) -> int:
        """Return a random number below n."""

    def operate(self, meeting: Meeting) -> None:
        """Begin this end's part; `operated` is called with what it came to."""

    def hand_on(self, half: Half, track: Track) -> None:
        """Hand over a pair that has been through all rounds."""

    def free(self, half: Half) -> None:
        """Give up a qubit."""


class DistilRole(ABC):
    """The distillation of one circuit's pairs at one of its ends."""

    def __init__(self, circuit: str, protocol: distillation.Protocol, rounds: int, actions: DistilActions) -> None:
        self.circuit = circuit
        self.protocol = protocol
        self.rounds = rounds
        self.stopping = self.abandoned = False
        self._actions = actions

    @property
    @abstractmethod
    def pending(self) -> int:
        """Return how many pairs, meetings and messages are in here."""

    @abstractmethod
    def pair(self, half: Half, track: Track) -> None:
        """Take an end-to-end pair."""

    @abstractmethod
    def word(self, word: Distil | Distilled) -> None:
        """Take the other end's message."""

    @abstractmethod
    def operated(self, meeting: Meeting, reading: Reading) -> None:
        """Take what this end's part came to."""

    @abstractmethod
    def stop(self) -> None:
        """Tear down: free what waits and what still comes; what is half done at both ends comes to its end."""

    @abstractmethod
    def abandon(self) -> None:
        """Give up everything at once: the circuit is broken. Only operations that have begun come to their end."""

    @abstractmethod
    def _await(self, held: Held, round_: int) -> None:
        """Let a pair wait for a partner in a round."""

    def _end(self, meeting: Meeting, outcomes: tuple[int, int], far: distillation.Gates) -> None:
        """Come to the verdict, from the outcomes at head-end and tail-end; far: the noise of the other end."""
        kept, spent = meeting.kept, meeting.spent
        assert meeting.reading is not None
        bell = self.protocol.verdict((kept.track.bell, spent.track.bell), meeting.turns, outcomes)
        if bell is None:
            self._actions.free(kept.half)
            return
        contrasts = meeting.reading.forecast(self.protocol, far)
        bias = (SIGNS[bell][3], 0.0, 0.0)
        kept.half.counted_ns = meeting.reading.time_ns
        kept.track = msgspec.structs.replace(kept.track, bell=bell, contrasts=contrasts, bias=bias)
        if meeting.round + 1 == self.rounds:
            self._actions.hand_on(kept.half, kept.track)
        else:
            self._await(kept, meeting.round + 1)


class DistilHead(DistilRole):
    """The head-end decides which pairs meet."""

    def __init__(self, circuit: str, protocol: distillation.Protocol, rounds: int, actions: DistilActions) -> None:
        super().__init__(circuit, protocol, rounds, actions)
        self._waiting: dict[int, Held] = {}  # by round
        self._meetings: dict[PairName, Meeting] = {}  # by the name of the kept pair

    @property
    def pending(self) -> int:
        """Return how many pairs and meetings are in here."""
        return len(self._waiting) + len(self._meetings)

    def pair(self, half: Half, track: Track) -> None:
        """Take an end-to-end pair."""
        self._await(Held((half.pair, track.origin), half, track), 0)

    def word(self, word: Distil | Distilled) -> None:
        """Take the tail-end's answer."""
        meeting = self._meetings.pop(word.kept)
        assert meeting.reading is not None
        self._end(meeting, (meeting.reading.outcome, word.outcome), word.gates)

    def operated(self, meeting: Meeting, reading: Reading) -> None:
        """Tell the tail-end, unless it hears by now that nothing more will come."""
        kept, spent = meeting.kept, meeting.spent
        self._actions.free(spent.half)
        if self.stopping:
            del self._meetings[kept.name]
            self._actions.free(kept.half)
            return
        meeting.reading = reading
        told = (kept.name, spent.name, meeting.round, meeting.turns, reading.outcome, reading.gates)
        self._actions.send(EAST, Distil(self.circuit, *told))

    def stop(self) -> None:
        """Tear down."""
        self.stopping = True
        for held in self._waiting.values():
            self._actions.free(held.half)
        self._waiting.clear()

    def abandon(self) -> None:
        """Give up everything at once."""
        self.stop()
        for name, meeting in list(self._meetings.items()):
            if meeting.reading is not None:
                del self._meetings[name]
                self._actions.free(meeting.kept.half)

    def _await(self, held: Held, round_: int) -> None:
        if self.stopping:
            self._actions.free(held.half)
            return
        older = self._waiting.pop(round_, None)
        if older is None:
            self._waiting[round_] = held
            return
        turns = len(self.protocol.turns)
        meeting = Meeting(held, older, round_, (self._actions.choose(turns), self._actions.choose(turns)))
        self._meetings[held.name] = meeting
        self._actions.operate(meeting)


class DistilTail(DistilRole):
    """The tail-end does as it is told."""

    def __init__(self, circuit: str, protocol: distillation.Protocol, rounds: int, actions: DistilActions) -> None:
        super().__init__(circuit, protocol, rounds, actions)
        self._held: dict[PairName, Held] = {}
        self._named: dict[PairName, Distil] = {}  # by both names, until both pairs are here
        self._meetings: dict[PairName, Distil] = {}  # by the name of the kept pair

    @property
    def pending(self) -> int:
        """Return how many pairs, messages and meetings are in here."""
        return len(self._held) + len(self._named) + len(self._meetings)

    def pair(self, half: Half, track: Track) -> None:
        """Take an end-to-end pair."""
        held = Held((track.origin, half.pair), half, track)
        order = self._named.get(held.name)
        if order is None:
            self._await(held, 0)
        else:
            self._held[held.name] = held
            self._begin(order)

    def word(self, word: Distil | Distilled) -> None:
        """Take the head-end's message: do this end's part as soon as both pairs are here."""
        assert isinstance(word, Distil)
        self._named[word.kept] = self._named[word.spent] = word
        self._begin(word)

    def operated(self, meeting: Meeting, reading: Reading) -> None:
        """Answer the head-end."""
        kept, spent = meeting.kept, meeting.spent
        order = self._meetings.pop(kept.name)
        meeting.reading = reading
        self._actions.free(spent.half)
        if self.abandoned:
            self._actions.free(kept.half)
            return
        answer = Distilled(self.circuit, kept.name, spent.name, reading.outcome, reading.gates)
        self._actions.send(WEST, answer)
        self._end(meeting, (order.outcome, reading.outcome), order.gates)

    def stop(self) -> None:
        """Tear down."""
        self.stopping = True
        for name in [name for name in self._held if name not in self._named]:
            self._actions.free(self._held.pop(name).half)

    def abandon(self) -> None:
        """Give up everything at once."""
        self.abandoned = True
        self._named.clear()
        self.stop()

    def _begin(self, order: Distil) -> None:
        if order.kept in self._held and order.spent in self._held:
            del self._named[order.kept], self._named[order.spent]
            self._meetings[order.kept] = order
            kept, spent = self._held.pop(order.kept), self._held.pop(order.spent)
            self._actions.operate(Meeting(kept, spent, order.round, order.turns))

    def _await(self, held: Held, round_: int) -> None:
        if self.stopping:
            self._actions.free(held.half)
        else:
            self._held[held.name] = held
