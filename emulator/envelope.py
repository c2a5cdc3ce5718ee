"""What travels between actors: a message, and what its two ends and the transport must know of it."""

from __future__ import annotations

import msgspec

from .messages import Message


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """A message under way: who sent it, in which of its lives (incarnations), and when, in ns since the start.

    The rest is the transport's: the life of the receiver that the sender knows of, the number of the message in the
    stream between these two lives (-1: no message of a stream), the number that the sender expects next, and
    whether it cannot be lost, so that nobody waits for an acknowledgement.
    """

    sender: str
    incarnation: int
    sent_ns: int
    message: Message
    to_incarnation: int = 1
    sequence: int = 0
    acknowledged: int = 0
    sure: bool = False
