"""A machine that was copied: two agents with one node's key. One has the node, both say so, they never take turns."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from temporalio.client import Client

from agent_worker.bootstrap import Agent
from agent_worker.node_link import session as agent_session
from tests.fixtures.api import ApiUnderTest
from tests.hang import HANG_SECONDS

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
REFUSALS = 3


@pytest.fixture
async def temporal_client() -> Client:
    """No work is done here, so no Temporal server is needed."""
    return await Client.connect("127.0.0.1:1", lazy=True)


async def two_agents(api: ApiUnderTest) -> list[Agent]:
    await api.add_node()
    identity = await api.enrol()
    return [api.make_agent(identity, name) for name in ("first", "second")]


async def events(api: ApiUnderTest, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.http.get("/events", params={"kind": kind})).json()["items"]
    return found


def told(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records)


def start(api: ApiUnderTest, agent: Agent) -> None:
    for part in (agent.link.run_forever(), agent.subscription.run_forever()):
        api.background(part)


@pytest.mark.parametrize("is_copied_while_it_runs", [False, True])
async def test_a_copy_is_refused_and_both_are_told(
    api: ApiUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_copied_while_it_runs: bool,
) -> None:
    """A copy of a running machine even has the name of the agent's process, until it is told that it is not alone."""
    monkeypatch.setattr(agent_session, "SELDOM", 0)
    first, second = await two_agents(api)
    if is_copied_while_it_runs:
        second.link._instance = first.link._instance
    caplog.set_level(logging.WARNING)
    async with asyncio.timeout(HANG_SECONDS):
        start(api, first)
        while not api.process.services.events._followers:  # then the first hears of what happens from now on
            await asyncio.sleep(0.02)
        start(api, second)
        while told(caplog, "another agent holds node node-1") < REFUSALS:
            await asyncio.sleep(0.05)
        while not is_copied_while_it_runs and not told(caplog, "a second agent has its key"):
            await asyncio.sleep(0.05)
    took_over = await events(api, "node.superseded")
    assert len(took_over) == int(is_copied_while_it_runs)
    assert len(await events(api, "node.session_opened")) == 1 + len(took_over)
    assert len(await events(api, "node.agent_refused")) == 1
    for agent in (first, second):
        await agent.link.close()
