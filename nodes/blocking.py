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

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

import trio

from emulator import Gate, Qubit, RandomStream

from .delivery import Pair
from .link import LinkRequest, OkKeep, OkMeasure
from .programs import CircuitEnd, Program, ProgramNode, Socket

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
        with self._entered(self._node.circuit(to, **contract)) as circuit:
            yield BlockingCircuit(self, circuit)

    @contextmanager
    def accept(self, peer: str) -> Iterator[BlockingCircuit]:
        """Wait for a circuit from a peer, and be its other end for the length of the block."""
        with self._entered(self._node.accept(peer)) as circuit:
            yield BlockingCircuit(self, circuit)

    @contextmanager
    def link(self, to: str, **wishes: Any) -> Iterator[BlockingLink]:
        """Request pairs with a neighbour for the length of the block; see `ProgramNode.link`."""
        with self._entered(self._node.link(to, **wishes)) as request:
            yield BlockingLink(self, request)

    @contextmanager
    def listen(self, peer: str, purpose: str = "") -> Iterator[BlockingLink]:
        """Accept a neighbour's link requests for the length of the block; see `ProgramNode.listen`."""
        with self._entered(self._node.listen(peer, purpose)) as request:
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
    def _entered(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        value = self.wait_for(manager.__aenter__)
        try:
            yield value
        except BaseException as error:
            if not self.wait_for(manager.__aexit__, type(error), error, error.__traceback__):
                raise
        else:
            self.wait_for(manager.__aexit__, None, None, None)


class BlockingCircuit:
    """A blocking program's end of a circuit."""

    def __init__(self, node: BlockingNode, end: CircuitEnd) -> None:
        self._node = node
        self._end = end

    def pair(self) -> Pair:
        """Wait for the next pair. Raises CircuitClosedError once the circuit is being torn down."""
        return self._node.wait_for(self._end.pair)


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
