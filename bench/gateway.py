"""The price of the Temporal gateway and of signatures: ``make bench-gateway``.

    a step    the same activities that do nothing, one after another, straight, through the gateway, and through it
              with signatures and proofs, in turns
    a cancel  from the request to the activity that hears of it, by a push, in turns
    a call    the gateway's CPU, and its memory with the open polls of a fleet

Server, gateway, workers and the one who asks share this machine.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table
from temporalio import activity, workflow
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollActivityTaskQueueRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.converter import PayloadCodec
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from gamekeeper.certificates.step_signature import StepSigner, StepVerifier
from gamekeeper.db.engine import Database
from gamekeeper.db.migrate import upgrade
from gamekeeper.db.models import NodeRow
from gamekeeper.temporal.dev_server import dynamic_config_args, find_binary
from gamekeeper.temporal.proofs import ControlCodec, ProvingCodec
from gamekeeper.temporal.signed_inputs import SigningCodec, VerifyingCodec
from gateway.rules import SERVICE
from tests.fixtures.gateway import Certificates
from tests.fixtures.temporal import with_codec

STEPS = 50
ROUNDS = 20
CANCELS = 20
FLEET = 300
POLLS_OF_A_NODE = 3
WORKFLOWS = "bench-gateway"
INPUT = "x" * 1000
SIGNED = "bench-gateway-signed"


@workflow.defn(name="bench-gateway-steps")
class Steps:
    """Seconds a step."""

    @workflow.run
    async def run(self, queue: str, count: int) -> float:
        begin = workflow.time()
        for _ in range(count):
            await workflow.execute_activity(
                "nothing", INPUT, task_queue=queue, start_to_close_timeout=timedelta(minutes=1)
            )
        return (workflow.time() - begin) / count


@workflow.defn(name="bench-gateway-wait")
class Wait:
    @workflow.run
    async def run(self, queue: str) -> None:
        await workflow.execute_activity(
            "wait",
            task_queue=queue,
            start_to_close_timeout=timedelta(minutes=1),
            heartbeat_timeout=timedelta(minutes=1),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )


class Activities:
    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.heard_at = 0.0

    @activity.defn
    async def nothing(self, _: str) -> None:
        return None

    @activity.defn
    async def wait(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.heard_at = time.perf_counter()


class Way:
    """One of the ways to Temporal, with a worker at its end."""

    def __init__(self, queue: str, client: Client, operator: Client, workflows: str = WORKFLOWS) -> None:
        self._queue = queue
        self._operator = operator
        self._workflows = workflows
        self._activities = Activities()
        self.worker = Worker(client, task_queue=queue, activities=[self._activities.nothing, self._activities.wait])

    async def milliseconds_a_step(self) -> float:
        seconds = await self._operator.execute_workflow(
            Steps.run, args=[self._queue, STEPS], id=uuid.uuid4().hex, task_queue=self._workflows
        )
        return seconds * 1000

    async def milliseconds_to_cancel(self) -> float:
        self._activities.began.clear()
        run = await self._operator.start_workflow(
            Wait.run, self._queue, id=uuid.uuid4().hex, task_queue=self._workflows
        )
        await self._activities.began.wait()
        begin = time.perf_counter()
        await run.cancel()
        with suppress(WorkflowFailureError):
            await run.result()
        return (self._activities.heard_at - begin) * 1000


class GatewayUnderTest:
    """A gateway process with a database of its own that knows all nodes of the bench."""

    def __init__(self, folder: Path, temporal: str) -> None:
        self.certificates = Certificates(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self._database = f"sqlite+aiosqlite:///{folder}/gk.db"
        self._settings = self.certificates.settings(
            temporal,
            database=self._database,
            gateway_port=int(self.address.rpartition(":")[2]),
            gateway_calls_per_second=100_000.0,
        )

    @asynccontextmanager
    async def running(self, nodes: list[str]) -> AsyncIterator[psutil.Process]:
        upgrade(self._database)
        database = Database(self._database)
        async with database.write() as session:
            session.add_all([NodeRow(id=node, name=node, key_hash=f"{node:0>64}", generation=1) for node in nodes])
        await database.close()
        settings = self._settings.model_dump().items()
        given = {f"GAMEKEEPER_{name.upper()}": str(value) for name, value in settings if value is not None}
        self._process = subprocess.Popen([sys.executable, "-m", "gateway"], env=os.environ | given)
        try:
            yield psutil.Process(self._process.pid)
        finally:
            self._process.terminate()
            self._process.wait()

    async def client(self, node: str, codec: PayloadCodec | None = None) -> Client:
        while True:
            try:
                return with_codec(await self.certificates.node(node).client(self.address), codec)
            except RuntimeError:
                assert self._process.poll() is None, "the gateway has ended"
                await asyncio.sleep(0.1)

    def codecs(self) -> tuple[ProvingCodec, ControlCodec, VerifyingCodec]:
        """Of the api, the control worker and the node."""
        made = self.certificates.steps()
        signer = StepSigner(made.key_pem.encode(), made.chain_pem.encode())
        proving = ProvingCodec(b"k" * 32)
        control = ControlCodec(SigningCodec(lambda: signer), proving, earlier=())
        roots = (self.certificates.folder / "roots.pem").read_text()
        return proving, control, VerifyingCodec(StepVerifier(lambda: roots))


def cpu_seconds(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


async def fleet_of_polls(gateway: GatewayUnderTest, nodes: list[str], process: psutil.Process) -> tuple[float, float]:
    """Megabytes with all polls open, and per cent of a core over ten seconds."""
    async with AsyncExitStack() as stack:
        polls = []
        for node in nodes:
            channel: Any = await stack.enter_async_context(gateway.certificates.node(node).channel(gateway.address))
            queue = TaskQueue(name=f"node:{node}", kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL)
            request = PollActivityTaskQueueRequest(namespace="default", task_queue=queue).SerializeToString()
            method = channel.unary_unary(f"/{SERVICE}/PollActivityTaskQueue")
            polls += [method(request, timeout=50) for _ in range(POLLS_OF_A_NODE)]
        await asyncio.sleep(10)
        before = cpu_seconds(process)
        await asyncio.sleep(10)
        used, memory = (cpu_seconds(process) - before) * 10, process.memory_info().rss / 1e6
        open_polls = sum(not poll.done() for poll in polls)
        for poll in polls:
            poll.cancel()
        assert open_polls == len(polls), f"{open_polls} of {len(polls)} polls are open"
    return memory, used


async def measure(console: Console, temporal: WorkflowEnvironment, folder: Path) -> None:
    operator = temporal.client
    gateway = GatewayUnderTest(folder, operator.service_client.config.target_host)
    fleet = [f"fleet-{number}" for number in range(FLEET)]
    async with gateway.running(["bench", "signed", *fleet]) as process, AsyncExitStack() as stack:
        proven, control, verifying = gateway.codecs()
        ways = [
            Way("node:straight", operator, operator),
            Way("node:bench", await gateway.client("bench"), operator),
            Way("node:signed", await gateway.client("signed", verifying), with_codec(operator, proven), SIGNED),
        ]
        workers = [working(operator, WORKFLOWS), working(with_codec(operator, control), SIGNED)]
        for worker in (*workers, *(way.worker for way in ways)):
            await stack.enter_async_context(worker)
        begin = cpu_seconds(process)
        steps = [[await way.milliseconds_a_step() for way in ways] for _ in range(ROUNDS)]
        cpu = (cpu_seconds(process) - begin) * 1000 / (2 * ROUNDS * STEPS)
        cancels = [[await way.milliseconds_to_cancel() for way in ways] for _ in range(CANCELS)]
        memory, load = await fleet_of_polls(gateway, fleet, process)
    show(console, steps, cancels)
    console.print(f"CPU of the gateway a step: {cpu:.2f} ms")
    console.print(f"{FLEET} nodes with {POLLS_OF_A_NODE} polls each: {memory:.0f} MB, {load:.1f} % of a core")


def working(client: Client, queue: str) -> Worker:
    return Worker(client, task_queue=queue, workflows=[Steps, Wait], workflow_runner=UnsandboxedWorkflowRunner())


def show(console: Console, steps: list[list[float]], cancels: list[list[float]]) -> None:
    """Differences and ratios are those of one round, against the straight way."""
    table = Table("milliseconds, median", "straight", "through the gateway", "signed too")
    for name, found in (("a step", steps), ("a pushed cancel", cancels)):
        medians = [statistics.median(column) for column in zip(*found, strict=True)]
        more = [statistics.median(row[index] - row[0] for row in found) for index in (1, 2)]
        cells = [
            f"{median:.1f} ({extra:+.1f}, x {median / medians[0]:.2f})"
            for median, extra in zip(medians[1:], more, strict=True)
        ]
        table.add_row(name, f"{medians[0]:.1f}", *cells)
    console.print(table)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with await WorkflowEnvironment.start_local(
            dev_server_existing_path=find_binary(), dev_server_extra_args=dynamic_config_args()
        ) as temporal:
            await measure(Console(), temporal, Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
