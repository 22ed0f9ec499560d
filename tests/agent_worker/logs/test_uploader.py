"""Logs wait on the node's disk for a server that has no room, and for one that is away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent_worker.logs import uploader as uploader_module
from agent_worker.logs.log_cursor import LogCursor
from agent_worker.logs.spool import Spool
from agent_worker.logs.uploader import Uploader
from gamekeeper.domain.log.log import LogEnd, LogLine, LogStream
from gamekeeper.errors import LaterError, UnavailableError
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.factories import make_key
from tests.fakes.node_agent import FakeContainers
from tests.hang import HANG_SECONDS
from tests.told import told


class FullServer:
    """In the place of the link: has no room for the first uploads."""

    def __init__(self, refusals: int, after_seconds: float = 0) -> None:
        self.after_seconds = after_seconds
        self.connected = asyncio.Event()
        self.connected.set()
        self.calls = self
        self.refusals = refusals

    async def upload(self, batches: list[bytes]) -> pb.UploadLogsResponse:
        if self.refusals:
            self.refusals -= 1
            if self.after_seconds:
                raise LaterError("node n is held back", after_seconds=self.after_seconds)
            raise UnavailableError("logs can't be kept: the disk of /logs is full")
        read = [pb.LogBatch.FromString(batch) for batch in batches]
        return pb.UploadLogsResponse(acks=[pb.LogAck(key=batch.key, seq=batch.records[-1].seq) for batch in read])


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploader_module, "LINGER_SECONDS", 0)


async def test_what_a_full_server_refuses_stays_here_and_is_told_once(
    spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    key, cursor = make_key(), LogCursor()
    spool.open(key)
    spool.append(key, [LogLine(LogStream.STDOUT, 1, b"a line\n")], cursor)
    link: Any = FullServer(refusals=4)
    containers = FakeContainers()
    task = asyncio.create_task(Uploader(link, spool, containers).run_forever())
    async with asyncio.timeout(HANG_SECONDS):
        while link.refusals:
            assert spool.held_bytes
            await asyncio.sleep(0.01)
        while spool.held_bytes:
            await asyncio.sleep(0.01)
        assert containers.changes == 0, "the log has not ended"
        spool.end(key, LogEnd(complete=True), 2)
        while not containers.changes:
            await asyncio.sleep(0.01)
    task.cancel()
    assert told(caplog) == ["the upload of logs waits: logs can't be kept: the disk of /logs is full"]


async def test_a_server_that_says_when_is_not_asked_before(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    key, waits = make_key(), list[float]()
    spool.open(key)
    spool.append(key, [LogLine(LogStream.STDOUT, 1, b"a line\n")], LogCursor())
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    for said, least in ((10.0, 9.0), (1e9, 54.0)):
        link: Any = FullServer(refusals=1, after_seconds=said)
        task = asyncio.create_task(Uploader(link, spool, FakeContainers()).run_forever())
        async with asyncio.timeout(HANG_SECONDS):
            while link.refusals or not any(seconds >= least for seconds in waits):
                await sleep(0.01)
        task.cancel()
        assert least <= max(waits) <= least / 0.9 * 1.1
        waits.clear()
