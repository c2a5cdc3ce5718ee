"""The analysers behind an optical switch: who has one, for whom they are set, which are out of order. Sans-io.

Who is next is decided in `analysers`. The time is an argument, and nobody is told anything here but the faults that met
something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emulator import MS

from .analysers import AnalyserQueue
from .arms import Arm, Crossing
from .disturbed import Met
from .sessions import Match


@dataclass(frozen=True, slots=True)
class Switch:
    """A bounded number of analysers: how many, how long switching one takes, and how long it serves while others wait.

    at: the node beside which it is, if it is beside one that has an arm. An optical switch of micro-mirrors needs some
    milliseconds.
    """

    analysers: int
    dead_ns: int = MS
    slot_ns: int = 50 * MS
    at: str = ""

    def service_ns(self, attempt_ns: int) -> int:
        """Return how long a match is served while others wait: a slot, or one attempt at least."""
        return max(self.slot_ns, attempt_ns)

    def longest_ns(self, arms: Sequence[Arm]) -> int:
        """Return how long the match of any two arms may have an analyser while others wait: switching, and service."""
        farthest_ns = max(arm.latency_ns for arm in arms)
        ways = 4 if any(arm.receives for arm in arms) else 2  # at most, see `light_ns`
        attempt_ns = max(arm.preparation_ns for arm in arms) + ways * farthest_ns
        return self.dead_ns + self.service_ns(attempt_ns)


class Analysers:
    """The analysers of one switch, and the matches that have one or wait for one."""

    def __init__(self, switch: Switch, arms: Sequence[Arm]) -> None:
        self.switch = switch
        self.stuck: Met | None = None  # the switch does not move, though it says so; whom to tell when it should have
        self._longest_ns = switch.longest_ns(arms)
        self._outages: dict[int, tuple[int, Met]] = {}
        self._out_of_order = 0  # analysers that are to be so
        self.lose()

    def lose(self) -> None:
        """Forget all matches; what is out of order stays so."""
        self._queue = AnalyserQueue[Match](self._longest_ns)
        self._taken_out = self._out_of_order  # those that are out of order
        self._idle: list[Crossing | None] = [None] * (self.switch.analysers - self._taken_out)
        self._overstaying: dict[Match, None] = {}  # served for more than a slot, since nobody waited

    @property
    def waiting(self) -> int:
        """Return how many matches wait."""
        return len(self._queue)

    # -- waiting, and being served ---------------------------------------------------------------------------------

    def wait(self, match: Match, now_ns: int) -> None:
        """Let a match wait."""
        self._queue.enter(match, match.label, match.share, now_ns)

    def leave(self, match: Match, now_ns: int) -> None:
        """Let a match wait no more."""
        self._queue.leave(match, now_ns)

    def grant(self, now_ns: int) -> tuple[Match, int] | None:
        """Return who gets an idle analyser, one that is set for them if there is any, and how long switching takes."""
        match = self._queue.next(now_ns) if self._idle else None
        if match is None:
            return None
        set_already = match.crossing in self._idle
        setting = match.crossing if set_already else self._idle[0]
        self._idle.remove(setting)
        match.setting = setting if self.stuck is not None else match.crossing
        match.granted_ns = now_ns
        return match, 0 if set_already else self.switch.dead_ns

    def overstay(self, match: Match) -> None:
        """Let a match keep its analyser beyond its slot, until somebody wants it."""
        self._overstaying[match] = None

    def overstayed(self) -> Match | None:
        """Return who is to give an analyser up to somebody who waits; None: some are idle, or nobody has overstayed."""
        return None if self._idle else next(iter(self._overstaying), None)

    def release(self, match: Match, now_ns: int) -> None:
        """Take back the analyser of a match; if one too few is out of order, this is it."""
        if self.are_to_fail:
            self._taken_out += 1
        else:
            self._idle.append(match.setting)
        served_ns = now_ns - match.granted_ns
        if match in self._overstaying:  # beyond its slot it had what nobody else wanted
            del self._overstaying[match]
            served_ns = min(served_ns, self._most_ns(match))
        self._queue.served(match, match.label, match.share, served_ns, now_ns)

    def left_ns(self, match: Match, now_ns: int) -> int | None:
        """Return what is left of the slot of a match; None: it has overstayed."""
        if match in self._overstaying:
            return None
        return max(1, match.granted_ns + self._most_ns(match) - now_ns)

    def _most_ns(self, match: Match) -> int:
        return self.switch.dead_ns + self.switch.service_ns(match.link.period_ns)

    # -- what faults do --------------------------------------------------------------------------------------------

    def joins(self, match: Match) -> bool:
        """Return whether the analyser of a match joins whom it should; tell whoever made the switch stick if not."""
        if self.stuck is None or match.setting == match.crossing:
            return True
        self.stuck()
        return False

    @property
    def are_to_fail(self) -> bool:
        """Return whether fewer are out of order than are to be."""
        return self._taken_out < self._out_of_order

    def take_out(self, key: int, number: int, met: Met) -> None:
        """Take analysers out of order, as far as they are idle; 0: none any more."""
        self._outages.pop(key, None)
        if number:
            self._outages[key] = number, met
        self._out_of_order = min(self.switch.analysers, sum(count for count, _ in self._outages.values()))
        while self.are_to_fail and self._idle:
            self._idle.pop()
            self._taken_out += 1

    def bring_back(self) -> bool:
        """Bring one back that is not to be out of order any more; return whether there was one."""
        if self._taken_out <= self._out_of_order:
            return False
        self._taken_out -= 1
        self._idle.append(None)
        return True

    def tell_of_lack(self) -> None:
        """Tell whoever took analysers out of order that somebody lacks one, if none is idle."""
        for _, met in self._outages.values() if not self._idle else ():
            met()
