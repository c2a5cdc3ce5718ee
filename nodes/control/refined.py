"""What distillation at both ends makes of a forecast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from emulator import Contrasts
from nodes.circuits import Terms
from nodes.distillation import PROTOCOLS, Weights

from .forecast import Forecast, NodeFigures, fidelity


def refined(found: Forecast, terms: Terms, ends: Sequence[NodeFigures]) -> Forecast:
    """Return what is left of a forecast after the rounds of distillation that the terms ask for.

    In each round a pair waits at both ends until its partner has come, and both ends' gates and read-outs act on it.
    These count as lost contrast before the comparison; since that catches part of it, the forecast is on the safe side.
    """
    if not terms.distil or found.rate_hz <= 0:
        return found
    protocol = PROTOCOLS[terms.distil]
    rate_hz, contrasts = found.rate_hz, found.contrasts
    gate = math.prod(end.gate for end in ends)
    for _ in range(terms.rounds):
        waited = _waited(contrasts, ends, 1 / rate_hz)
        x, y, z = (gate * c for c in waited)
        result = protocol.forecast(_weights((x, y, z)), _weights(contrasts))
        rate_hz *= result.success / 2
        contrasts = _contrasts(result.weights)
        if rate_hz <= 0:
            break
    share = rate_hz / found.rate_hz
    return replace(
        found,
        rate_hz=rate_hz,
        rate_error_hz=found.rate_error_hz * share,
        fidelity=fidelity(contrasts),
        contrasts=contrasts,
    )


def _waited(contrasts: Contrasts, ends: Sequence[NodeFigures], seconds: float) -> Contrasts:
    c, e = (math.exp(-seconds * sum(end.decay[k] for end in ends)) for k in (0, 1))
    return contrasts[0] * c, contrasts[1] * c, contrasts[2] * e


def _weights(contrasts: Contrasts) -> Weights:
    x, y, z = contrasts
    return (1 + x + y + z) / 4, max(0.0, 1 - x - y + z) / 4, max(0.0, 1 + x - y - z) / 4, max(0.0, 1 - x + y - z) / 4


def _contrasts(weights: Weights) -> Contrasts:
    a, b, c, d = weights
    return a - b + c - d, a - b - c + d, a + b - c - d
