"""The runtime of the quantum internet emulator: time, actors, channels, quantum states, histories.

Start with `Network`: it wires actors and runs them in emulated time.
"""

from .actor import MS, US, Actor, Handler, S, UnknownActorError
from .channel import Channel, ChannelFault
from .envelope import Envelope
from .faults import Fault, FaultError, Injection
from .figures import Enquire, Figures, LinkFigures
from .mailbox import Mailbox
from .memory import Bank, MemoryFullError, Owner, QuantumDevice, QuantumMemory, Qubit
from .messages import Message, MessageError, PairId, decode, encode, message_types
from .network import ActorCrashError, Network, Outcome
from .port import (
    UNKNOWN,
    Begin,
    Contrasts,
    Half,
    Herald,
    Paused,
    Port,
    Session,
    Start,
    Stop,
    Stopped,
    TimedOut,
    Unknown,
    multiplied,
)
from .quantum import (
    PERFECT,
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
from .time import Timeline

__all__ = [
    "MS",
    "PERFECT",
    "UNKNOWN",
    "US",
    "Actor",
    "ActorCrashError",
    "Bank",
    "Begin",
    "BellMeasurement",
    "BellState",
    "Channel",
    "ChannelFault",
    "Contrasts",
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
    "LinkFigures",
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
    "TimedOut",
    "Timeline",
    "Unknown",
    "UnknownActorError",
    "decode",
    "encode",
    "message_types",
    "multiplied",
    "parity",
]
