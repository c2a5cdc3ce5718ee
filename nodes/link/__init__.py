"""The link layer: pairs with a neighbour, on request (the EGP of draft-dahlberg-ll-quantum-03)."""

from .egp import Egp, EgpActions
from .layer import LinkLayer
from .messages import (
    CHSH,
    XYZ,
    XZ,
    Add,
    AddAck,
    AddRej,
    Bases,
    Choice,
    Close,
    Code,
    Create,
    EndFigures,
    Err,
    Kind,
    LinkError,
    OkKeep,
    OkMeasure,
    Serve,
    X,
    Y,
    Z,
)
from .queue import DistributedQueue, Phase, Request
from .service import LinkUser
from .user import LinkRequest

__all__ = [
    "CHSH",
    "XYZ",
    "XZ",
    "Add",
    "AddAck",
    "AddRej",
    "Bases",
    "Choice",
    "Close",
    "Code",
    "Create",
    "DistributedQueue",
    "Egp",
    "EgpActions",
    "EndFigures",
    "Err",
    "Kind",
    "LinkError",
    "LinkLayer",
    "LinkRequest",
    "LinkUser",
    "OkKeep",
    "OkMeasure",
    "Phase",
    "Request",
    "Serve",
    "X",
    "Y",
    "Z",
]
