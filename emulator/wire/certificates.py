"""Certificates for the hosts of a deployment, from an authority of its own.

A certificate says which host of the deployment its owner is, by name; where the host is in the network plays no part.
Needs the package `cryptography` (extra `hosts`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .credentials import AUTHORITY, CredentialsError, certificate_file, check_name, key_file

_DAYS: Final = 365
_DAYS_MAX: Final = 36_500
_AUTHORITY_LASTS: Final = 10  # times as long as what it makes first
_CLOCKS_DIFFER: Final = timedelta(hours=1)  # a certificate is good at once, though a host's clock be late


@dataclass(frozen=True)
class Issued:
    """One host's certificate: its files, until when it is good, and whether it is new or was there before."""

    name: str
    certificate: Path
    key: Path
    until: datetime
    new: bool

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        files = {"certificate": str(self.certificate), "key": str(self.key)}
        return {"name": self.name, **files, "until": self.until.isoformat(), "new": self.new}


@dataclass(frozen=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def create(
    folder: Path, names: Sequence[str], *, days: int = _DAYS, renew: bool = False, now: datetime | None = None
) -> list[Issued]:
    """Make a certificate and a key for each host that has none in the folder, and an authority if there is none.

    `renew` makes them anew for all the names given; the authority stays. Raises CredentialsError, before anything is
    written if something is wrong with the names, the days or the files that are there, and if a file cannot be written.
    """
    now = now or datetime.now(UTC)
    _check(names, days)
    kept = {} if renew else {name: found for name in names if (found := _found(folder, name, now)) is not None}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        authority = _authority(folder, days, now)
        return [kept.get(name) or _issue(folder, name, authority, days, now) for name in names]
    except OSError as error:
        raise CredentialsError(f"{error.filename or folder}: {error.strerror}") from error


def _check(names: Sequence[str], days: int) -> None:
    if not names:
        raise CredentialsError("no host is named: expected at least one name")
    if not 1 <= days <= _DAYS_MAX:
        raise CredentialsError(f"days: expected 1 to {_DAYS_MAX}, got {days}")
    seen: set[str] = set()
    for name in names:
        check_name(name)
        if name.lower() in seen:
            raise CredentialsError(f"{name!r}: two hosts have this name")
        seen.add(name.lower())


def _found(folder: Path, name: str, now: datetime) -> Issued | None:
    """Return what is there of a host, if it is complete and good."""
    certificate, key = certificate_file(folder, name), key_file(folder, name)
    if not certificate.exists() and not key.exists():
        return None
    for path in (certificate, key):
        if not path.exists():
            raise CredentialsError(f"{path} is missing, its counterpart is there: put it back, or renew {name}")
    until = _read_certificate(certificate).not_valid_after_utc
    if until <= now:
        raise CredentialsError(f"{certificate} expired on {until:%Y-%m-%d}: renew {name}")
    return Issued(name, certificate, key, until, new=False)


def _authority(folder: Path, days: int, now: datetime) -> _Authority:
    certificate, key = certificate_file(folder), key_file(folder)
    if not certificate.exists() and not key.exists():
        return _new_authority(folder, days, now)
    if not key.exists():
        raise CredentialsError(f"{key} is missing: certificates are made where the authority's key is kept")
    if not certificate.exists():
        raise CredentialsError(f"{certificate} is missing, its key is there: put it back, or take another folder")
    authority = _Authority(_read_certificate(certificate), _read_key(key))
    if authority.certificate.public_key() != authority.key.public_key():
        raise CredentialsError(f"{key} is not the key of {certificate}")
    if authority.certificate.not_valid_after_utc <= now:
        raise CredentialsError(f"{certificate} has expired: take another folder, and make all certificates anew")
    return authority


def _new_authority(folder: Path, days: int, now: datetime) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = _name(f"qie authority {serial % 2**32:08x}")  # of its own, so that authorities are told apart
    lifetime = timedelta(days=min(_AUTHORITY_LASTS * days, _DAYS_MAX))
    certificate = (
        _builder(name, name, key.public_key(), now, now + lifetime)
        .serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(folder, AUTHORITY, certificate, key)
    return _Authority(certificate, key)


def _issue(folder: Path, name: str, authority: _Authority, days: int, now: datetime) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(now + timedelta(days=days), authority.certificate.not_valid_after_utc)
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        _builder(_name(name), authority.certificate.subject, key.public_key(), now, until)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    _write(folder, name, certificate, key)
    return Issued(
        name, certificate_file(folder, name), key_file(folder, name), certificate.not_valid_after_utc, new=True
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    """Return what a key may do: the authority's signs certificates, a host's signs what it says."""
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write_file(key_file(folder, name), secret, 0o600)
    _write_file(certificate_file(folder, name), certificate.public_bytes(Encoding.PEM), 0o644)


def _write_file(path: Path, data: bytes, mode: int) -> None:
    """Write a file that nobody else can ever read half of, or read at all if the mode says so."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    draft.replace(path)


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise CredentialsError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CredentialsError(f"{path} is no certificate") from error


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:  # TypeError: it is encrypted
        raise CredentialsError(f"{path} is no private key without a password") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CredentialsError(f"{path} is no key of an elliptic curve")
    return key
