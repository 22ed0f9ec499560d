"""The read model of instances as the control plane's activities write it."""

from __future__ import annotations

from typing import Protocol

from gamekeeper.domain.instance.control import ActionBegin, ActionBegun, ActionFinish


class InstanceStore(Protocol):
    """Every call is short: one transaction, which a cancelled call commits whole or not at all.

    UnavailableError means that the database is away.
    """

    async def begin(self, asked: ActionBegin) -> ActionBegun:
        """Notes the action on the instance, makes its revision, and counts its serial. Idempotent by token.

        Raises NotFoundError for an instance that is gone, also where another has its id by now, ConflictError and
        InvalidError for what can't be done.
        """

    async def finish(self, ended: ActionFinish) -> bool:
        """Notes the end of the action, unless another one took its place. True once it is deleted. Idempotent.

        Raises NotFoundError as ``begin`` does, ConflictError and InvalidError for what can't be kept.
        """
