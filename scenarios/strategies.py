"""Hypothesis strategies for what is thrown at a network: fault schedules, and demands besides a scenario's own.

They yield plain tables, as they stand in scenario files, so that whatever is found can be written down and run again.

    from hypothesis import given
    from scenarios.strategies import fault_schedules, targets_of

    TARGETS = targets_of(prepare("chain")[2].network)

    @given(fault_schedules(TARGETS, until_s=2.0))
    def test_my_protocol_survives(faults): ...
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from hypothesis import strategies as st

from emulator import FaultError, Network
from emulator.faults import Attribute, Fault, kinds

# A table of a scenario file, such as a `[[fault]]`.
FaultTable: TypeAlias = dict[str, Any]

_LEAST_MS: Final = 10  # shorter faults are hardly seen
_CLOCK_MS: Final = 1000


def targets_of(network: Network, only: Sequence[str] = ()) -> dict[str, list[str]]:
    """Return which targets each kind of fault can have in a network; only: kinds to consider (empty: all)."""
    names = network.names
    channels = [f"{a}>{b}" for a in names for b in sorted(network.cell(a).channels)]
    links = [f"{a}-{b}" for a in names for b in names if a < b]
    candidates = [*names, *links, *channels]
    chosen = {name: kind() for name, kind in kinds().items() if not only or name in only}
    found = {name: [t for t in candidates if _fits(fault, network, t)] for name, fault in chosen.items()}
    return {name: targets for name, targets in found.items() if targets}


def _fits(fault: Fault, network: Network, target: str) -> bool:
    try:
        fault.sites(network, target)
    except FaultError:
        return False
    return True


def faults(targets: Mapping[str, Sequence[str]], *, until_s: float) -> st.SearchStrategy[FaultTable]:
    """Return a strategy of faults that are over by a time, in seconds; targets: by kind, see `targets_of`."""
    return st.sampled_from(sorted(targets)).flatmap(lambda kind: _faults_of(kind, targets[kind], until_s))


def fault_schedules(
    targets: Mapping[str, Sequence[str]], *, until_s: float, most: int = 5
) -> st.SearchStrategy[list[FaultTable]]:
    """Return a strategy of lists of at most so many faults. Some may contradict others: see `network.inject`."""
    return st.lists(faults(targets, until_s=until_s), max_size=most)


def demands(ends: Sequence[str], *, most: int = 3, lanes: int = 1) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Return a strategy of lists of routes between end nodes, each of which asks for a few pairs again and again."""
    route = st.fixed_dictionaries(
        {
            "a": st.sampled_from(ends),
            "b": st.sampled_from(ends),
            "pairs": st.integers(1, 5),
            "pause_s": st.sampled_from([0.01, 0.05, 0.3]),
            "order": st.sampled_from(["asap", "nested"]),
            "lanes": st.integers(1, lanes),
        },
        optional={"cutoff_s": st.sampled_from([0.005, 0.05])},
    )
    return st.lists(route.filter(lambda table: table["a"] != table["b"]), max_size=most)


def _faults_of(kind: str, targets: Sequence[str], until_s: float) -> st.SearchStrategy[FaultTable]:
    cls = kinds()[kind]
    last = int(until_s * _CLOCK_MS)
    has_end = not (cls.at_once or cls().lasts_ns is not None)
    start_ms = st.integers(1, last - _LEAST_MS if has_end else last * 2 // 3)
    table = {
        "kind": st.just(kind),
        "target": st.sampled_from(targets),
        "attributes": st.fixed_dictionaries({f.name: _values(f, until_s) for f in msgspec.structs.fields(cls)}),
    }
    if not has_end:
        return st.fixed_dictionaries({**table, "start_s": start_ms.map(lambda ms: ms / _CLOCK_MS)})
    span = start_ms.flatmap(lambda ms: st.tuples(st.just(ms), st.integers(ms + _LEAST_MS, last)))
    return st.tuples(st.fixed_dictionaries(table), span).map(
        lambda both: both[0] | {"start_s": both[1][0] / _CLOCK_MS, "end_s": both[1][1] / _CLOCK_MS}
    )


def _values(field: msgspec.structs.FieldInfo, until_s: float) -> st.SearchStrategy[Attribute]:
    """Return a strategy around an attribute's default, which it shrinks to."""
    default = field.default
    options = getattr(getattr(field.type, "__origin__", field.type), "__args__", None)
    if field.name == "down_s":
        return st.sampled_from([until_s / 100, until_s / 10, until_s / 3])
    if isinstance(default, str) and options:
        return st.sampled_from([default, *(value for value in options if value != default)])
    if isinstance(default, bool):
        return st.booleans()
    if isinstance(default, float) and default:
        return st.sampled_from([default, default / 10, min(default * 5, _limit(field))])
    return st.just(default)


def _limit(field: msgspec.structs.FieldInfo) -> float:
    """Return the greatest value of a numeric attribute."""
    limits = (note.le for note in getattr(field.type, "__metadata__", ()) if isinstance(note, msgspec.Meta))
    return min((limit for limit in limits if limit is not None), default=math.inf)
