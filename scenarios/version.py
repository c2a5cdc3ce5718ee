"""Which version of the software this is."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """Return the version of the installed distribution."""
    try:
        return metadata.version("quantum-internet-emulator")
    except metadata.PackageNotFoundError:  # run from its source, without an installation
        return "unknown"
