"""End nodes: where circuits begin and end. A behaviour asks for each of the node's demands, again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import trio

from emulator import MS, Bank, Gate, Half, MemoryFullError, PairId, Port, QuantumDevice, Qubit

from .circuits import Refuse, Reserve
from .node import Circuit, NodePhysics, QuantumNode

X_AXIS, Y_AXIS, Z_AXIS = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_BASES = {1: X_AXIS, 2: Y_AXIS, 3: Z_AXIS}
_BACKOFF_NS = 50 * MS  # mean wait after a refusal; it doubles with each further one
_LONGEST_BACKOFF_NS = 800 * MS


@dataclass(frozen=True, slots=True)
class Demand:
    """A wish for pairs with another end node, along a path of node names that begins here.

    lanes: memory positions on each link; pairs: how many before the path is given back, so that others may have it
    (0: never); pause_ns: mean time between giving back and asking again; nested, cutoff_ns: see `Reserve`.
    """

    path: tuple[str, ...]
    lanes: int = 1
    pairs: int = 0
    pause_ns: int = 0
    nested: bool = False
    cutoff_ns: int = 0


@dataclass(slots=True)
class _Request:
    """A demand being served: events for the behaviour that waits."""

    demand: Demand
    answered: trio.Event = field(default_factory=trio.Event)
    enough: trio.Event = field(default_factory=trio.Event)
    closed: trio.Event = field(default_factory=trio.Event)
    refusal: Refuse | None = None
    delivered: int = 0


class EndNode(QuantumNode):
    """A node where pairs are delivered. It records each and consumes it at once."""

    may_swap = False

    def __init__(
        self,
        name: str,
        device: QuantumDevice,
        banks: Mapping[str, Bank],
        ports: Sequence[Port],
        physics: NodePhysics | None = None,
        demands: Sequence[Demand] = (),
    ) -> None:
        super().__init__(name, device, banks, ports, physics)
        self.demands = list(demands)
        self.refusals = 0
        self._requests: dict[str, _Request] = {}
        self._closing = trio.Event()

    def begin(self) -> None:
        """Start a life without requests."""
        super().begin()
        self._requests = {}
        self._closing = trio.Event()

    async def run(self) -> None:
        """Ask for every demand."""
        async with trio.open_nursery() as nursery:
            for number, demand in enumerate(self.demands):
                nursery.start_soon(self._serve, number, demand)

    def close(self) -> None:
        """Ask for no more, and let those who wait give back what they have."""
        self._closing.set()
        for request in self._requests.values():
            request.enough.set()

    async def _serve(self, number: int, demand: Demand) -> None:
        again, backoff_ns = 0, _BACKOFF_NS
        while not self._closing.is_set():
            again += 1
            name = f"{self.name}>{demand.path[-1]}:{self.incarnation}.{number}.{again}"
            request = self._requests[name] = _Request(demand)
            self.reserve(Reserve(name, demand.path, demand.lanes, demand.nested, demand.cutoff_ns, 0))
            await request.answered.wait()
            if request.refusal is None:
                await request.enough.wait()
                self.release(self._circuits[name])
                await request.closed.wait()
            del self._requests[name]
            if request.refusal is not None:
                self.refusals += 1
                await self._rest(backoff_ns)
                backoff_ns = min(2 * backoff_ns, _LONGEST_BACKOFF_NS)
            else:
                backoff_ns = _BACKOFF_NS
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
        elif self._closing.is_set():
            request.enough.set()

    def closed(self, circuit: str) -> None:
        """Take the news that a circuit is gone."""
        self._requests[circuit].closed.set()

    def deliver(self, circuit: Circuit, half: Half, far: PairId, bell: int) -> None:
        """Take an end-to-end pair."""
        head, tail = (half.pair, far) if circuit.is_head else (far, half.pair)
        waited_ns = self.now_ns - circuit.waiting_since_ns
        circuit.waiting_since_ns = self.now_ns
        self.settle(circuit, half)
        self.record(
            "pair",
            circuit.path[0],
            circuit.path[-1],
            0 if circuit.is_head else 1,
            head,
            tail,
            bell,
            waited_ns,
            self.now_ns - half.emitted_ns,
            *self.evidence(half),
        )
        if half.qubit is not None:
            self.memory.free(half.qubit)
        self.refill(circuit)
        request = self._requests.get(circuit.name)
        if request is not None:
            request.delivered += 1
            if request.delivered == request.demand.pairs:
                request.enough.set()

    def evidence(self, half: Half) -> tuple[int, int]:
        """Return what the record says of this half: the position and generation of its qubit."""
        assert half.qubit is not None
        return half.qubit.id[1:]


class ProcessingNode(EndNode):
    """An end node with a quantum processor: qubits, gates, measurements along any axis, all with their noise.

    Local qubits live in the bank "processor". Operations take their time and are applied at its end.
    """

    def __init__(
        self,
        name: str,
        device: QuantumDevice,
        banks: Mapping[str, Bank],
        ports: Sequence[Port],
        physics: NodePhysics | None = None,
        demands: Sequence[Demand] = (),
    ) -> None:
        banks = dict(banks)
        banks.setdefault("processor", Bank(0))
        super().__init__(name, device, banks, ports, physics, demands)

    async def allocate(self) -> Qubit:
        """Prepare a qubit in |0>; raises MemoryFullError if the processor has no position left."""
        owner = ("program", self.name)
        if not self.memory.reserve("processor", owner, 1):
            raise MemoryFullError(f"{self.name}: all positions of the processor are in use")
        qubit = self.memory.take("processor", owner)
        await self.operate(self.physics.one_qubit_ns, lambda: self._device.new_qubit(qubit.id, self.now_ns))
        return qubit

    async def apply(self, gate: Gate, *qubits: Qubit) -> None:
        """Apply a gate, with the noise and duration of this hardware."""
        physics = self.physics
        one = gate.qubits == 1
        noisy = gate.depolarised(physics.one_qubit_depolarising if one else physics.two_qubit_depolarising)
        ids = [qubit.id for qubit in qubits]
        await self.operate(
            physics.one_qubit_ns if one else physics.two_qubit_ns,
            lambda: self._device.gate(noisy, *ids, time_ns=self.now_ns),
        )

    async def measure(self, qubit: Qubit, direction: tuple[float, float, float] = Z_AXIS) -> int | None:
        """Measure a qubit along a Bloch vector and free its position; None: the read-out gave no answer."""
        random = self.random("measure")
        u = (random.uniform(), random.uniform())
        outcome = await self.operate(
            self.physics.readout_ns,
            lambda: self._device.measure(qubit.id, self.now_ns, u=u, direction=direction, readout=self.physics.readout),
        )
        self.discard(qubit)
        return outcome

    def discard(self, qubit: Qubit) -> None:
        """Free a local qubit."""
        self.memory.free(qubit)
        self.memory.unreserve("processor", qubit.owner, 1)


class PhotonicClient(EndNode):
    """A low-cost end node without memory: its photons are measured at once, in a random basis.

    It sends photons prepared in a random basis and bit, which is the same as measuring one of two entangled photons
    at once; the herald tells it which of them counted.
    """

    def __init__(
        self,
        name: str,
        device: QuantumDevice,
        banks: Mapping[str, Bank],
        ports: Sequence[Port],
        physics: NodePhysics | None = None,
        demands: Sequence[Demand] = (),
    ) -> None:
        super().__init__(name, device, banks, ports, physics, demands)
        self._outcomes: dict[PairId, tuple[int, int]] = {}

    def begin(self) -> None:
        """Start a life without outcomes."""
        super().begin()
        self._outcomes = {}

    def take_half(self, circuit: Circuit, port: Port, half: Half) -> None:
        """Measure at once, keep the outcome."""
        qubit, half.qubit = half.qubit, None
        assert qubit is not None
        random = self.random("measure")
        basis = 1 + random.below(3)
        outcome = self._device.measure(
            qubit.id,
            half.emitted_ns,
            u=(random.uniform(), random.uniform()),
            direction=_BASES[basis],
            readout=self.physics.readout,
        )
        self.memory.free(qubit)
        if outcome is not None:
            self._outcomes[half.pair] = (basis, outcome)
        super().take_half(circuit, port, half)
        self.refill(circuit)

    def deliver(self, circuit: Circuit, half: Half, far: PairId, bell: int) -> None:
        """Take an end-to-end pair, of which the outcome is known already."""
        super().deliver(circuit, half, far, bell)
        self._outcomes.pop(half.pair, None)

    def forget(self, circuit: Circuit, half: Half) -> None:
        """Give up a half, and its outcome."""
        super().forget(circuit, half)
        self._outcomes.pop(half.pair, None)

    def evidence(self, half: Half) -> tuple[int, int]:
        """Return the negative basis (1 X, 2 Y, 3 Z; 0: the detector gave no answer) and the outcome."""
        basis, outcome = self._outcomes.get(half.pair, (0, 0))
        return -basis, outcome
