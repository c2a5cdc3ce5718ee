"""Hardware profiles: numbers per platform, `today` and `near_future`, each with its unit in its name and its source.

>>> profile = load("ion.near_future")
>>> profile.detector_efficiency, profile.t2_s
(0.9, 10.0)
>>> source("ion.near_future", "detector_efficiency")[:3]
'QIA'
"""

from __future__ import annotations

import math
import tomllib
from importlib import resources
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from emulator import BellMeasurement, Detector, MemoryNoise, Readout
from nodes.physics import NodePhysics, Terminal

Probability: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Duration: TypeAlias = Annotated[float, Field(gt=0)]
Scheme: TypeAlias = Literal["single_click", "double_click", "pair_source"]
Role: TypeAlias = Literal["sends", "receives", "both"]

ERAS: Final = ("today", "near_future")
IDEAL: Final = "ideal"
_US: Final = 1_000
_INF: Final = float("inf")


class UnknownProfileError(LookupError):
    """No hardware profile of that name."""


class Profile(BaseModel):
    """What a platform can do. Probabilities are between 0 and 1, durations greater than 0; inf switches a decay off.

    Light: `scheme` of heralding; `collection`, `conversion` and `detector_efficiency` of one photon, `window_share`
    the share of it within the detection window; `dark_probability` per detector and window; `visibility` of two
    photons; `emission_fidelity` of memory and photon; `bright_population` (alpha), `phase_std_rad` and
    `double_excitation` for single click; `pairs_per_mode` and `write_efficiency` for pair sources; `modes` tried at
    once; `preparation_us` before an attempt.

    Light of programs and photonic clients: `role`, whether it sends or detects photons, or both; `optical_error`, the
    share of its own light, or of what arrives, that is on the wrong side; `pulse_clock_mhz` of weak coherent pulses.

    Memory: `t1_s`, `t2_s`, `depolarising_s`, `dephasing_s` with its `dephasing_exponent`; `attempts_1_over_e` of
    attempts beside it; `retrieval_efficiency`, `retrieval_decay_s` of absorptive memories; `memories_per_link`,
    `processor_qubits`.

    Operations: duration and depolarising probability of gates; read-out; `swap_...` of a Bell-state measurement.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=True)

    scheme: Scheme = "double_click"
    collection: Probability = 1.0
    conversion: Probability = 1.0
    window_share: Probability = 1.0
    detector_efficiency: Probability = 1.0
    dark_probability: Probability = 0.0
    visibility: Probability = 1.0
    emission_fidelity: Annotated[float, Field(ge=0.25, le=1)] = 1.0
    bright_population: Annotated[float, Field(gt=0, lt=1)] = 0.05
    phase_std_rad: Annotated[float, Field(ge=0)] = 0.0
    double_excitation: Probability = 0.0
    pairs_per_mode: Annotated[float, Field(gt=0, lt=1)] = 0.05
    write_efficiency: Probability = 1.0
    modes: Annotated[int, Field(ge=1)] = 1
    preparation_us: Annotated[float, Field(ge=0)] = 0.0
    role: Role = "sends"
    optical_error: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    pulse_clock_mhz: Annotated[float, Field(ge=0, le=1e6)] = 0.0

    t1_s: Duration = _INF
    t2_s: Duration = _INF
    depolarising_s: Duration = _INF
    dephasing_s: Duration = _INF
    dephasing_exponent: Duration = 2.0
    attempts_1_over_e: Duration = _INF
    retrieval_efficiency: Probability = 1.0
    retrieval_decay_s: Duration = _INF
    memories_per_link: Annotated[int, Field(ge=1)] = 1
    processor_qubits: Annotated[int, Field(ge=0)] = 0

    one_qubit_us: Duration = 0.001
    one_qubit_depolarising: Probability = 0.0
    two_qubit_us: Duration = 0.001
    two_qubit_depolarising: Probability = 0.0
    readout_us: Duration = 0.001
    readout_error_0: Probability = 0.0
    readout_error_1: Probability = 0.0
    readout_efficiency: Probability = 1.0
    swap_us: Duration = 0.001
    swap_depolarising: Probability = 0.0
    swap_flip: Probability = 0.0
    swap_efficiency: Probability = 1.0
    linear_optics: bool = False

    @model_validator(mode="after")
    def _t2_is_physical(self) -> Profile:
        if self.t2_s > 2 * self.t1_s:
            raise ValueError(f"t2_s = {self.t2_s:g} is longer than 2 x t1_s = {2 * self.t1_s:g}, which is not physical")
        return self

    def noise(self) -> MemoryNoise:
        """Return how a stored qubit decoheres."""
        return MemoryNoise(
            t1_s=self.t1_s,
            t2_s=self.t2_s,
            depolarising_s=self.depolarising_s,
            dephasing_s=self.dephasing_s,
            dephasing_exponent=self.dephasing_exponent,
        )

    def physics(self) -> NodePhysics:
        """Return what a node with this hardware does to its qubits."""
        bsm = BellMeasurement(
            efficiency=self.swap_efficiency,
            depolarising=self.swap_depolarising,
            flip_x=self.swap_flip,
            flip_z=self.swap_flip,
            linear_optics=self.linear_optics,
        )
        return NodePhysics(
            bsm=bsm,
            bsm_ns=_ns(self.swap_us),
            readout=Readout(self.readout_error_0, self.readout_error_1, self.readout_efficiency),
            readout_ns=_ns(self.readout_us),
            one_qubit_ns=_ns(self.one_qubit_us),
            one_qubit_depolarising=self.one_qubit_depolarising,
            two_qubit_ns=_ns(self.two_qubit_us),
            two_qubit_depolarising=self.two_qubit_depolarising,
            attempts_1_over_e=self.attempts_1_over_e,
            retrieval_efficiency=self.retrieval_efficiency,
            retrieval_decay_s=self.retrieval_decay_s,
            terminal=self.terminal(),
        )

    def terminal(self) -> Terminal:
        """Return what a node with this hardware has for light that its programs send and receive."""
        sends, contrast = self.role != "receives", 1 - 2 * self.optical_error
        on_demand = sends and self.scheme != "pair_source"
        return Terminal(
            photon_probability=self.emission if on_demand else 0.0,
            photon_contrast=max(0.0, (4 * self.emission_fidelity - 1) / 3),
            photon_ns=_ns(self.preparation_us),
            pulse_period_ps=math.ceil(1e6 / self.pulse_clock_mhz) if sends and self.pulse_clock_mhz else 0,
            pulse_contrast=contrast,
            detector=None
            if self.role == "sends"
            else Detector(self.detector_efficiency, self.dark_probability, contrast),
        )

    @property
    def emission(self) -> float:
        """Return the probability that a photon ends up in the fibre, within its window."""
        return self.collection * self.conversion * self.window_share

    def arm_efficiency(self, transmission: float) -> float:
        """Return the probability that an emitted photon is detected at the station, given its fibre's transmission."""
        return self.emission * self.detector_efficiency * transmission


def _ns(duration_us: float) -> int:
    return max(1, round(duration_us * _US))


def platforms() -> list[str]:
    """Return the names of the platforms, sorted."""
    files = resources.files(__name__)
    return sorted(f.name.removesuffix(".toml") for f in files.iterdir() if f.name.endswith(".toml"))


def profiles() -> list[str]:
    """Return the names of all profiles, such as 'ion.today'; 'ideal' is without any imperfection."""
    return [IDEAL, *(f"{platform}.{era}" for platform in platforms() for era in ERAS)]


def load(name: str) -> Profile:
    """Return a profile by its name, `platform.era`; keys that near_future lacks keep their value of today."""
    values = {key: entry["value"] for key, entry in _entries(name).items()}
    try:
        return Profile(**values)
    except ValidationError as error:
        raise ValueError(f"hardware profile {name!r} is wrong: {error}") from error


def source(name: str, key: str) -> str:
    """Return where a number of a profile comes from; raises KeyError for a key that it leaves at its default."""
    return str(_entries(name)[key]["source"])


def _entries(name: str) -> dict[str, Any]:
    if name not in profiles():
        raise UnknownProfileError(f"no hardware profile {name!r}; there are {', '.join(profiles())}")
    if name == IDEAL:
        return {}
    platform, era = name.split(".")
    table = tomllib.loads((resources.files(__name__) / f"{platform}.toml").read_text("utf-8"))
    return table["today"] | table["near_future"] if era == "near_future" else dict(table["today"])
