"""The step activity: attach-or-run, outcomes, and above all what may stop a container."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from gamekeeper.domain.run.step import Reason, RunStepInput, StepState
from gamekeeper.ports.container_engine import ContainerStatus
from gamekeeper.ports.node_agent import Begun
from tests.activities.node.dummy_node import Node, job
from tests.factories import make_container, make_key, make_new_container, make_owner, make_step_input
from tests.fakes.node_agent import FakeJournal
from tests.hang import HANG_SECONDS


@pytest.mark.parametrize(
    ("environment", "state", "reason", "exit_code"),
    [
        ({}, StepState.SUCCEEDED, None, 0),
        ({"DUMMY_EXIT_CODE": "3"}, StepState.FAILED, Reason.EXIT_CODE, 3),
        ({"DUMMY_OOM": "1"}, StepState.FAILED, Reason.OOM, 137),
        ({"DUMMY_OOM": "1", "DUMMY_EXIT_CODE": "1"}, StepState.FAILED, Reason.OOM, 1),
        ({"DUMMY_OOM": "1", "DUMMY_EXIT_CODE": "0"}, StepState.SUCCEEDED, None, 0),
        ({"DUMMY_START_ERROR": "no such command"}, StepState.FAILED, Reason.EXIT_CODE, None),
    ],
)
async def test_outcomes(environment: dict[str, Any], state: StepState, reason: Reason | None, exit_code: int) -> None:
    result = await Node().job(job(**environment))
    assert (result.state, result.reason, result.exit_code) == (state, reason, exit_code)


async def test_a_success_in_which_a_process_was_killed_for_memory_says_so() -> None:
    assert "killed for memory" in (await Node().job(job(DUMMY_OOM="1", DUMMY_EXIT_CODE="0"))).message
    assert (await Node().job(job())).message == ""


async def test_missing_image_is_the_steps_failure() -> None:
    result = await Node().job(make_step_input(container=make_container(image="missing")))
    assert (result.state, result.reason) == (StepState.FAILED, Reason.PULL_FAILED)
    assert "missing" in result.message


async def test_pull_policy_never_does_not_pull() -> None:
    result = await Node().job(make_step_input(container=make_container(image="missing", pull_policy="never")))
    assert "is not on node node-1" in result.message


async def test_policy_decides_on_the_node() -> None:
    node = Node()
    result = await node.job(make_step_input(container=make_container(privileged=True)))
    assert (result.state, result.reason) == (StepState.FAILED, Reason.POLICY)
    assert await node.engine.list_owned() == []


async def test_a_second_delivery_attaches() -> None:
    node, step = Node(), job(DUMMY_SLEEP="600")
    first = asyncio.create_task(node.job(step))
    await node.until_followed(1)
    second = asyncio.create_task(node.job(step))
    await node.until_followed(2)
    node.engine.finish(step.key.step)
    results = await asyncio.gather(first, second)
    assert results[0].container_id == results[1].container_id == (await node.only()).id
    assert results[0].state is results[1].state is StepState.SUCCEEDED


async def test_an_ended_container_is_the_saved_result() -> None:
    node, step = Node(), job(DUMMY_EXIT_CODE="7")
    first = await node.job(step)
    again = await node.job(step)
    assert again == first
    await node.only()


async def test_a_container_removed_by_somebody_is_not_started_again() -> None:
    node, step = Node(), job()
    await node.job(step)
    await node.engine.remove((await node.only()).id)
    with pytest.raises(ApplicationError, match="was not started a second time") as caught:
        await node.job(step)
    assert caught.value.non_retryable
    assert await node.engine.list_owned() == []


async def test_a_strangers_container_of_our_name_is_not_touched() -> None:
    node, key = Node(), make_key()
    stranger = make_new_container(make_owner(key=make_key(step="other")))
    container_id = await node.engine.create(stranger)
    info = await node.engine.find(container_id)
    assert info is not None
    object.__setattr__(info, "name", key.container_name)
    node.engine._ids[key.container_name] = container_id
    result = await node.job(job(key=key))
    assert "is not this step's" in result.message
    assert (await node.only()).status is ContainerStatus.CREATED


async def test_an_older_try_never_runs_beside_a_newer_one() -> None:
    node, key = Node(), make_key()
    old = asyncio.create_task(node.job(job(key=key, DUMMY_SLEEP="60")))
    await node.until_followed(1)
    newer = key.model_copy(update={"try_": 2})
    assert (await node.job(job(key=newer))).state is StepState.SUCCEEDED
    assert (await asyncio.wait_for(old, HANG_SECONDS)).exit_code == 143


async def test_time_limit_stops_the_container() -> None:
    result = await Node().job(job(timeout=0.1, DUMMY_SLEEP="60"))
    assert (result.state, result.reason, result.exit_code) == (StepState.FAILED, Reason.TIMEOUT, 143)


async def test_time_limit_counts_from_the_first_delivery() -> None:
    node = Node(FakeJournal(at=time.time() - 100))
    result = await node.job(job(timeout=60, DUMMY_SLEEP="60"))
    assert result.reason is Reason.TIMEOUT


async def test_what_ended_while_the_agent_was_away_keeps_its_own_outcome() -> None:
    node, step = Node(), job(timeout=60, DUMMY_EXIT_CODE="7")
    first = await node.job(step)
    node.journal.begun[step.key] = Begun(time.time() - 1000, first.container_id)
    assert await node.job(step) == first


FLAGS = ["cancel_requested", "timed_out", "not_found", "worker_shutdown", "reset", "paused"]


@pytest.mark.parametrize("flag", FLAGS)
async def test_only_a_requested_cancel_stops_a_container(flag: str) -> None:
    node, environment = Node(), ActivityEnvironment()
    running = asyncio.create_task(environment.run(node.activities.run_job, job(DUMMY_SLEEP="60")))
    await node.until_followed(1)
    environment.cancel(ActivityCancellationDetails(**{flag: True}))
    if flag == "cancel_requested":
        result = await asyncio.wait_for(running, HANG_SECONDS)
        assert (result.state, result.exit_code) == (StepState.CANCELED, 143)
    else:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, HANG_SECONDS)
        assert (await node.only()).status is ContainerStatus.RUNNING


def handing_on(text: str, timeout: float = 60.0, **environment: Any) -> RunStepInput:
    step = job(timeout=timeout, DUMMY_STEP_OUTPUT=text, **environment)
    return step.model_copy(update={"outputs": ["version", "why"]})


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"DUMMY_EXIT_CODE": "3"}, Reason.EXIT_CODE),
        ({"DUMMY_OOM": "1"}, Reason.OOM),
        ({"DUMMY_SLEEP": "60", "timeout": 0.1}, Reason.TIMEOUT),
    ],
)
async def test_a_failed_step_keeps_its_outputs(environment: dict[str, Any], reason: Reason) -> None:
    result = await Node().job(handing_on("version=7", **environment))
    assert (result.state, result.reason, result.outputs) == (StepState.FAILED, reason, {"version": "7"})


async def test_a_step_that_would_have_succeeded_must_write_what_it_declares() -> None:
    result = await Node().job(handing_on("version=7"))
    assert (result.state, result.reason) == (StepState.FAILED, Reason.OUTPUT)
    assert 'without output "why"' in result.message


async def test_a_canceled_step_keeps_its_outputs() -> None:
    node, environment = Node(), ActivityEnvironment()
    step = handing_on("version=7", DUMMY_SLEEP="60")
    running = asyncio.create_task(environment.run(node.activities.run_job, step))
    async with asyncio.timeout(HANG_SECONDS):
        while not node.logs.followed:
            await asyncio.sleep(0.01)
    environment.cancel(ActivityCancellationDetails(cancel_requested=True))
    result = await asyncio.wait_for(running, HANG_SECONDS)
    assert (result.state, result.outputs) == (StepState.CANCELED, {"version": "7"})


async def test_journal_is_told_when_a_delivery_is_over() -> None:
    node = Node()
    await node.job(job())
    async with asyncio.timeout(HANG_SECONDS):
        while node.journal.open_tokens:
            await asyncio.sleep(0.01)
