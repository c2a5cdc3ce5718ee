"""End nodes: where circuits begin and end, for the demands of a scenario and for programs."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import trio

from emulator import (
    MS,
    Bank,
    BellState,
    Contrasts,
    Envelope,
    Half,
    Handler,
    Message,
    Port,
    QuantumDevice,
    Qubit,
    S,
    multiplied,
)
from emulator.time import Place

from .circuit import Circuit
from .circuits import Refuse, Reserve, Terms, Track
from .control.messages import Ask, Contract, Deny, Describe, Ended, Grant, Promise
from .datagram import Datagram
from .delivery import CircuitRefusedError, Consumer, Pair
from .node import QuantumNode
from .physics import NodePhysics

# The path to another end node by its name, from the map that a node was configured with; None: there is none.
FindPath: TypeAlias = Callable[[str], tuple[str, ...] | None]

_INBOX = 1000  # datagrams that wait for one service; one more is lost
_BACKOFF_NS = 50 * MS  # mean wait after a refusal; it doubles with each further one
_LONGEST_BACKOFF_NS = 800 * MS
_PATIENCE_NS = 10 * S  # with a controller that does not answer


@dataclass(frozen=True, slots=True)
class Demand:
    """A wish for pairs with another end node, along a path of node names that begins here.

    pairs: how many before the path is given back, so that others may have it (0: never); pause_ns: mean time between
    giving back and asking again; contract: what to ask the network's controller for (None: do without one).
    """

    path: tuple[str, ...]
    terms: Terms = Terms()  # noqa: RUF009  (frozen)
    pairs: int = 0
    pause_ns: int = 0
    contract: Contract | None = None


@dataclass(slots=True)
class _Request:
    """A circuit of this node's own: events for the behaviour that waits."""

    demand: Demand
    promise: Promise | None = None
    answered: trio.Event = field(default_factory=trio.Event)
    enough: trio.Event = field(default_factory=trio.Event)
    closed: trio.Event = field(default_factory=trio.Event)
    refusal: Refuse | None = None
    delivered: int = 0
    unwanted: bool = False  # whoever asked does not wait for the answer any more


@dataclass(slots=True)
class _Question:
    """A demand that the controller has not answered yet."""

    ask: Ask
    place: Place = field(default_factory=Place)
    answer: Promise | Deny | None = None


@dataclass(slots=True)
class _Acceptance:
    """Somebody who waits for a circuit from a peer."""

    consumer: Consumer
    place: Place = field(default_factory=Place)


class EndNode(QuantumNode):
    """A node where pairs are delivered: to the consumer of their circuit; without one they are consumed at once."""

    may_swap = False

    def __init__(
        self,
        name: str,
        device: QuantumDevice,
        banks: Mapping[str, Bank],
        ports: Mapping[str, Port],
        physics: NodePhysics | None = None,
        demands: Sequence[Demand] = (),
    ) -> None:
        super().__init__(name, device, banks, ports, physics)
        self.demands = list(demands)
        self.behaviours: list[Callable[[], Awaitable[None]]] = []
        self.find_path: FindPath = lambda peer: (self.name, peer) if peer in self.ports else None
        self.refusals = 0
        self._asked = 0
        self.controller = ""  # whom to ask for promises
        self._questions: dict[str, _Question] = {}
        self._granted: dict[str, Promise] = {}
        self._requests: dict[str, _Request] = {}
        self._consumers: dict[str, Consumer] = {}
        self._acceptances: dict[str, deque[_Acceptance]] = {}
        self._inboxes: dict[tuple[str, str], deque[bytes]] = {}
        self._listeners: dict[tuple[str, str], Place] = {}
        self._closing = trio.Event()

    def begin(self) -> None:
        """Start a life without requests."""
        super().begin()
        self._asked = 0
        for table in (
            self._questions,
            self._granted,
            self._requests,
            self._consumers,
            self._acceptances,
            self._inboxes,
            self._listeners,
        ):
            table.clear()
        self._closing = trio.Event()
        if self.controller and self.incarnation > 1:
            self.send(self.controller, self.report())  # which says also that the promises of the life before are void

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return what an end node listens to."""
        return {**super().handlers(), Grant: self.on_grant, Deny: self.on_deny}

    async def run(self) -> None:
        """Ask for every demand, and behave as the programs of this node do; until the end of the run."""
        async with trio.open_nursery() as nursery:
            for demand in self.demands:
                nursery.start_soon(self._serve, demand)
            for behaviour in self.behaviours:
                nursery.start_soon(self._until_closing, behaviour)

    def close(self) -> None:
        """Ask for no more, and let those who wait give back what they have."""
        self._closing.set()
        for request in self._requests.values():
            request.enough.set()

    async def _until_closing(self, behaviour: Callable[[], Awaitable[None]]) -> None:
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                await self._closing.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(end)
            await behaviour()
            nursery.cancel_scope.cancel()

    # -- circuits of this node's own -------------------------------------------------------------------------------

    async def open_circuit(self, demand: Demand, consumer: Consumer | None = None) -> str:
        """Ask for a circuit, and the controller for what it is to be like; return its name.

        Raises CircuitRefusedError.
        """
        self._asked += 1
        name = f"{self.name}>{demand.path[-1]}:{self.incarnation}.{self._asked}"
        promise = None
        if demand.contract is not None:
            promise = await self._ask(Ask(name, demand.path[-1], demand.contract))
            demand = replace(demand, path=promise.path, terms=promise.terms)
        request = self._requests[name] = _Request(demand, promise)
        if consumer is not None:
            self._consumers[name] = consumer
        port = self.ports.get(demand.path[1])
        decay = (0.0, 0.0) if port is None else self.storage_decay(port)
        self.reserve(Reserve(name, demand.path, demand.terms, 0, decay))
        try:
            await request.answered.wait()
        except trio.Cancelled:
            request.unwanted = True
            raise
        if request.refusal is not None:
            self._forget_request(name)
            raise CircuitRefusedError(request.refusal.node, request.refusal.reason)
        return name

    async def close_circuit(self, name: str) -> None:
        """Give a circuit back, and wait until everything of it has been given back along the whole path."""
        if (circuit := self._circuits.get(name)) is not None:  # else a crash has taken it
            self.release(circuit)
            await self._requests[name].closed.wait()
            self._forget_request(name)

    async def _serve(self, demand: Demand) -> None:
        backoff_ns = _BACKOFF_NS
        if demand.pause_ns:  # also at first, or all would ask at one instant
            await self._rest(demand.pause_ns)
        while not self._closing.is_set():
            try:
                name = await self.open_circuit(demand)
            except CircuitRefusedError:
                self.refusals += 1
                if demand.contract is not None and demand.contract.promises:
                    return  # the answer would be the same
                await self._rest(backoff_ns)
                backoff_ns = min(2 * backoff_ns, _LONGEST_BACKOFF_NS)
            else:
                backoff_ns = _BACKOFF_NS
                contract = demand.contract
                limit_ns = contract.duration_ns if contract is not None else 0
                with trio.move_on_after(limit_ns * 1e-9 if limit_ns else float("inf")):
                    await self._requests[name].enough.wait()
                await self.close_circuit(name)
                if limit_ns and not demand.pairs:
                    return
                if demand.pause_ns:
                    await self._rest(demand.pause_ns)

    async def _rest(self, mean_ns: int) -> None:
        """Wait for a random time, uniform between 0 and twice the mean; not beyond the end of the run."""
        delay_ns = 2 * mean_ns * self.random("rest").uniform()
        with trio.move_on_after(delay_ns * 1e-9):
            await self._closing.wait()

    def answered(self, circuit: str, refusal: Refuse | None) -> None:
        """Take the answer to a request."""
        request = self._requests[circuit]
        request.refusal = refusal
        request.answered.set()
        if refusal is not None:
            self.record("refused", circuit, refusal.node, refusal.reason)
            if request.unwanted:
                self._forget_request(circuit)
        elif request.unwanted:
            self.release(self._circuits[circuit])

    def closed(self, circuit: str) -> None:
        """Take the news that a circuit is gone."""
        request = self._requests[circuit]
        request.closed.set()
        if request.unwanted:
            self._forget_request(circuit)

    def _forget_request(self, name: str) -> None:
        del self._requests[name]
        self._consumers.pop(name, None)
        if self._granted.pop(name, None) is not None:
            self.record("ended", name)
            self.send(self.controller, Ended(name))

    # -- the controller --------------------------------------------------------------------------------------------

    async def _ask(self, ask: Ask) -> Promise:
        """Ask the controller; raises CircuitRefusedError if it refuses or does not answer."""
        question = self._questions[ask.demand] = _Question(ask)
        self.send(self.controller, ask)
        try:
            with trio.move_on_after((ask.contract.patience_ns + _PATIENCE_NS) * 1e-9):
                await question.place.park()
        finally:
            del self._questions[ask.demand]
            if question.answer is None:
                self.send(self.controller, Ended(ask.demand))  # so that it keeps nothing for nobody
        answer = question.answer
        if isinstance(answer, Promise):
            return answer
        deny = answer or Deny(ask.demand, "TIMEOUT", "no answer")
        self.record("denied", ask.demand, ask.to, deny.code, deny.reason)
        raise CircuitRefusedError(self.controller, deny.reason, deny.code)

    def on_grant(self, message: Grant, envelope: Envelope) -> None:
        """Take a promise."""
        promise = message.promise
        if (question := self._questions.get(promise.demand)) is None:
            self.send(envelope.sender, Ended(promise.demand))  # nobody waits for it any more
            return
        self._granted[promise.demand] = promise
        self.record("granted", promise.demand, promise.path, promise.rate_hz, promise.fidelity)
        question.answer = promise
        question.place.wake()

    def on_deny(self, message: Deny, envelope: Envelope) -> None:
        """Take a refusal."""
        if (question := self._questions.get(message.demand)) is not None:
            question.answer = message
            question.place.wake()

    def on_describe(self, message: Describe, envelope: Envelope) -> None:
        """Tell a controller that has begun again what there is, and ask again what it may not know of."""
        super().on_describe(message, envelope)
        for question in self._questions.values():
            if question.answer is None:
                self.send(envelope.sender, question.ask)

    def promises(self) -> tuple[Promise, ...]:
        """Return what this node's users were promised."""
        return tuple(self._granted.values())

    # -- circuits of others ----------------------------------------------------------------------------------------

    async def accept_circuit(self, peer: str, consumer: Consumer) -> None:
        """Wait for a circuit from a peer whose pairs nobody consumes yet."""
        for circuit in self._circuits.values():
            waits = circuit.role is not None and not circuit.closing and circuit.name not in self._consumers
            if circuit.is_tail and circuit.path[0] == peer and waits:
                self._consumers[circuit.name] = consumer
                return
        acceptance = _Acceptance(consumer)
        queue = self._acceptances.setdefault(peer, deque())
        queue.append(acceptance)
        try:
            await acceptance.place.park()
        except trio.Cancelled:
            queue.remove(acceptance)
            raise

    def activated(self, circuit: Circuit) -> None:
        """Give a circuit from a peer to whoever waits for one."""
        if circuit.is_head:
            self.record("active", circuit.name)
        queue = self._acceptances.get(circuit.path[0])
        if circuit.is_tail and queue:
            acceptance = queue.popleft()
            self._consumers[circuit.name] = acceptance.consumer
            acceptance.place.wake()

    def closing(self, circuit: Circuit) -> None:
        """Tell the consumer that no more pairs will come."""
        if circuit.is_head:
            self.record("closing", circuit.name)
        consumer = self._consumers.get(circuit.name)
        if consumer is not None:
            consumer.end()
            if circuit.is_tail:
                del self._consumers[circuit.name]

    # -- pairs -----------------------------------------------------------------------------------------------------

    def share(self, circuit: Circuit, side: int) -> float:
        """Return what the nearest hub has given to a circuit."""
        return circuit.terms.shares[0 if circuit.is_head else 1]

    def deliver(self, circuit: Circuit, half: Half, track: Track) -> None:
        """Take an end-to-end pair: record it, and hand it to the consumer."""
        far, bell = track.origin, track.bell
        name = (half.pair, far) if circuit.is_head else (far, half.pair)
        waited_ns = self.now_ns - circuit.waiting_since_ns
        circuit.waiting_since_ns = self.now_ns
        fidelity = self._estimate(circuit, half, track)
        age_ns = self.now_ns - half.emitted_ns
        evidence = self.evidence(half)
        end = 0 if circuit.is_head else 1
        self.record("pair", circuit.path[0], circuit.path[-1], end, *name, bell, waited_ns, age_ns, *evidence)
        consumer = None if circuit.closing else self._consumers.get(circuit.name)
        if consumer is not None:
            basis, outcome = (-evidence[0], evidence[1]) if half.qubit is None else (0, 0)
            consumer.put(
                Pair(name, BellState(bell), age_ns, half.qubit, basis, outcome, fidelity=fidelity, waited_ns=waited_ns)
            )
        elif half.qubit is not None:
            self.memory.free(half.qubit)
        self.refill(circuit)
        request = self._requests.get(circuit.name)
        if request is not None:
            request.delivered += 1
            if request.delivered == request.demand.pairs:
                request.enough.set()

    def _estimate(self, circuit: Circuit, half: Half, track: Track) -> float:
        """Return a pair's fidelity, by what all nodes on its way know of their links, memories and measurements."""
        contrast = self.settle(half)
        x, y, z = multiplied(track.contrasts, self.stored_contrasts(circuit, half, track))
        return (1 + contrast * (x + y) + z) / 4

    def stored_contrasts(self, circuit: Circuit, half: Half, track: Track) -> Contrasts:
        """Return what storage at both ends until now has left of a pair's contrasts, by what they know of it."""
        transverse, longitudinal = circuit.decay[1 if circuit.is_head else 0]
        stored_s = (self.now_ns - track.emitted_ns) * 1e-9
        c, e = math.exp(-stored_s * transverse), math.exp(-stored_s * longitudinal)
        return multiplied(self.storage_contrasts(half), (c, c, e))

    def give_back(self, qubit: Qubit) -> None:
        """Free the qubit of a pair; its memory position serves the circuit, or the link, again."""
        self.memory.free(qubit)
        circuit = self._circuits.get(qubit.owner[0])
        if circuit is None:
            self.link_layer.refill(qubit.bank)
        else:
            self.refill(circuit)
            self._finish_release(circuit)

    def evidence(self, half: Half) -> tuple[int, int]:
        """Return what the record says of this half: the position and generation of its qubit."""
        assert half.qubit is not None
        return half.qubit.id[1:]

    # -- classical messages of programs ----------------------------------------------------------------------------

    def receive_datagram(self, message: Datagram) -> None:
        """Keep a message for the program that asks for it, or wake it."""
        key = (message.path[0], message.service)
        inbox = self._inboxes.setdefault(key, deque())
        if len(inbox) >= _INBOX:
            self.strays += 1
            return
        inbox.append(message.payload)
        if (listener := self._listeners.get(key)) is not None:
            listener.wake()

    async def take_datagram(self, peer: str, service: str) -> bytes:
        """Wait for the next message from a peer's program for a service; one task at a time may wait for each."""
        key = (peer, service)
        while not self._inboxes.get(key):
            await self._listeners.setdefault(key, Place()).park()
        return self._inboxes[key].popleft()
