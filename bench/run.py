"""Overhead of a step, latency of a start, and the agent at rest: ``make bench``.

    overhead  the same 20 containers of `true`, through the Engine API one after another and as a pipeline, in turns,
              on the bridge network and without a network
    latency   a one-step pipeline: from the POST to its container's start, over the floor (create and start alone)
    at rest   the agent's memory and CPU over half a minute without work

Uses a stack of its own in a temporary directory, and the demo's base image.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import datetime

import docker
import psutil
from rich.console import Console
from rich.table import Table

from bench.stack import Stack, stack
from scripts.base_image import ensure_base_image

STEPS = 20
ROUNDS = 10
STARTS = 15
REST_SECONDS = 30


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def floor(api: docker.APIClient, image: str, network: str) -> float:
    """Milliseconds of one container after another, with the calls that any runner must make."""
    begin = time.perf_counter()
    for _ in range(STEPS):
        host = api.create_host_config(network_mode=network)
        container = api.create_container(image, ["true"], host_config=host)["Id"]
        api.start(container)
        api.wait(container)
        api.remove_container(container)
    return (time.perf_counter() - begin) / STEPS * 1000


def submit(bench: Stack, image: str, steps: int, network: str = "bridge") -> str:
    container = {"image": image, "command": ["true"], "network_mode": network}
    return bench.submit(*[{"name": f"s{index}", "container": container} for index in range(steps)])


def pipeline(bench: Stack, image: str, network: str) -> float:
    """Milliseconds a step, from the run's start to its end as the read model tells them."""
    run = bench.ended(submit(bench, image, STEPS, network))
    return (seconds(run["finished_at"]) - seconds(run["started_at"])) / STEPS * 1000


def start_floor(api: docker.APIClient, image: str) -> float:
    begin = time.time()
    container = api.create_container(image, ["true"])["Id"]
    api.start(container)
    state = api.inspect_container(container)["State"]["StartedAt"]
    api.wait(container)
    api.remove_container(container)
    return (seconds(state[:26] + "+00:00") - begin) * 1000


def start_latency(bench: Stack, image: str) -> float:
    begin = time.time()
    run = bench.ended(submit(bench, image, 1))
    return (seconds(run["steps"][0]["started_at"]) - begin) * 1000


def at_rest(bench: Stack) -> tuple[float, float]:
    """The agent's resident megabytes and per cent of a core. Between two times at which it gives memory back, pages of
    files that it needs come in again: 7 MB. So the middle of such a time counts, and not one moment of it."""
    agent = psutil.Process(bench.pid("agent"))
    time.sleep(5)
    agent.cpu_percent()
    sizes = []
    for _ in range(REST_SECONDS):
        time.sleep(1)
        sizes.append(agent.memory_info().rss / 1e6)
    return statistics.median(sizes), agent.cpu_percent()


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
    with stack() as bench:
        pipeline(bench, image, "bridge")  # warm
        bridge_floors, bridge, none_floors, none = in_turns(
            ROUNDS,
            lambda: floor(client.api, image, "bridge"),
            lambda: pipeline(bench, image, "bridge"),
            lambda: floor(client.api, image, "none"),
            lambda: pipeline(bench, image, "none"),
        )
        start_floors, starts = in_turns(
            STARTS, lambda: start_floor(client.api, image), lambda: start_latency(bench, image)
        )
        memory, cpu = at_rest(bench)
    table = Table("measure", "floor", "gamekeeper", "over the floor", "ratio", "target")
    rows = (
        (f"step of {STEPS}, one after another", bridge_floors, bridge, "20 ms"),
        (f"step of {STEPS}, without a network", none_floors, none, "20 ms"),
        ("submission to first start", start_floors, starts, "100 ms"),
    )
    for name, low, high, target in rows:
        over = statistics.median(b - a for a, b in zip(low, high, strict=True))
        a, b = statistics.median(low), statistics.median(high)
        table.add_row(name, f"{a:.0f} ms", f"{b:.0f} ms", f"{over:.1f} ms", f"{b / a:.2f}", target)
    table.add_row("agent at rest, memory", "", f"{memory:.0f} MB", "", "", "90 MB")
    table.add_row("agent at rest, CPU", "", f"{cpu:.2f} % of a core", "", "", "1 %")
    Console().print(table)


if __name__ == "__main__":
    main()
