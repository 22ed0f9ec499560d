"""Starts a service again whose process ended before it was healthy, as its container's ``restart`` says.

The engine is never asked to do that: it would look neither at the node's policy as it is by then nor at the container's
host folders. Only services of runs that a control plane from before instances began have such a word at all; once they
are up they become instances, which the keeper starts again.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TypeGuard

from gamekeeper.ports.container_engine import ContainerEngine, ContainerInfo, ContainerStatus

FIRST_DELAY_SECONDS = 0.1  # twice as long before each next one, as Docker does it
ENDED = (ContainerStatus.EXITED, ContainerStatus.DEAD)


class StartingAgain:
    """The ends of one service that its delivery has seen, and the starts behind them."""

    def __init__(self, engine: ContainerEngine, restart: str) -> None:
        self._engine = engine
        self._policy, _, most = restart.partition(":")
        self._most = int(most or 0)
        self._ends: list[object] = []
        self._exit_code: int | None = None

    def note(self, info: ContainerInfo | None) -> ContainerInfo | None:
        """The container as it is, with how often it ended, once for each start, and how it ended last."""
        if self.is_due(info) and info.started_at not in self._ends:
            self._ends.append(info.started_at)
            self._exit_code = info.exit_code
        if info is None or not self._ends:
            return info
        return replace(info, restart_count=len(self._ends), last_exit_code=self._exit_code)

    def is_due(self, info: ContainerInfo | None) -> TypeGuard[ContainerInfo]:
        """True for one that has ended and is to be started again."""
        if info is None or info.status not in ENDED or self._policy == "no":
            return False
        if self._policy != "on-failure":
            return True
        ends = len({*self._ends, info.started_at})
        return (info.exit_code != 0 or info.oom_killed) and (not self._most or ends <= self._most)

    async def start(self, container_id: str) -> None:
        """Raises as ``ContainerEngine.start`` does."""
        await asyncio.sleep(FIRST_DELAY_SECONDS * 2 ** (len(self._ends) - 1))
        await self._engine.start(container_id)
