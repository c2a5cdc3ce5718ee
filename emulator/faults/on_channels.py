"""Faults of classical channels: each envelope passes through a filter, and other envelopes may come of it, or none."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar, Final, TypeAlias

from msgspec import Meta

from emulator.channel import Channel
from emulator.envelope import Envelope

from .fault import Active, Fault, Scene, Site, Undo
from .targets import channels

# An envelope, and when it arrives, in ns.
Arrival: TypeAlias = tuple[Envelope, int]

# What arrives in place of an envelope at a time.
Filter: TypeAlias = Callable[[Envelope, int], Iterable[Arrival]]

# How the share of what a fault acts on is given; netem and Jepsen do so too.
Percent: TypeAlias = Annotated[float, Meta(ge=0, le=100, description="of the messages, each drawn by itself")]

MS: Final = 1e6


class Spot:
    """One channel with a fault in it: its random numbers, and what is to be done when the fault ends."""

    def __init__(self, active: Active, channel: Channel, site: Site) -> None:
        self.channel = channel
        self.random = active.random(site)
        self.order = active.order
        self.at_end: list[Undo] = []
        self._active = active

    def uniform(self) -> float:
        """Return a number in [0, 1)."""
        return self.random.uniform()

    def chance(self, percent: float) -> bool:
        """Return true in so many of 100 cases."""
        return self.uniform() * 100 < percent

    def put(self, fn: Filter) -> None:
        """Put a filter into the channel, after those of faults that are earlier in the schedule."""
        filters: list[Any] = self.channel.faults
        place = sum(getattr(other, "order", -1) < self.order for other in filters)
        found = _InChannel(self, self._active, fn)
        filters.insert(place, found)
        self.at_end.insert(0, lambda: filters.remove(found))


class _InChannel:
    def __init__(self, spot: Spot, active: Active, fn: Filter) -> None:
        self.order = spot.order
        self._spot, self._active, self._fn = spot, active, fn

    def deliveries(self, envelope: Envelope, arrival_ns: int) -> Iterable[Arrival]:
        """Return what arrives in place of an envelope."""
        untouched = [(envelope, arrival_ns)]
        if not self._active.strikes(self._spot.random):
            return untouched
        arrivals = list(self._fn(envelope, arrival_ns))
        if arrivals != untouched:
            self._active.met()
        return arrivals


class OnChannels(Fault, frozen=True):
    """Base of the faults of channels; `filter` says what becomes of the envelopes in one of them."""

    takes: ClassVar[str] = "channels: `a>b`, `a-b` (both ways), sets `a,b>c,*` and `a,b|c`"
    example: ClassVar[str] = "berlin>schaepe"
    survives: ClassVar[str] = "transport"
    seen: ClassVar[str] = "messages are late"
    is_state: ClassVar[bool] = False

    @abstractmethod
    def filter(self, spot: Spot) -> Filter:
        """Return what becomes of the envelopes in one channel while the fault lasts."""

    def sites(self, scene: Scene, target: str) -> tuple[Site, ...]:
        """Return the channels."""
        return tuple(f"{a}>{b}" for a, b in channels(scene, target))

    def share(self, sites: tuple[Site, ...], is_here: Callable[[str], bool]) -> tuple[Site, ...]:
        """Return the channels whose senders are here."""
        return tuple(site for site in sites if is_here(site.partition(">")[0]))

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Put a filter into each channel."""
        spots = []
        for site in sites:
            source, _, sink = site.partition(">")
            spot = Spot(active, active.scene.channel(source, sink), site)
            spot.put(self.filter(spot))
            spots.append(spot)

        def undo() -> None:
            for spot in spots:
                for fn in spot.at_end:
                    fn()

        return undo
