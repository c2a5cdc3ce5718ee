"""The link layer of a node towards one neighbour: joins the EGP with sessions, memory, measurements and users."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from emulator import BellState, Enquire, Half, Message, Port, StorageLaw, Timer, after_storage
from nodes.ports import Direction, PortNode

from .egp import Egp
from .estimation import fidelity_of
from .messages import Code, Create, EndFigures, Err, Key, OkKeep, OkMeasure
from .queue import Phase, Request


class LinkUser(Protocol):
    """Who is told what becomes of requests. It may be called while the request is being made."""

    def queued(self) -> None:
        """Take the news that a request of this node's is in the queue of both ends."""

    def ok(self, ok: OkKeep | OkMeasure) -> None:
        """Take a pair; a qubit has to be given back some time."""

    def done(self) -> None:
        """Take the news that all pairs of a request have been given."""

    def err(self, err: Err) -> None:
        """Take the news that a request has failed, or that OKs are void."""

    def settled(self) -> None:
        """Take the news that a request is over at both ends: no more will be said of it."""


@dataclass(slots=True, eq=False)
class _Held:
    """A pair without an OK: its half, and what was measured of it in which direction (unless it is to be kept)."""

    half: Half
    direction: Direction = (0.0, 0.0, 1.0)
    outcome: int | None = None
    goodness: float = 0.0
    goodness_ns: int = 0


@dataclass(slots=True, eq=False)
class Use:
    """What this node does for a request, and for whom (None: nobody has taken it yet)."""

    user: LinkUser | None
    held: dict[int, _Held] = field(default_factory=dict)  # by sequence number
    deadline: Timer | None = None


# Requests with sessions under way, by label, each with the link that serves it.
Served = dict[str, tuple["LinkService", Request]]


class LinkService:
    """The link layer towards one neighbour.

    stores: whether the node can keep qubits (otherwise photons are measured at emission); listeners: who takes the
    requests of which neighbour for which purpose; served: shared by all links of the node; refill: told of a bank when
    positions have become free.
    """

    def __init__(
        self,
        node: PortNode,
        peer: str,
        listeners: Mapping[tuple[str, str], LinkUser],
        served: Served,
        refill: Callable[[str], None],
        *,
        stores: bool,
    ) -> None:
        self.port: Port = node.ports[peer]
        self.reading = 0  # qubits that are being read out
        self._node = node
        self._peer = peer
        self._listeners = listeners
        self._served = served
        self._refill = refill
        self._stores = stores
        self._uses: dict[Key, Use] = {}
        self._light_ns = node.latency_ns_to(self.port.station)
        storage = node.storage_law(self.port) if stores else StorageLaw()
        readout_ns = node.physics.readout_ns if stores else 0
        end = EndFigures(stores, node.memory.positions(self.port.bank), self._light_ns, storage, readout_ns)
        self.egp = Egp(node.name, peer, node.latency_ns_to(peer), end, self)

    # -- requests --------------------------------------------------------------------------------------------------

    def create(self, create_id: int, create: Create, user: LinkUser) -> None:
        """Take a request of this node's."""
        self._uses[self._node.name, create_id] = Use(user)
        self.egp.create(create_id, create, self._node.now_ns)

    def abandon(self, user: LinkUser) -> None:
        """End the requests of a user."""
        reason = f"{self._node.name} wants no more"
        for request in self.egp.requests:
            if self._use(request).user is user:
                self.egp.end_request(request, Code.OTHER, reason, self._node.now_ns)

    def unsettled(self, user: LinkUser) -> int:
        """Return how many requests of a user are not settled."""
        return sum(use.user is user for use in self._uses.values())

    def lose(self) -> None:
        """Lose all requests."""
        self.egp.lose()
        users = [use.user for use in self._uses.values() if use.user is not None]
        self._uses.clear()
        self.reading = 0
        for user in users:
            user.settled()

    # -- sessions and pairs ----------------------------------------------------------------------------------------

    def offer(self, request: Request) -> None:
        """Offer as many sessions for a request as are of use, and as there is memory for."""
        node, port = self._node, self.port
        while request.wanted > 0:
            qubit = node.memory.borrow(port.bank, (request.label, self._peer))
            if qubit is None:
                return
            request.sessions += 1
            port.offer(qubit, node.send, min_fidelity=request.setting)

    def session_over(self, request: Request) -> None:
        """Note that a session has ended."""
        request.sessions -= 1
        if request.phase is Phase.ENDED and not request.sessions:
            del self._served[request.label]

    def heralded(self, request: Request, half: Half) -> None:
        """Take a half: keep or measure it."""
        node = self._node
        assert half.qubit is not None
        if not self.egp.heralded(request):
            node.forget(half)
        elif not request.keeps:
            self._measure(request, half)
        elif node.memory.keep(half.qubit):
            self._use(request).held[half.pair[1]] = _Held(half)
            self.egp.complete(request, half.pair[1], node.now_ns)
        else:
            node.forget(half)
            self.egp.end_request(request, Code.NORES, f"{node.name} needs its memory for a circuit", node.now_ns)

    def _measure(self, request: Request, half: Half) -> None:
        node, create = self._node, request.create
        bases = create.local if request.here else create.far
        held = _Held(half, bases.draw(node.random("link").uniform()))
        self._use(request).held[half.pair[1]] = held
        if self._stores:
            self.reading += 1
            node.after(node.physics.readout_ns, self._read_out, request, held)
        else:  # nothing has been stored: the photon was prepared, or measured, when it was sent
            qubit, half.qubit = half.qubit, None
            assert qubit is not None
            self._estimate(request, held)
            held.outcome = node.read_out(qubit, half.emitted_ns, held.direction, node.random("link"))
            self.egp.complete(request, half.pair[1], node.now_ns)

    def _read_out(self, request: Request, held: _Held) -> None:
        node, half = self._node, held.half
        self.reading -= 1
        self._estimate(request, held)
        qubit, half.qubit = half.qubit, None
        assert qubit is not None
        held.outcome = node.read_out(qubit, node.now_ns, held.direction, node.random("link"))
        self.egp.complete(request, half.pair[1], node.now_ns)
        self._refill(self.port.bank)

    def _estimate(self, request: Request, held: _Held) -> None:
        """Work out a pair's goodness: what is left of it now, by what both ends say of their memories."""
        node, half, far = self._node, held.half, request.far
        assert far is not None
        far_emitted_ns = half.emitted_ns + self._light_ns - far.light_ns
        stored_ns = node.now_ns - far_emitted_ns
        if not request.create.keeps(origin=not request.here):
            stored_ns = min(stored_ns, 2 * far.light_ns + far.readout_ns)
        contrast = node.settle(half)
        x, y, z = after_storage(half.contrasts, half.bias, node.stored(half), far.storage.stored(max(0, stored_ns)))
        held.goodness = fidelity_of((x * contrast, y * contrast, z))
        held.goodness_ns = node.now_ns

    # -- what the EGP has the node do ------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Send to the neighbour."""
        self._node.send(self._peer, message)

    def enquire(self, min_fidelity: float) -> None:
        """Ask the station what the link is like at a setting."""
        self._node.send(self.port.station, Enquire(self._node.name, self._peer, min_fidelity))

    def watch(self, request: Request) -> None:
        """Call `time_out` at the deadline of a request."""
        node = self._node
        self._use(request).deadline = node.alarm(request.deadline_ns - node.now_ns, self._time_out, request)

    def _time_out(self, request: Request) -> None:
        self.egp.time_out(request, self._node.now_ns)

    def accepts(self, request: Request) -> bool:
        """Return whether somebody listens to the neighbour's requests for a purpose."""
        user = self._listeners.get((self._peer, request.create.purpose))
        if user is not None:
            self._use(request).user = user
        return user is not None

    def queued(self, request: Request) -> None:
        """Tell the user that both ends have a request in their queue."""
        if (user := self._use(request).user) is not None:
            user.queued()

    def serve(self, request: Request, start_ns: int) -> None:
        """Begin to serve a request at an instant."""
        self._node.after(max(1, start_ns - self._node.now_ns), self.egp.start, request)

    def open(self, request: Request) -> None:
        """Offer sessions."""
        self._served[request.label] = (self, request)
        self.offer(request)

    def ok(self, request: Request, sequence: int) -> None:
        """Give the user an OK."""
        node, use = self._node, self._use(request)
        held = use.held.pop(sequence)
        half = held.half
        if half.qubit is not None:
            self._estimate(request, held)
        bell, purpose = BellState(half.bell), request.create.purpose
        said = (*request.key, self._peer, purpose, half.pair, bell, held.goodness, held.goodness_ns)
        ok: OkKeep | OkMeasure
        if half.qubit is None:
            ok = OkMeasure(*said, held.outcome, held.direction)
            evidence = (-ok.basis, ok.outcome)
        else:
            ok = OkKeep(*said, half.qubit)
            evidence = half.qubit.id[1:]
        node.record("link ok", *request.key, half.pair, half.bell, held.goodness, *evidence)
        assert use.user is not None
        use.user.ok(ok)

    def ended(self, request: Request, err: Err | None) -> None:
        """Stop what goes on for a request, and tell its user."""
        node, use = self._node, self._use(request)
        if use.deadline is not None:
            use.deadline.cancel()
        if request.label in self._served:
            self.port.withdraw(request.label, node.send)
            if not request.sessions:
                del self._served[request.label]
        given_up = list(use.held.values()) if request.keeps else []  # else they have been measured, or will be
        use.held.clear()
        for held in given_up:
            node.forget(held.half)
        node.record("link ended", *request.key, request.given, "" if err is None else err.code.name)
        self._tell(use, err)
        if given_up:
            self._refill(self.port.bank)

    def expired(self, request: Request, err: Err) -> None:
        """Tell the user that OKs are void."""
        self._node.record("link expired", *request.key, err.low, err.high)
        self._tell(self._use(request), err)

    def forgotten(self, request: Request) -> None:
        """Forget a request, and tell its user that it is settled."""
        use = self._uses.pop(request.key)
        if use.user is not None:
            use.user.settled()

    def _use(self, request: Request) -> Use:
        if request.key not in self._uses:
            self._uses[request.key] = Use(None)
        return self._uses[request.key]

    def _tell(self, use: Use, err: Err | None) -> None:
        if use.user is not None:
            if err is None:
                use.user.done()
            else:
                use.user.err(err)
