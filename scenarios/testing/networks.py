"""Bare networks of actors of one's own, whose runs a test looks at."""

from __future__ import annotations

from emulator import Network, Outcome, Record, S
from scenarios.invariants import INJECTED, Violation


class CheckedNetwork(Network):
    """A network in virtual time that remembers how its run ended. `outcome`: None as long as it has not.

    Violations are actors that ended by an error and not by a fault, though they began again: one that does not begin
    again ends the run by ActorCrashError anyway.

    >>> network = CheckedNetwork(seed=1)
    >>> _ = network.run(for_ns=1_000)
    >>> network.outcome.leaks, network.violations
    ({}, [])
    """

    def __init__(self, *, seed: int = 0, keep_history: bool = True) -> None:
        super().__init__(seed=seed, keep_history=keep_history)
        self.outcome: Outcome | None = None
        self.broken: list[Violation] = []
        self.history.observe("crashes", self._on_crash)

    @property
    def violations(self) -> list[str]:
        """Return what went wrong, a line for each."""
        return [str(violation) for violation in self.broken]

    def run(self, *, for_ns: int, drain_ns: int = 30 * S) -> Outcome:
        """Run, as every network does; Ctrl-C ends the tests, and not the run alone."""
        self.outcome = super().run(for_ns=for_ns, drain_ns=drain_ns)
        if self.outcome.interrupted:
            raise KeyboardInterrupt
        return self.outcome

    def _on_crash(self, record: Record) -> None:
        (error,) = record.fields
        if error != INJECTED:
            text = f"{record.actor} ended by {error}"
            self.broken.append(Violation("crash", record.time_ns, (record.actor,), text))
