"""Cut fibres."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta

from .conditions import Conditions
from .fault import Active, Scene, Site, Undo
from .on_channels import Spot
from .on_fibre import OnFibre

_DARK = Conditions(dark=True)


class Cut(OnFibre, frozen=True, tag="cut"):
    """A fibre is cut: no photons come through it, and if wanted no messages either.

    The station sees that no light comes at all, and announces nothing: dark counts make no pairs.
    """

    survives = "circuits"
    seen = "no pairs; circuits over it are reported as stalled when thirty should have come, and go on after the splice"
    rival = "cut"

    classical: Annotated[bool, Meta(description="whether the messages in that cable are lost too")] = False

    def conditions(self, active: Active, elapsed_s: float, arms: int) -> Conditions:
        """Let no light through."""
        return _DARK

    def share(self, sites: tuple[Site, ...], is_here: Callable[[str], bool]) -> tuple[Site, ...]:
        """Return all: who is at either end of what runs in the cable may be anywhere."""
        return sites

    def begin(self, active: Active, sites: tuple[Site, ...]) -> Undo:
        """Cut the fibre."""
        splice = super().begin(active, super().share(sites, active.scene.is_here))
        spots = [_silence(active, *pair) for pair in _cable(active.scene, sites)] if self.classical else []

        def undo() -> None:
            splice()
            for spot in spots:
                for fn in spot.at_end:
                    fn()

        return undo


def _cable(scene: Scene, sites: tuple[Site, ...]) -> list[tuple[str, str]]:
    """Return the channels in a cable: between the nodes and the station, and those of the nodes to each other."""
    nodes = [site.split("<")[1] for site in sites]
    if len(nodes) == 1:  # an arm of a switch: everything that the node has there runs in that cable
        return [
            pair for other in sorted(scene.cell(nodes[0]).channels) for pair in ((nodes[0], other), (other, nodes[0]))
        ]
    station = sites[0].split("<")[0]
    a, b = nodes
    return [(a, b), (b, a), (a, station), (station, a), (b, station), (station, b)]


def _silence(active: Active, source: str, sink: str) -> Spot:
    spot = Spot(active, active.scene.channel(source, sink), f"{source}>{sink}")
    spot.put(lambda _envelope, _arrival_ns: [])
    return spot
