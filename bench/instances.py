"""Measures the keeper of instances beside the Engine's own API, in the same run: ``make bench-instances``.

    start    an order to its process running; the floor is create and start on the same network
    stop     by a line on the console, and a kill, to not running; the floor is the API's kill and wait
    crash    killed from outside to running again; the floor is create and start
    kill     ten servers, the keeper begun anew, until it has told all of them and a command runs in one
    flood    200,000 lines at once, until all are in the spool
    many     the dummy's instances: memory, CPU at rest, and from a death to the next start

Medians. Two cores are shared with whatever else runs, so the ratios say more than the milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil

from agent_worker.docker_engine import DockerEngine
from agent_worker.dummy_engine import DummyEngine
from agent_worker.instance.journal import KeeperJournal
from agent_worker.instance.keeper import Keeper
from agent_worker.instance.tools import Tools
from agent_worker.logs.log_follower import LogFollower
from agent_worker.logs.spool import Spool
from gamekeeper.domain.instance.order import InstanceOrder, InstanceStatus
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceState
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.run.console import ConsoleRequest, ConsoleSize
from gamekeeper.ports.container_engine import ContainerEngine, ContainerStatus
from tests.fixtures.docker import TEST_IMAGE, ensured_image

ROUNDS = 15
SERVERS = 10
LINES = 200_000
SERVER = "trap 'exit 0' TERM; while read line; do [ \"$line\" = stop ] && exit 0; done; sleep 600 & wait"


class Bench:
    """A keeper on an engine, as an agent has it."""

    def __init__(self, engine: ContainerEngine, node: str) -> None:
        self.engine = engine
        self.node = node
        self.folder = Path(tempfile.mkdtemp(prefix="gk-bench-"))
        self.spool = Spool(self.folder / "spool.db", reserve_bytes=0)
        self.told: asyncio.Queue[InstanceStatus] = asyncio.Queue()
        self.serials: dict[str, int] = {}

    def begin(self) -> None:
        self.journal = KeeperJournal(self.folder / "instances.db")
        self.follower = LogFollower(self.engine, self.spool)
        tools = Tools(self.engine, self.journal, self.follower, NodePolicy(), self.told.put_nowait)
        self.keeper = Keeper(tools)
        self.task = asyncio.create_task(self.keeper.run_forever())

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.follower.close()
        self.journal.close()

    async def close(self) -> None:
        await self.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def order(
        self, name: str, desired: Desired = Desired.RUNNING, script: str = SERVER, **fields: Any
    ) -> InstanceOrder:
        self.serials[name] = self.serials.get(name, 0) + 1
        container = {"image": TEST_IMAGE, "command": ["sh", "-c", script]}
        spec = InstanceSpec.model_validate({"container": container, "stop": {"command": "stop"}})
        given = {"instance": name, "node": self.node, "serial": self.serials[name], "revision": 1} | fields
        return InstanceOrder(desired=desired, spec=spec, **given)

    async def until(self, name: str, state: InstanceState) -> InstanceStatus:
        while True:
            status = await self.told.get()
            if status.instance == name and status.state is state:
                return status

    async def remove(self, name: str) -> None:
        await self.keeper.carry_out(self.order(name, Desired.REMOVED, kill=True, volumes=True))


def new_name() -> str:
    return f"bench-{uuid.uuid4().hex[:8]}"


async def timed(work: Awaitable[Any]) -> float:
    begun = time.perf_counter()
    await work
    return 1000 * (time.perf_counter() - begun)


def show(what: str, ours: list[float], floor: list[float], most: float) -> None:
    ratio = statistics.median(ours) / statistics.median(floor)
    words = f"{statistics.median(ours):7.0f} ms, floor {statistics.median(floor):5.0f} ms, ratio {ratio:.2f}"
    print(f"{what:42} {words} (at most {most:.2f})", flush=True)


async def floor_start(engine: DockerEngine, made: list[str]) -> None:
    """The Engine's own create and start on the instances' network, as its API has them."""
    api = engine._api
    config = {
        "Image": TEST_IMAGE,
        "Cmd": ["sh", "-c", SERVER],
        "OpenStdin": True,
        "HostConfig": {"NetworkMode": "gk-instances"},
    }
    created = await asyncio.to_thread(api.create_container_from_config, config)
    await asyncio.to_thread(api.start, created["Id"])
    made.append(created["Id"])


async def floor_kill(engine: DockerEngine, container_id: str) -> None:
    await asyncio.to_thread(engine._api.kill, container_id)
    await asyncio.to_thread(engine._api.wait, container_id)


async def power(bench: Bench, engine: DockerEngine) -> None:
    starts, floor, stops, kills, floor_kills, crashes = ([] for _ in range(6))
    await engine.ensure_node_network()
    for _ in range(ROUNDS):
        made: list[str] = []
        floor.append(await timed(floor_start(engine, made)))
        floor_kills.append(await timed(floor_kill(engine, made[0])))
        await engine.remove(made[0])
        name = new_name()
        order = bench.order(name)
        going = asyncio.create_task(bench.keeper.carry_out(order))
        starts.append(await timed(bench.until(name, InstanceState.STARTING)))
        await going
        found = await engine.find(order.key.container_name)
        assert found is not None
        begun = time.perf_counter()
        await engine.signal(found.id, "SIGKILL")
        while (now := await engine.find(found.id)) and (
            now.status is not ContainerStatus.RUNNING or now.started_at == found.started_at
        ):
            await asyncio.sleep(0.002)
        crashes.append(1000 * (time.perf_counter() - begun))
        await bench.keeper.carry_out(bench.order(name))
        stops.append(await timed(bench.keeper.carry_out(bench.order(name, Desired.STOPPED))))
        await bench.keeper.carry_out(bench.order(name))
        kills.append(await timed(bench.keeper.carry_out(bench.order(name, Desired.STOPPED, kill=True))))
        await bench.remove(name)
    show("start: order to running", starts, floor, 1.08)
    show("stop by a line: order to stopped", stops, floor_kills, 1.0)
    show("kill: order to stopped", kills, floor_kills, 1.0)
    show("crash: killed outside to running again", crashes, floor, 1.5)


async def killed_agent(bench: Bench, engine: DockerEngine) -> None:
    names = [new_name() for _ in range(SERVERS)]
    orders = [bench.order(name) for name in names]
    await asyncio.gather(*[bench.keeper.carry_out(order) for order in orders])
    before = {info.id: info.started_at for info in await engine.list_instances()}
    await bench.end()
    begun = time.perf_counter()
    bench.begin()
    await asyncio.gather(*[bench.keeper.carry_out(order) for order in orders])
    request = ConsoleRequest("bench", orders[0].key, ("true",), tty=False, size=ConsoleSize())
    console = await engine.open_console(orders[0].key.container_name, request)
    while await console.read() is not None:
        pass
    spent = 1000 * (time.perf_counter() - begun)
    print(f"{'keeper begun anew, 10 servers, to a console':42} {spent:7.0f} ms (at most 1000)")
    assert before == {info.id: info.started_at for info in await engine.list_instances()}
    await console.close()
    process = psutil.Process()
    before_cpu, begun = sum(process.cpu_times()[:2]), time.perf_counter()
    await asyncio.sleep(20)
    used = (sum(process.cpu_times()[:2]) - before_cpu) / (time.perf_counter() - begun)
    memory = process.memory_info().rss / 2**20
    print(f"{'keeper at rest with 10 servers':42} {memory:7.0f} MB, {100 * used:.1f} % of a core")
    for name in names:
        await bench.remove(name)


async def flood(bench: Bench) -> None:
    name = new_name()
    script = f"i=0; while [ $i -lt {LINES} ]; do echo line; i=$((i+1)); done; sleep 600"
    begun = time.perf_counter()
    order = bench.order(name, script=script)
    await bench.keeper.carry_out(order)
    while bench.spool._store is not None and _lines(bench.spool, str(order.key)) < LINES:
        await asyncio.sleep(0.02)
    seconds = time.perf_counter() - begun
    print(f"{'200,000 lines at once, into the spool':42} {LINES / seconds:7.0f} lines/s, none lost")
    await bench.remove(name)


def _lines(spool: Spool, key: str) -> int:
    with spool._store.transaction() as db:
        row = db.execute("SELECT next_seq - 1 FROM logs WHERE key = ?", (key,)).fetchone()
    return int(row[0]) if row else 0


async def many(count: int) -> None:
    engine = DummyEngine("bench")
    bench = Bench(engine, "bench")
    bench.begin()
    names = [f"many-{number}" for number in range(count)]
    begun = time.perf_counter()
    await asyncio.gather(*[bench.keeper.carry_out(bench.order(name)) for name in names])
    all_up = time.perf_counter() - begun
    process = psutil.Process()
    before_cpu, begun = sum(process.cpu_times()[:2]), time.perf_counter()
    await asyncio.sleep(10)
    used = (sum(process.cpu_times()[:2]) - before_cpu) / (time.perf_counter() - begun)
    deaths = []
    for name in names[:100]:
        found = await engine.find(f"gk-i-{name}-1")
        assert found is not None
        begun = time.perf_counter()
        await engine.signal(found.id, "SIGKILL")
        while engine.starts_of(f"gk-i-{name}-1") < 2:
            await asyncio.sleep(0.001)
        deaths.append(1000 * (time.perf_counter() - begun))
    p99 = statistics.quantiles(deaths, n=100)[-1]
    words = f"all up in {all_up:.1f} s, {process.memory_info().rss / 2**20:.0f} MB, {100 * used:.1f} % of a core"
    print(f"{f'{count} made-up instances':42} {words}; a death to the next start p99 {p99:.0f} ms (at most 1000)")
    await bench.close()


PARTS: dict[str, Callable[[Bench, DockerEngine], Awaitable[None]]] = {
    "power": power,
    "killed": killed_agent,
    "flood": lambda bench, _: flood(bench),
}


async def main(parts: list[str]) -> None:
    logging.disable(logging.WARNING)
    ensured_image()
    for name, part in PARTS.items():
        if parts and name not in parts:
            continue
        node = f"bench-{uuid.uuid4().hex[:6]}"
        engine = DockerEngine(node)
        bench = Bench(engine, node)
        bench.begin()
        await part(bench, engine)
        await bench.close()
        await engine.remove_unused_groups()
        engine.close()
    if not parts or "many" in parts:
        await many(200)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
