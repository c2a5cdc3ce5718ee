"""Links under other conditions than those they were calibrated for: what their attempts really lead to."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Protocol, TypeVar, runtime_checkable

from emulator.faults import Conditions
from emulator.quantum import BellState

from .heralding import MAXIMALLY_MIXED, HeraldedState, HeraldedStateModel
from .schemes import DoubleClick, PairSource, SingleClick

_Scheme = TypeVar("_Scheme", bound=SingleClick | DoubleClick | PairSource)

# The share of heralds of each Bell state that a detector less leaves, if + works and if - does. One photon: Psi+ is a
# click of +, Psi- one of -. Two: Psi+ is two clicks of one detector, Psi- one of each.
_ONE_PHOTON: Final = (
    {BellState.PSI_PLUS: 1.0, BellState.PSI_MINUS: 0.0},
    {BellState.PSI_PLUS: 0.0, BellState.PSI_MINUS: 1.0},
)
_TWO_PHOTONS: Final = ({BellState.PSI_PLUS: 0.5, BellState.PSI_MINUS: 0.0},) * 2


@runtime_checkable
class Degraded(Protocol):
    """A calibration that knows what its links are like under other conditions."""

    def degraded(self, a: str, b: str, min_fidelity: float, conditions: Conditions) -> HeraldedStateModel:
        """Return what `model` returns, as it is under conditions that it was not calibrated for."""


def degraded_scheme(scheme: _Scheme, conditions: Conditions) -> _Scheme:
    """Return a scheme with other conditions; what a detector less leaves is `with_detectors`."""
    return replace(
        scheme,
        efficiency_a=scheme.efficiency_a * conditions.transmission_a,
        efficiency_b=scheme.efficiency_b * conditions.transmission_b,
        visibility=scheme.visibility * conditions.overlap,
        dark_probability=scheme.dark_probability + conditions.dark_probability * (1 - scheme.dark_probability),
    )


def with_detectors(model: HeraldedStateModel, detectors: tuple[bool, bool], *, photons: int) -> HeraldedStateModel:
    """Return a model with a detector less, for heralds by one photon or by two.

    Neglected: what the lost detector would have vetoed.
    """
    if all(detectors):
        return model
    left = (_ONE_PHOTON if photons == 1 else _TWO_PHOTONS)[0 if detectors[0] else 1]
    weights = tuple(w * left.get(s.bell, 0.5) for s, w in zip(model.states, model.weights, strict=True))
    return replace(model, weights=weights)


def degraded_model(model: HeraldedStateModel, conditions: Conditions) -> HeraldedStateModel:
    """Return a model of which the optics are not known, under other conditions, as if two photons had to arrive.

    The probability goes with both transmissions, the coherences with the visibility; dark counts in each of two
    detection windows add heralds of qubits that know nothing, and one detector of two leaves a quarter of the heralds.
    """
    arrives = conditions.transmission_a * conditions.transmission_b * (1.0 if all(conditions.detectors) else 0.25)
    states = tuple(replace(state, pauli=_blurred(state.pauli, conditions.overlap)) for state in model.states)
    seen = replace(model, states=states, weights=tuple(weight * arrives for weight in model.weights))
    return _with_noise(seen, min(1.0, 4 * conditions.dark_probability**2))


def with_false_heralds(model: HeraldedStateModel, probability: float) -> HeraldedStateModel:
    """Return a model in which an attempt is heralded without photons with a probability; the qubits know nothing."""
    return _with_noise(model, 1 - (1 - probability) ** (1 / model.modes))


def _with_noise(model: HeraldedStateModel, weight: float) -> HeraldedStateModel:
    """Add heralds of maximally mixed qubits, with a probability per mode."""
    if not weight:
        return model
    bells = tuple(dict.fromkeys(state.bell for state in model.states))
    noise = tuple(HeraldedState(MAXIMALLY_MIXED, bell) for bell in bells)
    rest = tuple(w * (1 - weight) for w in model.weights)
    return replace(model, states=model.states + noise, weights=rest + (weight / len(bells),) * len(bells))


def _blurred(pauli: tuple[float, ...], factor: float) -> tuple[float, ...]:
    """Multiply the coherences of a pair: all that has X or Y at an end."""
    return tuple(r * factor if k // 4 in (1, 2) or k % 4 in (1, 2) else r for k, r in enumerate(pauli))
