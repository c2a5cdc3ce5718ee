"""The handshake: both sides learn who the other is, or both learn why not; nothing that follows is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from emulator.wire.framing import WireError
from emulator.wire.handshake import PROTOCOL, Hello, greet, refuse

ALICE = Hello(PROTOCOL, "1.2", "host", "alice", "ab" * 32, 7)
BOB = Hello(PROTOCOL, "1.2", "host", "bob", "ab" * 32, 7)


async def both(a: Hello, b: Hello, *, a_expects: str | None = None, b_expects: str | None = None) -> list[Hello | str]:
    """Return what each of two sides learns: the other's Hello, or an error."""
    left, right = memory_stream_pair()
    learned: list[Hello | str] = ["", ""]

    async def side(k: int, stream: trio.abc.Stream, mine: Hello, expected: str | None) -> None:
        try:
            learned[k] = await greet(stream, mine, expected_name=expected)
        except WireError as error:
            learned[k] = str(error)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(side, 0, left, a, a_expects)
        nursery.start_soon(side, 1, right, b, b_expects)
    return learned


async def test_each_side_learns_who_the_other_is() -> None:
    assert await both(ALICE, BOB, a_expects="bob") == [BOB, ALICE]


async def test_what_is_not_known_yet_fits_all() -> None:
    conductor = Hello(PROTOCOL, "1.2", "conductor", "conductor", None, None)
    assert await both(conductor, BOB) == [BOB, conductor]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"software": "1.3"}, ("versions differ", "1.2", "1.3")),
        ({"protocol": 99}, ("versions differ", "protocol 1", "protocol 99")),
        ({"scenario_sha256": "cd" * 32}, ("scenarios differ", "ab" * 32, "cd" * 32)),
        ({"seed": 8}, ("seeds differ", "has 7", "has 8")),
        ({"name": "alice"}, ("both sides have the name alice",)),
    ],
)
async def test_a_mismatch_is_an_error_at_both_sides_that_names_what_both_have(
    change: dict[str, object], names: tuple[str, ...]
) -> None:
    for said in await both(ALICE, msgspec.structs.replace(BOB, **change)):
        assert isinstance(said, str)
        assert all(name in said for name in names), said


async def test_only_one_conducts() -> None:
    a, b = (msgspec.structs.replace(hello, role="conductor") for hello in (ALICE, BOB))
    assert await both(a, b) == ["alice and bob both conduct", "bob and alice both conduct"]


async def test_another_than_expected_is_refused_and_learns_why() -> None:
    assert await both(ALICE, BOB, a_expects="carol") == [
        "alice expects carol here, not bob",
        "the other side refuses: alice expects carol here, not bob",
    ]


async def test_a_hello_of_a_later_protocol_is_understood_as_far_as_it_must_be() -> None:
    class LaterHello(Hello, frozen=True, tag="hello"):
        more: str = "whatever"

    later = LaterHello(PROTOCOL + 1, "9.0", "host", "bob")
    said, other = await both(ALICE, later)
    assert said == "versions differ: alice has 1.2 (protocol 1), bob has 9.0 (protocol 2)"
    assert isinstance(other, str)
    assert "alice has 1.2 (protocol 1)" in other


async def test_what_follows_the_handshake_is_left_in_the_stream() -> None:
    left, right = memory_stream_pair()

    async def first(stream: trio.abc.Stream) -> None:
        await greet(stream, ALICE, expected_name="bob")
        await stream.send_all(b"what follows")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first, left)
        await trio.testing.wait_all_tasks_blocked()  # its Hello and a verdict, with what follows, will come together
        await greet(right, BOB, expected_name=None)
        await trio.testing.wait_all_tasks_blocked()
        assert await right.receive_some() == b"what follows"


async def test_a_stream_that_takes_nothing_before_it_is_read_holds_nobody_up() -> None:
    left, right = lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: greet(left, ALICE, expected_name="bob"))
        assert await greet(right, BOB, expected_name="alice") == ALICE


async def test_whoever_is_turned_away_early_learns_why() -> None:
    left, right = memory_stream_pair()
    await refuse(right, "too many\nconnections")
    await right.aclose()
    with pytest.raises(WireError, match="the other side refuses: too many connections"):
        await greet(left, ALICE, expected_name=None)


async def learned_from(send: Callable[[trio.abc.Stream], Awaitable[None]]) -> tuple[str, bytes]:
    """Return the error of a side that gets this, and what it sent."""
    left, right = memory_stream_pair()
    await send(right)
    with pytest.raises(WireError) as caught:
        await greet(left, ALICE, expected_name=None)
    await left.aclose()
    answer = b""
    while data := await right.receive_some():
        answer += data
    assert str(caught.value).isprintable()
    return str(caught.value), answer


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GET / HTTP/1.1\r\n", "no host of an emulation"),
        (b"q", "ended the connection"),
        (b"qX", "no host of an emulation"),
        (b"qie\x00\x00\x00\x00\x00", "up to 4096 bytes, not 0"),
        (b"qie\x00\xff\xff\xff\xff", "up to 4096 bytes, not 4294967295"),
        (b"qie\x00\x00\x00\x00\x01\xc1", "no MessagePack"),
        (b"qie\x00\x00\x00\x00\x02\x91\x91", "not one frame"),
        (b"qie\x00\x00\x00\x00\x09\x91\xa7welcome", "not what a handshake has here: Welcome"),
    ],
)
async def test_garbage_is_refused_and_answered(data: bytes, message: str) -> None:
    async def send(stream: trio.abc.Stream) -> None:
        await stream.send_all(data)
        await stream.send_eof()

    error, answer = await learned_from(send)
    assert message in error
    assert b"refusal" in answer


async def test_what_a_peer_calls_itself_is_shown_in_one_printable_line() -> None:
    evil = msgspec.structs.replace(BOB, software="1\x1b[2J\n\u202e" + "x" * 240)
    said, _ = await both(ALICE, evil)
    assert isinstance(said, str)
    assert said.isprintable()
    assert len(said) < 400


async def test_a_peer_that_says_nothing_is_waited_for_as_long_as_the_caller_likes(
    autojump_clock: MockClock,
) -> None:
    assert autojump_clock.rate == 0  # time passes only while all wait
    left, _right = memory_stream_pair()
    with pytest.raises(trio.TooSlowError), trio.fail_after(10):
        await greet(left, ALICE, expected_name=None)
    assert trio.current_time() == pytest.approx(10)


async def test_a_connection_that_breaks_is_an_error_that_says_so() -> None:
    left, right = memory_stream_pair()
    await left.aclose()
    with pytest.raises(WireError, match="broke in the handshake"):
        await greet(left, ALICE, expected_name=None)
    await right.aclose()
