"""The price of a list of instances: ``make bench-instance-list``.

1,000 instances on 100 nodes, read in two pages and made into the answer's JSON, as the route does; the floor is one
SELECT of the same rows, on the same database, in turns. On SQLite and PostgreSQL.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import cast

from rich.console import Console
from rich.table import Table
from sqlmodel import select

from api.rest.v1.instance import Instance, InstanceList
from api.services.instance.instance import InstanceService
from bench.placement import database_urls
from gamekeeper.db.engine import Database
from gamekeeper.db.migrate import upgrade
from gamekeeper.db.models import InstanceRevisionRow, InstanceRow, NodeRow
from gamekeeper.domain.access.access import everything
from gamekeeper.domain.access.verb import ObjectKind
from gamekeeper.domain.instance.instance_filter import InstanceFilter
from gamekeeper.temporal.instance_workflows import InstanceWorkflows

NODES, INSTANCES, PAGE = 100, 1000, 500
ROUNDS = 30
ALL = everything(ObjectKind.INSTANCE)
TARGET_MS = 100.0


def main() -> None:
    asyncio.run(_main())


async def _main() -> None:
    table = Table("database", "p50", "p95", "floor p50", "ratio")
    for name, url in database_urls():
        await asyncio.to_thread(upgrade, url)
        database = Database(url)
        await _fill(database)
        ours, floor = await _measured(database)
        p50, p95 = statistics.median(ours), statistics.quantiles(ours, n=20)[-1]
        least = statistics.median(floor)
        table.add_row(name, f"{p50:.1f} ms", f"{p95:.1f} ms", f"{least:.1f} ms", f"{p50 / least:.1f}")
        await database.close()
    console = Console()
    console.print(f"{INSTANCES} instances on {NODES} nodes; target {TARGET_MS:.0f} ms")
    console.print(table)


async def _fill(database: Database) -> None:
    container = {
        "image": "arena:1",
        "ports": ["8303:8303/udp"],
        "environment": {f"SV_{index}": "x" for index in range(20)},
    }
    async with database.write() as session:
        session.add_all([NodeRow(id=f"n{index}", name=f"n{index}", status="online") for index in range(NODES)])
        rows = [
            InstanceRow(id=f"arena-{index:04}", node_id=f"n{index % NODES}", state="ready", labels={"game": "arena"})
            for index in range(INSTANCES)
        ]
        session.add_all(rows)
        await session.flush()
        session.add_all(
            [InstanceRevisionRow(instance_id=row.id, revision=1, spec={"container": container}) for row in rows]
        )


async def _told(_instance: str) -> None:
    """No instance is made here."""


async def _measured(database: Database) -> tuple[list[float], list[float]]:
    service = InstanceService(database, cast(InstanceWorkflows, None), _told)  # a list asks Temporal nothing
    ours, floor = [], []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        await _list(service)
        ours.append((time.perf_counter() - begun) * 1000)
        begun = time.perf_counter()
        async with database.read() as session:
            (await session.exec(select(InstanceRow).order_by(InstanceRow.id))).all()
        floor.append((time.perf_counter() - begun) * 1000)
    return ours, floor


async def _list(service: InstanceService) -> None:
    cursor, count = None, 0
    while True:
        found, cursor = await service.page(InstanceFilter(), ALL, cursor=cursor, limit=PAGE)
        page = InstanceList(items=[Instance.of(seen) for seen in found], next_cursor=cursor)
        page.model_dump_json()
        count += len(found)
        if cursor is None:
            break
    assert count == INSTANCES


if __name__ == "__main__":
    main()
