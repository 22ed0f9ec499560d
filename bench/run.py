"""Overhead of a step, latency of a start, and the agent at rest: ``make bench``.

    overhead  the same 20 containers of `true`, through the Engine API one after another and as a pipeline, in turns
    latency   a one-step pipeline: from the POST to its container's start, over the floor (create and start alone)
    at rest   the agent's memory and CPU over half a minute without work

Uses a stack of its own in a temporary directory, and the demo's base image.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import docker
import httpx
import psutil
from rich.console import Console
from rich.table import Table

from scripts.base_image import ensure_base_image

STEPS = 20
ROUNDS = 10
STARTS = 15
REST_SECONDS = 30
NODE = "bench"
GAMEKEEPER = str(Path(sys.executable).parent / "gamekeeper")


class Stack:
    def __init__(self, folder: str, image: str) -> None:
        self.folder = folder
        self._image = image
        self._command("up", "--detach", "--node", NODE)
        self.status = json.loads(self._command("status", "--json"))
        key = Path(self.status["api_key_file"]).read_text().strip()
        url = self.status["api"]["url"]
        self.http = httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def _command(self, *arguments: str) -> str:
        command = [GAMEKEEPER, "--state-dir", self.folder, *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def close(self) -> None:
        self.http.close()
        self._command("down")

    def submit(self, steps: int) -> str:
        container = {"image": self._image, "command": ["true"]}
        spec = {"name": "bench", "steps": [{"name": f"s{index}", "container": container} for index in range(steps)]}
        answer = self.http.post("/runs", json={"spec": spec, "node": NODE})
        answer.raise_for_status()
        return str(answer.json()["id"])

    def ended(self, run_id: str) -> dict[str, Any]:
        while True:
            found: dict[str, Any] = self.http.get(f"/runs/{run_id}").json()
            if found["state"] in ("succeeded", "failed", "canceled"):
                assert found["state"] == "succeeded", found
                return found
            time.sleep(0.4)  # seldom: asking loads the machine that is measured


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def floor(api: docker.APIClient, image: str) -> float:
    """Milliseconds of one container after another, with the calls that any runner must make."""
    begin = time.perf_counter()
    for _ in range(STEPS):
        container = api.create_container(image, ["true"])["Id"]
        api.start(container)
        api.wait(container)
        api.remove_container(container)
    return (time.perf_counter() - begin) / STEPS * 1000


def pipeline(stack: Stack) -> float:
    """Milliseconds a step, from the run's start to its end as the read model tells them."""
    run = stack.ended(stack.submit(STEPS))
    return (seconds(run["finished_at"]) - seconds(run["started_at"])) / STEPS * 1000


def start_floor(api: docker.APIClient, image: str) -> float:
    begin = time.time()
    container = api.create_container(image, ["true"])["Id"]
    api.start(container)
    state = api.inspect_container(container)["State"]["StartedAt"]
    api.wait(container)
    api.remove_container(container)
    return (seconds(state[:26] + "+00:00") - begin) * 1000


def start_latency(stack: Stack) -> float:
    begin = time.time()
    run = stack.ended(stack.submit(1))
    return (seconds(run["steps"][0]["started_at"]) - begin) * 1000


def at_rest(stack: Stack) -> tuple[float, float]:
    """The agent's resident megabytes and per cent of a core."""
    agent = psutil.Process(stack.status["agents"][0]["pid"])
    time.sleep(5)
    agent.cpu_percent()
    time.sleep(REST_SECONDS)
    return agent.memory_info().rss / 1e6, agent.cpu_percent()


def in_turns(rounds: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Each measure once a round, so that all see the same machine."""
    results: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for index, measure in enumerate(measures):
            results[index].append(measure())
    return results


def main() -> None:
    client = docker.from_env()
    image = ensure_base_image(client)
    folder = tempfile.mkdtemp(prefix="gk-bench-")
    stack = Stack(folder, image)
    try:
        pipeline(stack)  # warm
        floors, steps = in_turns(ROUNDS, lambda: floor(client.api, image), lambda: pipeline(stack))
        start_floors, starts = in_turns(STARTS, lambda: start_floor(client.api, image), lambda: start_latency(stack))
        memory, cpu = at_rest(stack)
    finally:
        stack.close()
        shutil.rmtree(folder, ignore_errors=True)
    overhead = statistics.median(b - a for a, b in zip(floors, steps, strict=True))
    latency = statistics.median(b - a for a, b in zip(start_floors, starts, strict=True))
    table = Table("measure", "floor", "gamekeeper", "over the floor", "ratio", "target")
    rows = (
        (f"step of {STEPS}, one after another", floors, steps, overhead, "20 ms"),
        ("submission to first start", start_floors, starts, latency, "100 ms"),
    )
    for name, low, high, over, target in rows:
        a, b = statistics.median(low), statistics.median(high)
        table.add_row(name, f"{a:.0f} ms", f"{b:.0f} ms", f"{over:.1f} ms", f"{b / a:.2f}", target)
    table.add_row("agent at rest, memory", "", f"{memory:.0f} MB", "", "", "90 MB")
    table.add_row("agent at rest, CPU", "", f"{cpu:.2f} % of a core", "", "", "1 %")
    Console().print(table)


if __name__ == "__main__":
    main()
