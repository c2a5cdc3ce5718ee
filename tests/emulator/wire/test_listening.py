"""Strangers at the door: the good ones are served at once, whatever the others do."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from emulator.wire.framing import WireError
from emulator.wire.handshake import PROTOCOL, Hello, greet
from emulator.wire.listening import listen, take_connections
from emulator.wire.security import client_context, peer_name, secure, server_context

Admitted = tuple[trio.SSLStream[trio.abc.Stream], Hello]


def hello(name: str) -> Hello:
    return Hello(PROTOCOL, "1.2", "host", name)


async def admitted_by(
    stream: trio.SocketStream, context: ssl.SSLContext, *, name: str, peer: str = "bob"
) -> trio.SSLStream[trio.abc.Stream]:
    """Return the secured stream when a peer has admitted this host."""
    secured = await secure(stream, context, server_side=False, peer=peer)
    await greet(secured, hello(name), expected_name=peer)
    return secured


class Host:
    """A host that echoes what admitted peers send, and what it tells about the others."""

    def __init__(self) -> None:
        self.port = 0
        self.told: list[str] = []
        self._news = trio.Event()

    def tell(self, line: str) -> None:
        self.told.append(line)
        self._news.set()

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def told_of(self, *words: str) -> None:
        """Wait until it has told of each of these."""
        while missing := [word for word in words if not any(word in line for line in self.told)]:
            self._news = trio.Event()
            with trio.move_on_after(20) as patience:
                await self._news.wait()
            assert not patience.cancelled_caught, f"{missing} not in {self.told}"

    async def echoes_to(self, folder: Path, name: str) -> bool:
        """Say whether a good peer is served."""
        async with await self.connect() as stream:
            secured = await admitted_by(stream, client_context(folder, name), name=name)
            async with secured:
                await secured.send_all(b"echo")
                return await secured.receive_some() == b"echo"


@contextlib.asynccontextmanager
async def bob(deployment: Path, *, strangers_max: int = 64) -> AsyncIterator[Host]:
    context, host = server_context(deployment, "bob"), Host()

    async def admit(stream: trio.SocketStream) -> Admitted:
        secured = await secure(stream, context, server_side=True, peer=None)
        return secured, await greet(secured, hello("bob"), expected_name=peer_name(secured))

    async def serve(admitted: Admitted) -> None:
        stream, _ = admitted
        while data := await stream.receive_some():
            if data == b"nonsense":
                raise WireError("not a frame")
            await stream.send_all(data)

    listeners = await listen(0)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                lambda: take_connections(listeners, admit, serve, tell=host.tell, strangers_max=strangers_max)
            )
            host.port = listeners[0].socket.getsockname()[1]
            yield host
            nursery.cancel_scope.cancel()


async def test_it_listens_on_the_loopback_only_unless_told_otherwise() -> None:
    for address, expected in ((None, "127.0.0.1"), ("0.0.0.0", "0.0.0.0")):  # noqa: S104
        listeners = await (listen(0) if address is None else listen(0, address=address))
        assert [listener.socket.getsockname()[0] for listener in listeners] == [expected]
        for listener in listeners:
            await listener.aclose()


async def test_a_port_that_is_taken_is_an_os_error() -> None:
    (listener,) = await listen(0)
    async with listener:
        with pytest.raises(OSError, match="in use"):
            await listen(listener.socket.getsockname()[1])


async def test_bad_peers_are_told_of_in_one_line_each_while_good_ones_are_served(
    deployment: Path, other_deployment: Path
) -> None:
    nobody = ssl.create_default_context(cafile=str(deployment / "authority.crt"))
    stranger = client_context(other_deployment, "alice")
    stranger.load_verify_locations(cafile=deployment / "authority.crt")

    async with bob(deployment) as host, await host.connect(), trio.open_nursery() as nursery:

        async def be_refused(context: ssl.SSLContext, *, peer: str = "bob", name: str = "alice") -> None:
            async with await host.connect() as stream:
                with pytest.raises(WireError):
                    await admitted_by(stream, context, peer=peer, name=name)

        async def babble(data: bytes) -> None:
            async with await host.connect() as stream:
                with contextlib.suppress(trio.BrokenResourceError):
                    await stream.send_all(data)
                await read_to_end(stream)

        nursery.start_soon(be_refused, nobody)
        nursery.start_soon(be_refused, stranger)
        nursery.start_soon(be_refused, client_context(deployment, "carol"))
        nursery.start_soon(lambda: be_refused(client_context(deployment, "alice"), peer="conductor"))
        nursery.start_soon(lambda: be_refused(client_context(deployment, "alice"), name="conductor"))
        nursery.start_soon(babble, b"\x00" * 100_000)
        nursery.start_soon(babble, b"\x16\x03\x01\xff\xff")
        assert await host.echoes_to(deployment, "alice")
        assert await host.echoes_to(deployment, "conductor")
        await host.told_of(
            "127.0.0.1 port",
            "has no certificate",
            "of another authority",
            "has expired",
            "this host's certificate is not good",  # alice had called the conductor
            "bob expects alice here, not conductor",
            "does not speak TLS",
        )
        assert await host.echoes_to(deployment, "alice")
        assert len(host.told) == 7
        assert all(line.isprintable() for line in host.told)


async def read_to_end(stream: trio.SocketStream) -> None:
    with contextlib.suppress(trio.BrokenResourceError):
        while await stream.receive_some():
            pass


async def test_who_does_not_finish_the_handshake_in_time_is_given_up(
    deployment: Path, autojump_clock: MockClock
) -> None:
    async with bob(deployment) as host, await host.connect() as silent:
        await silent.send_all(b"\x16\x03\x01")
        assert autojump_clock.rate == 0  # time passes only while all wait
        assert await silent.receive_some() == b""
        await host.told_of("no handshake within 10 s")
        assert trio.current_time() == pytest.approx(10)


async def test_a_flood_of_silent_strangers_is_bounded_and_shuts_nobody_out(deployment: Path) -> None:
    async with bob(deployment, strangers_max=5) as host:
        silent = [await host.connect() for _ in range(50)]
        await host.told_of("dropped: 5 connections that came later are in their handshakes")
        assert await host.echoes_to(deployment, "alice")
        assert len([line for line in host.told if "dropped" in line]) == 46
        for stream in silent:
            await stream.aclose()


async def test_those_served_do_not_count_as_strangers(deployment: Path) -> None:
    async with bob(deployment, strangers_max=1) as host, await host.connect() as stream:
        secured = await admitted_by(stream, client_context(deployment, "alice"), name="alice")
        assert await host.echoes_to(deployment, "conductor")
        await secured.send_all(b"still here")
        assert await secured.receive_some() == b"still here"


async def test_a_peer_that_breaks_the_protocol_later_is_told_of_too(deployment: Path) -> None:
    async with bob(deployment) as host, await host.connect() as stream:
        secured = await admitted_by(stream, client_context(deployment, "alice"), name="alice")
        await secured.send_all(b"nonsense")
        await host.told_of("not a frame")
    async with bob(deployment) as host:
        async with await host.connect() as stream:
            await admitted_by(stream, client_context(deployment, "alice"), name="alice")
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        await host.told_of("the connection broke")


@pytest.mark.parametrize("broken", ["admit", "serve"])
async def test_an_error_of_ours_is_not_hidden(broken: str) -> None:
    def fail_if(where: str) -> Callable[[object], None]:
        def check(_: object) -> None:
            if where == broken:
                raise KeyError(where)

        return check

    async def admit(stream: trio.SocketStream) -> trio.SocketStream:
        fail_if("admit")(stream)
        return stream

    async def serve(stream: trio.SocketStream) -> None:
        fail_if("serve")(stream)

    listeners = await listen(0)
    told: list[str] = []

    async def call() -> None:
        async with await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1]) as stream:
            await read_to_end(stream)

    with pytest.RaisesGroup(KeyError, flatten_subgroups=True), trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await take_connections(listeners, admit, serve, tell=told.append)
    assert told == []
