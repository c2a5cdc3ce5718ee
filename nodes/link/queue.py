"""The distributed queue (DQP) of a link: both ends hold the same requests in the same order. Sans-io, no clock.

The end with the lower name is the master. It gives each request its place (`queue_sequence`), and says who is served
next. So the order of service is one sequence of decisions, told to the other end by messages that keep their order:
both ends serve the same requests in the same order, however late a message is. A request is ready when both ends have
it, which its acknowledgement says.

What circuits (the network layer) have reserved never comes here; it goes first because requests may only borrow what
is left of the memory. Of the rest, requests that keep qubits (CK) and those that measure (MD) are served two to one;
within a class the higher priority is first, then the earlier place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from emulator import Message

from .messages import Add, AddAck, Close, Create, EndFigures, Key, Kind

BOUND: Final = 256  # requests of a link in the queue
WINDOW: Final = 64  # requests that are sent and not answered yet
TURNS: Final = (True, True, False)  # whether a request that keeps qubits is served next, or one that measures


class Phase(Enum):
    """How far a request has come."""

    ASKED = auto()  # its node waits for what the station says of the link
    QUEUED = auto()
    SERVED = auto()
    ENDED = auto()  # here; not yet, as far as is known, at the other end


@dataclass(slots=True, eq=False)
class Request:
    """A request as one end of the link knows it.

    label: under which both ends offer sessions (names of nodes have no blanks, so no circuit is called like that);
    here: whether it was made at this end; setting: the least fidelity of fresh pairs; sessions: under way for it;
    taken: pairs that the station has announced; given: how many of them the user has got an OK for; first, expected:
    the sequence number of the first of those, and one more than that of the last.
    """

    key: Key
    create: Create
    deadline_ns: int
    label: str
    here: bool
    phase: Phase = Phase.ASKED
    far: EndFigures | None = None
    queue_sequence: int = -1
    ready: bool = False
    setting: float = 0.0
    sessions: int = 0
    taken: int = 0
    given: int = 0
    first: int = 0
    expected: int = 0
    pending: list[int] = field(default_factory=list)  # sequence numbers of pairs that are complete, without an OK yet
    closed: Close | None = None  # the other end's word

    @property
    def keeps(self) -> bool:
        """Return whether this end keeps its halves."""
        return self.create.keeps(origin=self.here)

    @property
    def wanted(self) -> int:
        """Return how many more sessions are of use: with more, the ends could have different pairs."""
        if self.phase is not Phase.SERVED:
            return 0
        return self.create.number - self.taken - self.sessions


class DistributedQueue:
    """One end of the queue of a link."""

    def __init__(self, name: str, peer: str, end: EndFigures, send: Callable[[Message], None]) -> None:
        self.is_master = name < peer
        self._end = end
        self._send = send
        self._next = 0
        self._requests: dict[Key, Request] = {}
        self._unanswered: dict[Key, Request] = {}
        self._held_back: deque[Request] = deque()
        self._turn = 0

    @property
    def is_full(self) -> bool:
        """Return whether no more requests are taken."""
        return len(self._requests) >= BOUND

    @property
    def order(self) -> list[Request]:
        """Return the requests that have a place, in order."""
        placed = [request for request in self._requests.values() if request.queue_sequence >= 0]
        return sorted(placed, key=lambda request: request.queue_sequence)

    @property
    def unanswered(self) -> int:
        """Return how many requests have been sent and not been answered."""
        return len(self._unanswered)

    # -- requests of this end --------------------------------------------------------------------------------------

    def add(self, request: Request) -> None:
        """Take a request of this end, and offer it to the other."""
        self._requests[request.key] = request
        self._held_back.append(request)
        self._send_held_back()

    def acknowledged(self, message: AddAck, request: Request) -> None:
        """Take the news that the other end has a request too."""
        request.queue_sequence = message.queue_sequence
        request.ready = True
        self.answered(request)

    def answered(self, request: Request) -> None:
        """Note that the other end has answered a request of this end; another may be sent."""
        if self._unanswered.pop(request.key, None) is not None:
            self._send_held_back()

    def is_known_there(self, request: Request) -> bool:
        """Return whether the other end has heard of a request, or will."""
        return request not in self._held_back

    def _send_held_back(self) -> None:
        while self._held_back and len(self._unanswered) < WINDOW:
            request = self._held_back.popleft()
            self._unanswered[request.key] = request
            if self.is_master:
                self._place(request)
            self._send(
                Add(request.key[1], request.queue_sequence, request.create, request.deadline_ns, self._end),
            )

    # -- requests of the other end ---------------------------------------------------------------------------------

    def accept(self, request: Request) -> None:
        """Take a request of the other end, and tell it."""
        self._requests[request.key] = request
        if self.is_master:
            self._place(request)
        request.ready = True
        self._send(AddAck(request.key[1], request.queue_sequence, self._end))

    # -- service ---------------------------------------------------------------------------------------------------

    def next(self) -> Request | None:
        """Return the request that the master serves next, if any is ready."""
        ready = [r for r in self._requests.values() if r.ready and r.phase is Phase.QUEUED]
        if not ready:
            return None
        classes = {keeps: [r for r in ready if (r.create.kind == Kind.KEEP) is keeps] for keeps in (True, False)}
        while not classes[TURNS[self._turn]]:  # whose turn it is has nothing to be served
            self._turn = (self._turn + 1) % len(TURNS)
        candidates = classes[TURNS[self._turn]]
        self._turn = (self._turn + 1) % len(TURNS)
        return min(candidates, key=lambda r: (-r.create.priority, r.queue_sequence))

    def remove(self, request: Request) -> None:
        """Take a request out: it has ended here. One that was sent still counts as unanswered until it is."""
        self._requests.pop(request.key, None)
        if request in self._held_back:
            self._held_back.remove(request)

    def clear(self) -> None:
        """Forget everything but the places given: they never come back."""
        self._requests.clear()
        self._unanswered.clear()
        self._held_back.clear()
        self._turn = 0

    def _place(self, request: Request) -> None:
        request.queue_sequence, self._next = self._next, self._next + 1
