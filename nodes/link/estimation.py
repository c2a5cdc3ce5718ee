"""The fidelity estimation unit (FEU) at a node: from what both ends of a link and its station say of themselves."""

from __future__ import annotations

import math
from typing import Final

from emulator import Contrasts, LinkFigures

from .messages import Code, Create, EndFigures

_ROUNDING: Final = 1e-9


def fidelity_of(contrasts: Contrasts) -> float:
    """Return the fidelity of a pair with these contrasts."""
    return (1 + sum(contrasts)) / 4


def fresh_fidelity(min_fidelity: float, *ends: EndFigures) -> float:
    """Return the fidelity a pair must have when it is born, to have at least `min_fidelity` when its OK is given.

    That is the case with the last herald, or the last read-out. What storage takes is taken for the worst of the three
    bases.

    >>> from emulator import StorageLaw
    >>> slow = EndFigures(stores=True, positions=1, light_ns=500_000, storage=StorageLaw(10.0), readout_ns=0)
    >>> round(fresh_fidelity(0.9, slow, slow), 3)
    0.913
    """
    if min_fidelity <= 0.25:
        return min_fidelity
    last_ns = max(end.light_ns + end.readout_ns for end in ends)
    stored = [end.storage.stored(end.light_ns + last_ns) for end in ends]
    x, y, e, s = (math.prod(each) for each in zip(*stored, strict=True))
    left = min(x, y, e - abs(s))  # decay of both halves to a pole speaks against the announced state, at worst
    return (1 + (4 * min_fidelity - 1) / left) / 4 if left > 0 else math.inf


def least_ns(create: Create, figures: LinkFigures, *ends: EndFigures) -> int:
    """Return the time that a request takes if every attempt succeeds."""
    positions = max(1, min(end.positions for end in ends))
    return max(figures.light_ns) + -(-create.number // positions) * figures.period_ns


def misfit(create: Create, end: EndFigures, *, origin: bool) -> str | None:
    """Return why an end's memory does not do for a request, if it does not."""
    if not create.keeps(origin=origin):
        return None
    if not end.stores:
        return "there is no memory to keep a qubit in"
    if not create.consecutive and create.number > end.positions:
        return f"{create.number} qubits at once do not fit into {end.positions} memory positions"
    return None


def judge(
    create: Create, figures: LinkFigures, time_left_ns: float, *ends: EndFigures, queued: bool
) -> tuple[Code, str] | None:
    """Return why a link cannot do what is asked, if it cannot: by what one end, or both, know.

    time_left_ns: for attempts; queued: whether the time was enough but for the queue.
    """
    best, needed = fidelity_of(figures.contrasts), fresh_fidelity(create.min_fidelity, *ends)
    if best < needed - _ROUNDING:
        return Code.UNSUPP, f"the best fidelity of a fresh pair is {best:.3f}, {needed:.3f} is needed"
    least = least_ns(create, figures, *ends)
    if least > time_left_ns:
        code = Code.NOTIME if queued else Code.UNSUPP
        return code, f"{create.number} pairs take {least * 1e-6:.3f} ms at least, {time_left_ns * 1e-6:.3f} ms are left"
    return None
