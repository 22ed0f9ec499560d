"""The floor of the engine's bench, Temporal alone: a workflow does nothing but call an activity that does nothing, by
two worker processes as ours are. ``python -m bench.floor ADDRESS workflows|activities`` is one of them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

QUEUE = "bench-floor"
STEPS = "bench-floor-steps"


@activity.defn(name="floor.step")
async def step(name: str) -> str:
    return name


@workflow.defn(name="FloorWorkflow")
class FloorWorkflow:
    @workflow.run
    async def run(self, steps: int, in_turn: bool) -> None:
        async def one(number: int) -> None:
            await workflow.execute_activity(
                step, str(number), task_queue=STEPS, start_to_close_timeout=timedelta(minutes=5)
            )

        if in_turn:
            for number in range(steps):
                await one(number)
        else:
            await asyncio.gather(*[one(number) for number in range(steps)])


@contextmanager
def floor_workers(address: str) -> Iterator[None]:
    command = [sys.executable, "-m", "bench.floor", address]
    workers = [subprocess.Popen([*command, kind]) for kind in ("workflows", "activities")]
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


async def seconds_of(client: Client, steps: int, *, in_turn: bool = False) -> float:
    begin = time.perf_counter()
    await client.execute_workflow(FloorWorkflow.run, args=[steps, in_turn], id=uuid.uuid4().hex, task_queue=QUEUE)
    return time.perf_counter() - begin


async def runs_per_second(client: Client, runs: int, senders: int) -> float:
    waiting = asyncio.Semaphore(senders)

    async def one() -> None:
        async with waiting:
            await seconds_of(client, 1)

    begin = time.perf_counter()
    await asyncio.gather(*[one() for _ in range(runs)])
    return runs / (time.perf_counter() - begin)


async def work(address: str, kind: str) -> None:
    client = await Client.connect(address)
    if kind == "workflows":
        worker = Worker(
            client, task_queue=QUEUE, workflows=[FloorWorkflow], workflow_runner=UnsandboxedWorkflowRunner()
        )
    else:
        worker = Worker(client, task_queue=STEPS, activities=[step], max_concurrent_activities=1000)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2]))
