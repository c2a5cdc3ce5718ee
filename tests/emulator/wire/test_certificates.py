"""Certificates of a deployment: made once, kept, secret where they must be, renewed when asked."""

from __future__ import annotations

import doctest
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from emulator.wire import credentials, framing
from emulator.wire.certificates import create
from emulator.wire.credentials import CredentialsError

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def loaded(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_examples_in_the_modules_are_right() -> None:
    assert [doctest.testmod(module).failed for module in (framing, credentials)] == [0, 0]


def test_a_deployment_has_an_authority_and_a_certificate_with_a_key_for_each_host(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "keys"
    made = create(folder, ["alice", "berlin-hub"], now=NOW)
    assert sorted(contents(folder)) == [
        "alice.crt",
        "alice.key",
        "authority.crt",
        "authority.key",
        "berlin-hub.crt",
        "berlin-hub.key",
    ]
    assert [(entry.name, entry.new, entry.until) for entry in made] == [
        (name, True, NOW + timedelta(days=365)) for name in ("alice", "berlin-hub")
    ]
    authority, alice = loaded(folder / "authority.crt"), loaded(made[0].certificate)
    alice.verify_directly_issued_by(authority)
    assert authority.not_valid_after_utc == NOW + timedelta(days=3650)


def test_a_certificate_says_who_its_owner_is_and_what_it_is_for(tmp_path: Path) -> None:
    (made,) = create(tmp_path, ["alice"], days=7, now=NOW)
    certificate = loaded(made.certificate)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=7)
    assert certificate.not_valid_before_utc < NOW
    extensions = certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["alice"]
    assert set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    }
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_keys_are_for_their_owner_s_eyes_only(tmp_path: Path) -> None:
    create(tmp_path, ["alice"])
    for name in ("authority.key", "alice.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_what_is_there_is_kept_and_more_hosts_come_from_the_same_authority(tmp_path: Path) -> None:
    create(tmp_path, ["alice"])
    before = contents(tmp_path)
    alice, carol = create(tmp_path, ["alice", "carol"])
    assert (alice.new, carol.new) == (False, True)
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    loaded(carol.certificate).verify_directly_issued_by(loaded(tmp_path / "authority.crt"))


def test_a_certificate_is_renewed_when_asked_and_the_authority_stays(tmp_path: Path) -> None:
    create(tmp_path, ["alice", "bob"])
    before = contents(tmp_path)
    create(tmp_path, ["alice"], renew=True)
    after = contents(tmp_path)
    assert {name for name in before if after[name] != before[name]} == {"alice.crt", "alice.key"}
    assert (tmp_path / "alice.key").stat().st_mode & 0o777 == 0o600


def test_no_certificate_outlasts_its_authority(tmp_path: Path) -> None:
    create(tmp_path, ["alice"], days=1, now=NOW)
    (bob,) = create(tmp_path, ["bob"], days=365, now=NOW)
    assert bob.until == NOW + timedelta(days=10)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no host is named"),
        (["alice", "Alice"], "'Alice': two hosts have this name"),
        (["authority"], "'authority': no host can have this name"),
        (["../alice"], "expected letters, digits and hyphens"),
        (["al ice"], "expected letters"),
        (["alice\n"], "expected letters"),
        (["*.example"], "expected letters"),
        (["berlin.hub"], "expected letters"),
        (["-alice"], "expected letters"),
        ([""], "expected letters"),
        (["a" * 64], "at most 63"),
        (["ålice"], "expected letters"),
        (["192.168.0.7"], "a name of its own here, not an address"),
        (["::1"], "not an address"),
    ],
)
def test_names_that_are_none_are_refused_before_anything_is_written(
    tmp_path: Path, names: list[str], message: str
) -> None:
    folder = tmp_path / "keys"
    with pytest.raises(CredentialsError) as caught:
        create(folder, ["bob", *names] if names else [])
    assert message in str(caught.value)
    assert not folder.exists()


@pytest.mark.parametrize("days", [0, -1, 10**9])
def test_a_span_that_is_none_is_refused(tmp_path: Path, days: int) -> None:
    with pytest.raises(CredentialsError, match="days: expected 1 to 36500"):
        create(tmp_path, ["alice"], days=days)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("authority.key", "where the authority's key is kept"),
        ("authority.crt", "its key is there"),
        ("alice.key", r"alice\.key is missing, its counterpart is there: put it back, or renew alice"),
        ("alice.crt", r"alice\.crt is missing"),
    ],
)
def test_files_that_are_missing_are_named_and_nothing_is_made(tmp_path: Path, lost: str, message: str) -> None:
    create(tmp_path, ["alice"])
    (tmp_path / lost).unlink()
    before = contents(tmp_path)
    with pytest.raises(CredentialsError, match=message):
        create(tmp_path, ["alice", "bob"])
    assert contents(tmp_path) == before


def test_expired_certificates_are_named(tmp_path: Path) -> None:
    create(tmp_path, ["alice"], days=100, now=NOW)
    with pytest.raises(CredentialsError, match=r"alice\.crt expired on 2030-04-11: renew alice"):
        create(tmp_path, ["alice"], now=NOW + timedelta(days=200))
    with pytest.raises(CredentialsError, match=r"authority\.crt has expired: take another folder"):
        create(tmp_path, ["bob"], now=NOW + timedelta(days=1200))


def test_files_that_are_something_else_are_named(tmp_path: Path) -> None:
    mine, others = tmp_path / "mine", tmp_path / "others"
    create(mine, ["alice"])
    create(others, ["alice"])
    shutil.copy(others / "authority.key", mine)
    with pytest.raises(CredentialsError, match=r"authority\.key is not the key of .*authority\.crt"):
        create(mine, ["bob"])
    key = rsa.generate_private_key(65537, 2048)
    (mine / "authority.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(CredentialsError, match="no key of an elliptic curve"):
        create(mine, ["bob"])
    (mine / "authority.key").write_text("nothing")
    with pytest.raises(CredentialsError, match="no private key without a password"):
        create(mine, ["bob"])
    (mine / "alice.crt").write_text("nothing")
    with pytest.raises(CredentialsError, match=r"alice\.crt is no certificate"):
        create(mine, ["alice"])


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CredentialsError, match=r"file.*: (Not a directory|File exists)"):
        create(tmp_path / "file", ["alice"])
