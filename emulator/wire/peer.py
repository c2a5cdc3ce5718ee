"""The connection to one other host, or to the conductor, while a run goes on.

Streams are read and written in the run's own loop, whose clock is emulated time: so nothing here has a time limit, but
the wall clock is looked at now and then (`idle_s`).

Every frame that a host waits for costs passes of trio's loop, two for each `send_all` and `receive_some`. A socket that
nobody secures is read and written without them, as soon as it can be: that halves what it costs hosts to keep together.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Final

import trio

from emulator.time import Place

from .framing import Codec, Decoder, Frame, WireError

_READ_BYTES: Final = 1 << 16
_MOST_UNSENT: Final = 1 << 26  # bytes; a peer that takes nothing for so long is given up


class Peer:
    """Frames to and from a peer. `send` collects, `flush` lets go; `read` and `write` are tasks of the run.

    Before the run, and after it, `say` and `next` do both, one frame at a time.
    """

    def __init__(self, name: str, stream: trio.abc.Stream, codec: Codec) -> None:
        self.name = name
        self.frames_sent = self.frames_received = 0
        self.stuck = False  # so much waits to go out that this peer is to be given up
        self._stream = stream
        self._fd = stream.socket.fileno() if isinstance(stream, trio.SocketStream) else None
        self._codec = codec
        self._decoder: Decoder = codec.decoder()
        self._unsent = bytearray()
        self._writer = Place()
        self._heard_s = time.monotonic()
        self._early: list[Frame] = []  # frames that came together with one that was waited for

    @property
    def idle_s(self) -> float:
        """Return for how long nothing has come."""
        return time.monotonic() - self._heard_s

    @property
    def is_writing(self) -> bool:
        """Return whether something is on its way out."""
        return bool(self._unsent) or self._writer.task is None

    def send(self, frame: Frame) -> None:
        """Put a frame behind those that wait for `flush`; nothing more once the peer is `stuck`."""
        if not self.stuck:
            self._unsent += self._codec.encode(frame)
            self.frames_sent += 1
            self.stuck = len(self._unsent) > _MOST_UNSENT

    def flush(self) -> None:
        """Let what was sent go out; what cannot go at once, `write` takes care of."""
        if self._unsent and self._fd is not None and self._writer.task is not None:
            with contextlib.suppress(OSError):  # it is full; or broken, which the reader finds out
                del self._unsent[: os.write(self._fd, self._unsent)]
        if self._unsent:
            self._writer.wake()

    async def say(self, frame: Frame) -> None:
        """Send a frame at once, while nobody else writes."""
        self.send(frame)
        await self._drain()

    async def next(self) -> Frame:
        """Return the next frame that comes, while nobody else reads. Raises WireError if none comes any more."""
        while not self._early:
            data = await self._stream.receive_some(_READ_BYTES)
            if not data:
                raise WireError("it has closed the connection")
            self._early += self._decoder.feed(data)
        self._heard_s = time.monotonic()
        return self._early.pop(0)

    async def write(self) -> None:
        """Write what is to go out, for ever."""
        while True:
            if not self._unsent:
                await self._writer.park()
            await self._drain()

    async def _drain(self) -> None:
        data = bytes(self._unsent)
        self._unsent.clear()
        await self._stream.send_all(data)

    async def read(self, take: Callable[[list[Frame]], None]) -> None:
        """Hand on the frames that come, in batches, until the peer ends the connection."""
        if self._early:
            early, self._early = self._early, []
            take(early)
        while data := await self._some():
            self._heard_s = time.monotonic()
            frames = self._decoder.feed(data)
            self.frames_received += len(frames)
            if frames:
                take(frames)

    async def _some(self) -> bytes | bytearray:
        if self._fd is None:
            return await self._stream.receive_some(_READ_BYTES)
        while True:
            await trio.lowlevel.wait_readable(self._fd)
            try:
                return os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(error.strerror) from error

    async def close(self, *, linger: bool = False) -> None:
        """Send what is left, if the peer still takes it, and close. The caller sets a time limit.

        linger: let the peer close first; who closes while something is still coming in loses its own last words.
        """
        try:
            if self._unsent:
                await self._drain()
            while linger and await self._stream.receive_some(_READ_BYTES):
                pass
            await self._stream.aclose()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            await trio.aclose_forcefully(self._stream)
