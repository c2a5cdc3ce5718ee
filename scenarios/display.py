"""What is seen while a run goes on: a live table on a terminal, plain lines elsewhere.

Drawing a table takes up to 13 ms, which would be lag if the emulation did it. So a process of its own draws: it gets
small snapshots through a pipe, and a snapshot that does not fit into the pipe is dropped. `python -m
scenarios.display` is it.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, Protocol

import msgpack

from .build import World
from .report import busiest, route_cells, route_json

_PERIOD_S = 0.5  # wall time between two looks


class Display(Protocol):
    """Something that shows snapshots."""

    rows: int  # how many routes it shows

    def show(self, snapshot: dict[str, Any]) -> None:
        """Show one."""

    def close(self) -> None:
        """Show no more."""


class Lines:
    """A line now and then, for logs and pipes."""

    rows = 0

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def show(self, snapshot: dict[str, Any]) -> None:
        """Print a line."""
        print(f"{snapshot['emulated_s']:9.3f} s  {_state(snapshot)}", file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing is open."""


class Table:
    """A live table, drawn by another process."""

    rows = 20

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", "scenarios.display"], stdin=subprocess.PIPE)
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        os.set_blocking(self._pipe, False)
        self._rest = b""

    def show(self, snapshot: dict[str, Any]) -> None:
        """Send a snapshot, unless the last one is still on its way."""
        if not self._rest:
            self._rest = msgpack.packb(snapshot)
        try:
            self._rest = self._rest[os.write(self._pipe, self._rest) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._rest = b""

    def close(self) -> None:
        """End the drawing, and wait until the terminal is in order again."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=5)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()


def attach(display: Display, world: World, *, for_ns: int, rate: float, every_s: float = _PERIOD_S) -> None:
    """Show a world's progress while it runs, about every `every_s` of wall time."""
    network = world.network
    period_ns = max(1, int(min(for_ns / 100, every_s * rate * 1e9)))
    show = Progress(display, world, for_ns=for_ns, paced=math.isfinite(rate), every_s=every_s)
    network.watch(period_ns, lambda: show.look(network.timeline.now_ns, network.timeline.lag.percentile))


class Progress:
    """Shows how far a world has come, at most about every `every_s` of wall time."""

    def __init__(self, display: Display, world: World, *, for_ns: int, paced: bool, every_s: float) -> None:
        self._display = display
        self._world = world
        self._for_ns = for_ns
        self._paced = paced
        self._every_s = every_s
        self._start = self._last = 0.0
        self._start_s = 0.0

    def look(self, now_ns: int, lag_percentile_ns: Callable[[float], int]) -> None:
        """Show it, unless that was done a moment ago."""
        now, emulated_s, display, world = time.monotonic(), now_ns / 1e9, self._display, self._world
        if not self._start:
            self._start, self._start_s = now, emulated_s
        if now - self._last < self._every_s * 0.9 or now == self._start:
            return
        self._last = now
        display.show(
            {
                "emulated_s": emulated_s,
                "for_s": self._for_ns / 1e9,
                "factor": (emulated_s - self._start_s) / (now - self._start),
                "lag_ms_p99": lag_percentile_ns(99) / 1e6 if self._paced else None,
                "delivered": sum(s.delivered for s in world.monitor.routes.values()),
                "routes": len(world.monitor.routes),
                "pairs": [route_json(world, a, b, emulated_s) for a, b in busiest(world, display.rows)],
            }
        )


def _state(snapshot: dict[str, Any]) -> str:
    lag_ms = snapshot["lag_ms_p99"]
    lag = "" if lag_ms is None else f"   lag p99 {lag_ms:.2f} ms"
    return f"{snapshot['delivered']} pairs   {snapshot['factor']:.3g} x real time{lag}"


def _snapshots(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    unpacker = msgpack.Unpacker(max_buffer_size=1 << 24)
    while chunk := os.read(stream.fileno(), 1 << 16):
        unpacker.feed(chunk)
        yield from unpacker


def draw(snapshot: dict[str, Any]) -> Any:
    """Return the table of a snapshot, for rich to print."""
    from rich.table import Table as RichTable  # noqa: PLC0415  (only the drawing process needs it)

    title = f"{snapshot['emulated_s']:.1f} of {snapshot['for_s']:g} s   {_state(snapshot)}"
    more = snapshot["routes"] - len(snapshot["pairs"])
    table = RichTable(title=title, title_justify="left")
    table.add_column("route", footer=f"{more} more routes")
    for heading in ("pairs", "rate", "fidelity", "waited", "age"):
        table.add_column(heading, justify="right")
    table.show_footer = more > 0
    for pair in snapshot["pairs"]:
        table.add_row(f"{pair['a']} - {pair['b']}", *route_cells(pair))
    return table


def main() -> None:
    """Draw the snapshots that come on standard input, until it ends."""
    from rich.live import Live  # noqa: PLC0415

    os.setpriority(os.PRIO_PROCESS, 0, 10)  # the emulation goes first
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the emulation, which then closes the pipe
    with Live(auto_refresh=False) as live:
        for snapshot in _snapshots(sys.stdin.buffer):
            live.update(draw(snapshot), refresh=True)


if __name__ == "__main__":
    main()
