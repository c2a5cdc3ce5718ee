"""The file of a recorded run: a header, blocks of history, and an ending. Only the end of the file is ever written to.

    file     = magic (8 bytes), format (2 bytes), frame "H", frame "B"..., frame "E"
    frame    = kind (1 byte), length and CRC-32 of the payload, CRC-32 of these 9 bytes (4 bytes each), payload
    payload  = zlib of: MessagePack of a map (H: how the run was asked for; E: how it ended), or
               records in the canonical order, the very bytes that the history's hash is of (B)

Numbers are big-endian. Blocks hold whole records. A run that is killed leaves a file without an ending, whose last
frame may be cut off: it is readable up to the last whole block. A byte that was changed is found by the checksums.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgpack
import msgspec

from .inputs import INPUT, OUTSIDE, Input
from .records import Record

MAGIC: Final = b"\x93qie\r\n\x1a\n"  # no text, and damaged by whatever takes it for text
FORMAT: Final = 1

_START: Final = struct.Struct(">8sH")
_FRAME: Final = struct.Struct(">cII")
_CHECK: Final = struct.Struct(">I")
_LEVEL: Final = 1  # of compression: 24 bytes a record instead of 20 at level 6, in less than half of the time
_MAX_BYTES: Final = 1 << 28  # of one payload, unpacked: far more than one instant writes


class RecordingError(ValueError):
    """A file that is no record of a run, is of another format, or is damaged."""


def start(header: Mapping[str, Any]) -> bytes:
    """Return the beginning of a file; the values of the header are plain."""
    return _START.pack(MAGIC, FORMAT) + _frame(b"H", msgspec.msgpack.encode(header))


def block(records: bytes) -> bytes:
    """Return the frame of some records, as `History.stream` yields them."""
    return _frame(b"B", records)


def end(ending: Mapping[str, Any]) -> bytes:
    """Return the last frame of a file."""
    return _frame(b"E", msgspec.msgpack.encode(ending))


class Recording:
    """A file of a recorded run. Raises OSError if it cannot be read, RecordingError if its beginning is wrong.

    `header` is how the run was asked for. `ending` is how it ended: None until `blocks` has come to its end, and
    thereafter if there is none because the run was killed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ending: dict[str, Any] | None = None
        with path.open("rb") as file:
            found = next(self._frames(file), None)
        if found is None:
            raise RecordingError("it is cut off within its header: nothing of the run is in it")
        kind, data = found
        if kind != b"H":
            raise RecordingError("it has no header")
        self.header = _map(data)

    def blocks(self) -> Iterator[bytes]:
        """Yield the records in pieces, the bytes that were hashed. Raises RecordingError where the file is damaged."""
        with self.path.open("rb") as file:
            frames = self._frames(file)
            next(frames, None)  # the header
            ended = False
            for kind, data in frames:
                if ended:
                    raise RecordingError("it goes on after its ending")
                if kind == b"B":
                    yield data
                elif kind == b"E":
                    self.ending, ended = _map(data), True
                else:
                    raise RecordingError(f"it has a part of an unknown kind {kind!r}")

    def records(self) -> Iterator[Record]:
        """Yield all records. Messages in them are tuples that begin with the message's tag."""
        for data in self.blocks():
            yield from records_in(data)

    def inputs(self) -> Iterator[Input]:
        """Yield what came from outside, in its order; the whole file is read."""
        for record in self.outside():
            if record.kind == INPUT:
                yield Input(record.time_ns, record.fields[0], record.fields[1:])

    def outside(self) -> Iterator[Record]:
        """Yield the records of what is no actor's doing, such as inputs; the whole file is read."""
        mark = msgspec.msgpack.encode(OUTSIDE)
        for data in self.blocks():
            if mark in data:  # few blocks have any, and to unpack all would take a tenth of the time of a run
                yield from (record for record in records_in(data) if record.actor == OUTSIDE)

    def _frames(self, file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
        _check_start(file.read(_START.size))
        while head := file.read(_FRAME.size + _CHECK.size):
            at = file.tell() - len(head)
            if len(head) < _FRAME.size + _CHECK.size:
                return
            (check,) = _CHECK.unpack_from(head, _FRAME.size)
            if check != zlib.crc32(head[: _FRAME.size]):
                raise RecordingError(f"it is damaged at byte {at}")
            kind, length, check = _FRAME.unpack_from(head)
            payload = file.read(length)
            if len(payload) < length:
                return
            if check != zlib.crc32(payload):
                raise RecordingError(f"it is damaged between bytes {at} and {at + len(head) + length}")
            yield kind, _unpacked(payload)


def records_in(data: bytes) -> Iterator[Record]:
    """Yield the records of a piece of history. Raises RecordingError."""
    unpacker = msgpack.Unpacker(use_list=False, strict_map_key=False, max_buffer_size=_MAX_BYTES)
    unpacker.feed(data)
    at = 0
    try:
        for item in unpacker:
            at = unpacker.tell()
            yield msgspec.convert(item, Record)
    except (ValueError, msgpack.UnpackException, msgspec.MsgspecError) as error:
        raise RecordingError(f"it has something that is no record: {error}") from error
    if at != len(data):
        raise RecordingError("it has a part of a record only")


def _frame(kind: bytes, data: bytes) -> bytes:
    payload = zlib.compress(data, _LEVEL)
    head = _FRAME.pack(kind, len(payload), zlib.crc32(payload))
    return head + _CHECK.pack(zlib.crc32(head)) + payload


def _check_start(found: bytes) -> None:
    if not found.startswith(MAGIC):
        raise RecordingError("it is empty" if not found else "it is no record of a run")
    if len(found) == _START.size and (version := _START.unpack(found)[1]) != FORMAT:
        raise RecordingError(f"it is of format {version}, and only format {FORMAT} can be read here")


def _unpacked(payload: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(payload, _MAX_BYTES)
    except zlib.error as error:
        raise RecordingError(f"it has a part that cannot be unpacked: {error}") from error
    if not unpacker.eof:
        raise RecordingError(f"it has a part of more than {_MAX_BYTES} bytes, or one that is not whole")
    return data


def _map(data: bytes) -> dict[str, Any]:
    try:
        return msgspec.msgpack.decode(data, type=dict[str, Any])
    except (ValueError, msgspec.MsgspecError) as error:
        raise RecordingError(f"its header or ending is wrong: {error}") from error
