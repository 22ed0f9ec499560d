"""The agent's way to Temporal, where there are two gateways."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_worker.answers import Answers
from agent_worker.identity import Credentials, Identity
from agent_worker.journal import SqliteJournal
from agent_worker.temporal_link import TemporalLink
from tests.fixtures.gateway import Gated
from tests.hang import HANG_SECONDS

HERE, THERE = "127.0.0.1", "127.0.0.2"


async def test_work_follows_the_node_link_to_another_server(
    gateways: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only while the gateway of the server that it had refuses it: the node link may be where it is for a moment."""
    monkeypatch.setattr("agent_worker.temporal_link.LOOK_SECONDS", 0.05)
    here = await gateways(gateway_host=HERE)
    there = await gateways(gateway_host=THERE, gateway_port=here.process.port)
    files = here.admit("edge-1")
    there.directory.generations["edge-1"] = 1
    own = Credentials(files.key.decode(), files.chain.decode(), files.roots.decode(), time.time(), 86_400)
    identity = Identity(node_id="edge-1", node_key="gkn_key", gateway_port=here.process.port, credentials=own)
    host = HERE
    link = TemporalLink(identity, lambda: host)
    first = await link.connect()
    answers = Answers(first, SqliteJournal(tmp_path / "journal.db"))
    following = asyncio.create_task(link.follow([], answers))
    try:
        host = THERE
        async with asyncio.timeout(HANG_SECONDS):
            while looks(here) < 5:
                await asyncio.sleep(0.02)
            assert answers.client is first
            here.directory.generations.clear()
            while answers.client is first:
                await asyncio.sleep(0.02)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert answers.client.service_client.config.target_host == f"{THERE}:{here.process.port}"


def looks(gateway: Gated) -> float:
    return float(gateway.process.telling.calls.labels("DescribeTaskQueue")._value.get())
