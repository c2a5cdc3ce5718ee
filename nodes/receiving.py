"""What an end node does with its halves of pairs: measure them, hand them over early, or hold them until delivered."""

from __future__ import annotations

import math
from collections.abc import Mapping

from emulator import (
    FRESH,
    UNDISTURBED,
    Bank,
    BellState,
    Half,
    PairId,
    Port,
    QuantumDevice,
    Qubit,
    Stored,
    after_storage,
    parity,
)

from .bases import AXES
from .circuit import Circuit
from .circuits import EndRole, Request, Track
from .delivery import Consumer, EarlyPair, Pair
from .node import QuantumNode
from .physics import NodePhysics


class ReceivingNode(QuantumNode):
    """A node where pairs are delivered: to the consumer of their circuit; without one they are consumed at once."""

    def __init__(
        self,
        name: str,
        device: QuantumDevice,
        banks: Mapping[str, Bank],
        ports: Mapping[str, Port],
        physics: NodePhysics | None = None,
    ) -> None:
        super().__init__(name, device, banks, ports, physics)
        self._consumers: dict[str, Consumer] = {}  # by demand

    def begin(self) -> None:
        """Start a life without consumers."""
        super().begin()
        self._consumers.clear()
        self._outcomes: dict[PairId, tuple[int, int]] = {}  # basis and outcome of halves that were measured
        self._early: dict[PairId, EarlyPair] = {}

    def take_half(self, circuit: Circuit, port: Port, half: Half) -> None:
        """Use a half at once if its request wants that; else hold it until it is confirmed."""
        asked = wanted = None
        if not circuit.terms.distil:
            asked = circuit.requests.assign() if circuit.is_head else None
            wanted = asked if circuit.is_head else circuit.requests.common
        if wanted is not None and half.qubit is not None:
            if wanted.delivery == "measure":
                self.after(self.physics.readout_ns, self._measure_at_once, circuit, half, asked, wanted.basis)
                return
            if wanted.delivery == "early":
                self._hand_over(circuit, half, asked.number if asked else 0)
        assert isinstance(circuit.role, EndRole)
        circuit.role.pair(half, asked)

    def _measure_at_once(self, circuit: Circuit, half: Half, asked: Request | None, basis: int) -> None:
        assert isinstance(circuit.role, EndRole)
        basis = self._measure(half, basis)
        if circuit.broken:
            self.forget(half)
        else:
            circuit.role.pair(half, asked, basis)
        self.refill(circuit)
        self._finish_release(circuit)

    def _measure(self, half: Half, basis: int) -> int:
        """Measure a half, in a random basis if it is 0; return the basis."""
        qubit, random = half.qubit, self.random("measure")
        assert qubit is not None
        self._count_storage(half, self.settle(half))
        basis = basis or 1 + random.below(3)
        outcome = self.read_out(qubit, self.now_ns, AXES[basis], random)
        half.qubit = None
        if outcome is not None:
            self._outcomes[half.pair] = basis, outcome
        return basis

    def _count_storage(self, half: Half, contrast: float) -> None:
        """Let the contrasts of a half's pair count its storage until now: it ends here."""
        x_left, y_left, e, s = self.stored(half)
        x_left, y_left = x_left * contrast, y_left * contrast
        half.until_measured = x_left, y_left, e, s
        x, y, z = half.contrasts
        sign, mine_z, other_z = half.bias
        half.contrasts = x * x_left, y * y_left, e * z + s * other_z
        half.bias = sign, e * mine_z + s * sign, other_z
        half.disturbed = UNDISTURBED

    def _hand_over(self, circuit: Circuit, half: Half, request: int) -> None:
        consumer = self._consumers.get(circuit.demand)
        if consumer is not None and not circuit.closing and half.qubit is not None:
            self.settle(half)
            early = self._early[half.pair] = EarlyPair(half.qubit, self.now_ns - half.emitted_ns, request)
            consumer.put_early(early)

    def forget(self, half: Half) -> None:
        """Give up a half, and what was measured of it; a qubit that was handed over belongs to the program."""
        self._outcomes.pop(half.pair, None)
        early = self._early.pop(half.pair, None)
        if early is None:
            super().forget(half)
        else:
            early.resolve(None)

    def deliver(self, circuit: Circuit, half: Half, track: Track, request: Request | None) -> None:
        """Take an end-to-end pair; measure it if that is wanted and has not been done."""
        if request is not None and request.delivery == "measure" and half.qubit is not None:
            self.after(self.physics.readout_ns, self._measure_late, circuit, half, track, request)
        else:
            self._deliver(circuit, half, track, request)

    def _measure_late(self, circuit: Circuit, half: Half, track: Track, request: Request) -> None:
        self._measure(half, request.basis)
        self._deliver(circuit, half, track, request)
        self._finish_release(circuit)

    def _deliver(self, circuit: Circuit, half: Half, track: Track, request: Request | None) -> None:
        """Record an end-to-end pair, and hand it to the consumer."""
        far, bell = track.origin, track.bell
        name = (half.pair, far) if circuit.is_head else (far, half.pair)
        waited_ns = self.now_ns - circuit.waiting_since_ns
        circuit.waiting_since_ns = self.now_ns
        fidelity = self._estimate(circuit, half, track)
        age_ns = self.now_ns - half.emitted_ns
        early = self._early.pop(half.pair, None)
        evidence = self._evidence(half)
        end = 0 if circuit.is_head else 1
        self.record("pair", circuit.path[0], circuit.path[-1], end, *name, bell, waited_ns, age_ns, *evidence)
        state = bell if request is None or request.state < 0 else request.state
        basis, outcome = self._outcomes.pop(half.pair, (0, 0))
        if basis and circuit.is_head:
            outcome ^= parity(bell, basis) ^ parity(state, basis)
        pair = Pair(
            name,
            BellState(state),
            age_ns,
            half.qubit,
            basis,
            outcome,
            fidelity,
            waited_ns,
            request=request.number if request else 0,
            history=track.history[:: -1 if circuit.is_head else 1],
        )
        if early is not None:
            early.resolve(pair)
        elif circuit.is_head and state != bell and half.qubit is not None:
            self.after(self.physics.one_qubit_ns, self._turn, circuit, pair, BellState(bell ^ state))
        else:
            self._put(circuit, pair)
        self._count(circuit, request)

    def _turn(self, circuit: Circuit, pair: Pair, pauli: BellState) -> None:
        """Turn a pair into the Bell state that was asked for."""
        assert pair.qubit is not None
        self._device.frame(pair.qubit.id, pauli, self.now_ns)
        self.record("turned", *pair.name, int(pauli))
        self._put(circuit, pair)
        self._finish_release(circuit)

    def _put(self, circuit: Circuit, pair: Pair) -> None:
        consumer = None if circuit.closing or not pair.request else self._consumers.get(circuit.demand)
        if consumer is not None:
            consumer.put(pair)
        elif pair.qubit is not None:
            self.memory.free(pair.qubit)
        self.refill(circuit)

    def _count(self, circuit: Circuit, request: Request | None) -> None:
        """Count a delivered pair; end a request that has all its pairs."""
        if circuit.is_head and request is not None and circuit.requests.delivered(request):
            self.complete(circuit, request.number)
        self.counted(circuit)

    def counted(self, circuit: Circuit) -> None:
        """Take the news that a pair was delivered."""

    def _estimate(self, circuit: Circuit, half: Half, track: Track) -> float:
        """Return a pair's fidelity, by what all nodes on its way know of their links, memories and measurements."""
        contrast = self.settle(half)
        mine, far = self.stored_at_ends(circuit, half, track)
        x, y, z = after_storage(track.contrasts, track.bias, far, mine)  # the far half is the origin's
        return (1 + contrast * (x + y) + z) / 4

    def stored_at_ends(self, circuit: Circuit, half: Half, track: Track) -> tuple[Stored, Stored]:
        """Return what storage until now has done to this end's half of a pair, and to the other end's."""
        if track.measured:  # which has ended the storage there, and is in what the Track says
            return self.stored(half), FRESH
        law = circuit.storage[1 if circuit.is_head else 0]
        x, y, e, s = law.stored(self.now_ns - track.emitted_ns, max(0, half.counted_ns - track.emitted_ns))
        since_ns, per_s = track.disturbed
        undisturbed = math.exp((max(since_ns, half.counted_ns) - self.now_ns) * 1e-9 * per_s)
        return self.stored(half), (undisturbed * x, undisturbed * y, e, s)

    def give_back(self, qubit: Qubit) -> None:
        """Free the qubit of a pair; its memory position serves the circuit, or the link, again."""
        self.memory.free(qubit)
        circuit = self._circuits.get(qubit.owner[0])
        if circuit is None:
            self.link_layer.refill(qubit.bank)
        else:
            self.refill(circuit)
            self._finish_release(circuit)

    def _evidence(self, half: Half) -> tuple[int, int]:
        """Return what the record says of this half.

        That is the position and generation of its qubit, or the negative basis (1 X, 2 Y, 3 Z; 0: the detector gave no
        answer, or a program has used the qubit already) and the outcome.
        """
        if half.qubit is not None and self.memory.holds(half.qubit):
            return half.qubit.id[1:]
        basis, outcome = self._outcomes.get(half.pair, (0, 0))
        return -basis, outcome
