"""Fault injection: what can be broken on purpose, from when to when, and how often it met something.

A fault has a kind, a target, a start, an end, a probability and the attributes of its kind. Put it on the schedule of a
network, before or while it runs:

>>> from emulator import MS, Actor, Message, Network
>>> class Hello(Message, frozen=True, tag="faults-hello"):
...     pass
>>> class Talker(Actor):
...     def begin(self):
...         self.after(5 * MS, self.send, "bob", Hello())
>>> network = Network(seed=1, keep_history=True)
>>> _ = network.add(Talker("alice")), network.add(Actor("bob"))
>>> network.connect("alice", "bob", latency_ns=1 * MS)
>>> fault = network.inject("delay", "alice>bob", start_ns=2 * MS, end_ns=8 * MS, mean_ms=20)
>>> outcome = network.run(for_ns=50 * MS)
>>> [record.time_ns // MS for record in network.history.kept if record.kind == "message"], fault.fired
([26], 1)

A kind of one's own is a subclass of `Fault`, or of one of its families.
"""

from . import (
    bandwidth,
    calibration,
    clocks,
    clog,
    control,
    corrupt,
    crash,
    cut,
    delay,
    duplicate,
    from_outside,
    hardware,
    heralds,
    host,
    loss,
    optics,
    partition,
    pause,
    replay,
    stations,
    tamper,
)
from .conditions import CALIBRATED, Conditions
from .fault import Active, Attribute, Fault, FaultError, Scene, attributes, describe, kinds, make, name_of
from .hooks import Disturb, Heralds, Wrap
from .on_channels import OnChannels, Spot
from .on_fibre import OnFibre
from .on_node import OnNode
from .on_station import OnHeralds
from .schedule import Injection, Schedule

__all__ = [
    "CALIBRATED",
    "Active",
    "Attribute",
    "Conditions",
    "Disturb",
    "Fault",
    "FaultError",
    "Heralds",
    "Injection",
    "OnChannels",
    "OnFibre",
    "OnHeralds",
    "OnNode",
    "Scene",
    "Schedule",
    "Spot",
    "Wrap",
    "attributes",
    "bandwidth",
    "calibration",
    "clocks",
    "clog",
    "control",
    "corrupt",
    "crash",
    "cut",
    "delay",
    "describe",
    "duplicate",
    "from_outside",
    "hardware",
    "heralds",
    "host",
    "kinds",
    "loss",
    "make",
    "name_of",
    "optics",
    "partition",
    "pause",
    "replay",
    "stations",
    "tamper",
]
