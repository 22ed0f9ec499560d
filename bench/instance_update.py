"""Measures how long an update takes a server away, beside the same done by hand: ``make bench-instance-update``.

The floor is what an operator types: ``docker stop``, ``docker rm`` and ``docker run`` on the same network, by the
Engine's API. Away is from the end of the old process to the start of the new one, by the Engine's own clock. The last
figure is the whole of it, from the order to its outcome: for the keeper until the new one has proved to be ready. The
server ends at once when it is asked to.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from datetime import datetime, timedelta
from typing import Any

from agent_worker.docker_engine import DockerEngine
from bench.instances import SERVER, Bench, new_name
from gamekeeper.domain.language.step import Strategy
from gamekeeper.ports.container_engine import ContainerInfo
from tests.fixtures.docker import TEST_IMAGE, ensured_image

ROUNDS = 15
MILLISECOND = timedelta(milliseconds=1)


class Away:
    """Milliseconds: ``away`` between the two processes, ``whole`` from the order to its outcome."""

    def __init__(self) -> None:
        self.away: list[float] = []
        self.whole: list[float] = []

    def add(self, whole: float, ended: datetime | None, started: datetime | None) -> None:
        self.whole.append(whole)
        assert ended is not None
        assert started is not None
        self.away.append((started - ended) / MILLISECOND)


async def by_hand(engine: DockerEngine, name: str, found: Away) -> None:
    api = engine._api
    host = {"NetworkMode": "gk-instances"}
    config: dict[str, Any] = {"Image": TEST_IMAGE, "Cmd": ["sh", "-c", SERVER], "OpenStdin": True, "HostConfig": host}
    old = (await asyncio.to_thread(api.create_container_from_config, config, name))["Id"]
    await asyncio.to_thread(api.start, old)
    begun = time.perf_counter()
    await asyncio.to_thread(api.stop, old)
    ended = await engine.find(old)
    assert ended is not None
    await asyncio.to_thread(api.remove_container, old)
    new = (await asyncio.to_thread(api.create_container_from_config, config, name))["Id"]
    await asyncio.to_thread(api.start, new)
    spent = 1000 * (time.perf_counter() - begun)
    started = await engine.find(new)
    assert started is not None
    found.add(spent, ended.finished_at, started.started_at)
    await asyncio.to_thread(api.remove_container, new, force=True)


async def by_the_keeper(bench: Bench, strategy: Strategy, found: Away) -> None:
    name = new_name()
    await bench.keeper.carry_out(bench.order(name))
    old = await bench.engine.find(bench.order(name).key.container_name)
    assert old is not None
    order = bench.order(name, revision=2, strategy=strategy)
    begun = time.perf_counter()
    going = asyncio.create_task(bench.keeper.carry_out(order))
    ended: ContainerInfo | None = None
    while not going.done():
        seen = await bench.engine.find(old.id)  # it is tidied up a moment after its end
        ended = seen if seen is not None and seen.finished_at is not None else ended
        await asyncio.sleep(0.005)
    spent = 1000 * (time.perf_counter() - begun)
    assert (await going).is_ready
    started = await bench.engine.find(order.key.container_name)
    assert started is not None
    assert ended is not None
    found.add(spent, ended.finished_at, started.started_at)
    await bench.remove(name)


def show(what: str, ours: Away, floor: Away) -> None:
    away, whole = statistics.median(ours.away), statistics.median(ours.whole)
    ratio = away / statistics.median(floor.away)
    print(f"{what:34} away {away:7.0f} ms, ratio to by hand {ratio:5.2f}; in all {whole:6.0f} ms", flush=True)


async def main() -> None:
    logging.disable(logging.WARNING)
    ensured_image()
    engine = DockerEngine(node := new_name())
    bench = Bench(engine, node)
    bench.begin()
    await engine.ensure_node_network()
    floor, recreated, beside = Away(), Away(), Away()
    for _ in range(ROUNDS):
        await by_hand(engine, new_name(), floor)
        await by_the_keeper(bench, Strategy.RECREATE, recreated)
        await by_the_keeper(bench, Strategy.BLUE_GREEN, beside)
    show("by hand: stop, rm, run", floor, floor)
    show("recreate", recreated, floor)
    show("blue_green (below 0: both were up)", beside, floor)
    await bench.close()
    await engine.remove_unused_groups()
    engine.close()


if __name__ == "__main__":
    asyncio.run(main())
