"""Frames: what goes in comes out, however it is cut; what is no frame ends the connection and costs no memory."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.wire.framing import Codec, Decoder, Frame, WireError


class Word(Frame, frozen=True, tag="word"):
    time_ns: int
    sender: str
    data: bytes
    values: tuple[float, ...] = ()


class Beat(Frame, frozen=True, tag="beat"):
    count: int


LIMIT = 1 << 16
CODEC = Codec((Word, Beat), max_frame_bytes=LIMIT)
SIGNED_64 = st.integers(-(2**63), 2**64 - 1)
FRAMES = st.one_of(
    st.builds(
        Word,
        SIGNED_64,
        st.text(max_size=40),
        st.binary(max_size=300),
        st.lists(st.floats(allow_nan=False), max_size=5).map(tuple),
    ),
    st.builds(Beat, SIGNED_64),
)


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    """Cut bytes at these places, taken modulo the length."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    for start, end in pairwise(places):
        yield data[start:end]


def fed(decoder: Decoder, *data: bytes) -> list[Frame]:
    return [frame for piece in data for frame in decoder.feed(piece)]


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(0, 5000), max_size=8))
def test_frames_come_out_as_they_went_in_however_the_bytes_are_cut(frames: list[Frame], cuts: list[int]) -> None:
    decoder = CODEC.decoder()
    assert fed(decoder, *pieces(CODEC.encode(*frames), cuts)) == frames
    assert decoder.pending_bytes == 0


def test_one_byte_at_a_time_is_enough() -> None:
    frames = [Word(2**63, "alice", bytes(range(256)), (0.1, -0.0)), Beat(-1), Beat(0)]
    assert fed(CODEC.decoder(), *(bytes([byte]) for byte in CODEC.encode(*frames))) == frames


@given(st.floats())
def test_every_float_comes_out_with_its_very_bits(value: float) -> None:
    (word,) = CODEC.decoder().feed(CODEC.encode(Word(0, "", b"", (value,))))
    assert isinstance(word, Word)
    assert struct.pack(">d", word.values[0]) == struct.pack(">d", value)


def test_a_frame_that_has_begun_is_pending() -> None:
    decoder = CODEC.decoder()
    assert decoder.feed(CODEC.encode(Beat(1)) + b"\x92\xa4be") == [Beat(1)]
    assert decoder.pending_bytes == 4
    assert decoder.feed(b"") == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xc1", "no MessagePack"),
        (b"GET / HTTP/1.1\r\n\r\n", "Expected `array`, got `int`"),
        (b"\x90", "at least length 1, got 0"),
        (msgpack.packb(["nonsense", 1]), "Invalid value 'nonsense'"),
        (msgpack.packb([1, 1]), "Expected `str`"),
        (msgpack.packb(["beat"]), "at least length 2, got 1"),
        (msgpack.packb(["beat", 1, 2]), "at most length"),
        (msgpack.packb(["beat", "1"]), "Expected `int`, got `str`"),
        (msgpack.packb(["beat", 1.0]), "Expected `int`, got `float`"),
        (msgpack.packb(["beat", True]), "Expected `int`, got `bool`"),
        (msgpack.packb(["beat", None]), "Expected `int`, got `None`"),
        (msgpack.packb(["word", 1, "a", "text"]), "Expected `bytes`, got `str`"),
        (msgpack.packb(["word", 1, b"a", b""]), "Expected `str`, got `bytes`"),
        (msgpack.packb(["word", 1, "a", b"", [1.0, "x"]]), "Expected `float`, got `str`"),
        (msgpack.packb({"type": "beat", "count": 1}), "Expected `array`, got `object`"),
        (msgpack.packb(["beat", msgpack.ExtType(5, b"x")]), "Expected `int`, got `ext`"),
        (b"\x92\xa4beat\xa1\xff", "Expected `int`"),
        (b"\x94\xa4word\x01\xa1\xff\xc4\x00", "Invalid UTF-8"),
    ],
)
def test_what_is_no_frame_is_refused_in_one_line_that_says_why(data: bytes, message: str) -> None:
    with pytest.raises(WireError) as caught:
        CODEC.decoder().feed(CODEC.encode(Beat(1)) + data)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_decoder_that_has_met_an_error_takes_nothing_more() -> None:
    decoder = CODEC.decoder()
    with pytest.raises(WireError):
        decoder.feed(b"\xc1")
    assert decoder.pending_bytes == 0
    with pytest.raises(WireError, match="no MessagePack"):
        decoder.feed(CODEC.encode(Beat(1)))


@pytest.mark.parametrize("nest", [b"\x91", b"\xdc\x00\x01", b"\x81\x01", b"\xdd\xff\xff\xff\xff"])
def test_deep_nesting_is_refused(nest: bytes) -> None:
    with pytest.raises(WireError, match="nested too deeply"):
        CODEC.decoder().feed(b"\x92\xa4beat" + nest * 5000)


def test_a_frame_of_the_most_bytes_is_taken_and_one_more_is_refused_at_either_end() -> None:
    room = LIMIT - len(CODEC.encode(Word(0, "", b""))) - 1  # the header of longer bytes has one more
    largest = Word(0, "", bytes(room))
    data = CODEC.encode(largest, Beat(1), largest)
    assert len(data) == 2 * LIMIT + len(CODEC.encode(Beat(1)))
    assert CODEC.decoder().feed(data) == [largest, Beat(1), largest]
    larger = Word(0, "", bytes(room + 1))
    with pytest.raises(ValueError, match=f"a frame of type 'word' has {LIMIT + 1} bytes, of at most {LIMIT}"):
        CODEC.encode(Beat(1), larger)
    for cuts in ([], [LIMIT], [LIMIT // 2]):
        with pytest.raises(WireError, match=f"more than {LIMIT} bytes"):
            fed(CODEC.decoder(), *pieces(Codec((Word,)).encode(larger), cuts))


@pytest.mark.parametrize(
    "header",
    [b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b""],
)
@pytest.mark.parametrize("filler", [b"\x00", b"\x90", b"\x80", b"\xdd\xff\xff\xff\xff"])
def test_huge_lengths_cost_no_memory(header: bytes, filler: bytes) -> None:
    decoder = CODEC.decoder()
    chunk = header + filler * 4000
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            fed(decoder, *[chunk] * 100)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * LIMIT


def test_a_frame_in_very_many_pieces_takes_time_in_proportion() -> None:
    decoder = Codec((Word,)).decoder()
    data = Codec((Word,)).encode(Word(0, "", bytes(3_000_000)))
    for start in range(0, len(data) - 1, 16):
        assert decoder.feed(data[start : min(start + 16, len(data) - 1)]) == []
    assert len(decoder.feed(data[-1:])) == 1


def test_two_types_must_not_share_a_tag() -> None:
    class Other(Frame, frozen=True, tag="beat"):
        pass

    with pytest.raises(ValueError, match="different tags, got beat, beat"):
        Codec((Beat, Other))
    with pytest.raises(ValueError, match="got none"):
        Codec(())


def test_an_int_that_fits_no_64_bits_is_the_sender_s_error() -> None:
    with pytest.raises(OverflowError):
        CODEC.encode(Beat(2**64))
