"""InstanceStore in memory, for one instance."""

from __future__ import annotations

import asyncio

from gamekeeper.domain.instance.control import ActionBegin, ActionBegun, ActionFinish, InstanceAction
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.errors import ConflictError, InvalidError
from tests.factories import make_container


class FakeInstanceStore:
    """``begun`` and ``ended`` are the actions in their order. ``held`` and ``node_is_there`` are what the rows would
    tell, and ``refusal`` is the words with which the next action is refused."""

    def __init__(self) -> None:
        self.revisions = {1: InstanceSpec(container=make_container())}
        self.current = 1
        self.begun: list[ActionBegin] = []
        self.ended: list[ActionFinish] = []
        self.held: InstanceReason | None = None
        self.node_is_there = True
        self.agent = "0.1.0"
        self.refusal = ""
        self.unkeepable = False
        self._changed = asyncio.Condition()

    async def begin(self, asked: ActionBegin) -> ActionBegun:
        if self.refusal:
            raise ConflictError(self.refusal)
        before = self.current
        if asked.spec is not None:
            self.current = max(self.revisions) + 1
            self.revisions[self.current] = asked.spec
        elif asked.action is InstanceAction.ROLLBACK:
            self.current = asked.revision or before - 1
        else:
            self.current = asked.revision or before
        self.begun.append(asked)
        await self._tell()
        return ActionBegun(
            serial=asked.serial,
            revision=self.current,
            before=before,
            spec=self.revisions[self.current],
            held=self.held if asked.desired is Desired.RUNNING else None,
            node_is_there=self.node_is_there,
            agent=self.agent,
        )

    async def finish(self, ended: ActionFinish) -> bool:
        if self.unkeepable and ended.outcome is not None:
            raise InvalidError("no row takes it")
        self.ended.append(ended)
        await self._tell()
        is_removal = self.begun[-1].desired is Desired.REMOVED
        is_deleted = ended.outcome is not None and ended.outcome.status.state is InstanceState.DELETED
        return is_removal and (is_deleted or not self.node_is_there)

    def actions(self) -> list[InstanceAction]:
        return [asked.action for asked in self.begun]

    async def until_ended(self, serial: int) -> ActionFinish:
        """Waits for the end of the action with this number."""
        async with self._changed:
            await self._changed.wait_for(lambda: any(ended.serial == serial for ended in self.ended))
        return next(ended for ended in self.ended if ended.serial == serial)

    async def until_begun(self, serial: int) -> ActionBegin:
        async with self._changed:
            await self._changed.wait_for(lambda: any(asked.serial == serial for asked in self.begun))
        return next(asked for asked in self.begun if asked.serial == serial)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
