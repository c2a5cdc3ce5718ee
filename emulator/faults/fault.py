"""What a fault is: a kind, which is a subclass of `Fault` whose fields are its attributes, and what it acts on.

A kind is written like a message: a frozen record with a tag, its name, and a docstring, its description. It joins the
registry as soon as it is imported. `sites` says what a target means, `begin` lets the fault act and returns what ends
it. Families (`OnChannels`, `OnFibre`, ...) do both for their kinds.
"""

from __future__ import annotations

import inspect
import typing
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final, Protocol, TypeAlias

import msgspec

from emulator.actor import Cell
from emulator.channel import Channel
from emulator.randomness import RandomStream
from emulator.records import History
from emulator.time import Timeline

# The value of an attribute.
Attribute: TypeAlias = bool | int | float | str

# Ends what a fault does.
Undo: TypeAlias = Callable[[], None]

# One thing that a fault acts on: a channel, an arm of a station, an actor; in words that name it.
Site: TypeAlias = str

LAYERS: Final = ("transport", "links", "circuits", "controller", "nobody")


class FaultError(ValueError):
    """A fault that cannot be; `part` is what is wrong: kind, target, attributes, start, end, probability or name."""

    def __init__(self, part: str, message: str) -> None:
        super().__init__(message)
        self.part = part


class Scene(Protocol):
    """What faults act on: a network, as they see it."""

    seed: int
    timeline: Timeline
    history: History
    ticks: int  # events that are none of the world

    @property
    def names(self) -> list[str]:
        """Return the names of all actors, sorted."""

    def cell(self, name: str) -> Cell:
        """Return where an actor lives."""

    def channel(self, source: str, sink: str) -> Channel:
        """Return one direction between two actors."""

    def take_down(self, name: str) -> bool:
        """Crash an actor that stays down until `revive`; return whether it was up."""

    def revive(self, name: str) -> None:
        """Let an actor begin a new life that was taken down."""

    def is_here(self, name: str) -> bool:
        """Return whether an actor runs on this host."""


class Active:
    """A fault that acts: what its kind needs of its surroundings.

    order: its place in the schedule, by which faults on one target compose; fired: how often it met something.
    """

    def __init__(self, name: str, order: int, target: str, probability: float, scene: Scene) -> None:
        self.name = name
        self.order = order
        self.target = target
        self.scene = scene
        self.fired = 0
        self.probability = probability

    def random(self, purpose: str) -> RandomStream:
        """Return a stream of random numbers of this fault's own."""
        return RandomStream(self.scene.seed, f"fault {self.name}", purpose)

    def met(self) -> None:
        """Count that it has met something."""
        self.fired += 1

    def strikes(self, random: RandomStream) -> bool:
        """Return whether it acts on what it meets, by its probability."""
        return self.probability >= 1 or random.uniform() < self.probability

    def happens(self) -> bool:
        """Return whether it acts at all, by its probability: for faults that are a state, not a series of events."""
        return self.strikes(self.random("happens"))


class KindMeta(msgspec.StructMeta, ABCMeta):
    """Of kinds: records that may have abstract methods."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, metaclass=KindMeta):
    """Base of all kinds of faults.

    takes: the targets, in words; example: one; survives: which layer is to cope with it; seen: what a user sees of it;
    at_once: it happens at its start, and has no end; is_state: its probability says whether it happens at all, not how
    often it acts on what it meets; rival: two faults with the same one contradict each other if they
    act on the same site at one time ("": they compose).
    """

    takes: ClassVar[str] = ""
    example: ClassVar[str] = ""
    survives: ClassVar[str] = ""
    seen: ClassVar[str] = ""
    at_once: ClassVar[bool] = False
    is_state: ClassVar[bool] = True
    rival: ClassVar[str] = ""

    @abstractmethod
    def sites(self, scene: Scene, target: str) -> tuple[Site, ...]:
        """Return what a target means; raises FaultError if there is no such target, or it cannot have this fault."""

    def share(self, sites: tuple[Site, ...], is_here: Callable[[str], bool]) -> tuple[Site, ...]:
        """Return on which of its sites it acts here, if the network runs on several hosts, each of which has it."""
        return sites if is_here(sites[0]) else ()

    @property
    def lasts_ns(self) -> int | None:
        """Return how long it lasts if nobody says when it ends; None: to the end of the run."""
        return None

    @abstractmethod
    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Let the fault act on its sites; return what ends that."""


def name_of(kind: type[Fault]) -> str:
    """Return the name of a kind."""
    return str(kind.__struct_config__.tag)


def kinds() -> dict[str, type[Fault]]:
    """Return every kind of fault that has been imported, by name.

    Raises TypeError if two share one, or if one lacks a method.
    """
    found: dict[str, type[Fault]] = {}
    pending: list[type[Fault]] = list(Fault.__subclasses__())
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        name = kind.__struct_config__.tag
        if name is not None and inspect.isabstract(kind):
            lacking = ", ".join(sorted(kind.__abstractmethods__))
            raise TypeError(f"{kind.__qualname__}, the kind of fault {name!r}, does not say its {lacking}")
        if name is not None and found.setdefault(str(name), kind) is not kind:
            raise TypeError(f"{kind.__qualname__} and {found[str(name)].__qualname__} share the name {name!r}")
    return dict(sorted(found.items()))


class AttributeDescription(typing.NamedTuple):
    """An attribute of a kind: its name, type and limits in words, default, and meaning."""

    name: str
    values: str
    default: Attribute
    meaning: str


def describe(kind: type[Fault]) -> str:
    """Return the description of a kind, in one line."""
    return " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())


def attributes(kind: type[Fault]) -> Iterator[AttributeDescription]:
    """Yield the attributes of a kind."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        annotation = hints[field.name]
        limits = [note for note in getattr(annotation, "__metadata__", ()) if isinstance(note, msgspec.Meta)]
        meaning = next((note.description for note in limits if note.description), "")
        yield AttributeDescription(field.name, _values(annotation, limits), field.default, meaning)


def _values(annotation: Any, limits: list[msgspec.Meta]) -> str:
    plain = typing.get_args(annotation)[0] if limits else annotation
    if typing.get_origin(plain) is typing.Literal:
        return ", ".join(f'"{value}"' for value in typing.get_args(plain))
    words = [{bool: "true or false", int: "whole number", float: "number", str: "text"}[plain]]
    for limit in limits:
        for value, text in ((limit.ge, ">="), (limit.gt, ">"), (limit.le, "<="), (limit.lt, "<")):
            if value is not None:
                words.append(f"{text} {value:g}")
    return ", ".join(words)


def make(kind: str, given: dict[str, Attribute]) -> Fault:
    """Return a fault with some attributes; raises FaultError that says what would be right."""
    known = kinds()
    if kind not in known:
        raise FaultError("kind", f"there is no kind of fault {kind!r}{nearest(kind, known)}")
    cls = known[kind]
    names = [attribute.name for attribute in attributes(cls)]
    for name in given:
        if name not in names:
            hint = nearest(name, names) if names else "; it has no attributes"
            raise FaultError("attributes", f"{kind} has no attribute {name!r}{hint}")
    try:
        return msgspec.convert({"type": kind, **given}, cls)
    except msgspec.ValidationError as error:
        raise FaultError("attributes", _plainly(cls, str(error))) from None


def _plainly(kind: type[Fault], error: str) -> str:
    """Return an error of msgspec in our words."""
    what, _, place = error.partition(" - at `$.")
    name = place.rstrip("`")
    found = next((attribute for attribute in attributes(kind) if attribute.name == name), None)
    return error if found is None else f"{name} must be: {found.values}; {what[0].lower()}{what[1:]}"


def nearest(name: str, known: typing.Collection[str]) -> str:
    """Return what somebody may have meant, as the end of an error message."""
    import difflib  # noqa: PLC0415  (only for an error message)

    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(list(known)[:40]) or 'none'}"
