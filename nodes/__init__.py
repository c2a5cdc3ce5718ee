"""The nodes of the network, their control stack, and the programs that run on them."""

from .blocking import BlockingCircuit, BlockingNode, BlockingSocket, blocking
from .circuit import Circuit
from .circuits import Terms
from .control import Contract, Promise
from .delivery import CircuitClosedError, CircuitRefusedError, Pair
from .end import Demand, EndNode
from .node import QuantumNode
from .photonic import PhotonicClient
from .photons import Click, LightRefusedError, Prepared, Receiver, Reception, SentTrain
from .physics import NodePhysics, Terminal
from .processing import ProcessingNode
from .programs import CircuitEnd, Program, ProgramNode, Programs, Socket
from .repeater import Hub, Repeater

__all__ = [
    "BlockingCircuit",
    "BlockingNode",
    "BlockingSocket",
    "Circuit",
    "CircuitClosedError",
    "CircuitEnd",
    "CircuitRefusedError",
    "Click",
    "Contract",
    "Demand",
    "EndNode",
    "Hub",
    "LightRefusedError",
    "NodePhysics",
    "Pair",
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
    "Terminal",
    "Terms",
    "blocking",
]
