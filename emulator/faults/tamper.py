"""Messages that somebody alters on their way."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from emulator.envelope import Envelope

from .on_channels import Arrival, Filter, OnChannels, Percent, Spot

# What is altered: the tag of the message, and the field.
_FIELDS: Final[dict[str, tuple[str, str]]] = {
    "contrasts at begin": ("link-begin", "contrasts"),
    "contrasts of track": ("track", "contrasts"),
    "emission of track": ("track", "emitted_ns"),
}


class Tamper(OnChannels, frozen=True, tag="tamper"):
    """Numbers in messages are altered; nothing is authenticated yet, so nobody notices.

    What can be altered is what estimates are made of: fidelities that nodes believe in become wrong. Which pair it is,
    its Bell state, and who gets it cannot be altered here, since the stack would believe that too.
    """

    survives = "nobody"
    seen = "fidelities that programs are told are wrong; true ones, and Bell states, are not touched"
    percent: Percent = 100.0
    what: Annotated[
        Literal["contrasts at begin", "contrasts of track", "emission of track"], Meta(description="what is altered")
    ] = "contrasts of track"
    factor: Annotated[float, Meta(ge=0, le=1, description="by which the numbers are multiplied")] = 0.5

    def filter(self, spot: Spot) -> Filter:
        """Alter some."""
        tag, field = _FIELDS[self.what]

        def alter(envelope: Envelope, arrival_ns: int) -> list[Arrival]:
            message = envelope.message
            if message.__struct_config__.tag != tag or not spot.chance(self.percent):
                return [(envelope, arrival_ns)]
            altered: Any = {field: _times(getattr(message, field), self.factor)}
            message = msgspec.structs.replace(message, **altered)
            return [(msgspec.structs.replace(envelope, message=message), arrival_ns)]

        return alter


def _times(value: Any, factor: float) -> Any:
    if isinstance(value, tuple):
        return tuple(_times(part, factor) for part in value)
    return round(value * factor) if isinstance(value, int) else value * factor
