"""API keys over REST, and what goes on by one when it ends."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource
from sqlalchemy import text
from temporalio.client import Client

from gamekeeper.db.engine import Database
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.domain.access.verb import Verb
from gamekeeper.keys import hash_key
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest, make_api
from tests.fixtures.websocket import websocket
from tests.hang import HANG_SECONDS


async def make(api: ApiUnderTest, name: str = "ci", **fields: Any) -> dict[str, Any]:
    answer = await api.http.post("/keys", json={"name": name} | fields)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/v1/keys/{answer.json()['id']}"
    return dict(answer.json())


def of(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def status_of(api: ApiUnderTest, secret: str) -> int:
    return (await api.anonymous.get("/api/v1/whoami", headers=of(secret))).status_code


async def test_a_key_is_made_listed_used_and_revoked(api: ApiUnderTest) -> None:
    made = await make(api, expires_in="90d")
    secret = made.pop("key")
    assert (made["name"], made["state"], made["created_by"], made["last_used_at"]) == ("ci", "good", "key:admin", None)
    assert secret.startswith(f"gk_{made['id']}_")
    listed = await api.http.get("/keys")
    assert made in listed.json()["items"]
    assert sorted(item["name"] for item in listed.json()["items"]) == ["admin", "ci"]
    asked = await api.anonymous.get("/api/v1/whoami", headers=of(secret))
    who = {"actor": "key:ci", "verbs": list(Verb), "verbs_somewhere": list(Verb), "key": made, "user": None}
    nobody = {"grants": [], "session_id": "", "csrf_token": "", "web_build": api.process.app.state.web.build}
    assert asked.json() == who | nobody | {"quota": asked.json()["quota"]}
    await api.anonymous.post("/api/v1/nodes", json={"id": "n-1"}, headers=of(secret))
    created = (await api.http.get("/events", params={"kind": "node.created"})).json()["items"][0]
    assert created["actor"] == "key:ci"
    for _ in range(2):
        assert (await api.http.delete(f"/keys/{made['id']}")).status_code == 204
    assert (await api.http.get(f"/keys/{made['id']}")).json()["state"] == "revoked"
    assert await status_of(api, secret) == 401
    events = (await api.http.get("/events", params={"kind": "key"})).json()["items"]
    assert [(item["kind"], item["message"], item["actor"]) for item in events] == [
        ("key.revoked", "ci", "key:admin"),
        ("key.made", "ci", "key:admin"),
        ("key.made", "admin", "system"),
    ]
    assert secret not in f"{listed.text}{events}"
    assert (await api.http.delete("/keys/nothing")).status_code == 404


async def test_the_last_good_key_stays(api: ApiUnderTest) -> None:
    own = (await api.http.get("/whoami")).json()["key"]
    ended = await make(api)
    await api.http.delete(f"/keys/{ended['id']}")
    refused = await api.http.delete(f"/keys/{own['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "the last good API key" in refused.json()["detail"]
    assert "make another one first" in refused.json()["hint"]
    other = await make(api, "other")
    assert (await api.http.delete(f"/keys/{own['id']}")).status_code == 204
    assert (await api.http.get("/nodes")).status_code == 401
    assert await status_of(api, other["key"]) == 200


async def test_a_rotation_gives_a_new_secret(api: ApiUnderTest) -> None:
    made = await make(api)
    rotated = (await api.http.post(f"/keys/{made['id']}/rotate", json={})).json()
    assert rotated["id"] == made["id"]
    assert [await status_of(api, secret) for secret in (made["key"], rotated["key"])] == [200, 200]
    at_once = (await api.http.post(f"/keys/{made['id']}/rotate", json={"overlap": "0s"})).json()
    secrets = [made["key"], rotated["key"], at_once["key"]]
    assert [await status_of(api, secret) for secret in secrets] == [401, 401, 200]
    event = (await api.http.get("/events", params={"kind": "key.rotated"})).json()["items"][0]
    assert event["data"]["key"] == made["id"]
    await api.http.delete(f"/keys/{made['id']}")
    refused = await api.http.post(f"/keys/{made['id']}/rotate", json={})
    assert (refused.status_code, refused.json()["detail"]) == (409, 'the API key "ci" is revoked')
    assert (await api.http.post("/keys/nothing/rotate", json={})).status_code == 404


async def test_a_name_is_free_again_when_its_key_has_ended(api: ApiUnderTest) -> None:
    made = await make(api)
    again = await api.http.post("/keys", json={"name": "ci"})
    assert (again.status_code, again.json()["detail"]) == (409, 'there is a good API key "ci" already')
    await api.http.delete(f"/keys/{made['id']}")
    await make(api)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": ".a"},
        {"name": "a" * 64},
        {"name": "a" * 10_000},
        {"name": "a\n"},
        {"name": "a\x1b[31m"},
        {"name": "\u0430dmin"},
        {"name": "gk_0f9a33c1_" + "s" * 43},
        {"name": "GK_ci"},
        {"name": "gkj_ci"},
        {"name": "a", "expires_in": "soon"},
        {"name": "a", "expires_in": "0s"},
        {"name": "a", "expires_in": "400d"},
        {"name": "a", "verbs": []},
    ],
)
async def test_what_is_no_key_is_refused(api: ApiUnderTest, fields: dict[str, Any]) -> None:
    answer = await api.http.post("/keys", json=fields)
    assert answer.status_code == 422
    assert "s" * 43 not in answer.text


async def test_an_overlap_has_a_limit(api: ApiUnderTest) -> None:
    own = (await api.http.get("/whoami")).json()["key"]
    answer = await api.http.post(f"/keys/{own['id']}/rotate", json={"overlap": "31d"})
    assert answer.status_code == 422
    assert "30d at most" in answer.json()["detail"]


@asynccontextmanager
async def streamed(api: ApiUnderTest, path: str, secret: str) -> AsyncIterator[httpx.Response]:
    url = f"http://{api.rest_address}/api/v1{path}"
    async with (
        asyncio.timeout(HANG_SECONDS),
        httpx.AsyncClient(timeout=None) as client,
        client.stream("GET", url, headers=of(secret)) as answer,
    ):
        assert answer.status_code == 200
        yield answer


async def until_held(api: ApiUnderTest, count: int) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while len(api.process.services.callers._calls) < count:
            await asyncio.sleep(0.01)


async def test_what_goes_on_by_a_key_ends_with_it(api: ApiUnderTest) -> None:
    """Followed events, a followed log and a console; those of another key go on."""
    await api.serve_rest()
    await api.add_node()
    await api.start_agent()
    await api.start_control_worker()
    environment = {"DUMMY_SLEEP": "60"}
    run = await api.submit({"name": "work", "container": {"image": "image", "environment": environment}})
    await api.until_step(run["id"], "work", "running")
    made = await make(api)
    work, words = f"/runs/{run['id']}/steps/work", [("command", "sh")]
    terminal = websocket(api.process.app, f"/api/v1{work}/exec", words, made["key"])
    async with (
        streamed(api, "/events?follow=true", made["key"]) as events,
        streamed(api, f"{work}/logs?follow=true", made["key"]) as log,
        streamed(api, "/events?follow=true", ADMIN_KEY) as others,
        terminal as console,
    ):
        assert await console.receive() == b"\x01sh\n"
        await until_held(api, 4)
        assert (await api.http.delete(f"/keys/{made['id']}")).status_code == 204
        for answer in (events, log):
            last = [event async for event in EventSource(answer).aiter_sse()][-1]
            assert (last.event, json.loads(last.data)["status"]) == ("refused", 401)
            assert 'the API key "ci" was revoked or ran out' in json.loads(last.data)["detail"]
        while isinstance(said := await console.receive(), bytes | str):
            pass
        assert said == (4401, 'the API key "ci" was revoked or ran out; use another key')
        async for event in EventSource(others).aiter_sse():
            if event.event == "event" and json.loads(event.data)["kind"] == "step.console_closed":
                break


async def test_a_key_that_runs_out_ends_its_streams(api: ApiUnderTest) -> None:
    await api.serve_rest()
    made = await make(api, expires_in="1h")
    async with streamed(api, "/events?follow=true", made["key"]) as events:
        async with api.database.write() as session:
            (await KeyRepository(session).get(made["id"])).expires_at = utc_now()
        assert [event.event async for event in EventSource(events).aiter_sse()][-1] == "refused"
    assert (await api.http.get(f"/keys/{made['id']}")).json()["state"] == "expired"


async def test_another_process_ends_its_streams_too(
    api: ApiUnderTest, database: Database, database_url: str, temporal_client: Client, tmp_path: Path
) -> None:
    (tmp_path / "second").mkdir()
    second = await make_api(database, database_url, temporal_client, tmp_path / "second")
    try:
        await api.serve_rest()
        made = await make(api)
        async with streamed(api, "/events?follow=true", made["key"]) as events:
            assert (await second.http.delete(f"/keys/{made['id']}")).status_code == 204
            assert [event.event async for event in EventSource(events).aiter_sse()][-1] == "refused"
        assert await status_of(api, made["key"]) == 401
    finally:
        await second.close()
        await second.process.link_server.stop(0)


async def everything_kept(api: ApiUnderTest) -> bytes:
    """All that the database holds: each byte of SQLite's files, each row of PostgreSQL's tables."""
    if api.database.is_sqlite:
        path = Path(str(api.database.url.database))
        return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    async with api.database.read() as session:
        connection = await session.connection()
        tables = await connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        rows = [(await connection.execute(text(f'SELECT t::text FROM "{name}" t'))).all() for (name,) in tables]
    return str(rows).encode()


async def test_no_secret_is_kept_or_logged(api: ApiUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG, too, and where somebody puts a key in the wrong place."""
    caplog.set_level(logging.DEBUG)
    await api.serve_rest()
    made = await make(api)
    rotated = (await api.http.post(f"/keys/{made['id']}/rotate", json={})).json()
    wrong = f"gk_{made['id']}_{'w' * 43}"
    secrets = [made["key"], rotated["key"], wrong, ADMIN_KEY]
    async with httpx.AsyncClient(base_url=f"http://{api.rest_address}") as http:
        for secret in secrets:
            await http.get("/api/v1/whoami", headers=of(secret))
            await http.get("/metrics", headers=of(secret))
            await http.post("/api/v1/nodes", content=b"{", headers=of(secret))
            await http.post("/api/v1/keys", json={"name": "x", "expires_in": secret}, headers=of(ADMIN_KEY))
            await http.delete(f"/api/v1/keys/{secret}", headers=of(ADMIN_KEY))
            async with websocket(api.process.app, "/api/v1/runs/x/steps/x/attach", [], secret) as console:
                await console.receive()
        assert "httpx" in caplog.text, "the log of the client is in it, and not its headers"
        shown = [(await api.http.get(path)).text for path in ("/events", "/keys", "/whoami")]
        shown.append((await http.get("/metrics")).text)
    kept = (await everything_kept(api)).decode(errors="replace")
    assert hash_key(made["key"]) in kept
    logged = "\n".join(line for line in caplog.text.splitlines() if "HTTP Request: DELETE" not in line)
    for secret in secrets:
        for place in (kept, logged, *shown):
            assert secret not in place
