"""Measures a node full of servers through restarts of all that keeps them: ``make bench-full-node``.

Fifty real containers on a Docker Engine of the bench's own, which is stopped and started as a package's update does it.
Told are the keeper's memory and CPU, the time from a death to the next start, and how long it takes until all are back
after the agent was killed (when nothing may be started again), after Docker was restarted, and after both at once.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import psutil

from agent_worker.docker_engine import DockerEngine
from bench.instances import Bench
from gamekeeper.domain.instance.order import InstanceOrder
from gamekeeper.errors import UnavailableError
from gamekeeper.ports.container_engine import ContainerStatus
from tests.fixtures.own_docker import OwnDocker, started_docker

SERVERS = 50
DEATHS = 20
REST_SECONDS = 20
NODE = "full"


class FullNode:
    """``starts`` are the instances' starts that were seen last, by the name of the container."""

    def __init__(self, docker: OwnDocker, count: int) -> None:
        self._docker = docker
        self.bench = Bench(DockerEngine(NODE, docker.socket), NODE)
        self.bench.begin()
        self.orders: list[InstanceOrder] = [self.bench.order(f"full-{number}") for number in range(count)]

    async def starts(self) -> dict[str, str]:
        """Of those that run."""
        infos = await self.bench.engine.list_instances()
        return {info.name: str(info.started_at) for info in infos if info.status is ContainerStatus.RUNNING}

    async def until_up_again(self, before: dict[str, str]) -> None:
        """Waits until all run that ran, each by another start than before."""
        while True:
            now: dict[str, str] = {}
            with suppress(UnavailableError):  # over a connection of before
                now = await self.starts()
            if len(now) == len(before) and all(now[name] != before.get(name) for name in now):
                return
            await asyncio.sleep(0.02)

    async def until_answered(self) -> None:
        await asyncio.gather(*[self.bench.keeper.carry_out(order) for order in self.orders])

    async def agent_goes(self) -> None:
        await self.bench.end()

    async def agent_comes(self) -> None:
        self.bench.engine = DockerEngine(NODE, self._docker.socket)
        self.bench.begin()

    async def docker_goes(self) -> None:
        await asyncio.to_thread(self._docker.stop)

    async def docker_comes(self) -> None:
        await asyncio.to_thread(self._docker.start)


def show(what: str, words: str) -> None:
    print(f"{what:48} {words}", flush=True)


async def seconds(work: Callable[[], Awaitable[None]]) -> float:
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


async def at_rest(node: FullNode) -> None:
    process = psutil.Process()
    before, begun = sum(process.cpu_times()[:2]), time.perf_counter()
    await asyncio.sleep(REST_SECONDS)
    used = (sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - begun)
    memory = process.memory_info().rss / 2**20
    show(f"keeper at rest with {len(node.orders)} servers", f"{memory:.0f} MB, {100 * used:.1f} % of a core")


async def deaths(node: FullNode) -> None:
    found = []
    for order in node.orders[:DEATHS]:
        info = await node.bench.engine.find(order.key.container_name)
        assert info is not None
        await node.bench.engine.signal(info.id, "SIGKILL")
        begun = time.perf_counter()
        while (now := await node.bench.engine.find(info.id)) and (
            now.status is not ContainerStatus.RUNNING or now.started_at == info.started_at
        ):
            await asyncio.sleep(0.005)
        found.append(time.perf_counter() - begun)
    p99 = statistics.quantiles(found, n=100)[-1]
    show("a death to the next start", f"{statistics.median(found):.2f} s, p99 {p99:.2f} s (at most 1)")


async def agent_killed(node: FullNode) -> None:
    before = await node.starts()
    await node.agent_goes()
    await node.agent_comes()
    spent = await seconds(node.until_answered)
    assert await node.starts() == before, "a server was started again"
    show("the agent killed, until it knows all again", f"{spent:.2f} s, none started again")


async def docker_restarted(node: FullNode) -> None:
    before = await node.starts()
    await node.docker_goes()
    await node.docker_comes()
    spent = await seconds(lambda: node.until_up_again(before))
    show("Docker restarted, until all are up", f"{spent:.1f} s from its first answer")


async def both_restarted(node: FullNode) -> None:
    before = await node.starts()
    await node.agent_goes()
    await node.docker_goes()
    await node.docker_comes()
    await node.agent_comes()
    spent = await seconds(lambda: node.until_up_again(before))
    show("Docker and the agent restarted, until all are up", f"{spent:.1f} s from its first answer")


async def main(count: int) -> None:
    logging.disable(logging.WARNING)
    with started_docker(has_bridge=True) as docker:
        node = FullNode(docker, count)
        show(f"{count} orders at once, until all are ready", f"{await seconds(node.until_answered):.1f} s")
        for part in (at_rest, deaths, agent_killed, docker_restarted, both_restarted):
            await part(node)
        await node.until_answered()
        for order in node.orders:
            await node.bench.remove(order.instance)
        await node.bench.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else SERVERS))
