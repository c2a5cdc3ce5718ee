"""Where the certificates of a deployment lie: an authority's, and one with its key for each host, by the host's name.

A host needs the authority's certificate and its own two files. The authority's key makes certificates, and stays where
they are made.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Final

AUTHORITY: Final = "authority"
NAME: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # of a host


class CredentialsError(Exception):
    """A certificate or key cannot be made or used; the message is one line that says which, and why."""


def certificate_file(folder: Path, name: str = AUTHORITY) -> Path:
    """Return where the certificate of a host lies, or of the authority."""
    return folder / f"{name}.crt"


def key_file(folder: Path, name: str = AUTHORITY) -> Path:
    """Return where the private key of a host lies, or of the authority."""
    return folder / f"{name}.key"


def check_name(name: str) -> None:
    """Raise CredentialsError unless a certificate can be made for a host of this name.

    >>> check_name("berlin-hub")
    >>> check_name("10.0.0.7")
    Traceback (most recent call last):
    emulator.wire.credentials.CredentialsError: '10.0.0.7': a host has a name of its own here, not an address
    """
    try:
        ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        raise CredentialsError(f"{name!r}: a host has a name of its own here, not an address")
    if not re.fullmatch(NAME, name):
        expected = "letters, digits and hyphens between them, as in berlin-hub, at most 63"
        raise CredentialsError(f"{name!r}: expected {expected}")
    if name.lower() == AUTHORITY:
        raise CredentialsError(f"{name!r}: no host can have this name, it is that of the authority's files")
