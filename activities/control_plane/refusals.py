"""Refusals of the control plane as final errors of an activity: what is wrong stays wrong, and is not asked again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from gamekeeper.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError

_MESSAGE_LIMIT = 2000


@contextmanager
def refusals_are_final(kind: str) -> Iterator[None]:
    """An error of ``kind`` for a wrong request; a database that is away is asked again."""
    try:
        yield
    except (InvalidError, NotFoundError, ConflictError, ForbiddenError) as error:
        raise final(error, kind) from error


def final(error: Exception, kind: str) -> ApplicationError:
    text = str(error)[:_MESSAGE_LIMIT]
    return ApplicationError(text, type=kind, non_retryable=True, category=ApplicationErrorCategory.BENIGN)
