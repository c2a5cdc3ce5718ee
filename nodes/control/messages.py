"""Between the controller and the nodes: what each node is, what its users ask for, and what they are promised.

end node                          controller
 | <-- Describe ----------------   |    whenever the controller begins (again)
 | -- NodeReport -------------->   |    capabilities, and the circuits that begin here
 | -- Ask(demand, to, ...) ---->   |
 | <-- Grant(path, terms) ------   |    or Deny(code, reason)
 | -- Ended(demand) ----------->   |    its circuit has been given back
"""

from __future__ import annotations

import msgspec

from emulator import Message
from nodes.circuits import Terms

from .path import NodeFigures


class Contract(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a user asks of a circuit; 0 stands for no wish.

    rate_hz: pairs per second; fidelity: of the mean pair at its delivery; duration_ns: after which the circuit ends;
    patience_ns: how long the demand may wait to be admitted (0: it is admitted at once or never); priority: who is
    first when several wait; may_distil: pairs may be distilled to reach the fidelity; terms: what the circuit has to be
    like anyway, such as the least memory positions on each link.
    """

    rate_hz: float = 0.0
    fidelity: float = 0.0
    duration_ns: int = 0
    patience_ns: int = 0
    priority: int = 0
    may_distil: bool = False
    terms: Terms = Terms()

    @property
    def promises(self) -> bool:
        """Return whether anything has to be promised, beyond that there is a circuit."""
        return self.rate_hz > 0 or self.fidelity > 0


class PortReport(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A way out of a node: to whom, by which heralding station, how far, and which memory serves it."""

    peer: str
    station: str
    latency_ns: int
    bank: str
    positions: int


class Promise(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was granted to a demand: a path, the terms of the circuit, and what it will deliver at least."""

    demand: str
    path: tuple[str, ...]
    terms: Terms
    rate_hz: float
    fidelity: float


class Describe(Message, frozen=True, tag="describe"):
    """The controller has begun and wants to know what there is."""


class NodeReport(Message, frozen=True, tag="node-report"):
    """What a node can do, and the promises to its users that are in force.

    may_end, may_swap: whether a circuit can end here, or lead through here; analysers: heralding stations behind its
    optical switch.
    """

    may_end: bool
    may_swap: bool
    figures: NodeFigures
    ports: tuple[PortReport, ...]
    switch: str
    analysers: int
    promises: tuple[Promise, ...]


class Ask(Message, frozen=True, tag="ask"):
    """A user's demand for a circuit to another end node. `demand` is its name, unique in the network."""

    demand: str
    to: str
    contract: Contract


class Grant(Message, frozen=True, tag="grant"):
    """The demand was admitted."""

    promise: Promise


class Deny(Message, frozen=True, tag="deny"):
    """The demand was refused. The codes are those of the link layer's draft (`UNSUPP`, `NORES`, `NOTIME`, `CREATE`)."""

    demand: str
    code: str
    reason: str


class Ended(Message, frozen=True, tag="ended"):
    """A demand's circuit has been given back, or could not be set up."""

    demand: str
