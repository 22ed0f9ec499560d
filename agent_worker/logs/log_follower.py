"""Follows containers' logs into the spool. Lives beside the activities: a service's log outlives its step.

A reader that met an error begins again at what the spool holds; a log that nobody reads is found by ``take_up``.
"""

from __future__ import annotations

import asyncio
import time

from agent_worker.logs.log_reader import LogReader
from agent_worker.logs.spool import Spool
from agent_worker.secrets.held import SecretsOfContainers
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.log.log import LogEnd
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import ContainerEngine, ContainerStatus

log = get_logger(__name__)

TAKE_UP_SECONDS = 30.0
REMOVED_MEANWHILE = "its container was removed while nobody followed its log"


class LogFollower:
    """StepLogs over the engine, which shows logs as they are, and the spool. ``secrets`` are masked in them."""

    def __init__(self, engine: ContainerEngine, spool: Spool, secrets: SecretsOfContainers | None = None) -> None:
        self._engine = engine
        self._spool = spool
        self._secrets = secrets or SecretsOfContainers()
        self._readers: dict[ContainerKey, LogReader] = {}
        self._tasks: dict[ContainerKey, asyncio.Task[None]] = {}
        self._ended: set[ContainerKey] = set()

    def follow(self, key: ContainerKey, container_id: str, *, until_removed: bool, one_file: bool = False) -> None:
        if key in self._readers:
            self._readers[key].until_removed &= until_removed
            self._readers[key].nudge()
            return
        reader = LogReader(self._engine, self._spool, key, container_id, until_removed, one_file, self._secrets)
        self._readers[key] = reader
        self._tasks[key] = asyncio.create_task(reader.read_to_the_end())
        self._tasks[key].add_done_callback(lambda done: self._done(key, done))

    def _done(self, key: ContainerKey, task: asyncio.Task[None]) -> None:
        del self._readers[key], self._tasks[key]
        if not task.cancelled():
            self._ended.add(key)

    async def begin_anew(self, key: ContainerKey) -> None:
        """Lets the log of ``key`` go on with a new container. What the old one had not shown is gone with it."""
        await self._leave(key)
        await asyncio.to_thread(self._spool.open_again, key, new_container=True)

    async def go_on(self, key: ContainerKey) -> None:
        """Lets a log that was to end, or has ended, go on with its container, which is started again."""
        reader = self._readers.get(key)
        if reader is None or not reader.until_removed:
            await self._leave(key)
            await asyncio.to_thread(self._spool.open_again, key, new_container=False)

    async def _leave(self, key: ContainerKey) -> None:
        if (task := self._tasks.get(key)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._ended.discard(key)

    async def is_handed_over(self, key: ContainerKey) -> bool:
        return await asyncio.to_thread(self._spool.is_settled, key)

    async def drain(self, key: ContainerKey, deadline: float) -> bool:
        task = self._tasks.get(key)
        if task is None:
            return True
        done, _ = await asyncio.wait({task}, timeout=deadline)
        return bool(done)

    async def close(self) -> None:
        """Stops following. The next process goes on from the lines on disk and in the engine."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def take_up(self) -> None:
        """Follows every container whose log has not ended, whatever became of its step or of its follower, and ends the
        logs whose containers are gone."""
        begun = await asyncio.to_thread(self._spool.open_keys)  # first: their containers are older than the list
        listed = [*await self._engine.list_owned(), *await self._engine.list_instances()]
        infos = {info.owner.key: info for info in listed if info.owner is not None}
        for key, info in infos.items():
            if info.owner is not None and info.status is not ContainerStatus.CREATED and key not in self._ended:
                until_removed, one_file = info.owner.lifetime == "node", info.owner.kind == "job"
                self.follow(key, info.id, until_removed=until_removed, one_file=one_file)
        self._ended &= infos.keys()
        for key in begun:
            if key not in infos and key not in self._tasks:
                log.warning("the log of %s ends without its end: %s", key, REMOVED_MEANWHILE)
                end = LogEnd(complete=False, reason=REMOVED_MEANWHILE)
                await asyncio.to_thread(self._spool.end, key, end, time.time_ns())
