"""Whatever comes in: frames or a WireError come out, nothing hangs, and memory stays bounded.

Each run of the suite tries a few hundred inputs; 100 000 for each test are tried by

    pytest tests/emulator/wire/test_fuzzing.py --hypothesis-profile=fuzz

which takes twenty minutes and 700 MB: hypothesis spends most of both on making inputs and knowing them again. Inputs
are random bytes, valid frames with some bytes changed, deep nesting, huge lengths, values of all types that MessagePack
has, and mixtures of all that, cut at random places.
"""

from __future__ import annotations

import gc
import random
import struct
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import msgpack
import pytest
import trio
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from emulator.wire.framing import Codec, Frame, WireError
from emulator.wire.handshake import PROTOCOL, Hello, Refusal, Welcome, greet


class Word(Frame, frozen=True, tag="word"):
    time_ns: int
    sender: str
    data: bytes
    values: tuple[float, ...] = ()


class Batch(Frame, frozen=True, tag="batch"):
    words: list[tuple[int, str, bytes | None]]
    by_name: dict[str, int]
    promise_ns: int | None = None


LIMIT_BYTES = 2048
CODEC = Codec((Word, Batch), max_frame_bytes=LIMIT_BYTES)
ME = Hello(PROTOCOL, "1.2", "host", "alice", "ab" * 32, 7)
GREETINGS = Codec((Hello, Welcome, Refusal))

Cuts = list[int]
cuts = st.lists(st.integers(0, 1 << 13), max_size=6)
names = st.text(max_size=12)
ints = st.integers(-(2**63), 2**64 - 1)


def encoded(frames: list[Frame]) -> bytes:
    return CODEC.encode(*frames)


def greeting(frames: list[Frame]) -> bytes:
    packed = [GREETINGS.encode(frame) for frame in frames]
    return b"".join(struct.pack(">4sI", b"qie\x00", len(data)) + data for data in packed)


@st.composite
def changed(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    """Change some bytes: overwrite, insert, leave out, or repeat them."""
    data = bytearray(draw(valid))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 8)))
        new = draw(st.sampled_from([bytes(data[start:end]) * 2, b"", None]))
        data[start:end] = draw(st.binary(max_size=8)) if new is None else new
    return bytes(data)


words = st.builds(Word, ints, names, st.binary(max_size=60), st.lists(st.floats(), max_size=4).map(tuple))
batches = st.builds(
    Batch,
    st.lists(st.tuples(ints, names, st.none() | st.binary(max_size=9)), max_size=4),
    st.dictionaries(names, ints, max_size=3),
    st.none() | ints,
)
anything = st.recursive(
    st.none()
    | st.booleans()
    | ints
    | st.floats()
    | names
    | st.binary(max_size=20)
    # an extension that no type has; -1 is a time
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=8)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | ints, inner, max_size=4),
    max_leaves=12,
)
tagged = st.tuples(
    st.sampled_from(["word", "batch", "hello", "welcome", "refusal", ""]), st.lists(anything, max_size=5)
)
HEADERS = [
    b"\x91", b"\x9f", b"\x81\x00", b"\xdc\x00\x02", b"\xdc\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xde\xff\xff",
    b"\xdf\xff\xff\xff\xff", b"\xd9\xff", b"\xda\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01", b"\x95\xa4word", b"\x94\xa5batch",
]  # fmt: skip
hostile = st.one_of(
    st.binary(max_size=100),
    st.builds(bytes.__mul__, st.sampled_from(HEADERS), st.integers(1, 1500)),
    st.builds(bytes.__mul__, st.binary(min_size=1, max_size=5), st.integers(1, 1500)),
    anything.map(msgpack.packb),
    tagged.map(lambda parts: bytes(msgpack.packb([parts[0], *parts[1]]))),
)
frames_of_run = changed(st.lists(words | batches, max_size=4).map(encoded))
hellos = st.builds(
    Hello,
    st.sampled_from([PROTOCOL, 2]),
    st.sampled_from(["1.2", "", "x" * 300]),
    st.sampled_from(["host", "conductor"]),
    st.sampled_from(["bob", "alice", "\x1b[2J"]),
    st.sampled_from([None, ME.scenario_sha256, "cd" * 32]),
    st.sampled_from([None, 7, 8]),
)
verdicts = st.just(Welcome()) | st.builds(Refusal, names | st.just("x" * 3000))
good_greeting = st.just(greeting([Hello(PROTOCOL, "1.2", "host", "bob"), Welcome()]))
greetings = changed(good_greeting | st.lists(hellos | verdicts, max_size=3).map(greeting))


def mixed(special: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(special | hostile, min_size=1, max_size=3).map(b"".join)


def pieces(data: bytes, where: Cuts) -> Iterator[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in where} | {0, len(data)})
    for start, end in pairwise(places):
        yield data[start:end]


def decoded(data: bytes, where: Cuts) -> tuple[list[Frame], bool]:
    """Return the frames that come out, and whether there was an error; any other error is raised."""
    decoder, frames = CODEC.decoder(), list[Frame]()
    try:
        for piece in pieces(data, where):
            frames += decoder.feed(piece)
            assert decoder.pending_bytes <= LIMIT_BYTES
    except WireError as error:
        said = str(error)
    else:
        return frames, False
    assert said.isprintable()
    assert len(said) < 300
    assert decoder.pending_bytes == 0
    with pytest.raises(WireError):
        decoder.feed(CODEC.encode(Word(0, "", b"")))
    return frames, True


@given(mixed(frames_of_run), cuts)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_a_decoder_gives_frames_or_an_error_whatever_comes_in(data: bytes, where: Cuts) -> None:
    frames, failed = decoded(data, where)
    assert all(isinstance(frame, Word | Batch) for frame in frames)
    event(f"{'an error' if failed else 'no error'} after {'some' if frames else 'no'} frames")
    again, failed_again = decoded(CODEC.encode(*frames), [])
    assert CODEC.encode(*again) == CODEC.encode(*frames)  # bytes, as one NaN is not another
    assert not failed_again
    # How the bytes are cut makes no difference, but for the frames that come with the bad one.
    at_once, failed_at_once = decoded(data, [])
    assert failed_at_once == failed
    if not failed:
        assert CODEC.encode(*at_once) == CODEC.encode(*frames)


@given(mixed(frames_of_run), st.integers(1, 100))
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_a_decoder_s_memory_is_bounded_whatever_comes_in(data: bytes, repeat: int) -> None:
    tracemalloc.start()
    try:
        decoder = CODEC.decoder()
        before = tracemalloc.get_traced_memory()[0]
        try:
            for _ in range(repeat):
                decoder.feed(data)  # and what comes out is given up at once
        except WireError:
            pass
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    # The unpacker's buffer and ours are of a few frames; objects of small frames have some ten times their bytes.
    assert peak < 16 * LIMIT_BYTES + 16 * len(data) + 8192


def broken(rng: random.Random) -> bytes:
    """Return some bytes that are almost always no frames, at a hundredth of what a strategy costs."""
    data = bytearray(CODEC.encode(Word(1 << 60, "alice", bytes(40), (0.5, 1.0)), Batch([(1, "a", None)], {"q": 3}, 9)))
    match rng.randrange(4):
        case 0:
            return rng.randbytes(rng.randrange(200))
        case 1:
            return rng.choice(HEADERS) * rng.randrange(1, 1500)
        case _:
            for _ in range(rng.randrange(4)):
                start = rng.randrange(len(data))
                data[start : start + rng.randrange(4)] = rng.randbytes(rng.randrange(4))
            return bytes(data)


@pytest.mark.parametrize("seed", range(3))
def test_thousands_of_broken_connections_leave_no_memory_behind(seed: int) -> None:
    rng = random.Random(seed)

    def connections(count: int) -> int:
        return sum(decoded(broken(rng), rng.choices(range(4000), k=2))[1] for _ in range(count))

    connections(500)
    tracemalloc.start()
    try:
        failed = connections(2000)
        gc.collect()
        left = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert failed > 1000
    assert left < 100_000, f"seed {seed}"  # fifty bytes of each would be too much


class Scripted(trio.abc.Stream):
    """A peer that says what it says, in pieces, whatever it hears, and then ends the connection."""

    def __init__(self, data: bytes, where: Cuts) -> None:
        self.coming = list(pieces(data, where))
        self.heard = 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.heard += len(data)

    async def wait_send_all_might_not_block(self) -> None:
        pass

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        piece = self.coming.pop(0) if self.coming else b""
        if max_bytes is not None and len(piece) > max_bytes:
            self.coming.insert(0, piece[max_bytes:])
            piece = piece[:max_bytes]
        return piece

    async def aclose(self) -> None:
        pass


@given(mixed(greetings) | greetings, cuts)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
async def test_a_handshake_ends_with_a_hello_or_an_error_whatever_comes_in(data: bytes, where: Cuts) -> None:
    peer, said = Scripted(data, where), ""
    try:
        hello = await greet(peer, ME, expected_name="bob")
    except WireError as error:
        said = str(error)
    assert said.isprintable()
    assert len(said) < 3000
    assert 0 < peer.heard < 2500
    if not said:
        assert (hello.name, hello.protocol, hello.software) == ("bob", PROTOCOL, "1.2")
        first = 8 + struct.unpack(">I", data[4:8])[0]
        second = first + 8 + struct.unpack(">I", data[first + 4 : first + 8])[0]
        assert b"".join(peer.coming) == data[second:]
    event("refused" if said else "admitted")
