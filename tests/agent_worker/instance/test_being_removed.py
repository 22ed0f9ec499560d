"""A container that somebody begins to remove, as an agent that was killed then, when its name is wanted again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agent_worker.dummy_engine import DummyEngine
from gamekeeper.ports.container_engine import ContainerStatus, NameTakenError, NewContainer
from tests.agent_worker.instance.node import KeptNode


class Removing(DummyEngine):
    """Its first containers of a name were made before, and are on their way out."""

    left = ("",) * 2

    async def create(self, new: NewContainer) -> str:
        made = await super().create(new)
        if "" in self.left:
            self.left = (*self.left[1:], made)
            container = self._by_id[made]
            container.info = replace(container.info, status=ContainerStatus.REMOVING)
            raise NameTakenError(container.info.name)
        return made


async def test_it_is_waited_for(tmp_path: Path) -> None:
    engine = Removing("node-1")
    node = KeptNode(tmp_path, engine).begin()
    outcome = await node.order(spec=node.spec({"DUMMY_SLEEP": "600"}))
    assert outcome.is_ready, outcome.status.message
    assert (await node.found()).id not in engine.left
    assert len(set(engine.left)) == 2
    await node.kill()
