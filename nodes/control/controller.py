"""The controller: knows the network from reports, admits demands, and keeps account of what it has promised.

It is a classical node. Circuits that are established do not need it: when it is gone they go on, and when it comes
back it asks everybody what there is, the promises in force included, before it admits anything new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio

from emulator import US, Actor, Enquire, Envelope, Figures, Handler, LinkFigures, Message, S, UnknownActorError
from emulator.time import Place as Parking
from nodes.distillation import PROTOCOLS

from .ledger import Ledger, Place
from .messages import Ask, Deny, Describe, Ended, Grant, NodeReport, Promise
from .planning import Foresight, Offer, Shortfall, Way, plan
from .soundness import flaw_of_figures, flaw_of_promise, flaw_of_report
from .topology import Hop, Topology

_PATIENCE_NS = S  # for the reports of nodes that may be down
_GAP_NS = 50 * US  # from one node to the next, so that not all answer at one instant
_MOST_WAITING = 10_000  # demands that wait for an answer; one more is refused
_FIDELITIES = (0.0, 0.9, 0.95, 0.98)  # of links: as they are set, and what they can be set to

# What a link is asked for: its ends and the least fidelity.
_Key = tuple[str, str, float]


@dataclass(slots=True, eq=False)
class _Waiting:
    node: str
    ask: Ask
    deadline_ns: int
    full: Place | None = None  # where there was no room for it, when it was last looked at


class Controller(Actor):
    """Admits demands. `nodes`: the names of those that it is to manage, to whom it must have channels."""

    role = "controller"

    def __init__(self, name: str, nodes: Sequence[str]) -> None:
        super().__init__(name)
        self._nodes = tuple(nodes)

    # -- life ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Know nothing, and ask everybody."""
        self.topology = Topology()
        self.ledger = Ledger(self.topology)
        self._figures: dict[_Key, LinkFigures] = {}
        self._news = Parking()
        self._silent = set(self._nodes)
        self._enquired: dict[_Key, str] = {}  # which station was asked
        self._reported: list[tuple[str, Promise]] = []
        self._queue: list[_Waiting] = []
        self._flaws: dict[str, str] = {}  # of reports that cannot be true, by node
        self._foresee = Foresight(self.random("forecast"))
        self._settled = trio.Event()
        self._work = trio.Event()
        self._closing = False
        for k, node in enumerate(self._nodes):
            self.after(1 + k * _GAP_NS, self.send, node, Describe())
        self.after(_PATIENCE_NS + len(self._nodes) * _GAP_NS, self._settle)

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return what nodes and stations say."""
        return {NodeReport: self.on_report, Figures: self.on_figures, Ask: self.on_ask, Ended: self.on_ended}

    def neighbour_began(self, name: str) -> None:
        """Ask a node again what it is, since it may not have heard the last question; what it asked itself is void."""
        self._queue = [waiting for waiting in self._queue if waiting.node != name]
        if name in self._nodes:
            self.send(name, Describe())

    def held(self) -> Mapping[str, int]:
        """Return the promises in force, and the demands that have no answer."""
        return {"promises": len(self.ledger.promises), "demands": len(self._queue)}

    def close(self) -> None:
        """Admit nothing any more."""
        self._closing = True
        for waiting in self._queue:
            self._deny(waiting, "OTHER", "the network is being shut down")
        self._queue.clear()
        self._work.set()

    # -- what it is told -------------------------------------------------------------------------------------------

    def on_report(self, message: NodeReport, envelope: Envelope) -> None:
        """Take what a node says of itself, unless it cannot be true."""
        node = envelope.sender
        if node not in self._nodes:
            return
        if (flaw := flaw_of_report(node, message)) is not None:
            self._flaws[node] = flaw
            self.record("unsound", node, flaw)
        else:
            self._flaws.pop(node, None)
            self.topology.add(node, message)
            self.ledger.remove_all(node)
            self._reported = [(other, promise) for other, promise in self._reported if other != node]
            self._reported.extend((node, promise) for promise in message.promises)
            if self._settled.is_set():
                self._enter_promises()
        self._work.set()
        self._silent.discard(node)
        if not self._silent:
            self._settle()

    def on_figures(self, message: Figures, envelope: Envelope) -> None:
        """Take what a station says of a link, if it was asked, and unless it cannot be true."""
        key = (message.a, message.b, message.min_fidelity)
        if self._enquired.get(key) != envelope.sender:
            return
        if (flaw := flaw_of_figures(message.figures)) is not None:
            self.record("unsound", envelope.sender, flaw)
        else:
            self._figures[key] = message.figures
            self._news.wake()

    def on_ask(self, message: Ask, envelope: Envelope) -> None:
        """Queue a demand."""
        known = message.demand in self.ledger.promises
        if known or any(waiting.ask.demand == message.demand for waiting in self._queue):
            return  # asked again, in doubt whether it came through
        waiting = _Waiting(envelope.sender, message, self.now_ns + message.contract.patience_ns)
        if len(self._queue) >= _MOST_WAITING or self._closing:
            self._deny(waiting, "NORES", "too many demands wait already")
            return
        self._queue.append(waiting)
        self._queue.sort(key=lambda waiting: -waiting.ask.contract.priority)  # stable: first come, first served
        self._work.set()

    def on_ended(self, message: Ended, envelope: Envelope) -> None:
        """Take back what a demand had, or take it off the queue; others may have waited for it."""
        promise = self.ledger.promises.get(message.demand)
        if promise is not None and promise.path[0] == envelope.sender:
            self.ledger.remove(message.demand)
        ended = (envelope.sender, message.demand)  # perhaps before all have reported
        self._reported = [(node, promise) for node, promise in self._reported if (node, promise.demand) != ended]
        self._queue = [w for w in self._queue if (w.ask.demand, w.node) != (message.demand, envelope.sender)]
        self._work.set()

    def _settle(self) -> None:
        if not self._settled.is_set():
            self._enter_promises()
            self.record("settled", len(self.topology.nodes), len(self.ledger.promises))
            self._settled.set()

    def _enter_promises(self) -> None:
        """Enter the promises in force, once the nodes on their paths are known."""
        for node, promise in self._reported:
            flaw = flaw_of_promise(node, promise)
            if flaw is None and self.topology.contradicts(promise.path):
                flaw = "path"
            if flaw is None:
                self.ledger.add(promise)
            else:
                self.record("unsound", node, flaw)
        self._reported.clear()

    # -- what it decides -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Go through the demands, one after the other, whenever there is news."""
        await self._settled.wait()
        while not self._closing:
            self._work = trio.Event()
            soonest_ns = await self._serve_all()
            with trio.move_on_after(max(0, soonest_ns - self.now_ns) * 1e-9 if soonest_ns else float("inf")):
                await self._work.wait()

    async def _serve_all(self) -> int:
        """Answer the demands that can be answered; return the first deadline of the others, 0 if there is none."""
        full: dict[Place, int] = {}  # where there is no room for so many lanes
        for waiting in list(self._queue):
            if waiting.node not in self.topology.nodes and waiting.node not in self._flaws:
                continue  # it has begun a new life, and its report is on its way
            lanes = waiting.ask.contract.terms.lanes
            if waiting.full in full and lanes >= full[waiting.full] and waiting.deadline_ns > self.now_ns:
                continue  # or a long queue would be gone through for each circuit that is given back
            answer = await self._decide(waiting.node, waiting.ask)
            if waiting not in self._queue:
                continue  # it was withdrawn, or the run has ended
            if isinstance(answer, Shortfall):
                waiting.full = answer.full
                if answer.full is not None:
                    full[answer.full] = min(lanes, full.get(answer.full, lanes))
                if answer.code == "NORES" and waiting.deadline_ns > self.now_ns:
                    continue  # somebody may give something back in time
                self._deny(waiting, answer.code, answer.reason)
            else:
                promise = Promise(waiting.ask.demand, answer.path, answer.terms, answer.rate_hz, answer.fidelity)
                self.ledger.add(promise)
                self.send(waiting.node, Grant(promise))
            self._queue.remove(waiting)
        return min((waiting.deadline_ns for waiting in self._queue), default=0)

    def _deny(self, waiting: _Waiting, code: str, reason: str) -> None:
        self.send(waiting.node, Deny(waiting.ask.demand, code, reason))

    async def _decide(self, node: str, ask: Ask) -> Offer | Shortfall:
        """Return the offer of the shortest way that keeps the contract, or what is missing on the best."""
        if (reason := self._unsound(node, ask)) is not None:
            return Shortfall("CREATE", reason, 0.0)
        worst = Shortfall("UNSUPP", f"there is no way to {ask.to!r}", -2.0)
        for path in self.topology.paths(node, ask.to):
            answer = await self._decide_path(path, ask)
            if isinstance(answer, Offer):
                return answer
            if (answer.code == "NORES", answer.fidelity) > (worst.code == "NORES", worst.fidelity):
                worst = answer
        return worst

    async def _decide_path(self, path: tuple[str, ...], ask: Ask) -> Offer | Shortfall:
        hops = self.topology.hops(path) if ask.contract.promises else []
        best: Shortfall | None = None
        before: list[LinkFigures] = []
        for min_fidelity in _FIDELITIES:
            links: list[LinkFigures] = []
            for hop in hops:
                figures = await self._enquire(hop, min_fidelity)
                if figures is None:
                    return Shortfall("TIMEOUT", f"the heralding station {hop.station} gives no sound answer", -1.0)
                links.append(figures)
            if links and links == before:
                break  # the links have one setting only
            before = links
            answer = plan(ask.contract, self._way(path, links), min_fidelity, self._foresee)
            if isinstance(answer, Offer):
                return answer
            if best is None or answer.fidelity > best.fidelity:
                best = answer
            if not ask.contract.fidelity:
                break
        assert best is not None
        return best

    def _way(self, path: tuple[str, ...], links: list[LinkFigures]) -> Way:
        lanes, narrowest = self.ledger.lanes(path)
        ends = path if len(links) == len(path) - 1 else (path[0], path[-1])
        figures = tuple(self.topology.nodes[name].figures for name in ends)
        hubs = self.ledger.shares(path, (1.0, 1.0))
        first, last = (self.ledger.share(hub) if hub in hubs else 1.0 for hub in (path[1], path[-2]))
        return Way(path, tuple(links), figures, lanes, narrowest, (first, last))

    def _unsound(self, node: str, ask: Ask) -> str | None:
        """Return what is wrong with a demand in itself."""
        if (flaw := self._flaws.get(node)) is not None:
            return f"what this node says of itself cannot be true: {flaw}"
        contract, nodes = ask.contract, self.topology.nodes
        terms = contract.terms
        checks = (
            (node in nodes, f"the controller knows nothing sound of {node!r}"),
            (ask.to != node, "a demand joins two nodes, this one begins and ends at the same"),
            (ask.to in nodes, f"there is no node named {ask.to!r}"),
            (ask.to not in nodes or nodes[ask.to].may_end, f"{ask.to!r} is no end node"),
            (contract.rate_hz >= 0, f"a rate of {contract.rate_hz:g} pairs per second is impossible"),
            (0 <= contract.fidelity <= 1, f"a fidelity of {contract.fidelity:g} is impossible: it is between 0 and 1"),
            (contract.duration_ns >= 0, "a duration must not be negative"),
            (terms.lanes >= 1, f"{terms.lanes} memory positions are none"),
            (terms.cutoff_ns >= 0, "a cutoff must not be negative"),
            (0 <= terms.min_fidelity <= 1, f"a fidelity of {terms.min_fidelity:g} is impossible"),
            (all(0 <= s <= terms.lanes for s in terms.shares), "shares are between 0 and one station for each lane"),
            (not terms.distil or terms.distil in PROTOCOLS, f"there is no distillation protocol {terms.distil!r}"),
            (not terms.distil or terms.rounds >= 1, f"{terms.rounds} rounds of distillation are none"),
            (not terms.distil or terms.lanes > terms.rounds, "distillation needs more lanes than rounds"),
        )
        return next((reason for right, reason in checks if not right), None)

    async def _enquire(self, hop: Hop, min_fidelity: float) -> LinkFigures | None:
        """Ask the station of a link for its figures, unless they are known; None: it does not answer."""
        key = (hop.a, hop.b, min_fidelity)
        if key not in self._figures:
            self._enquired[key] = hop.station
            try:
                self.send(hop.station, Enquire(*key))
            except UnknownActorError:
                return None  # a node has named a station that is not there
            with trio.move_on_after(_PATIENCE_NS * 1e-9):
                while key not in self._figures:
                    await self._news.park()
        return self._figures.get(key)
