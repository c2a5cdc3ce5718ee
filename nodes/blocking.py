"""Node programs that block: plain functions in a thread, for libraries and people that do not speak `async`.

    def alice(node):
        with node.circuit(to="bob") as circuit:
            pair = circuit.pair()
            print(node.measure(pair.qubit))

    world.install("alice", blocking(alice))

Emulated time stands still while the function computes, however long that takes, and goes on while it waits for the
network. So a run with such programs has the same history at any speed of the host.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

import trio

from emulator import Gate, Qubit, RandomStream, Vector

from .delivery import EarlyPair, Pair
from .link import LinkRequest, OkKeep, OkMeasure
from .photons import Click, Receiver, Reception, SentTrain
from .programs import CircuitEnd, PairQueue, Program, ProgramNode, Socket

T = TypeVar("T")


def blocking(function: Callable[[BlockingNode], object]) -> Program:
    """Make a node program of a plain function, which runs in a thread of its own."""

    async def program(node: ProgramNode) -> None:
        handle = BlockingNode(node)
        handle.hold()
        try:
            await trio.to_thread.run_sync(function, handle)
        finally:
            handle.let_go()

    return program


class BlockingNode:
    """An end node as a blocking program sees it: what `ProgramNode` has, without `await`.

    To be used from the thread of its program only.
    """

    def __init__(self, node: ProgramNode) -> None:
        self._node = node
        self._held = ExitStack()

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
        return self._node.random

    def sleep(self, seconds: float) -> None:
        """Wait in emulated time."""
        self.wait_for(trio.sleep, seconds)

    @contextmanager
    def circuit(self, to: str, **contract: Any) -> Iterator[BlockingCircuit]:
        """Reserve a circuit to another end node for the length of the block; see `ProgramNode.circuit`."""
        with self.entered(self._node.circuit(to, **contract)) as circuit:
            yield BlockingCircuit(self, circuit)

    @contextmanager
    def accept(self, peer: str, **options: Any) -> Iterator[BlockingCircuit]:
        """Wait for a circuit from a peer, and be its other end for the length of the block."""
        with self.entered(self._node.accept(peer, **options)) as circuit:
            yield BlockingCircuit(self, circuit)

    def send_photon(self, to: str, direction: Vector = (0.0, 0.0, 1.0)) -> int:
        """Prepare a photon along a unit Bloch vector and send it to a neighbour; return when it left, in ns."""
        return self.wait_for(self._node.send_photon, to, direction)

    @contextmanager
    def pulses(
        self, to: str, pulses: int, *, intensities: Mapping[float, float], **options: Any
    ) -> Iterator[SentTrain]:
        """Send a train of weak coherent pulses to a neighbour; see `ProgramNode.pulses`."""
        with self.entered(self._node.pulses(to, pulses, intensities=intensities, **options)) as train:
            yield train

    @contextmanager
    def photons(self, sender: str, **options: Any) -> Iterator[BlockingReceiver]:
        """Watch for the photons and pulses of a neighbour for the length of the block; see `ProgramNode.photons`."""
        with self.entered(self._node.photons(sender, **options)) as receiver:
            yield BlockingReceiver(self, receiver)

    @contextmanager
    def link(self, to: str, **wishes: Any) -> Iterator[BlockingLink]:
        """Request pairs with a neighbour for the length of the block; see `ProgramNode.link`."""
        with self.entered(self._node.link(to, **wishes)) as request:
            yield BlockingLink(self, request)

    @contextmanager
    def listen(self, peer: str, purpose: str = "") -> Iterator[BlockingLink]:
        """Accept a neighbour's link requests for the length of the block; see `ProgramNode.listen`."""
        with self.entered(self._node.listen(peer, purpose)) as request:
            yield BlockingLink(self, request)

    def socket(self, peer: str, service: str = "") -> BlockingSocket:
        """Return a socket to the program of another end node."""
        return BlockingSocket(self, self._node.socket(peer, service))

    def allocate(self) -> Qubit:
        """Prepare a local qubit in |0>."""
        return self.wait_for(self._node.allocate)

    def apply(self, gate: Gate, *qubits: Qubit) -> None:
        """Apply a gate to one or two qubits of this program."""
        self.wait_for(self._node.apply, gate, *qubits)

    def correct(self, pair: Pair | OkKeep) -> None:
        """Turn a pair into Phi+; one of its two ends does this."""
        self.wait_for(self._node.correct, pair)

    def measure(self, qubit: Qubit | None, direction: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> int | None:
        """Measure a qubit along a unit Bloch vector, and free it."""
        return self.wait_for(self._node.measure, qubit, direction)

    def discard(self, qubit: Qubit) -> None:
        """Free a qubit."""
        trio.from_thread.run_sync(self._node.discard, qubit)

    # -- time --------------------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Let emulated time stand still."""
        self._held.enter_context(self._node.hold())

    def let_go(self) -> None:
        """Let it go on."""
        self._held.close()

    def wait_for(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Await something of the network, while emulated time goes on."""

        async def awaited() -> T:
            self.let_go()
            try:
                return await function(*args)
            finally:
                self.hold()  # in the same step as the wake-up: nothing else happens in between

        return trio.from_thread.run(awaited)

    @contextmanager
    def entered(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Enter a block of the asynchronous interface."""
        value = self.wait_for(manager.__aenter__)
        try:
            yield value
        except BaseException as error:
            if not self.wait_for(manager.__aexit__, type(error), error, error.__traceback__):
                raise
        else:
            self.wait_for(manager.__aexit__, None, None, None)


class BlockingQueue:
    """The pairs of a circuit, or of one of its requests, for a blocking program."""

    def __init__(self, node: BlockingNode, queue: PairQueue) -> None:
        self._node = node
        self._queue = queue

    def pair(self) -> Pair:
        """Wait for the next pair. Raises CircuitClosedError once the circuit is being torn down."""
        return self._node.wait_for(self._queue.pair)

    def early_pair(self) -> BlockingEarlyPair:
        """Wait for the next qubit of a request that wants it before its pair is confirmed."""
        return BlockingEarlyPair(self._node, self._node.wait_for(self._queue.early_pair))


class BlockingEarlyPair:
    """A qubit that was handed over before its pair was confirmed; see `EarlyPair`."""

    def __init__(self, node: BlockingNode, pair: EarlyPair) -> None:
        self._node = node
        self._pair = pair
        self.qubit = pair.qubit
        self.age_ns = pair.age_ns

    def confirmed(self) -> Pair:
        """Wait for the news, and return the pair; raises PairExpiredError if it came to nothing."""
        return self._node.wait_for(self._pair.confirmed)


class BlockingCircuit(BlockingQueue):
    """A blocking program's end of a circuit."""

    def __init__(self, node: BlockingNode, end: CircuitEnd) -> None:
        super().__init__(node, end)
        self._end = end

    @contextmanager
    def request(self, **options: Any) -> Iterator[BlockingQueue]:
        """Ask for pairs for the length of the block; see `CircuitEnd.request`."""
        with self._node.entered(self._end.request(**options)) as queue:
            yield BlockingQueue(self._node, queue)


class BlockingReceiver:
    """A blocking program's detectors."""

    def __init__(self, node: BlockingNode, receiver: Receiver) -> None:
        self._node = node
        self._receiver = receiver

    def click(self) -> Click:
        """Wait for the next click."""
        return self._node.wait_for(self._receiver.click)

    def train(self) -> Reception:
        """Wait for the end of the next train of pulses, and return all its clicks."""
        return self._node.wait_for(self._receiver.train)


class BlockingLink:
    """A blocking program's end of link requests."""

    def __init__(self, node: BlockingNode, request: LinkRequest) -> None:
        self._node = node
        self._request = request

    def pair(self) -> OkKeep | OkMeasure:
        """Wait for the next pair; see `LinkRequest.pair`."""
        return self._node.wait_for(self._request.pair)


class BlockingSocket:
    """Classical messages to and from the program of one peer."""

    def __init__(self, node: BlockingNode, socket: Socket) -> None:
        self._node = node
        self._socket = socket

    def send(self, payload: bytes) -> None:
        """Send a message; it does not wait."""
        trio.from_thread.run_sync(self._socket.send, payload)

    def receive(self) -> bytes:
        """Wait for the next message."""
        return self._node.wait_for(self._socket.receive)
