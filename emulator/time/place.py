"""Where one task waits until it is woken by name."""

from __future__ import annotations

from trio import lowlevel


class Place:
    """A place where one task at a time parks until somebody calls `wake`.

    Unlike a trio.Event it can be used again, costs next to nothing, and holds exactly one task, so that there is no
    order of waiters to speak of. A wake-up is not remembered: to wake an empty place does nothing.
    """

    __slots__ = ("task",)

    def __init__(self) -> None:
        self.task: lowlevel.Task | None = None  # who is parked here

    async def park(self) -> None:
        """Wait to be woken. A cancelled wait leaves the place empty, as if it had never been entered.

        Raises RuntimeError if another task is parked here already: it could never be woken again.
        """
        if self.task is not None:
            raise RuntimeError(f"{self.task.name} is parked here already: a place holds one task, use one for each")
        self.task = lowlevel.current_task()
        await lowlevel.wait_task_rescheduled(self._forget)

    def wake(self) -> bool:
        """Make the parked task run again; return whether there was one. Only from inside the run, not from a thread."""
        task, self.task = self.task, None
        if task is None:
            return False
        lowlevel.reschedule(task)
        return True

    def _forget(self, _raise_cancel: object) -> lowlevel.Abort:
        # trio reschedules a cancelled task itself. If the task were still here, `wake` would do it a second time,
        # which trio takes for an internal error, often much later.
        self.task = None
        return lowlevel.Abort.SUCCEEDED
