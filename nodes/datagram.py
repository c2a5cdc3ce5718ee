"""Classical messages between programs at any two end nodes."""

from __future__ import annotations

from emulator import Message


class Datagram(Message, frozen=True, tag="datagram"):
    """A message passed on from node to node along `path`; `hop` is the index of the node that it is on its way to.

    service: tells messages of the same two programs apart.
    """

    path: tuple[str, ...]
    hop: int
    service: str
    payload: bytes
