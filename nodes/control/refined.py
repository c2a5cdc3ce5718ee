"""What distillation at both ends makes of a forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from emulator import Contrasts, LinkFigures, StorageLaw
from nodes.circuits import Terms
from nodes.distillation import PROTOCOLS, Gates, Protocol, contrasts_of, weights_of

from .forecast import Forecast, fidelity, no_pair
from .path import NodeFigures

# Gauss-Laguerre points and weights: means over a time that is exponentially distributed, in units of its mean.
_WAITS: Final = (
    (0.2635603197, 0.5217556106),
    (1.4134030591, 0.3986668111),
    (3.5964257710, 0.0759424497),
    (7.0858100059, 0.0036117587),
    (12.640800844, 0.0000233700),
)


def refined(
    found: Forecast, terms: Terms, links: Sequence[LinkFigures], ends: tuple[NodeFigures, NodeFigures]
) -> Forecast:
    """Return what is left of a forecast after the rounds of distillation that the terms ask for.

    found: of the lanes that are left when one pair waits in each round. In each round a pair waits at both ends until
    its partner has come, both ends' gates and read-outs act on them, and then they tell each other. All that time their
    positions make no new pairs, while the attempts of the others may disturb them.
    """
    if not terms.distil or found.rate_hz <= 0:
        return found
    step_s = sum(end.distil_ns for end in ends) * 1e-9 + 2e-9 * sum(sum(link.light_ns) for link in links)
    steps = _Steps(
        PROTOCOLS[terms.distil],
        terms.rounds,
        ends[0].gates * ends[1].gates,
        (
            _beside_attempts(ends[0].storage, terms.lanes * 1e9 / links[0].period_ns),
            _beside_attempts(ends[1].storage, terms.lanes * 1e9 / links[-1].period_ns),
        ),
        (links[0].bias[1], links[-1].bias[2]),
        step_s,
    )
    lanes = terms.lanes - terms.rounds
    raw_hz = lanes / (lanes / found.rate_hz + step_s)
    rate_hz, contrasts = steps.applied(found.contrasts, raw_hz, found.age_s)
    if rate_hz <= 0:
        return no_pair(raw_hz)
    _, lower = steps.applied(_lowered(found.contrasts, found.fidelity_error), raw_hz, found.age_s)
    return replace(
        found,
        rate_hz=rate_hz,
        rate_error_hz=found.rate_error_hz * rate_hz / found.rate_hz,
        fidelity=fidelity(contrasts),
        fidelity_error=max(found.fidelity_error, fidelity(contrasts) - fidelity(lower)),
        contrasts=contrasts,
    )


@dataclass(frozen=True, slots=True)
class _Steps:
    """The rounds of a distillation. laws: of the memories at both ends, beside attempts; step_s: duration of a step."""

    protocol: Protocol
    rounds: int
    gates: Gates
    laws: tuple[StorageLaw, StorageLaw]
    poles: tuple[float, float]  # <Z> of a fresh half at each end
    step_s: float

    def applied(self, contrasts: Contrasts, rate_hz: float, age_s: float) -> tuple[float, Contrasts]:
        """Return rate and contrasts after the last round."""
        for _ in range(self.rounds):
            waited = _waited(contrasts, self.laws, age_s, 1 / rate_hz)
            result = self.protocol.forecast(weights_of(contrasts), weights_of(waited), self.gates)
            success = result.success
            if len(self.protocol.kept) == 1:  # the less likely, the more both halves at an end are alike
                success -= sum(map(self._alike, self.laws, self.poles, (age_s,) * 2, (1 / rate_hz,) * 2)) / 4
            rate_hz *= max(0.0, success) / 2
            if rate_hz <= 0:
                break
            contrasts = _longer(contrasts_of(result.weights), self.laws, age_s, self.step_s)
            age_s += self.step_s
        return rate_hz, contrasts

    @staticmethod
    def _alike(law: StorageLaw, pole: float, age_s: float, wait_s: float) -> float:
        """Return the mean of the product of Z of both halves at an end, at most."""
        product = 1.0
        for seconds in (age_s, age_s + wait_s):
            _, _, e, s = law.stored(seconds * 1e9)
            product *= abs(e * pole) + abs(s)
        return product


def _beside_attempts(law: StorageLaw, attempts_per_s: float) -> StorageLaw:
    further_per_s = attempts_per_s / law.attempts_1_over_e
    return msgspec.structs.replace(law, transverse_per_s=law.transverse_per_s + further_per_s)


def _lowered(contrasts: Contrasts, error: float) -> Contrasts:
    """Return contrasts of a fidelity that is less by an error."""
    total = sum(contrasts)
    factor = max(0.0, 1 - 4 * error / total) if total > 0 else 1.0
    x, y, z = contrasts
    return factor * x, factor * y, factor * z


def _waited(contrasts: Contrasts, laws: Sequence[StorageLaw], age_s: float, mean_s: float) -> Contrasts:
    """Return the mean contrasts of the pair that came first, when its partner comes."""
    means = [0.0, 0.0, 0.0]
    for point, weight in _WAITS:
        longer = _longer(contrasts, laws, age_s, point * mean_s)
        means = [mean + weight * contrast for mean, contrast in zip(means, longer, strict=True)]
    x, y, z = means
    return x, y, z


def _longer(contrasts: Contrasts, laws: Sequence[StorageLaw], age_s: float, seconds: float) -> Contrasts:
    """Return contrasts after further storage at both ends of a pair that has been stored for some time.

    Memories that drift towards one pole count as if that always spoke against the pair: it is on the safe side.
    """
    x, y, z = contrasts
    drift = 1.0
    for law in laws:
        c, _, e, s = law.stored((age_s + seconds) * 1e9, age_s * 1e9)
        drift *= abs(s)
        x, y, z = c * x, c * y, e * z
    return x, y, z - drift
