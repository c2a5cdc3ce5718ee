"""What the link layer says: to its users (CREATE, OK, ERR), and to the neighbour (frames of the queue and of the EGP).

The service and its words follow draft-dahlberg-ll-quantum-03; what differs is in docs/decisions. A request is known
everywhere by its *key*: the node that made it, and the number that it has there.

    node (requests)                     neighbour
     | -- Add(request) ------------------> |   accept rules, memory, fidelity, time
     | <-- AddAck, or AddRej(code) ------- |   from now on it is in the queue of both
     | <-- Serve(request, start) --------> |   the master, the lower of the two names, says who is next
     |      ... sessions, heralds; an OK to the user of each end for each pair ...
     | <-- Close(expected) / Close ------> |   each end says once how far it came; who has more expires it
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, TypeAlias

import msgspec

from emulator import BellState, Message, PairId, Qubit, StorageLaw
from nodes.ports import Direction

# The node that made a request, and the number that it has there.
Key: TypeAlias = tuple[str, int]

_MOST_PAIRS: Final = (1 << 16) - 1
_HIGHEST: Final = 7  # priority
_CLOSE: Final = 1e-9
_DIAGONAL: Final = math.sqrt(0.5)


class Code(IntEnum):
    """Why a request failed, with the numbers of the draft; it has none for the last two."""

    UNSUPP = 1  # it can never be had: fidelity, memory, time
    CREATE = 2  # it makes no sense: no such neighbour
    REJECTED = 3  # by the rules of the neighbour
    OTHER = 4
    EXPIRE = 5  # OKs already given are void
    TIMEOUT = 6  # not served within its time
    NOTIME = 7  # it cannot be served within the time that is left
    NORES = 8  # others have what it needs


class Kind(StrEnum):
    """What becomes of the pairs: both ends keep their halves (K), both measure (M), the requesting end measures (R)."""

    KEEP = "keep"
    MEASURE = "measure"
    REMOTE = "remote"


class Choice(StrEnum):
    """How the basis of each measurement is chosen. CHSH: Z turned by + or - pi/4 about Y."""

    FIXED = "fixed"
    XZ = "xz"
    XYZ = "xyz"
    CHSH = "chsh"


# What can be chosen, in this order.
_DIRECTIONS: Final[dict[Choice, tuple[Direction, ...]]] = {
    Choice.FIXED: (),
    Choice.XZ: ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    Choice.XYZ: ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    Choice.CHSH: ((_DIAGONAL, 0.0, _DIAGONAL), (-_DIAGONAL, 0.0, _DIAGONAL)),
}
# Numbered from 1: X, Y, Z, and the two of CHSH.
_NUMBERED: Final = (*_DIRECTIONS[Choice.XYZ], *_DIRECTIONS[Choice.CHSH])


class Bases(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """In which bases one end measures.

    rotations: with a fixed choice, by how many rad the Z axis is turned about X, then about Y, then about X;
    probabilities: of all choices but the last (empty: all are equally likely).

    >>> Bases(Choice.XZ).draw(0.6), Bases(Choice.XZ, probabilities=(0.9,)).draw(0.6)
    ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    >>> basis_number(Bases(rotations=(0.0, math.pi / 2, 0.0)).draw(0.0))
    1
    """

    choice: Choice = Choice.FIXED
    rotations: tuple[float, float, float] = (0.0, 0.0, 0.0)
    probabilities: tuple[float, ...] = ()

    def fault(self) -> str | None:
        """Return what is wrong: no angles, or not the probabilities of this choice."""
        if not all(math.isfinite(angle) for angle in self.rotations):
            return f"rotations = {self.rotations} must be angles in rad"
        given, needed = self.probabilities, max(0, len(_DIRECTIONS[self.choice]) - 1)
        if given and len(given) != needed:
            return f"a choice {self.choice.value!r} takes {needed} probabilities, not {len(given)}"
        if not all(p >= 0 for p in given) or sum(given) > 1 + _CLOSE:
            return f"probabilities = {given} must be at least 0, and at most 1 together"
        return None

    def draw(self, u: float) -> Direction:
        """Return the direction of a measurement, from a uniform `u` in [0, 1)."""
        choices = _DIRECTIONS[self.choice]
        if not choices:
            return _turned(self.rotations)
        for direction, p in zip(choices, self.probabilities or (1 / len(choices),) * (len(choices) - 1), strict=False):
            if u < p:
                return direction
            u -= p
        return choices[-1]


X: Final = Bases(rotations=(0.0, math.pi / 2, 0.0))
Y: Final = Bases(rotations=(-math.pi / 2, 0.0, 0.0))
Z: Final = Bases()
XZ: Final = Bases(Choice.XZ)
XYZ: Final = Bases(Choice.XYZ)
CHSH: Final = Bases(Choice.CHSH)


def _turned(rotations: tuple[float, float, float]) -> Direction:
    first, second, third = rotations
    y, z = -math.sin(first), math.cos(first)
    x, z = z * math.sin(second), z * math.cos(second)
    y, z = y * math.cos(third) - z * math.sin(third), y * math.sin(third) + z * math.cos(third)
    return x, y, z


def basis_number(direction: Direction) -> int:
    """Return 1 X, 2 Y, 3 Z, 4 and 5 the two of CHSH, 0 for any other direction."""
    for number, known in enumerate(_NUMBERED, start=1):
        if math.dist(direction, known) < _CLOSE:
            return number
    return 0


class Create(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """CREATE: a request for pairs with a neighbour.

    min_fidelity: of each pair when its OK is given (0: as the hardware is set); max_time_ns: after which it is given up
    (0: never); purpose: which user of the neighbour it is for; number: of pairs; priority: 0 to 7, higher is first;
    atomic: not interleaved with other requests (none ever is); consecutive: an OK for each pair at once, otherwise all
    of them when the last pair is there, for which memory must hold them; local, far: bases of whoever measures at this
    end and at the other.
    """

    remote: str
    kind: Kind = Kind.KEEP
    number: int = 1
    min_fidelity: float = 0.0
    max_time_ns: int = 0
    purpose: str = ""
    priority: int = 0
    atomic: bool = False
    consecutive: bool = True
    local: Bases = Z
    far: Bases = Z

    def fault(self) -> str | None:
        """Return what is out of range, if anything is."""
        if not 1 <= self.number <= _MOST_PAIRS:
            return f"number = {self.number} must lie in [1, {_MOST_PAIRS}]"
        if not 0 <= self.min_fidelity <= 1:
            return f"min_fidelity = {self.min_fidelity} must lie in [0, 1]"
        if not 0 <= self.priority <= _HIGHEST:
            return f"priority = {self.priority} must lie in [0, {_HIGHEST}]"
        if self.max_time_ns < 0:
            return f"max_time_ns = {self.max_time_ns} must not be negative"
        return self.local.fault() or self.far.fault()

    def keeps(self, *, origin: bool) -> bool:
        """Return whether an end, the one that requests or the other, keeps its halves."""
        return self.kind == Kind.KEEP or (self.kind == Kind.REMOTE and not origin)


class EndFigures(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an end of a link says of itself, so that both ends come to the same estimates.

    stores: whether it can keep qubits; positions: how many memory positions serve the link; light_ns: to the heralding
    station; storage: of a qubit there; readout_ns: what a measurement takes.
    """

    stores: bool
    positions: int
    light_ns: int
    storage: StorageLaw
    readout_ns: int


# -- frames between neighbours -----------------------------------------------------------------------------------------


class Add(Message, frozen=True, tag="link-add"):
    """Add a request of the sender's to the queue. queue_sequence: its place, by the master (-1: by its answer)."""

    create_id: int
    queue_sequence: int
    create: Create
    deadline_ns: int
    end: EndFigures


class AddAck(Message, frozen=True, tag="link-add-ack"):
    """The receiver's request is in the queue now."""

    create_id: int
    queue_sequence: int
    end: EndFigures


class AddRej(Message, frozen=True, tag="link-add-rej"):
    """The receiver's request is not taken into the queue, and why."""

    create_id: int
    code: Code
    reason: str


class Serve(Message, frozen=True, tag="link-serve"):
    """Master to the other: this request is the next to be served, by both from `start_ns` on."""

    origin: str
    create_id: int
    start_ns: int


class Close(Message, frozen=True, tag="link-close"):
    """A request has ended at the sender; sent once by each end that had it in its queue.

    expected: the sender has given no OK for a pair of this or a higher sequence number; code: why it ended (None: all
    pairs are there). It stands for EXPIRE, EXPIRE_ACK, and the silence after the last pair.
    """

    origin: str
    create_id: int
    expected: int
    code: Code | None
    reason: str


# -- answers to the user -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Ok:
    """OK: a pair. What both kinds of it say.

    origin, create_id: the request; remote: the neighbour; pair: its identity, the same at both ends; bell: which Bell
    state it is; goodness: its estimated fidelity at `goodness_ns` of emulated time.
    """

    origin: str
    create_id: int
    remote: str
    purpose: str
    pair: PairId
    bell: BellState
    goodness: float
    goodness_ns: int

    @property
    def from_remote(self) -> bool:
        """Return the directionality flag: whether the neighbour made the request."""
        return self.origin == self.remote


@dataclass(frozen=True, slots=True, eq=False)
class OkKeep(Ok):
    """OK of type K: this end keeps its half, `qubit`, which has to be given back some time."""

    qubit: Qubit


@dataclass(frozen=True, slots=True, eq=False)
class OkMeasure(Ok):
    """OK of type M: this end has measured its half.

    outcome: None if there was no answer; direction: the Bloch vector along which; basis: its number (1 X, 2 Y, 3 Z, 4
    and 5 of CHSH, 0 any other).
    """

    outcome: int | None
    direction: Direction

    @property
    def basis(self) -> int:
        """Return the number of the basis."""
        return basis_number(self.direction)


@dataclass(frozen=True, slots=True)
class Err:
    """ERR: a request has failed, or (EXPIRE) its OKs with sequence numbers in low <= n < high are void."""

    origin: str
    create_id: int
    code: Code
    reason: str
    low: int = 0
    high: int = 0


class LinkError(RuntimeError):
    """What a program sees of an ERR: `code`, `reason`, and the whole of it in `err`."""

    def __init__(self, err: Err) -> None:
        super().__init__(f"request {err.create_id} of {err.origin} failed: {err.reason} ({err.code.name})")
        self.err = err
        self.code = err.code
        self.reason = err.reason
