"""Temporal's errors about schedules, of pipelines and of instances, as ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.client import ScheduleAlreadyRunningError
from temporalio.service import RPCError, RPCStatusCode

from gamekeeper.errors import ConflictError, InvalidError, NotFoundError, UnavailableError


@asynccontextmanager
async def asking_for(name: str = "") -> AsyncIterator[None]:
    try:
        yield
    except ScheduleAlreadyRunningError as error:
        raise ConflictError(f'schedule "{name}" was made by somebody else just now', hint="apply it again") from error
    except RPCError as error:
        if error.status is RPCStatusCode.INVALID_ARGUMENT:
            raise InvalidError(f"Temporal does not take the schedule: {error.message}") from error
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NotFoundError(f'there is no schedule "{name}"', hint="gamekeeper schedule ls lists them") from error
        raise UnavailableError(f"Temporal does not answer: {error.message}", hint="gamekeeper status") from error
