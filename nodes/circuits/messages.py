"""The messages of the network layer: signalling along a path, and the tracking of pairs.

Signalling is a simple reservation: `Reserve` goes from the head-end to the tail-end and sets memory aside at each node;
`Confirm` comes back with the instant at which all links start, or `Refuse` with the reason. `Release` and `Released`
undo it.

Tracking follows the quantum network protocol (Kozlowski, Dahlberg, Wehner, CoNEXT 2020): `Track` tells the far end
which pair it holds, `Expire` that its chain is broken.
"""

from __future__ import annotations

import msgspec

from emulator import Bias, Contrasts, Disturbed, Message, PairId, StorageLaw


class Terms(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a circuit is to be like, the same at all its nodes.

    lanes: memory positions on each link; nested: swap in nested order instead of as soon as possible; cutoff_ns:
    discard what waited longer at an intermediate node (0: never); min_fidelity: of a fresh pair of each link (0: as the
    hardware is set); shares: which part of a heralding station's time is set aside for it at the hub of the head-end
    and at that of the tail-end (0: what is left over); distil: how pairs are distilled ("": not at all), in how many
    rounds.
    """

    lanes: int = 1
    nested: bool = False
    cutoff_ns: int = 0
    min_fidelity: float = 0.0
    shares: tuple[float, float] = (0.0, 0.0)
    distil: str = ""
    rounds: int = 1


class Reserve(Message, frozen=True, tag="reserve"):
    """Set memory aside on each link of a path of node names.

    latency_ns: what the message has gathered so far on its way; storage: of a qubit at the head-end.
    """

    circuit: str
    path: tuple[str, ...]
    terms: Terms
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


class Track(Message, frozen=True, tag="track"):
    """Follow a chain of swapped pairs from the end that holds `origin`.

    link: the pair by which the chain reaches the receiver; bell: XOR of the Bell indices and swap outcomes so far;
    emitted_ns: when the photon of the origin's half left; contrasts, bias: what is left of the pair's, the origin's
    half first, but for the storage at both ends, by what each node on the way knows of its links, its memory and its
    measurement; disturbed: what attempts do to the origin's half.
    """

    circuit: str
    origin: PairId
    link: PairId
    bell: int
    emitted_ns: int
    contrasts: Contrasts
    bias: Bias
    disturbed: Disturbed


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
