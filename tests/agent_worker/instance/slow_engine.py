"""A dummy engine that takes its time as Docker does.

What it was asked for happens, whether or not somebody still waits for it. Whoever looks at a container that is being
started waits for the start. While it ``is_away`` it answers nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from agent_worker.dummy_engine import DummyEngine
from gamekeeper.errors import UnavailableError
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus, NewContainer

T = TypeVar("T")
TURNS = 3  # of the loop, for each thing that it does


class SlowEngine(DummyEngine):
    """``is_asked`` hears of each start as it is asked for, and ``has_started`` when it has come about."""

    def __init__(self, node: str) -> None:
        super().__init__(node)
        self.is_away = False
        self.started = 0
        self.is_asked: Callable[[ContainerInfo], None] = lambda _: None
        self.has_started: Callable[[ContainerInfo], None] = lambda _: None
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._creating = asyncio.Lock()

    async def _in_its_time(self, work: Callable[[], Awaitable[T]]) -> T:
        return await asyncio.shield(asyncio.create_task(self._later(work)))

    async def _later(self, work: Callable[[], Awaitable[T]]) -> T:
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if self.is_away:
            raise UnavailableError("Docker does not answer")
        return await work()

    async def create(self, new: NewContainer) -> str:
        return await self._in_its_time(partial(self._create, new))

    async def _create(self, new: NewContainer) -> str:
        async with self._creating:
            return await super().create(new)

    async def start(self, container_id: str, secrets: Mapping[str, bytes] | None = None) -> None:
        info = await super().find(container_id)
        if info is None or info.status is ContainerStatus.RUNNING:
            return await super().start(container_id, secrets)
        if container_id not in self._starting:
            self.is_asked(info)
            task = asyncio.create_task(self._later(partial(self._start, container_id, secrets)))
            self._starting[container_id] = task
            task.add_done_callback(lambda _: self._starting.pop(container_id))
        await asyncio.shield(self._starting[container_id])

    async def _start(self, container_id: str, secrets: Mapping[str, bytes] | None) -> None:
        await super().start(container_id, secrets)
        self.started += 1
        info = await super().find(container_id)
        assert info is not None
        self.has_started(info)

    async def signal(self, container_id: str, name: str) -> None:
        await self._in_its_time(partial(super().signal, container_id, name))

    async def remove(self, container_id: str) -> None:
        await self._in_its_time(partial(super().remove, container_id))

    async def find(self, name_or_id: str) -> ContainerInfo | None:
        if (starting := self._starting.get(self._ids.get(name_or_id, name_or_id))) is not None:
            await asyncio.wait({starting})
        return await self._later(partial(super().find, name_or_id))

    async def list_instances(self) -> Sequence[ContainerInfo]:
        return await self._later(super().list_instances)

    def running(self) -> list[ContainerInfo]:
        return [container.info for container in self._by_id.values() if container.is_running]

    def there(self) -> list[str]:
        return [container.info.name for container in self._by_id.values()]

    def end(self, container_id: str, exit_code: int) -> None:
        """Its process ends by itself."""
        self._by_id[container_id].stop(exit_code)

    def go_down(self) -> None:
        """Its containers end well by its own stop, and it is away from then on."""
        for container in self._by_id.values():
            if container.is_running:
                container.with_engine = True
                container.stop(0)
        self.is_away = True

    def come_back(self) -> None:
        self.is_away = False
        self._told_name("")
