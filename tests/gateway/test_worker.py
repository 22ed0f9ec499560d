"""The SDK's worker behind the gateway: all that an agent's worker does, and a gateway that is killed under it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, update
from temporalio import activity, workflow
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest, ListWorkersRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from gamekeeper.db.engine import Database
from gamekeeper.db.models import NodeRow
from tests.fixtures.gateway import Certificates, Gated
from tests.fixtures.stack import free_ports
from tests.hang import HANG_SECONDS

WORKFLOWS = "workflows-of-the-gateway-worker"


@workflow.defn(name="gateway-test-step")
class Step:
    """One activity of a node, by its name."""

    @workflow.run
    async def run(self, node_id: str, name: str) -> Any:
        return await workflow.execute_activity(
            name,
            task_queue=f"node:{node_id}",
            start_to_close_timeout=timedelta(hours=1),
            heartbeat_timeout=timedelta(minutes=5),  # so long that nothing here can be due to it
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )


@workflow.defn(name="gateway-test-steps")
class Steps:
    """Activities side by side, each handed out again soon when its delivery was lost."""

    @workflow.run
    async def run(self, node_id: str, count: int) -> list[int]:
        steps = [
            workflow.execute_activity(
                "count",
                number,
                task_queue=f"node:{node_id}",
                result_type=int,
                start_to_close_timeout=timedelta(hours=1),
                heartbeat_timeout=timedelta(seconds=2),
            )
            for number in range(count)
        ]
        return list(await asyncio.gather(*steps))


class Activities:
    """Activities of a node. A test lets them go on."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()
        self.attempts: list[int] = []
        self.counted: list[int] = []
        self.cancel_requested = False

    @activity.defn
    async def beat(self) -> int:
        activity.heartbeat("here")
        self.attempts.append(activity.info().attempt)
        self.began.set()
        await self.may_end.wait()
        activity.heartbeat("there")
        return len(self.attempts)

    @activity.defn
    async def count(self, number: int) -> int:
        self.counted.append(number)
        self.began.set()
        return number

    @activity.defn
    async def fail(self) -> None:
        raise ApplicationError("broken", non_retryable=True)

    @activity.defn
    async def wait_for_cancel(self) -> None:
        """It never beats: it can hear of a cancel by a push alone."""
        self.began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            self.cancel_requested = details is not None and details.cancel_requested
            raise

    @activity.defn
    async def complete_itself(self) -> None:
        """As the agent answers: by its token, and from outside of the activity."""
        handle = self.client.get_async_activity_handle(task_token=activity.info().task_token)
        await handle.heartbeat("by token")
        await handle.complete("by token")
        activity.raise_complete_async()

    @activity.defn
    async def fail_itself(self) -> None:
        handle = self.client.get_async_activity_handle(task_token=activity.info().task_token)
        await handle.fail(ApplicationError("by token", non_retryable=True))
        activity.raise_complete_async()

    def all(self) -> list[Any]:
        return [self.beat, self.count, self.fail, self.wait_for_cancel, self.complete_itself, self.fail_itself]


class Behind:
    """A worker of one node, and the direct client that starts its work."""

    def __init__(self, node_id: str, client: Client, operator: Client) -> None:
        self.node_id = node_id
        self.operator = operator
        self.activities = Activities(client)
        self.worker = Worker(client, task_queue=f"node:{node_id}", activities=self.activities.all())

    async def start(self, name: str) -> Any:
        run_id = f"{self.node_id}-{uuid.uuid4().hex[:8]}"
        return await self.operator.start_workflow(Step.run, args=[self.node_id, name], id=run_id, task_queue=WORKFLOWS)


@pytest.fixture
async def workflows(temporal_client: Client) -> AsyncIterator[Client]:
    async with Worker(
        temporal_client, task_queue=WORKFLOWS, workflows=[Step, Steps], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        yield temporal_client


@pytest.fixture
async def behind(gateway: Gated, workflows: Client) -> AsyncIterator[Behind]:
    node_id = f"w-{uuid.uuid4().hex[:8]}"
    found = Behind(node_id, await gateway.client(node_id), workflows)
    async with found.worker:
        yield found


async def test_an_activity_with_beats(behind: Behind) -> None:
    behind.activities.may_end.set()
    assert await (await behind.start("beat")).result() == 1


async def test_a_failure_and_its_words(behind: Behind) -> None:
    with pytest.raises(WorkflowFailureError) as caught:
        await (await behind.start("fail")).result()
    assert isinstance(caught.value.cause, ActivityError)
    assert "broken" in str(caught.value.cause.cause)
    assert caught.value.cause.identity == behind.node_id


@pytest.mark.parametrize("name", ["complete_itself", "fail_itself"])
async def test_activities_that_answer_by_their_token(behind: Behind, name: str) -> None:
    run = await behind.start(name)
    if name == "complete_itself":
        assert await run.result() == "by token"
        return
    with pytest.raises(WorkflowFailureError) as caught:
        await run.result()
    assert "by token" in str(caught.value.cause.__cause__)


async def test_a_cancel_is_pushed(behind: Behind) -> None:
    run = await behind.start("wait_for_cancel")
    await behind.activities.began.wait()
    await run.cancel()
    with pytest.raises(WorkflowFailureError):
        await run.result()
    assert behind.activities.cancel_requested


async def test_a_cancel_is_pushed_to_a_worker_that_took_another_client(behind: Behind, gateway: Gated) -> None:
    """An agent does so when it renews its certificate; Temporal knows the activity by the client that polled it."""
    run = await behind.start("wait_for_cancel")
    await behind.activities.began.wait()
    runtime = behind.worker.client.service_client.config.runtime
    behind.worker.client = await gateway.client(behind.node_id, runtime)
    await run.cancel()
    async with asyncio.timeout(HANG_SECONDS):
        with pytest.raises(WorkflowFailureError):
            await run.result()
    assert behind.activities.cancel_requested


async def test_two_nodes_are_each_told_of_their_own_cancel(gateway: Gated, workflows: Client) -> None:
    nodes = []
    for _ in range(2):
        node_id = f"w-{uuid.uuid4().hex[:8]}"
        nodes.append(Behind(node_id, await gateway.client(node_id), workflows))
    async with nodes[0].worker, nodes[1].worker:
        runs = [await node.start("wait_for_cancel") for node in nodes]
        for node in nodes:
            await node.activities.began.wait()
        for run, node in zip(runs, nodes, strict=True):
            assert not node.activities.cancel_requested
            await run.cancel()
            with pytest.raises(WorkflowFailureError):
                await run.result()
            assert node.activities.cancel_requested


async def test_a_worker_is_listed_in_its_nodes_name(behind: Behind) -> None:
    behind.activities.may_end.set()
    await (await behind.start("beat")).result()
    request = ListWorkersRequest(namespace="default", query=f"WorkerIdentity='{behind.node_id}'")
    while not (found := (await behind.operator.workflow_service.list_workers(request)).workers):
        await asyncio.sleep(0.05)
    assert {worker.task_queue for worker in found} == {f"node:{behind.node_id}"}


async def test_a_node_starts_and_ends_no_work(gateway: Gated, workflows: Client) -> None:
    client = await gateway.client("w-thief")
    with pytest.raises(RPCError, match="not for nodes"):
        await client.start_workflow(Step.run, args=["w-thief", "beat"], id="stolen", task_queue=WORKFLOWS)
    with pytest.raises(RPCError, match="not for nodes"):
        await client.get_workflow_handle("stolen").terminate()
    with pytest.raises(RPCError, match="not for nodes"):
        await client.get_async_activity_handle(workflow_id="stolen", run_id=None, activity_id="1").complete("mine")


async def test_a_node_over_its_rate_is_late_and_loses_nothing(
    gateways: Callable[..., Awaitable[Gated]], workflows: Client
) -> None:
    gateway = await gateways(gateway_calls_per_second=6.0)
    node_id = f"w-{uuid.uuid4().hex[:8]}"
    behind = Behind(node_id, await gateway.client(node_id), workflows)
    async with behind.worker:
        run = await workflows.start_workflow(Steps.run, args=[node_id, 20], id=node_id, task_queue=WORKFLOWS)
        assert await run.result() == list(range(20))
    assert gateway.process.telling.registry.get_sample_value("gamekeeper_gateway_refused_total", {"reason": "rate"})


class OwnProcess:
    """A gateway of its own process on a database, that can be killed and comes back on its port."""

    def __init__(self, certificates: Certificates, temporal: str, database: str) -> None:
        self.port = next(free_ports)
        settings = certificates.settings(temporal, database=database, gateway_port=self.port)
        self._environment = os.environ | {
            f"GAMEKEEPER_{name.upper()}": str(value)
            for name, value in settings.model_dump().items()
            if value is not None
        }
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", "gateway"], env=self._environment)
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            assert self._process.poll() is None, "the gateway ended"
            await asyncio.sleep(0.05)

    def end(self, number: int) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait()


@pytest.fixture
async def nodes(migrated_sqlite: Path, tmp_path: Path) -> AsyncIterator[Database]:
    shutil.copy(migrated_sqlite, tmp_path / "gk.db")
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/gk.db")
    async with database.write() as session:
        session.add(NodeRow(id="w-own", name="w-own", key_hash="a" * 64, generation=7))
    yield database
    await database.close()


@pytest.fixture
def process(certificates: Certificates, workflows: Client, nodes: Database) -> Iterator[OwnProcess]:
    address = workflows.service_client.config.target_host
    found = OwnProcess(certificates, address, nodes.url.render_as_string())
    yield found
    found.end(signal.SIGKILL)


async def test_a_gateway_that_is_killed_in_the_middle_of_an_activity(
    process: OwnProcess, certificates: Certificates, workflows: Client, nodes: Database
) -> None:
    """The activity goes on, beats, and ends in its first attempt, with the token that the killed gateway gave out."""
    await process.start()
    client = await certificates.node("w-own", 7).client(f"127.0.0.1:{process.port}")
    behind = Behind("w-own", client, workflows)
    async with behind.worker:
        run = await behind.start("beat")
        await behind.activities.began.wait()
        process.end(signal.SIGKILL)
        await process.start()
        behind.activities.may_end.set()
        assert await run.result() == 1
        assert behind.activities.attempts == [1]


async def test_a_gateway_that_is_killed_again_and_again_under_load(
    process: OwnProcess, certificates: Certificates, workflows: Client
) -> None:
    """A task that was on its way is handed out again; all end, each with its own result."""
    await process.start()
    client = await certificates.node("w-own", 7).client(f"127.0.0.1:{process.port}")
    behind = Behind("w-own", client, workflows)
    async with behind.worker:
        run = await workflows.start_workflow(
            Steps.run, args=["w-own", 200], id=f"load-{uuid.uuid4().hex}", task_queue=WORKFLOWS
        )
        for share in (20, 80, 140):
            while len(behind.activities.counted) < share:
                await asyncio.sleep(0.001)
            process.end(signal.SIGKILL)
            await process.start()
        assert await run.result() == list(range(200))


async def test_a_node_whose_row_changes_is_out(
    process: OwnProcess, certificates: Certificates, workflows: Client, nodes: Database
) -> None:
    await process.start()
    client = await certificates.node("w-own", 7).client(f"127.0.0.1:{process.port}")
    async with nodes.write() as session:
        await session.exec(update(NodeRow).where(col(NodeRow.id) == "w-own").values(generation=8))
    with pytest.raises(RPCError, match="removed or revoked"):  # noqa: PT012
        while True:
            await client.workflow_service.get_system_info(GetSystemInfoRequest())
            await asyncio.sleep(0.05)
    again = await certificates.node("w-own", 8).client(f"127.0.0.1:{process.port}")
    await again.workflow_service.get_system_info(GetSystemInfoRequest())


async def test_sigterm_ends_the_process_in_order(process: OwnProcess) -> None:
    await process.start()
    assert process.end(signal.SIGTERM) == 0
