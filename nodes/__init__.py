"""The nodes of the network, their control stack, and the programs that run on them."""

from .bases import AXES
from .blocking import BlockingCircuit, BlockingLink, BlockingNode, BlockingSocket, blocking
from .circuit import Circuit
from .circuits import SwapNote, Terms
from .control import Contract, Promise
from .delivery import CircuitClosedError, CircuitRefusedError, EarlyPair, Pair, PairExpiredError
from .end import Demand, EndNode
from .link import LinkError, LinkRequest, OkKeep, OkMeasure
from .node import QuantumNode
from .photonic import PhotonicClient
from .photons import Click, LightRefusedError, Prepared, Receiver, Reception, SentTrain
from .physics import NodePhysics, Terminal
from .processing import ProcessingNode
from .programs import CircuitEnd, Program, ProgramNode, Programs, Socket
from .repeater import Hub, Repeater

__all__ = [
    "AXES",
    "BlockingCircuit",
    "BlockingLink",
    "BlockingNode",
    "BlockingSocket",
    "Circuit",
    "CircuitClosedError",
    "CircuitEnd",
    "CircuitRefusedError",
    "Click",
    "Contract",
    "Demand",
    "EarlyPair",
    "EndNode",
    "Hub",
    "LightRefusedError",
    "LinkError",
    "LinkRequest",
    "NodePhysics",
    "OkKeep",
    "OkMeasure",
    "Pair",
    "PairExpiredError",
    "PhotonicClient",
    "Prepared",
    "ProcessingNode",
    "Program",
    "ProgramNode",
    "Programs",
    "Promise",
    "QuantumNode",
    "Receiver",
    "Reception",
    "Repeater",
    "SentTrain",
    "Socket",
    "SwapNote",
    "Terminal",
    "Terms",
    "blocking",
]
