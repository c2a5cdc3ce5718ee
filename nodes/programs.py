"""Node programs: an application at an end node is an `async` function that gets its node.

    async def alice(node):
        async with node.circuit(to="bob") as circuit:
            pair = await circuit.pair()
            await node.correct(pair)                    # to Phi+
            print(await node.measure(pair.qubit))

    async def bob(node):
        async with node.accept("alice") as circuit:
            pair = await circuit.pair()
            print(await node.measure(pair.qubit))

A program knows what it measured and what it was told. It waits in emulated time (`trio.sleep` and all of trio work),
and its random numbers come from a stream of its own. What it still holds when it ends is taken back, and recorded. A
program that raises ends alone: the error is recorded, and kept in `failures`; its node and everybody else go on.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal, TypeAlias

import trio

from emulator import BellState, Gate, Qubit, RandomStream, Vector
from emulator.time import Place

from .bases import UNIFORM, checked_bases
from .circuits import RANDOM_BASIS, Delivery, Request, Terms
from .control.messages import Contract
from .datagram import Datagram
from .delivery import CircuitClosedError, CircuitRefusedError, EarlyPair, Pair
from .end import Demand, EndNode
from .link import Bases, Create, Kind, LinkRequest, OkKeep, Z
from .photons import Receiver, SentTrain
from .processing import Z_AXIS, ProcessingNode


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program asks of each pair."""

    fidelity: float = 0.0
    age_ns: float = math.inf
    wait_ns: float = math.inf
    deadline_ns: float = math.inf

    def broken(self, pair: Pair, now_ns: int) -> tuple[str, ...]:
        """Return which of them a pair does not keep."""
        checks = (
            ("fidelity", pair.fidelity < self.fidelity),
            ("age", pair.age_ns > self.age_ns),
            ("wait", pair.waited_ns > self.wait_ns),
            ("deadline", now_ns > self.deadline_ns),
        )
        return tuple(name for name, too_much in checks if too_much)


NO_LIMITS: Final = Limits()
_BASES: Final = {"": RANDOM_BASIS, "X": 1, "Y": 2, "Z": 3}


class PairQueue:
    """The pairs of a circuit, or of one of its requests, for a program: in the order in which they came."""

    def __init__(self, node: EndNode, held: set[Qubit], taken: set[Qubit]) -> None:
        self._node = node
        self._held = held
        self._taken = taken
        self._pairs: deque[Pair] = deque()
        self._early: deque[EarlyPair] = deque()
        self._place = Place()
        self._early_place = Place()
        self._ended = False

    async def pair(self) -> Pair:
        """Wait for the next pair. Raises CircuitClosedError once the circuit is being torn down."""
        while not self._pairs:
            self._check()
            await self._place.park()
        pair = self._pairs.popleft()
        if pair.qubit is not None:
            self._hold(pair.qubit)
        return pair

    async def early_pair(self) -> EarlyPair:
        """Wait for the next qubit of a request that wants it before its pair is confirmed.

        Raises CircuitClosedError once the circuit is being torn down.
        """
        while not self._early:
            self._check()
            await self._early_place.park()
        pair = self._early.popleft()
        self._hold(pair.qubit)
        return pair

    def put(self, pair: Pair) -> None:
        """Take a pair from the node."""
        self._pairs.append(pair)
        self._place.wake()

    def put_early(self, pair: EarlyPair) -> None:
        """Take a qubit from the node, before its pair is confirmed."""
        self._early.append(pair)
        self._early_place.wake()

    def end(self) -> None:
        """Give back the pairs that nobody has asked for."""
        self._ended = True
        qubits = [pair.qubit for pair in self._pairs] + [pair.qubit for pair in self._early]
        for qubit in qubits:
            if qubit is not None and self._node.memory.holds(qubit):  # else a crash has freed it
                self._node.give_back(qubit)
        self._pairs.clear()
        self._early.clear()
        self._place.wake()
        self._early_place.wake()

    def _check(self) -> None:
        if self._ended:
            raise CircuitClosedError(f"{self._node.name}: the circuit is closed")

    def _hold(self, qubit: Qubit) -> None:
        self._held.add(qubit)
        self._taken.add(qubit)


class CircuitEnd(PairQueue):
    """A program's end of a circuit: `await circuit.pair()` gives its pairs in the order in which they came."""

    def __init__(
        self, node: EndNode, held: set[Qubit], limits: Limits = NO_LIMITS, bases: Sequence[float] = UNIFORM
    ) -> None:
        super().__init__(node, held, set())
        self.bases = checked_bases(bases)
        self._limits = limits
        self._name = ""
        self._requests: dict[int, PairQueue] = {}
        self._last = 1

    def opened(self, name: str) -> None:
        """Learn the circuit's name, at its head-end."""
        self._name = name

    @asynccontextmanager
    async def request(
        self, *, pairs: int = 0, delivery: Delivery = "keep", basis: str = "", state: BellState | None = None
    ) -> AsyncIterator[PairQueue]:
        """Ask for pairs for the length of the block, besides what else the circuit serves; at its head-end only.

        For the options see `ProgramNode.circuit`. Raises ValueError at the tail-end, and if the circuit distils.
        """
        self._last += 1
        request = _request(self._last, pairs, delivery, basis, state)
        if not self._name:
            raise ValueError(f"{self._node.name}: requests are made at the head-end of a circuit")
        queue = self._requests[request.number] = PairQueue(self._node, self._held, self._taken)
        self._node.begin_request(self._name, request)
        try:
            yield queue
        finally:
            self._node.end_request(self._name, request.number)
            del self._requests[request.number]
            queue.end()

    def put(self, pair: Pair) -> None:
        """Take a pair from the node, and note what it does not keep of what was asked."""
        broken = self._limits.broken(pair, self._node.now_ns)
        pair = replace(pair, broken=broken) if broken else pair
        queue = self._requests.get(pair.request)
        if queue is not None:
            queue.put(pair)
        elif self._name and pair.request > 1:  # of a request that has ended
            if pair.qubit is not None:
                self._node.give_back(pair.qubit)
        else:
            super().put(pair)

    def put_early(self, pair: EarlyPair) -> None:
        """Take a qubit from the node, before its pair is confirmed."""
        queue = self._requests.get(pair.request)
        if queue is not None:
            queue.put_early(pair)
        elif self._name and pair.request > 1:
            self._node.give_back(pair.qubit)
        else:
            super().put_early(pair)

    def end(self) -> None:
        """Give back the pairs that nobody has asked for."""
        super().end()
        for queue in self._requests.values():
            queue.end()

    def abandon(self) -> int:
        """End, and give back the qubits of this circuit that the program still holds; return how many."""
        self.end()
        left = self._taken & self._held
        for qubit in sorted(left, key=lambda q: q.id):
            self._held.discard(qubit)
            if self._node.memory.holds(qubit):
                self._node.give_back(qubit)
        return len(left)


class Socket:
    """Classical messages to and from the program of one peer, in order, with the latency of all the fibre between."""

    def __init__(self, node: EndNode, path: tuple[str, ...], service: str) -> None:
        self._node = node
        self._path = path
        self._service = service

    def send(self, payload: bytes) -> None:
        """Send a message; it does not wait."""
        self._node.send_datagram(Datagram(self._path, 0, self._service, payload))

    async def receive(self) -> bytes:
        """Wait for the next message."""
        return await self._node.inboxes.take(self._path[-1], self._service)


class ProgramNode:
    """An end node as one of its programs sees it."""

    def __init__(self, node: EndNode, number: int) -> None:
        self._node = node
        self._number = number
        self._held: set[Qubit] = set()

    @property
    def name(self) -> str:
        """Return the node's name."""
        return self._node.name

    @property
    def now_ns(self) -> int:
        """Return the emulated time."""
        return self._node.now_ns

    @property
    def random(self) -> RandomStream:
        """Return the random stream of this program."""
        return self._node.random(f"program {self._number}")

    def hold(self) -> AbstractContextManager[None]:
        """Let emulated time stand still within a block, for work outside of the emulated world."""
        return self._node.hold()

    @asynccontextmanager
    async def circuit(  # noqa: PLR0913  (a request has many options, all by keyword)
        self,
        to: str,
        *,
        rate: float = 0.0,
        fidelity: float = 0.0,
        max_age_s: float = math.inf,
        max_wait_s: float = math.inf,
        patience_s: float = 0.0,
        priority: int = 0,
        lanes: int = 1,
        nested: bool = False,
        cutoff_s: float = 0.0,
        distil: str = "",
        rounds: int = 1,
        may_distil: bool = False,
        delivery: Delivery | None = "keep",
        basis: str = "",
        state: BellState | None = None,
        pairs: int = 0,
        deadline_s: float = math.inf,
        trace: bool = False,
        bases: Sequence[float] = UNIFORM,
    ) -> AsyncIterator[CircuitEnd]:
        """Reserve a circuit to another end node for the length of the block.

        rate, fidelity: pairs per second and mean fidelity that the network's controller is to promise; max_age_s,
        max_wait_s: each pair says whether it was older, or came later after the last one, than this; patience_s: how
        long the request may wait to be admitted; priority: who is first then; lanes: memory positions on each link;
        nested: swap in nested order; cutoff_s: intermediate nodes discard what waited longer (0: never);
        distil, rounds: distil pairs by "bbpssw", "dejmps" or "epl" before they come, in so many rounds (for a next pair
        that takes more lanes than rounds and pairs held together); may_distil: the controller may decide to, if the
        fidelity needs it; bases: probabilities of X, Y and Z, in which a photonic client measures its halves.

        delivery: "keep" the qubits; "measure" them at both ends as soon as they are there, in a `basis` ("X", "Y", "Z",
        or "": each end draws one for each pair), which frees the memory; "early": hand them over before it is known
        what they are entangled with (`early_pair`); None: nothing, until a request is made (`CircuitEnd.request`).
        state: the Bell state that all pairs are turned into (None: as they come); pairs: how many (0: any number);
        deadline_s: the emulated time after which pairs are late; trace: pairs bring along what was done to them on
        their way.

        Raises CircuitRefusedError with its code, also if there is no path, or no controller that could promise
        something. Qubits of its pairs that are still held at the end of the block are taken back.
        """
        terms = Terms(lanes, nested, round(cutoff_s * 1e9), distil=distil, rounds=rounds, trace=trace)
        requests = () if delivery is None else (_request(1, pairs, delivery, basis, state),)
        if (distil or may_distil) and delivery not in ("keep", "measure"):
            raise ValueError(f"{self.name}: distilled pairs are kept or measured, there is no {delivery!r} of them")
        if self.now_ns >= deadline_s * 1e9:
            raise CircuitRefusedError(self.name, f"{deadline_s:g} s are over already", "NOTIME")
        contract = Contract(rate, fidelity, 0, round(patience_s * 1e9), priority, may_distil, terms)
        controlled = bool(self._node.controller)
        if contract.promises and not controlled:
            raise CircuitRefusedError(self.name, "there is no controller to promise a rate or a fidelity", "UNSUPP")
        demand = Demand(self._path(to), terms, contract=contract if controlled else None, requests=requests)
        limits = Limits(fidelity, max_age_s * 1e9, max_wait_s * 1e9, deadline_s * 1e9)
        end = CircuitEnd(self._node, self._held, limits, bases)
        name = await self._node.open_circuit(demand, end)
        end.opened(name)
        try:
            yield end
        finally:
            self._reclaim(end)
            with trio.CancelScope(shield=True):  # a circuit must not be left behind; it takes a few round trips
                await self._node.close_circuit(name)

    @asynccontextmanager
    async def accept(self, peer: str, *, bases: Sequence[float] = UNIFORM) -> AsyncIterator[CircuitEnd]:
        """Wait for a circuit from a peer, and be its other end for the length of the block; bases: see `circuit`."""
        end = CircuitEnd(self._node, self._held, bases=bases)
        await self._node.accept_circuit(peer, end)
        try:
            yield end
        finally:
            self._reclaim(end)

    # -- light -----------------------------------------------------------------------------------------------------

    async def send_photon(self, to: str, direction: Vector = Z_AXIS) -> int:
        """Prepare a photon along a unit Bloch vector and send it to a neighbour; return when it left, in ns.

        Raises LightRefusedError if there is no source, or no way for light.
        """
        return await self._node.light.send_photon(to, direction)

    @asynccontextmanager
    async def pulses(
        self,
        to: str,
        pulses: int,
        *,
        intensities: Mapping[float, float],
        bases: Sequence[float] = UNIFORM,
        clock_hz: float = 0.0,
    ) -> AsyncIterator[SentTrain]:
        """Send a train of weak coherent pulses to a neighbour; the block begins when the last one has left.

        intensities: probability of each mean number of photons; bases: probabilities of X, Y and Z; bits are uniform;
        clock_hz: pulses per second (0: as fast as the hardware can). The notes of how each was prepared are there
        until the end of the block. Raises LightRefusedError if there is no source, or no way for light.
        """
        train = await self._node.light.send_train(to, pulses, intensities, bases, clock_hz)
        try:
            yield train
        finally:
            self._node.light.forget(train.name)

    @asynccontextmanager
    async def photons(
        self, sender: str, *, bases: Sequence[float] | None = None, direction: Vector | None = None
    ) -> AsyncIterator[Receiver]:
        """Watch for the photons and pulses of a neighbour for the length of the block.

        bases: probabilities of X, Y and Z (uniform if absent); or direction: one unit Bloch vector to measure along.
        Raises LightRefusedError if there are no detectors, or no way for light.
        """
        receiver = Receiver(bases, direction)
        self._node.light.watch(sender, receiver)
        try:
            yield receiver
        finally:
            self._node.light.unwatch(sender, receiver)

    # -- messages and qubits ---------------------------------------------------------------------------------------
    @asynccontextmanager
    async def link(  # noqa: PLR0913  (a request has many options, all by keyword)
        self,
        to: str,
        *,
        pairs: int = 1,
        kind: Literal["keep", "measure", "remote"] = "keep",
        fidelity: float = 0.0,
        max_time_s: float = 0.0,
        purpose: str = "",
        priority: int = 0,
        consecutive: bool = True,
        basis: Bases = Z,
        far_basis: Bases = Z,
    ) -> AsyncIterator[LinkRequest]:
        """Request pairs with a neighbour from the link layer, for the length of the block.

        pairs: how many; kind: both ends keep their qubits, both measure at once, or this end measures and the other
        keeps ("remote"); fidelity: the least of each pair when it is given; max_time_s: after which the request fails
        (0: never); purpose: a program of the neighbour must listen for it; priority: 0 to 7, higher is served first;
        consecutive: each pair as soon as it is there, otherwise all at once; basis, far_basis: of whoever measures,
        such as X, XZ or CHSH of `nodes.link`.

        Raises LinkError with its code if the request is refused; later failures come from `pair`. At the end of the
        block the request ends, and qubits of its pairs that are still held are taken back; what `is_void` says of the
        outcomes is final then.
        """
        create = Create(
            to,
            Kind(kind),
            pairs,
            fidelity,
            round(max_time_s * 1e9),
            purpose,
            priority,
            consecutive=consecutive,
            local=basis,
            far=far_basis,
        )
        request = LinkRequest(self._give_back, self._held, own=True)
        self._node.link_layer.create(create, request)
        async with self._using(request):
            await request.admitted()
            yield request

    @asynccontextmanager
    async def listen(self, peer: str, purpose: str = "") -> AsyncIterator[LinkRequest]:
        """Accept a neighbour's link requests for a purpose for the length of the block, and get their pairs.

        Raises LinkError: CREATE if there is no such neighbour, REJECTED if another program listens already.
        """
        request = LinkRequest(self._give_back, self._held, own=False)
        self._node.link_layer.listen(peer, purpose, request)
        async with self._using(request):
            yield request

    @asynccontextmanager
    async def _using(self, request: LinkRequest) -> AsyncIterator[None]:
        layer = self._node.link_layer
        try:
            yield
        finally:
            layer.abandon(request)
            if left := request.abandon():
                self._node.record("reclaimed", left)
            with trio.CancelScope(
                shield=True
            ):  # what has been given is valid or void thereafter; it takes a round trip
                while layer.unsettled(request):
                    await request.change()

    def socket(self, peer: str, service: str = "") -> Socket:
        """Return a socket to the program of another end node. Raises CircuitRefusedError if there is no path."""
        return Socket(self._node, self._path(peer), service)

    async def allocate(self) -> Qubit:
        """Prepare a local qubit in |0>; raises MemoryFullError if the processor is full."""
        qubit = await self._processor().allocate()
        self._held.add(qubit)
        return qubit

    async def apply(self, gate: Gate, *qubits: Qubit) -> None:
        """Apply a gate to one or two qubits of this program."""
        self._own(*qubits)
        await self._processor().apply(gate, *qubits)

    async def correct(self, pair: Pair | OkKeep) -> None:
        """Turn a pair into Phi+; one of its two ends does this."""
        qubit = self._qubit(pair)
        await self._processor().correct(qubit, pair.bell)

    async def measure(self, qubit: Qubit | None, direction: tuple[float, float, float] = Z_AXIS) -> int | None:
        """Measure a qubit of this program along a unit Bloch vector, and free it; None: there was no answer."""
        if qubit is None:
            raise TypeError(f"{self.name} has no qubit to measure: a photonic client has the outcome already")
        self._own(qubit)
        outcome = await self._processor().measure(qubit, direction)
        self._held.discard(qubit)
        return outcome

    def discard(self, qubit: Qubit) -> None:
        """Free a qubit of this program."""
        self._own(qubit)
        self._held.discard(qubit)
        self._processor().discard(qubit)

    def reclaim_all(self) -> None:
        """Take back whatever the program still holds; called when it has ended."""
        left = sorted(filter(self._node.memory.holds, self._held), key=lambda q: q.id)
        for qubit in left:
            self.discard(qubit)
        if left:
            self._node.record("reclaimed", len(left))

    def _path(self, peer: str) -> tuple[str, ...]:
        path = self._node.find_path(peer) if peer != self.name else None
        if path is None:
            raise CircuitRefusedError(self.name, f"there is no path to {peer!r}", "CREATE")
        return path

    def _processor(self) -> ProcessingNode:
        if not isinstance(self._node, ProcessingNode):
            raise TypeError(f"{self.name} is no processing node: it has no qubits to work on")
        return self._node

    def _give_back(self, qubit: Qubit) -> None:
        if self._node.memory.holds(qubit):  # else a crash has freed it
            self._node.give_back(qubit)

    def _qubit(self, pair: Pair | OkKeep) -> Qubit:
        if pair.qubit is None:
            raise TypeError(f"{self.name} has no qubit of this pair: a photonic client has measured it")
        self._own(pair.qubit)
        return pair.qubit

    def _own(self, *qubits: Qubit) -> None:
        for qubit in qubits:
            if qubit not in self._held:
                raise ValueError(f"{self.name}: this program does not hold {qubit}: measured, discarded or not its own")

    def _reclaim(self, end: CircuitEnd) -> None:
        left = end.abandon()
        if left:
            self._node.record("reclaimed", left)


def _request(number: int, pairs: int, delivery: Delivery, basis: str, state: BellState | None) -> Request:
    """Return a request; raises ValueError if it makes no sense."""
    if delivery not in ("keep", "measure", "early"):
        raise ValueError(f"delivery = {delivery!r} must be 'keep', 'measure' or 'early'")
    if basis not in _BASES or (basis and delivery != "measure"):
        raise ValueError(f"basis = {basis!r} must be 'X', 'Y' or 'Z', and is for delivery = 'measure' only")
    if state is not None and delivery == "early":
        raise ValueError("a pair that is handed over early stays as it comes: state must be None")
    if pairs < 0:
        raise ValueError(f"pairs = {pairs} must not be negative")
    return Request(number, pairs, delivery, _BASES[basis], -1 if state is None else int(state))


# A program: what it returns is ignored.
Program: TypeAlias = Callable[[ProgramNode], Awaitable[object]]


class Programs:
    """The programs of a network, and what went wrong in them: (node, error), in the order in which it happened."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, Exception]] = []

    def install(self, node: EndNode, program: Program) -> None:
        """Let a node run a program from the beginning of each of its lives."""
        node.behaviours.append(partial(self._run, node, len(node.behaviours), program))

    async def _run(self, node: EndNode, number: int, program: Program) -> None:
        handle = ProgramNode(node, number)
        try:
            await program(handle)
        except Exception as error:  # noqa: BLE001  (a program's error is its own: the node goes on)
            node.record("program failed", number, type(error).__name__, str(error))
            self.failures.append((node.name, error))
        finally:
            handle.reclaim_all()
