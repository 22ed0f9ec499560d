"""One delivery of an activity on its node: it beats, its token is journaled, and our errors become Temporal's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from temporalio import activity
from temporalio.exceptions import ApplicationError

from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.errors import GamekeeperError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.ports.node_agent import Deliveries

log = get_logger(__name__)

_notes: set[asyncio.Task[None]] = set()


def refused(what: str, reason: str) -> ApplicationError:
    """The error of a delivery that this node will have nothing to do with, now or later."""
    log.error("a delivery is refused: %s", reason)
    return ApplicationError(f"the node refuses the {what}: {reason}", type=f"{what}_refused", non_retryable=True)


@asynccontextmanager
async def journaled(deliveries: Deliveries, key: ContainerKey) -> AsyncIterator[None]:
    """Keeps the token for the time of the delivery, so that Temporal hands it out again soon after a kill. A full disk
    costs no more than that."""
    token = activity.info().task_token
    with suppress(UnavailableError):
        await asyncio.to_thread(deliveries.took, key, token)
    try:
        yield
    finally:
        note_behind(deliveries.returned, token)


def note_behind(note: Callable[[bytes], None], token: bytes) -> None:
    """Notes a delivery's end without holding up its answer: a full disk must not spoil a result."""

    def ended(task: asyncio.Task[None]) -> None:
        _notes.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("a delivery's end was not journaled: %s", task.exception())

    task = asyncio.create_task(asyncio.to_thread(note, token))
    _notes.add(task)
    task.add_done_callback(ended)


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Our errors as Temporal's: what may pass is tried again, what stays wrong is not."""
    try:
        yield
    except GamekeeperError as error:
        raise ApplicationError(
            str(error), type=error.kind, non_retryable=not isinstance(error, UnavailableError)
        ) from error
