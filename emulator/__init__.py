"""The runtime of the quantum internet emulator: time, actors, channels, quantum states, histories.

Start with `Network`: it wires actors and runs them in emulated time.
"""

from .actor import MS, US, Actor, Handler, S, UnknownActorError
from .channel import Channel, ChannelFault
from .envelope import Envelope
from .figures import Enquire, Figures, LinkFigures
from .light import Light
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
    multiplied,
)
from .quantum import (
    PERFECT,
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
    "Detector",
    "Engine",
    "Enquire",
    "Envelope",
    "Figures",
    "Gate",
    "Half",
    "Handler",
    "Herald",
    "History",
    "Light",
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
    "PulseTrain",
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
    "Setting",
    "Snapshot",
    "Start",
    "Stop",
    "Stopped",
    "TimedOut",
    "Timeline",
    "TrainId",
    "UnderWayError",
    "UnknownActorError",
    "Vector",
    "decode",
    "encode",
    "message_types",
    "multiplied",
    "parity",
]
