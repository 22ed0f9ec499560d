"""Keeps what a workflow task starts below the size at which Temporal ends the workflow."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from gamekeeper.domain.run.limits import MAX_COMMANDS, MAX_EVENTS, MAX_HISTORY

NEXT_TASK = timedelta(milliseconds=1)


class CommandBudget:
    """Counts the bytes of the arguments that are sent in one workflow task."""

    def __init__(self) -> None:
        self._task = -1
        self._used = 0

    async def take(self, size: int) -> None:
        """Returns at once while there is room, else in a later workflow task."""
        while not self._has_room(size):
            await workflow.sleep(NEXT_TASK, summary="the next steps start in a moment")
        self._used += size

    def _has_room(self, size: int) -> bool:
        task = workflow.info().get_current_history_length()  # the same for the whole of a task, and in a replay
        if task != self._task:
            self._task, self._used = task, 0
        return self._used == 0 or self._used + size <= MAX_COMMANDS


def history_is_full() -> bool:
    """True when the run may start nothing more, or Temporal would end it before its finally steps."""
    info = workflow.info()
    return info.get_current_history_size() > MAX_HISTORY or info.get_current_history_length() > MAX_EVENTS
