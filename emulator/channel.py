"""One direction between two actors: a message arrives when the light in its fibre has, and not before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

import msgspec

from .envelope import Envelope
from .time import Timeline

_ENCODER: Final = msgspec.msgpack.Encoder()  # makes the same bytes as `encode`, five times faster


class ChannelFault(Protocol):
    """Something that interferes with a channel: drops, delays, duplicates, alters.

    What it alters must keep all else of its envelope (`msgspec.structs.replace`), or the transport loses track.
    """

    def deliveries(self, envelope: Envelope, arrival_ns: int) -> Iterable[tuple[Envelope, int]]:
        """Return what arrives, and when, instead of this envelope at this time."""


class Channel:
    """Delivers envelopes in order, each after serialisation + `latency_ns` + `processing_ns`.

    Serialisation takes 8 x bytes / `bit_rate_per_s` (absent: no time), one message after the other.

    At most `capacity` envelopes are under way; one more is refused (`send` returns False) and counted in `refused`.
    Faults in `faults` act in the order of the list.
    """

    __slots__ = (
        "_bit_rate_per_s", "_delay_ns", "_deliver", "_timeline",
        "busy_until_ns", "capacity", "faults", "latency_ns", "rank", "refused", "under_way",
    )  # fmt: skip

    def __init__(
        self,
        timeline: Timeline,
        deliver: Callable[[Envelope], None],
        *,
        latency_ns: int,
        processing_ns: int = 0,
        bit_rate_per_s: float | None = None,
        capacity: int = 10_000,
        rank: int = 0,
    ) -> None:
        if latency_ns < 1:
            raise ValueError(f"latency_ns = {latency_ns} must be at least 1: nothing is instantaneous")
        if processing_ns < 0:
            raise ValueError(f"processing_ns = {processing_ns} must not be negative: nothing outruns light")
        if bit_rate_per_s is not None and not bit_rate_per_s > 0:
            raise ValueError(f"bit_rate_per_s = {bit_rate_per_s} must be greater than 0")
        self._timeline = timeline
        self._deliver = deliver
        self._bit_rate_per_s = bit_rate_per_s
        self._delay_ns = latency_ns + processing_ns
        self.rank = rank
        self.busy_until_ns = 0
        self.latency_ns = latency_ns
        self.capacity = capacity
        self.faults: list[ChannelFault] = []
        self.under_way = self.refused = 0

    def send(self, envelope: Envelope) -> bool:
        """Put an envelope on its way; return False if the queue is full and it was refused.

        Raises TypeError if the message holds something that is no value, such as a qubit.
        """
        data = _ENCODER.encode(envelope.message)
        if self.under_way >= self.capacity:
            self.refused += 1
            return False
        now_ns = departure_ns = self._timeline.now_ns  # later than `sent_ns` if this is a repetition
        if self._bit_rate_per_s is not None:
            serialisation_ns = -int(-8e9 * len(data) // self._bit_rate_per_s)
            departure_ns = self.busy_until_ns = max(departure_ns, self.busy_until_ns) + serialisation_ns
        arrival_ns = departure_ns + self._delay_ns
        if not self.faults:
            self.under_way += 1
            self._timeline.at(arrival_ns, self._arrive, envelope, rank=self.rank)
            return True
        arrivals: list[tuple[Envelope, int]] = [(envelope, arrival_ns)]
        for fault in self.faults:
            arrivals = [late for early in arrivals for late in fault.deliveries(*early)]
        for late, time_ns in arrivals:
            if time_ns < now_ns + self.latency_ns:
                raise ValueError(f"a fault delivers at {time_ns} ns what left at {now_ns} ns: too fast")
            self._schedule(late, time_ns)
        return True

    def release(self, envelope: Envelope) -> None:
        """Let an envelope go now that a fault has held back; it still takes the time of the light."""
        self._schedule(envelope, self._timeline.now_ns + self._delay_ns)

    def _schedule(self, envelope: Envelope, arrival_ns: int) -> None:
        self.under_way += 1
        self._timeline.at(arrival_ns, self._arrive, envelope, rank=self.rank)

    def _arrive(self, envelope: Envelope) -> None:
        self.under_way -= 1
        self._deliver(envelope)
