"""Cancels of a run: a run hears of its cancel as a call, never as an exception in the middle of its work.

Temporal cancels a workflow by raising CancelledError at the one await where its main coroutine stands. In a run that
may be the clean-up itself, or nowhere, when a result comes in the same workflow task. So the main coroutine only waits,
and the run goes on in a task of its own, which no cancel reaches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from temporalio import workflow

Result = TypeVar("Result")


async def to_its_end(work: Coroutine[Any, Any, Result], cancelled: Callable[[], None]) -> Result:
    """The result of ``work``, which runs to its end whatever is cancelled. ``cancelled`` is called once, at the cancel.

    It is also called when the cancel came before the work began, and together with its end.
    """
    task = asyncio.create_task(work)
    heard = False
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if heard or workflow.cancellation_reason() is None:
                raise  # the worker forgets this workflow, and takes all its tasks apart
            heard = True
            cancelled()
