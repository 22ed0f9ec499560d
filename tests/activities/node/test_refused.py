"""A delivery whose input is not to be trusted: it makes nothing start, and harms nothing that runs."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from gamekeeper.domain.run.step import StepState, StopServiceInput
from gamekeeper.ports.container_engine import ContainerStatus
from tests.activities.node.dummy_node import Node, job
from tests.factories import make_container, make_step_input
from tests.hang import HANG_SECONDS


async def test_a_step_whose_input_is_not_good_creates_nothing() -> None:
    node = Node()
    node.inputs.why = "it is not signed"
    with pytest.raises(ApplicationError, match="the node refuses the step: it is not signed") as caught:
        await node.job(job())
    assert caught.value.non_retryable
    assert await node.engine.list_owned() == []
    assert await node.engine.list_run_resources() == []


async def test_a_repeated_delivery_of_a_try_that_was_over_creates_nothing() -> None:
    node, step = Node(), job()
    node.journal.over.add(step.key)
    with pytest.raises(ApplicationError, match="its try was over before") as caught:
        await node.job(step)
    assert caught.value.non_retryable
    assert await node.engine.list_owned() == []


async def test_a_step_that_runs_is_gone_on_with() -> None:
    """One that an older control plane began, whose further deliveries nobody has signed."""
    node, step = Node(), job(DUMMY_SLEEP="600", DUMMY_EXIT_CODE="0")
    first = asyncio.create_task(node.job(step))
    await node.until_followed(1)
    first.cancel()
    node.inputs.why = "it is not signed"
    second = asyncio.create_task(node.job(step))
    await node.until_followed(2)
    node.engine.finish(step.key.step)
    assert (await asyncio.wait_for(second, HANG_SECONDS)).state is StepState.SUCCEEDED


async def test_a_stop_that_is_not_good_stops_nothing() -> None:
    node, step = Node(), make_step_input(container=make_container(stop_grace_period="1s"), service=True)
    await node.service(step)
    node.inputs.why = "it is not signed"
    with pytest.raises(ApplicationError, match="it is not signed"):
        await ActivityEnvironment().run(node.activities.stop_service, StopServiceInput(key=step.key, grace=1))
    assert (await node.only()).status is ContainerStatus.RUNNING
