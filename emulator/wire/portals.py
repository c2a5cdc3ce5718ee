"""How a task waits in the middle of an event, without being written as one that waits: by greenback."""

from __future__ import annotations

import greenback
import trio


class Portals(trio.abc.Instrument):
    """Lets tasks wait in the middle of an event (see greenback): those that `enter`, and all that they start."""

    def __init__(self) -> None:
        self._tasks: set[trio.lowlevel.Task] = set()

    async def enter(self) -> None:
        """Let the present task wait, and those that it starts."""
        await greenback.ensure_portal()
        self._tasks.add(trio.lowlevel.current_task())

    def leave(self) -> None:
        """Let those that the present task starts be as any."""
        self._tasks.discard(trio.lowlevel.current_task())

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """Let the children of those who wait do so, too."""
        if task.parent_nursery is not None and task.parent_nursery.parent_task in self._tasks:
            greenback.bestow_portal(task)
            self._tasks.add(task)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Forget it."""
        self._tasks.discard(task)
