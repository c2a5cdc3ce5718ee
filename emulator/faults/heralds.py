"""Stations that announce what is not so."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from emulator.randomness import RandomStream

from .conditions import Conditions
from .fault import Active
from .hooks import Heralds
from .on_fibre import OnFibre
from .on_station import OnHeralds

Percent: TypeAlias = Annotated[float, Meta(ge=0, le=100, description="of the pairs, each drawn by itself")]


class OneSidedHerald(OnHeralds, frozen=True, tag="one-sided-herald"):
    """The herald of a pair reaches one of its two nodes only."""

    seen = "the deaf node notices when thirty pairs should have come, and the circuit is made anew"
    percent: Percent = 10.0
    deaf: Annotated[
        Literal["first", "second", "either"],
        Meta(description="which of the two hears nothing, in the order of the station's arms"),
    ] = "either"

    def forge(self, heralds: Heralds, random: RandomStream) -> Heralds:
        """Drop one of them."""
        if random.uniform() * 100 >= self.percent:
            return heralds
        deaf = random.below(2) if self.deaf == "either" else ("first", "second").index(self.deaf)
        return [herald for side, herald in enumerate(heralds) if side != deaf]


class WrongBell(OnHeralds, frozen=True, tag="wrong-bell"):
    """A pair is announced in another Bell state than it is in, to both nodes alike or to one of them only."""

    survives = "circuits, if one side only; else nobody"
    seen = (
        "one side: both ends give the pair up, since the two nodes of the link disagree; "
        "both sides: true fidelity falls, which only test rounds could see"
    )
    percent: Percent = 10.0
    side: Annotated[
        Literal["first", "second", "both"], Meta(description="who is told so, in the order of the station's arms")
    ] = "both"
    flip: Annotated[int, Meta(ge=1, le=3, description="Bell index of the error: 1 Z, 2 X, 3 both")] = 1

    def forge(self, heralds: Heralds, random: RandomStream) -> Heralds:
        """Change the Bell index."""
        if random.uniform() * 100 >= self.percent:
            return heralds
        told = {"first": (0,), "second": (1,), "both": (0, 1)}[self.side]
        return [
            (node, msgspec.structs.replace(herald, bell=herald.bell ^ self.flip) if side in told else herald)
            for side, (node, herald) in enumerate(heralds)
        ]


class FalseHerald(OnFibre, frozen=True, tag="false-herald"):
    """While attempts go on, their station announces pairs to which no photons belong; both qubits know nothing."""

    survives = "nobody"
    seen = "more pairs, lower true fidelity; only test rounds could see it"
    rate_hz: Annotated[float, Meta(gt=0, description="for each pair of qubits that attempts are made for")] = 1.0

    def conditions(self, active: Active, elapsed_s: float, arms: int) -> Conditions:
        """Return the rate."""
        return Conditions(false_hz=self.rate_hz)


class Intercept(OnFibre, frozen=True, tag="intercept"):
    """A dishonest station measures from which node light has come, in place of joining it, and announces pairs.

    It knows what comes of measurements in Z, and nobody is entangled with anybody. (A station can also lie by
    `false-herald`, `wrong-bell` and `one-sided-herald`.)
    """

    survives = "nobody"
    seen = "outcomes agree in Z as ever, and in X and Y not at all; only test rounds in several bases could see it"
    percent: Annotated[float, Meta(ge=0, le=100, description="of the attempts, each drawn by itself")] = 100.0

    def conditions(self, active: Active, elapsed_s: float, arms: int) -> Conditions:
        """Return what is left of the coherences of the pairs, in the mean over all attempts."""
        return Conditions(visibility=1 - self.percent / 100)
