"""The file that says which hosts there are, where they are, and who runs on them.

certificates = "certs"          # as `qie certs` makes them; the path is relative to this file
conductor = "conductor"         # the name in the certificate of whoever runs `qie deploy`

[[host]]
name = "west"
address = "192.0.2.1:7411"
actors = ["berlin*", "schaepe"]  # names or patterns; "auto": a share of whoever is left

[[host]]
name = "east"
address = "192.0.2.2:7411"
actors = "auto"
"""

from __future__ import annotations

import difflib
import fnmatch
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from emulator import Network
from emulator.wire.credentials import NAME
from scenarios.load import InputError, message_of

from . import placement
from .placement import Placement

DEFAULT_PORT: Final = 7411
Name = Annotated[str, Field(pattern=f"^{NAME}$")]


_ADDRESS: Final = re.compile(r"(\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[\w.-]+))(:(?P<port>[0-9]{1,5}))?", re.ASCII)


def _actors(value: object) -> object:
    if value == "auto" or (isinstance(value, list) and value and all(isinstance(name, str) for name in value)):
        return value
    raise ValueError(f'expected names or patterns, such as ["berlin*", "schaepe"], or "auto", got {value!r}')


class HostEntry(BaseModel):
    """One host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    address: str
    actors: Annotated[Literal["auto"] | list[str], BeforeValidator(_actors)] = "auto"

    @property
    def where(self) -> tuple[str, int]:
        """Return its address and port. Raises ValueError if there is none in it."""
        found = _ADDRESS.fullmatch(self.address)
        if found is None or not 0 < (port := int(found["port"] or DEFAULT_PORT)) < 65536:
            some = f"HOST or HOST:PORT, such as 192.0.2.1:{DEFAULT_PORT} or [2001:db8::1]:{DEFAULT_PORT}"
            raise ValueError(f"{self.address!r} is no address: expected {some}")
        return (found["six"] or found["host"]).lower(), port


class HostsFile(BaseModel):
    """All of them.

    plain: no TLS, which only hosts on the loopback take; lost_host: whether the run ends when a host is lost, or goes
    on as if all its actors had crashed for good.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: list[HostEntry] = Field(min_length=1)
    certificates: str = ""
    conductor: Name = "conductor"
    plain: bool = False
    lost_host: Literal["end", "crash"] = "end"
    limit_s: float = Field(default=30.0, gt=0, allow_inf_nan=False)

    def folder(self, path: str) -> Path | None:
        """Return where the certificates are, if this file is at `path`; None: there are none."""
        return None if self.plain else Path(path).parent / self.certificates


def read_hosts(path: str) -> HostsFile:
    """Return what a file says. Raises InputError that names the place and the cure."""
    try:
        found = HostsFile.model_validate(tomllib.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError([f"{path}: cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError([f"{path}: no TOML: {error}"]) from None
    except ValidationError as error:
        wrong = error.errors(include_url=False)
        raise InputError([f"{path}: {'.'.join(map(str, e['loc']))}: {_message_of(e)}" for e in wrong]) from None
    errors = [f"{path}: {line}" for line in _contradictions(found)]
    if errors:
        raise InputError(errors)
    return found


def _message_of(error: Any) -> str:
    if error["type"] == "string_pattern_mismatch":
        return f"expected letters, digits and hyphens between them, at most 63, got {error['input']!r}"
    return message_of(error, HostsFile)


def _contradictions(found: HostsFile) -> list[str]:
    errors = []
    names: dict[str, int] = {}
    places: dict[tuple[str, int], str] = {}
    for number, host in enumerate(found.host):
        if host.name.lower() in names:
            errors.append(f"host.{number}.name: {host.name!r} is the name of host.{names[host.name.lower()]}, too")
        names.setdefault(host.name.lower(), number)
        if host.name.lower() == found.conductor.lower():
            errors.append(f"host.{number}.name: {host.name!r} is the conductor's name; give another one by `conductor`")
        try:
            where = host.where
        except ValueError as error:
            errors.append(f"host.{number}.address: {error}")
            continue
        if where in places:
            errors.append(f"host.{number}.address: {host.name} and {places[where]} are both at {host.address}")
        places.setdefault(where, host.name)
    if not found.certificates and not found.plain:
        cure = "make them with `qie certs FOLDER NAME...`; `plain = true` does without, on the loopback"
        errors.append(f"certificates: no folder is given: {cure}")
    return errors


def placed(path: str, found: HostsFile, network: Network, weights: Mapping[str, float]) -> Placement:
    """Return who runs where. Raises InputError if somebody is placed twice or nowhere, or is not there."""
    errors: list[str] = []
    homes: dict[str, str] = {}
    automatic = [host.name for host in found.host if host.actors == "auto"]
    for number, host in enumerate(found.host):
        twice: list[str] = []
        for pattern in () if host.actors == "auto" else host.actors:
            matches = fnmatch.filter(network.names, pattern)
            if not matches:
                errors.append(
                    f"{path}: host.{number}.actors: {pattern!r} is nobody of this scenario{_meant(pattern, network)}"
                )
            twice += [actor for actor in matches if homes.setdefault(actor, host.name) != host.name]
        where = f"{path}: host.{number}.actors"
        errors += [f"{where}: {name!r} is placed on {homes[name]}, too; name it once" for name in dict.fromkeys(twice)]
    left = [name for name in network.names if name not in homes]
    if left and not automatic:
        some = ", ".join(left[:5]) + (", ..." if len(left) > 5 else "")
        errors.append(f'{path}: nobody runs {some}: add a pattern, or `actors = "auto"` for a host')
    if errors:
        raise InputError(errors)
    return _completed(path, found, network, weights, homes, automatic)


def _meant(pattern: str, network: Network) -> str:
    close = difflib.get_close_matches(pattern, network.names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(network.names[:5])}, ..."


def _completed(
    path: str,
    found: HostsFile,
    network: Network,
    weights: Mapping[str, float],
    homes: dict[str, str],
    automatic: list[str],
) -> Placement:
    """Give whoever is left to the hosts that take what comes."""
    result: Placement = {host.name: sorted(a for a, home in homes.items() if home == host.name) for host in found.host}
    left = [name for name in network.names if name not in homes]
    if left:
        try:
            result |= placement.place(network, automatic, weights, among=left)
        except ValueError as error:
            raise InputError([f"{path}: {error}"]) from None
    empty = [name for name, actors in result.items() if not actors]
    if empty:
        raise InputError([f"{path}: nobody is left to run on {', '.join(empty)}: take it out"])
    return result
