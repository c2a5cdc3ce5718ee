"""The quantum states of one host among several: operations are applied where the state is, one owner at a time.

Theory of operation
-------------------
A joint state is at one host, whoever holds its qubits. An operation is an event of the actor who holds the qubit, at a
moment (instant, rank). It needs two things, and the event waits, with emulated time, until both are there:

- *The state is here.* If it is not, it is fetched from the host where it is; that host lets go of it as soon as it does
  nothing itself any more before that moment, if it holds qubits of that state. So a state goes to whoever uses it.
- *Nobody else can still do something to it before.* Each other host that holds a qubit of it has to say that its clock
  has come to the moment.

The operation of the least moment can always go on, so hosts cannot wait for each other in a circle.

Who holds a qubit (its *home*, the host of its node) knows where it is: whoever lets a state go tells the homes of its
qubits. A request that comes to the old place meanwhile is passed on; the old place forgets the way when the home has
seen the news.

A station makes pairs in positions of others: it asks the home of each whether the position is open. A position into
which a pair can still come from another host is closed only when that host has come to the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from emulator.quantum import (
    PERFECT,
    PERFECT_BELL_MEASUREMENT,
    PERFECT_READOUT,
    BellMeasurement,
    BellState,
    Engine,
    Gate,
    JointState,
    Noise,
    QubitError,
    QubitId,
    Readout,
    Snapshot,
    StoredQubit,
    UnphysicalStateError,
)
from emulator.quantum.engine import Z_AXIS
from emulator.quantum.pauli import Array
from emulator.time import END_NS

from .frames import Fetch, GaveUp, Held, Moment, Moved, MovedSeen, Slot, SlotState, State
from .framing import Frame, WireError
from .noises import noise_data, noise_of
from .recovery import Recovery

# More than any network has; a peer that breaks the rules is not to fill the memory.
MOST_REQUESTS: Final = 1 << 12
MOST_QUBITS: Final = 1 << 18


class Turn(Protocol):
    """How an operation waits for its turn."""

    def until(self, ready: Callable[[Moment, dict[str, Moment]], bool]) -> None:
        """Wait until `ready(now, wants)` is true; each time it puts into `wants` whose clocks it needs to hear of."""

    def passed(self, host: str, moment: Moment) -> bool:
        """Return whether a host has come to a moment."""

    def send(self, host: str, frame: Frame) -> None:
        """Send a frame to a host."""


class SharedEngine(Engine):
    """An engine that shares states with those of other hosts.

    me: this host; homes: the host of each node; makers: by node, the other hosts whose stations make pairs for it.
    """

    def __init__(self, me: str, homes: Mapping[str, str], makers: Mapping[str, frozenset[str]]) -> None:
        super().__init__()
        self.turn: Turn
        self._me = me
        self._homes = homes
        self._makers = makers
        self._away: dict[QubitId, str] = {}  # where qubits of nodes here are
        self._moves: dict[QubitId, int] = {}  # how often the states of qubits here, or of nodes here, have moved
        self._passed_on: dict[QubitId, tuple[str, int]] = {}  # where qubits of others went from here
        self._made: set[QubitId] = set()  # positions here into which a pair has come
        self._requested: set[QubitId] = set()
        self._slots: dict[QubitId, Noise | None] = {}
        self._asked_slots: set[QubitId] = set()
        self.waiting: list[Fetch | Slot] = []  # requests whose turn has not come
        self._sent_home: set[QubitId] = set()  # while requests are served
        self._slot_hosts: dict[Slot, str] = {}
        self._recovery = Recovery({*homes.values()} - {me})
        self._found: set[QubitId] = set()  # qubits of nodes here that are elsewhere, and not lost
        self._lost: set[QubitId] = set()  # positions here whose qubits were lost with a host
        self.fetched = 0  # states, so far

    # -- operations: each brings what it needs, then does as any engine ---------------------------------------------

    def close(self, qubit: QubitId) -> None:
        """Free a memory position."""
        self._bring(qubit)
        super().close(qubit)
        self._made.discard(qubit)
        self._lost.discard(qubit)
        self._moves.pop(qubit, None)
        self._away.pop(qubit, None)

    def store(self, qubit: QubitId, noise: Noise, time_ns: int) -> None:
        """Let an open position decohere otherwise from now on."""
        if qubit in self._open and self._open[qubit] is not noise:
            self._bring(qubit)
        super().store(qubit, noise, time_ns)

    def exists(self, qubit: QubitId) -> bool:
        """Return whether a position holds a qubit."""
        self._bring(qubit)
        return super().exists(qubit)

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
        """Put a heralded pair into two open positions, here or elsewhere."""
        elsewhere = [qubit for qubit in (a, b) if self._homes[qubit[0]] != self._me]
        if elsewhere:
            self.turn.until(lambda now, wants: self._slots_known(elsewhere, now, wants))
        for qubit in elsewhere:
            if (noise := self._slots.pop(qubit)) is not None:
                self._open[qubit] = noise
        for qubit in (a, b):
            self._clear(qubit)
        self._made.update(qubit for qubit in (a, b) if qubit not in elsewhere and qubit in self._open)
        super().new_pair(r, a, b, times_ns=times_ns, bell=bell, loaded=loaded)
        for qubit in elsewhere:
            self._open.pop(qubit, None)

    def new_state(self, r: Array, qubits: Sequence[QubitId], time_ns: int) -> None:
        """Put a state into open positions here."""
        self._bring(*qubits)
        super().new_state(r, qubits, time_ns)
        self._made.update(qubits)

    def new_qubit(self, qubit: QubitId, time_ns: int) -> None:
        """Prepare |0> in an open position."""
        self._bring(qubit)
        super().new_qubit(qubit, time_ns)
        self._made.add(qubit)

    def gate(self, gate: Gate, *qubits: QubitId, time_ns: int) -> None:
        """Apply a gate."""
        self._bring(*qubits)
        super().gate(gate, *qubits, time_ns=time_ns)

    def frame(self, qubit: QubitId, bell: int, time_ns: int) -> None:
        """Apply the Pauli of a Bell index."""
        self._bring(qubit)
        super().frame(qubit, bell, time_ns)

    def dephase(self, qubit: QubitId, contrast: float, time_ns: int) -> None:
        """Multiply a qubit's coherences."""
        self._bring(qubit)
        super().dephase(qubit, contrast, time_ns)

    def move(self, source: QubitId, target: QubitId, time_ns: int) -> None:
        """Move a qubit into another open position."""
        self._bring(source, target)
        super().move(source, target, time_ns)
        self._made.add(target)

    def measure(
        self,
        qubit: QubitId,
        time_ns: int,
        *,
        u: tuple[float, float],
        direction: tuple[float, float, float] = Z_AXIS,
        readout: Readout = PERFECT_READOUT,
    ) -> int | None:
        """Measure a qubit, which leaves its state."""
        self._bring(qubit)
        return super().measure(qubit, time_ns, u=u, direction=direction, readout=readout)

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
        """Measure two qubits in the Bell basis."""
        self._bring(b, c)
        return super().swap(b, c, time_ns, u=u, bsm=bsm, efficiency=efficiency)

    def discard(self, qubit: QubitId) -> None:
        """Trace a qubit out of its state."""
        self._bring(qubit)
        super().discard(qubit)

    def view(self, qubit: QubitId) -> Snapshot:
        """Return what is true of a qubit and its partners."""
        self._bring(qubit)
        return self.snapshot(qubit, *self.partners(qubit))

    # -- bringing ----------------------------------------------------------------------------------------------------

    def _bring(self, *qubits: QubitId) -> None:
        for qubit in qubits:
            if self._is_shared(qubit):
                self.turn.until(lambda now, wants: self._are_ready(qubits, now, wants))
                return

    def _is_shared(self, qubit: QubitId) -> bool:
        """Return whether an operation on a qubit has to do with other hosts at all."""
        found = self._qubits.get(qubit)
        if found is None:
            return qubit in self._away or (qubit not in self._made and qubit[0] in self._makers)
        homes, me = self._homes, self._me
        return any(homes[partner.id[0]] != me for partner in found.state.qubits)

    def _are_ready(self, qubits: Sequence[QubitId], now: Moment, wants: dict[str, Moment]) -> bool:
        ready = [self._is_ready(qubit, now, wants) for qubit in qubits]  # all of them, so that all are asked for
        return all(ready)

    def _is_ready(self, qubit: QubitId, now: Moment, wants: dict[str, Moment]) -> bool:
        found = self._qubits.get(qubit)
        if found is not None:
            self._requested.discard(qubit)
            holders = {self._homes[partner.id[0]] for partner in found.state.qubits} - {self._me}
        elif qubit in self._away:
            if qubit not in self._requested and self._recovery.is_over:
                self._requested.add(qubit)
                self.turn.send(self._away[qubit], Fetch(qubit, *now, self._me))
            return False
        elif qubit in self._open and qubit not in self._made:
            holders = set(self._makers.get(qubit[0], ()))
        else:
            return True
        missing = [host for host in holders if not self.turn.passed(host, now)]
        wants.update(dict.fromkeys(missing, now))
        return not missing

    def _slots_known(self, qubits: Sequence[QubitId], now: Moment, wants: dict[str, Moment]) -> bool:
        for qubit in qubits:
            home = self._homes[qubit[0]]
            if home in self._recovery.gone:
                self._slots[qubit] = None
            elif qubit not in self._slots:
                wants[home] = now
                if qubit not in self._asked_slots:
                    self._asked_slots.add(qubit)
                    self.turn.send(home, Slot(qubit, *now))
        return all(qubit in self._slots for qubit in qubits)

    @property
    def awaited(self) -> set[str]:
        """Return the hosts from whom something about states is to come."""
        states = {self._away[qubit] for qubit in self._requested if qubit in self._away}
        return states | {self._homes[qubit[0]] for qubit in self._asked_slots}

    # -- when a host is lost -----------------------------------------------------------------------------------------

    def give_up(self, host: str) -> None:
        """Go on without a host: what was there is lost, and half of it that is here is maximally mixed from now on."""
        self._recovery.begin(host)
        self._found.clear()
        self._asked_slots = {qubit for qubit in self._asked_slots if self._homes[qubit[0]] != host}
        self.waiting = [r for r in self.waiting if isinstance(r, Fetch) or self._slot_hosts[r] != host]
        self._slot_hosts = {slot: there for slot, there in self._slot_hosts.items() if there != host}
        for other in self._recovery.others:
            self.turn.send(other, GaveUp(self._recovery.round))
        self._recover()

    def _recover(self) -> None:
        if self._recovery.take_stock():
            self._take_stock()
        for host, frame in self._recovery.news():  # at once: who said it may go on already, and tell of moves
            self._found.update(frame.qubits)
            self._away.update((qubit, host) for qubit in frame.qubits if qubit in self._away)
        if self._recovery.end():
            for qubit in self._away.keys() - self._found:
                self._lose(qubit)

    def _take_stock(self) -> None:
        """Forget all requests, and tell the others what is here, now that nothing is under way."""
        self.waiting = [request for request in self.waiting if isinstance(request, Slot)]
        self._requested.clear()
        self._passed_on.clear()
        self._sent_home.clear()
        for qubit in [q for q in self._qubits if self._homes[q[0]] in self._recovery.gone]:
            super().discard(qubit)
        here = [*self._qubits, *(qubit for qubit, noise in self._slots.items() if noise is not None)]
        for other in self._recovery.others:
            theirs = [qubit for qubit in here if self._homes[qubit[0]] == other]
            self.turn.send(other, Held(self._recovery.round, theirs))

    def _lose(self, qubit: QubitId) -> None:
        del self._away[qubit]
        if qubit in self._open:
            self._lost.add(qubit)
            left = StoredQubit(qubit, PERFECT, 0, 0, loaded=True, dephased=1.0)
            self.adopt(JointState((left,), (1.0, 0.0, 0.0, 0.0), None))

    def _clear(self, qubit: QubitId) -> None:
        """Make room for a pair: a lost qubit may be one that was never made."""
        if qubit in self._lost:
            self._lost.discard(qubit)
            if qubit in self._qubits:
                super().discard(qubit)

    # -- what others ask for -----------------------------------------------------------------------------------------

    def take(self, host: str, frame: Frame) -> None:
        """Take a frame about states. Raises WireError."""
        match frame:
            case State():
                self._arrive(frame)
            case Fetch():
                self._asked_for_state(frame)
            case Slot():
                self._asked_for_slot(host, frame)
            case SlotState():
                self._told_of_slot(host, frame)
            case Moved():
                self._moved(host, frame)
            case MovedSeen():
                self._forget_way(frame)
            case GaveUp():
                self._recovery.hear(host, frame.hosts)
                self._recover()
            case Held():
                self._told_of_stock(host, frame)
            case _:
                raise WireError(f"it says {type(frame).__name__}, which is not for now")

    def _told_of_stock(self, host: str, frame: Held) -> None:
        if any(self._homes.get(qubit[0]) != self._me for qubit in frame.qubits):
            raise WireError("it tells of qubits of somebody who is not here")
        self._recovery.hear_held(host, frame)
        self._recover()

    def _asked_for_state(self, frame: Fetch) -> None:
        if self._homes.get(frame.qubit[0]) != frame.host:
            raise WireError(f"it asks for the state of a qubit of {frame.qubit[0]} on behalf of {frame.host}")
        moment = frame.time_ns, frame.rank
        # What that host has asked for before is done, or it would not have come so far: the state came by another way.
        self.waiting = [
            r for r in self.waiting if isinstance(r, Slot) or r.host != frame.host or (r.time_ns, r.rank) >= moment
        ]
        self._wait(frame)

    def _asked_for_slot(self, host: str, frame: Slot) -> None:
        if self._homes.get(frame.qubit[0]) != self._me:
            raise WireError(f"it asks for a position of {frame.qubit[0]}, who is not here")
        if frame in self._slot_hosts:
            raise WireError(f"it asks twice for a position of {frame.qubit[0]}")
        self._wait(frame)
        self._slot_hosts[frame] = host

    def _wait(self, frame: Fetch | Slot) -> None:
        if len(self.waiting) >= MOST_REQUESTS:
            raise WireError(f"{MOST_REQUESTS} requests wait here already, and it has one more")
        self.waiting.append(frame)

    def _told_of_slot(self, host: str, frame: SlotState) -> None:
        if frame.qubit not in self._asked_slots or self._homes[frame.qubit[0]] != host:
            raise WireError("it tells of a position that nobody has asked it for")
        self._slots[frame.qubit] = None if frame.noise is None else noise_of(frame.noise)
        self._asked_slots.discard(frame.qubit)

    def _moved(self, host: str, frame: Moved) -> None:
        if self._homes.get(frame.qubit[0]) != self._me:
            raise WireError(f"it tells of a qubit of {frame.qubit[0]}, who is not here")
        if frame.host == self._me or frame.host not in self._homes.values():
            raise WireError(f"it says that a qubit has gone to {frame.host!r}, where it cannot have gone")
        if frame.qubit in self._open and frame.moves > self._moves.get(frame.qubit, -1):
            self._moves[frame.qubit] = frame.moves
            if frame.qubit not in self._qubits:
                self._away[frame.qubit] = frame.host
                self._requested.discard(frame.qubit)  # a request that follows it may come after the way is forgotten
        self.turn.send(host, MovedSeen(frame.qubit, frame.moves))

    def _forget_way(self, frame: MovedSeen) -> None:
        there, moves = self._passed_on.get(frame.qubit, ("", -1))
        if moves == frame.moves and self._recovery.is_over:
            for request in self.waiting:  # they came before the home saw the news, maybe together with this frame
                if isinstance(request, Fetch) and request.qubit == frame.qubit:
                    self.turn.send(there, request)
            self.waiting = [r for r in self.waiting if isinstance(r, Slot) or r.qubit != frame.qubit]
            del self._passed_on[frame.qubit]

    def serve(self, position: Moment) -> None:
        """Answer the requests whose turn has come, now that this host has come to a position."""
        self._sent_home.clear()
        served = self._recovery.is_over
        while served and self.waiting:  # who has asked for what goes with another's request is passed on at once
            left = [request for request in self.waiting if not self._serve(request, position)]
            served = len(left) < len(self.waiting)
            self.waiting = left

    def _serve(self, request: Fetch | Slot, position: Moment) -> bool:
        moment = request.time_ns, request.rank
        if isinstance(request, Slot):
            if position < moment:
                return False
            self._answer_slot(self._slot_hosts.pop(request), request.qubit)
            return True
        found = self._qubits.get(request.qubit)
        if found is None:
            there = self._away.get(request.qubit) or self._passed_on.get(request.qubit, (None, 0))[0]
            if there is None:
                return request.qubit in self._sent_home  # has gone with another, or else is on its way to here
            self.turn.send(there, request)
            return True
        if position < moment and any(self._homes[partner.id[0]] == self._me for partner in found.state.qubits):
            return False
        self._ship(request.qubit, request.host)
        return True

    def _answer_slot(self, host: str, qubit: QubitId) -> None:
        noise = self._open.get(qubit)
        if noise is not None:
            self._clear(qubit)
            self._made.add(qubit)
            self._away[qubit] = host
        self.turn.send(host, SlotState(qubit, None if noise is None else noise_data(noise)))

    def _ship(self, qubit: QubitId, to: str) -> None:
        if to == self._me:
            return
        joint = self.release(qubit)
        data = []
        for each in joint.qubits:
            moves = self._moves.pop(each.id, 0) + 1
            home = self._homes[each.id[0]]
            if home == self._me:
                self._away[each.id], self._moves[each.id] = to, moves
            elif home != to:
                self._passed_on[each.id] = to, moves
                self.turn.send(home, Moved(each.id, to, moves))
            else:
                self._sent_home.add(each.id)
            noise = noise_data(each.noise)
            data.append((each.id, noise, each.begun_ns, each.touched_ns, each.loaded, each.dephased, moves))
        self.turn.send(to, State(data, list(joint.r), joint.bells))

    def _arrive(self, frame: State) -> None:
        for qubit, _, begun_ns, touched_ns, _, dephased, _ in frame.qubits:
            if qubit[0] not in self._homes:
                raise WireError(f"it sends a qubit of {qubit[0]!r}, whom there is not")
            if not 0 <= begun_ns <= touched_ns <= END_NS or not -1 <= dephased <= 1:
                raise WireError(f"it sends a qubit of {qubit[0]} that cannot be")
        if len(self._qubits) >= MOST_QUBITS:
            raise WireError(f"{MOST_QUBITS} qubits are here already, and it sends one more")
        qubits = tuple(
            StoredQubit(qubit, noise_of(noise), begun_ns, touched_ns, loaded, dephased)
            for qubit, noise, begun_ns, touched_ns, loaded, dephased, _ in frame.qubits
        )
        try:
            self.adopt(JointState(qubits, tuple(frame.r), frame.bells))
        except (UnphysicalStateError, QubitError) as error:
            raise WireError(f"it sends a state that cannot be: {error}") from error
        self.fetched += 1
        for qubit, *_, moves in frame.qubits:
            self._moves[qubit] = moves
            self._away.pop(qubit, None)
            self._passed_on.pop(qubit, None)
            self._requested.discard(qubit)
