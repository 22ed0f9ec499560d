"""Writes the actions on instances into the read model, for the workflow that does one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from temporalio import activity

from activities.control_plane.refusals import final
from gamekeeper.domain.instance.control import REFUSED, ActionBegin, ActionBegun, ActionFinish
from gamekeeper.errors import ConflictError, InvalidError, NotFoundError
from gamekeeper.ports.instance_store import InstanceStore

GONE = "InstanceGone"


class InstanceStoreActivities:
    def __init__(self, instances: InstanceStore) -> None:
        self._instances = instances

    @activity.defn(name="instances.begin")
    async def begin(self, asked: ActionBegin) -> ActionBegun:
        with _refusals_are_final():
            return await self._instances.begin(asked)

    @activity.defn(name="instances.finish")
    async def finish(self, ended: ActionFinish) -> bool | None:
        """True for an instance that is deleted by it. Histories of before hold None."""
        with _refusals_are_final():
            return await self._instances.finish(ended)


@contextmanager
def _refusals_are_final() -> Iterator[None]:
    """A wrong request stays wrong, and so does what no row takes; but a database that is away is asked again."""
    try:
        yield
    except NotFoundError as error:
        raise final(error, GONE) from error
    except (InvalidError, ConflictError, ValueError, TypeError, ArithmeticError) as error:
        raise final(error, REFUSED) from error
