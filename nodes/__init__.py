"""The nodes of the network, their control stack, and the programs that run on them."""

from .blocking import BlockingCircuit, BlockingNode, BlockingSocket, blocking
from .circuit import Circuit
from .circuits import SwapNote, Terms
from .control import Contract, Promise
from .delivery import AXES, CircuitClosedError, CircuitRefusedError, EarlyPair, Pair, PairExpiredError
from .end import Demand, EndNode
from .node import QuantumNode
from .photonic import PhotonicClient
from .physics import NodePhysics
from .processing import ProcessingNode
from .programs import CircuitEnd, Program, ProgramNode, Programs, Socket
from .repeater import Hub, Repeater

__all__ = [
    "AXES",
    "BlockingCircuit",
    "BlockingNode",
    "BlockingSocket",
    "Circuit",
    "CircuitClosedError",
    "CircuitEnd",
    "CircuitRefusedError",
    "Contract",
    "Demand",
    "EarlyPair",
    "EndNode",
    "Hub",
    "NodePhysics",
    "Pair",
    "PairExpiredError",
    "PhotonicClient",
    "ProcessingNode",
    "Program",
    "ProgramNode",
    "Programs",
    "Promise",
    "QuantumNode",
    "Repeater",
    "Socket",
    "SwapNote",
    "Terms",
    "blocking",
]
