"""The entanglement generation protocol (EGP) of a node with one neighbour: the life of each request. Sans-io, no clock.

Theory of operation. A request is checked (memory, fidelity, time), agreed on by way of the queue, and served: sessions
with the heralding station under a label of its own. Neither end ever has more sessions than pairs it still wants, so
as many pairs are made as were asked for, and both ends hear of the same ones in the same order. What an end lacks at
some moment are always the *last* ones that the other has: their heralds are still under way, or were lost with a life
of the station, or their position had to be given back, or a time-out came first. So it is enough that each end says
once, when it ends a request, from which sequence number on it has given no OK (`Close`). Whoever has given OKs beyond
that expires them. A request is forgotten when both words have been said.

| it ends here, because | and then |
| --- | --- |
| all pairs are there | Close; the other end's heralds are under way |
| time-out, the user, memory that had to be given back, a new life of the station | Close with the code |
| the other end has closed before all pairs were there | Close |
| the other end has begun a new life | nothing is said; all OKs are void |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from emulator import LinkFigures, Message

from .estimation import fresh_fidelity, judge, misfit
from .messages import Add, AddAck, AddRej, Close, Code, Create, EndFigures, Err, Key, Serve
from .queue import DistributedQueue, Phase, Request

_MARGIN_NS: Final = 1_000  # so that a Serve is there before the start even if it had to queue


class EgpActions(Protocol):
    """What the node does for its link layer, towards one neighbour."""

    def send(self, message: Message) -> None:
        """Send to the neighbour."""

    def enquire(self, min_fidelity: float) -> None:
        """Ask the station what the link is like at a setting; `figures` is called with the answer."""

    def watch(self, request: Request) -> None:
        """Call `time_out` at the deadline of a request, unless it has ended by then."""

    def accepts(self, request: Request) -> bool:
        """Return whether there is a user here for a request of the neighbour's, who then gets its OKs."""

    def queued(self, request: Request) -> None:
        """Take the news that both ends have a request of this end's in their queue."""

    def serve(self, request: Request, start_ns: int) -> None:
        """Call `start` at an instant."""

    def open(self, request: Request) -> None:
        """Offer sessions for a request."""

    def ok(self, request: Request, sequence: int) -> None:
        """Give the user an OK."""

    def ended(self, request: Request, err: Err | None) -> None:
        """Stop what goes on for a request and tell its user; None: all its pairs are there."""

    def expired(self, request: Request, err: Err) -> None:
        """Tell the user that OKs of a request that has ended are void."""

    def forgotten(self, request: Request) -> None:
        """Take the news that no more will be heard of a request."""


class Egp:
    """The link layer's state at one end of a link.

    latency_ns: to the neighbour, which is `peer`; end: what this node says of itself.
    """

    def __init__(self, name: str, peer: str, latency_ns: int, end: EndFigures, actions: EgpActions) -> None:
        self.name = name
        self.peer = peer
        self.end = end
        self.queue = DistributedQueue(name, peer, end, actions.send)
        self._latency_ns = latency_ns
        self._actions = actions
        self._requests: dict[Key, Request] = {}
        self._serving: Request | None = None  # at the master
        self._figures: dict[float, LinkFigures] = {}
        self._asked: dict[float, list[Request]] = {}

    @property
    def requests(self) -> list[Request]:
        """Return the requests that are not forgotten."""
        return list(self._requests.values())

    # -- requests of this end's user -------------------------------------------------------------------------------

    def create(self, create_id: int, create: Create, now_ns: int) -> Request:
        """Take a request; what becomes of it is told by the actions, perhaps at once."""
        deadline_ns = now_ns + create.max_time_ns if create.max_time_ns else 0
        label = f"link {self.name}>{self.peer}:{create_id}"
        request = Request((self.name, create_id), create, deadline_ns, label, here=True)
        self._begin(request, now_ns)
        return request

    def end_request(self, request: Request, code: Code, reason: str, now_ns: int) -> None:
        """End a request before all its pairs are there."""
        if request.phase is not Phase.ENDED and self._requests.get(request.key) is request:
            self._end(request, code, reason, now_ns)

    def time_out(self, request: Request, now_ns: int) -> None:
        """End a request whose time is over."""
        self.end_request(request, Code.TIMEOUT, "its time is over", now_ns)

    # -- agreement -------------------------------------------------------------------------------------------------

    def on_add(self, message: Add, now_ns: int) -> None:
        """Take a request of the neighbour's."""
        label = f"link {self.peer}>{self.name}:{message.create_id}"
        request = Request((self.peer, message.create_id), message.create, message.deadline_ns, label, here=False)
        request.far = message.end
        request.queue_sequence = message.queue_sequence
        self._begin(request, now_ns)

    def on_ack(self, message: AddAck, now_ns: int) -> None:
        """Take the news that the neighbour has a request of this end's."""
        request = self._requests.get((self.name, message.create_id))
        if request is None:
            return
        if request.phase is Phase.ENDED:
            self.queue.answered(request)
            return
        request.far = message.end
        self._set(request)
        self.queue.acknowledged(message, request)
        self._actions.queued(request)
        self._serve_next(now_ns)

    def on_reject(self, message: AddRej, now_ns: int) -> None:
        """Take the news that the neighbour does not take a request of this end's."""
        request = self._requests.get((self.name, message.create_id))
        if request is not None:
            self.queue.answered(request)
            if request.phase is Phase.ENDED:
                self._forget(request)
            else:
                self._drop(request, message.code, message.reason)

    def figures(self, min_fidelity: float, figures: LinkFigures, now_ns: int) -> None:
        """Take what the station says of the link."""
        self._figures[min_fidelity] = figures
        for request in self._asked.pop(min_fidelity, ()):
            if request.phase is Phase.ASKED:
                self._judge(request, figures, now_ns)

    def _begin(self, request: Request, now_ns: int) -> None:
        """Check a new request, as far as this end can."""
        self._requests[request.key] = request
        create = request.create
        if request.deadline_ns > 0:
            self._actions.watch(request)
        if (reason := create.fault()) is not None:
            self._refuse(request, Code.CREATE, reason)
        elif (reason := misfit(create, self.end, origin=request.here)) is not None:
            self._refuse(request, Code.UNSUPP, reason)
        elif not create.min_fidelity and not create.max_time_ns:
            self._admit(request, now_ns)
        else:
            setting = fresh_fidelity(create.min_fidelity, *self._ends(request))
            if (figures := self._figures.get(setting)) is not None:
                self._judge(request, figures, now_ns)
                return
            if setting not in self._asked:
                self._actions.enquire(setting)
            self._asked.setdefault(setting, []).append(request)

    def _judge(self, request: Request, figures: LinkFigures, now_ns: int) -> None:
        left_ns = float("inf")
        if request.deadline_ns > 0:
            left_ns = request.deadline_ns - now_ns - (2 * self._latency_ns if request.here else 0)
        verdict = judge(request.create, figures, left_ns, *self._ends(request), queued=not request.here)
        if verdict is not None:
            self._refuse(request, *verdict)
        else:
            self._admit(request, now_ns)

    def _admit(self, request: Request, now_ns: int) -> None:
        """Take a request into the queue, as far as this end is concerned."""
        request.phase = Phase.QUEUED
        if request.here:
            if self.queue.is_full:
                self._drop(request, Code.NORES, "the queue of this link is full")
            else:
                self.queue.add(request)
            return
        self._set(request)
        if self.queue.is_full:
            self._refuse(request, Code.NORES, "the queue of this link is full")
        elif not self._actions.accepts(request):
            self._refuse(request, Code.REJECTED, f"nobody at {self.name} takes requests for {request.create.purpose!r}")
        else:
            self.queue.accept(request)
            self._serve_next(now_ns)

    def _refuse(self, request: Request, code: Code, reason: str) -> None:
        if not request.here:
            self._actions.send(AddRej(request.key[1], code, reason))
        self._drop(request, code, reason)

    def _drop(self, request: Request, code: Code, reason: str) -> None:
        """End a request that the other end does not have."""
        request.phase = Phase.ENDED
        self.queue.remove(request)
        self._actions.ended(request, Err(*request.key, code, reason))
        self._forget(request)

    def _set(self, request: Request) -> None:
        """Work out the setting of the link, the same at both ends."""
        request.setting = fresh_fidelity(request.create.min_fidelity, *self._ends(request))

    def _ends(self, request: Request) -> tuple[EndFigures, ...]:
        return (self.end,) if request.far is None else (self.end, request.far)

    # -- service ---------------------------------------------------------------------------------------------------

    def on_serve(self, message: Serve, now_ns: int) -> None:
        """Take the master's decision."""
        request = self._requests.get((message.origin, message.create_id))
        if request is not None and request.phase is Phase.QUEUED:
            self._actions.serve(request, message.start_ns)

    def start(self, request: Request) -> None:
        """Begin to serve a request."""
        if request.phase is Phase.QUEUED and self._requests.get(request.key) is request:
            request.phase = Phase.SERVED
            self._actions.open(request)

    def heralded(self, request: Request) -> bool:
        """Take the news of a pair; return whether it is for a request that goes on."""
        if request.phase is not Phase.SERVED:
            return False
        request.taken += 1
        return True

    def complete(self, request: Request, sequence: int, now_ns: int) -> None:
        """Take a pair with which everything has been done here, in the order of the heralds: it is worth an OK."""
        if request.phase is not Phase.SERVED:
            return
        request.pending.append(sequence)
        if not request.create.consecutive and len(request.pending) < request.create.number:
            return
        ready, request.pending = request.pending, []
        for pair in ready:
            if not request.given:
                request.first = pair
            request.given += 1
            request.expected = pair + 1
            self._actions.ok(request, pair)
        if request.given == request.create.number:
            self._end(request, None, "", now_ns)

    def _serve_next(self, now_ns: int) -> None:
        if not self.queue.is_master or self._serving is not None:
            return
        request = self._serving = self.queue.next()
        if request is not None:
            start_ns = now_ns + self._latency_ns + _MARGIN_NS
            self._actions.send(Serve(*request.key, start_ns))
            self._actions.serve(request, start_ns)

    # -- the end ---------------------------------------------------------------------------------------------------

    def on_close(self, message: Close, now_ns: int) -> None:
        """Take the news that a request has ended at the neighbour."""
        request = self._requests.get((message.origin, message.create_id))
        if request is None:
            return
        if request.phase is Phase.ASKED and not request.here:
            self._refuse(request, Code.OTHER, "it has ended")
            return
        request.closed = message
        self.queue.answered(request)
        if request.phase is not Phase.ENDED:
            if message.code is not None:  # else what it has got is under way to here
                self._end(request, message.code, message.reason, now_ns)
            return
        if (err := self._void(request)) is not None:
            self._actions.expired(request, err)
        self._forget(request)

    def _end(self, request: Request, code: Code | None, reason: str, now_ns: int) -> None:
        if not request.here and request.phase is Phase.ASKED:
            self._refuse(request, code or Code.OTHER, reason)
            return
        was_sent = request.phase is not Phase.ASKED and self.queue.is_known_there(request)
        if not was_sent:
            self._drop(request, code or Code.OTHER, reason)
            return
        request.phase = Phase.ENDED
        self.queue.remove(request)
        self._actions.send(Close(*request.key, request.expected, code, reason))
        err = None if code is None else Err(*request.key, code, reason)
        self._actions.ended(request, self._void(request) or err)
        if request.closed is not None:
            self._forget(request)
        if request is self._serving:
            self._serving = None
            self._serve_next(now_ns)

    def _void(self, request: Request) -> Err | None:
        """Return which OKs are void because the other end has given none for the same pairs."""
        closed = request.closed
        if closed is None or closed.expected >= request.expected:
            return None
        reason = closed.reason or "the other end does not have these pairs"
        return Err(*request.key, Code.EXPIRE, reason, max(closed.expected, request.first), request.expected)

    def _forget(self, request: Request) -> None:
        if self._requests.pop(request.key, None) is not None:
            self._actions.forgotten(request)

    # -- new lives -------------------------------------------------------------------------------------------------

    def peer_began(self) -> None:
        """End everything: the neighbour has lost its memory, and with it the other halves."""
        requests, reason = self.requests, f"{self.peer} has lost its memory"
        self.lose()
        for request in requests:
            ended, request.phase = request.phase is Phase.ENDED, Phase.ENDED
            if request.given:
                void = Err(*request.key, Code.EXPIRE, reason, request.first, request.expected)
                (self._actions.expired if ended else self._actions.ended)(request, void)
            elif not ended:
                self._actions.ended(request, Err(*request.key, Code.OTHER, reason))
            self._actions.forgotten(request)

    def station_began(self, now_ns: int) -> None:
        """End what is being served: heralds may be lost. Ask again what the station has not answered."""
        for setting in self._asked:
            self._actions.enquire(setting)
        for request in self.requests:
            if request.phase is Phase.SERVED:
                self._end(request, Code.OTHER, "the heralding station has lost its memory", now_ns)

    def lose(self) -> None:
        """Forget all requests, at a crash. Figures of the link are as good as before."""
        self._requests.clear()
        self._asked.clear()
        self.queue.clear()
        self._serving = None


FRAMES: Final[dict[type[Message], Callable[..., None]]] = {
    Add: Egp.on_add,
    AddAck: Egp.on_ack,
    AddRej: Egp.on_reject,
    Serve: Egp.on_serve,
    Close: Egp.on_close,
}
