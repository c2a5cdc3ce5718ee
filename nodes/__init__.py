"""The nodes of the network, their control stack, and the programs that run on them."""

from .blocking import BlockingCircuit, BlockingLink, BlockingNode, BlockingSocket, blocking
from .circuit import Circuit
from .circuits import Terms
from .control import Contract, Promise
from .delivery import CircuitClosedError, CircuitRefusedError, Pair
from .end import Demand, EndNode
from .link import LinkError, LinkRequest, OkKeep, OkMeasure
from .node import QuantumNode
from .photonic import PhotonicClient
from .physics import NodePhysics
from .processing import ProcessingNode
from .programs import CircuitEnd, Program, ProgramNode, Programs, Socket
from .repeater import Hub, Repeater

__all__ = [
    "BlockingCircuit",
    "BlockingLink",
    "BlockingNode",
    "BlockingSocket",
    "Circuit",
    "CircuitClosedError",
    "CircuitEnd",
    "CircuitRefusedError",
    "Contract",
    "Demand",
    "EndNode",
    "Hub",
    "LinkError",
    "LinkRequest",
    "NodePhysics",
    "OkKeep",
    "OkMeasure",
    "Pair",
    "PhotonicClient",
    "ProcessingNode",
    "Program",
    "ProgramNode",
    "Programs",
    "Promise",
    "QuantumNode",
    "Repeater",
    "Socket",
    "Terms",
    "blocking",
]
