"""A dummy engine at which an agent can be killed: before or after each call that changes something, and each look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from agent_worker.dummy_engine import DummyEngine
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus, NewContainer

T = TypeVar("T")


class BoundaryEngine(DummyEngine):
    """``kill_at`` is the number of the call at which nothing goes on any more; ``after`` it was carried out.

    ``is_there`` is set then. ``ups`` are the most containers that were up at once, ``started`` those that were started.
    """

    def __init__(self, node: str, kill_at: int = 0, *, after: bool = False) -> None:
        super().__init__(node)
        self.kill_at = kill_at
        self.after = after
        self.calls = 0
        self.ups = 0
        self.started: list[str] = []
        self.is_there = asyncio.Event()

    def revive(self) -> None:
        self.kill_at = 0

    async def _at_boundary(self, call: Awaitable[T]) -> T:
        self.calls += 1
        is_last = self.calls == self.kill_at
        if not is_last or self.after:
            result = await call
            if not is_last:
                return result
        elif asyncio.iscoroutine(call):
            call.close()
        self.is_there.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def create(self, new: NewContainer) -> str:
        return await self._at_boundary(super().create(new))

    async def start(self, container_id: str, secrets: Mapping[str, bytes] | None = None) -> None:
        await self._at_boundary(self._start_seen(container_id, secrets))

    async def _start_seen(self, container_id: str, secrets: Mapping[str, bytes] | None) -> None:
        info = await DummyEngine.find(self, container_id)
        if info is not None and info.status is not ContainerStatus.RUNNING:
            self.started.append(info.name)
        await super().start(container_id, secrets)
        found = [item for item in await self.list_instances() if item.status is ContainerStatus.RUNNING]
        self.ups = max(self.ups, len(found))

    async def signal(self, container_id: str, name: str) -> None:
        await self._at_boundary(super().signal(container_id, name))

    async def remove(self, container_id: str) -> None:
        await self._at_boundary(super().remove(container_id))

    async def find(self, name_or_id: str) -> ContainerInfo | None:
        return await self._at_boundary(super().find(name_or_id))

    async def wait(self, container_id: str) -> None:
        await self._at_boundary(super().wait(container_id))
