"""The ranges that parameters of a scheme must keep to, and what is said when they do not."""

from __future__ import annotations

import math


def require(scheme: object, low: float, high: float, *names: str) -> None:
    """Raise ValueError naming the first of these attributes of `scheme` outside `low` to `high`, or not a number.

    An infinite bound leaves that side open; infinity itself is refused all the same.
    """
    for name in names:
        value = getattr(scheme, name)
        if not (low <= value <= high and math.isfinite(value)):
            limits = f"between {low:g} and {high:g}" if math.isfinite(high - low) else _open(low)
            raise ValueError(f"{name} must be {limits}, got {value!r}")


def require_share(scheme: object, *names: str) -> None:
    """Raise ValueError unless these attributes of `scheme` are probabilities or shares, from 0 to 1."""
    require(scheme, 0.0, 1.0, *names)


def _open(low: float) -> str:
    return f"finite and at least {low:g}" if math.isfinite(low) else "finite"
