"""The price of grants: ``make bench-grants``.

Each list of 1,000 rows (100 schedules, which Temporal has) is read whole over REST, by an admin and by a guest who sees
the same rows by three grants, each by a label, in turns. Then once more with 10,000 grants in the database, of which
the guest has 100. On SQLite and PostgreSQL. ``--target`` is the ratio that no list may exceed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from bench.placement import database_urls
from gamekeeper.db.engine import Database
from gamekeeper.db.migrate import upgrade
from gamekeeper.db.models import (
    EventRow,
    GrantRow,
    InstanceRevisionRow,
    InstanceRow,
    NodeRow,
    PipelineRow,
    RunRow,
    StepRow,
)
from gamekeeper.domain.access.grant import MAX_GRANTS
from gamekeeper.temporal.dev_server import dynamic_config_args, find_binary
from gamekeeper.temporal.search_attributes import SearchAttributes
from tests.fixtures.api import ApiUnderTest, make_api
from tests.fixtures.guests import Guest, a_guest

ROWS, SCHEDULES, PAGE = 1000, 100, 500
ALL_GRANTS = 10_000
ROUNDS = 20
TARGET = 1.5
TEAMS = ("blue", "red", "green")
LISTS: dict[str, dict[str, Any]] = {
    "/instances": {"limit": PAGE},
    "/nodes": {"limit": PAGE},
    "/runs": {"limit": PAGE},
    "/events": {"limit": PAGE, "kind": "instance.ready"},
    "/pipelines": {"limit": PAGE},
    "/schedules": {},
}
SOURCE = """version: 1
name: {name}
schedule:
- cron: 0 5 1 1 *
steps:
- {{name: a, node: n0, container: {{image: 'arena:1'}}}}
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", type=float, default=TARGET)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--database", choices=("SQLite", "PostgreSQL"))
    asyncio.run(_main(parser.parse_args()))


async def _main(options: argparse.Namespace) -> None:
    over = list[str]()
    print(
        f"{ROWS} rows, {SCHEDULES} schedules; target {options.target}; load {os.getloadavg()[0]:.1f} at the beginning"
    )
    for name, url in database_urls():
        if options.database not in (None, name):
            continue
        async with _api(url) as api:
            guest = await _guest(api)
            for grants in (len(TEAMS), MAX_GRANTS):
                if grants > len(TEAMS):
                    await _grant_much(api.database, guest)
                for path in LISTS:
                    admin_ms, guest_ms = await _measured(api, guest, path, options.rounds)
                    ratio = guest_ms / admin_ms
                    row = f"{name:10} {path:10} {grants:3} grants: admin {admin_ms:6.1f} ms, guest {guest_ms:6.1f} ms"
                    print(f"{row}, ratio {ratio:.2f}", flush=True)
                    over += [row] if ratio > options.target else []
    if over:
        raise SystemExit("over the target: " + "; ".join(over))


@asynccontextmanager
async def _api(url: str) -> AsyncIterator[ApiUnderTest]:
    """The whole api in this process, with rows in its database and schedules in Temporal."""
    await asyncio.to_thread(upgrade, url)
    database = Database(url)
    temporal = await WorkflowEnvironment.start_local(
        dev_server_existing_path=find_binary(),
        dev_server_extra_args=dynamic_config_args(),
        data_converter=pydantic_data_converter,
    )
    try:
        await SearchAttributes(temporal.client).ensure()
        with tempfile.TemporaryDirectory() as folder:
            api = await make_api(database, url, temporal.client, Path(folder))
            await _fill(database)
            for number in range(SCHEDULES):
                answer = await api.http.put(f"/pipelines/p{number:04}/schedules", json={})
                assert answer.status_code == httpx.codes.OK, answer.text
            yield api
            await api.close()
            await api.process.link_server.stop(0)
    finally:
        await temporal.shutdown()
        await database.close()


async def _fill(database: Database) -> None:
    """As many rows of each, and a third of each team's."""
    container = {"image": "arena:1", "ports": ["8303:8303/udp"]}
    async with database.write() as session:
        for number in range(ROWS):
            key, team = f"{number:04}", TEAMS[number % len(TEAMS)]
            labels = {"game": "arena", "pool": f"p{number % 7}", "team": team, "tier": "gold"}
            source = SOURCE.format(name=f"p{key}")
            session.add_all(
                [
                    NodeRow(id=f"n{number}", name=f"n{number}", status="online", labels=labels),
                    PipelineRow(name=f"p{key}", version=1, source=source, labels=labels, created_by="key:admin"),
                    RunRow(id=f"r{key}", pipeline=f"p{key}", labels=labels, state="succeeded"),
                    InstanceRow(id=f"i{key}", node_id=f"n{number}", state="ready", labels=labels),
                    EventRow(kind="instance.ready", instance=f"i{key}", node=f"n{number}"),
                ]
            )
        await session.flush()
        for number in range(ROWS):
            key = f"{number:04}"
            session.add(InstanceRevisionRow(instance_id=f"i{key}", revision=1, spec={"container": container}))
            session.add(StepRow(run_id=f"r{key}", name="a", node_id=f"n{number}", state="succeeded"))


async def _guest(api: ApiUnderTest) -> Guest:
    guest = await a_guest(api)
    for team in TEAMS:
        await guest.may("viewer", labels={"team": team})
    return guest


async def _grant_much(database: Database, guest: Guest) -> None:
    """Fills up the grants of the guest, and those of others to ``ALL_GRANTS``."""
    async with database.write() as session:
        for number in range(ALL_GRANTS - len(TEAMS)):
            own = number < MAX_GRANTS - len(TEAMS)
            holder = guest.id if own else f"other{number // MAX_GRANTS}"
            labels: dict[str, Any] = {f"k{number % 10}": f"v{number}"}
            session.add(GrantRow(holder_kind="key", holder_id=holder, role="viewer", labels=labels))


async def _measured(api: ApiUnderTest, guest: Guest, path: str, rounds: int) -> tuple[float, float]:
    """The medians of both. The first round is for the caches."""
    spent: dict[str, list[float]] = {"admin": [], "guest": []}
    for _ in range(rounds + 1):
        for who, http in (("admin", api.http), ("guest", guest.http)):
            begun = time.perf_counter()
            await _read(http, path)
            spent[who].append((time.perf_counter() - begun) * 1000)
    return statistics.median(spent["admin"][1:]), statistics.median(spent["guest"][1:])


async def _read(http: httpx.AsyncClient, path: str) -> None:
    """The whole list, page by page."""
    params = LISTS[path]
    cursor, count = None, 0
    while True:
        answer = await http.get(path, params=params | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == httpx.codes.OK, answer.text
        found = answer.json()
        count, cursor = count + len(found["items"]), found.get("next_cursor")
        if cursor is None:
            break
    assert count == (SCHEDULES if path == "/schedules" else ROWS), (path, count)


if __name__ == "__main__":
    main()
