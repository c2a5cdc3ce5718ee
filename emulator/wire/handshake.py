"""The first words on a connection: who each side is, and whether both are to run the same thing.

Both sides send a Hello at once, read the other's, and answer with a verdict: Welcome, or a Refusal that says why. So
a connection that both find good is good for both, and of a bad one each side can name what both have. Each of these
frames is preceded by eight bytes, a mark and the frame's length: a peer that speaks another language is known at once,
and exactly what belongs to the handshake is read. Whatever follows is left in the stream for the connection's decoder.

Nothing here has a time limit: the caller sets one.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from typing import Annotated, Final, Literal

import trio
from msgspec import Meta

from emulator.time.errors import raise_sole_error

from .framing import Codec, Frame, WireError, one_line

# What all frames mean. It changes whenever a host of before would misunderstand one of after.
PROTOCOL: Final = 1

_MARK: Final = b"qie\x00"
_HEAD: Final = struct.Struct(">4sI")
_LIMIT_BYTES: Final = 4096

_Short = Annotated[str, Meta(min_length=1, max_length=253)]  # as long as a name of the DNS
_BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


class Hello(Frame, frozen=True, tag="hello", forbid_unknown_fields=False):
    """Who this is, and what is to be run; None is what it does not know yet, and fits all.

    Of whatever protocol, a Hello begins with these fields: later ones may only add to them, so that each understands
    who the other is.
    """

    protocol: int
    software: _Short
    role: Literal["host", "conductor"]
    name: _Short
    scenario_sha256: Annotated[str, Meta(max_length=128)] | None = None
    seed: int | None = None


class Welcome(Frame, frozen=True, tag="welcome"):
    """Your Hello is good."""


class Refusal(Frame, frozen=True, tag="refusal"):
    """It is not: the connection ends here."""

    reason: Annotated[str, Meta(max_length=2000)]


_CODEC: Final = Codec((Hello, Welcome, Refusal))


async def greet(
    stream: trio.abc.Stream,
    mine: Hello,
    *,
    expected_name: str | None,
    object_to: Callable[[Hello], str | None] = lambda _: None,
    limit_bytes: int = _LIMIT_BYTES,
) -> Hello:
    """Return the other side's Hello, if both find both good. Every byte after the handshake is left in the stream.

    `expected_name` is who it must be; None if that is not known. `object_to` says what else speaks against it. Raises
    WireError, which names what both have, if either side refuses; the other's `greet` raises one, too. The caller
    closes the stream then.
    """
    theirs = await _first(stream, mine, limit_bytes)
    objection = _objection(mine, theirs, expected_name) or object_to(theirs)
    verdict = await _swap(stream, Welcome() if objection is None else Refusal(objection), limit_bytes)
    if objection is not None:
        raise WireError(objection)
    if not isinstance(verdict, Welcome):
        raise _unexpected(verdict)
    return theirs


async def refuse(stream: trio.abc.Stream, reason: str) -> None:
    """Tell the other side, whose `greet` raises it, why it is turned away before any Hello was read."""
    with contextlib.suppress(*_BROKEN):
        await stream.send_all(_packed(Refusal(one_line(reason))))


async def _first(stream: trio.abc.Stream, mine: Hello, limit_bytes: int) -> Hello:
    try:
        theirs = await _swap(stream, mine, limit_bytes)
        if not isinstance(theirs, Hello):
            raise _unexpected(theirs)
    except WireError as error:
        await refuse(stream, str(error))
        raise
    return theirs


def _objection(mine: Hello, theirs: Hello, expected_name: str | None) -> str | None:
    name = one_line(theirs.name)
    if mine.protocol != theirs.protocol or mine.software != theirs.software:
        return (
            f"versions differ: {mine.name} has {mine.software} (protocol {mine.protocol}), "
            f"{name} has {one_line(theirs.software)} (protocol {theirs.protocol})"
        )
    if expected_name is not None and theirs.name != expected_name:
        return f"{mine.name} expects {expected_name} here, not {name}"
    if mine.name == theirs.name:
        return f"both sides have the name {name}"
    if mine.role == theirs.role == "conductor":
        return f"{mine.name} and {name} both conduct"
    for what, ours, others in (
        ("scenarios", mine.scenario_sha256, theirs.scenario_sha256),
        ("seeds", mine.seed, theirs.seed),
    ):
        if ours is not None and others is not None and ours != others:
            return f"{what} differ: {mine.name} has {ours}, {name} has {one_line(str(others))}"
    return None


def _unexpected(frame: Frame) -> WireError:
    if isinstance(frame, Refusal):
        return WireError(f"the other side refuses: {one_line(frame.reason, length_max=2000)}")
    return WireError(f"not what a handshake has here: {type(frame).__name__}")


async def _swap(stream: trio.abc.Stream, mine: Frame, limit_bytes: int) -> Frame:
    """Send a frame and read one at once, so that no stream makes each side wait for the other."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send, stream, mine)
            return await _receive(stream, limit_bytes)
    except BaseExceptionGroup as group:
        raise_sole_error(group)


async def _send(stream: trio.abc.Stream, frame: Frame) -> None:
    # If the connection is broken, what can still be read says more about it: a refusal, perhaps.
    with contextlib.suppress(*_BROKEN):
        await stream.send_all(_packed(frame))


def _packed(frame: Frame) -> bytes:
    data = _CODEC.encode(frame)
    return _HEAD.pack(_MARK, len(data)) + data


async def _receive(stream: trio.abc.Stream, limit_bytes: int) -> Frame:
    head = b""
    while len(head) < _HEAD.size:
        head += await _some(stream, _HEAD.size - len(head))
        if not head.startswith(_MARK[: len(head)]):
            raise WireError("the other side is no host of an emulation: it does not begin as one")
    length = _HEAD.unpack(head)[1]
    if not 0 < length <= limit_bytes:
        raise WireError(f"a handshake has frames of up to {limit_bytes} bytes, not {length}")
    data = b""
    while len(data) < length:
        data += await _some(stream, length - len(data))
    decoder = _CODEC.decoder()
    frames = decoder.feed(data)
    if len(frames) != 1 or decoder.pending_bytes:
        raise WireError("not one frame, as a handshake has here")
    return frames[0]


async def _some(stream: trio.abc.Stream, bytes_max: int) -> bytes:
    try:
        data = bytes(await stream.receive_some(bytes_max))
    except _BROKEN as error:
        raise WireError("the connection broke in the handshake") from error
    if not data:
        raise WireError("the other side ended the connection in the handshake")
    return data
