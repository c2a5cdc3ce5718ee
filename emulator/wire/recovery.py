"""How hosts find out which states were lost with a host that they give up. Sans-io.

Theory of operation. States and news of them were under way to and from the lost host, so that nobody knows any more
where everything is. The hosts that are left take stock in a round, which ends when all of them have come to the end:

1. Who gives up a host takes nothing of it from then on, keeps its states and requests to itself, and says so to all.
2. Who has heard that of all others has got every state that was ever sent to it, since frames come in order. So each
   state that is left is at one host now. It tells all others which of their qubits it has, and forgets all requests.
3. Who has heard that of all others knows where its qubits are, and which are lost. It goes on, and asks anew.

All hosts give up hosts in one order, so a round is known by how many were given up. When another host is lost during a
round, the next one begins at once, and takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable

from .frames import Held
from .framing import WireError


class Recovery:
    """The rounds of one host, with some others."""

    def __init__(self, others: Iterable[str]) -> None:
        self.gone: set[str] = set()
        self.is_over = True
        self._is_stock_taken = True
        self._rounds = dict.fromkeys(sorted(others), 0)  # how many hosts each has given up
        self._news: dict[str, Held] = {}
        self._awaited: set[str] = set()  # who has not told what it has

    @property
    def round(self) -> int:
        """Return how many hosts were given up."""
        return len(self.gone)

    @property
    def others(self) -> list[str]:
        """Return the other hosts that are left."""
        return list(self._rounds)

    def begin(self, lost: str) -> None:
        """Begin a round, without a host."""
        del self._rounds[lost]
        self.gone.add(lost)
        self.is_over = self._is_stock_taken = False
        self._news.clear()
        self._awaited = set(self._rounds)

    def hear(self, host: str, hosts: int) -> None:
        """Hear that another host has given up so many. Raises WireError if that cannot be."""
        if not self._rounds[host] < hosts < self.round + len(self._rounds):
            raise WireError(f"it says that it has given up {hosts} hosts, which cannot be")
        self._rounds[host] = hosts

    def hear_held(self, host: str, frame: Held) -> None:
        """Hear what another host has. Raises WireError if it is not its turn to say that."""
        if frame.hosts > min(self.round, self._rounds[host]):
            raise WireError(f"it tells what it has after {frame.hosts} hosts were given up, which is not for now")
        if frame.hosts == self.round:
            self._news[host] = frame

    def take_stock(self) -> bool:
        """Return whether it is time to take stock: once in each round."""
        if self._is_stock_taken or any(hosts < self.round for hosts in self._rounds.values()):
            return False
        self._is_stock_taken = True
        return True

    def news(self) -> list[tuple[str, Held]]:
        """Return what others have told of what they have, once this host has taken stock; each once."""
        if not self._is_stock_taken:
            return []
        news, self._news = self._news, {}
        self._awaited -= news.keys()
        return list(news.items())

    def end(self) -> bool:
        """End the round if it is time to; return whether it has ended now."""
        if self.is_over or not self._is_stock_taken or self._awaited:
            return False
        self.is_over = True
        return True
