"""What this host knows of the clocks of others, and they of its own. Sans-io.

Theory of operation. A host's *position* is a moment (an instant and a rank) before which it does nothing any more. What
it sends takes the light's time to the other host, the *lookahead*. So a host may go up to its *horizon*: for the
least of its peers, the position heard plus the lookahead from there, minus 1 ns.

Positions are told when somebody waits for them: who cannot go on asks for the moment that it needs (a `want`), and is
answered as soon as the position has come there, and with whatever is new each time the other cannot go on itself.
So two hosts that both wait for each other always come closer, by a lookahead with each frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from emulator.time import END_NS

from .frames import Moment

LEAST_RANK: Final = -(1 << 62)
START: Final[Moment] = (0, LEAST_RANK)
_NEVER: Final[Moment] = (END_NS, 0)


class Clocks:
    """lookahead_ns: from each peer to here, by the peer's name; None where no channel leads from there to here."""

    def __init__(self, lookahead_ns: Mapping[str, int | None]) -> None:
        self._lookahead_ns = dict(lookahead_ns)
        self.heard: dict[str, Moment] = dict.fromkeys(lookahead_ns, START)
        self._told: dict[str, Moment] = dict.fromkeys(lookahead_ns, START)
        self._asked: dict[str, Moment] = {}  # what peers wait for
        self._wanted: dict[str, Moment] = {}  # what this host waits for, as they have been told

    @property
    def horizon_ns(self) -> int:
        """Return the last instant that may happen here."""
        bounds = (self.heard[p][0] + least - 1 for p, least in self._lookahead_ns.items() if least is not None)
        return min(bounds, default=END_NS)

    @property
    def milestone(self) -> Moment | None:
        """Return the first moment that a peer waits for."""
        return min(self._asked.values(), default=None)

    @property
    def awaited(self) -> list[str]:
        """Return the peers who have not come to the moment that this host has asked them for."""
        return [peer for peer, moment in self._wanted.items() if self.heard[peer] < moment]

    @property
    def told_ns(self) -> int:
        """Return the latest instant that a peer has been told as a position."""
        return max((position[0] for position in self._told.values()), default=0)

    def hear(self, peer: str, position: Moment, want: Moment | None) -> None:
        """Take a peer's position, and what it wants. Raises ValueError if it takes back what it has promised."""
        if position < self.heard[peer]:
            raise ValueError(f"its clock went back from {self.heard[peer][0]} ns to {position[0]} ns")
        self.heard[peer] = position
        if want is None:
            self._asked.pop(peer, None)
        else:
            self._asked[peer] = want

    def give_up(self, peer: str) -> None:
        """Count on a peer no more: nothing comes from it, and nobody waits there."""
        self.heard[peer] = _NEVER
        self._lookahead_ns[peer] = None
        for known in (self._told, self._asked, self._wanted):
            known.pop(peer, None)

    def needs(self, due_ns: int) -> dict[str, Moment]:
        """Return what must be heard of whom before an instant may happen here."""
        return {
            peer: (due_ns - least + 1, LEAST_RANK)
            for peer, least in self._lookahead_ns.items()
            if least is not None and self.heard[peer][0] + least - 1 < due_ns
        }

    def tell(
        self, position: Moment, wants: Mapping[str, Moment], *, stuck: bool
    ) -> dict[str, tuple[Moment, Moment | None]]:
        """Return whom to tell the position, and what to ask them for.

        stuck: this host cannot go on without them, so that all who wait are told what is new.
        """
        frames: dict[str, tuple[Moment, Moment | None]] = {}
        for peer, told in self._told.items():
            want, asked = wants.get(peer), self._asked.get(peer)
            news = position > told and asked is not None and (stuck or position >= asked)
            if news or (want is not None and want != self._wanted.get(peer)):
                frames[peer] = position, want
                self._told[peer] = position
                if want is None:
                    self._wanted.pop(peer, None)
                else:
                    self._wanted[peer] = want
            if asked is not None and position >= asked:
                del self._asked[peer]
        return frames
