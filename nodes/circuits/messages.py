"""The messages of the network layer: signalling along a path, and the tracking of pairs.

Signalling is a simple reservation: `Reserve` goes from the head-end to the tail-end and sets memory aside at each node;
`Confirm` comes back with the instant at which all links start, or `Refuse` with the reason. `Release` and `Released`
undo it; `Broken` does so at once, and the head-end then asks for the next *epoch* of the circuit. Each epoch has a name
of its own (`epoch_name`), so nothing that is still under way is taken for a word of the next.

Tracking follows the quantum network protocol (Kozlowski, Dahlberg, Wehner, CoNEXT 2020): `Track` tells the far end
which pair it holds, `Expire` that its chain is broken.
"""

from __future__ import annotations

import msgspec

from emulator import Bias, Contrasts, Disturbed, Message, PairId, StorageLaw

from .requests import Request


class Terms(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a circuit is to be like, the same at all its nodes.

    lanes: memory positions on each link; nested: swap in nested order instead of as soon as possible; cutoff_ns:
    discard what waited longer at an intermediate node (0: never); min_fidelity: of a fresh pair of each link (0: as the
    hardware is set); shares: which part of a heralding station's time is set aside for it at the hub of the head-end
    and at that of the tail-end (0: what is left over); distil: how pairs are distilled ("": not at all), in how many
    rounds; trace: pairs bring along what was done to them on their way.
    """

    lanes: int = 1
    nested: bool = False
    cutoff_ns: int = 0
    min_fidelity: float = 0.0
    shares: tuple[float, float] = (0.0, 0.0)
    distil: str = ""
    rounds: int = 1
    trace: bool = False


def epoch_name(demand: str, epoch: int) -> str:
    """Return the name of a circuit, the `epoch`-th that was made for a demand, from 1.

    >>> epoch_name("alice>bob:1.1", 1), epoch_name("alice>bob:1.1", 2)
    ('alice>bob:1.1', 'alice>bob:1.1/2')
    """
    return demand if epoch == 1 else f"{demand}/{epoch}"


def demand_of(circuit: str) -> str:
    """Return the demand for which a circuit of this name was made.

    >>> demand_of("alice>bob:1.1/2")
    'alice>bob:1.1'
    """
    return circuit.partition("/")[0]


class Reserve(Message, frozen=True, tag="reserve"):
    """Set memory aside on each link of a path of node names.

    requests: what it is to serve from the beginning; latency_ns: what the message has gathered so far on its way;
    storage: of a qubit at the head-end.
    """

    circuit: str
    path: tuple[str, ...]
    terms: Terms
    requests: tuple[Request, ...]
    latency_ns: int
    storage: StorageLaw


class Confirm(Message, frozen=True, tag="confirm"):
    """All nodes have reserved; links start at `start_ns`. storage: of a qubit at the tail-end."""

    circuit: str
    start_ns: int
    storage: StorageLaw


class Refuse(Message, frozen=True, tag="refuse"):
    """A node could not reserve, and why."""

    circuit: str
    node: str
    reason: str


class Release(Message, frozen=True, tag="release"):
    """Give back everything of a circuit."""

    circuit: str


class Released(Message, frozen=True, tag="released"):
    """Everything of a circuit has been given back from here to the tail-end."""

    circuit: str


class Forward(Message, frozen=True, tag="forward"):
    """Head-end to tail-end: begin to serve a request."""

    circuit: str
    request: Request


class Complete(Message, frozen=True, tag="complete"):
    """Head-end to tail-end: a request has all its pairs, or wants no more. Without requests, links rest."""

    circuit: str
    number: int


class Broken(Message, frozen=True, tag="broken"):
    """A circuit is no more: `node` on its path, a node or a heralding station, has lost its memory."""

    circuit: str
    node: str


class SwapNote(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a node did to two pairs that it swapped: when, their names, and the outcome.

    ages_ns: how long it had stored their halves, west and east; fidelities: of the links' pairs when they were fresh,
    by what the stations say of their links.
    """

    node: str
    time_ns: int
    west: PairId
    east: PairId
    outcome: int
    ages_ns: tuple[int, int]
    fidelities: tuple[float, float]


class Track(Message, frozen=True, tag="track"):
    """Follow a chain of swapped pairs from the end that holds `origin`.

    link: the pair by which the chain reaches the receiver; bell: XOR of the Bell indices and swap outcomes so far;
    emitted_ns: when the photon of the origin's half left; contrasts, bias: what is left of the pair's, the origin's
    half first, but for the storage at both ends, by what each node on the way knows of its links, its memory and its
    measurement; disturbed: what attempts do to the origin's half; asked: for which request it is, if the head-end sends
    this; measured: the basis in which the sender has measured its half already, whose storage then counts (0: it has
    not); history: the swaps so far, if the circuit's terms ask for them; announced: what the sender was told of the
    Bell state of `link` (-1: nothing is said).
    """

    circuit: str
    origin: PairId
    link: PairId
    bell: int
    emitted_ns: int
    contrasts: Contrasts
    bias: Bias
    disturbed: Disturbed
    asked: Request | None
    measured: int
    history: tuple[SwapNote, ...]
    announced: int

    def fits(self, bell: int) -> bool:
        """Return whether the receiver was told the same of the Bell state of the pair `link` as the sender."""
        return self.announced == bell or self.announced < 0


class Expire(Message, frozen=True, tag="expire"):
    """The chain that reaches the receiver by the pair `link` is broken: its qubit is worth nothing."""

    circuit: str
    link: PairId


class Extended(Message, frozen=True, tag="extended"):
    """In nested order: the receiver's pair `link` now reaches to the node `far` on the path, whose pair is `far_link`.

    to: index on the path of the node that it is for; nodes between pass it on.
    """

    circuit: str
    to: int
    link: PairId
    far: int
    far_link: PairId
