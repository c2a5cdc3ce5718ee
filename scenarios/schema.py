"""What a scenario says, as data: nodes, links, routes. From TOML or Python; every unit is in the name of its key.

>>> Scenario(
...     name="two nodes",
...     node=(Node(name="alice"), Node(name="bob")),
...     link=(Link(a="alice", b="bob", length_km=25),),
...     route=(Route(a="alice", b="bob"),),
... ).link[0].loss_db
5.0
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Optional, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator, model_validator
from pydantic.fields import FieldInfo

from emulator.faults import make
from nodes.hardware import Probability, Profile, Scheme, profiles

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Pattern: TypeAlias = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9*][A-Za-z0-9_.*-]*$")]
Kind: TypeAlias = Literal["processing", "photonic", "hub", "repeater"]
Parameter: TypeAlias = bool | int | float | str


def _optional(field: FieldInfo) -> Any:
    """Return the type of a field with all its limits, or None."""
    kind: Any = field.annotation
    for limit in field.metadata:
        kind = Annotated[kind, limit]
    return Optional[kind]  # noqa: UP045  (`|` does not take Annotated at run time)


def _t2_is_physical(values: Any) -> Any:
    if values.t1_s is not None and values.t2_s is not None and values.t2_s > 2 * values.t1_s:
        raise ValueError(f"t2_s = {values.t2_s:g} is longer than 2 x t1_s = {2 * values.t1_s:g}, which is not physical")
    return values


# Every key of a hardware profile with its limits, none of them required.
_FIELDS: dict[str, Any] = {key: (_optional(field), None) for key, field in Profile.model_fields.items()}
Override: Any = create_model(
    "Override",
    __config__=ConfigDict(extra="forbid", frozen=True),
    __validators__={"t2_is_physical": cast("Any", model_validator(mode="after")(_t2_is_physical))},
    **_FIELDS,
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Node(_Strict):
    """A node: its kind, its hardware profile, and what is to be different from it.

    restart_after_s: restart it that long after a crash (absent: a crash ends the run).
    """

    name: Name
    kind: Kind = "processing"
    hardware: str | None = None
    override: Override = Field(default_factory=Override)
    restart_after_s: Annotated[float, Field(ge=0)] | None = None

    @field_validator("hardware")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return _known_profile(value)


class _LinkBase(_Strict):
    """What all links may say.

    loss_db: of the whole link; or loss_db_per_km (.2 if neither is given). station_at: where the heralding station
    is, from 0 (at a) to 1 (at b). memories: positions at each side. attempt_ms: duration of an attempt, if it is not
    what light and preparation need. session_timeout_s: give up a generation session after this (0: never).
    success_probability, fidelity: replace the optics by a Werner pair, for comparisons. processing_us,
    bit_rate_per_s: of the classical channels.
    """

    length_km: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
    loss_db: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    loss_db_per_km: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    station_at: Probability = 0.5
    memories: Annotated[int, Field(ge=1, le=100_000)] | None = None
    modes: Annotated[int, Field(ge=1)] | None = None
    scheme: Scheme | None = None
    attempt_ms: Annotated[float, Field(gt=0)] | None = None
    session_timeout_s: Annotated[float, Field(ge=0)] = 0.0
    success_probability: Annotated[float, Field(gt=0, le=1)] | None = None
    fidelity: Annotated[float, Field(ge=0.25, le=1)] | None = None
    processing_us: Annotated[float, Field(ge=0)] = 0.0
    bit_rate_per_s: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> _LinkBase:
        if self.loss_db is not None and self.loss_db_per_km is not None:
            raise ValueError("give loss_db or loss_db_per_km, not both")
        if (self.success_probability is None) != (self.fidelity is None):
            raise ValueError("give success_probability and fidelity together, or neither")
        return self


class Link(_LinkBase):
    """A link between two nodes, with a heralding station between them."""

    a: Name
    b: Name

    @model_validator(mode="after")
    def _fill_in_loss(self) -> Link:
        if self.loss_db is None:
            per_km = 0.2 if self.loss_db_per_km is None else self.loss_db_per_km
            object.__setattr__(self, "loss_db", self.length_km * per_km)
            object.__setattr__(self, "loss_db_per_km", None)
        if self.a == self.b:
            raise ValueError(f"a link joins two nodes, but both ends are {self.a!r}")
        return self


class Chain(_LinkBase):
    """`links` equal links in a row: repeaters `NAME-1`, `NAME-2`, ... between the end nodes `NAME-a` and `NAME-b`."""

    name: Name
    links: Annotated[int, Field(ge=1, le=10_000)]
    hardware: str | None = None


class Star(_LinkBase):
    """A hub named NAME with end nodes `NAME-1`, `NAME-2`, ..., their heralding stations at the hub.

    Fibres are evenly spread from length_km to farthest_km; the last `photonic_clients` end nodes are photonic clients.
    hub_memories: positions of the hub that serve its end nodes. analysers: the end nodes are behind an optical switch
    with that many heralding stations, which it gives out for slot_ms at a time while others wait, and needs switch_ms
    to switch (0: each end node has a heralding station of its own, and the hub swaps).
    """

    name: Name
    end_nodes: Annotated[int, Field(ge=1, le=100_000)]
    farthest_km: Annotated[float, Field(ge=0)] | None = None
    photonic_clients: Annotated[int, Field(ge=0)] = 0
    hub_memories: Annotated[int, Field(ge=1)] = 16
    analysers: Annotated[int, Field(ge=0, le=100_000)] = 0
    switch_ms: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    slot_ms: Annotated[float, Field(gt=0, le=1e6)] = 50.0
    station_at: Probability = 1.0
    hub_hardware: str | None = None
    hardware: str | None = None
    client_hardware: str | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Star:
        if self.farthest_km is not None and self.farthest_km < self.length_km:
            raise ValueError(f"farthest_km = {self.farthest_km:g} is nearer than length_km = {self.length_km:g}")
        if self.photonic_clients > self.end_nodes:
            raise ValueError(f"photonic_clients = {self.photonic_clients} exceeds end_nodes = {self.end_nodes}")
        return self


class Controller(_Strict):
    """The network's controller, which admits demands and promises rates and fidelities.

    at: the node where it is; restart_after_s: it begins again that long after a crash.
    """

    at: Name
    restart_after_s: Annotated[float, Field(ge=0)] = 1.0


class Route(_Strict):
    """A demand for pairs between end nodes. `a` and `b` are names, or patterns with `*` that are matched one by one.

    If both patterns are the same, neighbours in the list are joined: 1 and 2, 3 and 4, ...; `pick` = "random" shuffles
    the list first. most: that many demands of the pattern only. lanes: memory positions on each link. pairs: how many
    before the path is given to others (0: never), pause_s: mean time before asking, at first and again. order: of
    swaps. cutoff_s: an intermediate node discards what waited longer (absent: never). distil: the ends distil their
    pairs before these count as delivered, in that many rounds (absent: they do not).

    With a controller: rate_hz, fidelity: what it is to promise (0: nothing); duration_s: when the circuit ends (0: with
    the run); patience_s: how long the demand may wait to be admitted; priority: who is first when several wait;
    may_distil: the controller may have pairs distilled if the fidelity needs it.
    """

    a: Pattern
    b: Pattern
    lanes: Annotated[int, Field(ge=1)] = 1
    pairs: Annotated[int, Field(ge=0)] = 0
    pause_s: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    order: Literal["asap", "nested"] = "asap"
    cutoff_s: Annotated[float, Field(gt=0)] | None = None
    pick: Literal["in order", "random"] = "in order"
    most: Annotated[int, Field(ge=0)] | None = None
    rate_hz: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    fidelity: Probability = 0.0
    duration_s: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    patience_s: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    priority: Annotated[int, Field(ge=0, le=7)] = 0
    may_distil: bool = False
    distil: Literal["bbpssw", "dejmps", "epl"] | None = None
    rounds: Annotated[int, Field(ge=1, le=10)] = 1

    @model_validator(mode="after")
    def _distils(self) -> Route:
        if self.distil is not None and self.lanes <= self.rounds:
            raise ValueError(f"rounds = {self.rounds} of distillation takes lanes = {self.rounds + 1} or more")
        return self


class Fault(_Strict):
    """Something that is broken on purpose: what, where, from when to when, and how (`qie faults` lists all kinds).

    name: absent, kind and target; probability: that it acts on what it meets, or, if it is a state, that it happens.
    """

    name: Annotated[str, Field(max_length=200)] = ""
    kind: Annotated[str, Field(min_length=1)]
    target: Annotated[str, Field(min_length=1)]
    start_s: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    end_s: Annotated[float, Field(ge=0, le=1e9)] | None = None
    probability: Probability = 1.0
    attributes: dict[str, Parameter] = {}

    @model_validator(mode="after")
    def _makes_sense(self) -> Fault:
        make(self.kind, dict(self.attributes))
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError(f"end_s = {self.end_s:g} must be later than start_s = {self.start_s:g}")
        return self


class Expect(_Strict):
    """What must have come by the end of a run, or the run fails: so many pairs at least, delivered from a time on.

    a, b: the head-end and the tail-end, or patterns with `*`. A run that ends before `from_s`, or by Ctrl-C, is not
    judged.
    """

    a: Pattern = "*"
    b: Pattern = "*"
    pairs: Annotated[int, Field(ge=1)] = 1
    from_s: Annotated[float, Field(ge=0, le=1e9)] = 0.0


class Scenario(_Strict):
    """A whole scenario. `parameters` may be used as "$name" anywhere else, and be set from the command line."""

    name: Annotated[str, Field(min_length=1)]
    description: str = ""
    parameters: dict[str, Parameter] = {}
    latency_us_per_km: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 4.89
    hardware: str = "atom.near_future"
    override: Override = Field(default_factory=Override)
    node: tuple[Node, ...] = ()
    link: tuple[Link, ...] = ()
    chain: tuple[Chain, ...] = ()
    star: tuple[Star, ...] = ()
    route: tuple[Route, ...] = ()
    fault: tuple[Fault, ...] = ()
    expect: tuple[Expect, ...] = ()
    controller: Controller | None = None

    @field_validator("hardware")
    @classmethod
    def _known(cls, value: str) -> str:
        return str(_known_profile(value))


def _known_profile(value: str | None) -> str | None:
    if value is not None and value not in profiles():
        raise ValueError(f"no hardware profile {value!r}; there are {', '.join(profiles())}")
    return value
