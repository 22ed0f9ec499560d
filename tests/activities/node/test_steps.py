"""The step activity: attach-or-run, outcomes, and above all what may stop a container."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.node.context import NodeContext
from activities.node.step.step_start import START_TRIES
from activities.node.step.steps import StepActivities
from agent_worker.dummy_engine import DummyEngine
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.run.step import Reason, RunStepInput, StepKey, StepResult, StepState, StopServiceInput
from gamekeeper.errors import UnavailableError
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus, EngineFaultError, NewContainer
from gamekeeper.ports.node_agent import Begun
from tests.factories import make_container, make_key, make_new_container, make_owner, make_step_input
from tests.fakes.node_agent import FakeContainers, FakeJournal, FakePhases, FakeStepLogs
from tests.hang import HANG_SECONDS


class Node:
    """The activities of a node whose engine is a dummy."""

    def __init__(self, journal: FakeJournal | None = None) -> None:
        self.engine = DummyEngine("node-1")
        self.journal = journal or FakeJournal()
        self.logs = FakeStepLogs()
        self.phases = FakePhases()
        context = NodeContext(
            self.engine, self.journal, self.logs, self.phases, FakeContainers(), NodePolicy(), heartbeat_seconds=0.05
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


class DeadEngine(DummyEngine):
    """An engine whose socket nobody answers."""

    async def find(self, name_or_id: str) -> ContainerInfo | None:
        raise UnavailableError("Docker Engine at unix:///x does not answer", hint="is dockerd running?")

    async def create(self, new: NewContainer) -> str:
        raise UnavailableError("Docker Engine at unix:///x does not answer", hint="is dockerd running?")

    async def ensure_volume(self, name: str, run_id: str) -> None:
        raise UnavailableError("Docker Engine at unix:///x does not answer", hint="is dockerd running?")


async def test_a_dead_engine_is_retried_by_temporal_and_shown() -> None:
    node = Node()
    context = NodeContext(DeadEngine("node-1"), node.journal, node.logs, node.phases, FakeContainers(), NodePolicy())
    with pytest.raises(ApplicationError, match=r"does not answer; is dockerd running\?") as caught:
        await ActivityEnvironment().run(StepActivities(context).run_job, job())
    assert not caught.value.non_retryable
    assert node.phases.told[-1][1] is StepState.STARTING
    assert "trying again: Docker Engine at unix:///x does not answer" in node.phases.messages[-1]


class FullJournal(FakeJournal):
    def begin(self, key: StepKey, task_token: bytes) -> Begun:
        raise UnavailableError("journal.db does not take a write", hint="free space in /var")


async def test_a_full_disk_is_retried_by_temporal_and_shown() -> None:
    node = Node(FullJournal())
    with pytest.raises(ApplicationError, match="does not take a write") as caught:
        await node.job(job())
    assert not caught.value.non_retryable
    assert "free space in /var" in node.phases.messages[-1]
    assert await node.engine.list_owned() == []


async def test_a_dead_engine_does_not_outlast_the_time_limit() -> None:
    node = Node(FakeJournal(at=time.time() - 100))
    context = NodeContext(DeadEngine("node-1"), node.journal, node.logs, node.phases, FakeContainers(), NodePolicy())
    result = await ActivityEnvironment().run(StepActivities(context).run_job, job(timeout=60))
    assert (result.state, result.reason) == (StepState.FAILED, Reason.ENGINE)
    assert "does not answer" in result.message


async def test_a_step_that_ran_on_a_dead_engine_has_timed_out() -> None:
    step, journal = job(timeout=60), FakeJournal(at=time.time() - 100)
    journal.begin(step.key, b"an earlier delivery")
    journal.record_container(step.key, "abc")
    node = Node(journal)
    context = NodeContext(DeadEngine("node-1"), node.journal, node.logs, node.phases, FakeContainers(), NodePolicy())
    result = await ActivityEnvironment().run(StepActivities(context).run_job, step)
    assert (result.state, result.reason) == (StepState.FAILED, Reason.TIMEOUT)


async def test_what_the_engine_failed_to_start_is_started_anew() -> None:
    node, step = Node(), job(DUMMY_START_FAULTS="2")
    for _ in range(2):
        with pytest.raises(ApplicationError, match="already allocated") as caught:
            await node.job(step)
        assert not caught.value.non_retryable
        assert "already allocated" in node.phases.messages[-1]
        assert await node.engine.list_owned() == []
    assert (await node.job(step)).state is StepState.SUCCEEDED


async def test_what_the_engine_never_starts_ends_with_its_words() -> None:
    node, step = Node(), job(DUMMY_START_FAULTS="1000")
    for _ in range(START_TRIES - 1):
        with pytest.raises(ApplicationError):
            await node.job(step)
    result = await node.job(step)
    assert (result.state, result.reason) == (StepState.FAILED, Reason.ENGINE)
    assert f"given up after {START_TRIES} starts: the dummy failed: port 1 is already allocated" in result.message
    assert await node.engine.list_owned() == []


class FailingEngine(DummyEngine):
    """An engine that answers the next questions about a container with a failure of its own."""

    failures = 0

    async def find(self, name_or_id: str) -> ContainerInfo | None:
        if self.failures:
            self.failures -= 1
            raise EngineFaultError("Docker failed: containerd is away")
        return await super().find(name_or_id)


async def test_a_fault_while_a_container_is_looked_for_does_not_touch_what_runs() -> None:
    node, step = Node(), job(DUMMY_SLEEP="60")
    engine = FailingEngine("node-1")
    node.engine = engine
    context = NodeContext(engine, node.journal, node.logs, node.phases, FakeContainers(), NodePolicy())
    node.activities = StepActivities(context)
    first = asyncio.create_task(node.job(step))
    async with asyncio.timeout(HANG_SECONDS):
        while not node.logs.followed:
            await asyncio.sleep(0.01)
    for _ in range(START_TRIES + 1):
        engine.failures = 1
        with pytest.raises(ApplicationError, match="containerd is away"):
            await node.job(step)
    assert (await node.only()).status is ContainerStatus.RUNNING
    assert node.journal.faults == {}
    engine.finish("build")
    assert (await node.job(step)).state is (await first).state is StepState.SUCCEEDED


async def test_a_fault_that_lasts_to_the_time_limit_is_the_engines() -> None:
    node, step = Node(FakeJournal(at=time.time() - 100)), job(timeout=60)
    node.journal.begin(step.key, b"an earlier delivery")
    node.journal.record_fault(step.key, "no space left")
    result = await node.job(step)
    assert (result.state, result.reason) == (StepState.FAILED, Reason.ENGINE)
    assert "no space left" in result.message


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


async def test_a_service_that_ends_has_failed() -> None:
    result = await Node().service(service(environment={"DUMMY_SLEEP": "0"}))
    assert (result.state, result.reason, result.exit_code) == (StepState.FAILED, Reason.EXIT_CODE, 0)


async def test_a_service_that_crashes_again_and_again_is_unhealthy() -> None:
    node = Node()
    crashing = {"DUMMY_CRASHES": "1000", "DUMMY_SLEEP": "0.02", "DUMMY_EXIT_CODE": "3", "DUMMY_OUTPUT": "no map\n"}
    result = await node.service(service(environment=crashing, restart="unless-stopped"))
    assert (result.state, result.reason) == (StepState.FAILED, Reason.UNHEALTHY)
    assert "with exit code 3" in result.message
    assert 'last line: "no map"' in result.message
    assert "it ended" in node.phases.messages[-1]  # with which code is seen by those who look in time
    assert (await node.only()).status is ContainerStatus.EXITED


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


async def test_journal_is_told_when_a_delivery_is_over() -> None:
    node = Node()
    await node.job(job())
    async with asyncio.timeout(HANG_SECONDS):
        while node.journal.open_tokens:
            await asyncio.sleep(0.01)
