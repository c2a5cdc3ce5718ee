"""Where messages wait that no handler takes, for behaviours that await them."""

from __future__ import annotations

from collections import deque

from .envelope import Envelope
from .messages import Message
from .time import Place


class Mailbox:
    """A bounded queue of envelopes with any number of waiting tasks, each for certain types of message.

    The oldest envelope that fits goes to the task that has waited longest. A full mailbox refuses (`put` returns
    False).
    """

    def __init__(self, capacity: int = 1000) -> None:
        self.capacity = capacity
        self.refused = 0
        self._queue: deque[Envelope] = deque()
        self._waiting: list[_Waiter] = []

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, envelope: Envelope) -> bool:
        """Hand an envelope to a waiting task, or keep it; return False if there is no room."""
        for k, waiter in enumerate(self._waiting):
            if isinstance(envelope.message, waiter.kinds) and waiter.place.wake():  # else it was just cancelled
                del self._waiting[k]
                waiter.envelope = envelope
                return True
        if len(self._queue) >= self.capacity:
            self.refused += 1
            return False
        self._queue.append(envelope)
        return True

    async def get(self, *kinds: type[Message]) -> Envelope:
        """Wait for an envelope with a message of one of these types (any type if none is given)."""
        wanted = kinds or (Message,)
        for k, envelope in enumerate(self._queue):
            if isinstance(envelope.message, wanted):
                del self._queue[k]
                return envelope
        waiter = _Waiter(wanted)
        self._waiting.append(waiter)
        try:
            await waiter.place.park()
        finally:
            if waiter in self._waiting:  # cancelled before anything came
                self._waiting.remove(waiter)
        assert waiter.envelope is not None
        return waiter.envelope


class _Waiter:
    def __init__(self, kinds: tuple[type[Message], ...]) -> None:
        self.kinds = kinds
        self.place = Place()
        self.envelope: Envelope | None = None
