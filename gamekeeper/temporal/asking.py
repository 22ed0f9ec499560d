"""The errors of a question to one workflow, in our words: of runs and of instances alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from gamekeeper.domain.instance.control import REFUSED
from gamekeeper.errors import ConflictError, NotFoundError, UnavailableError

UPDATE_LIMIT = timedelta(seconds=10)


@asynccontextmanager
async def asking(subject: str) -> AsyncIterator[None]:
    """ConflictError in the workflow's own words, NotFoundError where none of ``subject`` goes on, UnavailableError."""
    try:
        yield
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        words, kind = (cause.message, cause.type) if isinstance(cause, ApplicationError) else (str(cause), None)
        raise ConflictError(words, code=REFUSED if kind == REFUSED else "") from error
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        hint = "is the control_worker up? gamekeeper status"
        raise UnavailableError(f"{subject} did not answer in {UPDATE_LIMIT.seconds} s", hint=hint) from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NotFoundError(f"no workflow of {subject} goes on") from error
        raise UnavailableError(f"Temporal does not answer: {error.message}") from error
