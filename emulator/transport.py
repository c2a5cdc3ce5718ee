"""A reliable, in-order transport to a neighbour: what is lost, doubled or overtaken on the way is seen as delay.

Theory of operation
-------------------
A *stream* is what one life of an actor sends to one life of a neighbour. Its messages are numbered from 0. The receiver
hands them on in order and keeps what came early; every envelope tells the number that its sender expects next, which
acknowledges all before it. Where no message is going that way, a separate small envelope does, `ACK_DELAY_NS` after
the first receipt or after `ACK_EVERY` receipts.

- A message that is sent while nothing interferes with the line cannot be lost but by a crash: it says so, and nobody
  remembers, acknowledges or repeats it. That saves most of what all this costs.
- Gap: when a later message comes first, the receiver says at once which are missing, and the sender repeats them, each
  at most once in a round trip. So a lost message that is followed by another is one round trip late.
- Otherwise a message is repeated when it has not been acknowledged for three round trips + `ACK_DELAY_NS`; that time
  doubles, up to 1 s, with every repetition in vain.
- Lives: an envelope from an earlier life than one seen is dropped, and so is one addressed to an earlier life, which
  is answered with the present one. Who hears of a neighbour's later life forgets what it had sent to the earlier one,
  starts both streams anew, and its actor is told. A later life introduces itself by a `Greeting`, which is repeated
  like a message.

Nothing here knows of time: it is an argument, and a timer is a request to call `check`. There is one at a time, never
further ahead than `ACK_DELAY_NS`. So whatever a message may need is due after the check that is under way, and the hot
path has no timer to move. (Only the first unacknowledged message is looked at: one lost behind another that had to be
repeated may wait up to `ACK_DELAY_NS` longer.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final, Protocol

import msgspec

from .envelope import Envelope
from .messages import Message

ACK_DELAY_NS: Final = 20_000_000
ACK_EVERY: Final = 64
_LONGEST_WAIT_NS: Final = 1_000_000_000
_BATCH: Final = 64  # how many messages are repeated, or reported missing, at once
_NO_STREAM: Final = -1


class Acknowledgement(Message, frozen=True, tag="acknowledgement"):
    """Between neighbours: how far messages were received (the envelope says it), and the numbers that are missing."""

    missing: tuple[int, ...]


class Greeting(Message, frozen=True, tag="greeting"):
    """Between neighbours: the sender has begun a later life; the envelope says which."""


class Line(Protocol):
    """What carries envelopes to the neighbour, and may lose, delay, duplicate and reorder them."""

    capacity: int
    busy_until_ns: int  # when the last of what was sent so far has left, or will have

    @property
    def faults(self) -> Sequence[object]:
        """Return what interferes with the envelopes that are sent from now on."""

    def send(self, envelope: Envelope) -> bool:
        """Put an envelope on its way, or refuse. Raises TypeError if the message cannot be encoded."""


class Owner(Protocol):
    """Whom a connection serves: the actor, as its connections see it."""

    def hand_on(self, envelope: Envelope) -> None:
        """Take a message of a neighbour, each once and in order."""

    def wake(self, connection: Connection, delay_ns: int) -> None:
        """Call `check` of a connection after a delay, unless the present life has ended by then."""

    def neighbour_began(self, neighbour: str) -> None:
        """Hear that a neighbour began a later life."""


class Connection:
    """An actor's end of the transport to one neighbour, for all its lives.

    `acknowledgements`, `repeats` and `duplicates` count separate acknowledgements sent, messages sent again, and
    messages received again. `neighbour_life` is the latest life of the neighbour that was heard of.
    """

    __slots__ = (
        "_acknowledged", "_checking", "_complained_ns", "_early", "_expected", "_first_wait_ns", "_latest", "_line",
        "_name", "_neighbour", "_next", "_owed", "_owed_since_ns", "_owner", "_repeated_ns", "_round_trip_ns",
        "_sent", "_wait_ns",
        "acknowledgements", "duplicates", "life", "neighbour_life", "repeats",
    )  # fmt: skip

    def __init__(self, name: str, neighbour: str, owner: Owner, line: Line, *, round_trip_ns: int) -> None:
        self._name, self._neighbour = name, neighbour
        self._owner, self._line = owner, line
        self._round_trip_ns = round_trip_ns
        self._first_wait_ns = 3 * round_trip_ns + ACK_DELAY_NS
        self.life = 0  # none
        self.neighbour_life = 1
        self.acknowledgements = self.repeats = self.duplicates = 0
        self.end()

    @property
    def unacknowledged(self) -> int:
        """Return how many messages of the present life the neighbour may not have received."""
        return self._next - max(self._acknowledged, 0) if self.life else 0

    # -- life ------------------------------------------------------------------------------------------------------

    def begin(self, life: int, now_ns: int) -> None:
        """Begin a life without any memory of earlier ones; introduce it to the neighbour if it is not the first."""
        self.end()
        self.life = life
        if life > 1:
            self._complained_ns = now_ns  # what is under way to the earlier life need not be answered as well
            self._acknowledged = self._next = _NO_STREAM
            self.send(Greeting(), now_ns)

    def end(self) -> None:
        """End a life: forget everything but how often the neighbour began."""
        self.life = 0
        self._checking = False
        self._restart()

    def _restart(self) -> None:
        """Start both streams anew."""
        self._acknowledged = self._next = 0  # the numbers of the first message not acknowledged, and of the next
        self._sent: deque[Envelope] = deque()  # what is not acknowledged, perhaps after some that is: see `_prune`
        self._repeated_ns: dict[int, int] = {}  # when those were sent last that were sent more than once
        self._wait_ns = self._first_wait_ns
        self._expected = 0
        self._early: dict[int, Envelope] = {}
        self._latest = 0  # the greatest number in there, ever
        self._complained_ns = -self._round_trip_ns
        self._owed = self._owed_since_ns = 0  # receipts to be acknowledged, and the time of the first

    # -- sending ---------------------------------------------------------------------------------------------------

    def send(self, message: Message, now_ns: int) -> bool:
        """Send a message; return False if as many are unacknowledged as the line has capacity for.

        Raises TypeError if the message holds something that is no value, such as a qubit.
        """
        line, sequence = self._line, self._next
        if not line.faults and sequence == self._acknowledged:
            return self._send_surely(message, now_ns)
        if sequence - self._acknowledged >= line.capacity:
            return False
        envelope = Envelope(self._name, self.life, now_ns, message, self.neighbour_life, sequence, self._expected)
        line.send(envelope)
        self._sent.append(envelope)
        self._next = sequence + 1
        self._owed = 0
        if not self._checking:
            self._check_later(ACK_DELAY_NS)
        return True

    def _send_surely(self, message: Message, now_ns: int) -> bool:
        """Send what cannot be lost, since nothing interferes with the line: nobody need acknowledge or remember it."""
        sequence = self._next
        sure = Envelope(
            self._name, self.life, now_ns, message, self.neighbour_life, sequence, self._expected, sure=True
        )
        if not self._line.send(sure):
            return False
        self._acknowledged = self._next = sequence + 1
        self._owed = 0
        return True

    def _prune(self) -> None:
        """Forget what has been acknowledged; not at once, since to do it now and then is cheaper."""
        sent, acknowledged = self._sent, self._acknowledged
        if acknowledged == self._next:
            sent.clear()
        while sent and sent[0].sequence < acknowledged:
            sent.popleft()

    def _go_on_repeating(self, now_ns: int) -> None:
        """Repeat what else was lost, as what had been repeated may just have been acknowledged."""
        self._repeated_ns = {k: time_ns for k, time_ns in self._repeated_ns.items() if k >= self._acknowledged}
        self._wait_ns = self._first_wait_ns
        self._repeat_overdue(now_ns)

    def _repeat_overdue(self, now_ns: int) -> None:
        self._prune()
        for envelope in islice(self._sent, _BATCH):
            if now_ns - self._last_sent_ns(envelope) >= self._wait_ns:
                self._repeat(envelope, now_ns)

    def _repeat_missing(self, missing: tuple[int, ...], now_ns: int) -> None:
        self._prune()
        for sequence in missing:
            if self._acknowledged <= sequence < self._next:
                envelope = self._sent[sequence - self._acknowledged]
                if now_ns - self._last_sent_ns(envelope) >= self._round_trip_ns:
                    self._repeat(envelope, now_ns)

    def _repeat(self, envelope: Envelope, now_ns: int) -> None:
        self.repeats += 1
        self._repeated_ns[envelope.sequence] = now_ns
        self._owed = 0
        self._line.send(msgspec.structs.replace(envelope, acknowledged=self._expected))

    def _last_sent_ns(self, envelope: Envelope) -> int:
        return self._repeated_ns.get(envelope.sequence, envelope.sent_ns)

    # -- receiving -------------------------------------------------------------------------------------------------

    def receive(self, envelope: Envelope, now_ns: int) -> None:
        """Take an envelope from the line, and hand on what is in turn."""
        if (
            envelope.to_incarnation != self.life or envelope.incarnation != self.neighbour_life
        ) and not self._between_present_lives(envelope, now_ns):
            return
        if envelope.acknowledged > self._acknowledged:
            self._acknowledged = envelope.acknowledged
            if self._repeated_ns:
                self._go_on_repeating(now_ns)
        if envelope.sequence == self._expected:
            if not envelope.sure:
                self._owe(now_ns)
            self._expected += 1
            self._owner.hand_on(envelope)  # who may send, even crash, in the course of it
            if self._early:
                self._hand_on_early(now_ns)
        else:
            self._receive_out_of_turn(envelope, now_ns)
        if self._owed >= ACK_EVERY:
            self._acknowledge(now_ns)

    def _between_present_lives(self, envelope: Envelope, now_ns: int) -> bool:
        if envelope.incarnation < self.neighbour_life:
            return False
        if envelope.incarnation > self.neighbour_life:
            self.neighbour_life = envelope.incarnation
            self._restart()
            self._owner.neighbour_began(self._neighbour)
        if envelope.to_incarnation < self.life:
            self._complain(now_ns)
        return envelope.to_incarnation == self.life  # else that life is over, perhaps since a moment

    def _hand_on_early(self, now_ns: int) -> None:
        while (envelope := self._early.pop(self._expected, None)) is not None:
            self._owe(now_ns)
            self._expected += 1
            self._owner.hand_on(envelope)

    def _receive_out_of_turn(self, envelope: Envelope, now_ns: int) -> None:
        message, sequence = envelope.message, envelope.sequence
        if isinstance(message, Acknowledgement):
            self._repeat_missing(message.missing, now_ns)
            return
        self._owe(now_ns)
        if sequence == _NO_STREAM:
            return
        if sequence < self._expected or sequence in self._early:
            self.duplicates += 1
        elif sequence < self._expected + self._line.capacity:  # as far as a neighbour may go
            is_new_gap = sequence > max(self._expected, self._latest + 1)
            self._early[sequence] = envelope
            self._latest = max(self._latest, sequence)
            if is_new_gap:
                self._acknowledge(now_ns)
            else:
                self._complain(now_ns)

    # -- acknowledging ---------------------------------------------------------------------------------------------

    def _owe(self, now_ns: int) -> None:
        if not self._owed:
            self._owed_since_ns = now_ns
            if not self._checking:
                self._check_later(ACK_DELAY_NS)
        self._owed += 1

    def _complain(self, now_ns: int) -> None:
        """Say at once what the neighbour does not know, unless that has been said within a round trip."""
        if now_ns - self._complained_ns >= self._round_trip_ns:
            self._acknowledge(now_ns)

    def _acknowledge(self, now_ns: int) -> None:
        missing: tuple[int, ...] = ()
        if self._early:
            gaps = (k for k in range(self._expected, self._latest) if k not in self._early)
            missing = tuple(islice(gaps, _BATCH))
        self.acknowledgements += 1
        self._complained_ns = now_ns
        self._owed = 0
        notice = Acknowledgement(missing)
        self._line.send(
            Envelope(self._name, self.life, now_ns, notice, self.neighbour_life, _NO_STREAM, self._expected)
        )

    # -- timing ----------------------------------------------------------------------------------------------------

    def _check_later(self, delay_ns: int) -> None:
        self._checking = True
        self._owner.wake(self, delay_ns)

    def check(self, now_ns: int) -> None:
        """Do what is due."""
        if self._owed and now_ns - self._owed_since_ns >= ACK_DELAY_NS:
            self._acknowledge(now_ns)
        self._prune()
        if self._sent and now_ns >= self._due_ns():
            self._repeat_overdue(now_ns)
            self._wait_ns = min(2 * self._wait_ns, max(_LONGEST_WAIT_NS, self._first_wait_ns))
        self._checking = False
        if self._sent or self._owed:
            self._check_later(self._next_check_ns(now_ns) - now_ns)

    def _due_ns(self) -> int:
        """Return when the first message is to be repeated; not while it may still queue, or the queue would grow."""
        return max(self._last_sent_ns(self._sent[0]), self._line.busy_until_ns) + self._wait_ns

    def _next_check_ns(self, now_ns: int) -> int:
        due_ns = now_ns + ACK_DELAY_NS
        if self._owed:
            due_ns = min(due_ns, self._owed_since_ns + ACK_DELAY_NS)
        if self._sent:
            due_ns = min(due_ns, self._due_ns())
        return max(due_ns, now_ns + 1)
