"""The arms of a heralding station, and what follows from the way of the light along any two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .disturbed import StationLink, Told
from .heralding import HeraldedStateModel

# Which two arms meet, by their numbers, the smaller first.
Crossing: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Arm:
    """One fibre to a station: which node is at its end, and how long light takes from it.

    preparation_ns: what the node needs between the news of a failure and its next photon; transmission: of the fibre;
    receives: the node detects photons and does not send any.
    """

    node: str
    latency_ns: int
    preparation_ns: int = 0
    transmission: float = 1.0
    receives: bool = False


def light_ns(a: Arm, b: Arm) -> int:
    """Return how long an attempt takes for the light alone: to where it is detected, and the news of that back.

    To the station, or from the sender all the way to a receiver. A source between two receivers waits for no news.
    """
    if a.receives and b.receives:
        return 0
    if a.receives or b.receives:
        return 2 * (a.latency_ns + b.latency_ns)
    return 2 * max(a.latency_ns, b.latency_ns)


def herald_ns(a: Arm, b: Arm) -> tuple[int, int]:
    """Return how long each side waits for a herald from the detection on, here or at the receivers."""
    if a.receives and b.receives:
        return a.latency_ns + b.latency_ns, a.latency_ns + b.latency_ns
    if a.receives or b.receives:
        both_ns = a.latency_ns + b.latency_ns
        return (0, both_ns) if a.receives else (both_ns, 0)
    return a.latency_ns, b.latency_ns


def calibrated_link(model: HeraldedStateModel, a: Arm, b: Arm) -> StationLink:
    """Return what attempts between two arms are like, as the calibration has it."""
    preparation_ns = max(a.preparation_ns, b.preparation_ns)
    period_ns = max(1, preparation_ns + light_ns(a, b))
    emission_ns = a.latency_ns if a.receives else -a.latency_ns, b.latency_ns if b.receives else -b.latency_ns
    senders_ns = max((arm.latency_ns for arm in (a, b) if not arm.receives), default=0)
    first_ns = max(1, preparation_ns + 2 * senders_ns)
    return StationLink(model, model, period_ns, first_ns, emission_ns, _lags_ns(a, b), _told(model))


def _lags_ns(a: Arm, b: Arm) -> tuple[int, int]:
    """Return, for each side, how long after the light the news is here that the other side has detected it."""
    return (2 * b.latency_ns if b.receives else 0), (2 * a.latency_ns if a.receives else 0)


def _told(model: HeraldedStateModel) -> tuple[Told, Told]:
    """Return what the two arms are told of the pairs that a model makes, each of its own half first."""
    (sign, first_z, second_z), (first, second, both) = model.bias, model.loaded
    contrasts = model.contrasts
    one = (contrasts, (sign, first_z, second_z), (first, both))
    return one, (contrasts, (sign, second_z, first_z), (second, both))
