"""Classical messages between programs at any two end nodes."""

from __future__ import annotations

from collections import deque
from typing import Final

from emulator import Message
from emulator.time import Place

_MOST: Final = 1000  # messages that wait for one service


class Datagram(Message, frozen=True, tag="datagram"):
    """A message passed on from node to node along `path`; `hop` is the index of the node that it is on its way to.

    service: tells messages of the same two programs apart.
    """

    path: tuple[str, ...]
    hop: int
    service: str
    payload: bytes


class Inboxes:
    """The messages that have come to an end node and that no program has taken yet, in order, for each service."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], deque[bytes]] = {}
        self._listeners: dict[tuple[str, str], Place] = {}

    def put(self, message: Datagram) -> bool:
        """Keep a message, and wake whoever waits for it; return False if too many wait: it is lost."""
        key = (message.path[0], message.service)
        inbox = self._waiting.setdefault(key, deque())
        if len(inbox) >= _MOST:
            return False
        inbox.append(message.payload)
        if (listener := self._listeners.get(key)) is not None:
            listener.wake()
        return True

    async def take(self, peer: str, service: str) -> bytes:
        """Wait for the next message from a peer's program for a service; one task at a time may wait for each."""
        key = (peer, service)
        while not self._waiting.get(key):
            await self._listeners.setdefault(key, Place()).park()
        return self._waiting[key].popleft()
