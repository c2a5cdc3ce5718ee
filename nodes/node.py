"""What every node with ports does with pairs: take them from links, swap them, track them, and tell what it can do."""

from __future__ import annotations

from collections.abc import Mapping

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
    Distil,
    Distilled,
    EndRole,
    Expire,
    Extended,
    Request,
    SwapNote,
    SwapRole,
    Track,
)
from .control.messages import Describe, NodeReport, PortReport, Promise
from .control.path import NodeFigures
from .datagram import Datagram
from .physics import NodePhysics
from .signalling import SignallingNode

_ATTEMPT_S = 1e-4  # to compare memories that attempts disturb with others


class QuantumNode(SignallingNode):
    """A node with ports and a memory, through which circuits can run. Subclasses say what kind of node it is."""

    switch = ""  # the heralding stations behind this node's optical switch, and how many they are
    analysers = 0

    def __init__(
        self,
        name: str,
        device: QuantumDevice,
        banks: Mapping[str, Bank],
        ports: Mapping[str, Port],
        physics: NodePhysics | None = None,
    ) -> None:
        super().__init__(name, device, banks, ports, physics)
        self._swap_contrasts = self.physics.bsm.contrasts
        self.strays = 0  # words for circuits that are gone
        self.swaps = 0

    # -- life ------------------------------------------------------------------------------------------------------

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return what a node listens to."""
        return {
            **super().handlers(),
            Track: self.on_word,
            Expire: self.on_word,
            Extended: self.on_extended,
            Distil: self.on_distil,
            Distilled: self.on_distil,
            Datagram: self.on_datagram,
            Describe: self.on_describe,
        }

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

    def role_in(self, circuit: Circuit) -> SwapRole | EndRole | None:
        """Return this node's part in the tracking of a circuit's pairs; None: photons only pass."""
        actions = _Actions(self, circuit)
        if circuit.is_head or circuit.is_tail:
            return EndRole(circuit.name, EAST if circuit.is_head else WEST, actions, circuit.requests)
        if circuit.ports != (None, None):
            return SwapRole(circuit.name, circuit.index, circuit.order, actions)
        return None

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
