"""What travels along with light from one node to another, through whatever station is between.

The light itself is in the engine, under the sender's name and number, and nobody learns of it but by measuring. What is
said here is public: when the pulses come, and what the fibres have let through.

    sender                 station                 receiver
     | ------ Light ------>  | ------ Light ------>  |    as fast as the light, since it is the light
"""

from __future__ import annotations

from .messages import Message


class Light(Message, frozen=True, tag="light"):
    """Pulses under way: `pulses` of them, one each `period_ps` from `emitted_ns` on; `to`: for whom they are.

    transmission, flight_ns: of the fibres so far.
    """

    sender: str
    number: int
    to: str
    pulses: int
    period_ps: int
    emitted_ns: int
    transmission: float
    flight_ns: int
