"""What the hardware at both ends and the fibres between make of a link: the calibration of its heralding station."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from emulator.faults import CALIBRATED, Conditions
from links import (
    AbstractLink,
    BrightStates,
    DoubleClick,
    Fibre,
    HeraldedStateModel,
    MidpointSource,
    PairSource,
    SenderReceiver,
    SingleClick,
    degraded_model,
    degraded_scheme,
    with_detectors,
)
from nodes.hardware import Profile

from .schema import Link

_DIMMEST = 1e-4
_BRIGHTEST = 0.5  # of the population: beyond it, more light makes fewer pairs


@dataclass(frozen=True, slots=True)
class Optics:
    """The calibration of a station: what is at the end of each of its arms, by the nodes' names.

    All its arms have the scheme and modes of the same kind of link.
    """

    links: Mapping[str, Link]
    profiles: Mapping[str, Profile]
    fibres: Mapping[str, Fibre]

    def model(self, a: str, b: str, min_fidelity: float) -> HeraldedStateModel:
        """Return the model with most heralds that has the fidelity, or else the best one."""
        return self.degraded(a, b, min_fidelity, CALIBRATED)

    def degraded(self, a: str, b: str, min_fidelity: float, conditions: Conditions) -> HeraldedStateModel:
        """Return the same, as it is under conditions that it was not calibrated for."""
        link = self.links[a]
        profiles = self.profiles[a], self.profiles[b]
        if link.success_probability is not None and link.fidelity is not None:
            model = AbstractLink(link.success_probability, link.fidelity).model().with_modes(link.modes or 1)
            return model if conditions is CALIBRATED else degraded_model(model, conditions)
        modes = link.modes or max(p.modes for p in profiles)
        if any(profile.role == "receives" for profile in profiles):
            model = received(profiles, (self.fibres[a], self.fibres[b])).model().with_modes(modes)
            return model if conditions is CALIBRATED else degraded_model(model, conditions)
        efficiencies = [self.profiles[n].arm_efficiency(self.fibres[n].transmission) for n in (a, b)]
        source = scheme(link.scheme or profiles[0].scheme, profiles, efficiencies)
        single = isinstance(source, SingleClick)
        if isinstance(source, SingleClick):
            source = _set(source, min_fidelity)
        if conditions is CALIBRATED:
            return source.model().with_modes(modes)
        model = degraded_scheme(source, conditions).model()
        return with_detectors(model, conditions.detectors, photons=1 if single else 2).with_modes(modes)


def _set(source: SingleClick, min_fidelity: float) -> SingleClick:
    """Return a single click set to the bright-state population with most heralds that has the fidelity."""
    brightest = max(1.0, _BRIGHTEST / max(source.alpha_a, source.alpha_b))
    settings = BrightStates(lambda s: _dimmed(source, s).model(), _DIMMEST, brightest)
    return _dimmed(source, settings.setting(min_fidelity))


def _dimmed(source: SingleClick, factor: float) -> SingleClick:
    return replace(source, alpha_a=factor * source.alpha_a, alpha_b=factor * source.alpha_b)


def received(profiles: tuple[Profile, Profile], fibres: tuple[Fibre, Fibre]) -> SenderReceiver | MidpointSource:
    """Return how pairs come about on a link with a receiver at one end, or at both."""
    a, b = profiles
    if a.role == b.role:
        return MidpointSource(
            mean_pairs=min(a.pairs_per_mode, b.pairs_per_mode),
            efficiency_a=fibres[0].transmission * a.detector_efficiency,
            efficiency_b=fibres[1].transmission * b.detector_efficiency,
            dark_probability_a=a.dark_probability,
            dark_probability_b=b.dark_probability,
            optical_error_a=a.optical_error,
            optical_error_b=b.optical_error,
        )
    sender, receiver = (b, a) if a.role == "receives" else (a, b)
    transmission = fibres[0].transmission * fibres[1].transmission
    return SenderReceiver(
        efficiency=sender.emission * transmission * receiver.detector_efficiency,
        dark_probability=receiver.dark_probability,
        emission_fidelity=sender.emission_fidelity,
        optical_error=receiver.optical_error,
    )


def scheme(
    name: str, profiles: tuple[Profile, Profile], efficiencies: list[float]
) -> SingleClick | DoubleClick | PairSource:
    """Return the scheme of a link with the parameters of its two ends."""
    a, b = profiles
    efficiency_a, efficiency_b = efficiencies
    dark = max(a.dark_probability, b.dark_probability)
    visibility = min(a.visibility, b.visibility)
    if name == "single_click":
        return SingleClick(
            alpha_a=a.bright_population,
            alpha_b=b.bright_population,
            efficiency_a=efficiency_a,
            efficiency_b=efficiency_b,
            dark_probability=dark,
            visibility=visibility,
            phase_std_rad=max(a.phase_std_rad, b.phase_std_rad),
            double_excitation=max(a.double_excitation, b.double_excitation),
        )
    if name == "double_click":
        return DoubleClick(
            efficiency_a=efficiency_a,
            efficiency_b=efficiency_b,
            dark_probability=dark,
            visibility=visibility,
            double_excitation=max(a.double_excitation, b.double_excitation),
            emission_fidelity_a=a.emission_fidelity,
            emission_fidelity_b=b.emission_fidelity,
        )
    return PairSource(
        mean_pairs_a=a.pairs_per_mode,
        mean_pairs_b=b.pairs_per_mode,
        efficiency_a=efficiency_a,
        efficiency_b=efficiency_b,
        write_efficiency_a=a.write_efficiency,
        write_efficiency_b=b.write_efficiency,
        dark_probability=dark,
        visibility=visibility,
    )
