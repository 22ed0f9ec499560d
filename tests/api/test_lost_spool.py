"""The disk of a node loses its spool while a step writes: its log at the api is whole, or tells what is not."""

from __future__ import annotations

import asyncio
import sqlite3
import time

import pytest

from agent_worker.dummy_engine import DummyEngine
from gamekeeper.domain.log.log import LogLine, LogStream
from tests.fixtures.api import ApiUnderTest
from tests.hang import HANG_SECONDS


@pytest.mark.parametrize("rotated", [False, True])
async def test_the_spool_of_a_step_that_writes_is_lost(api: ApiUnderTest, rotated: bool) -> None:
    await api.add_node()
    agent = await api.start_agent()
    await api.start_control_worker()
    work = {"image": "image", "environment": {"DUMMY_SLEEP": "600", "DUMMY_OUTPUT": "one\ntwo\nthree\n"}}
    run = await api.submit({"name": "work", "container": work})
    await api.until_step(run["id"], "work", "running")
    path = f"/runs/{run['id']}/steps/work/logs"
    async with asyncio.timeout(HANG_SECONDS):
        while "three" not in (await api.http.get(path)).text:
            await asyncio.sleep(0.02)
    assert isinstance(agent.engines.bare, DummyEngine)
    container = next(iter(agent.engines.bare._by_id.values()))
    container.lines += [LogLine(LogStream.STDOUT, time.time_ns(), line) for line in (b"four\n", b"five\n")]
    if rotated:
        del container.lines[:4]
    with agent.spool._store._lock:
        agent.spool._store._begin_anew(sqlite3.DatabaseError("database disk image is malformed"))
    api.finish("work")
    await api.until_run(run["id"], "succeeded")
    async with asyncio.timeout(HANG_SECONDS):
        while "five" not in (text := (await api.http.get(path)).text):
            await asyncio.sleep(0.02)
    lines = text.splitlines()
    if rotated:
        assert "the node's spool of logs was lost" in lines[3]
        assert [*lines[:3], *lines[4:5]] == ["one", "two", "three", "five"]
    else:
        assert lines == ["one", "two", "three", "four", "five"]
