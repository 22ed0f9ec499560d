"""The engine's containers of which no question is needed: how they were made, and jobs that have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, TypeVar

from agent_worker.docker_engine.exits import CleanExit, ExitWatch
from agent_worker.docker_engine.inspected import Made
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus

T = TypeVar("T")


class KnownContainers:
    """``made`` holds what this process has created, ``ended`` the jobs whose state changes no more."""

    def __init__(self, watch: ExitWatch) -> None:
        self._watch = watch
        self.made: dict[str, Made] = {}
        self.ended: dict[str, ContainerInfo] = {}

    async def unless_ended_well(self, container_id: str, answer: asyncio.Future[T]) -> T | None:
        """The engine's answer, or None when the container's clean end, now in ``ended``, was heard of before it."""
        clean = self._watch.expect(container_id)
        try:
            first: set[asyncio.Future[Any]] = {answer, clean}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() and self._learn(container_id, clean.result()):
                answer.add_done_callback(lambda done: done.cancelled() or done.exception())
                return None
            return await answer
        except asyncio.CancelledError:
            answer.cancel()
            raise
        finally:
            clean.cancel()

    def _learn(self, container_id: str, end: CleanExit) -> bool:
        """Notes a clean end before the engine's state tells it; False when that has to be waited for."""
        made = self.made.get(container_id)
        if made is not None and not made.publishes:
            info = made.ended_well(end.started_at, end.finished_at)
            if _is_final(info):
                self.ended[container_id] = info
        return container_id in self.ended

    def forget(self, container_id: str) -> None:
        self.made.pop(container_id, None)
        self.ended.pop(container_id, None)
        self._watch.forget(container_id)

    def keep(self, found: Iterable[ContainerInfo], known: Iterable[str], listed: set[str]) -> None:
        """Keeps the ended jobs among all steps' containers, and forgets the steps ``known`` before that are gone."""
        self.ended = {info.id: info for info in found if _is_final(info)}
        for gone in {name for name in known if _is_step(self.made.get(name))} - listed:
            self.made.pop(gone, None)


def _is_step(made: Made | None) -> bool:
    return made is not None and made.info.owner is not None and isinstance(made.info.owner.key, StepKey)


def _is_final(info: ContainerInfo) -> bool:
    """True when a container has ended and nothing of ours starts it again."""
    is_job = info.owner is not None and info.owner.kind == "job"
    return is_job and info.status in (ContainerStatus.EXITED, ContainerStatus.DEAD)
