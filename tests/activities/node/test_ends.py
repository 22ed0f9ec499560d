"""The end of a delivery: whose container it is, and whether that had ended by itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.testing import ActivityEnvironment

from agent_worker.dummy_engine import DummyEngine
from gamekeeper.domain.run.step import Reason, StepResult, StepState
from gamekeeper.ports.container_engine import ContainerStatus
from tests.activities.node.dummy_node import Node, job
from tests.factories import make_key, make_new_container, make_owner
from tests.hang import HANG_SECONDS


class DeafEngine(DummyEngine):
    """Never tells who waits that a container has ended: a cancel comes first."""

    async def wait(self, container_id: str) -> None:
        await asyncio.Event().wait()


async def canceled_with(container: dict[str, Any] | None) -> StepResult:
    """The outcome of a step that is cancelled when its container has become another one, or none."""
    node, environment = Node(engine=DeafEngine("node-1")), ActivityEnvironment()
    running = asyncio.create_task(environment.run(node.activities.run_job, job(DUMMY_SLEEP="60", DUMMY_EXIT_CODE="7")))
    await node.until_followed(1)
    found = node.engine._by_id[(await node.only()).id]
    node.engine.finish("build")
    await asyncio.wait_for(found.ended.wait(), HANG_SECONDS)
    if container is None:
        await node.engine.remove(found.info.id)
    else:
        found.info = replace(found.info, **container)
    environment.cancel(ActivityCancellationDetails(cancel_requested=True))
    return await asyncio.wait_for(running, HANG_SECONDS)


STRANGER = make_owner(key=make_key(step="other"))


@pytest.mark.parametrize(
    ("container", "state", "exit_code"),
    [
        ({}, StepState.FAILED, 7),
        ({"status": ContainerStatus.DEAD}, StepState.FAILED, 7),
        ({"status": ContainerStatus.DEAD, "owner": STRANGER}, StepState.CANCELED, None),
        ({"owner": STRANGER}, StepState.CANCELED, None),
        ({"owner": None}, StepState.CANCELED, None),
        (None, StepState.CANCELED, None),
    ],
)
async def test_a_cancel_after_its_end_leaves_a_container_its_own_outcome(
    container: dict[str, Any] | None, state: StepState, exit_code: int | None
) -> None:
    result = await canceled_with(container)
    assert (result.state, result.exit_code) == (state, exit_code)


async def test_another_deliverys_container_of_the_same_try_is_not_an_older_one() -> None:
    node, key = Node(), make_key(try_=2)
    step = job(key=key, DUMMY_SLEEP="60")
    container_id = await node.engine.create(make_new_container(make_owner(key=key), environment={"DUMMY_SLEEP": "60"}))
    await node.engine.start(container_id)
    running = asyncio.create_task(node.job(step))
    await node.until_followed(1)
    node.engine.finish(key.step)
    result = await asyncio.wait_for(running, HANG_SECONDS)
    assert (result.state, result.container_id) == (StepState.SUCCEEDED, container_id)


class HidingEngine(DummyEngine):
    """Its containers are removed by somebody as soon as they have ended. Counts how often outputs were asked for."""

    asked = 0
    removes = True

    async def wait(self, container_id: str) -> None:
        await super().wait(container_id)
        if self.removes:
            await self.remove(container_id)

    async def read_outputs(self, container_id: str) -> bytes:
        self.asked += 1
        return await super().read_outputs(container_id)


@pytest.mark.parametrize("removes", [False, True])
@pytest.mark.parametrize("outputs", [[], ["version"]])
async def test_outputs_are_read_where_there_are_some(outputs: list[str], removes: bool) -> None:
    engine = HidingEngine("node-1")
    engine.removes = removes
    step = job(DUMMY_STEP_OUTPUT="version=7").model_copy(update={"outputs": outputs})
    result = await Node(engine=engine).job(step)
    assert engine.asked == (1 if outputs and not removes else 0)
    if removes:
        assert (result.state, result.reason) == (StepState.ERROR, Reason.INTERNAL)
        assert "removed by somebody else" in result.message
    else:
        assert (result.state, result.outputs) == (StepState.SUCCEEDED, {"version": "7"} if outputs else {})
