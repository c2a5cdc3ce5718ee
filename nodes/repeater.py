"""Nodes in between: they swap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from emulator import Bank, Port, QuantumDevice

from .circuit import Circuit
from .circuits import Reserve, Terms
from .node import QuantumNode
from .physics import NodePhysics

_ROUNDING: Final = 1e-9


class Repeater(QuantumNode):
    """Two ports, memory towards both sides, and a Bell-state measurement between them."""

    may_end = False
    links_wanted = 2


class Hub(QuantumNode):
    """Many ports: the end nodes of a city and the backbone.

    With `analysers` its end nodes are behind an optical switch with that many heralding stations (an entanglement
    generation switch): the photons of two end nodes meet there, and the hub's memory serves the backbone alone.
    Circuits may have shares of the stations' time; the sum of the shares never exceeds the number of stations.
    """

    may_end = False

    def __init__(
        self,
        name: str,
        device: QuantumDevice,
        banks: Mapping[str, Bank],
        ports: Mapping[str, Port],
        physics: NodePhysics | None = None,
        *,
        switch: str = "",
        analysers: int = 0,
    ) -> None:
        super().__init__(name, device, banks, ports, physics)
        self.analysers = analysers
        self.switch = switch

    @property
    def shared(self) -> float:
        """Return how much of the stations' time has been given away: 1 is all the time of one."""
        return sum(circuit.share for circuit in self._circuits.values())

    def refusal(self, message: Reserve, ports: tuple[Port | None, Port | None]) -> str | None:
        """Refuse also what there is no heralding station for."""
        share = self._share_of(message.terms, ports)
        if share > 0 and self.shared + share > self.analysers + _ROUNDING:
            return f"no heralding station has {share:.3g} of its time left"
        if self._is_optical(ports):
            return "the circuit exists already" if message.circuit in self._circuits else None
        return super().refusal(message, ports)

    def set_aside(self, circuit: Circuit) -> None:
        """Set aside a share of the heralding stations, and memory unless the photons only pass."""
        circuit.share = self._share_of(circuit.terms, circuit.ports)
        if self._is_optical(circuit.ports):
            circuit.ports = (None, None)
        super().set_aside(circuit)

    def share(self, circuit: Circuit, side: int) -> float:
        """Return what a circuit was given, on the side of the switch."""
        port = circuit.ports[side]
        return circuit.share if port is not None and port.station == self.switch else 0.0

    def _is_optical(self, ports: tuple[Port | None, Port | None]) -> bool:
        return bool(self.switch) and all(port is not None and port.station == self.switch for port in ports)

    def _share_of(self, terms: Terms, ports: tuple[Port | None, Port | None]) -> float:
        """Return what a circuit wants of this hub: as the hub of its head-end or of its tail-end, or of neither."""
        west, east = (self.switch != "" and port is not None and port.station == self.switch for port in ports)
        return terms.shares[0] if west else terms.shares[1] if east else 0.0
