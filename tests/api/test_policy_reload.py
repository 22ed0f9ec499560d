"""A policy file that is changed under a running agent: reported soon, and named by the refusals that it causes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from agent_worker.policy import PolicyFile
from gamekeeper.domain.node.policy import NodePolicy
from tests.fixtures.api import ApiUnderTest
from tests.hang import HANG_SECONDS

PRIVILEGED = {"name": "a", "container": {"image": "i", "privileged": True}}


async def refusal(api: ApiUnderTest) -> str:
    body = {"spec": {"name": "test", "steps": [PRIVILEGED]}, "node": "node-1"}
    answer = await api.http.post("/runs", json=body)
    problems: list[dict[str, Any]] = answer.json().get("problems", [])
    return problems[0]["hint"] if problems else ""


async def test_a_change_is_told_within_seconds(api: ApiUnderTest, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    await api.add_node()
    await api.start_agent(policy=PolicyFile(path))
    async with asyncio.timeout(HANG_SECONDS):
        while NodePolicy().revision not in await refusal(api):  # the node's first report comes after its hello
            await asyncio.sleep(0.05)
    path.write_text("privileged: true")
    async with asyncio.timeout(HANG_SECONDS):
        while await refusal(api):
            await asyncio.sleep(0.1)
    events = (await api.http.get("/events", params={"kind": "node.inventory_changed"})).json()["items"]
    assert "policy" in [
        word for event in events for word in event["message"].split(", ")
    ]  # others' networks come and go
