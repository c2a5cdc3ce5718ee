"""End nodes: where circuits begin and end, for the demands of a scenario and for programs."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import trio

from emulator import (
    MS,
    Bank,
    Envelope,
    Handler,
    Light,
    Message,
    Port,
    QuantumDevice,
    S,
    StorageLaw,
    Timer,
)
from emulator.time import Place

from .circuit import Circuit
from .circuits import Refuse, Request, Reserve, Terms, demand_of, epoch_name
from .control.messages import Ask, Contract, Deny, Describe, Ended, Grant, Promise
from .datagram import Datagram, Inboxes
from .delivery import CircuitRefusedError, Consumer
from .photons import LightPort
from .physics import NodePhysics
from .receiving import ReceivingNode

# The path to another end node by its name, from the map that a node was configured with; None: there is none.
FindPath: TypeAlias = Callable[[str], tuple[str, ...] | None]

_BACKOFF_NS = 50 * MS  # mean wait after a refusal; it doubles with each further one
_LONGEST_BACKOFF_NS = 800 * MS
_SETUP_NS = S  # of a circuit: then somebody on its path has forgotten it, or is cut off
_PATIENCE_NS = 10 * S  # with a controller that does not answer, and at the tail-end for the next epoch of a circuit


@dataclass(frozen=True, slots=True)
class Demand:
    """A wish for pairs with another end node, along a path of node names that begins here.

    pairs: how many before the path is given back, so that others may have it (0: never); pause_ns: mean time between
    giving back and asking again; contract: what to ask the network's controller for (None: do without one); requests:
    what the circuit serves from its beginning.
    """

    path: tuple[str, ...]
    terms: Terms = Terms()  # noqa: RUF009  (frozen)
    pairs: int = 0
    pause_ns: int = 0
    contract: Contract | None = None
    requests: tuple[Request, ...] = (Request(),)


@dataclass(slots=True)
class _Wish:
    """A circuit that this node wants, through all its epochs: events for the behaviour that waits."""

    demand: Demand
    requests: tuple[Request, ...]  # of the next epoch
    promise: Promise | None = None
    epoch: int = 1
    waits: bool = True  # for the answer to the present epoch
    backoff_ns: int = _BACKOFF_NS
    answered: trio.Event = field(default_factory=trio.Event)
    enough: trio.Event = field(default_factory=trio.Event)
    closed: trio.Event = field(default_factory=trio.Event)
    refusal: Refuse | None = None
    delivered: int = 0
    timeout: Timer | None = None  # of the answer to the present epoch
    unwanted: bool = False  # whoever asked does not wait for the answer any more
    released: bool = False  # whoever asked has given it back


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


class EndNode(ReceivingNode):
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
        self.light = LightPort(self, device)
        self.refusals = 0
        self._asked = 0
        self.controller = ""  # whom to ask for promises
        self._questions: dict[str, _Question] = {}
        self._granted: dict[str, Promise] = {}
        self._wishes: dict[str, _Wish] = {}
        self._acceptances: dict[str, deque[_Acceptance]] = {}
        self.inboxes = Inboxes()
        self._closing = trio.Event()

    def begin(self) -> None:
        """Start a life without requests."""
        super().begin()
        self.light.begin()
        self._asked = 0
        for table in (
            self._questions,
            self._granted,
            self._wishes,
            self._acceptances,
        ):
            table.clear()
        self.inboxes = Inboxes()
        self._closing = trio.Event()
        if self.controller and self.incarnation > 1:
            self.send(self.controller, self.report())  # which says also that the promises of the life before are void

    def lose(self) -> None:
        """Lose also the requests, since whoever made them loses their memory too, and all light."""
        super().lose()
        self._wishes.clear()
        self.light.lose()

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return what an end node listens to."""
        return {**super().handlers(), Grant: self.on_grant, Deny: self.on_deny, Light: self.light.on_light}

    def held(self) -> Mapping[str, int]:
        """Return what is in use."""
        return {**super().held(), **self.light.held()}

    async def run(self) -> None:
        """Ask for every demand, and behave as the programs of this node do; until the end of the run."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._closing.wait)  # more demands may come until then
            for demand in self.demands:
                nursery.start_soon(self._serve, demand)
            for behaviour in self.behaviours:
                nursery.start_soon(self._until_closing, behaviour)

    def close(self) -> None:
        """Ask for no more, and let those who wait give back what they have."""
        self._closing.set()
        self.light.close()
        for wish in self._wishes.values():
            wish.enough.set()

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
        wish = self._wishes[name] = _Wish(demand, demand.requests, promise)
        if consumer is not None:
            self._consumers[name] = consumer
        self._reserve(name, wish)
        try:
            await wish.answered.wait()
        except trio.Cancelled:
            wish.unwanted = True
            raise
        if wish.refusal is not None:
            self._forget(name)
            raise CircuitRefusedError(wish.refusal.node, wish.refusal.reason)
        return name

    async def close_circuit(self, name: str) -> None:
        """Give a circuit back, and wait until everything of it has been given back along the whole path."""
        wish = self._wishes.get(name)
        if wish is None:  # a crash has taken it
            return
        wish.released = True
        circuit = self._circuits.get(epoch_name(name, wish.epoch))
        if circuit is None:
            self.closed(name)  # unless something is left of an earlier epoch
        elif not wish.waits and not circuit.closing:
            self.release(circuit)
        await wish.closed.wait()
        self._forget(name)

    def begin_request(self, name: str, request: Request) -> None:
        """Have a circuit of this node's own serve a further request.

        Raises ValueError if the circuit distils, which serves one. It waits while the circuit is being made anew.
        """
        wish = self._wishes.get(name)
        if wish is None:
            return  # a crash has taken it
        if wish.demand.terms.distil:
            raise ValueError(f"{self.name}: a circuit that distils serves one request")
        circuit = self._circuits.get(epoch_name(name, wish.epoch))
        if circuit is None or circuit.closing:
            wish.requests = (*wish.requests, request)
        else:
            self.forward(circuit, request)

    def end_request(self, name: str, number: int) -> None:
        """End a request of a circuit of this node's own, if it has not ended."""
        wish = self._wishes.get(name)
        if wish is None:
            return
        wish.requests = tuple(request for request in wish.requests if request.number != number)
        circuit = self._circuits.get(epoch_name(name, wish.epoch))
        if circuit is not None and not circuit.closing and number in circuit.requests:
            self.complete(circuit, number)

    def _reserve(self, name: str, wish: _Wish) -> None:
        demand = wish.demand
        port = self.ports.get(demand.path[1])
        storage = StorageLaw() if port is None else self.storage_law(port)
        circuit = epoch_name(name, wish.epoch)
        wish.timeout = self.alarm(_SETUP_NS, self._answer_overdue, circuit, demand.path[1])
        self.reserve(Reserve(circuit, demand.path, demand.terms, wish.requests, 0, storage))

    def _answer_overdue(self, name: str, node: str) -> None:
        """Give up a circuit whose set-up has come to nothing: somebody on its path has forgotten it."""
        if (circuit := self._circuits.get(name)) is not None:
            self.abandon(circuit, "")

    def broke(self, circuit: Circuit, node: str) -> None:
        """Ask for the next epoch of a circuit that is broken; at the tail-end, wait for it."""
        self.record("broken", circuit.name, circuit.path[0], circuit.path[-1], node)
        name = circuit.demand
        if circuit.is_head and (wish := self._wishes.get(name)) is not None:
            wish.waits = False
            if wish.timeout is not None:
                wish.timeout.cancel()
            wish.requests = circuit.requests.remaining
            if wish.answered.is_set():
                self._reserve_later(name, wish)
            else:
                reason = "it has begun a new life" if node else "no answer to the reservation"
                self.answered(circuit.name, Refuse(circuit.name, node or circuit.path[1], reason))
        elif circuit.is_tail and node == circuit.path[0]:
            self._end_consumer(name)  # who asked for the circuit does not know of it any more
        elif circuit.is_tail:
            self.after(_PATIENCE_NS, self._end_if_idle, name)

    def _reserve_later(self, name: str, wish: _Wish) -> None:
        wish.backoff_ns = min(2 * wish.backoff_ns, _LONGEST_BACKOFF_NS)
        delay_ns = 1 + round(wish.backoff_ns * self.random("rest").uniform())
        self.after(delay_ns, self._begin_epoch, name, wish)

    def _begin_epoch(self, name: str, wish: _Wish) -> None:
        if not wish.released and self._wishes.get(name) is wish:
            wish.epoch += 1
            wish.waits = True
            self._reserve(name, wish)

    def _end_if_idle(self, name: str) -> None:
        if not any(circuit.demand == name and not circuit.broken for circuit in self._circuits.values()):
            self._end_consumer(name)

    def _end_consumer(self, name: str) -> None:
        consumer = self._consumers.pop(name, None)
        if consumer is not None:
            consumer.end()

    async def _serve(self, demand: Demand) -> None:
        backoff_ns = _BACKOFF_NS
        if demand.pause_ns:  # also at first, or all would ask at one instant
            await self._rest(demand.pause_ns)
        while not self._closing.is_set():
            try:
                name = await self.open_circuit(demand)
            except CircuitRefusedError as refused:
                self.refusals += 1
                promises = demand.contract is not None and demand.contract.promises
                if promises and refused.node == self.controller and refused.code != "TIMEOUT":
                    return  # the answer would be the same
                await self._rest(backoff_ns)
                backoff_ns = min(2 * backoff_ns, _LONGEST_BACKOFF_NS)
            else:
                backoff_ns = _BACKOFF_NS
                contract = demand.contract
                limit_ns = contract.duration_ns if contract is not None else 0
                with trio.move_on_after(limit_ns * 1e-9 if limit_ns else float("inf")):
                    await self._wishes[name].enough.wait()
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
        """Take the answer to a request for a circuit, or for its next epoch."""
        name = demand_of(circuit)
        wish = self._wishes[name]
        wish.waits = False
        if wish.timeout is not None:
            wish.timeout.cancel()
        if refusal is not None:
            self.record("refused", circuit, refusal.node, refusal.reason)
        if wish.answered.is_set():
            self._epoch_answered(circuit, wish, granted=refusal is None)
            return
        wish.refusal = refusal
        wish.answered.set()
        if refusal is not None:
            if wish.unwanted:
                self._forget(name)
        elif wish.unwanted:
            self.release(self._circuits[circuit])

    def _epoch_answered(self, circuit: str, wish: _Wish, *, granted: bool) -> None:
        if granted:
            wish.backoff_ns = _BACKOFF_NS
            if wish.released:
                self.release(self._circuits[circuit])
        elif wish.released:
            self.closed(circuit)
        else:
            self._reserve_later(demand_of(circuit), wish)

    def closed(self, circuit: str) -> None:
        """Take the news that a circuit is gone; its demand has ended when nothing is left of any epoch."""
        name = demand_of(circuit)
        wish = self._wishes.get(name)
        if wish is None or any(circuit.demand == name for circuit in self._circuits.values()):
            return
        if wish.unwanted:
            self._forget(name)
        elif wish.released:
            wish.closed.set()

    def _forget(self, name: str) -> None:
        del self._wishes[name]
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
            waits = circuit.role is not None and not circuit.closing and circuit.demand not in self._consumers
            if circuit.is_tail and circuit.path[0] == peer and waits:
                self._consumers[circuit.demand] = consumer
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
        if circuit.is_tail and queue and circuit.demand not in self._consumers:
            acceptance = queue.popleft()
            self._consumers[circuit.demand] = acceptance.consumer
            acceptance.place.wake()

    def closing(self, circuit: Circuit) -> None:
        """Tell the consumer that no more pairs will come."""
        if circuit.is_head:
            self.record("closing", circuit.name)
        consumer = self._consumers.get(circuit.demand)
        if consumer is not None:
            consumer.end()
            if circuit.is_tail:
                del self._consumers[circuit.demand]

    def counted(self, circuit: Circuit) -> None:
        """End a demand that has all its pairs."""
        wish = self._wishes.get(circuit.demand)
        if wish is not None:
            wish.delivered += 1
            if wish.delivered == wish.demand.pairs:
                wish.enough.set()

    def share(self, circuit: Circuit, side: int) -> float:
        """Return what the nearest hub has given to a circuit."""
        return circuit.terms.shares[0 if circuit.is_head else 1]

    # -- what faults do --------------------------------------------------------------------------------------------

    def can_reach(self, peer: str) -> bool:
        """Return whether there is a path to a peer."""
        return self.find_path(peer) is not None

    def demand(self, peer: str, circuits: int, pairs: int) -> None:
        """Ask for circuits to a peer, each for so many pairs, besides all other demands."""
        path = self.find_path(peer)
        if path is None or self._closing.is_set():
            return
        contract = Contract() if self.controller else None
        for _ in range(circuits):
            self._nursery.start_soon(self._serve_once, Demand(path, pairs=pairs, contract=contract))

    async def _serve_once(self, demand: Demand) -> None:
        try:
            name = await self.open_circuit(demand)
        except CircuitRefusedError:
            self.refusals += 1
            return
        await self._wishes[name].enough.wait()
        await self.close_circuit(name)

    # -- classical messages of programs ----------------------------------------------------------------------------

    def receive_datagram(self, message: Datagram) -> None:
        """Keep a message for the program that asks for it, or wake it."""
        if not self.inboxes.put(message):
            self.strays += 1
