"""How promises were kept: what the controller granted, for how long, and what came of it. No actor sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from emulator import History, Record

from .monitor import Monitor


@dataclass(slots=True)
class Account:
    """One demand: what it was promised or why not, and since when its circuit is there."""

    a: str
    b: str
    rate_hz: float = 0.0
    fidelity: float = 0.0
    granted: bool = False
    code: str = ""
    reason: str = ""
    since_ns: int | None = None
    until_ns: int | None = None
    before: int = 0  # pairs that its ends had had when it began
    delivered: int | None = None


@dataclass(slots=True)
class Promises:
    """Watches the records of demands."""

    monitor: Monitor
    accounts: dict[str, Account] = field(default_factory=dict)

    def watch(self, history: History) -> None:
        """Begin to watch."""
        for kind, fn in (
            ("granted", self._granted),
            ("denied", self._denied),
            ("active", self._active),
            ("closing", self._closing),
        ):
            history.observe(kind, fn)

    def as_json(self, now_ns: int) -> list[dict[str, Any]]:
        """Return a line for each demand that was answered."""
        return [self._line(account, now_ns) for account in self.accounts.values()]

    def _line(self, account: Account, now_ns: int) -> dict[str, Any]:
        statistics = self.monitor.routes.get((account.a, account.b))
        line: dict[str, Any] = {"a": account.a, "b": account.b, "admitted": account.granted}
        if not account.granted:
            return line | {"code": account.code, "reason": account.reason}
        count = statistics.delivered - account.before if statistics else 0
        delivered = count if account.delivered is None else account.delivered
        until_ns = now_ns if account.until_ns is None else account.until_ns
        seconds = 0.0 if account.since_ns is None else (until_ns - account.since_ns) / 1e9
        return line | {
            "promised_rate_hz": account.rate_hz,
            "rate_hz": delivered / seconds if seconds > 0 else 0.0,
            "promised_fidelity": account.fidelity,
            "fidelity_mean": statistics.fidelity_mean if statistics else None,
            "fidelity_sem": statistics.fidelity_sem if statistics else None,
            "seconds": seconds,
        }

    def _granted(self, record: Record) -> None:
        demand, path, rate_hz, fidelity = record.fields
        self.accounts[demand] = Account(path[0], path[-1], rate_hz, fidelity, granted=True)

    def _denied(self, record: Record) -> None:
        demand, to, code, reason = record.fields
        self.accounts[demand] = Account(record.actor, to, code=code, reason=reason)

    def _active(self, record: Record) -> None:
        account = self.accounts.get(record.fields[0])
        if account is not None:
            account.since_ns = record.time_ns
            statistics = self.monitor.routes.get((account.a, account.b))
            account.before = statistics.delivered if statistics else 0

    def _closing(self, record: Record) -> None:
        account = self.accounts.get(record.fields[0])
        if account is not None:
            account.until_ns = record.time_ns
            statistics = self.monitor.routes.get((account.a, account.b))
            account.delivered = (statistics.delivered if statistics else 0) - account.before
