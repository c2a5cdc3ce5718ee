"""What every node with ports does: link sessions, reservations of paths, and the tracking of pairs through it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import msgspec

from emulator import (
    Bank,
    Envelope,
    Half,
    Handler,
    Message,
    Port,
    QuantumDevice,
    StorageLaw,
)

from .circuit import Circuit
from .circuits import (
    EAST,
    WEST,
    Broken,
    Complete,
    Confirm,
    Distil,
    Distilled,
    EndRole,
    Expire,
    Extended,
    Forward,
    Refuse,
    Release,
    Released,
    Request,
    Requests,
    Reserve,
    SwapNote,
    SwapOrder,
    SwapRole,
    Track,
)
from .control.forecast import NodeFigures
from .control.messages import Describe, NodeReport, PortReport, Promise
from .datagram import Datagram
from .link import LinkLayer
from .physics import NodePhysics
from .ports import PortNode

_ATTEMPT_S = 1e-4  # to compare memories that attempts disturb with others
_HOP_MARGIN_NS = 1_000  # per hop, so that a Confirm is there before the start even if it had to queue


class QuantumNode(PortNode):
    """A node with ports and a memory, through which circuits can run. Subclasses say what kind of node it is."""

    may_swap = True
    may_end = True
    stores = True
    switch = ""  # the heralding stations behind this node's optical switch, and how many they are
    analysers = 0
    may_distil = False

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
        self.link_layer = LinkLayer(self, self._refill_all, stores=self.stores)
        self._calibrating: set[int] = set()  # faults that keep this node from making attempts
        self._swap_contrasts = self.physics.bsm.contrasts
        self.strays = 0  # words for circuits that are gone
        self.swaps = 0

    # -- life ------------------------------------------------------------------------------------------------------

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return what a node listens to."""
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
            Track: self.on_word,
            Expire: self.on_word,
            Extended: self.on_extended,
            Distil: self.on_distil,
            Distilled: self.on_distil,
            Datagram: self.on_datagram,
            Describe: self.on_describe,
            **self.link_layer.handlers(),
        }

    def begin(self) -> None:
        """Start without circuits."""
        self._circuits = {}

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

    def lose(self) -> None:
        """Lose all qubits, sessions, circuits and link requests."""
        super().lose()
        self.link_layer.lose()
        self._circuits = {}

    def held(self) -> Mapping[str, int]:
        """Return what is in use."""
        return {**super().held(), **self.link_layer.held(), "circuits": len(self._circuits)}

    # -- the controller --------------------------------------------------------------------------------------------

    def on_describe(self, message: Describe, envelope: Envelope) -> None:
        """Tell the controller what this node can do."""
        self.send(envelope.sender, self.report())

    def report(self) -> NodeReport:
        """Return what this node can do."""
        physics = self.physics
        works = physics.bsm.efficiency * (0.5 if physics.bsm.linear_optics else 1.0)
        laws = [self.storage_law(port) for port in self.ports.values()]
        storage = min(laws, key=lambda law: law.lifetime_s(_ATTEMPT_S), default=StorageLaw())
        return NodeReport(
            self.may_end,
            self.may_swap,
            NodeFigures(
                storage,
                physics.bsm_ns,
                works,
                physics.bsm.contrasts,
                not self.stores,
                physics.gates(1, 1),
                physics.distil_ns(turned=2),
            ),
            tuple(
                PortReport(peer, port.station, self.latency_ns_to(peer), port.bank, self.memory.positions(port.bank))
                for peer, port in self.ports.items()
            ),
            self.switch,
            self.analysers,
            self.promises(),
        )

    def promises(self) -> tuple[Promise, ...]:
        """Return what this node's users were promised."""
        return ()

    # -- links -----------------------------------------------------------------------------------------------------

    def heralded(self, label: str, port: Port, half: Half) -> None:
        """Take a pair for a circuit or for a link request, or what is left of it if that is gone."""
        circuit = self._circuits.get(label)
        if circuit is None:
            self.link_layer.heralded(label, port, half)
            return
        if circuit.role is None or circuit.broken:
            self.forget(half)
            self._finish_release(circuit)
            return
        self.take_half(circuit, port, half)
        self._finish_release(circuit)

    def take_half(self, circuit: Circuit, port: Port, half: Half) -> None:
        """Hand a half that a link delivered to the circuit that it is for."""
        role = circuit.role
        if isinstance(role, EndRole):
            role.pair(half)
        elif role is not None:
            cutoff_ns = circuit.terms.cutoff_ns
            if cutoff_ns:
                role.discard_before(self.now_ns - cutoff_ns)  # what a node that was held up has not discarded yet
            too_old = cutoff_ns > 0 and half.emitted_ns < self.now_ns - cutoff_ns
            role.pair(EAST if port is circuit.ports[EAST] else WEST, half, too_old=too_old)
            if cutoff_ns:
                self._watch_cutoff(circuit)

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
        actions = _Actions(self, circuit)
        if circuit.is_head or circuit.is_tail:
            circuit.role = EndRole(circuit.name, EAST if circuit.is_head else WEST, actions, circuit.requests)
        elif circuit.ports != (None, None):
            circuit.role = SwapRole(circuit.name, circuit.index, circuit.order, actions)
        circuit.links = tuple(
            (port, (circuit.name, peer), self.share(circuit, side))
            for side, (port, peer) in enumerate(zip(circuit.ports, circuit.peers, strict=True))
            if port is not None and peer is not None
        )
        self.activated(circuit)
        self.refill(circuit)

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

    def _refill_all(self) -> None:
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

    def refill_all(self) -> None:
        """Offer all spare memory of all circuits to their links."""
        for circuit in self._circuits.values():
            self.refill(circuit)

    # -- classical messages of programs ----------------------------------------------------------------------------

    def on_datagram(self, message: Datagram, envelope: Envelope) -> None:
        """Pass a message of a program on, or take it."""
        if message.hop == len(message.path) - 1:
            self.receive_datagram(message)
        else:
            self.send_datagram(message)

    def send_datagram(self, message: Datagram) -> None:
        """Send a message of a program to the next node of its path."""
        hop = message.hop + 1
        self.send(message.path[hop], Datagram(message.path, hop, message.service, message.payload))

    def receive_datagram(self, message: Datagram) -> None:
        """Take a message for this node; a node without programs has no use for it."""
        self.strays += 1

    # -- pairs -----------------------------------------------------------------------------------------------------

    def on_word(self, message: Track | Expire, envelope: Envelope) -> None:
        """Follow a chain of pairs."""
        circuit = self._circuits.get(message.circuit)
        if circuit is not None and circuit.ports == (None, None) and not circuit.broken:
            self._pass_on(circuit, envelope.sender, message)
            return
        if circuit is None or circuit.role is None or circuit.broken:
            self.strays += 1
            return
        circuit.role.word(message)
        self._finish_release(circuit)

    def on_extended(self, message: Extended, envelope: Envelope) -> None:
        """Take, or pass on, the news that a pair reaches further."""
        circuit = self._circuits.get(message.circuit)
        if circuit is None or circuit.broken or not isinstance(circuit.role, SwapRole):
            self.strays += 1
        elif message.to == circuit.index:
            if circuit.terms.cutoff_ns:
                circuit.role.discard_before(self.now_ns - circuit.terms.cutoff_ns)
            circuit.role.extended(message)
        else:
            onward = circuit.peers[EAST if message.to > circuit.index else WEST]
            assert onward is not None
            self.send(onward, message)

    def on_distil(self, message: Distil | Distilled, envelope: Envelope) -> None:
        """Take, or pass on, what one end of a circuit tells the other of their distillation."""
        circuit = self._circuits.get(message.circuit)
        if circuit is None or circuit.broken:
            self.strays += 1
        elif circuit.distilling is None:
            self._pass_on(circuit, envelope.sender, message)
        else:
            circuit.distilling.word(message)
            self._finish_release(circuit)

    def _pass_on(self, circuit: Circuit, sender: str, message: Message) -> None:
        """Pass on what is said along a circuit and not meant for this node."""
        west, east = circuit.peers
        onward = east if sender == west else west
        assert onward is not None
        self.send(onward, message)

    def deliver(self, circuit: Circuit, half: Half, track: Track, request: Request | None) -> None:
        """Take an end-to-end pair, at an end; nodes that may not be ends refuse to be reserved as one."""
        raise TypeError(f"{self.name} is no end node")

    def _watch_cutoff(self, circuit: Circuit) -> None:
        """Keep one timer, for the oldest half that waits: one for each would fill the timeline with dead entries."""
        waiting = circuit.role.waiting if isinstance(circuit.role, SwapRole) else []
        if not waiting:
            return
        due_ns = min(half.emitted_ns for half in waiting) + circuit.terms.cutoff_ns
        if circuit.cutoff is not None:
            if due_ns >= circuit.cutoff_due_ns:
                return
            circuit.cutoff.cancel()  # the herald of this half took longer than that of the other side
        circuit.cutoff_due_ns = due_ns
        circuit.cutoff = self.alarm(due_ns - self.now_ns, self._cut_off, circuit)

    def _cut_off(self, circuit: Circuit) -> None:
        circuit.cutoff = None
        if isinstance(circuit.role, SwapRole):
            circuit.role.discard_before(self.now_ns - circuit.terms.cutoff_ns + 1)
            self._watch_cutoff(circuit)

    def begin_swap(self, circuit: Circuit, west: Half, east: Half) -> None:
        """Start a Bell-state measurement, which takes its time."""
        self.after(self.physics.bsm_ns, self._finish_swap, circuit, west, east)

    def _finish_swap(self, circuit: Circuit, west: Half, east: Half) -> None:
        physics, random = self.physics, self.random("swap")
        west_qubit, east_qubit = west.qubit, east.qubit
        assert west_qubit is not None
        assert east_qubit is not None
        contrast = self.settle(west) * self.settle(east)
        stored = self.stored(west), self.stored(east)
        efficiency = physics.retrieval(self.now_ns - west.emitted_ns) * physics.retrieval(self.now_ns - east.emitted_ns)
        outcome = self._device.swap(
            west_qubit.id,
            east_qubit.id,
            self.now_ns,
            u=(random.uniform(), random.uniform(), random.uniform()),
            bsm=physics.bsm,
            efficiency=efficiency,
        )
        self.swaps += 1
        self.record("swap", circuit.name, west.pair, east.pair, -1 if outcome is None else int(outcome))
        self.memory.free(west_qubit)
        self.memory.free(east_qubit)
        assert isinstance(circuit.role, SwapRole)
        x, y, z = self._swap_contrasts
        full = circuit.known_full(west, east)
        left = (x * contrast * full, y * contrast * full, z * full)
        note = None
        if circuit.terms.trace and outcome is not None:
            ages_ns = (self.now_ns - west.emitted_ns, self.now_ns - east.emitted_ns)
            fidelities = ((1 + sum(west.contrasts)) / 4, (1 + sum(east.contrasts)) / 4)
            note = SwapNote(self.name, self.now_ns, west.pair, east.pair, int(outcome), ages_ns, fidelities)
        circuit.role.swapped(west, east, None if outcome is None else int(outcome), left, stored, note)
        self.refill(circuit)
        self._finish_release(circuit)


def _neighbours(path: tuple[str, ...], name: str) -> tuple[str | None, str | None]:
    index = path.index(name)
    return path[index - 1] if index else None, path[index + 1] if index + 1 < len(path) else None


class _Actions:
    """What a circuit's state machine has its node do."""

    __slots__ = ("_circuit", "_node", "_peers")

    def __init__(self, node: QuantumNode, circuit: Circuit) -> None:
        self._node = node
        self._circuit = circuit
        self._peers = tuple(peer or "" for peer in circuit.peers)

    def send(self, side: int, message: Message) -> None:
        self._node.send(self._peers[side], message)

    def swap(self, west: Half, east: Half) -> None:
        self._node.begin_swap(self._circuit, west, east)

    def deliver(self, half: Half, track: Track, request: Request | None) -> None:
        self._node.deliver(self._circuit, half, track, request)

    def free(self, half: Half) -> None:
        self._node.forget(half)
        self._node.refill(self._circuit)
