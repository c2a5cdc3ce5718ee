"""Writing the history of a running network to a file, beside the emulation.

A thread compresses and writes, so that a slow disk is no lag: all that the emulation does is to hand over the bytes
that it has hashed. The thread also asks for what has come together every half second of wall time, whatever emulated
time does. If the disk cannot keep up, the emulation waits, late but not wrong; memory is bounded.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import trio

from . import recording
from .network import Network

_EVERY_S: Final = 0.5  # wall time
_MOST: Final = 64  # pieces that wait to be written, of some 64 KiB each


class Recorder:
    """Records a network from its beginning; `finish` writes the ending, without which the record counts as cut off.

        with Recorder("run.rec", {"about": "this"}, network) as recorder:
            network.run(for_ns=S)
            recorder.finish({"good": True})

    The values of the header are plain. Raises OSError if the file cannot be made: FileExistsError if there is one of
    that name. `error` is what went wrong thereafter, such as a full disk: the record ends there, and the run goes on.
    """

    def __init__(self, path: str | Path, header: Mapping[str, Any], network: Network) -> None:
        self.error: OSError | None = None
        self._file: BinaryIO = Path(path).open("xb", buffering=0)  # noqa: SIM115  (closed at the end of the block)
        self._network = network
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_MOST)
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._write(recording.start(header))
        network.history.stream(self._pieces.put)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():  # the run was cut off, maybe amid an instant: what came before is a good record
            self._network.history.flush()
            self._end()
        self._file.close()

    def finish(self, ending: Mapping[str, Any]) -> None:
        """Write the rest of the history, and how the run ended: plain values, and `history_sha256` is added."""
        self._network.history.close()
        self._end()
        self._write(recording.end({"history_sha256": self._network.history.sha256()} | dict(ending)))

    def _end(self) -> None:
        self._pieces.put(None)
        self._thread.join()

    def _work(self) -> None:
        due_s = time.monotonic() + _EVERY_S
        while True:
            try:
                piece = self._pieces.get(timeout=max(0.0, due_s - time.monotonic()))
            except queue.Empty:
                due_s = time.monotonic() + _EVERY_S
                self._ask()
                continue
            if piece is None:
                return
            self._write(recording.block(piece))

    def _ask(self) -> None:
        """Let the emulation hand over what it has, as soon as it is at rest or after a burst of events."""
        if (token := self._network.token) is not None:
            try:
                token.run_sync_soon(self._network.history.flush, idempotent=True)
            except trio.RunFinishedError:
                return

    def _write(self, data: bytes) -> None:
        try:
            while data and self.error is None:
                data = data[self._file.write(data) :]
        except OSError as error:
            self.error = error
