"""Light that programs send to a neighbour and receive from one: single photons, and trains of weak coherent pulses.

What is under way is in the engine; a message travels with it that says when it comes. Each node adds what its own
hardware does: the sender its source, the receiver its detectors and its choice of bases. The fibres and the heralding
station between, which lets light pass, add their loss.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import trio

from emulator import Envelope, Light, PulseTrain, QuantumDevice, RandomStream, S, Setting, TrainId, Vector
from emulator.time import Place

from .bases import AXES, UNIFORM, Bases, checked_bases
from .ports import PortNode

_LONGEST_FLIGHT_NS: Final = S  # light that nobody has looked at by then is gone; it is enough for 200 000 km
_PS: Final = 1_000

# The station through which light can go to a node; None: there is no way.
FindStation: TypeAlias = Callable[[str], str | None]


class LightRefusedError(RuntimeError):
    """A node lacks the hardware or the way for light that its program wants to send or receive."""


@dataclass(frozen=True, slots=True)
class Click:
    """A detected pulse, or photon: what its receiver knows of it.

    emitted_ns: when it left its sender, as both know from their clocks; time_ns: when it came; pulse: its number in its
    train, from 0; basis: 1 X, 2 Y, 3 Z, or 0 for a direction of the program's own; bit: 0 along that direction.
    """

    emitted_ns: int
    time_ns: int
    pulse: int
    basis: int
    bit: int


@dataclass(frozen=True, slots=True)
class Reception:
    """All clicks of a train of pulses that has come to its end; emitted_ns: when its first pulse left."""

    emitted_ns: int
    pulses: int
    clicks: tuple[Click, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """How a pulse was prepared: intensity (mean number of photons), basis (1 X, 2 Y, 3 Z) and bit."""

    intensity: float
    basis: int
    bit: int


class Receiver:
    """A program's detectors, while they watch for the light of one neighbour."""

    def __init__(self, bases: Sequence[float] | None, direction: Vector | None) -> None:
        if direction is not None and bases is not None:
            raise ValueError("give bases to choose from, or one direction, not both")
        self._first = 1 if direction is None else 0
        weights = checked_bases(UNIFORM if bases is None else bases)
        choice = list(zip(AXES.values(), weights, strict=True)) if direction is None else [(direction, 1.0)]
        self.directions: list[tuple[Vector, float]] = choice
        self._queue: deque[Click | Reception] = deque()
        self._ends = 0
        self._wants_ends = False
        self._place = Place()

    async def click(self) -> Click:
        """Wait for the next click, of a photon or of a pulse."""
        while True:
            while not self._queue:
                await self._place.park()
            item = self._queue.popleft()
            if isinstance(item, Click):
                return item
            self._ends -= 1

    async def train(self) -> Reception:
        """Wait for the end of the next train of pulses; return it with all clicks that were not taken one by one."""
        self._wants_ends = True
        try:
            while not self._ends:
                await self._place.park()
        finally:
            self._wants_ends = False
        clicks = []
        while isinstance(item := self._queue.popleft(), Click):
            clicks.append(item)
        self._ends -= 1
        return Reception(item.emitted_ns, item.pulses, tuple(clicks))

    def put(self, light: Light, detection: tuple[int, int, int]) -> Click:
        """Take a detection from the node, and return what it makes of it."""
        pulse, direction, bit = detection
        emitted_ns = light.emitted_ns + pulse * light.period_ps // _PS
        click = Click(emitted_ns, emitted_ns + light.flight_ns, pulse, direction + self._first, bit)
        self._queue.append(click)
        if not self._wants_ends:
            self._place.wake()
        return click

    def end(self, light: Light) -> None:
        """Take the end of a train."""
        self._queue.append(Reception(light.emitted_ns, light.pulses, ()))
        self._ends += 1
        if self._wants_ends:
            self._place.wake()


class SentTrain:
    """The sender's notes of a train of pulses: how each was prepared.

    name: of the light; emitted_ns: when its first pulse left; pulses: how many there were.
    """

    def __init__(
        self, name: TrainId, emitted_ns: int, train: PulseTrain, prepared: Sequence[Prepared], random: RandomStream
    ) -> None:
        self.name = name
        self.emitted_ns = emitted_ns
        self.pulses = train.pulses
        self._train = train
        self._prepared = prepared
        self._random = random

    def prepared(self, pulse: int) -> Prepared:
        """Return how a pulse was prepared, of a detected one at any time.

        Raises IndexError if there was no such pulse, UnderWayError if it may still be detected.
        """
        return self._prepared[self._train.prepared(pulse, self._random.uniform())]

    def totals(self) -> dict[tuple[float, int], int]:
        """Return how many pulses were sent with each (intensity, basis); raises UnderWayError before all have come."""
        found: dict[tuple[float, int], int] = {}
        for prepared, count in zip(self._prepared, self._train.totals(self._random.uniform()), strict=True):
            key = prepared.intensity, prepared.basis
            found[key] = found.get(key, 0) + count
        return found


class LightPort:
    """Sends and receives the light of a node's programs.

    A source makes one photon or train at a time, the others wait. A train whose first pulse finds nobody watching for
    its sender is missed.
    """

    def __init__(self, node: PortNode, device: QuantumDevice) -> None:
        self.find_station: FindStation = lambda peer: port.station if (port := node.ports.get(peer)) else None
        self._node = node
        self._trains = device.trains
        self._number = 0  # goes on through all lives, so that no name comes back
        self.begin()

    def begin(self) -> None:
        """Start a life without light."""
        self._source = trio.Lock()
        self._sent: deque[tuple[TrainId, int]] = deque()  # and when it is gone for certain
        self._receivers: dict[str, Receiver] = {}
        self._arriving: dict[TrainId, Light] = {}

    def lose(self) -> None:
        """Lose all light that comes or goes."""
        for train in self._arriving:
            self._look_no_further(train)
        self.close()
        self.begin()

    def close(self) -> None:
        """Give up what is under way."""
        for train, _ in self._sent:
            self._trains.pop(train, None)
        self._sent.clear()

    def held(self) -> Mapping[str, int]:
        """Return what is in use."""
        return {"receivers": len(self._receivers), "light that arrives": len(self._arriving)}

    # -- sending ---------------------------------------------------------------------------------------------------

    async def send_photon(self, to: str, direction: Vector) -> int:
        """Prepare a photon and send it; return when it left, in ns. Raises LightRefusedError."""
        terminal = self._node.physics.terminal
        if not terminal.photon_probability:
            raise LightRefusedError(f"{self._node.name} has no source of single photons")
        station = self._station(to)
        bloch = _scaled(direction, terminal.photon_contrast)
        train = PulseTrain([Setting(bloch, terminal.photon_probability, single=True)], 1)
        async with self._source:
            return await self._node.operate(terminal.photon_ns, self._emit, to, station, train, 0)

    async def send_train(
        self, to: str, pulses: int, intensities: Mapping[float, float], bases: Sequence[float], clock_hz: float
    ) -> SentTrain:
        """Send a train of weak coherent pulses; return when the last one has left. Raises LightRefusedError."""
        period_ps = self._period_ps(clock_hz)
        station = self._station(to)
        prepared, settings = _settings(intensities, checked_bases(bases), self._node.physics.terminal.pulse_contrast)
        train = PulseTrain(settings, pulses, kept=True)
        async with self._source:
            emitted_ns = self._emit(to, station, train, period_ps)
            name = (self._node.name, self._number)
            try:
                await self._node.sleep(pulses * period_ps // _PS)
            except trio.Cancelled:
                self.forget(name)
                raise
        return SentTrain(name, emitted_ns, train, prepared, self._node.random("light sent"))

    def forget(self, name: TrainId) -> None:
        """Throw away the notes of a train; it flies on if it has not come yet."""
        train = self._trains.get(name)
        if train is not None:
            train.kept = False
            if train.over:
                del self._trains[name]

    def _period_ps(self, clock_hz: float) -> int:
        name, fastest_ps = self._node.name, self._node.physics.terminal.pulse_period_ps
        if not fastest_ps:
            raise LightRefusedError(f"{name} has no source of weak pulses: pulse_clock_mhz of its hardware is 0")
        period_ps = round(1e12 / clock_hz) if clock_hz else fastest_ps
        if period_ps < fastest_ps:
            raise LightRefusedError(f"{name} sends at most {1e12 / fastest_ps:g} pulses per second, not {clock_hz:g}")
        return period_ps

    def _station(self, to: str) -> str:
        station = self.find_station(to) if to != self._node.name else None
        if station is None:
            message = "it goes to neighbours, and through an optical switch"
            raise LightRefusedError(f"no light can go from {self._node.name} to {to!r}: {message}")
        return station

    def _emit(self, to: str, station: str, train: PulseTrain, period_ps: int) -> int:
        name, now_ns = self._node.name, self._node.now_ns
        self._number += 1
        while self._sent and (self._sent[0][0] not in self._trains or self._sent[0][1] < now_ns):
            self._trains.pop(self._sent.popleft()[0], None)
        gone_ns = now_ns + train.pulses * period_ps // _PS + _LONGEST_FLIGHT_NS
        self._sent.append(((name, self._number), gone_ns))
        self._trains[name, self._number] = train
        self._node.send(station, Light(name, self._number, to, train.pulses, period_ps, now_ns, 1.0, 0))
        return now_ns

    # -- receiving -------------------------------------------------------------------------------------------------

    def watch(self, sender: str, receiver: Receiver) -> None:
        """Let a receiver have all clicks of a sender's light from now on. Raises LightRefusedError."""
        if self._node.physics.terminal.detector is None:
            message = 'the role of its hardware is not "receives" or "both"'
            raise LightRefusedError(f"{self._node.name} has no detectors: {message}")
        if sender in self._receivers:
            raise LightRefusedError(f"{self._node.name} watches for light of {sender!r} already")
        self._station(sender)
        self._receivers[sender] = receiver

    def unwatch(self, sender: str, receiver: Receiver) -> None:
        """End that; what is still to come of a train is missed."""
        if self._receivers.get(sender) is receiver:  # else a crash has ended it
            del self._receivers[sender]

    def on_light(self, message: Light, envelope: Envelope) -> None:
        """See light come."""
        name = (message.sender, message.number)
        train, detector = self._trains.get(name), self._node.physics.terminal.detector
        receiver = self._receivers.get(message.sender)
        if train is None or receiver is None or detector is None:
            self._look_no_further(name)
            return
        self._arriving[name] = message
        train.watch(detector, message.transmission, receiver.directions)
        self._draw(message, train, receiver)

    def _draw(self, light: Light, train: PulseTrain, receiver: Receiver) -> None:
        """Draw the next detections: those that are due by now, and the one after them."""
        random = self._node.random("light received")
        now_ns = self._node.now_ns
        while True:
            u = (random.uniform(), random.uniform(), random.uniform(), random.uniform())
            detection = train.next_detection(u)
            last = light.pulses - 1 if detection is None else detection.pulse
            due_ns = light.emitted_ns + last * light.period_ps // _PS + light.flight_ns
            if detection is None and not light.period_ps:
                self._end(light)  # of a single photon: nobody waits for it to be over
                return
            if due_ns > now_ns:
                self._node.after(due_ns - now_ns, self._arrive, light, train, receiver, detection)
                return
            if not self._take(light, receiver, detection):
                return

    def _arrive(
        self, light: Light, train: PulseTrain, receiver: Receiver, detection: tuple[int, int, int] | None
    ) -> None:
        if self._take(light, receiver, detection):
            self._draw(light, train, receiver)

    def _take(self, light: Light, receiver: Receiver, detection: tuple[int, int, int] | None) -> bool:
        """Hand a detection, or the end, to the receiver; return whether there is more to come."""
        if self._receivers.get(light.sender) is receiver:
            if detection is not None:
                click = receiver.put(light, detection)
                self._node.record("click", light.sender, light.number, click.pulse, click.basis, click.bit)
                return True
            receiver.end(light)
        self._end(light)
        return False

    def _end(self, light: Light) -> None:
        name = (light.sender, light.number)
        self._arriving.pop(name, None)
        self._look_no_further(name)

    def _look_no_further(self, name: TrainId) -> None:
        train = self._trains.get(name)
        if train is not None:
            train.end()
            if not train.kept:
                del self._trains[name]


def _settings(
    intensities: Mapping[float, float], bases: Bases, contrast: float
) -> tuple[list[Prepared], list[Setting]]:
    """Return all ways to prepare a pulse: with each intensity, in each basis, either bit."""
    if not intensities or not abs(sum(intensities.values()) - 1) <= 1e-9:
        raise ValueError(
            f"intensities must map mean photon numbers to probabilities whose sum is 1, got {intensities!r}"
        )
    prepared, settings = [], []
    for intensity, share in intensities.items():
        for basis, (axis, weight) in enumerate(zip(AXES.values(), bases, strict=True), start=1):
            for bit in (0, 1) if weight else ():
                prepared.append(Prepared(intensity, basis, bit))
                settings.append(Setting(_scaled(axis, contrast * (1 - 2 * bit)), intensity, weight=share * weight / 2))
    return prepared, settings


def _scaled(direction: Vector, length: float) -> Vector:
    x, y, z = direction
    if not abs(x * x + y * y + z * z - 1) <= 1e-9:
        raise ValueError(f"direction = {direction} must be a unit vector")
    return x * length, y * length, z * length
