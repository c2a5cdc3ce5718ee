"""The link layer of a node: pairs with its neighbours, on request.

What circuits have reserved goes first: requests only borrow positions, and give them back when they are reserved. A
session that still makes attempts is withdrawn, and its position comes back a round trip to the station later. If it
makes a pair after all, a request that measures frees the position at once; one that keeps qubits has to end, unless
nobody has a claim to the position any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emulator import Envelope, Figures, Half, Handler, Message, Port
from nodes.ports import PortNode

from .egp import FRAMES
from .messages import Code, Create, Err, Key, LinkError
from .service import LinkService, LinkUser, Served


class LinkLayer:
    """The link layer of a node.

    refill_circuits: offers free memory to the circuits that have reserved it; stores: whether the node can keep qubits.
    """

    def __init__(self, node: PortNode, refill_circuits: Callable[[], None], *, stores: bool) -> None:
        self._node = node
        self._refill_circuits = refill_circuits
        self._stores = stores
        self._number = 0  # goes on in later lives, so that no request comes back
        self._links: dict[str, LinkService] = {}  # by neighbour, once they are used
        self._listeners: dict[tuple[str, str], LinkUser] = {}
        self._served: Served = {}

    # -- the service -----------------------------------------------------------------------------------------------

    def create(self, create: Create, user: LinkUser) -> Key:
        """Request pairs with a neighbour; the user is told what becomes of it.

        Raises LinkError (CREATE) if there is no such neighbour.
        """
        self._number += 1
        key = (self._node.name, self._number)
        self._require_neighbour(create.remote, key)
        self._link(create.remote).create(self._number, create, user)
        return key

    def listen(self, peer: str, purpose: str, user: LinkUser) -> None:
        """Accept a neighbour's requests for a purpose.

        Raises LinkError: CREATE if there is no such neighbour, REJECTED if somebody listens already.
        """
        self._require_neighbour(peer, (peer, 0))
        if (peer, purpose) in self._listeners:
            reason = f"somebody at {self._node.name} listens already to {peer!r} for {purpose!r}"
            raise LinkError(Err(peer, 0, Code.REJECTED, reason))
        self._listeners[peer, purpose] = user

    def abandon(self, user: LinkUser) -> None:
        """Accept no more for a user, and end the requests that go on."""
        for key in [key for key, listener in self._listeners.items() if listener is user]:
            del self._listeners[key]
        for link in self._links.values():
            link.abandon(user)

    def unsettled(self, user: LinkUser) -> int:
        """Return how many requests of a user are not over at both ends, as far as is known."""
        return sum(link.unsettled(user) for link in self._links.values())

    def _require_neighbour(self, name: str, key: Key) -> None:
        if name not in self._node.ports:
            who = "this node itself" if name == self._node.name else "no neighbour"
            raise LinkError(Err(*key, Code.CREATE, f"to {self._node.name}, {name!r} is {who}"))

    # -- life ------------------------------------------------------------------------------------------------------

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return what neighbours and stations say to the link layer."""
        return {**dict.fromkeys(FRAMES, self.on_frame), Figures: self.on_figures}

    def on_frame(self, message: Message, envelope: Envelope) -> None:
        """Take a frame of a neighbour."""
        FRAMES[type(message)](self._link(envelope.sender).egp, message, self._node.now_ns)

    def on_figures(self, message: Figures, envelope: Envelope) -> None:
        """Take what a station says of a link."""
        self._link(message.b).egp.figures(message.min_fidelity, message.figures, self._node.now_ns)

    def neighbour_began(self, name: str) -> None:
        """End what a neighbour or a station does not know of any more."""
        for peer, link in list(self._links.items()):
            if peer == name:
                link.egp.peer_began()
            if link.port.station == name:
                link.egp.station_began(self._node.now_ns)

    def lose(self) -> None:
        """Lose all requests, at a crash."""
        for link in self._links.values():
            link.lose()
        self._listeners.clear()
        self._served.clear()

    def held(self) -> Mapping[str, int]:
        """Return what is in use."""
        return {"link requests": sum(len(link.egp.requests) for link in self._links.values())}

    def _link(self, peer: str) -> LinkService:
        link = self._links.get(peer)
        if link is None:
            found = (self._listeners, self._served, self.refill)
            link = self._links[peer] = LinkService(self._node, peer, *found, stores=self._stores)
        return link

    # -- memory ----------------------------------------------------------------------------------------------------

    def make_room(self, bank: str) -> None:
        """Withdraw as many sessions as it takes, after positions have been reserved."""
        memory = self._node.memory
        missing = -memory.surplus(bank)
        if missing <= 0:
            return
        missing -= sum(link.reading for link in self._links.values() if link.port.bank == bank)
        going = list[tuple[Port, int]]()
        for port in dict.fromkeys(self._node.ports.values()):
            for number, session in port.sessions.items():
                if session.qubit.bank == bank and memory.borrowed(session.qubit):
                    missing -= session.stopping  # it is on its way back
                    if not session.stopping:
                        going.append((port, number))
        for port, number in going[::-1][: max(0, missing)]:
            port.stop(number, self._node.send)

    def refill(self, bank: str) -> None:
        """Offer the positions of a bank that have become free: to circuits first, then to requests in turn."""
        if self._node.memory.surplus(bank) < 0:
            self._refill_circuits()
        for link, request in list(self._served.values()):
            if link.port.bank == bank:
                link.offer(request)

    # -- sessions --------------------------------------------------------------------------------------------------

    def session_ended(self, label: str) -> None:
        """Take the news that a session brought no pair; its position is free."""
        found = self._served.get(label)
        if found is not None:
            link, request = found
            link.session_over(request)
            self.refill(link.port.bank)

    def heralded(self, label: str, port: Port, half: Half) -> None:
        """Take a pair, or what is left of it if nobody knows its label."""
        found = self._served.get(label)
        if found is None:
            self._node.forget(half)
        else:
            link, request = found
            link.heralded(request, half)
            link.session_over(request)
        self.refill(port.bank)
