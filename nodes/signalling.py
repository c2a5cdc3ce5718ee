"""The life of circuits at a node: reservation, requests, tear-down, and what breaks them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from itertools import pairwise

import msgspec

from emulator import Bank, Envelope, Handler, Message, Port, QuantumDevice, StorageLaw

from .circuit import Circuit
from .circuits import (
    EAST,
    WEST,
    Broken,
    Complete,
    Confirm,
    EndRole,
    Forward,
    Refuse,
    Release,
    Released,
    Request,
    Requests,
    Reserve,
    SwapOrder,
    SwapRole,
)
from .link import LinkLayer
from .physics import NodePhysics
from .ports import PortNode

_HOP_MARGIN_NS = 1_000  # per hop, so that a Confirm is there before the start even if it had to queue


class SignallingNode(PortNode):
    """A node with ports and a memory, through which circuits can run. Subclasses say what becomes of their pairs."""

    may_swap = True
    may_end = True
    may_distil = False
    stores = True

    def __init__(
        self,
        name: str,
        device: QuantumDevice,
        banks: Mapping[str, Bank],
        ports: Mapping[str, Port],
        physics: NodePhysics | None = None,
    ) -> None:
        super().__init__(name, device, banks, ports, physics)
        self._circuits: dict[str, Circuit] = {}
        self.link_layer = LinkLayer(self, self.refill_all, stores=self.stores)
        self._calibrating: set[int] = set()  # faults that keep this node from making attempts

    # -- life ------------------------------------------------------------------------------------------------------

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return what is said of circuits, and of link requests."""
        return {
            **super().handlers(),
            Reserve: self.on_reserve,
            Confirm: self.on_confirm,
            Refuse: self.on_refuse,
            Release: self.on_release,
            Released: self.on_released,
            Broken: self.on_broken,
            Forward: self.on_forward,
            Complete: self.on_complete,
            **self.link_layer.handlers(),
        }

    def begin(self) -> None:
        """Start without circuits."""
        self._circuits = {}

    def lose(self) -> None:
        """Lose all qubits, sessions, circuits and link requests."""
        super().lose()
        self.link_layer.lose()
        self._circuits = {}

    def held(self) -> Mapping[str, int]:
        """Return what is in use."""
        return {**super().held(), **self.link_layer.held(), "circuits": len(self._circuits)}

    def neighbour_began(self, name: str) -> None:
        """Give up what a neighbour, or a heralding station, does not know of any more: circuits and link requests."""
        super().neighbour_began(name)
        self.link_layer.neighbour_began(name)
        for circuit in list(self._circuits.values()):
            if name in circuit.peers or any(port is not None and port.station == name for port in circuit.ports):
                self.abandon(circuit, name)

    def herald_lost(self, label: str, port: Port) -> None:
        """Give up a circuit of which the next node has a half that this one lacks."""
        if (circuit := self._circuits.get(label)) is not None:
            self.abandon(circuit, port.station)

    def stalled(self, label: str, port: Port) -> None:
        """Record that a circuit gets no pairs; it waits until there are some again."""
        circuit = self._circuits.get(label)
        if circuit is not None and not circuit.closing:
            self.record("stalled", label, port.station)

    def numbers_came_back(self, port: Port) -> None:
        """Give up the circuits over a station whose pairs cannot be told from earlier ones."""
        for circuit in list(self._circuits.values()):
            if port in circuit.ports:
                self.abandon(circuit, port.station)

    def session_ended(self, label: str) -> None:
        """Offer the memory again, or go on with the tear-down that has stopped the session."""
        circuit = self._circuits.get(label)
        if circuit is None:
            self.link_layer.session_ended(label)
        else:
            self.refill(circuit)
            self._finish_release(circuit)

    # -- reservation -----------------------------------------------------------------------------------------------

    def on_reserve(self, message: Reserve, envelope: Envelope) -> None:
        """Set memory aside for a circuit and pass the request on, or refuse."""
        if message.path.count(self.name) == 1 and (envelope.sender, self.name) in pairwise(message.path):
            self.reserve(message)
        else:
            self.send(envelope.sender, Refuse(message.circuit, self.name, "the path does not lead from there to here"))

    def reserve(self, message: Reserve) -> None:
        """Do this node's part of a reservation; at the head-end, begin it."""
        path, index = message.path, message.path.index(self.name)
        last = len(path) - 1
        west = path[index - 1] if index > 0 else None
        east = path[index + 1] if index < last else None
        if east is not None and east not in self.ports:
            self._refuse(message.circuit, self.name, f"no link to {east}", west)
            return
        ports = (self.ports.get(west or ""), self.ports.get(east or ""))
        reason = self.refusal(message, ports)
        if reason is not None:
            self._refuse(message.circuit, self.name, reason, west)
            return
        order = SwapOrder(len(path), message.terms.nested)
        storage = [message.storage, StorageLaw()]
        requests = Requests(message.requests)
        circuit = Circuit(message.circuit, path, index, message.terms, order, ports, storage, requests)
        self.set_aside(circuit)
        self._circuits[circuit.name] = circuit
        if east is None:
            start_ns = self.now_ns + message.latency_ns + _HOP_MARGIN_NS * last
            self._confirm(circuit, start_ns, self.storage_law(self.ports[path[index - 1]]))
        else:
            latency_ns = message.latency_ns + self.latency_ns_to(east)
            self.send(east, msgspec.structs.replace(message, latency_ns=latency_ns))

    def set_aside(self, circuit: Circuit) -> None:
        """Set aside what a circuit needs at this node."""
        for port, peer in zip(circuit.ports, circuit.peers, strict=True):
            if port is not None and peer is not None:
                self.memory.reserve(port.bank, (circuit.name, peer), circuit.terms.lanes)
                self.link_layer.make_room(port.bank)

    def on_confirm(self, message: Confirm, envelope: Envelope) -> None:
        """All have reserved: start when they all do."""
        circuit = self._circuits.get(message.circuit)
        if circuit is not None and not circuit.closing:
            self._confirm(circuit, message.start_ns, message.storage)

    def on_refuse(self, message: Refuse, envelope: Envelope) -> None:
        """Somebody further on could not reserve: undo this node's part."""
        circuit = self._circuits.pop(message.circuit, None)
        if circuit is not None:
            self.give_back_all(circuit)
            self._refuse(message.circuit, message.node, message.reason, circuit.peers[WEST])

    def answered(self, circuit: str, refusal: Refuse | None) -> None:
        """Take the answer to a request of this node's own, at the head-end; None: it was granted."""

    def closed(self, circuit: str) -> None:
        """Take the news that everything of this node's own circuit was given back, at the head-end."""

    def refusal(self, message: Reserve, ports: tuple[Port | None, Port | None]) -> str | None:
        """Return why a circuit cannot lead through this node, if it cannot."""
        is_end = self.name in (message.path[0], message.path[-1])
        if message.circuit in self._circuits:
            return "the circuit exists already"
        if not (self.may_end if is_end else self.may_swap):
            return "this node cannot be an end" if is_end else "this node cannot swap"
        if is_end and message.terms.distil and not self.may_distil:
            return "this node cannot distil"
        lanes = message.terms.lanes
        for port, peer in zip(ports, _neighbours(message.path, self.name), strict=True):
            wanted = lanes * sum(p is not None and p.bank == port.bank for p in ports) if port else 0
            if port is not None and self.memory.available(port.bank) < wanted:
                return f"no free memory towards {peer}"
        return None

    def _confirm(self, circuit: Circuit, start_ns: int, storage: StorageLaw) -> None:
        circuit.storage[1] = storage
        self.after(max(1, start_ns - self.now_ns), self._activate, circuit)
        west = circuit.peers[WEST]
        if west is not None:
            self.send(west, Confirm(circuit.name, start_ns, storage))
        else:
            self.answered(circuit.name, None)

    def _refuse(self, circuit: str, node: str, reason: str, west: str | None) -> None:
        refusal = Refuse(circuit, node, reason)
        if west is not None:
            self.send(west, refusal)
        else:
            self.answered(circuit, refusal)

    def give_back_all(self, circuit: Circuit) -> None:
        """Give back what was set aside for a circuit."""
        for port, peer in zip(circuit.ports, circuit.peers, strict=True):
            if port is not None and peer is not None:
                self.memory.release(port.bank, (circuit.name, peer))
                self.link_layer.refill(port.bank)

    # -- a circuit's life ------------------------------------------------------------------------------------------

    def _activate(self, circuit: Circuit) -> None:
        if circuit.closing:
            return
        circuit.waiting_since_ns = self.now_ns
        circuit.role = self.role_in(circuit)
        circuit.links = tuple(
            (port, (circuit.name, peer), self.share(circuit, side))
            for side, (port, peer) in enumerate(zip(circuit.ports, circuit.peers, strict=True))
            if port is not None and peer is not None
        )
        self.activated(circuit)
        self.refill(circuit)

    @abstractmethod
    def role_in(self, circuit: Circuit) -> SwapRole | EndRole | None:
        """Return this node's part in the tracking of a circuit's pairs; None: photons only pass."""

    def activated(self, circuit: Circuit) -> None:
        """Take the news that a circuit of this node has become active."""

    def closing(self, circuit: Circuit) -> None:
        """Take the news that the tear-down of a circuit has begun."""

    def refill(self, circuit: Circuit) -> None:
        """Offer all spare memory of an active circuit to its links."""
        if circuit.role is None or circuit.closing or self._calibrating or not circuit.requests:
            return
        for port, owner, share in circuit.links:
            if self.memory.spare(port.bank, owner):
                port.fill(owner, self.memory, self.send, min_fidelity=circuit.terms.min_fidelity, share=share)

    def refill_all(self) -> None:
        """Offer all spare memory of all circuits to their links."""
        for circuit in self._circuits.values():
            self.refill(circuit)

    def share(self, circuit: Circuit, side: int) -> float:
        """Return the share of the heralding station's time that a circuit has been given, on one side of this node."""
        return 0.0

    def on_forward(self, message: Forward, envelope: Envelope) -> None:
        """Begin to serve a request."""
        circuit = self._circuits.get(message.circuit)
        if circuit is not None and not circuit.closing:
            self.forward(circuit, message.request)

    def forward(self, circuit: Circuit, request: Request) -> None:
        """Begin to serve a request, here and further on."""
        circuit.requests.begin(request)
        east = circuit.peers[EAST]
        if east is not None:
            self.send(east, Forward(circuit.name, request))
        if isinstance(circuit.role, SwapRole):
            circuit.role.resume()
        self.refill(circuit)

    def on_complete(self, message: Complete, envelope: Envelope) -> None:
        """End a request."""
        circuit = self._circuits.get(message.circuit)
        if circuit is not None and not circuit.closing:
            self.complete(circuit, message.number)

    def complete(self, circuit: Circuit, number: int) -> None:
        """End a request, here and further on; without requests, let the links of the circuit rest."""
        circuit.requests.end(number)
        east = circuit.peers[EAST]
        if east is not None:
            self.send(east, Complete(circuit.name, number))
        if circuit.requests:
            return
        if isinstance(circuit.role, SwapRole):
            circuit.role.rest()
        for port in circuit.ports:
            if port is not None:
                port.withdraw(circuit.name, self.send)

    def on_release(self, message: Release, envelope: Envelope) -> None:
        """Tear a circuit down here and further on."""
        circuit = self._circuits.get(message.circuit)
        if circuit is not None and not circuit.closing:
            self.release(circuit)

    def release(self, circuit: Circuit) -> None:
        """Begin to give everything of a circuit back; at the head-end, of the whole path."""
        circuit.closing = True
        self.closing(circuit)
        if circuit.role is not None:
            circuit.role.stop()
        if circuit.distilling is not None:
            circuit.distilling.stop()
        for port in circuit.ports:
            if port is not None:
                port.withdraw(circuit.name, self.send)
        east = circuit.peers[EAST]
        if east is not None:
            self.send(east, Release(circuit.name))
        else:
            circuit.downstream_released = True
        self._finish_release(circuit)

    def on_released(self, message: Released, envelope: Envelope) -> None:
        """Everything has been given back from the next node on."""
        circuit = self._circuits.get(message.circuit)
        if circuit is not None:
            circuit.downstream_released = True
            self._finish_release(circuit)

    def on_broken(self, message: Broken, envelope: Envelope) -> None:
        """Give up a circuit that is broken elsewhere on its path."""
        circuit = self._circuits.get(message.circuit)
        if circuit is not None:
            self.abandon(circuit, message.node, told_by=envelope.sender)

    def abandon(self, circuit: Circuit, node: str, told_by: str = "") -> None:
        """Give up a circuit at once, since a node on its path has lost its memory, and tell the others."""
        if circuit.broken:
            return
        circuit.broken = circuit.closing = True
        for role in (circuit.role, circuit.distilling):
            if role is not None:
                role.abandon()
        for port in circuit.ports:
            if port is not None:
                port.withdraw(circuit.name, self.send)
        for peer in circuit.peers:
            if peer is not None and peer not in (told_by, node):
                self.send(peer, Broken(circuit.name, node))
        self.broke(circuit, node)
        self._finish_release(circuit)

    def broke(self, circuit: Circuit, node: str) -> None:
        """Take the news that a circuit of this node is broken, and which node has lost its memory."""

    def _finish_release(self, circuit: Circuit) -> None:
        """Give the memory back and say so, once nothing uses it and no word is awaited, here and further on."""
        if not circuit.closing or not (circuit.downstream_released or circuit.broken):
            return
        if circuit.pending:
            return
        if any(self.memory.taken(port.bank, owner) for port, owner, _ in circuit.links):
            return
        del self._circuits[circuit.name]
        if circuit.cutoff is not None:
            circuit.cutoff.cancel()
        for port, _, _ in circuit.links:
            if port.forget(circuit.name):
                self.record("stall ends", circuit.name, port.station, 0)
        self.give_back_all(circuit)
        west = circuit.peers[WEST]
        if west is None:
            self.closed(circuit.name)
        elif not circuit.broken:
            self.send(west, Released(circuit.name))

    # -- what faults do --------------------------------------------------------------------------------------------

    def calibrate(self, key: int, *, calibrating: bool) -> int:
        """Make no attempts, or make them again; return how many sessions that ends."""
        if not calibrating:
            self._calibrating.discard(key)
            self.refill_all()
            return 0
        self._calibrating.add(key)
        running = [(p, n) for p in self._by_station.values() for n, s in p.sessions.items() if not s.stopping]
        for port, number in running:
            port.stop(number, self.send)
        return len(running)


def _neighbours(path: tuple[str, ...], name: str) -> tuple[str | None, str | None]:
    index = path.index(name)
    return path[index - 1] if index else None, path[index + 1] if index + 1 < len(path) else None
