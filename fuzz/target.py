"""The api that is fuzzed: the real one on a database of its own, with a control worker, an agent and a node unseen."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from api.grpc.limits import LIMITS
from api.services.access import rates
from fuzz.short_streams import ShortStreams
from gamekeeper.db.engine import Database
from gamekeeper.db.migrate import upgrade
from gamekeeper.temporal.dev_server import dynamic_config_args, find_binary
from gamekeeper.temporal.search_attributes import SearchAttributes
from scripts.postgres import postgres_server
from tests.fixtures.api import ApiUnderTest, make_api

NO_LIMIT = 10**9
NODE = "gpu-01"
CONTAINER = {"image": "debian:12", "environment": {"DUMMY_SLEEP": "600"}}
THERE = {
    "/pipelines": {"spec": {"name": "hello", "steps": [{"name": "hello", "container": CONTAINER}]}},
    "/runs": {"spec": {"name": "hello", "steps": [{"name": "hello", "container": CONTAINER}]}, "node": NODE},
    "/instances": {"id": "arena", "node": NODE, "container": {"image": "debian:12"}},
}


@contextmanager
def without_rates() -> Iterator[None]:
    """Limits of how often somebody may ask are tested elsewhere, and would keep most of the noise out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rates, "WRONG_BURST", NO_LIMIT)
        for name, limit in LIMITS.items():
            more = replace(limit, per_second=NO_LIMIT, burst=NO_LIMIT, at_once=NO_LIMIT)
            patch.setitem(LIMITS, name, more)
        yield


@contextmanager
def database_of_its_own(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite+aiosqlite:///{folder}/gk.db"
        return
    with postgres_server() as address:
        yield f"postgresql+psycopg://gk@{address}/postgres"


@asynccontextmanager
async def target(kind: str) -> AsyncIterator[ApiUnderTest]:
    """``gpu-01``, the node of the document's examples, has an agent whose engine runs nothing; ``node-2`` was never
    seen. A run and an instance are there."""
    async with AsyncExitStack() as stack:
        stack.enter_context(without_rates())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gk-fuzz-", ignore_cleanup_errors=True)))
        url = stack.enter_context(database_of_its_own(kind, folder))
        upgrade(url)
        temporal = await WorkflowEnvironment.start_local(
            dev_server_existing_path=find_binary(),
            dev_server_extra_args=dynamic_config_args(),
            data_converter=pydantic_data_converter,
            dev_server_log_level="never",
        )
        stack.push_async_callback(temporal.shutdown)
        await SearchAttributes(temporal.client).ensure()
        database = Database(url)
        stack.push_async_callback(database.close)
        made = await make_api(database, url, temporal.client, folder, writes_per_second=NO_LIMIT)
        stack.push_async_callback(made.process.link_server.stop, 0)
        stack.push_async_callback(made.close)
        await made.start_control_worker()
        for node in (NODE, "node-2"):
            await made.add_node(node)
        await made.start_agent(NODE)
        for path, body in THERE.items():
            answer = await made.http.post(path, json=body)
            assert answer.status_code == 201, answer.text
        await made.serve_rest(ShortStreams)
        yield made
