"""The event log over REST: filters, pages, actors, and following with Last-Event-ID."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest

from tests.fixtures.api import ApiUnderTest
from tests.hang import HANG_SECONDS


async def listed(api: ApiUnderTest, **parameters: Any) -> list[dict[str, Any]]:
    answer = await api.http.get("/events", params=parameters)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_what_operators_do_is_written_down_with_their_name(api: ApiUnderTest) -> None:
    await api.add_node("a")
    await api.add_node("b")
    await api.http.patch("/nodes/a", json={"mode": "maintenance", "description": "fan"})
    await api.http.post("/nodes/a/enrolment-tokens", json={})
    assert (await api.http.delete("/nodes/b")).status_code == 204
    events = await listed(api, kind="node")
    assert [(event["kind"], event["node"]) for event in reversed(events)] == [
        ("node.created", "a"),
        ("node.created", "b"),
        ("node.edited", "a"),
        ("node.token_made", "a"),
        ("node.removed", "b"),
    ]
    assert {event["actor"] for event in events} == {"key:admin"}
    edited = (await listed(api, kind="node.edited"))[0]
    assert edited["message"] == "mode active -> maintenance"
    assert edited["data"] == {"mode": ["active", "maintenance"], "description": ["", "fan"]}
    assert "token" not in json.dumps([event["data"] for event in events])


async def test_filters_and_pages(api: ApiUnderTest) -> None:
    for number in range(7):
        await api.add_node(f"n{number}")
    assert [event["node"] for event in await listed(api, node="n3")] == ["n3"]
    assert await listed(api, kind="run") == []
    assert len(await listed(api, kind="node", limit=500)) == 7
    first = (await api.http.get("/events?limit=3")).json()
    second = (await api.http.get("/events", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert [event["node"] for event in first["items"] + second["items"]] == ["n6", "n5", "n4", "n3", "n2", "n1"]
    at = first["items"][0]["at"]
    assert await listed(api, until=at) != []
    assert all(event["at"] >= at for event in await listed(api, since=at))


@pytest.mark.parametrize(
    "query",
    [
        "kind=Nö",
        "kind=a.b.c",
        "kind=node.ofline",
        "kind=nod",
        "since=yesterday",
        "since=2026-01-01T00:00:00",
        "cursor=%%%",
        "limit=0",
    ],
)
async def test_bad_filters_are_named(refusing_api: ApiUnderTest, query: str) -> None:
    assert (await refusing_api.http.get(f"/events?{query}")).status_code == 422


async def test_a_slip_in_a_kind_is_told(refusing_api: ApiUnderTest) -> None:
    told = (await refusing_api.http.get("/events?kind=node.ofline")).json()
    assert (told["detail"], told["hint"]) == (
        'there is no kind of event "node.ofline"',
        'did you mean "node.offline"?',
    )


async def test_following_resumes_behind_the_last_id(api: ApiUnderTest) -> None:
    await api.add_node("a")
    first = (await listed(api))[0]["seq"]
    await api.add_node("b")
    await api.add_node("c")
    seen: list[tuple[str, str]] = []
    headers = {"Last-Event-ID": str(first)}
    # The test client gives a stream only when it has ended, so its generator is read as the server reads it.
    from api.rest.v1.event import _stream
    from gamekeeper.domain.access.sight import ALL_SEEING
    from gamekeeper.domain.event.event_filter import EventFilter

    wanted = EventFilter(kinds=("node",))
    stream = _stream(api.process.services.events, int(headers["Last-Event-ID"]), wanted, ALL_SEEING)
    async with asyncio.timeout(HANG_SECONDS):
        async for message in stream:
            assert message.id == str(first + len(seen) + 1)
            seen.append((str(message.event), str(message.data)))
            if len(seen) == 2:
                break
    assert [kind for kind, _ in seen] == ["event", "event"]


async def test_a_run_is_told_from_its_request_to_its_containers(api: ApiUnderTest) -> None:
    await api.add_node()
    await api.start_agent()
    await api.start_control_worker()
    container = {"image": "image", "environment": {"DUMMY_SLEEP": "600"}}
    run = await api.submit({"name": "work", "container": container})
    await api.until_step(run["id"], "work", "running")  # a phase that is over before it is told is not told
    api.finish("work")
    await api.until_run(run["id"], "succeeded")

    async def removed() -> bool:
        return any(event["kind"] == "container.removed" for event in await listed(api, run=run["id"]))

    async with asyncio.timeout(HANG_SECONDS):
        while not await removed():
            await asyncio.sleep(0.1)
    events = list(reversed(await listed(api, run=run["id"], limit=100)))
    found = [event["kind"] for event in events]
    assert found[0] == "run.queued"
    for kind in ("run.running", "step.running", "step.succeeded", "run.succeeded", "container.exited"):
        assert kind in found
    told = next(event for event in events if event["node_at"] is not None)
    assert told["actor"] == "agent:node-1"
    first, last = (datetime.fromisoformat(events[index]["at"]) for index in (0, -1))
    assert abs(told["clock_offset_ms"]) <= (last - first).total_seconds() * 1000  # both clocks are one
    assert [event["hlc"] for event in events if event["kind"].startswith("run")] == sorted(
        event["hlc"] for event in events if event["kind"].startswith("run")
    )
