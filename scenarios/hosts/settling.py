"""When it is over: nothing goes on at any host, and nothing is under way between them. Sans-io.

Theory of operation. A host that is quiet says how many messages it has sent to others and received from them. If all
are quiet and the sums agree, all are asked again, in a further *wave*. If all are still quiet then with the same
counts, nothing was under way in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from emulator.wire.frames import Quiet, Settle
from emulator.wire.framing import Frame


class Settling:
    """What hosts have said of that. `say` tells all of them something."""

    def __init__(self, hosts: Iterable[str], say: Callable[[Frame], None]) -> None:
        self._told: dict[str, Quiet | None] = dict.fromkeys(hosts)
        self._before: dict[str, Quiet | None] = {}
        self._wave = 0
        self._say = say

    def hear(self, host: str, told: Quiet) -> None:
        """Hear that a host is quiet."""
        self._told[host] = told

    def give_up(self, host: str) -> None:
        """Wait for a host no more; what others have said of messages to and from it does not count."""
        del self._told[host]
        self._ask_again({})

    def is_over(self) -> bool:
        """Return whether it is over; ask again if it may be."""
        known = [told for told in self._told.values() if told is not None and told.wave == self._wave]
        if len(known) < len(self._told) or sum(t.sent for t in known) != sum(t.received for t in known):
            return False
        if self._wave and self._told == self._before:
            return True
        again = [msgspec.structs.replace(told, wave=self._wave + 1) for told in known]
        self._ask_again(dict(zip(self._told, again, strict=True)))
        return False

    def _ask_again(self, before: dict[str, Quiet | None]) -> None:
        self._wave += 1
        self._before = before
        self._say(Settle(self._wave))
