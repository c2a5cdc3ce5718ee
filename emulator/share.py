"""Which part of a network runs here: all of it, or the share of one host among several (`emulator.wire`)."""

from __future__ import annotations

from typing import Protocol

import trio

from .envelope import Envelope
from .quantum import Engine
from .records import History


class Share(Protocol):
    """What a network asks of whoever knows where its actors run. All hosts build all actors; each runs its own."""

    def engine(self) -> Engine:
        """Return the engine for the quantum states."""

    def history(self, *, keep: bool) -> History:
        """Return what takes the records."""

    def is_here(self, actor: str) -> bool:
        """Return whether an actor runs here."""

    def carry(self, source: str, sink: str, arrival_ns: int, envelope: Envelope) -> None:
        """Let an envelope arrive at an actor elsewhere."""

    async def begin(self, nursery: trio.Nursery) -> None:
        """Begin, before anything happens; what goes on as long as the run does, in the nursery."""

    async def enter(self) -> None:
        """Make ready a task in which actors act."""

    async def together(self) -> int | None:
        """Wait until all have begun; return what the wall clock shows, in ns, when time goes on (None: now)."""

    async def end(self) -> None:
        """End, before all that goes on is cancelled."""

    async def settled(self) -> bool:
        """Wait, while nothing goes on here, until nothing goes on anywhere (True), or something does here (False)."""

    async def over(self) -> None:
        """Wait until it is over everywhere, when something still goes on here and its time is over."""


class Whole:
    """All of a network runs here."""

    def engine(self) -> Engine:
        """Return an engine of its own."""
        return Engine()

    def history(self, *, keep: bool) -> History:
        """Return a history of everything."""
        return History(keep=keep)

    def is_here(self, actor: str) -> bool:
        """Return True: there is nowhere else."""
        return True

    def carry(self, source: str, sink: str, arrival_ns: int, envelope: Envelope) -> None:
        """Not be asked: nobody is elsewhere."""
        raise AssertionError(f"{sink} is nowhere else")

    async def begin(self, nursery: trio.Nursery) -> None:
        """Wait for nobody."""

    async def enter(self) -> None:
        """Need nothing."""

    async def together(self) -> int | None:
        """Wait for nobody."""
        return None

    async def end(self) -> None:
        """Leave nothing undone."""

    async def settled(self) -> bool:
        """Return True: if nothing goes on here, nothing goes on."""
        return True

    async def over(self) -> None:
        """Return: it is over here."""
