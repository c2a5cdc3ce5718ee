"""The history of one host among several, which others make one of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emulator.records import History, MessageObserver, Observer


class HostHistory(History):
    """The records of one host's share, and of what all hosts write alike, such as faults.

    Nobody observes them here: whoever is omniscient sees those of all hosts, see `Conductor`. `look` is called before
    the record of a pair.
    """

    def __init__(self, look: Callable[[str, tuple[Any, ...]], None]) -> None:
        super().__init__()
        self._look = look

    def observe(self, kind: str, observer: Observer) -> None:
        """Do nothing."""

    def observe_messages(self, message: type, observer: MessageObserver) -> None:
        """Do nothing."""

    def remember(self, records: int) -> None:
        """Do nothing."""

    def add(self, time_ns: int, actor: str, kind: str, fields: tuple[Any, ...]) -> None:
        """Add a record."""
        if kind == "pair":
            self._look(actor, fields)
        super().add(time_ns, actor, kind, fields)
