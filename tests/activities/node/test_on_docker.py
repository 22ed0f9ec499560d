"""The step activities on a real Docker Engine: what the dummy can't tell, because it is Docker's own doing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.node.context import NodeContext
from activities.node.step.steps import StepActivities
from agent_worker.docker_engine import DockerEngine
from gamekeeper.domain.language.pipeline import Lifetime
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.run.step import Reason, RunStepInput, StepResult, StepState
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus, Health
from tests.factories import make_console, make_container, make_step_input
from tests.fakes.node_agent import FakeContainers, FakeJournal, FakePhases, FakeStepLogs
from tests.hang import HANG_SECONDS


class Node:
    """The activities of a node whose engine is Docker."""

    def __init__(self, engine: DockerEngine, image: str) -> None:
        self.engine = engine
        self.image = image
        self.phases = FakePhases()
        self.journal = FakeJournal()
        context = NodeContext(engine, self.journal, FakeStepLogs(), self.phases, FakeContainers(), NodePolicy())
        self.activities = StepActivities(context)

    def step(self, script: str, **fields: Any) -> RunStepInput:
        spec = {"image": self.image, "command": ["sh", "-c", script], "stop_grace_period": "1s"}
        own = {name: fields.pop(name) for name in ("timeout", "outputs", "key") if name in fields}
        return make_step_input(container=make_container(**(spec | fields)), node=self.engine._node, **own)

    async def job(self, step: RunStepInput) -> StepResult:
        return await ActivityEnvironment().run(self.activities.run_job, step)

    async def service(self, step: RunStepInput) -> StepResult:
        step = step.model_copy(update={"service": True, "lifetime": Lifetime.NODE})
        return await ActivityEnvironment().run(self.activities.start_service, step)

    async def only(self) -> ContainerInfo:
        infos = await self.engine.list_owned()
        assert len(infos) == 1
        return infos[0]


@pytest.fixture
def node(docker_engine: DockerEngine, test_image: str) -> Node:
    return Node(docker_engine, test_image)


@pytest.mark.parametrize("script", ["exit 1", "sleep 0.2; exit 1", "sleep 0.4; exit 1"])
async def test_a_service_that_crashes_again_and_again_never_counts_as_healthy(node: Node, script: str) -> None:
    result = await node.service(node.step(f"echo no map; {script}", restart="unless-stopped", timeout=4.0))
    assert (result.state, result.reason) == (StepState.FAILED, Reason.UNHEALTHY)
    assert "last with exit code 1" in result.message
    assert 'last line: "no map"' in result.message
    assert (await node.only()).status is ContainerStatus.EXITED


async def test_a_service_may_be_unhealthy_for_long_before_it_is_healthy(node: Node) -> None:
    script = "while [ ! -e /asked ]; do sleep 0.05; done; touch /healthy; sleep 600"
    check = {"test": ["CMD-SHELL", "test -e /healthy || { echo not yet; false; }"], "interval": "100ms", "retries": 1}
    step = node.step(script, healthcheck=check, restart="unless-stopped", timeout=60.0)
    starting = asyncio.create_task(node.service(step))
    async with asyncio.timeout(HANG_SECONDS):
        while not any("not yet" in message for message in node.phases.messages):
            await asyncio.sleep(0.05)
    info = await node.only()
    assert info.health is Health.UNHEALTHY
    console = await node.engine.open_console(info.id, make_console("touch", "/asked"))
    async with asyncio.timeout(HANG_SECONDS):
        result = await starting
    await console.close()
    assert (result.state, result.container_id) == (StepState.SUCCEEDED, info.id)
    assert (await node.only()).restart_count == 0
