"""A program's end of link requests: what it is told waits here until it asks for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from emulator import Qubit
from emulator.time import Place

from .messages import Code, Err, LinkError, OkKeep, OkMeasure


class LinkRequest:
    """A program's end of a request of its own, or of all the requests that a neighbour makes for a purpose.

    give_back: frees a qubit, unless a crash has done so; held: the qubits that the program holds.
    """

    def __init__(self, give_back: Callable[[Qubit], None], held: set[Qubit], *, own: bool) -> None:
        self._give_back = give_back
        self._held = held
        self._own = own
        self._told: deque[OkKeep | OkMeasure | LinkError] = deque()
        self._void: list[Err] = []
        self._taken: set[Qubit] = set()
        self._place = Place()
        self._queued = False
        self._ending: LinkError | None = None

    async def pair(self) -> OkKeep | OkMeasure:
        """Wait for the next pair.

        Raises LinkError when a request has failed, when pairs that were given before turn out to be void (EXPIRE), and
        when more pairs are awaited than this program has requested (OTHER).
        """
        while not self._told:
            if self._ending is not None:
                raise self._ending
            await self._place.park()
        told = self._told.popleft()
        if isinstance(told, LinkError):
            raise told
        if isinstance(told, OkKeep):
            self._held.add(told.qubit)
            self._taken.add(told.qubit)
        return told

    def is_void(self, ok: OkKeep | OkMeasure) -> bool:
        """Return whether a pair that was given has turned out to be void."""
        return any(_voids(err, ok) for err in self._void)

    async def admitted(self) -> None:
        """Wait until the request is in the queue of both ends. Raises LinkError if that is refused."""
        while not self._queued:
            if self._ending is not None:
                raise self._ending
            await self._place.park()

    async def change(self) -> None:
        """Wait until something is said."""
        await self._place.park()

    def abandon(self) -> int:
        """Give back the qubits that nobody has asked for, and those that the program still holds (return how many)."""
        for told in self._told:
            if isinstance(told, OkKeep):
                self._give_back(told.qubit)
        self._told.clear()
        left = sorted(self._taken & self._held, key=lambda qubit: qubit.id)
        for qubit in left:
            self._held.discard(qubit)
            self._give_back(qubit)
        return len(left)

    # -- what the link layer says ----------------------------------------------------------------------------------

    def queued(self) -> None:
        """Take the news that the request is in the queue of both ends."""
        self._queued = True
        self._place.wake()

    def ok(self, ok: OkKeep | OkMeasure) -> None:
        """Take a pair."""
        self._told.append(ok)
        self._place.wake()

    def done(self) -> None:
        """Take the news that there are no more pairs."""
        if self._own:
            self._ending = LinkError(Err("", 0, Code.OTHER, "all the pairs that were requested have been given"))
        self._place.wake()

    def err(self, err: Err) -> None:
        """Take the news that a request has failed, or that pairs are void: those not yet asked for are never given."""
        error = LinkError(err)
        if err.low < err.high:
            self._void.append(err)
            for told in [t for t in self._told if not isinstance(t, LinkError) and _voids(err, t)]:
                self._told.remove(told)
                if isinstance(told, OkKeep):
                    self._give_back(told.qubit)
        self._told.append(error)
        if self._own:
            self._ending = error
        self._place.wake()

    def settled(self) -> None:
        """Take the news that a request is over at both ends."""
        self._place.wake()


def _voids(err: Err, ok: OkKeep | OkMeasure) -> bool:
    return (ok.origin, ok.create_id) == (err.origin, err.create_id) and err.low <= ok.pair[1] < err.high
