"""Writing the history of a running network to a file.

Each piece of history is compressed and written at once, by the emulation itself: 64 KiB take a third of a millisecond,
and to hand them to a thread costs more than that. A thread only asks every half second of wall time, whatever emulated
time does, that what has come together be written.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import trio

from . import recording
from .network import Network

_EVERY_S: Final = 0.5  # wall time


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
        self._network = network
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask_again_and_again, name="recorder", daemon=True)
        # Not buffered: what was written survives this process.
        self._file: BinaryIO = Path(path).open("xb", buffering=0)  # noqa: SIM115  (closed at the end of the block)
        self._write(recording.start(header))
        if self.error is not None:
            self._file.close()
            raise self.error
        network.history.stream(self._take)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if not self._file.closed:  # the run was cut off, maybe amid an instant: what came before is a good record
            self._network.history.flush()
            self._file.close()

    def finish(self, ending: Mapping[str, Any]) -> None:
        """Write the rest of the history, and how the run ended: plain values, and `history_sha256` is added."""
        history = self._network.history
        history.close()
        self._write(recording.end({"history_sha256": history.sha256()} | dict(ending)))
        self._file.close()

    def _take(self, piece: bytes) -> None:
        self._write(recording.block(piece))

    def _write(self, data: bytes) -> None:
        try:
            while data and self.error is None:
                data = data[self._file.write(data) :]
        except OSError as error:
            self.error = error

    def _ask_again_and_again(self) -> None:
        while not self._over.wait(_EVERY_S):
            if (token := self._network.token) is not None:
                try:
                    token.run_sync_soon(self._network.history.flush, idempotent=True)
                except trio.RunFinishedError:
                    return
