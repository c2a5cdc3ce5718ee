"""Files of recorded runs: what was written is read, whatever was cut off or damaged; the first difference is told."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import struct
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import (
    MS,
    Actor,
    Comparison,
    ComparisonOverError,
    Difference,
    History,
    Input,
    Message,
    Network,
    Record,
    Recorder,
    Recording,
    RecordingError,
    S,
    recorder,
    recording,
)

HEADER = {"about": "a test", "list": [1, 2.5, None]}


class Word(Message, frozen=True, tag="recording-word"):
    text: str


class Noter(Actor):
    """Records a random number each millisecond, and at one of them something else."""

    def __init__(self, name: str, odd: tuple[int, Any] = (0, None)) -> None:
        super().__init__(name)
        self._odd_ns, self._odd = odd
        self._closing = False

    def begin(self) -> None:
        self.after(MS, self.note)

    def close(self) -> None:
        self._closing = True

    def note(self) -> None:
        self.record("note", self._odd if self.now_ns == self._odd_ns else self.random().uniform(), Word(self.name))
        if not self._closing:
            self.after(MS, self.note)


def noting(seed: int = 1, odd: tuple[int, Any] = (0, None)) -> Network:
    network = Network(seed=seed, keep_history=True)
    network.add(Noter("alice"), restart_after_ns=MS)
    network.add(Noter("bob", odd), restart_after_ns=MS)
    return network


def record(path: Path, network: Network, for_ns: int = 500 * MS) -> Network:
    with Recorder(path, HEADER, network) as recorder:
        network.run(for_ns=for_ns)
        recorder.finish({"good": True})
    return network


def plain(network: Network) -> list[Record]:
    """Return the records of a network as a recording shows them."""
    kept = network.history.kept or []
    return [
        r._replace(fields=tuple(("recording-word", f.text) if isinstance(f, Word) else f for f in r.fields))
        for r in kept
    ]


def small_file() -> tuple[bytes, list[Record]]:
    """Return a file with four blocks, and its records."""
    history, blocks = History(), list[bytes]()
    history.stream(blocks.append)
    records = [Record(k, "ab"[k % 2], "kind", (k, 0.5, f"text {k}")) for k in range(12)]
    for entry in records:
        history.add(*entry)
        if entry.time_ns % 3 == 2:
            history.close()
    ending = recording.end({"history_sha256": history.sha256()})
    return recording.start(HEADER) + b"".join(map(recording.block, blocks)) + ending, records


FILE, RECORDS = small_file()


# -- what was written is read --------------------------------------------------------------------------------------


def test_a_recorded_run_is_read_as_it_was(tmp_path: Path) -> None:
    network = record(tmp_path / "run.rec", noting())
    found = Recording(tmp_path / "run.rec")
    assert (found.header, found.ending) == (HEADER, None)
    for _ in range(2):
        assert list(found.records()) == plain(network)
        assert found.ending == {"history_sha256": network.history.sha256(), "good": True}
    assert hashlib.sha256(b"".join(found.blocks())).hexdigest() == network.history.sha256()
    assert list(found.inputs()) == []


def test_to_record_changes_nothing(tmp_path: Path) -> None:
    network = noting()
    network.run(for_ns=500 * MS)
    assert record(tmp_path / "run.rec", noting()).history.sha256() == network.history.sha256()


def test_a_long_history_is_written_while_it_grows_in_little_memory(tmp_path: Path) -> None:
    network, sizes = noting(), list[int]()
    network.watch(500 * MS, lambda: sizes.append((tmp_path / "run.rec").stat().st_size))
    record(tmp_path / "run.rec", network, for_ns=5 * S)
    assert len(set(sizes)) > 4
    assert len(list(Recording(tmp_path / "run.rec").blocks())) < 20


def test_inputs_are_found_in_their_order(tmp_path: Path) -> None:
    network = noting()
    for time_ns in (3 * MS, 400 * MS):
        network.inputs.schedule(time_ns, "crash", "bob")
        network.inputs.schedule(time_ns, "crash", "alice")
    record(tmp_path / "run.rec", network)
    found = list(Recording(tmp_path / "run.rec").inputs())
    assert found == [Input(t, "crash", (who,)) for t in (3 * MS, 400 * MS) for who in ("bob", "alice")]


def test_what_came_together_is_written_after_a_while_of_wall_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_EVERY_S", 0.005)
    path, network = tmp_path / "run.rec", Network(rate=1.0)

    class Idler(Actor):
        async def run(self) -> None:
            self.record("note", 1)
            await self.sleep(MS)
            self.record("note", 2)  # ends the first instant; that of this one is not known to be over
            await trio.to_thread.run_sync(grown)
            network.input("interrupt")

    def grown() -> None:
        deadline_s = time.monotonic() + 10
        while not list(Recording(path).records()) and time.monotonic() < deadline_s:
            time.sleep(0.002)
        seen.extend(Recording(path).records())

    seen: list[Record] = []
    network.add(Idler("alice"))
    assert record(path, network, for_ns=1000 * S).timeline.now_ns < 100 * S
    assert [r.kind for r in seen] == ["begins", "note"]


def test_a_run_that_is_cut_off_leaves_what_was_before(tmp_path: Path) -> None:
    network = noting()

    def oops() -> None:
        network.history.add(100 * MS, "carol", "amid an instant", ())
        raise ZeroDivisionError

    network.timeline.at(100 * MS, oops)
    with pytest.raises(ZeroDivisionError), Recorder(tmp_path / "run.rec", HEADER, network):
        network.run(for_ns=S)
    found = Recording(tmp_path / "run.rec")
    assert list(found.records()) == [r for r in plain(network) if r.time_ns < 100 * MS]
    assert found.ending is None


# -- files that cannot be written ----------------------------------------------------------------------------------


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run.rec").write_text("precious")
    with pytest.raises(FileExistsError):
        Recorder(tmp_path / "run.rec", HEADER, noting())
    assert (tmp_path / "run.rec").read_text() == "precious"


class Full:
    """A disk that takes a few bytes at a time, and is full after a while."""

    def __init__(self, room: int) -> None:
        self.data = b""
        self.closed = False
        self._room = room

    def write(self, data: bytes) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = data[: min(100, self._room)]
        self.data += part
        self._room -= len(part)
        return len(part)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("room", [0, 3_000])
def test_a_full_disk_ends_the_record_but_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    disk = Full(room)
    monkeypatch.setattr(Path, "open", lambda *_, **__: disk)
    if not room:
        with pytest.raises(OSError, match="No space"):
            Recorder(tmp_path / "run.rec", HEADER, noting())
        return
    network = noting()
    with Recorder(tmp_path / "run.rec", HEADER, network) as writing:
        network.run(for_ns=500 * MS)
        writing.finish({})
        assert writing.error is not None
        assert writing.error.errno == errno.ENOSPC
    monkeypatch.undo()
    (tmp_path / "run.rec").write_bytes(disk.data)
    found = list(Recording(tmp_path / "run.rec").records())
    assert found == plain(network)[: len(found)]


# -- files that are cut off, damaged or foreign --------------------------------------------------------------------


def read(data: bytes) -> tuple[list[Record], str]:
    """Return the records that can be read, and the error."""
    found: list[Record] = []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "run.rec")
        path.write_bytes(data)
        try:
            for entry in Recording(path).records():
                found.append(entry)  # noqa: PERF402  (an error may come thereafter)
        except RecordingError as error:
            return found, str(error)
    return found, ""


def test_a_file_that_is_cut_off_anywhere_is_read_up_to_the_last_whole_block() -> None:
    counts = []
    for length in range(len(FILE)):
        found, error = read(FILE[:length])
        assert found == RECORDS[: len(found)]
        assert (not found) if error else len(found) % 3 == 0
        counts.append(len(found))
    assert sorted(counts) == counts
    assert set(counts) == {0, 3, 6, 9, 12}


@settings(derandomize=True, deadline=None, database=None, max_examples=300)
@given(st.integers(0, len(FILE) - 1), st.integers(1, 255), st.integers(0, len(FILE)))
def test_a_damaged_file_is_a_clear_error_after_a_prefix_of_what_is_true(at: int, flip: int, length: int) -> None:
    damaged = bytearray(FILE)
    damaged[at] ^= flip
    found, error = read(bytes(damaged))
    assert found == RECORDS[: len(found)]
    assert error
    found, _ = read(bytes(damaged[:length]))
    assert found == RECORDS[: len(found)]


@settings(derandomize=True, deadline=None, database=None)
@given(st.binary(max_size=200))
def test_any_bytes_after_the_header_are_no_crash(rest: bytes) -> None:
    assert read(recording.start(HEADER) + recording._frame(b"B", rest))[0] == [] or rest
    assert read(recording.MAGIC + rest)[0] == []
    assert read(rest)[0] == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b"time,actor\n", "it is no record of a run"),
        (recording.MAGIC.replace(b"\r\n", b"\n") + FILE[8:], "it is no record of a run"),
        (recording.MAGIC + struct.pack(">H", 7) + FILE[10:], "it is of format 7, and only format 1 can be read here"),
        (FILE[:30], "it is cut off within its header"),
        (FILE[:10] + recording.block(b""), "it has no header"),
        (FILE[:10] + recording._frame(b"H", b"\xc0"), "its header or ending is wrong"),
        (FILE + recording.block(b""), "it goes on after its ending"),
        (recording.start({}) + recording._frame(b"?", b""), r"a part of an unknown kind b'\?'"),
        (recording.start({}) + recording.block(b"\x01"), "something that is no record"),
        (recording.start({}) + recording.block(b"\x94\x01\xa1a\xa1b"), "a part of a record only"),
        (
            recording.start({}) + recording.block(b"\x94\xa1x\xa1a\xa1b\x90"),
            "something that is no record: Expected `int`",
        ),
    ],
)
def test_a_foreign_file_is_refused_by_what_is_wrong(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x.rec").write_bytes(data)
    with pytest.raises(RecordingError, match=message):
        list(Recording(tmp_path / "x.rec").records())


def test_what_unpacks_to_far_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_MAX_BYTES", 1 << 16)
    found, error = read(recording.start({}) + recording.block(bytes(1 << 20)))
    assert (found, error) == ([], "it has a part of more than 65536 bytes, or one that is not whole")


def test_the_format_is_this_one() -> None:
    """Files of today must be readable as long as the format's number is the same."""
    head = struct.pack(">cII", b"B", len(zlib.compress(b"\x94", 1)), zlib.crc32(zlib.compress(b"\x94", 1)))
    assert recording.block(b"\x94") == head + struct.pack(">I", zlib.crc32(head)) + zlib.compress(b"\x94", 1)
    assert FILE[:10] == b"\x93qie\r\n\x1a\n\x00\x01"


# -- comparing -----------------------------------------------------------------------------------------------------


def compare(path: Path, network: Network, for_ns: int = 500 * MS) -> tuple[Difference | None, bool]:
    """Return the first difference, and whether the run came to its end."""
    recorded = Recording(path)
    network.inputs.replay(recorded.inputs())
    comparison = Comparison(recorded, network.history, network.stop)
    ended = True
    try:
        network.run(for_ns=for_ns)
    except ComparisonOverError:
        ended = False
    comparison.finish()
    return comparison.difference, ended


def test_the_same_run_is_the_same_bit_by_bit(tmp_path: Path) -> None:
    network = noting()
    network.inputs.schedule(3 * MS, "crash", "bob")
    record(tmp_path / "run.rec", network)
    assert compare(tmp_path / "run.rec", noting()) == (None, True)


@pytest.mark.parametrize("odd", [1, 1.0, True, "1", math.nan, math.pi])
def test_the_first_record_that_differs_is_told_with_what_came_before(tmp_path: Path, odd: Any) -> None:
    network = record(tmp_path / "run.rec", noting())
    difference, ended = compare(tmp_path / "run.rec", noting(odd=(100 * MS, odd)))
    assert not ended
    assert difference is not None
    assert difference.time_ns == 100 * MS
    at = next(k for k, r in enumerate(plain(network)) if r[:2] == (100 * MS, "bob"))
    assert difference.before == tuple(plain(network)[at - 3 : at])
    assert difference.recorded == plain(network)[at]
    assert difference.now is not None
    assert difference.now[:3] == (100 * MS, "bob", "note")
    assert repr(difference.now.fields) == repr((odd, ("recording-word", "bob")))


def test_values_that_are_equal_but_not_the_same_differ_and_nan_is_itself(tmp_path: Path) -> None:
    record(tmp_path / "int.rec", noting(odd=(100 * MS, 1)))
    difference, _ = compare(tmp_path / "int.rec", noting(odd=(100 * MS, 1.0)))
    assert difference is not None
    assert difference.recorded == difference.now
    record(tmp_path / "nan.rec", noting(odd=(100 * MS, math.nan)))
    assert compare(tmp_path / "nan.rec", noting(odd=(100 * MS, math.nan))) == (None, True)


def test_a_run_that_ends_earlier_or_later_differs_by_what_is_missing(tmp_path: Path) -> None:
    longer = record(tmp_path / "run.rec", noting())
    difference, ended = compare(tmp_path / "run.rec", noting(), for_ns=400 * MS)
    assert ended
    assert difference is not None
    assert difference.now is None
    assert difference.recorded in plain(longer)
    assert difference.time_ns > 400 * MS
    difference, _ = compare(tmp_path / "run.rec", noting(), for_ns=600 * MS)
    assert difference is not None
    assert difference.recorded is None
    assert difference.now is not None
    assert difference.before == tuple(plain(longer)[-3:])


@pytest.mark.parametrize("missing", [1, 1_500, 7_000])
def test_a_record_that_is_cut_off_is_compared_to_its_end(tmp_path: Path, missing: int) -> None:
    network = noting()
    network.history._flush_bytes = 3_000  # many blocks
    record(tmp_path / "run.rec", network)
    data = (tmp_path / "run.rec").read_bytes()
    (tmp_path / "run.rec").write_bytes(data[:-missing])
    assert list(Recording(tmp_path / "run.rec").records())
    assert compare(tmp_path / "run.rec", noting())[0] is None
    difference, _ = compare(tmp_path / "run.rec", noting(odd=(20 * MS, "odd")))
    assert difference is not None
    assert difference.time_ns == 20 * MS
