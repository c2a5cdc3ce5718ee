"""Nodes that miss something of what was signalled along a circuit, and more demands than there is room for.

A message that is lost in a channel is repeated by the transport. So these faults are nodes that overlook a message
that has reached them, as software does that crashes and forgets, or has a bug.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from emulator.messages import Message, message_types

from .fault import Active, Fault, FaultError, Scene, Site, Undo
from .hooks import Demanding
from .targets import actor


class Overlooks(Fault, frozen=True):
    """Base of nodes that overlook so many messages of a type, `tag`."""

    takes: ClassVar[str] = "a node"
    example: ClassVar[str] = "erfurt"
    survives: ClassVar[str] = "circuits"
    is_state: ClassVar[bool] = False

    messages: Annotated[int, Meta(ge=1, description="how many")] = 1

    @property
    @abstractmethod
    def tag(self) -> str:
        """Return the tag of the messages."""

    def sites(self, scene: Scene, target: str) -> tuple[Site, ...]:
        """Return the node."""
        return (actor(scene, target, "node"),)

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Let the node overlook them."""
        cell, random = active.scene.cell(sites[0]), active.random(sites[0])

        def overlook(_message: Message) -> bool:
            if active.fired >= self.messages or not active.strikes(random):
                return False
            active.met()
            return True

        cell.overlook(active.order, message_types()[self.tag], overlook)
        return lambda: cell.overlook(active.order, None)


class PartialInstallation(Overlooks, frozen=True, tag="partial-installation"):
    """A node on the path of a circuit overlooks a message of its set-up, so that only some nodes know of it."""

    seen = "the head-end waits for the answer in vain, gives up, and asks anew"
    message: Annotated[Literal["reserve", "confirm"], Meta(description="which message is overlooked")] = "confirm"

    @property
    def tag(self) -> str:
        """Return the tag of the messages."""
        return self.message


class LostComplete(Overlooks, frozen=True, tag="lost-complete"):
    """A node overlooks the end of a request (COMPLETE), and so do the nodes behind it."""

    seen = "links go on making pairs that nobody asked for, until the circuit is given back"

    @property
    def tag(self) -> str:
        """Return the tag of the messages."""
        return "complete"


class Overload(Fault, frozen=True, tag="overload"):
    """An end node asks for many circuits at once, besides its demands; each is given back when it has had its pairs."""

    takes = "two end nodes `a>b`"
    example = "berlin-1>frankfurt-1"
    survives = "controller"
    seen = "demands wait longer or are refused; those that were promised a rate keep it"
    at_once = True

    circuits: Annotated[int, Meta(ge=1, le=10_000, description="how many")] = 20
    pairs: Annotated[int, Meta(ge=1, description="of each")] = 1

    def sites(self, scene: Scene, target: str) -> tuple[Site, ...]:
        """Return both end nodes."""
        a, arrow, b = target.partition(">")
        if not arrow:
            raise FaultError("target", f"{target!r} is no pair of end nodes; write it like {self.example!r}")
        ends = (actor(scene, a, "node"), actor(scene, b, "node"))
        for end in ends:
            if not isinstance(scene.cell(end).actor, Demanding):
                raise FaultError("target", f"{end!r} is no end node")
        head = scene.cell(a).actor
        if a == b or not (isinstance(head, Demanding) and head.can_reach(b)):
            raise FaultError("target", f"there is no path from {a!r} to {b!r}")
        return ends

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Ask."""
        head = active.scene.cell(sites[0])
        if head.alive and isinstance(head.actor, Demanding):
            head.actor.demand(sites[1], self.circuits, self.pairs)
            active.fired += self.circuits
        return lambda: None
