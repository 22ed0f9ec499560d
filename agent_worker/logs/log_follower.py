"""Follows containers' logs into the spool. Lives beside the activities: a service's log outlives its step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from functools import partial

from agent_worker.logs.log_cursor import LogCursor
from agent_worker.logs.spool import Spool
from gamekeeper.backoff import Backoff
from gamekeeper.domain.log.log import LogEnd
from gamekeeper.domain.run.step import StepKey
from gamekeeper.errors import UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import ContainerEngine, ContainerStatus

log = get_logger(__name__)

ALIVE = (ContainerStatus.RUNNING, ContainerStatus.PAUSED, ContainerStatus.RESTARTING)
RESTART_POLL_SECONDS = 2.0
BEHIND_SECONDS = 2.0
CAUGHT_UP_BYTES = 16 * 1024 * 1024
ROTATED_AWAY = "the engine began new files faster than its log could be read"


class LogFollower:
    """StepLogs over the engine and the spool."""

    def __init__(self, engine: ContainerEngine, spool: Spool) -> None:
        self._engine = engine
        self._spool = spool
        self._tasks: dict[StepKey, asyncio.Task[None]] = {}

    def follow(self, key: StepKey, container_id: str, *, until_removed: bool, one_file: bool = False) -> None:
        if key not in self._tasks:
            task = asyncio.create_task(self._follow(key, container_id, until_removed, one_file))
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))

    def _ended(self, key: StepKey, task: asyncio.Task[None]) -> None:
        self._tasks.pop(key, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("the log of %s is no longer followed", key, exc_info=task.exception())

    async def drain(self, key: StepKey, deadline: float) -> bool:
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

    async def resume_all(self) -> None:
        """Takes up, after a start, every container of this node whose log has not ended."""
        for info in await self._engine.list_owned():
            if info.owner is not None and info.status is not ContainerStatus.CREATED:
                until_removed, one_file = info.owner.lifetime == "node", info.owner.kind == "job"
                self.follow(info.owner.key, info.id, until_removed=until_removed, one_file=one_file)

    async def _follow(self, key: StepKey, container_id: str, until_removed: bool, one_file: bool) -> None:
        cursor = await asyncio.to_thread(self._spool.open, key)
        backoff = Backoff(initial=0.2, maximum=5)
        behind = False
        while cursor is not None:
            before, follow = cursor.read_bytes, not behind
            try:
                behind = await self._read_once(key, container_id, cursor, follow=follow, one_file=one_file)
                backoff.reset()
                info = await self._engine.find(container_id)
            except UnavailableError as error:
                log.warning("the log of %s waits: %s", key, error)
                behind = not cursor.by_count
                await asyncio.sleep(backoff.next_delay())
                continue
            if info is None:
                reason = "" if until_removed else "its container was removed"
                await self._end(key, cursor, reason)
                return
            grown = cursor.read_bytes > before
            if info.status not in ALIVE and not until_removed:
                if (not follow and not grown) or (one_file and await self._has_all(container_id, cursor)):
                    await self._end(key, cursor, "")
                    return
                behind = True  # Docker may end the stream of who follows before it has sent all: look whether it did
                continue
            if grown and not cursor.by_count:
                continue  # it also ends it where it begins a new file
            await asyncio.sleep(RESTART_POLL_SECONDS if info.status not in ALIVE else 0.1)

    async def _has_all(self, container_id: str, cursor: LogCursor) -> bool:
        """True when the newest line of a long log is the one that was read last: reading it all again takes as long as
        reading it did."""
        if cursor.by_count or cursor.newest is None:
            return False
        try:
            return await self._engine.last_log_line(container_id) == cursor.newest
        except UnavailableError:
            return False

    async def _read_once(
        self, key: StepKey, container_id: str, cursor: LogCursor, *, follow: bool, one_file: bool
    ) -> bool:
        """Reads from the cursor on until the engine ends the stream. True when the existing lines should be read first:
        the engine does not show lines that it rotated meanwhile to a follower that is far behind."""
        known, read_before = cursor.filter(), cursor.read_bytes
        async with aclosing(self._engine.read_logs(container_id, cursor.since_ns, follow=follow)) as batches:
            async for lines in batches:
                fresh = known.fresh(lines)
                if not fresh:
                    continue
                gap = ROTATED_AWAY if known.lost else ""
                known.lost, cursor.lost = False, cursor.lost or known.lost
                cursor.advance(fresh)
                await self._keep(partial(self._spool.append, key, fresh, cursor, gap))
                falls_behind = follow and not one_file and not cursor.by_count
                if falls_behind and time.time_ns() - fresh[-1].ts_ns > BEHIND_SECONDS * 1e9:
                    return True
        return not follow and cursor.read_bytes - read_before > CAUGHT_UP_BYTES

    async def _end(self, key: StepKey, cursor: LogCursor, reason: str) -> None:
        end = LogEnd(not (reason or cursor.lost), reason or (ROTATED_AWAY if cursor.lost else ""))
        await self._keep(partial(self._spool.end, key, end, time.time_ns()))

    async def _keep(self, write: Callable[[], None]) -> None:
        """Repeats a write until the disk takes it; meanwhile nothing is read, and the engine's log holds the rest."""
        backoff = Backoff(initial=0.2, maximum=2)
        while True:
            try:
                await asyncio.to_thread(write)
            except UnavailableError as error:
                if backoff.failures in (0, 30):
                    log.error("logs wait in Docker: %s", error)
                await asyncio.sleep(backoff.next_delay())
            else:
                return
