"""End nodes that can distil the pairs of their circuits: gates and read-out of their own hardware."""

from __future__ import annotations

from typing import TypeAlias

from emulator import Contrasts, Gate, Half, Message, Port, Qubit, after_storage
from emulator.quantum import gates

from .circuit import Circuit
from .circuits import DistilHead, DistilTail, Held, Meeting, Reading, Request, Reserve, Terms, Track
from .distillation import PROTOCOLS, Protocol
from .end import EndNode
from .physics import NodePhysics

# The gates that turn the kept and the spent qubit, if they are turned.
Turned: TypeAlias = tuple[Gate | None, Gate | None]


class DistilGates:
    """The gates of a protocol at one of a circuit's ends, with the noise of the hardware there."""

    def __init__(self, protocol: Protocol, physics: NodePhysics, *, head: bool) -> None:
        rotations = [turn.rotation(head=head) for turn in protocol.turns]
        self.turns: list[Gate | None] = [
            gates.rotation(*axis, angle_rad).depolarised(physics.one_qubit_depolarising) if angle_rad else None
            for axis, angle_rad in rotations
        ]
        self.cnot = gates.CNOT.depolarised(physics.two_qubit_depolarising)


class Distiller(EndNode):
    """An end node with gates for two qubits. It hands on the pairs of a circuit when they have been distilled."""

    may_distil = True

    def begin(self) -> None:
        """Start a life without gates; they are made when they are first needed."""
        super().begin()
        self._gates: dict[tuple[str, bool], DistilGates] = {}

    def refusal(self, message: Reserve, ports: tuple[Port | None, Port | None]) -> str | None:
        """Refuse also a distillation that cannot be done."""
        return super().refusal(message, ports) or _misfit(message.terms)

    def activated(self, circuit: Circuit) -> None:
        """Be ready to distil the pairs of a circuit."""
        super().activated(circuit)
        terms = circuit.terms
        if terms.distil:
            actions = _DistilActions(self, circuit)
            role = DistilHead if circuit.is_head else DistilTail
            circuit.distilling = role(circuit.name, PROTOCOLS[terms.distil], terms.rounds, actions)

    def deliver(self, circuit: Circuit, half: Half, track: Track, request: Request | None) -> None:
        """Take an end-to-end pair."""
        if circuit.distilling is None:
            super().deliver(circuit, half, track, request)
        else:
            circuit.distilling.pair(half, track)

    def hand_on(self, circuit: Circuit, half: Half, track: Track, request: Request | None) -> None:
        """Deliver a distilled pair."""
        super().deliver(circuit, half, track, request)

    def begin_distil(self, circuit: Circuit, meeting: Meeting) -> None:
        """Start this end's part in a distillation, which takes its time."""
        key = (circuit.terms.distil, circuit.is_head)
        if (found := self._gates.get(key)) is None:
            found = self._gates[key] = DistilGates(PROTOCOLS[key[0]], self.physics, head=key[1])
        kept, spent = meeting.turns
        turns = (found.turns[kept], found.turns[spent])
        turned = sum(turn is not None for turn in turns)
        self.after(self.physics.distil_ns(turned), self._finish_distil, circuit, meeting, turns, found.cnot)

    def _finish_distil(self, circuit: Circuit, meeting: Meeting, turns: Turned, cnot: Gate) -> None:
        """Do this end's part in a distillation, at the end of the time that it takes."""
        kept, spent = meeting.kept.half, meeting.spent.half
        before = self._contrasts(circuit, meeting.kept, stays=True)
        other = self._contrasts(circuit, meeting.spent, stays=False)
        outcome = self._distil(kept.qubit, spent.qubit, turns, cnot)
        self.record("distil", circuit.name, meeting.round, kept.pair, spent.pair, outcome)
        gates = self.physics.gates(*(int(turn is not None) for turn in turns))
        assert circuit.distilling is not None
        circuit.distilling.operated(meeting, Reading(outcome, self.now_ns, before, other, gates))
        self._finish_release(circuit)

    def _distil(self, kept: Qubit | None, spent: Qubit | None, turns: Turned, cnot: Gate) -> int:
        """Return what is read of the spent qubit, -1 if there is no answer."""
        assert kept is not None
        assert spent is not None
        for qubit, turn in zip((kept, spent), turns, strict=True):
            if turn is not None:
                self._device.gate(turn, qubit.id, time_ns=self.now_ns)
        self._device.gate(cnot, kept.id, spent.id, time_ns=self.now_ns)
        random = self.random("distil")
        u = (random.uniform(), random.uniform())
        outcome = self._device.measure(spent.id, self.now_ns, u=u, readout=self.physics.readout)
        return -1 if outcome is None else outcome

    def _contrasts(self, circuit: Circuit, held: Held, *, stays: bool) -> Contrasts:
        """Settle a pair's half, and return the pair's contrasts by now."""
        contrast = self.settle(held.half, stays=stays)
        mine, far = self.stored_at_ends(circuit, held.half, held.track)
        x, y, z = after_storage(held.track.contrasts, held.track.bias, far, mine)
        return contrast * x, contrast * y, z


def _misfit(terms: Terms) -> str | None:
    """Return what is wrong with a distillation, if anything is."""
    if not terms.distil:
        return None
    if terms.distil not in PROTOCOLS:
        return f"no distillation protocol {terms.distil!r}; there are {', '.join(PROTOCOLS)}"
    if terms.rounds < 1:
        return f"{terms.rounds} rounds of distillation; it takes at least 1"
    if terms.lanes <= terms.rounds:
        return f"distillation needs more lanes than rounds, not {terms.lanes} for {terms.rounds}"
    return None


class _DistilActions:
    """What the distillation of a circuit's pairs has its node do."""

    def __init__(self, node: Distiller, circuit: Circuit) -> None:
        self._node = node
        self._circuit = circuit
        self._request = circuit.requests.common  # the only one that such a circuit has

    def send(self, side: int, message: Message) -> None:
        peer = self._circuit.peers[side]
        assert peer is not None
        self._node.send(peer, message)

    def choose(self, n: int) -> int:
        return self._node.random("distil").below(n)

    def operate(self, meeting: Meeting) -> None:
        self._node.begin_distil(self._circuit, meeting)

    def hand_on(self, half: Half, track: Track) -> None:
        self._node.hand_on(self._circuit, half, track, self._request)

    def free(self, half: Half) -> None:
        self._node.forget(half)
        self._node.refill(self._circuit)
