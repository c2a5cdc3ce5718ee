"""What hosts of one run say to each other, and what they and their conductor say.

Actors are named by their place among the sorted names, which all hosts share. A qubit is named as everywhere.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from emulator.faults.schedule import Wanted

from .framing import Codec, Frame

# An instant and a rank: see `Timeline`.
Moment: TypeAlias = tuple[int, int]
QubitName: TypeAlias = tuple[str, int, int]
Soon: TypeAlias = Annotated[float, Meta(ge=0.0, le=60.0)]  # seconds
# A model of storage noise: its kind, and the numbers that it is made of.
NoiseData: TypeAlias = tuple[str, list[float]]
# A qubit of a state: name, noise, begin of storage, last touched (ns), loaded, what is left of its coherences, and how
# often its state has moved between hosts.
QubitData: TypeAlias = tuple[QubitName, NoiseData, int, int, bool, float, int]
SnapshotData: TypeAlias = tuple[list[float], tuple[int, int] | None, list[tuple[NoiseData, int, int]], list[float]]


# -- between hosts -----------------------------------------------------------------------------------------------------


class Deliver(Frame, frozen=True, tag="m"):
    """A message on a channel between actors of two hosts: when it arrives, and all of its envelope."""

    source: int
    sink: int
    arrival_ns: int
    incarnation: int
    sent_ns: int
    to_incarnation: int
    sequence: int
    acknowledged: int
    sure: bool
    message: bytes


class Clock(Frame, frozen=True, tag="c"):
    """All that I do from now on comes not before `time_ns`, `rank`; and tell me when you have come to the other moment.

    want_ns: 0 if nothing is wanted. A later frame takes the place of this one.
    """

    time_ns: int
    rank: int
    want_ns: int
    want_rank: int


class Fetch(Frame, frozen=True, tag="f"):
    """An operation on a qubit is due at a moment, at a host: send that host the state the qubit is in."""

    qubit: QubitName
    time_ns: int
    rank: int
    host: str


class State(Frame, frozen=True, tag="s"):
    """A joint state, which is yours from now on; r: its Pauli form, flattened."""

    qubits: list[QubitData]
    r: list[float]
    bells: tuple[int, int] | None


class Moved(Frame, frozen=True, tag="w"):
    """A qubit of yours is now at another host."""

    qubit: QubitName
    host: str
    moves: int


class MovedSeen(Frame, frozen=True, tag="x"):
    """I know where my qubit is since that move, so that you need not."""

    qubit: QubitName
    moves: int


class GaveUp(Frame, frozen=True, tag="g"):
    """I have given up so many hosts: I take nothing of them, and send no state or request until all have said so."""

    hosts: int


class Held(Frame, frozen=True, tag="h"):
    """After so many hosts were given up: the qubits of yours that are here, or that I am about to make."""

    hosts: int
    qubits: list[QubitName]


class Slot(Frame, frozen=True, tag="p"):
    """A pair is made at a moment, and one half of it for a position of yours: say whether it is open, and its noise."""

    qubit: QubitName
    time_ns: int
    rank: int


class SlotState(Frame, frozen=True, tag="q"):
    """The answer to `Slot`; no noise: the position is not open."""

    qubit: QubitName
    noise: NoiseData | None


class Beat(Frame, frozen=True, tag="b"):
    """I am still there."""


# -- between a host and the conductor ----------------------------------------------------------------------------------


class Job(Frame, frozen=True, tag="job"):
    """What is to be run, as the header of a record says it (MessagePack), and who runs what where.

    hosts: name and address of each; actors: whom each of them runs; limit_s: how long anybody waits for anybody.
    """

    spec: bytes
    hosts: list[tuple[str, str, int]]
    actors: dict[str, list[str]]
    limit_s: float
    goes_on: bool  # whether the run goes on without a host that is lost


class Ready(Frame, frozen=True, tag="ready"):
    """Everything is built, and all other hosts are connected.

    digest: of the plan, which must be the same everywhere; round_trips_s: to other hosts, as far as this one measured.
    """

    digest: str
    round_trips_s: dict[str, float]


class Go(Frame, frozen=True, tag="go"):
    """Let emulated time begin."""


class Begun(Frame, frozen=True, tag="begun"):
    """All actors here have begun, and emulated time stands still just after that."""


class Pace(Frame, frozen=True, tag="pace"):
    """All have begun everywhere: let the wall clock pace emulated time, some seconds from now.

    Who hears of it later has less time left, so that all begin at one moment.
    """

    after_s: Soon = 0.0


class Records(Frame, frozen=True, tag="records"):
    """A piece of the history of this host's actors, in the canonical order; nothing before `until_ns` follows."""

    until_ns: int
    data: bytes


class View(Frame, frozen=True, tag="view"):
    """What is true of a pair that an actor is about to record."""

    actor: str
    snapshot: SnapshotData


class Progress(Frame, frozen=True, tag="progress"):
    """How far this host has come; awaited: the hosts without which it cannot go on; lag_ns: its 99th percentile."""

    now_ns: int
    lag_ns: int
    awaited: list[str]


class Quiet(Frame, frozen=True, tag="quiet"):
    """After the end of the span nothing goes on here; how many messages to and from other hosts there were so far."""

    sent: int
    received: int
    wave: int


class Settle(Frame, frozen=True, tag="settle"):
    """Say whether it is still so that nothing goes on with you."""

    wave: int


class Finish(Frame, frozen=True, tag="finish"):
    """Nothing goes on anywhere: account for what is left."""


class Halt(Frame, frozen=True, tag="halt"):
    """Go no further than you have said that you would, and say how far that is."""


class Halted(Frame, frozen=True, tag="halted"):
    """This host goes no further than to an instant."""

    time_ns: int


class Stand(Frame, frozen=True, tag="stand"):
    """Go as far as to an instant, as fast as you can, and no further."""

    time_ns: int


class Standing(Frame, frozen=True, tag="standing"):
    """All is done here up to that instant."""


class Put(Frame, frozen=True, tag="put"):
    """An input that takes effect at an instant, later than where all stand."""

    time_ns: int
    kind: str
    fields: bytes


class GoOn(Frame, frozen=True, tag="go-on"):
    """Go on from where all stand, at a rate, some seconds from now (see `Pace`)."""

    rate: float
    after_s: Soon = 0.0


class Summary(Frame, frozen=True, tag="summary"):
    """How it was here: how the run ended, what is left over, and figures of the work.

    lag_counts: by class of the histogram, none unless the run was paced; faults: of each, in the order of the
    schedule, how often it met something here, and when it began and ended; inputs: those of them that came as inputs,
    which are the last; work: see `HostShare.figures`.
    """

    emulated_ns: int
    interrupted: bool
    leaks: dict[str, int]
    events: int
    lag_counts: dict[int, int]
    lag_max_ns: int
    faults: list[tuple[int, int | None, int | None]]
    inputs: list[Wanted]
    cpu_s: float
    work: dict[str, int]


class Lost(Frame, frozen=True, tag="lost"):
    """To the conductor: a host cannot be reached. To hosts: it is given up, as if its actors had crashed for good."""

    host: str
    reason: str


class Failed(Frame, frozen=True, tag="failed"):
    """This host cannot go on; kind: of the error."""

    kind: str
    reason: str


class Abort(Frame, frozen=True, tag="abort"):
    """Give up the run, for a reason."""

    reason: str


PEER_CODEC = Codec((Deliver, Clock, Fetch, State, Moved, MovedSeen, GaveUp, Held, Slot, SlotState, Beat))
CONDUCTOR_CODEC = Codec(
    (
        Job,
        Ready,
        Go,
        Begun,
        Pace,
        Records,
        View,
        Progress,
        Quiet,
        Settle,
        Finish,
        Halt,
        Halted,
        Stand,
        Standing,
        GoOn,
        Put,
        Summary,
        Lost,
        Failed,
        Abort,
        Beat,
    )
)
