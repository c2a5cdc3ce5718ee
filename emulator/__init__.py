"""The runtime of the quantum internet emulator: time, actors, channels, quantum states, histories.

Start with `Network`: it wires actors and runs them in emulated time.
"""

from .actor import MS, US, Actor, Handler, S, UnknownActorError
from .channel import Channel, ChannelFault
from .comparison import Comparison, ComparisonOverError, Difference, first_difference
from .envelope import Envelope
from .faults import Fault, FaultError, Injection
from .figures import Enquire, Figures, LinkFigures
from .inputs import Input, Inputs
from .light import Light
from .mailbox import Mailbox
from .memory import Bank, MemoryFullError, Owner, QuantumDevice, QuantumMemory, Qubit
from .messages import Message, MessageError, PairId, decode, encode, message_types
from .network import ActorCrashError, Network, Outcome
from .port import (
    FULL,
    UNDISTURBED,
    Begin,
    Disturbed,
    Half,
    Herald,
    Loaded,
    Paused,
    Port,
    Session,
    Start,
    Stop,
    Stopped,
    TimedOut,
    Unknown,
)
from .quantum import (
    PERFECT,
    SIGNS,
    BellMeasurement,
    BellState,
    Detector,
    Engine,
    Gate,
    MemoryNoise,
    Noise,
    PulseTrain,
    QubitError,
    QubitId,
    Readout,
    Setting,
    Snapshot,
    TrainId,
    UnderWayError,
    Vector,
    parity,
)
from .randomness import RandomStream
from .recorder import Recorder
from .recording import Recording, RecordingError
from .records import History, Record
from .share import Share
from .storage import (
    FRESH,
    UNBIASED,
    UNKNOWN,
    Bias,
    Contrasts,
    StorageLaw,
    Stored,
    after_storage,
    multiplied,
)
from .time import Timeline

__all__ = [
    "FRESH",
    "FULL",
    "MS",
    "PERFECT",
    "SIGNS",
    "UNBIASED",
    "UNDISTURBED",
    "UNKNOWN",
    "US",
    "Actor",
    "ActorCrashError",
    "Bank",
    "Begin",
    "BellMeasurement",
    "BellState",
    "Bias",
    "Channel",
    "ChannelFault",
    "Comparison",
    "ComparisonOverError",
    "Contrasts",
    "Detector",
    "Difference",
    "Disturbed",
    "Engine",
    "Enquire",
    "Envelope",
    "Fault",
    "FaultError",
    "Figures",
    "Gate",
    "Half",
    "Handler",
    "Herald",
    "History",
    "Injection",
    "Input",
    "Inputs",
    "Light",
    "LinkFigures",
    "Loaded",
    "Mailbox",
    "MemoryFullError",
    "MemoryNoise",
    "Message",
    "MessageError",
    "Network",
    "Noise",
    "Outcome",
    "Owner",
    "PairId",
    "Paused",
    "Port",
    "PulseTrain",
    "QuantumDevice",
    "QuantumMemory",
    "Qubit",
    "QubitError",
    "QubitId",
    "RandomStream",
    "Readout",
    "Record",
    "Recorder",
    "Recording",
    "RecordingError",
    "S",
    "Session",
    "Setting",
    "Share",
    "Snapshot",
    "Start",
    "Stop",
    "Stopped",
    "StorageLaw",
    "Stored",
    "TimedOut",
    "Timeline",
    "TrainId",
    "UnderWayError",
    "Unknown",
    "UnknownActorError",
    "Vector",
    "after_storage",
    "decode",
    "encode",
    "first_difference",
    "message_types",
    "multiplied",
    "parity",
]
