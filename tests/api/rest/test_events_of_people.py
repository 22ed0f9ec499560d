"""Events of users, keys, sign-ins and grants: for whoever lets people in, and for the one whom they are about."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource

from gamekeeper.domain.access.sight import OF_PEOPLE
from gamekeeper.domain.event.event_kind import SUBJECTS
from tests.api.rest.people import by, make_user, sign_in, token_of
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.guests import a_guest
from tests.hang import HANG_SECONDS


async def seen(api: ApiUnderTest, secret: str, **params: Any) -> list[dict[str, Any]]:
    """Events of people, from the list and from the export alike."""
    kinds = params.get("kind", list(OF_PEOPLE))
    listed = await api.anonymous.get("/api/v1/events", params={"kind": kinds, "limit": 500}, headers=by(secret))
    assert listed.status_code == 200, listed.text
    exported = await api.anonymous.get("/api/v1/events/export", params={"kind": kinds}, headers=by(secret))
    found: list[dict[str, Any]] = listed.json()["items"]
    assert [json.loads(line) for line in exported.text.splitlines()] == found[::-1]
    return found


def test_subjects_of_people_are_subjects() -> None:
    assert set(OF_PEOPLE) <= set(SUBJECTS)


async def test_a_viewer_sees_its_own_and_an_admin_all(api: ApiUnderTest) -> None:
    mia = await make_user(api, "mia", "viewer")
    ann = await make_user(api, "ann", "viewer")
    assert (await sign_in(api, "ann", "wrong")).status_code == 401
    tokens = {name: await token_of(api, name) for name in ("mia", "ann")}
    for name, user in (("mia", mia), ("ann", ann)):
        body = {"holder": {"kind": "user", "id": user["id"]}, "verbs": ["run"], "on": {"kind": "pipeline"}}
        assert (await api.http.post("/grants", json=body)).status_code == 201
        own_key = {"name": f"of-{name}", "role": "viewer", "user": "me"}
        assert (await api.anonymous.post("/api/v1/keys", json=own_key, headers=by(tokens[name]))).status_code == 201
    kinds = ["key.made", "grant.made", "session.begun", "user.made"]
    found = await seen(api, tokens["mia"])
    assert [event["kind"] for event in found] == kinds
    assert "ann" not in json.dumps(found)
    assert ann["id"] not in json.dumps(found)
    assert [event["kind"] for event in await seen(api, tokens["ann"])] == [*kinds[:3], "sign_in.failed", kinds[3]]
    by_admin = (await api.http.get("/events", params={"kind": list(OF_PEOPLE), "limit": 500})).json()["items"]
    assert {"mia", "ann"} <= {event["message"] for event in by_admin}
    assert all(event["address"] for event in by_admin if event["actor"] != "system")


async def test_a_key_sees_what_is_about_itself(api: ApiUnderTest) -> None:
    one, two = await a_guest(api, "one", "viewer"), await a_guest(api, "two", "viewer")
    await two.may("run", kind="node")
    assert {event["data"].get("key") for event in await seen(api, one.secret)} == {one.id}
    assert {event["kind"] for event in await seen(api, two.secret)} == {"key.made", "grant.made"}
    await one.may("admin", kind="server")
    assert {"one", "two"} <= {event["message"] for event in await seen(api, one.secret, kind=["key.made"])}


async def test_from_where_others_called_is_their_matter(api: ApiUnderTest) -> None:
    await api.add_node("a")
    onlooker, friend = await a_guest(api, "onlooker", "viewer"), await a_guest(api, "friend", "operator")
    assert (await friend.http.post("/nodes/a/cordon", json={})).status_code == 200
    for secret, known in ((onlooker.secret, set()), (friend.secret, {"key:friend"})):
        found = await seen(api, secret, kind=["node"])
        assert {event["actor"] for event in found} >= {"key:admin", "key:friend"}
        assert {event["actor"] for event in found if event["address"]} == known


@pytest.mark.parametrize("role", ["viewer", "admin"])
async def test_who_follows_is_told_the_same(api: ApiUnderTest, role: str) -> None:
    await api.serve_rest()
    guest = await a_guest(api, "guest", role)
    url = f"http://{api.rest_address}/api/v1/events?follow=true"
    async with (
        asyncio.timeout(HANG_SECONDS),
        httpx.AsyncClient(timeout=None) as client,
        client.stream("GET", url, headers={"Authorization": f"Bearer {guest.secret}"}) as answer,
    ):
        await make_user(api, "mia")
        await guest.may("run", kind="node")
        await api.add_node("last")
        told: list[dict[str, Any]] = []
        async for message in EventSource(answer).aiter_sse():
            told.append(json.loads(message.data))
            if told[-1]["kind"] == "node.created":
                break
    kinds = ["user.made", "grant.made", "node.created"]
    assert [event["kind"] for event in told] == (kinds if role == "admin" else kinds[1:])
    assert {bool(event["address"]) for event in told} == {role == "admin"}
