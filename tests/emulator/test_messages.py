"""Messages as bytes: what a project message survives, and what hostile bytes achieve."""

import gc
import math
from typing import Any, Literal, get_args, get_origin

import msgpack
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import emulator
import links
import nodes
import scenarios.bench
from emulator import Message, MessageError, Qubit, decode, encode, message_types

PACKAGES = [module.__name__.split(".")[0] for module in (emulator, links, nodes, scenarios.bench)]
# Tests define messages of their own; those of the project are looked at here.
TYPES = {t: kind for t, kind in message_types().items() if kind.__module__.split(".")[0] in PACKAGES}
EVERY_TYPE = pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)


class Parcel(Message, frozen=True, tag="test-parcel"):
    count: int
    share: float
    name: str
    inner: tuple[tuple[str, int], ...]
    maybe: int | None = None


class Loose(Message, frozen=True, tag="test-loose"):
    anything: Any


FEW = settings(derandomize=True, deadline=None, max_examples=25, database=None)
MANY = settings(derandomize=True, deadline=None, max_examples=150, database=None)
KNOWN = TYPES | {"test-parcel": Parcel, "test-loose": Loose}


def instances(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Any message of a type, its fields from their type hints."""
    hints = {field.name: field.type for field in msgspec.structs.fields(kind)}
    return st.builds(kind, **{name: values(hint) for name, hint in hints.items()})


PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**64 - 1),
    float: st.floats(allow_nan=False),
    str: st.text(max_size=40),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    if hint in PLAIN:
        return PLAIN[hint]
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) is tuple:
        inner = [values(argument) for argument in get_args(hint) if argument is not ...]
        return st.lists(inner[0], max_size=4).map(tuple) if get_args(hint)[-1] is ... else st.tuples(*inner)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return instances(hint)
    return st.one_of(*map(values, get_args(hint))) if get_args(hint) else st.from_type(hint)


def packed(*items: Any) -> bytes:
    data: bytes = msgpack.packb(items)
    return data


def test_the_project_has_messages_and_each_has_a_tag_of_its_own() -> None:
    assert {"link-start", "link-herald", "track", "reserve", "bench-token"} <= set(TYPES)
    tags = [kind.__struct_config__.tag for kind in TYPES.values()]
    assert tags == list(TYPES)
    assert None not in tags
    assert len(set(TYPES.values())) == len(TYPES)


@EVERY_TYPE
def test_every_message_survives_being_bytes(kind: type[Message]) -> None:
    @FEW
    @given(instances(kind))
    def survives(message: Message) -> None:
        data = encode(message)
        again = decode(data, TYPES)
        assert type(again) is kind
        assert again == message
        assert encode(again) == data
        assert msgpack.unpackb(data)[0] == kind.__struct_config__.tag
        assert hash(again) == hash(message)  # so no field can be changed in place either

    survives()


@MANY
@given(instances(Parcel))
def test_so_do_floats_and_tuples_of_tuples(message: Parcel) -> None:
    assert decode(encode(message), KNOWN) == message


def test_a_float_that_is_no_number_survives_too() -> None:
    again = decode(encode(Parcel(1, math.nan, "", ())), KNOWN)
    assert isinstance(again, Parcel)
    assert math.isnan(again.share)


@EVERY_TYPE
def test_no_message_can_be_changed(kind: type[Message]) -> None:
    @FEW
    @given(instances(kind))
    def refuses(message: Message) -> None:
        for field in kind.__struct_fields__:
            with pytest.raises(AttributeError, match="immutable"):
                setattr(message, field, 0)
        with pytest.raises(AttributeError):
            message.more = 0  # type: ignore[attr-defined]

    refuses()


def test_two_types_with_one_tag_are_refused() -> None:
    class Twin(Message, frozen=True, tag="test-parcel"):
        pass

    try:
        with pytest.raises(TypeError, match=r"(Twin|Parcel) and .*(Twin|Parcel) share the tag 'test-parcel'"):
            message_types()
    finally:
        del Twin
        gc.collect()
    assert message_types()["test-parcel"] is Parcel


def test_types_below_a_type_are_found_too() -> None:
    class Lower(Parcel, frozen=True, tag="test-lower"):
        pass

    assert message_types()["test-lower"] is Lower


# -- law 4 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda q: q, lambda q: (1, (q,)), lambda q: {"q": q}])
def test_a_qubit_in_a_message_is_a_type_error(wrap: Any) -> None:
    qubit = Qubit(("alice", 0, 1), "bank", ("c", "bob"))
    with pytest.raises(TypeError, match="Qubit"):
        encode(Loose(wrap(qubit)))


# -- hostile bytes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",  # never used
        b"\xc0",
        b"\x03",
        packed(),
        packed(1),
        packed([]),
        packed({}),
        packed(["test-parcel"], 1),
        msgpack.packb("test-parcel"),
        msgpack.packb({"test-parcel": 1}),
        msgpack.packb({0: "test-parcel"}),
        packed("no such tag", 1),
        packed(b"test-parcel", 1, 0.5, "x", []),
        packed("test-parcel"),
        packed("test-parcel", 1, 0.5, "x"),
        packed("test-parcel", 1, 0.5, "x", [], None, 0),  # one element too many
        packed("test-parcel", "1", 0.5, "x", []),
        packed("test-parcel", True, 0.5, "x", []),
        packed("test-parcel", 1.0, 0.5, "x", []),
        packed("test-parcel", 1, "0.5", "x", []),
        packed("test-parcel", 1, 0.5, 7, []),
        packed("test-parcel", 1, 0.5, "x", [["a", 1, 2]]),
        packed("test-parcel", 1, 0.5, "x", [["a", "1"]]),
        packed("test-parcel", 1, 0.5, "x", None),
        packed("test-parcel", msgpack.ExtType(4, b"x"), 0.5, "x", []),
        packed("test-parcel", msgpack.Timestamp(1, 2), 0.5, "x", []),
        packed("test-parcel", 1, 0.5, "x", []) + b"\x00",
        b"\x95\xabtest-parcel\x01\x02\xa1\xff\x90",  # a name that is no UTF-8
        b"\xc7\x0c\xff" + b"\xff" * 12,  # a time stamp that is none
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff\xa1a",
        b"\xdb\xff\xff\xff\xffabc",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\x91" * 100_000,
        b"\x81\xa1a" * 100_000,
        b"\x92\xaatest-loose" + b"\x91" * 5_000 + b"\x01",
    ],
)
def test_bytes_that_are_no_message_are_a_message_error(data: bytes) -> None:
    with pytest.raises(MessageError, match="not a message"):
        decode(data, KNOWN)


@EVERY_TYPE
def test_an_element_too_many_or_too_few_is_refused(kind: type[Message]) -> None:
    @FEW
    @given(instances(kind))
    def refuses(message: Message) -> None:
        items = msgpack.unpackb(encode(message))
        for wrong in ([*items, 0], items[:-1]):
            with pytest.raises(MessageError):
                decode(msgpack.packb(wrong), TYPES)

    refuses()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text() | st.integers(0, 9), inner, max_size=3),
    max_leaves=12,
)


def is_message_or_refused(data: bytes) -> None:
    try:
        message = decode(data, KNOWN)
    except MessageError:
        return
    assert type(message) in KNOWN.values()
    assert decode(encode(message), KNOWN) == message or "nan" in repr(message)


@MANY
@given(st.binary())
@example(b"\xdc\x00\x01")
def test_random_bytes_are_a_message_or_a_message_error(data: bytes) -> None:
    is_message_or_refused(data)


@MANY
@given(st.sampled_from(sorted(KNOWN)), st.lists(ANYTHING, max_size=8))
def test_a_known_tag_before_anything_is_a_message_or_a_message_error(tag: str, items: list[Any]) -> None:
    is_message_or_refused(packed(tag, *items))


@MANY
@given(st.sampled_from([*TYPES.values(), Parcel]).flatmap(instances), st.data())
def test_a_message_cut_short_or_damaged_is_a_message_or_a_message_error(message: Message, data: st.DataObject) -> None:
    whole = encode(message)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(MessageError):
        decode(whole[:cut], KNOWN)
    is_message_or_refused(whole[:cut] + data.draw(st.binary(max_size=3)) + whole[cut + 1 :])
