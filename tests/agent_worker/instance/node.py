"""A node whose keeper works on an engine, and that can be killed and begin again from what is on its disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent_worker.dummy_engine import DummyEngine
from agent_worker.instance.journal import KeeperJournal
from agent_worker.instance.keeper import Keeper
from agent_worker.instance.tools import Tools
from gamekeeper.domain.instance.order import InstanceOrder, InstanceOutcome, InstanceStatus
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceState
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.ports.container_engine import ContainerEngine, ContainerInfo, ContainerStatus
from gamekeeper.supervised import Supervised
from tests.fakes.node_agent import FakeInstanceLogs
from tests.hang import HANG_SECONDS

NODES: list[KeptNode] = []  # of the test that runs


class KeptNode:
    """``told`` holds all that was told, by all agents of the node. ``steady`` is the clock, which a test may move,
    and ``boot`` the machine's present life."""

    def __init__(self, folder: Path, engine: ContainerEngine, image: str = "image", node: str = "node-1") -> None:
        self.folder = folder
        self.engine = engine
        self.image = image
        self.node = node
        self.logs = FakeInstanceLogs()
        self.policy = NodePolicy()
        self.told: list[InstanceStatus] = []
        self.on_told: Callable[[InstanceStatus], None] = lambda _: None
        self.ahead = 0.0
        self.boot = "boot-1"
        self.serial = 0
        self.instance = "game"
        self._journal: KeeperJournal | None = None
        self._task: asyncio.Task[None] | None = None
        NODES.append(self)

    def steady(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead

    def open(self) -> KeptNode:
        """A new agent that has not begun yet."""
        self._journal = KeeperJournal(self.folder / "instances.db")
        proc = self.folder / "no-proc" if isinstance(self.engine, DummyEngine) else Path("/proc")
        clocks: dict[str, Any] = {"steady": self.steady, "boot": self.boot}
        tools = Tools(self.engine, self._journal, self.logs, self.policy, self._tell, **clocks, proc=proc)
        self.keeper = Keeper(tools)
        return self

    def begin(self) -> KeptNode:
        """A new agent."""
        self.open()
        return self.run()

    def run(self) -> KeptNode:
        supervised = Supervised("the keeper of instances")  # as in an agent: what fails is begun again
        self._task = asyncio.create_task(supervised.endless(self.keeper.run_forever))
        return self

    def _tell(self, status: InstanceStatus) -> None:
        self.told.append(status)
        self.on_told(status)

    async def kill(self) -> None:
        """Ends the agent as it stands."""
        assert self._task is not None
        assert self._journal is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._journal.close()

    async def order(self, desired: Desired = Desired.RUNNING, revision: int = 1, **fields: Any) -> InstanceOutcome:
        """Gives the next order and waits for its end."""
        async with asyncio.timeout(HANG_SECONDS):
            return await self.keeper.carry_out(self.next_order(desired, revision, **fields))

    def next_order(self, desired: Desired = Desired.RUNNING, revision: int = 1, **fields: Any) -> InstanceOrder:
        self.serial += 1
        order = {"spec": self.spec(), "instance": self.instance, "node": self.node, "serial": self.serial} | fields
        return InstanceOrder(desired=desired, revision=revision, **order)

    def spec(self, environment: dict[str, str] | None = None, **parts: Any) -> InstanceSpec:
        container = {"image": self.image, "environment": environment or {}} | parts.pop("container", {})
        return InstanceSpec.model_validate({"container": container} | parts)

    async def until(self, is_so: Callable[[InstanceStatus], bool]) -> InstanceStatus:
        """Waits until a status is told that is so."""
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                for status in self.told:
                    if is_so(status):
                        return status
                await asyncio.sleep(0.01)

    def container(self, revision: int = 1) -> str:
        return f"gk-i-{self.instance}-{revision}"

    async def found(self, revision: int = 1) -> ContainerInfo:
        """The container of a revision that is there."""
        info = await self.engine.find(self.container(revision))
        assert info is not None
        return info

    async def running(self) -> list[ContainerInfo]:
        infos = await self.engine.list_instances()
        return [info for info in infos if info.status is ContainerStatus.RUNNING]

    async def has_child(self) -> None:
        """Waits until the process has begun another one, by what the engine counts."""
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                usages = [usage for usage in await self.engine.usage() if usage.name == self.container()]
                if usages and usages[0].pids > 1:
                    return
                await asyncio.sleep(0.05)

    async def until_state(self, state: InstanceState) -> InstanceStatus:
        return await self.until(lambda status: status.state is state)

    @property
    def story(self) -> str:
        """All that was told, whole."""
        return "\n".join(status.model_dump_json(exclude_defaults=True) for status in self.told)

    @property
    def states(self) -> list[str]:
        """The states in the order in which they were told, without repetitions."""
        found: list[str] = []
        for status in self.told:
            if not found or found[-1] != status.state.value:
                found.append(status.state.value)
        return found
