"""An engine under a contract that both keep: what the dummy promises, Docker does, and the other way round."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from agent_worker.docker_engine import DockerEngine
from gamekeeper.ports.container_engine import (
    ContainerEngine,
    ContainerStatus,
    NewContainer,
)
from tests.factories import make_new_container, make_owner
from tests.hang import HANG_SECONDS


class Subject:
    """An engine, and how it is told to do things: real commands for Docker, the environment for the dummy."""

    def __init__(self, engine: ContainerEngine, image: str, node: str, dummy: bool) -> None:
        self.engine = engine
        self.image = image
        self.node = node
        self.dummy = dummy

    def new(self, *, sleep: float = 0, exit_code: int = 0, output: str = "", **fields: Any) -> NewContainer:
        """``step_output`` is what it writes to the file for outputs, by a user who is not root."""
        handed_on: str | None = fields.pop("step_output", None)
        spec: dict[str, Any] = {"image": fields.pop("image", self.image), "restart": fields.pop("restart", "no")}
        if self.dummy:
            spec["environment"] = {
                "DUMMY_SLEEP": str(sleep),
                "DUMMY_EXIT_CODE": str(exit_code),
                "DUMMY_OUTPUT": output,
                "DUMMY_STEP_OUTPUT": handed_on or "",
            }
        else:
            # exec, so that a stop reaches a process that ends on it
            script = f"trap 'exit 143' TERM; printf '%s' '{output}'; sleep {sleep} & wait $!; exit {exit_code}"
            if handed_on is not None:
                script = f'echo "{handed_on}" >> "$STEP_OUTPUT"; {script}'
                spec |= {"user": "65534", "read_only": True}
            spec["command"] = ["sh", "-c", script]
        made = make_new_container(make_owner(node=self.node, **fields), **spec)
        return replace(made, has_outputs=handed_on is not None)

    async def start_again(self, container_id: str) -> None:
        """Starts it again, as ``docker start`` and Docker's restart policies do."""
        if isinstance(self.engine, DockerEngine):
            await self.engine.start(container_id)

    async def ended(self, new: NewContainer) -> str:
        """The id of a container that ran to its end, its restarts included."""
        container_id = await self.engine.create(new)
        await self.engine.start(container_id)
        async with asyncio.timeout(HANG_SECONDS):
            await self.engine.wait(container_id)
            while (info := await self.engine.find(container_id)) and info.status is not ContainerStatus.EXITED:
                await asyncio.sleep(0.05)
        return container_id
