"""Measuring how fast the emulator is."""

from __future__ import annotations

from scenarios.load import InputError

from .answers import JsonFile, tell


def bench(name: str, *, json_: JsonFile = None) -> int:
    """Measure: kernel (events), swap (of two pairs), chain (ten links), star, metro (of 50 to 1000), hosts.

    Parameters
    ----------
    name
        kernel, swap, chain, star, metro or hosts.
    json_
        Write the figures as JSON to this file (- for standard output).
    """
    from scenarios.bench import BENCHES, measure  # noqa: PLC0415

    if name not in BENCHES:
        raise InputError([f"no benchmark {name!r}; there are {', '.join(BENCHES)}"])
    result = measure(name)
    lines = (
        f"{figure:<28} {value:,.6g}" if isinstance(value, int | float) else f"{figure:<28} {value}"
        for figure, value in result["figures"].items()
    )
    tell(result, json_, lines)
    return 0
