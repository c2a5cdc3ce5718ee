"""Errors as the caller expects them: by themselves, not wrapped in what ran them."""

from __future__ import annotations

from typing import NoReturn


def raise_sole_error(group: BaseExceptionGroup[BaseException]) -> NoReturn:
    """Raise the one error that a group of groups holds, with its own cause and context; else the group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context  # `raise` has put the group there
        del error, context  # no cycle through this frame
