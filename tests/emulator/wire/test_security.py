"""Who has no certificate, or a wrong one, is refused at the handshake, and both sides can say why."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from emulator.wire.credentials import CredentialsError
from emulator.wire.framing import WireError
from emulator.wire.security import check_plain, client_context, peer_name, secure, server_context

Secured = trio.SSLStream[trio.abc.Stream]


async def connect() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Return both sides of a TCP connection over loopback."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        client = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        return client, await listener.accept()


async def both(
    client_side: ssl.SSLContext,
    server_side: ssl.SSLContext,
    *,
    server_is: str = "bob",
    client_is: str | None = "alice",
) -> list[str]:
    """Return what the client and the server learn about each other: a name, or an error."""
    learned = ["", ""]
    client, server = await connect()

    async def side(k: int, stream: trio.SocketStream, context: ssl.SSLContext, peer: str | None) -> None:
        async with stream:
            try:
                learned[k] = peer_name(await secure(stream, context, server_side=bool(k), peer=peer))
            except WireError as error:
                learned[k] = str(error)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(side, 0, client, client_side, server_is)
            nursery.start_soon(side, 1, server, server_side, client_is)
    assert all(text.isprintable() for text in learned)
    return learned


async def test_each_side_learns_the_other_s_name(deployment: Path) -> None:
    alice, bob = client_context(deployment, "alice"), server_context(deployment, "bob")
    assert await both(alice, bob) == ["bob", "alice"]
    assert await both(alice, bob, client_is=None) == ["bob", "alice"]


async def test_what_is_sent_arrives_by_tls_1_3_without_delay(deployment: Path) -> None:
    client, server = await connect()
    secured: list[Secured] = []

    async def accept() -> None:
        secured.append(await secure(server, server_context(deployment, "bob"), server_side=True, peer=None))

    async with client, server, trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        ours = await secure(client, client_context(deployment, "alice"), server_side=False, peer="bob")
        await ours.send_all(b"first")
        await ours.send_all(b"second")
        await trio.testing.wait_all_tasks_blocked()
        (theirs,) = secured
        assert ours.version() == "TLSv1.3"
        received = b""
        while len(received) < 11:
            received += await theirs.receive_some()
        assert received == b"firstsecond"
        for end in (client, server):
            assert end.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_without_a_certificate_a_client_is_refused(deployment: Path) -> None:
    nobody = ssl.create_default_context(cafile=str(deployment / "authority.crt"))
    said = await both(nobody, server_context(deployment, "bob"), client_is=None)
    assert said == ["bob wants a certificate", "the other side has no certificate"]


async def test_a_certificate_of_another_authority_is_refused(deployment: Path, other_deployment: Path) -> None:
    stranger = client_context(other_deployment, "alice")
    stranger.load_verify_locations(cafile=deployment / "authority.crt")  # it trusts us, but we do not trust it
    assert await both(stranger, server_context(deployment, "bob"), client_is=None) == [
        "bob says that this host's certificate is of another authority",
        "the certificate of the other side is of another authority",
    ]
    assert await both(client_context(deployment, "alice"), server_context(other_deployment, "bob"), client_is=None) == [
        "the certificate of bob is of another authority",
        "the other side says that this host's certificate is of another authority",
    ]


async def test_an_authority_of_the_machine_is_not_trusted(deployment: Path) -> None:
    for context in (client_context(deployment, "alice"), server_context(deployment, "alice")):
        assert len(context.get_ca_certs()) == 1


async def test_an_expired_certificate_is_refused(deployment: Path) -> None:
    assert await both(client_context(deployment, "carol"), server_context(deployment, "bob"), client_is="carol") == [
        "bob says that this host's certificate has expired",
        "the certificate of carol has expired",
    ]
    alice, carol = client_context(deployment, "alice"), server_context(deployment, "carol")
    assert await both(alice, carol, server_is="carol", client_is="alice") == [
        "the certificate of carol has expired",
        "alice says that this host's certificate has expired",
    ]


async def test_the_certificate_of_another_host_is_refused(deployment: Path) -> None:
    said = await both(client_context(deployment, "alice"), server_context(deployment, "conductor"))
    assert said[0] == "the certificate at bob is that of another host"
    assert said[1] == "alice says that this host's certificate is not good"
    said = await both(client_context(deployment, "alice"), server_context(deployment, "bob"), client_is="conductor")
    assert said[1] == "the other side's certificate is that of alice, not of conductor"
    assert said[0] == "bob ended the connection in the handshake of TLS"


async def test_older_tls_is_refused(deployment: Path) -> None:
    old = client_context(deployment, "alice")
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    said = await both(old, server_context(deployment, "bob"), client_is=None)
    assert said[1] == "the other side does not speak TLS 1.3"


async def refused_by_server(deployment: Path, act: Callable[[trio.SocketStream], Awaitable[None]]) -> str:
    client, server = await connect()
    async with client, server:
        await act(client)
        with pytest.raises(WireError) as caught, trio.fail_after(20):
            await secure(server, server_context(deployment, "bob"), server_side=True, peer=None)
    return str(caught.value)


async def test_a_peer_that_speaks_no_tls_is_refused(deployment: Path) -> None:
    async def speak(stream: trio.SocketStream) -> None:
        await stream.send_all(b"qie\x00 this is no TLS")

    async def leave(stream: trio.SocketStream) -> None:
        await stream.send_eof()

    async def plain(stream: trio.SocketStream) -> None:
        await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")

    assert await refused_by_server(deployment, speak) == "the other side does not speak TLS"
    assert await refused_by_server(deployment, leave) == "the other side ended the connection in the handshake of TLS"
    assert "no TLS with the other side" in await refused_by_server(deployment, plain)


async def test_plain_connections_are_of_the_loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    client, server = await connect()
    async with client, server:
        check_plain(client)
        check_plain(server)
        monkeypatch.setattr(type(server.socket), "getpeername", lambda _: ("192.0.2.7", 9))
        with pytest.raises(WireError, match=r"on the loopback only, not with 192\.0\.2\.7"):
            check_plain(server)
    monkeypatch.undo()
    with pytest.raises(WireError, match="the connection broke"):
        check_plain(server)


async def test_who_calls_must_say_whom(deployment: Path) -> None:
    client, server = await connect()
    async with client, server:
        with pytest.raises(ValueError, match="whoever calls a host knows its name"):
            await secure(client, client_context(deployment, "alice"), server_side=False, peer=None)


def test_files_that_are_missing_or_do_not_fit_are_named(deployment: Path, tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"dave\.crt: no such file; `qie certs` makes"):
        server_context(deployment, "dave")
    for name in ("authority.crt", "alice.crt"):
        shutil.copy(deployment / name, tmp_path)
    shutil.copy(deployment / "bob.key", tmp_path / "alice.key")
    with pytest.raises(CredentialsError, match=r"alice\.crt with .*alice\.key cannot be used: key values mismatch"):
        client_context(tmp_path, "alice")
    (tmp_path / "authority.crt").write_text("nothing")
    with pytest.raises(CredentialsError, match=r"authority\.crt cannot be used: no certificate"):
        client_context(tmp_path, "alice")
