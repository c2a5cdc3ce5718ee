"""The owner of every joint quantum state: what is true, whoever holds the qubits.

Sans-io: time and random numbers are arguments. The rules:

- **Decohere on touch.** A qubit carries the moment it was last brought up to date; an operation updates just the
  qubits it acts on. Local operations on different qubits commute, so only the time of each single qubit has to grow.
- **The caller brings the random numbers**, always as many, whatever the outcome: a state may move to another host, and
  the history may not change.
- Two qubits live in plain floats (`pair`), any other number up to eight in numpy (`tensor`). Measured qubits leave.

Light under way between two nodes is in `trains`, see `light`; whoever looks at it last takes it out.

`open` tells the engine that a memory position is ready to hold a qubit (and how it decoheres), `close` that it is so no
longer. A pair heralded for a position that was closed meanwhile loses that half at once: the photon's partner is gone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn

import numpy as np

from . import pair, tensor
from .bell import BellState
from .gates import Gate
from .light import PulseTrain, TrainId
from .measurement import PERFECT_BELL_MEASUREMENT, PERFECT_READOUT, BellMeasurement, Readout
from .noise import PERFECT, Noise
from .pauli import Array, UnphysicalStateError, checked
from .snapshot import QubitError, QubitId, Snapshot

MAX_QUBITS: Final = 8
Z_AXIS: Final = (0.0, 0.0, 1.0)
_BELL_STATES: Final = tuple(BellState)  # indexing costs a tenth of calling BellState


class StateTooLargeError(RuntimeError):
    """An operation that would entangle more qubits than the engine keeps exactly."""


class StoredQubit(NamedTuple):
    """A qubit of a state that goes to another engine: its noise, since when, until when it counts, and see `_Qubit`."""

    id: QubitId
    noise: Noise
    begun_ns: int
    touched_ns: int
    loaded: bool
    dephased: float


class JointState(NamedTuple):
    """A state that goes to another engine: r is its Pauli form, flattened."""

    qubits: tuple[StoredQubit, ...]
    r: tuple[float, ...]
    bells: tuple[int, int] | None


_OTHER_WAY_ROUND: Final = [4 * (k % 4) + k // 4 for k in range(16)]  # the numbers of a pair


class _Qubit:
    __slots__ = ("begun_ns", "dephased", "id", "loaded", "noise", "state", "touched_ns")

    def __init__(self, qubit: QubitId, state: _State, noise: Noise, time_ns: int, *, loaded: bool) -> None:
        self.id = qubit
        self.state = state
        self.noise = noise
        self.begun_ns = self.touched_ns = time_ns
        self.loaded = loaded
        self.dephased = 1.0


class _Qubits(dict[QubitId, _Qubit]):
    def __missing__(self, qubit: QubitId) -> NoReturn:
        raise QubitError(f"no qubit at {_name(qubit)}: measured, discarded or never made")


class _State:
    """A joint state. `bells`: the Bell index of a pair by the true and by the reported outcomes behind it, or None."""

    __slots__ = ("bells", "qubits", "r")

    def __init__(self, r: list[float] | Array, bells: tuple[int, int] | None = None) -> None:
        self.r = r
        self.qubits: list[_Qubit] = []
        self.bells = bells

    def tensor(self) -> Array:
        return self.r if isinstance(self.r, np.ndarray) else np.array(self.r).reshape(4, 4)


class Engine:
    """The states of one host.

    >>> engine = Engine()
    >>> for qubit in (alice := ("alice", 0, 1)), (bob := ("bob", 0, 1)):
    ...     engine.open(qubit)
    >>> engine.new_pair(pair.werner(1.0), alice, bob, times_ns=(0, 0), bell=BellState.PHI_PLUS)
    >>> a = engine.measure(alice, 5, u=(0.3, 0.5))
    >>> a == engine.measure(bob, 9, u=(0.9, 0.5))
    True
    """

    def __init__(self) -> None:
        self._open: dict[QubitId, Noise] = {}
        self._qubits = _Qubits()
        self.trains: dict[TrainId, PulseTrain] = {}

    # -- which qubits there are ------------------------------------------------------------------------------------

    def open(self, qubit: QubitId, noise: Noise = PERFECT) -> None:
        """Make a memory position ready to hold a qubit that will decohere like `noise`."""
        if qubit in self._open:
            raise QubitError(f"{_name(qubit)} is open already")
        self._open[qubit] = noise

    def close(self, qubit: QubitId) -> None:
        """Free a memory position; a qubit still in it is traced out of its state."""
        if self._open.pop(qubit, None) is None:
            raise QubitError(f"{_name(qubit)} is not open")
        if qubit in self._qubits:
            self._drop(qubit)

    def store(self, qubit: QubitId, noise: Noise, time_ns: int) -> None:
        """Let an open position, and a qubit in it, decohere like `noise` from now on."""
        if qubit not in self._open:
            raise QubitError(f"{_name(qubit)} is not open")
        if self._open[qubit] is not noise:
            self._open[qubit] = noise
            if qubit in self._qubits:
                self._touched(qubit, time_ns).noise = noise

    def exists(self, qubit: QubitId) -> bool:
        """Return whether a position holds a qubit."""
        return qubit in self._qubits

    def __len__(self) -> int:
        """Return how many qubits there are."""
        return len(self._qubits)

    @property
    def qubits(self) -> list[QubitId]:
        """Return the ids of all qubits, sorted."""
        return sorted(self._qubits)

    # -- making states ---------------------------------------------------------------------------------------------

    def new_pair(
        self,
        r: Sequence[float],
        a: QubitId,
        b: QubitId,
        *,
        times_ns: tuple[int, int],
        bell: int,
        loaded: tuple[bool, bool] = (True, True),
    ) -> None:
        """Put a heralded pair into two open positions.

        r: 16 floats `r[4 i + j]`; times_ns: when each half's photon left, from when it decoheres; bell: what it was
        heralded as; loaded: whether each (absorptive) memory really holds its excitation, which nobody can see.
        """
        if len(r) != 16 or not abs(r[0] - 1) <= 1e-9:
            raise UnphysicalStateError(f"a pair is 16 floats, the first of them 1, not {r}")
        state = _State([1.0, *r[1:]], (bell, bell))
        halves = zip((a, b), times_ns, loaded, strict=True)
        self._place(state, [_Qubit(q, state, self._open.get(q, PERFECT), t, loaded=full) for q, t, full in halves])
        for half in (a, b):
            if half not in self._open:
                self._drop(half)

    def new_state(self, r: Array, qubits: Sequence[QubitId], time_ns: int) -> None:
        """Put a state, shape (4,)*n, into n open positions; raises UnphysicalStateError if it is not one."""
        if r.ndim != len(qubits):
            raise ValueError(f"a state of shape {r.shape} does not fit into {len(qubits)} positions")
        if r.ndim > MAX_QUBITS:
            raise _too_large(r.ndim)
        self._new_state(checked(r), qubits, time_ns)

    def new_qubit(self, qubit: QubitId, time_ns: int) -> None:
        """Prepare |0> in an open position."""
        self._new_state(np.array([1.0, 0.0, 0.0, 1.0]), [qubit], time_ns)

    # -- acting on qubits ------------------------------------------------------------------------------------------

    def gate(self, gate: Gate, *qubits: QubitId, time_ns: int) -> None:
        """Apply a gate; of two qubits the first is the control. Raises StateTooLargeError beyond eight qubits."""
        if gate.qubits != len(qubits):
            raise ValueError(f"gate {gate.name} takes {gate.qubits} qubits, not {len(qubits)}")
        if len(set(qubits)) < len(qubits):
            raise _twice(qubits[0])
        targets = [self._touched(q, time_ns) for q in qubits]
        if len(targets) == 1:
            self._transform(targets[0], gate.matrix)
        else:
            state = self._merged(targets[0].state, targets[1].state)
            axes = [state.qubits.index(t) for t in targets]
            state.r = tensor.transform_two(state.tensor(), axes[0], axes[1], gate.matrix)
            self._settle(state)
        targets[0].state.bells = None

    def frame(self, qubit: QubitId, bell: int, time_ns: int) -> None:
        """Apply the Pauli X^x Z^z of a Bell index to a qubit."""
        target = self._touched(qubit, time_ns)
        state = target.state
        axis = state.qubits.index(target)
        if isinstance(state.r, list):
            state.r = pair.frame(state.r, axis, bell)
        else:
            state.r = tensor.frame(state.r, axis, bell)
        if state.bells is not None:
            state.bells = (state.bells[0] ^ bell, state.bells[1] ^ bell)

    def dephase(self, qubit: QubitId, contrast: float, time_ns: int) -> None:
        """Multiply a qubit's coherences, such as by `exp(-n / N)` for n attempts made beside it."""
        if not -1 <= contrast <= 1:
            raise ValueError(f"contrast = {contrast} must lie in [-1, 1]")
        target = self._touched(qubit, time_ns)
        target.dephased *= contrast
        self._relax(target, contrast, 1.0, 0.0)

    def move(self, source: QubitId, target: QubitId, time_ns: int) -> None:
        """Move a qubit into another open position, where its storage begins anew."""
        if target not in self._open:
            raise QubitError(f"{_name(target)} is not open, so it cannot take the qubit of {_name(source)}")
        if target in self._qubits:
            raise QubitError(f"{_name(target)} holds a qubit, so it cannot take that of {_name(source)}")
        qubit = self._touched(source, time_ns)
        del self._qubits[source]
        qubit.id, qubit.noise, qubit.begun_ns = target, self._open[target], time_ns
        self._qubits[target] = qubit

    def measure(
        self,
        qubit: QubitId,
        time_ns: int,
        *,
        u: tuple[float, float],
        direction: tuple[float, float, float] = Z_AXIS,
        readout: Readout = PERFECT_READOUT,
    ) -> int | None:
        """Measure a qubit, which leaves its state; return the reported bit, or None if there was no answer.

        direction: unit Bloch vector, 0 is the outcome along it; u: uniforms for the outcome and for what is read of it.
        """
        if direction is not Z_AXIS and not abs(math.hypot(*direction) - 1) <= 1e-9:
            raise ValueError(f"direction = {direction} must be a unit vector")
        target = self._touched(qubit, time_ns)
        state = target.state
        outcome, rest = tensor.measure(state.tensor(), state.qubits.index(target), direction, u[0])
        self._remove(state, (target,), rest)
        if not target.loaded or u[1] >= readout.efficiency:
            return None
        wrong = u[1] < readout.efficiency * (readout.error_1 if outcome else readout.error_0)
        return outcome ^ wrong

    def swap(
        self,
        b: QubitId,
        c: QubitId,
        time_ns: int,
        *,
        u: tuple[float, float, float],
        bsm: BellMeasurement = PERFECT_BELL_MEASUREMENT,
        efficiency: float = 1.0,
    ) -> BellState | None:
        """Measure two qubits in the Bell basis; return what is reported, or None if it failed. Both are gone anyway.

        u: uniforms for the outcome, for success, and for the errors of the two bits; efficiency: a further factor, such
        as what two absorptive memories give back after their time of storage.
        """
        if b == c:
            raise _twice(b)
        if not 0 <= efficiency <= 1:
            raise ValueError(f"efficiency = {efficiency} must lie in [0, 1]")
        qb, qc = self._touched(b, time_ns), self._touched(c, time_ns)
        left, right = qb.state, qc.state
        known = left.bells, right.bells
        if left is not right and isinstance(left.r, list) and isinstance(right.r, list):
            outcome, state = self._swap_pairs(qb, qc, u[0], bsm.depolarising)
        else:
            state = self._merged(left, right)
            axes = state.qubits.index(qb), state.qubits.index(qc)
            r = tensor.depolarise_two(state.tensor(), *axes, bsm.depolarising) if bsm.depolarising else state.tensor()
            outcome, rest = tensor.bell_measure(r, *axes, u[0])
            self._remove(state, (qb, qc), rest)
        state.bells = None
        works = qb.loaded and qc.loaded and u[1] < bsm.efficiency * efficiency
        if not works or (bsm.linear_optics and outcome < BellState.PSI_PLUS):
            return None
        reported = outcome ^ _flips(u[2], bsm.flip_x, bsm.flip_z)
        if left is not right:
            state.bells = _composed(known[0], known[1], outcome, reported)
        return _BELL_STATES[reported]

    def discard(self, qubit: QubitId) -> None:
        """Trace a qubit out of its state."""
        self._drop(qubit)

    # -- moving to another engine --------------------------------------------------------------------------------------

    def release(self, qubit: QubitId) -> JointState:
        """Let go of the joint state of which a qubit is part."""
        state = self._qubits[qubit].state
        for q in state.qubits:
            del self._qubits[q.id]
        return JointState(
            tuple(StoredQubit(q.id, q.noise, q.begun_ns, q.touched_ns, q.loaded, q.dephased) for q in state.qubits),
            tuple(state.tensor().ravel().tolist()),
            state.bells,
        )

    def adopt(self, joint: JointState) -> None:
        """Take a state that another engine has let go of. Raises UnphysicalStateError or QubitError if it cannot be."""
        n = len(joint.qubits)
        if not 1 <= n <= MAX_QUBITS or len(joint.r) != 4**n or not abs(joint.r[0] - 1) <= 1e-6:
            raise UnphysicalStateError(f"{len(joint.r)} numbers are no state of {n} qubits")
        r = np.array(joint.r)
        if not np.abs(r).max() <= 1 + 1e-6:  # or if one is not a number; of what is subtler the sender takes care
            raise UnphysicalStateError("the numbers of a state lie within [-1, 1]")
        if joint.bells is not None and not all(0 <= bell < 4 for bell in joint.bells):
            raise UnphysicalStateError(f"there are no Bell states {joint.bells}")
        state = _State(list(joint.r) if n == 2 else r.reshape((4,) * n), joint.bells)
        qubits = [_Qubit(q.id, state, q.noise, q.touched_ns, loaded=q.loaded) for q in joint.qubits]
        for qubit, stored in zip(qubits, joint.qubits, strict=True):
            qubit.begun_ns, qubit.dephased = stored.begun_ns, stored.dephased
        self._place(state, qubits)

    # -- the omniscient view ---------------------------------------------------------------------------------------

    def snapshot(self, *qubits: QubitId) -> Snapshot:
        """Return a copy of the reduced state of one or two qubits as they were last touched; changes nothing."""
        targets = [self._qubits[q] for q in qubits]
        state = targets[0].state
        if len(targets) == 2 and targets[1].state is not state:
            r = tensor.merge(self._reduced(targets[:1]), self._reduced(targets[1:])).ravel().tolist()
            bells = None
        elif isinstance(state.r, list) and len(targets) == 2:  # a pair, as nearly always: cheaper without arrays
            r = state.r if state.qubits == targets else [state.r[k] for k in _OTHER_WAY_ROUND]
            bells = state.bells
        else:
            r, bells = self._reduced(targets).ravel().tolist(), state.bells
        memories = tuple((t.noise, t.begun_ns, t.touched_ns) for t in targets)
        return Snapshot(tuple(r), bells, memories, tuple(t.dephased for t in targets))

    def partners(self, qubit: QubitId) -> list[QubitId]:
        """Return the other qubits of the joint state that a qubit belongs to."""
        return [q.id for q in self._qubits[qubit].state.qubits if q.id != qubit]

    def density_tensor(self, qubit: QubitId, time_ns: int) -> tuple[Array, list[QubitId]]:
        """Return the whole joint state of which a qubit is part, brought to one time, and whose axes they are."""
        state = self._qubits[qubit].state
        for q in state.qubits:
            self._touched(q.id, time_ns)
        return state.tensor().copy(), [q.id for q in state.qubits]

    # -- inner workings --------------------------------------------------------------------------------------------

    def _drop(self, qubit: QubitId) -> None:
        target = self._qubits[qubit]
        state = target.state
        self._remove(state, (target,), tensor.discard(state.tensor(), state.qubits.index(target)))
        state.bells = None

    def _new_state(self, r: Array, qubits: Sequence[QubitId], time_ns: int) -> None:
        for qubit in qubits:
            if qubit not in self._open:
                raise QubitError(f"{_name(qubit)} is not open")
        state = _State(r)
        self._place(state, [_Qubit(q, state, self._open[q], time_ns, loaded=True) for q in qubits])
        self._settle(state)

    def _place(self, state: _State, qubits: list[_Qubit]) -> None:
        ids = [qubit.id for qubit in qubits]
        for qubit in ids:
            if qubit in self._qubits:
                raise QubitError(f"{_name(qubit)} holds a qubit already")
        if len(set(ids)) < len(ids):
            raise _twice(ids[0])
        state.qubits = qubits
        self._qubits.update(zip(ids, qubits, strict=True))

    def _touched(self, qubit: QubitId, time_ns: int) -> _Qubit:
        target = self._qubits[qubit]
        last = target.touched_ns
        if time_ns != last:
            if time_ns < last:
                raise QubitError(f"operation on {_name(qubit)} at {time_ns} ns, but it was touched at {last} ns")
            noise = target.noise
            if noise is not PERFECT:
                begun = target.begun_ns
                factors = noise.factors(last - begun, time_ns - begun)
                if factors is not None:
                    self._relax(target, *factors)
                else:
                    self._transform(target, noise.matrix(last - begun, time_ns - begun))
            target.touched_ns = time_ns
        return target

    def _relax(self, target: _Qubit, c: float, e: float, s: float) -> None:
        state = target.state
        if isinstance(state.r, list):
            state.r = pair.relax(state.r, 0 if state.qubits[0] is target else 1, c, e, s)
        else:
            state.r = tensor.relax(state.r, state.qubits.index(target), c, e, s)

    def _transform(self, target: _Qubit, matrix: Array) -> None:
        state = target.state
        axis = state.qubits.index(target)
        if isinstance(state.r, list):
            state.r = pair.transform(state.r, axis, matrix.tolist())
        else:
            state.r = tensor.transform(state.r, axis, matrix)

    def _swap_pairs(self, qb: _Qubit, qc: _Qubit, u: float, depolarising: float) -> tuple[int, _State]:
        left, right = qb.state, qc.state
        p, q = left.r, right.r
        assert isinstance(p, list)
        assert isinstance(q, list)
        a, d = left.qubits[0], right.qubits[1]
        if a is qb:
            p, a = pair.transpose(p), left.qubits[1]
        if d is qc:
            q, d = pair.transpose(q), right.qubits[0]
        outcome, left.r = pair.swap(p, q, u, depolarising)
        left.qubits = [a, d]
        d.state = left
        del self._qubits[qb.id], self._qubits[qc.id]
        return outcome, left

    def _merged(self, left: _State, right: _State) -> _State:
        if left is right:
            return left
        if (n := len(left.qubits) + len(right.qubits)) > MAX_QUBITS:
            raise _too_large(n)
        left.r = tensor.merge(left.tensor(), right.tensor())
        for q in right.qubits:
            q.state = left
        left.qubits += right.qubits
        return left

    def _remove(self, state: _State, gone: tuple[_Qubit, ...], rest: Array) -> None:
        state.r = rest
        for qubit in gone:
            state.qubits.remove(qubit)
            del self._qubits[qubit.id]
        self._settle(state)

    def _settle(self, state: _State) -> None:
        if isinstance(state.r, np.ndarray) and len(state.qubits) == 2:
            state.r = state.r.ravel().tolist()

    def _reduced(self, targets: list[_Qubit]) -> Array:
        state = targets[0].state
        if state.qubits == targets:
            return state.tensor()
        keep = [state.qubits.index(t) for t in targets]
        r = np.moveaxis(state.tensor(), keep, range(len(keep)))
        return np.ascontiguousarray(r[(...,) + (0,) * (r.ndim - len(keep))])


def _name(qubit: QubitId) -> str:
    node, position, generation = qubit
    return f"{node} position {position} (generation {generation})"


def _twice(qubit: QubitId) -> QubitError:
    return QubitError(f"an operation on several qubits names {_name(qubit)} more than once")


def _too_large(qubits: int) -> StateTooLargeError:
    return StateTooLargeError(f"{qubits} entangled qubits; exact joint states have at most {MAX_QUBITS}")


def _composed(
    left: tuple[int, int] | None, right: tuple[int, int] | None, outcome: int, reported: int
) -> tuple[int, int] | None:
    """Return the Bell index, by true and by reported outcomes, of what swapping two pairs leaves."""
    if left is None or right is None:
        return None
    return left[0] ^ outcome ^ right[0], left[1] ^ reported ^ right[1]


def _flips(u: float, flip_x: float, flip_z: float) -> int:
    """Return which of the two bits (x << 1 | z) are reported wrong, from one uniform: the errors are independent."""
    if not flip_x and not flip_z:
        return 0
    x = u < flip_x
    v = u / flip_x if x else (u - flip_x) / (1 - flip_x)
    return x << 1 | (v < flip_z)
