"""The price of a placement: ``make bench-placement``.

A fleet of 100 nodes with 1,000 instances of three ports each. One more is placed, with its rows, and rolled back; the
floor is one SELECT of the rows of all nodes, on the same database, in turns. On SQLite and PostgreSQL.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlmodel import select

from gamekeeper.control_plane.placement.instance import place_instance
from gamekeeper.db.engine import Database
from gamekeeper.db.migrate import upgrade
from gamekeeper.db.models import InstanceRow, NodeRow, PortReservationRow, ReservationRow
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.node.demand import Where
from scripts.postgres import postgres_server

NODES, INSTANCES = 100, 1000
ROUNDS = 100
TARGET_MS = 20.0
PORT = {"name": "game", "target": "2456-2458", "published": 0, "protocol": "udp"}
WHERE = {
    "by labels, spread": Where(labels={"pool": "a"}),
    "by labels, a group over racks": Where(labels={"pool": "a"}, group="arena", across="rack"),
    "one node by its id": Where(node="n7"),
}


class _RolledBackError(Exception):
    """Ends each placement, so that the next one finds the same fleet."""


def main() -> None:
    asyncio.run(_main())


async def _main() -> None:
    table = Table("database", "placement", "p50", "p95", "floor p50", "ratio")
    for name, url in database_urls():
        async with _fleet(url) as database:
            for label, where in WHERE.items():
                ours, floor = await _measured(database, where)
                p50, p95 = statistics.median(ours), statistics.quantiles(ours, n=20)[-1]
                least = statistics.median(floor)
                table.add_row(name, label, f"{p50:.1f} ms", f"{p95:.1f} ms", f"{least:.1f} ms", f"{p50 / least:.1f}")
    console = Console()
    console.print(f"{NODES} nodes, {INSTANCES} instances; target {TARGET_MS:.0f} ms")
    console.print(table)


def database_urls() -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        yield "SQLite", f"sqlite+aiosqlite:///{Path(folder) / 'gk.db'}"
    with _postgres() as url:
        yield "PostgreSQL", url


@contextmanager
def _postgres() -> Iterator[str]:
    with postgres_server() as address:
        yield f"postgresql+psycopg://gk@{address}/postgres"


@asynccontextmanager
async def _fleet(url: str) -> AsyncIterator[Database]:
    await asyncio.to_thread(upgrade, url)
    database = Database(url)
    async with database.write() as session:
        session.add_all([_node(number) for number in range(NODES)])
        for number in range(INSTANCES):
            session.add_all(_rows_of_instance(number))
    try:
        yield database
    finally:
        await database.close()


def _node(number: int) -> NodeRow:
    """With an inventory and a policy as a real agent tells them."""
    gpus = [{"name": "NVIDIA L4", "uuid": "GPU-" + "0" * 32, "memory_bytes": 24 * 2**30, "driver": "550.54"}]
    disks = [
        {"mount": f"/disk{at}", "device": f"/dev/sd{at}", "filesystem": "ext4", "total_bytes": 2**40} for at in "abc"
    ]
    return NodeRow(
        id=f"n{number}",
        name=f"n{number}",
        status="online",
        labels={"pool": "a" if number % 2 else "b", "rack": str(number % 10)},
        capacity={"cpus": 64, "memory_bytes": 256 * 2**30, "disk_bytes": 2**41, "gpus": 1},
        inventory={"gpus": gpus, "disks": disks, "physical_cores": 32},
        policy={"host_paths": ["/srv"], "devices": ["gpu"]},
    )


def _rows_of_instance(number: int) -> list[Any]:
    node, name = f"n{number % NODES}", f"i{number}"
    owner: dict[str, Any] = {"owner_kind": "instance", "owner_id": name, "node_id": node}
    first = 20_000 + 3 * (number // NODES)
    group = "arena" if number % 5 == 0 else ""
    return [
        InstanceRow(id=name, node_id=node, labels={"game": "arena"}, group=group),
        ReservationRow(**owner, cpus=0.5 + number % 7 / 10, memory_bytes=2**30, pids=100),
        *(PortReservationRow(**owner, protocol="udp", number=first + index, key="game") for index in range(3)),
    ]


async def _measured(database: Database, where: Where) -> tuple[list[float], list[float]]:
    """Milliseconds of placements, and of the floor's SELECT."""
    limits = {"limits": {"cpus": "1", "memory": "1g"}}
    container = Container.model_validate({"image": "i", "ports": [PORT], "deploy": {"resources": limits}})
    ours, floor = [], []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        await _place(database, InstanceSpec(container=container), where)
        ours.append((time.perf_counter() - begin) * 1000)
        begin = time.perf_counter()
        async with database.read() as session:
            (await session.exec(select(NodeRow))).all()
        floor.append((time.perf_counter() - begin) * 1000)
    return ours, floor


async def _place(database: Database, spec: InstanceSpec, where: Where) -> None:
    try:
        async with database.write() as session:
            await place_instance(session, "new", spec, where)
            await session.flush()
            raise _RolledBackError
    except _RolledBackError:
        return


if __name__ == "__main__":
    main()
