"""A node for tests of its activities: its engine is a dummy, its ports are fakes."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.node.context import NodeContext
from activities.node.step.steps import StepActivities
from agent_worker.dummy_engine import DummyEngine
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.run.step import RunStepInput, StepResult
from gamekeeper.ports.container_engine import ContainerInfo
from gamekeeper.ports.node_policy import OwnPolicy
from tests.factories import make_container, make_step_input
from tests.fakes.node_agent import FakeContainers, FakeInputs, FakeJournal, FakePhases, FakeStepLogs
from tests.hang import HANG_SECONDS


class Node:
    """The activities of a node whose engine is a dummy."""

    def __init__(
        self,
        journal: FakeJournal | None = None,
        engine: DummyEngine | None = None,
        policy: OwnPolicy | None = None,
    ) -> None:
        self.engine = engine or DummyEngine("node-1")
        self.journal = journal or FakeJournal()
        self.logs = FakeStepLogs()
        self.phases = FakePhases()
        self.inputs = FakeInputs()
        context = NodeContext(
            self.engine,
            self.journal,
            self.logs,
            self.phases,
            FakeContainers(),
            policy or NodePolicy(),
            self.inputs,
            heartbeat_seconds=0.05,
        )
        self.activities = StepActivities(context)

    async def until_followed(self, count: int) -> None:
        """Waits until so many deliveries are with a running container."""
        async with asyncio.timeout(HANG_SECONDS):
            while len(self.logs.followed) < count:
                await asyncio.sleep(0.01)

    async def job(self, step: RunStepInput) -> StepResult:
        return await ActivityEnvironment().run(self.activities.run_job, step)

    async def service(self, step: RunStepInput) -> StepResult:
        return await ActivityEnvironment().run(self.activities.start_service, step)

    async def only(self) -> ContainerInfo:
        infos = await self.engine.list_owned()
        assert len(infos) == 1
        return infos[0]


def job(timeout: float = 60.0, key: Any = None, **environment: Any) -> RunStepInput:
    spec = make_container(environment=environment, stop_grace_period="1s")
    return make_step_input(container=spec, timeout=timeout, **({"key": key} if key else {}))
