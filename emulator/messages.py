r"""Messages between actors: small frozen records with a stable tag, which can all be encoded as MessagePack.

A message type is a subclass of `Message` with its tag and typed fields, written beside the behaviour that sends it:

>>> class Ping(Message, frozen=True, tag="ping"):
...     count: int
>>> encode(Ping(3))
b'\x92\xa4ping\x03'
>>> decode(encode(Ping(3)), message_types())
Ping(count=3)

A qubit is no value that a message can hold: encoding one is a TypeError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgpack
import msgspec

# The identity of a Bell pair from birth: the heralding station that announced it, and that station's sequence number.
PairId: TypeAlias = tuple[str, int]

# What no message needs to exceed; more is refused.
_MAX_BYTES: Final = 1 << 20
_LIMITS: Final[Mapping[str, int]] = {
    "max_str_len": 256,
    "max_bin_len": 1 << 16,
    "max_array_len": 1024,
    "max_map_len": 64,
    "max_ext_len": 1 << 16,
}


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """Base of all messages; fields are plain values (numbers, strings, tuples of them)."""


class MessageError(ValueError):
    """Bytes that are no message of a known type."""


def message_types() -> dict[str, type[Message]]:
    """Return every message type that has been imported, by tag; raises TypeError if two share one."""
    found: dict[str, type[Message]] = {}
    pending: list[type[Message]] = list(Message.__subclasses__())
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        tag = str(kind.__struct_config__.tag)
        if found.setdefault(tag, kind) is not kind:
            raise TypeError(f"{kind.__qualname__} and {found[tag].__qualname__} share the tag {tag!r}")
    return found


def encode(message: Message) -> bytes:
    """Return the MessagePack bytes of a message: an array that starts with the tag."""
    packed: bytes = msgpack.packb(msgspec.to_builtins(message, builtin_types=(bytes,)))
    return packed


def decode(data: bytes, types: Mapping[str, type[Message]]) -> Message:
    """Return the message in `data`, checked field by field; raises MessageError."""
    if len(data) > _MAX_BYTES:
        raise MessageError(f"not a message: {len(data)} bytes, of at most {_MAX_BYTES}")
    try:
        item: Any = msgpack.unpackb(data, use_list=False, strict_map_key=True, **_LIMITS)
        return msgspec.convert(item, types[item[0]], strict=True)
    except (msgpack.UnpackException, ValueError, KeyError, IndexError, TypeError) as error:
        raise MessageError(f"not a message: {error}") from error
