"""InstanceEnsurer in memory: revisions are counted, and a test says how a change ends."""

from __future__ import annotations

import asyncio
from typing import Any

from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.instance.control import ActionEnd
from gamekeeper.domain.instance.ensure import EnsureInstance
from gamekeeper.domain.instance.state import InstanceState
from gamekeeper.errors import ConflictError, GamekeeperError


def make_end(revision: int = 1, **fields: Any) -> ActionEnd:
    made = ActionEnd(**({"serial": 1, "revision": revision, "state": InstanceState.READY} | fields))
    return made.model_copy(update={"is_ready": fields.get("is_ready", made.state is InstanceState.READY)})


class FakeInstances:
    """``outcome`` has the fields of the end of a change. While ``may_end`` is not set a change goes on; ``busy`` is how
    often a change is refused, because another one goes on. ``starts`` says whether a process comes to run."""

    def __init__(self) -> None:
        self.asked: list[EnsureInstance] = []
        self.outcome: dict[str, Any] = {"container_id": "c1", "digest": "sha256:d", "ports": ["8303->8303/udp"]}
        self.refusal: GamekeeperError | None = None
        self.busy = 0
        self.starts = True
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.changing = asyncio.Event()
        self._made: dict[StepKey, int] = {}
        self._revisions: dict[str, int] = {}

    async def accept(self, asked: EnsureInstance) -> None:
        self.asked.append(asked)
        if self.refusal is not None:
            raise self.refusal

    async def change(self, asked: EnsureInstance) -> ActionEnd:
        name = asked.instance.id
        if self.busy:
            self.busy -= 1
            raise ConflictError(f"instance {name} is being restarted")
        if asked.key not in self._made:
            self._made[asked.key] = self._revisions[name] = self._revisions.get(name, 0) + 1
        self.changing.set()
        await self.may_end.wait()
        return make_end(self._made[asked.key], **self.outcome)

    async def started(self, asked: EnsureInstance) -> ActionEnd | None:
        """The process runs as soon as its change goes on."""
        if asked.key not in self._made or not self.starts:
            return None
        return make_end(self._made[asked.key], container_id="c1", state=InstanceState.STARTING)

    async def seen(self, instance: str) -> str:
        return "it is starting"
