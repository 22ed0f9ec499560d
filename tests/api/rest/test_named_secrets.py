"""Secrets that pipelines and instances name: checked when they are submitted, by line, and given when they begin."""

from __future__ import annotations

import asyncio
from typing import Any

from agent_worker.bootstrap import Agent
from tests.fixtures.api import ApiUnderTest
from tests.hang import HANG_SECONDS

PIPELINE = """version: 1
name: deploy
envs: {KEY: {secret: s3-key}}
steps:
  - name: work
    container:
      image: image
      environment: {RCON: {secret: rcon}, OTHER: "${{ envs.KEY }}"}
      secrets: [tls]
      pull: {secret: login}
"""


async def keep(api: ApiUnderTest, name: str, value: str = "value", **scope: Any) -> None:
    answer = await api.http.put(f"/secrets/{name}", json={"value": value, "scope": scope or {"nodes": ["*"]}})
    assert answer.status_code in (200, 201), answer.text


async def with_agent(api: ApiUnderTest) -> Agent:
    """A node whose agent has told what it can do."""
    await api.add_node("node-1")
    agent = await api.start_agent("node-1")
    async with asyncio.timeout(HANG_SECONDS):
        while (await api.http.get("/nodes/node-1")).json()["status"] != "online":
            await asyncio.sleep(0.05)
    return agent


async def problems(api: ApiUnderTest, path: str, body: dict[str, Any]) -> list[tuple[str, int, str]]:
    answer = await api.http.post(path, json=body)
    assert answer.status_code == 422, answer.text
    return [(found["path"], found["line"], found["message"]) for found in answer.json()["problems"]]


async def test_a_pipeline_names_secrets_that_are_there_and_for_it(api: ApiUnderTest) -> None:
    await with_agent(api)
    asked = {"yaml": PIPELINE, "node": "node-1"}
    container = "steps[0].container"
    assert sorted(await problems(api, "/runs", asked)) == [
        ("envs.KEY", 3, 'there is no secret "s3-key"'),
        (f"{container}.environment.RCON", 8, 'there is no secret "rcon"'),
        (f"{container}.pull.secret", 10, 'there is no secret "login"'),
        (f"{container}.secrets[0]", 9, 'there is no secret "tls"'),
    ]
    for name in ("rcon", "tls", "login"):
        await keep(api, name)
    await keep(api, "s3-key", pipelines=["deploy"], nodes=["edge-*"])
    ((path, line, message),) = await problems(api, "/runs", asked)
    assert (path, line) == (f"{container}.environment.OTHER", 8)
    assert message.startswith('the secret "s3-key" may not be had by step "work" of pipeline "deploy" on node "node-1"')


async def test_a_run_gets_what_it_names_and_shows_names_alone(api: ApiUnderTest) -> None:
    """From the store to the container, over a real node link; and to a rerun of it."""
    for name in ("rcon", "tls", "s3-key"):
        await keep(api, name, f"canary-of-{name}")
    await keep(api, "login", "canary:of-login")
    await api.start_control_worker()
    agent = await with_agent(api)
    answer = await api.http.post("/runs", json={"yaml": PIPELINE, "node": "node-1"})
    assert answer.status_code == 201, answer.text
    run = await api.until_run(answer.json()["id"], "succeeded")
    engine: Any = agent.engines.bare
    (made,) = engine._by_id.values()
    assert made.new.values == {name: f"canary-of-{name}".encode() for name in ("rcon", "tls", "s3-key")}
    again = await api.http.post(f"/runs/{run['id']}/rerun", json={"from": "all"})
    assert again.status_code == 201, again.text
    rerun = await api.until_run(again.json()["id"], "succeeded")
    events = await api.http.get("/events", params={"limit": 500})
    reads = [item for item in events.json()["items"] if item["kind"] == "secret.read"]
    assert {(item["node"], item["step"]) for item in reads} == {("node-1", "work")}
    assert "canary" not in f"{answer.text}{run}{rerun}{events.text}"


async def test_an_instance_names_secrets_that_are_there_and_for_it(api: ApiUnderTest) -> None:
    await with_agent(api)
    container = {"image": "image", "environment": {"RCON": {"secret": "rcon"}}}
    asked = {"id": "arena", "node": "node-1", "container": container}
    assert [(path, words) for path, _, words in await problems(api, "/instances", asked)] == [
        ("container.environment.RCON", 'there is no secret "rcon"')
    ]
    await keep(api, "rcon", instances=["lobby"])
    ((_, _, message),) = await problems(api, "/instances", asked)
    assert message == 'the secret "rcon" may not be had by instance "arena" on node "node-1"'
