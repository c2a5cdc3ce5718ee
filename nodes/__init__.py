"""The nodes of the network and their control stack."""

from .end import Demand, EndNode, PhotonicClient, ProcessingNode
from .node import Circuit, NodePhysics, QuantumNode
from .repeater import Hub, Repeater

__all__ = [
    "Circuit",
    "Demand",
    "EndNode",
    "Hub",
    "NodePhysics",
    "PhotonicClient",
    "ProcessingNode",
    "QuantumNode",
    "Repeater",
]
