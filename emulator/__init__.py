"""The runtime of the quantum internet emulator: time, actors, channels, quantum states, histories.

Start with `Network`: it wires actors and runs them in emulated time.
"""

from .actor import MS, US, Actor, Handler, S, UnknownActorError
from .channel import Channel, ChannelFault
from .envelope import Envelope
from .figures import Enquire, Figures, LinkFigures
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
)
from .quantum import (
    PERFECT,
    SIGNS,
    BellMeasurement,
    BellState,
    Engine,
    Gate,
    MemoryNoise,
    Noise,
    QubitError,
    QubitId,
    Readout,
    Snapshot,
    parity,
)
from .randomness import RandomStream
from .records import History, Record
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
    "Contrasts",
    "Disturbed",
    "Engine",
    "Enquire",
    "Envelope",
    "Figures",
    "Gate",
    "Half",
    "Handler",
    "Herald",
    "History",
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
    "QuantumDevice",
    "QuantumMemory",
    "Qubit",
    "QubitError",
    "QubitId",
    "RandomStream",
    "Readout",
    "Record",
    "S",
    "Session",
    "Snapshot",
    "Start",
    "Stop",
    "Stopped",
    "StorageLaw",
    "Stored",
    "TimedOut",
    "Timeline",
    "UnknownActorError",
    "after_storage",
    "decode",
    "encode",
    "message_types",
    "multiplied",
    "parity",
]
