"""A hub with memory for c circuits at once is a loss system: Poisson demands are blocked as Erlang's formula says."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from nodes import CircuitRefusedError, Demand, Program, ProgramNode, Terms
from scenarios.run import run_programs

PAIRS = 100  # of end nodes: so many that a source is hardly ever busy with its last demand when the next comes
HOLDING_S = 0.02


def erlang_b(servers: int, offered: float) -> float:
    """Return the share of blocked demands: B(0) = 1, B(c) = a B(c-1) / (c + a B(c-1))."""
    blocked = 1.0
    for c in range(1, servers + 1):
        blocked = offered * blocked / (c + offered * blocked)
    return blocked


def constant(_: ProgramNode) -> float:
    return HOLDING_S


def exponential(node: ProgramNode) -> float:
    return -HOLDING_S * math.log1p(-node.random.uniform())


def test_erlang_b_has_its_published_values() -> None:
    values = [erlang_b(c, a) for c, a in ((1, 1), (2, 1), (3, 2), (4, 2), (10, 7))]
    assert values == pytest.approx([0.5, 0.2, 0.2105, 0.0952, 0.0787], abs=5e-5)


MEMORY = "memory of a hub that swaps"
STATIONS = "heralding stations behind a switch"


@asynccontextmanager
async def reserved(node: ProgramNode, to: str, what: str) -> AsyncIterator[None]:
    """Take memory of the hub for two links, or all the time of one of its heralding stations."""
    if what == MEMORY:
        async with node.circuit(to=to):
            yield
        return
    end = node._node
    name = await end.open_circuit(Demand((end.name, "city", to), Terms(shares=(1.0, 1.0))))
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            await end.close_circuit(name)


@pytest.mark.parametrize("holding", [constant, exponential])  # the formula does not depend on their distribution
@pytest.mark.parametrize(("servers", "offered", "what"), [(2, 1.0, MEMORY), (3, 2.0, MEMORY), (3, 2.0, STATIONS)])
def test_poisson_demands_at_a_hub_are_blocked_as_erlang_b_says(
    servers: int, offered: float, what: str, holding: Callable[[ProgramNode], float]
) -> None:
    asked = blocked = busy = 0

    def source(to: str) -> Program:
        async def ask(node: ProgramNode) -> None:
            nonlocal asked, blocked, busy
            try:
                async with reserved(node, to, what):
                    asked += 1
                    await trio.sleep(holding(node))
            except CircuitRefusedError as refusal:
                if refusal.reason in ("no free memory at city", "no heralding station has 1 of its time left"):
                    asked += 1
                    blocked += 1
                else:
                    busy += 1  # this source's own last demand: not the hub's doing

        async def program(node: ProgramNode) -> None:
            async with trio.open_nursery() as nursery:
                while True:
                    await trio.sleep(-HOLDING_S * PAIRS / offered * math.log1p(-node.random.uniform()))
                    nursery.start_soon(ask, node)

        return program

    programs = {f"city-{2 * k + 1}": source(f"city-{2 * k + 2}") for k in range(PAIRS)}
    settings = [
        f"end_nodes={2 * PAIRS}",
        "photonic_clients=0",
        f"analysers={0 if what == MEMORY else servers}",
        "nearest_km=0.01",
        "farthest_km=0.01",
        "hardware=ideal",
    ]
    settings += [f"hub_memories={2 * servers}", "star.0.success_probability=1e-9", "star.0.fidelity=1"]
    run = run_programs("metro", programs, for_s=40, seed=1, settings=settings)
    assert run.outcome.leaks == {}
    assert run.violations == []
    assert asked > 1_500
    assert busy < 0.04 * asked
    # Blocked demands come in bursts, so their number scatters more than that of independent ones: by less than twice.
    error = 2 * math.sqrt(erlang_b(servers, offered) * (1 - erlang_b(servers, offered)) / asked)
    assert abs(blocked / asked - erlang_b(servers, offered)) < 3 * error
