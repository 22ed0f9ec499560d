"""The pipeline engine without containers' cost: ``make bench-engine``.

    shapes    1,000 steps one after another, 1,000 side by side, 200 side by side, a matrix of 256 cells: on an agent
              with a dummy engine; time, history, memory, and how long the workflow takes to replay
    overhead  what the control of one step takes, step by step of a chain, over the dummy engine's own calls
    floor     of the shapes and the runs: what Temporal takes for as many activities that do nothing (floor.py)
    runs      pipelines of one no-op step: as many a second as are done when many are sent at once, and how long one
              takes, from the POST to its end in the database, at half of that rate
    cancel    from the request to the container's end, over its grace period, on the Docker Engine

Everything shares this machine: server, Temporal, workers, agent and the one who asks.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import docker
import httpx
import psutil
from rich.console import Console
from rich.table import Table
from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from agent_worker.dummy_engine import DummyEngine
from bench.floor import floor_workers, runs_per_second, seconds_of
from bench.stack import GAMEKEEPER, Stack, stack
from scripts.base_image import ensure_base_image
from tests.factories import make_key, make_new_container, make_owner
from workflows import ALL_WORKFLOWS

DUMMY = "bench-dummy"
CHAIN = 200
RUNS = 300
SENDERS = 32
LATENCY_SECONDS = 20
CANCELS = 10
GRACE = 1.0

STEP = {"container": {"image": "none", "command": ["true"]}}


@dataclass
class Shape:
    name: str
    steps: int
    seconds: float
    events: int
    kilobytes: int
    worker_mb: float
    replay_seconds: float
    floor_seconds: float


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@contextmanager
def dummy_agent(bench: Stack) -> Iterator[None]:
    """A node whose containers are none."""
    folder = bench.folder / "dummy"
    folder.mkdir()
    token = bench.enrol(DUMMY)
    command = [GAMEKEEPER, "agent", "--server", bench.rest_address, "--token", token, "--engine", "dummy"]
    with (folder / "agent.log").open("wb") as output:
        process = subprocess.Popen([*command, "--state-dir", str(folder)], stdout=output, stderr=output)
        try:
            while bench.http.get(f"/nodes/{DUMMY}").json()["status"] != "online":
                assert process.poll() is None, (folder / "agent.log").read_text()[-2000:]
                time.sleep(0.2)
            yield
        finally:
            process.terminate()
            process.wait()


class Peak:
    """The highest resident memory of a process while it is watched."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.megabytes = 0.0

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self.megabytes = max(self.megabytes, self._process.memory_info().rss / 1e6)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def chain(count: int) -> list[dict[str, Any]]:
    return [{"name": f"s{index}", **STEP} for index in range(count)]


def side_by_side(count: int) -> list[dict[str, Any]]:
    return [{"name": f"s{index}", "needs": [], **STEP} for index in range(count)]


async def measure(
    bench: Stack, temporal: Client, name: str, steps: list[dict[str, Any]], count: int, *, in_turn: bool = False
) -> Shape:
    least = await seconds_of(temporal, count, in_turn=in_turn)
    with Peak(bench.pid("control_worker")) as peak:
        run = bench.ended(bench.submit(*steps, node=DUMMY))
    history = await temporal.get_workflow_handle(f"run/{run['id']}").fetch_history()
    spent = seconds(run["finished_at"]) - seconds(run["started_at"])
    size = sum(event.ByteSize() for event in history.events) // 1024
    return Shape(name, count, spent, len(history.events), size, peak.megabytes, await replay(history), least)


async def replay(history: WorkflowHistory) -> float:
    replayer = Replayer(
        workflows=ALL_WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_runner=UnsandboxedWorkflowRunner(),  # as the control worker
    )
    begin = time.perf_counter()
    await replayer.replay_workflow(history)
    return time.perf_counter() - begin


def overhead(bench: Stack) -> list[float]:
    """Milliseconds from a step's end to the next one's."""
    run = bench.ended(bench.submit(*chain(CHAIN), node=DUMMY))
    ends = [seconds(step["finished_at"]) for step in run["steps"]]
    return [(after - before) * 1000 for before, after in pairwise(ends)]


async def floor() -> list[float]:
    """Milliseconds of the same calls to the dummy engine alone."""
    engine = DummyEngine(DUMMY)
    taken = []
    for index in range(CHAIN):
        begin = time.perf_counter()
        container_id = await engine.create(make_new_container(make_owner(node=DUMMY, key=make_key(step=f"s{index}"))))
        await engine.start(container_id)
        await engine.wait(container_id)
        await engine.find(container_id)
        await engine.remove(container_id)
        taken.append((time.perf_counter() - begin) * 1000)
    return taken


async def post(http: httpx.AsyncClient) -> tuple[str, float]:
    body = {"spec": {"name": "bench", "steps": [{"name": "a", **STEP}]}, "node": DUMMY}
    begin = time.time()
    answer = await http.post("/runs", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], begin


def client_of(bench: Stack) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=bench.http.base_url, headers=bench.http.headers, timeout=60)


async def throughput(bench: Stack) -> float:
    """Runs a second, from the first POST to the last end."""
    async with client_of(bench) as http:
        waiting = asyncio.Semaphore(SENDERS)

        async def send() -> tuple[str, float]:
            async with waiting:
                return await post(http)

        begin = time.time()
        sent = await asyncio.gather(*[send() for _ in range(RUNS)])
        ends = await until_ended(http, {run_id for run_id, _ in sent})
    return RUNS / (max(ends.values()) - begin)


async def until_ended(http: httpx.AsyncClient, wanted: set[str]) -> dict[str, float]:
    ends: dict[str, float] = {}
    async with asyncio.timeout(120):
        while wanted - ends.keys():
            cursor: str | None = ""
            while cursor is not None:
                page = (await http.get("/runs", params={"limit": 500, **({"cursor": cursor} if cursor else {})})).json()
                ends |= {
                    item["id"]: seconds(item["finished_at"])
                    for item in page["items"]
                    if item["id"] in wanted and item["finished_at"]
                }
                cursor = page["next_cursor"]
            await asyncio.sleep(0.5)
    return ends


async def latency(bench: Stack, rate: float) -> list[float]:
    """Milliseconds from the POST to the end, with runs sent at a steady rate."""
    async with client_of(bench) as http:
        sending = []
        for _ in range(int(rate * LATENCY_SECONDS)):
            sending.append(asyncio.create_task(post(http)))
            await asyncio.sleep(1 / rate)
        sent = dict(await asyncio.gather(*sending))
        ends = await until_ended(http, set(sent))
    return [(ends[run_id] - begin) * 1000 for run_id, begin in sent.items()]


def cancel(bench: Stack, image: str) -> list[float]:
    """Seconds from the request to the container's end, over its grace period: it does not heed the signal."""
    client = docker.from_env()
    taken = []
    for _ in range(CANCELS):
        container = {
            "image": image,
            "command": ["sh", "-c", "trap '' TERM; while true; do sleep 1; done"],
            "stop_grace_period": f"{GRACE}s",
        }
        run_id = bench.submit({"name": "a", "container": container})
        while not (found := client.containers.list(ignore_removed=True, filters={"label": f"gamekeeper.run={run_id}"})):
            time.sleep(0.05)
        begin = time.time()
        bench.http.post(f"/runs/{run_id}/cancel", json={}).raise_for_status()
        found[0].wait()
        taken.append(time.time() - begin - GRACE)
    client.close()
    return taken


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


async def measure_all(console: Console) -> None:
    image = ensure_base_image(docker.from_env())
    with stack() as bench, dummy_agent(bench), ExitStack() as stack_:
        address = bench.status()["temporal"]["address"]
        temporal = await Client.connect(address, data_converter=pydantic_data_converter)
        stack_.enter_context(floor_workers(address))
        bench.ended(bench.submit(*side_by_side(50), node=DUMMY))  # warm
        await seconds_of(temporal, 50)
        shapes = [
            await measure(bench, temporal, "1,000 side by side", side_by_side(1000), 1000),
            await measure(bench, temporal, "200 side by side", side_by_side(200), 200),
            await measure(
                bench,
                temporal,
                "a matrix of 256 cells",
                [{"name": "m", "matrix": {"n": "${{ range(256) }}"}, **STEP}],
                256,
            ),
            await measure(bench, temporal, "1,000 one after another", chain(1000), 1000, in_turn=True),
        ]
        print_shapes(console, shapes)
        floors, steps = await floor(), overhead(bench)
        rate, most = await throughput(bench), await runs_per_second(temporal, RUNS, SENDERS)
        times = await latency(bench, rate / 2)
        cancels = cancel(bench, image)
    table = Table("measure", "p50", "p99", "target")
    base = statistics.median(floors)
    over = [taken - base for taken in steps]
    table.add_row("control of a step", f"{percentile(over, 50):.1f} ms", f"{percentile(over, 99):.1f} ms", "15, 40 ms")
    table.add_row(
        f"a run of one step, at {rate / 2:.0f}/s", f"{percentile(times, 50):.0f} ms", f"{percentile(times, 99):.0f} ms"
    )
    gone = (f"{statistics.median(cancels):.2f} s", f"{max(cancels):.2f} s", "0.3 s")
    table.add_row("cancel to container gone, over the grace", *gone)
    console.print(table)
    console.print(
        f"runs of one step, many at once: {rate:.0f}/s; Temporal alone, one workflow of one activity each: {most:.0f}/s"
    )


def print_shapes(console: Console, shapes: list[Shape]) -> None:
    table = Table("shape", "time", "steps/s", "floor", "ratio", "events", "history", "control worker", "replay")
    for shape in shapes:
        table.add_row(
            shape.name,
            f"{shape.seconds:.2f} s",
            f"{shape.steps / shape.seconds:.0f}",
            f"{shape.steps / shape.floor_seconds:.0f}",
            f"{shape.seconds / shape.floor_seconds:.1f}",
            str(shape.events),
            f"{shape.kilobytes} KiB",
            f"{shape.worker_mb:.0f} MB",
            f"{shape.replay_seconds:.2f} s",
        )
    console.print(table)


def main() -> None:
    asyncio.run(measure_all(Console()))


if __name__ == "__main__":
    main()
