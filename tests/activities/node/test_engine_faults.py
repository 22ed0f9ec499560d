"""An engine that is away or fails: nothing is started twice, nothing is lost, and every wait ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.node.context import NodeContext
from activities.node.step.step_start import START_TRIES
from activities.node.step.steps import StepActivities
from agent_worker.dummy_engine import DummyEngine
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.run.step import Reason, RunStepInput, StepState
from gamekeeper.errors import UnavailableError
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus, EngineFaultError, NewContainer
from gamekeeper.ports.node_agent import Begun
from tests.activities.node.dummy_node import Node, job
from tests.factories import make_owner
from tests.fakes.node_agent import FakeContainers, FakeInputs, FakeJournal
from tests.hang import HANG_SECONDS


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
    context = NodeContext(
        DeadEngine("node-1"), node.journal, node.logs, node.phases, FakeContainers(), NodePolicy(), FakeInputs()
    )
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
    context = NodeContext(
        DeadEngine("node-1"), node.journal, node.logs, node.phases, FakeContainers(), NodePolicy(), FakeInputs()
    )
    result = await ActivityEnvironment().run(StepActivities(context).run_job, job(timeout=60))
    assert (result.state, result.reason) == (StepState.FAILED, Reason.ENGINE)
    assert "does not answer" in result.message


async def test_a_step_that_ran_on_a_dead_engine_has_timed_out() -> None:
    step, journal = job(timeout=60), FakeJournal(at=time.time() - 100)
    journal.begin(step.key, b"an earlier delivery")
    journal.record_container(step.key, "abc")
    node = Node(journal)
    context = NodeContext(
        DeadEngine("node-1"), node.journal, node.logs, node.phases, FakeContainers(), NodePolicy(), FakeInputs()
    )
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
    """An engine that fails the next questions about a container, fails after it has started one, or is away."""

    failures = 0
    starts_silently = False
    is_away = False

    async def start(self, container_id: str, secrets: Mapping[str, bytes] | None = None) -> None:
        await super().start(container_id, secrets)
        if self.starts_silently:
            raise EngineFaultError("Docker failed: the answer was lost")

    async def find(self, name_or_id: str) -> ContainerInfo | None:
        if self.is_away:
            raise UnavailableError("Docker Engine does not answer")
        if self.failures:
            self.failures -= 1
            raise EngineFaultError("Docker failed: containerd is away")
        return await super().find(name_or_id)


def failing_node() -> tuple[Node, FailingEngine]:
    node, engine = Node(), FailingEngine("node-1")
    context = NodeContext(engine, node.journal, node.logs, node.phases, FakeContainers(), NodePolicy(), FakeInputs())
    node.engine, node.activities = engine, StepActivities(context)
    return node, engine


async def make_earlier(node: Node, step: RunStepInput) -> None:
    """An agent has died between making the container of a step and starting it."""
    node.journal.begin(step.key, b"an earlier delivery")
    new = NewContainer(owner=make_owner(key=step.key), spec=step.container)
    node.journal.record_container(step.key, await node.engine.create(new))


async def test_a_fault_while_a_container_is_looked_for_does_not_touch_what_runs() -> None:
    (node, engine), step = failing_node(), job(DUMMY_SLEEP="60")
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


async def test_a_made_container_that_the_engine_fails_to_start_is_made_anew() -> None:
    (node, _), step = failing_node(), job(DUMMY_START_FAULTS="1")
    await make_earlier(node, step)
    with pytest.raises(ApplicationError, match="already allocated"):
        await node.job(step)
    assert node.journal.faults == {step.key: 1}
    assert await node.engine.list_owned() == []
    assert (await node.job(step)).state is StepState.SUCCEEDED


class LateEngine(DummyEngine):
    """An engine that is slow to say that a container has ended."""

    async def wait(self, container_id: str) -> None:
        await super().wait(container_id)
        await asyncio.Event().wait()


async def test_a_cancel_that_comes_after_the_end_changes_no_outcome() -> None:
    node, engine, environment = Node(), LateEngine("node-1"), ActivityEnvironment()
    context = NodeContext(engine, node.journal, node.logs, node.phases, FakeContainers(), NodePolicy(), FakeInputs())
    running = asyncio.create_task(environment.run(StepActivities(context).run_job, job(DUMMY_EXIT_CODE="3")))
    async with asyncio.timeout(HANG_SECONDS):
        while not any(info.finished_at for info in await engine.list_owned()):
            await asyncio.sleep(0.01)
    environment.cancel(ActivityCancellationDetails(cancel_requested=True))
    result = await asyncio.wait_for(running, HANG_SECONDS)
    assert (result.state, result.reason, result.exit_code) == (StepState.FAILED, Reason.EXIT_CODE, 3)


async def test_a_fault_takes_no_strangers_container_away() -> None:
    (node, engine), step = failing_node(), job()
    stranger = await engine.create(NewContainer(owner=make_owner(), spec=step.container))
    engine._ids[step.key.container_name] = stranger
    node.journal.begin(step.key, b"an earlier delivery")
    engine.failures = 1
    with pytest.raises(ApplicationError, match="containerd is away"):
        await node.job(step)
    assert (await node.only()).id == stranger


async def test_a_container_that_may_have_been_started_is_left_alone() -> None:
    (node, engine), step = failing_node(), job(DUMMY_EXIT_CODE="3")
    engine.starts_silently = True
    with pytest.raises(ApplicationError, match="the answer was lost"):
        await node.job(step)
    assert node.journal.faults == {}
    first = (await node.only()).id
    result = await node.job(step)
    assert (result.exit_code, result.container_id) == (3, first)


async def test_a_step_whose_engine_went_away_while_it_ran_has_timed_out() -> None:
    (node, engine), step = failing_node(), job(timeout=0.5, DUMMY_SLEEP="60")
    running = asyncio.create_task(node.job(step))
    await node.until_followed(1)
    engine.is_away = True
    result = await asyncio.wait_for(running, HANG_SECONDS)
    assert (result.state, result.reason) == (StepState.FAILED, Reason.TIMEOUT)
    assert "does not answer" in result.message


async def test_a_fault_while_a_container_is_looked_for_is_no_fault_of_its_start() -> None:
    """An agent that died between making a container and starting it goes on with that container."""
    (node, engine), step = failing_node(), job()
    await make_earlier(node, step)
    engine.failures = 1
    with pytest.raises(ApplicationError, match="containerd is away"):
        await node.job(step)
    made = (await node.only()).id
    assert node.journal.faults == {}
    result = await node.job(step)
    assert (result.state, result.container_id) == (StepState.SUCCEEDED, made)


async def test_a_fault_that_lasts_to_the_time_limit_is_the_engines() -> None:
    node, step = Node(FakeJournal(at=time.time() - 100)), job(timeout=60)
    node.journal.begin(step.key, b"an earlier delivery")
    node.journal.record_fault(step.key, "no space left")
    result = await node.job(step)
    assert (result.state, result.reason) == (StepState.FAILED, Reason.ENGINE)
    assert "no space left" in result.message
