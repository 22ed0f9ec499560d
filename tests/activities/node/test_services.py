"""Services: their step ends when they are healthy, and their containers go on."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.node.step import starting_again, startup
from activities.node.step.startup import MAX_RESTARTS
from agent_worker.policy import PolicyFile
from gamekeeper.domain.log.last_words import MAX_LINE
from gamekeeper.domain.run.step import Reason, RunStepInput, StepState, StopServiceInput
from gamekeeper.ports.container_engine import ContainerStatus
from gamekeeper.ports.node_agent import Begun
from tests.activities.node.dummy_node import Node
from tests.factories import make_container, make_step_input
from tests.hang import HANG_SECONDS


def service(**fields: Any) -> RunStepInput:
    environment = fields.pop("environment", {})
    spec = make_container(environment=environment, stop_grace_period="1s", **fields)
    return make_step_input(container=spec, service=True)


@pytest.mark.parametrize("check", [None, {"test": ["CMD", "true"]}])
async def test_a_service_goes_on_after_its_step(check: dict[str, Any] | None) -> None:
    node = Node()
    step = service(healthcheck=check)
    result = await node.service(step)
    assert result.state is StepState.SUCCEEDED
    assert (await node.only()).status is ContainerStatus.RUNNING
    stop = StopServiceInput(key=step.key, grace=1)
    for _ in range(2):
        assert (await ActivityEnvironment().run(node.activities.stop_service, stop)).state is StepState.SUCCEEDED
    assert (await node.only()).exit_code == 143


async def test_a_service_that_only_has_to_start_is_told_at_once_and_waited_for_by_a_further_delivery() -> None:
    node = Node()
    slow = service(environment={"DUMMY_HEALTHY_AFTER": "0.3"}, healthcheck={"test": ["CMD", "true"]})
    begun = await node.service(slow.model_copy(update={"until_started": True}))
    held = await node.only()
    assert (begun.state, begun.container_id, begun.started_at) == (StepState.RUNNING, held.id, held.started_at)
    result = await node.service(slow)
    assert (result.state, result.container_id) == (StepState.SUCCEEDED, held.id)
    assert (await node.only()).id == held.id


async def test_what_has_started_and_ended_is_an_outcome_of_the_further_delivery_alone() -> None:
    node = Node()
    short = service(environment={"DUMMY_SLEEP": "0", "DUMMY_EXIT_CODE": "3"})
    assert (await node.service(short.model_copy(update={"until_started": True}))).state is StepState.RUNNING
    result = await node.service(short)
    assert (result.state, result.exit_code) == (StepState.FAILED, 3)


async def test_a_service_that_cannot_start_has_no_further_delivery() -> None:
    wrong = service(environment={"DUMMY_START_ERROR": "no such file"})
    result = await Node().service(wrong.model_copy(update={"until_started": True}))
    assert (result.state, result.message) == (StepState.FAILED, "no such file")


async def test_a_service_that_ends_has_failed() -> None:
    result = await Node().service(service(environment={"DUMMY_SLEEP": "0"}))
    assert (result.state, result.reason, result.exit_code) == (StepState.FAILED, Reason.EXIT_CODE, 0)


async def test_a_service_that_goes_away_while_it_comes_up_is_no_service() -> None:
    node = Node()
    step = service(environment={"DUMMY_HEALTHY_AFTER": "60"}, healthcheck={"test": ["CMD", "true"]})
    coming = asyncio.create_task(node.service(step))
    await node.until_followed(1)
    await node.engine.remove((await node.only()).id)
    result = await asyncio.wait_for(coming, HANG_SECONDS)
    assert (result.state, result.reason) == (StepState.ERROR, Reason.INTERNAL)
    assert "removed by somebody else" in result.message


async def test_a_long_last_line_is_cut() -> None:
    crashing = {"DUMMY_CRASHES": "1000", "DUMMY_SLEEP": "0.01", "DUMMY_OUTPUT": "x" * (MAX_LINE + 1)}
    result = await Node().service(service(environment=crashing, restart="unless-stopped"))
    assert result.message.endswith('last line: "' + "x" * MAX_LINE + '"')


async def test_a_service_that_crashes_again_and_again_is_unhealthy() -> None:
    node = Node()
    crashing = {"DUMMY_CRASHES": "1000", "DUMMY_SLEEP": "0.02", "DUMMY_EXIT_CODE": "3", "DUMMY_OUTPUT": "no map\n"}
    result = await node.service(service(environment=crashing, restart="unless-stopped"))
    assert (result.state, result.reason) == (StepState.FAILED, Reason.UNHEALTHY)
    assert "with exit code 3" in result.message
    assert 'last line: "no map"' in result.message
    assert "it ended" in node.phases.messages[-1]  # with which code is seen by those who look in time
    assert (await node.only()).status is ContainerStatus.EXITED


async def test_a_service_that_crashes_before_it_holds_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "SETTLE_AGAIN_SECONDS", 0.1)
    node = Node()
    slow = {"DUMMY_CRASHES": "2", "DUMMY_SLEEP": "0", "DUMMY_EXIT_CODE": "3"}
    step = service(environment=slow, restart="on-failure")
    result = await node.service(step)
    info = await node.only()
    assert (result.state, result.container_id) == (StepState.SUCCEEDED, info.id)
    assert node.engine.starts_of(info.name) == 3
    assert node.phases.messages[-1] == "it ended 2 times, last with exit code 3"


@pytest.mark.parametrize(
    ("restart", "exit_code", "starts"),
    [("no", 3, 1), ("on-failure:2", 3, 3), ("on-failure", 0, 1), ("always", 0, MAX_RESTARTS)],
)
async def test_it_is_started_as_often_as_its_word_says(
    restart: str, exit_code: int, starts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting_again, "FIRST_DELAY_SECONDS", 0.001)
    node = Node()
    crashing = {"DUMMY_CRASHES": "1000", "DUMMY_SLEEP": "0", "DUMMY_EXIT_CODE": str(exit_code)}
    result = await node.service(service(environment=crashing, restart=restart))
    assert result.state is StepState.FAILED
    assert node.engine.starts_of((await node.only()).name) == starts


async def test_one_that_waits_for_its_next_start_at_its_time_limit_is_unhealthy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starting_again, "FIRST_DELAY_SECONDS", HANG_SECONDS)
    crashing = {"DUMMY_CRASHES": "1000", "DUMMY_SLEEP": "0", "DUMMY_EXIT_CODE": "3"}
    step = service(environment=crashing, restart="always").model_copy(update={"timeout": 0.3})
    result = await Node().service(step)
    assert (result.state, result.reason, result.exit_code) == (StepState.FAILED, Reason.UNHEALTHY, 3)
    assert "time limit" in result.message
    assert "it ended once, last with exit code 3" in result.message


async def test_the_policy_is_asked_before_each_start(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("oom_score_adj: -5")
    node = Node(policy=PolicyFile(file))
    crashing = {"DUMMY_CRASHES": "1000", "DUMMY_SLEEP": "0", "DUMMY_EXIT_CODE": "3"}
    step = service(environment=crashing, restart="always", oom_score_adj=-5)
    coming = asyncio.create_task(node.service(step))
    await node.until_followed(1)
    file.unlink()
    result = await asyncio.wait_for(coming, HANG_SECONDS)
    assert (result.state, result.reason) == (StepState.FAILED, Reason.POLICY)
    assert "oom_score_adj -5 is not in the policy" in result.message


async def test_a_service_may_be_unhealthy_before_it_is_healthy() -> None:
    slow = service(environment={"DUMMY_HEALTHY_AFTER": "0.3"}, healthcheck={"test": ["CMD", "true"]})
    node = Node()
    assert (await node.service(slow)).state is StepState.SUCCEEDED
    assert any("health check fails" in message for message in node.phases.messages)


async def test_a_service_that_is_still_unhealthy_at_its_time_limit_says_so() -> None:
    slow = service(environment={"DUMMY_HEALTHY_AFTER": "60"}, healthcheck={"test": ["CMD", "true"]})
    result = await Node().service(slow.model_copy(update={"timeout": 0.3}))
    assert (result.state, result.reason) == (StepState.FAILED, Reason.UNHEALTHY)
    assert "time limit" in result.message
    assert "health check fails" in result.message


async def test_a_service_that_became_healthy_unseen_is_not_stopped_at_its_time_limit() -> None:
    node, step = Node(), service(healthcheck={"test": ["CMD", "true"]})
    first = await node.service(step)
    node.journal.begun[step.key] = Begun(time.time() - 1000, first.container_id)
    assert await node.service(step) == first
    assert (await node.only()).status is ContainerStatus.RUNNING
