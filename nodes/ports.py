"""A node with ports: its memory, and the sessions by which its links make pairs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from emulator import (
    Actor,
    Bank,
    Begin,
    Envelope,
    Half,
    Handler,
    Herald,
    Message,
    PairId,
    Paused,
    Port,
    QuantumDevice,
    QuantumMemory,
    Qubit,
    RandomStream,
    S,
    Stopped,
    StorageLaw,
    Stored,
    TimedOut,
    Unknown,
)
from emulator.faults import Wrap

from .physics import NodePhysics

# A unit Bloch vector.
Direction: TypeAlias = tuple[float, float, float]
_LOOK_NS = S // 2  # how often a node looks for sessions that are overdue


class PortNode(Actor, ABC):
    """Keeps sessions with the heralding stations of its links, and hands on what comes of them.

    ports: by the neighbour to whom they lead; neighbours behind one optical switch share one.

    On some platforms each attempt disturbs the qubits that are stored beside it. A half is stored with a mark: how many
    attempts had been made by then. `settle` makes up for those since.
    """

    role = "node"
    links_wanted: int | None = None  # None: any number

    def __init__(
        self,
        name: str,
        device: QuantumDevice,
        banks: Mapping[str, Bank],
        ports: Mapping[str, Port],
        physics: NodePhysics | None = None,
    ) -> None:
        if self.links_wanted not in (None, len(ports)):
            raise ValueError(f"{name!r} must have {self.links_wanted} links, not {len(ports)}")
        super().__init__(name)
        self.physics = physics or NodePhysics()
        self.memory = QuantumMemory(device, name, banks)
        self.ports = dict(ports)
        self._device = self._bare_device = device
        self._wraps: dict[int, Wrap] = {}  # what faults put between this node and its qubits
        self._by_station = {port.station: port for port in ports.values()}
        self._disturbed = self.physics.attempts_1_over_e != math.inf
        self._marks: dict[PairId, int] = {}  # attempts made by the time each half was stored

    # -- what a subclass does --------------------------------------------------------------------------------------

    @abstractmethod
    def heralded(self, label: str, port: Port, half: Half) -> None:
        """Take a half that a link made for a label."""

    @abstractmethod
    def herald_lost(self, label: str, port: Port) -> None:
        """Take the news that the other side of a link has a half for a label whose herald did not come here."""

    @abstractmethod
    def stalled(self, label: str, port: Port) -> None:
        """Take the news that a label had no herald for so long that something must be wrong."""

    @abstractmethod
    def numbers_came_back(self, port: Port) -> None:
        """Take the news that a station counts its pairs anew, so that names of pairs come back."""

    @abstractmethod
    def session_ended(self, label: str) -> None:
        """Take the news that a session for a label brought no pair; its memory position is free."""

    # -- life ------------------------------------------------------------------------------------------------------

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return what the stations of the links say."""
        return {
            Begin: self.on_begin,
            Paused: self.on_paused,
            Herald: self.on_herald,
            TimedOut: self.on_session_end,
            Stopped: self.on_session_end,
            Unknown: self.on_unknown,
        }

    def neighbour_began(self, name: str) -> None:
        """Stop the sessions of which a station's new life knows nothing, so that others can begin."""
        if name in self._by_station:
            self._by_station[name].latest = 0
            self._by_station[name].withdraw_all(self.send)

    def lose(self) -> None:
        """Lose all qubits and sessions."""
        self.memory.lose()
        self._marks.clear()
        for port in self._by_station.values():
            port.lose()

    def held(self) -> Mapping[str, int]:
        """Return what is in use."""
        return {
            "memory positions in use": self.memory.in_use,
            "memory positions reserved": self.memory.reserved,
            "sessions": sum(len(port.sessions) for port in self._by_station.values()),
            "marks": len(self._marks),
        }

    # -- sessions --------------------------------------------------------------------------------------------------

    def on_begin(self, message: Begin, envelope: Envelope) -> None:
        """Note that the attempts of a session begin."""
        port = self._by_station[envelope.sender]
        port.begun(message)
        if not port.watched:
            port.watched = True
            self.after(_LOOK_NS, self._look_for_overdue, port)

    def on_paused(self, message: Paused, envelope: Envelope) -> None:
        """Note that the attempts of a session rest."""
        self._by_station[envelope.sender].paused(message.session, self.now_ns)

    def on_herald(self, message: Herald, envelope: Envelope) -> None:
        """Take a pair."""
        port, now_ns = self._by_station[envelope.sender], self.now_ns
        session = port.ended(message.session, now_ns)
        if message.sequence <= port.latest:
            self.numbers_came_back(port)
        port.latest = message.sequence
        if session is not None:
            port.fruit_ns[session.label] = now_ns
            if port.fruitless and port.flows(session.label):
                self.record("stall ends", session.label, port.station, 1)
            pair = (port.station, message.sequence)
            half = Half(
                pair,
                message.bell,
                session.qubit,
                message.emitted_ns,
                session.contrasts,
                session.bias,
                session.loaded,
            )
            if self._disturbed:
                self._marks[pair] = self._attempts()
                half.disturbed = (self.now_ns, self._disturbance_per_s())
            self.heralded(session.label, port, half)

    def on_session_end(self, message: TimedOut | Stopped, envelope: Envelope) -> None:
        """End a session that brought no pair."""
        port = self._by_station[envelope.sender]
        session = port.ended(message.session, self.now_ns)
        if session is not None:
            self.memory.free(session.qubit)
            if port.ended_in_vain(session, self.now_ns):
                self.stalled(session.label, port)
            self.session_ended(session.label)

    def on_unknown(self, message: Unknown, envelope: Envelope) -> None:
        """End a session that the station has ended: if no news of it came before this, a herald was lost."""
        port = self._by_station[envelope.sender]
        session = port.ended(message.session, self.now_ns)
        if session is not None:
            self.memory.free(session.qubit)
            self.herald_lost(session.label, port)
            self.session_ended(session.label)

    def _look_for_overdue(self, port: Port) -> None:
        """Withdraw sessions whose herald should have come long ago: the answer says whether it was lost."""
        port.watched = any(session.emitting_since_ns is not None for session in port.sessions.values())
        if port.watched:
            for number in port.overdue(self.now_ns):
                port.stop(number, self.send)
            self.after(_LOOK_NS, self._look_for_overdue, port)

    # -- halves ----------------------------------------------------------------------------------------------------

    def settle(self, half: Half, *, stays: bool = False) -> float:
        """Bring a stored qubit up to date with the attempts made beside it, before anything is done with it.

        Returns the contrast that they have left. stays: it is stored on thereafter.
        """
        if not self._disturbed or half.pair not in self._marks:
            return 1.0
        attempts = self._attempts()
        disturbed = attempts - self._marks.pop(half.pair)
        if stays:
            self._marks[half.pair] = attempts
        contrast = math.exp(-disturbed / self.physics.attempts_1_over_e)
        if half.qubit is not None:
            self._device.dephase(half.qubit.id, contrast, self.now_ns)
        return contrast

    def stored(self, half: Half) -> Stored:
        """Return what storage has done to a half that is not counted yet, by what this node knows of its memory."""
        if half.qubit is None:
            return half.until_measured
        counted_ns = max(0, half.counted_ns - half.emitted_ns)
        return self.memory.stored(half.qubit.bank, self.now_ns - half.emitted_ns, counted_ns)

    def storage_law(self, port: Port) -> StorageLaw:
        """Return what a half goes through that this node stores for a port."""
        physics = self.physics
        return msgspec.structs.replace(
            self.memory.law(port.bank),
            attempts_1_over_e=physics.attempts_1_over_e,
            retrieval_efficiency=physics.retrieval_efficiency,
            retrieval_decay_s=physics.retrieval_decay_s,
        )

    def read_out(self, qubit: Qubit, time_ns: int, direction: Direction, random: RandomStream) -> int | None:
        """Measure a qubit along a Bloch vector, as it is (or was) at a time, and free it; None: there was no answer."""
        u = (random.uniform(), random.uniform())
        outcome = self._device.measure(qubit.id, time_ns, u=u, direction=direction, readout=self.physics.readout)
        self.memory.free(qubit)
        return outcome

    def forget(self, half: Half) -> None:
        """Give up a half: it came to nothing."""
        self._marks.pop(half.pair, None)
        if half.qubit is not None:
            self.memory.free(half.qubit)

    # -- what faults do --------------------------------------------------------------------------------------------

    def wear(self, key: int, wrap: Wrap | None) -> None:
        """Let something come between this node and its qubits; None: not any more."""
        self._wraps.pop(key, None)
        if wrap is not None:
            self._wraps[key] = wrap
        device = self._bare_device
        for order in sorted(self._wraps):
            device = self._wraps[order](device)
        self._device = device
        self.memory.use(device, self.now_ns)

    def _attempts(self) -> int:
        return sum(port.attempts(self.now_ns) for port in self._by_station.values())

    def _disturbance_per_s(self) -> float:
        return sum(port.attempts_per_s for port in self._by_station.values()) / self.physics.attempts_1_over_e
