"""Stops and removes containers, each in a task of its own, so that one which Docker can't remove holds up nothing else.

A container that can't be removed is told once, with the next report, and tried again ever more seldom.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from agent_worker.journal import SqliteJournal
from agent_worker.logs.spool import Spool
from gamekeeper.backoff import Backoff
from gamekeeper.domain.container.container_key import ContainerKey, StepKey
from gamekeeper.domain.log.log import LogEnd
from gamekeeper.errors import GamekeeperError
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import ContainerEngine, ContainerInfo, ContainerStatus
from gamekeeper.ports.node_agent import StepLogs

log = get_logger(__name__)

AT_ONCE = 4
LIMIT_SECONDS = 90.0
STOP_GRACE_SECONDS = 10.0
DRAIN_SECONDS = 10.0
JUST_ENDED_SECONDS = 2.0
LIVE_SECONDS = 30.0
POLL_SECONDS = 0.5
RETRY_SECONDS = 5.0
ENDED = (ContainerStatus.EXITED, ContainerStatus.DEAD, ContainerStatus.CREATED, ContainerStatus.REMOVING)


@dataclass
class _Case:
    """One container that is to go: the task that sees to it, and what came of the last one."""

    backoff: Backoff = field(default_factory=lambda: Backoff(initial=2, maximum=600))
    task: asyncio.Task[None] | None = None
    not_before: float = 0.0
    problem: str = ""


class Removals:
    """``changed`` is called when a container has gone, or a new problem is to be told."""

    def __init__(
        self,
        engine: ContainerEngine,
        spool: Spool,
        journal: SqliteJournal,
        logs: StepLogs,
        changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._spool = spool
        self._journal = journal
        self._logs = logs
        self._changed = changed
        self._cases: dict[str, _Case] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    def begin(self, info: ContainerInfo, key: ContainerKey, *, runs: bool) -> None:
        """Sees to it that a container goes; does nothing while that is under way or waits for its next try.

        ``runs`` says that it was running when the control plane decided.
        """
        case = self._cases.setdefault(info.id, _Case())
        if case.task is None and time.monotonic() >= case.not_before:
            case.task = asyncio.create_task(self._see_to(case, info, key, runs))

    def problem(self, container_id: str) -> str:
        """The reason why the container could not be removed; empty when nothing is wrong."""
        case = self._cases.get(container_id)
        return case.problem if case else ""

    def keep_only(self, container_ids: Collection[str]) -> None:
        """Forgets containers that are gone."""
        for container_id in self._cases.keys() - set(container_ids):
            if self._cases[container_id].task is None:
                del self._cases[container_id]

    async def close(self) -> None:
        """Ends what is under way; the next process is told again what is to go."""
        tasks = [case.task for case in self._cases.values() if case.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _see_to(self, case: _Case, info: ContainerInfo, key: ContainerKey, runs: bool) -> None:
        try:
            must_stop = runs and not await self._ends_by_itself(info.id, key)
            async with self._slots, asyncio.timeout(LIMIT_SECONDS):
                if must_stop:
                    log.warning("container %s has no live owner: stopping it", info.name)
                    await self._stop(info, key)
                gone = await self._remove(info, key)
        except GamekeeperError as error:
            self._failed(case, info, str(error))
        except TimeoutError:
            self._failed(case, info, f"the engine did not do it within {LIMIT_SECONDS:g} s")
        except Exception as error:
            log.exception("the removal of container %s failed", info.name)
            self._failed(case, info, repr(error))
        else:
            case.problem = ""
            case.backoff.reset()
            if gone:
                self._changed()
        finally:
            case.task = None

    def _failed(self, case: _Case, info: ContainerInfo, problem: str) -> None:
        if case.problem != problem:
            log.warning("container %s can't be removed, and is tried again later: %s", info.name, problem)
            self._changed()
        case.problem = problem
        case.not_before = time.monotonic() + RETRY_SECONDS + case.backoff.next_delay()

    async def _ends_by_itself(self, container_id: str, key: ContainerKey) -> bool:
        """A step that ended a moment ago takes its container along, and so does a delivery that is stopping it."""
        begun = time.monotonic()
        while True:
            info = await self._engine.find(container_id)
            if info is None or info.status in ENDED:
                return True
            is_live = isinstance(key, StepKey) and await asyncio.to_thread(self._journal.is_live, key)
            if time.monotonic() - begun >= (LIVE_SECONDS if is_live else JUST_ENDED_SECONDS):
                return False
            await asyncio.sleep(POLL_SECONDS)

    async def _stop(self, info: ContainerInfo, key: ContainerKey) -> None:
        self._logs.follow(key, info.id, until_removed=False)
        await self._engine.stop(info.id, STOP_GRACE_SECONDS)

    async def _remove(self, info: ContainerInfo, key: ContainerKey) -> bool:
        """True when the container is gone; False while its log is on its way."""
        found = await self._engine.find(info.id)
        if found is not None and found.status is ContainerStatus.CREATED:
            # The engine refuses to remove it if somebody has started it meanwhile. So its log is empty.
            await self._engine.remove(info.id)
            await asyncio.to_thread(self._end_empty, key)
            return True
        if not await self._log_is_settled(info, key):
            return False
        await self._engine.remove(info.id)
        await asyncio.to_thread(self._forget, key)
        return True

    async def _log_is_settled(self, info: ContainerInfo, key: ContainerKey) -> bool:
        if await asyncio.to_thread(self._spool.is_settled, key):
            return True
        self._logs.follow(key, info.id, until_removed=False)  # does nothing when it is read to its end
        await self._logs.drain(key, DRAIN_SECONDS)
        return await asyncio.to_thread(self._spool.is_settled, key)

    def _end_empty(self, key: ContainerKey) -> None:
        self._spool.open(key)
        self._spool.end(key, LogEnd(complete=True), time.time_ns())
        self._forget_try(key)

    def _forget(self, key: ContainerKey) -> None:
        self._spool.forget(key)
        self._forget_try(key)

    def _forget_try(self, key: ContainerKey) -> None:
        if isinstance(key, StepKey):
            self._journal.forget(key)
