"""Mutual TLS 1.3 between the hosts of a deployment: each shows a certificate of the deployment's own authority.

Who a host is, is the one name in its certificate. No other authority is trusted, not even those of the machine.
"""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from typing import Any, Final

import trio

from .credentials import CredentialsError, certificate_file, key_file
from .framing import WireError, one_line

# The server's word, within TLS, that the client's certificate is good: without it a client of TLS 1.3 does not know.
_ACCEPTED: Final = b"\x06"

_ENDED: Final = " ended the connection in the handshake of TLS"

# What OpenSSL finds about a certificate (X509_V_ERR_...).
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_OTHER_NAME: Final = 62
_UNKNOWN_ISSUERS: Final = {2, 18, 19, 20, 21, 7}


def server_context(folder: Path, name: str) -> ssl.SSLContext:
    """Return how a host of this name is called by others. Raises CredentialsError."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, folder, name)
    context.num_tickets = 0  # sessions are not resumed
    return context


def client_context(folder: Path, name: str) -> ssl.SSLContext:
    """Return how a host of this name calls others. Raises CredentialsError."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, folder, name)
    context.check_hostname = True
    context.hostname_checks_common_name = False
    return context


def _context(protocol: int, folder: Path, name: str) -> ssl.SSLContext:
    authority, certificate, key = certificate_file(folder), certificate_file(folder, name), key_file(folder, name)
    for path in (authority, certificate, key):
        if not path.is_file():
            raise CredentialsError(f"{path}: no such file; `qie certs` makes the certificates of a deployment")
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise CredentialsError(f"{authority} cannot be used: {_words(error)}") from error
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        raise CredentialsError(f"{certificate} with {key} cannot be used: {_words(error)}") from error
    return context


def _no_password() -> str:
    return ""  # else OpenSSL would ask at the terminal


async def secure(
    stream: trio.abc.Stream, context: ssl.SSLContext, *, server_side: bool, peer: str | None
) -> trio.SSLStream[trio.abc.Stream]:
    """Return the stream secured, once both sides have found each other's certificates good.

    `peer` is the name of the host at the other side; only a server may not know it yet (None). Raises WireError if the
    other side has no certificate, or one of another authority, of another host, or expired; it learns the reason, too.
    The caller closes the stream then, and sets a time limit.
    """
    if peer is None and not server_side:
        raise ValueError("peer: whoever calls a host knows its name")
    name = None if server_side else peer
    secured = trio.SSLStream(stream, context, server_hostname=name, server_side=server_side)
    try:
        await secured.do_handshake()
        if server_side:
            _check_name(secured, peer)
            await secured.send_all(_ACCEPTED)
        elif (word := await secured.receive_some(1)) != _ACCEPTED:
            raise WireError(f"{peer} does not say that this host is accepted" if word else f"{peer}{_ENDED}")
    except trio.BrokenResourceError as error:
        await _tell_reason(secured, stream)
        raise WireError(_reason(error.__cause__ or error, peer)) from error
    return secured


def check_plain(stream: trio.SocketStream) -> None:
    """Raise WireError unless both ends of a connection that is to go without TLS are on this machine's loopback."""
    try:
        ends = (stream.socket.getsockname(), stream.socket.getpeername())
    except OSError as error:
        raise WireError("the connection broke") from error
    for address, *_ in ends:
        if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            raise WireError(f"without TLS there are connections on the loopback only, not with {address}")


def peer_name(stream: trio.SSLStream[trio.abc.Stream]) -> str:
    """Return the name of the host at the other side, from its certificate. Raises WireError if it has not one name."""
    found: dict[str, Any] = stream.getpeercert() or {}
    names = [value for kind, value in found.get("subjectAltName", ()) if kind == "DNS"]
    if len(names) != 1:
        raise WireError(f"the other side's certificate has {len(names)} names, not one")
    return str(names[0])


def _check_name(stream: trio.SSLStream[trio.abc.Stream], expected: str | None) -> None:
    name = peer_name(stream)
    if expected is not None and name != expected:
        raise WireError(f"the other side's certificate is that of {one_line(name)}, not of {expected}")


async def _tell_reason(secured: trio.SSLStream[trio.abc.Stream], stream: trio.abc.Stream) -> None:
    """Send the alert in which TLS says why it refuses: trio leaves it in its buffer."""
    alert = secured._outgoing.read()  # noqa: SLF001  (trio's version is fixed)
    if alert:
        try:
            await stream.send_all(alert)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return


def _reason(error: BaseException, peer: str | None) -> str:
    """Say in one line what went wrong; alerts are what the other side has found."""
    who = peer or "the other side"
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        if code in {_EXPIRED, _NOT_YET_VALID}:
            return f"the certificate of {who} {'has expired' if code == _EXPIRED else 'is not valid yet'}"
        if code == _OTHER_NAME:
            return f"the certificate at {who} is that of another host"
        if code in _UNKNOWN_ISSUERS:
            return f"the certificate of {who} is of another authority"
        return f"the certificate of {who} is not good: {one_line(error.verify_message)}"
    reason = str(getattr(error, "reason", None))
    known = {
        "PEER_DID_NOT_RETURN_A_CERTIFICATE": f"{who} has no certificate",
        "ALERT_CERTIFICATE_REQUIRED": f"{who} wants a certificate",
        "ALERT_CERTIFICATE_EXPIRED": f"{who} says that this host's certificate has expired",
        "ALERT_UNKNOWN_CA": f"{who} says that this host's certificate is of another authority",
        "ALERT_BAD_CERTIFICATE": f"{who} says that this host's certificate is not good",
        "WRONG_VERSION_NUMBER": f"{who} does not speak TLS",
        "UNSUPPORTED_PROTOCOL": f"{who} does not speak TLS 1.3",
        "UNEXPECTED_EOF_WHILE_READING": f"{who}{_ENDED}",
    }
    if isinstance(error, ssl.SSLZeroReturnError | ssl.SSLEOFError):  # what older versions of Python make of it
        return f"{who}{_ENDED}"
    # Before ALERT_, versions of OpenSSL have this or that version of TLS.
    said = next((text for ending, text in known.items() if reason.endswith(ending)), None)
    return said or f"no TLS with {who}: {_words(error)}"


def _words(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return one_line((error.reason or error.strerror or str(error)).replace("_", " ").lower())
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(str(error)) or "the connection broke"
