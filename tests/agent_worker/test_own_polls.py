"""The agent's look at its own polls: an answer to another question is no sign that work can be had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.api.workflowservice.v1 import DescribeTaskQueueResponse
from temporalio.client import Client

from agent_worker.identity import Identity
from agent_worker.temporal_link import TemporalLink
from tests.fakes.temporal_frontend import INFO, Context, FakeTemporal
from tests.hang import HANG_SECONDS


class Polled(FakeTemporal):
    """Answers everything, and says of a queue what ``pollers`` says."""

    def __init__(self) -> None:
        super().__init__()
        self.pollers: list[int] = []
        self.refusal = ""
        self.answer = self._answer

    async def _answer(self, context: Context) -> bytes:
        if self.seen[-1][0] == INFO:
            return b""
        if self.refusal:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, self.refusal)
        answer = DescribeTaskQueueResponse()
        for seconds in self.pollers:
            answer.pollers.append(PollerInfo(last_access_time=Timestamp(seconds=seconds)))
        return answer.SerializeToString()


@pytest.fixture
def temporal() -> Polled:
    return Polled()


@pytest.fixture
async def link(temporal: Polled) -> AsyncIterator[tuple[TemporalLink, Client]]:
    async with temporal.serving() as address:
        found = TemporalLink(Identity(node_id="edge-1", node_key="k"), lambda: "127.0.0.1", address)
        async with asyncio.timeout(HANG_SECONDS):
            yield found, await found.connect()


async def test_polls_that_do_not_arrive_are_a_trouble_though_temporal_answers(
    temporal: Polled, link: tuple[TemporalLink, Client]
) -> None:
    found, client = link
    await found._look(client)
    assert found.trouble == "of the workers of node:edge-1:ctl none takes work from Temporal"
    temporal.pollers = [1]
    await found._look(client)
    assert "node:edge-1:ctl" in found.trouble, "the other queue is well, and this one was not asked again"
    await found._look(client)
    assert found.trouble == ""


async def test_a_look_that_is_refused_is_told_with_the_words_of_the_refusal(
    temporal: Polled, link: tuple[TemporalLink, Client]
) -> None:
    found, client = link
    temporal.refusal = "task queue is not this node's"
    await found._look(client)
    assert found.trouble == "Temporal can't be reached: task queue is not this node's"
