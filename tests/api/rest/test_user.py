"""Users over REST: made, changed, disabled, removed, and the last who may let others in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource

from gamekeeper.domain.access.verb import Verb
from gamekeeper.errors import UnauthenticatedError
from tests.api.rest.people import (
    NEW_PASSWORD,
    PASSWORD,
    by,
    events,
    make_user,
    sign_in,
    store_pipeline,
    token_of,
    whoami,
)
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest
from tests.hang import HANG_SECONDS


async def test_a_user_is_made_listed_changed_and_removed(api: ApiUnderTest) -> None:
    answer = await api.http.post(
        "/users", json={"name": "Zoe\u0308", "display_name": "Zoë, nights", "role": "operator"}
    )
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["location"] == f"/api/v1/users/{made['id']}"
    once = made.pop("one_time_password")
    assert (made["name"], made["role"], made["state"], made["must_change"]) == ("Zo\u00eb", "operator", "active", True)
    listed = await api.http.get("/users")
    assert listed.json()["items"] == [made]
    assert once not in listed.text
    assert "hash" not in listed.text
    changed = await api.http.patch(f"/users/{made['id']}", json={"role": "viewer"})
    assert changed.json()["role"] == "viewer"
    assert (await api.http.patch(f"/users/{made['id']}", json={"role": "viewer"})).status_code == 200
    for _ in range(2):
        status = (await api.http.delete(f"/users/{made['id']}")).status_code
    assert status == 404
    told = [(item["kind"], item["message"], item["actor"]) for item in await events(api, "user")]
    assert told == [(f"user.{what}", "Zo\u00eb", "key:admin") for what in ("removed", "changed", "made")]
    assert (await events(api, "user.changed"))[0]["data"]["changes"] == {"role": ["operator", "viewer"]}
    assert once not in json.dumps(await events(api, "user"))


@pytest.mark.parametrize("name", ["mia", "MIA", "m\u0456a", "\uff4dia", "rnia"])
async def test_a_name_that_is_taken_or_looks_so_is_refused(api: ApiUnderTest, name: str) -> None:
    await make_user(api)
    answer = await api.http.post("/users", json={"name": name})
    assert answer.status_code == 409
    assert '"mia"' in answer.json()["detail"]


@pytest.mark.parametrize("name", ["иван", "李明", "محمد", "Zoë", "user@example.org"])
async def test_a_name_in_any_script_signs_in(api: ApiUnderTest, name: str) -> None:
    await make_user(api, name)
    token = await token_of(api, name)
    assert (await whoami(api, token)).json()["actor"] == f"user:{name}"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "a\x1b[31m"},
        {"name": "a\u202eb"},
        {"name": "x" * 64},
        {"name": "gk_0f9a33c1_" + "s" * 43},
        {"name": "a", "role": "emperor"},
        {"name": "a", "kind": "robot"},
        {"name": "a", "password": "short"},
        {"name": "mueller", "password": "mueller1234567"},
        {"name": "a", "state": "active"},
        {"name": "a", "id": "1"},
    ],
)
async def test_what_is_no_user_is_refused(api: ApiUnderTest, fields: dict[str, Any]) -> None:
    answer = await api.http.post("/users", json=fields)
    assert answer.status_code == 422, answer.text
    assert "s" * 43 not in answer.text


async def test_a_user_changes_its_password(api: ApiUnderTest) -> None:
    await make_user(api)
    one, other = await token_of(api), await token_of(api)
    change = {"old_password": PASSWORD, "new_password": NEW_PASSWORD}
    wrong = await api.anonymous.post("/api/v1/users/me/password", json=change | {"old_password": "x"}, headers=by(one))
    assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong_password")
    by_key = await api.http.post("/users/me/password", json=change)
    assert by_key.status_code == 403
    answer = await api.anonymous.post("/api/v1/users/me/password", json=change, headers=by(one))
    assert answer.status_code == 204, answer.text
    assert [(await whoami(api, token)).status_code for token in (one, other)] == [200, 401]
    assert (await sign_in(api)).status_code == 401
    assert (await sign_in(api, password=NEW_PASSWORD)).status_code == 200


async def test_an_admin_gives_a_one_time_password(api: ApiUnderTest) -> None:
    made = await make_user(api)
    token = await token_of(api)
    reset = await api.http.post(f"/users/{made['id']}/password-reset")
    once = reset.json()["one_time_password"]
    assert (await whoami(api, token)).status_code == 401
    assert (await sign_in(api)).status_code == 401
    assert (await sign_in(api, password=once, new_password=NEW_PASSWORD)).status_code == 200
    service = (await api.http.post("/users", json={"name": "backup", "kind": "service"})).json()
    assert (await api.http.post(f"/users/{service['id']}/password-reset")).status_code == 422


async def test_a_key_of_a_user_acts_as_it_and_never_does_more(api: ApiUnderTest) -> None:
    made = await make_user(api, role="developer")
    token = await token_of(api)
    own = await api.anonymous.post("/api/v1/keys", json={"name": "laptop", "user": "me"}, headers=by(token))
    assert own.status_code == 201, own.text
    key, key_id = own.json()["key"], own.json()["id"]
    lower = await api.http.post("/keys", json={"name": "screen", "user": made["id"], "role": "viewer"})
    who = (await whoami(api, key)).json()
    assert (who["actor"], who["key"]["id"], Verb.ADMIN in who["verbs"]) == ("user:mia", key_id, False)
    assert Verb.EDIT in who["verbs"]
    assert (await whoami(api, lower.json()["key"])).json()["verbs"] == ["see", "logs"]
    await store_pipeline(api, key)
    told = (await events(api, "pipeline.stored"))[0]
    assert (told["actor"], told["data"]["by_key"]) == ("user:mia", key_id)
    await api.http.patch(f"/users/{made['id']}", json={"role": "viewer"})
    assert (await whoami(api, key)).json()["verbs"] == ["see", "logs"]


async def test_a_user_has_its_own_keys_in_its_hands_and_no_others(api: ApiUnderTest) -> None:
    await make_user(api)
    joe = await make_user(api, "joe")
    token = await token_of(api)
    own = (await api.anonymous.post("/api/v1/keys", json={"name": "a", "user": "me"}, headers=by(token))).json()
    theirs = (await api.http.post("/keys", json={"name": "b", "user": joe["id"]})).json()

    async def status(method: str, path: str, credential: str = token, **options: Any) -> int:
        url = f"/api/v1{path}"
        return (await api.anonymous.request(method, url, headers=by(credential), **options)).status_code

    listed = await api.anonymous.get("/api/v1/keys", params={"user": "me"}, headers=by(token))
    assert [item["id"] for item in listed.json()["items"]] == [own["id"]]
    assert (await api.anonymous.get("/api/v1/keys", headers=by(token))).json() == listed.json()
    nobodys = (await api.http.post("/keys", json={"name": "screen", "role": "viewer"})).json()
    seen = await api.anonymous.get("/api/v1/keys", headers=by(nobodys["key"]))
    assert [item["id"] for item in seen.json()["items"]] == [nobodys["id"]]
    assert await status("GET", "/keys", params={"user": joe["id"]}) == 403
    for method, path in (("GET", ""), ("POST", "/rotate"), ("DELETE", "")):
        options: dict[str, Any] = {"json": {}} if path else {}
        assert await status(method, f"/keys/{theirs['id']}{path}", **options) == 403
        assert await status(method, f"/keys/{own['id']}{path}", **options) < 300
    for body in ({"name": "c"}, {"name": "c", "user": joe["id"]}):
        assert await status("POST", "/keys", json=body) == 403
    assert await status("POST", "/keys", theirs["key"], json={"name": "c", "user": "me"}) == 403  # a key makes no other
    assert await status("POST", "/keys", json={"name": "c", "user": "none"}) == 403
    assert (await api.http.post("/keys", json={"name": "c", "user": "none"})).status_code == 404


@asynccontextmanager
async def followed(api: ApiUnderTest, credential: str) -> AsyncIterator[httpx.Response]:
    url = f"http://{api.rest_address}/api/v1/events?follow=true"
    async with (
        asyncio.timeout(HANG_SECONDS),
        httpx.AsyncClient(timeout=None) as client,
        client.stream("GET", url, headers=by(credential)) as answer,
    ):
        assert answer.status_code == 200
        yield answer


async def last_of(answer: httpx.Response) -> tuple[str, str]:
    last = [event async for event in EventSource(answer).aiter_sse()][-1]
    return last.event, json.loads(last.data)["detail"]


@pytest.mark.parametrize("change", [{"state": "disabled"}, {"role": "viewer"}, None])
async def test_what_goes_on_by_a_user_ends_with_its_rights(api: ApiUnderTest, change: dict[str, Any] | None) -> None:
    """Disabled, with other rights, or removed in mid stream: its session and its key."""
    await api.serve_rest()
    made = await make_user(api)
    token = await token_of(api)
    key = (await api.http.post("/keys", json={"name": "a", "user": made["id"]})).json()["key"]
    async with followed(api, token) as one, followed(api, key) as other, followed(api, ADMIN_KEY) as third:
        async with asyncio.timeout(HANG_SECONDS):
            while len(api.process.services.callers._calls) < 3:
                await asyncio.sleep(0.01)
        path = f"/users/{made['id']}"
        done = await (api.http.patch(path, json=change) if change else api.http.delete(path))
        assert done.status_code < 300
        assert [(await last_of(answer))[0] for answer in (one, other)] == ["refused", "refused"]
        await api.add_node()
        async for event in EventSource(third).aiter_sse():
            if event.event == "event" and json.loads(event.data)["kind"] == "node.created":
                break
    statuses = [(await whoami(api, credential)).status_code for credential in (token, key)]
    assert statuses == ([200, 200] if change == {"role": "viewer"} else [401, 401])


async def test_a_disabled_user_is_enabled_again_and_signs_in_anew(api: ApiUnderTest) -> None:
    made = await make_user(api)
    token = await token_of(api)
    key = (await api.http.post("/keys", json={"name": "a", "user": made["id"]})).json()["key"]
    await api.http.patch(f"/users/{made['id']}", json={"state": "disabled"})
    refused = await sign_in(api)
    assert (refused.status_code, refused.json()["detail"]) == (403, 'the user "mia" is disabled')
    assert (await sign_in(api, password="wrong password")).status_code == 401
    await api.http.patch(f"/users/{made['id']}", json={"state": "active"})
    assert [(await whoami(api, credential)).status_code for credential in (token, key)] == [401, 200]
    assert (await sign_in(api)).status_code == 200


async def test_the_last_who_may_let_others_in_stays(api: ApiUnderTest) -> None:
    """Users and keys together: whichever is the last of them."""
    made = await make_user(api, "root", role="admin")
    token = await token_of(api, "root")
    own = (await api.http.get("/whoami")).json()["key"]["id"]

    async def as_root(method: str, path: str, **options: Any) -> httpx.Response:
        return await api.anonymous.request(method, f"/api/v1{path}", headers=by(token), **options)

    assert (await api.http.delete(f"/keys/{own}")).status_code == 204  # root may still
    path = f"/users/{made['id']}"
    for refused in (
        await as_root("PATCH", path, json={"role": "developer"}),
        await as_root("PATCH", path, json={"state": "disabled"}),
        await as_root("DELETE", path),
        await as_root("POST", f"{path}/password-reset"),
    ):
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict"), refused.text
        assert "the last who may let others in" in refused.json()["detail"]
    assert (await as_root("GET", path)).json()["role"] == "admin"
    waiting = await as_root("POST", "/users", json={"name": "other", "role": "admin"})
    assert (await as_root("DELETE", path)).status_code == 409  # nobody has signed in as that one yet
    await sign_in(api, "other", waiting.json()["one_time_password"], new_password=NEW_PASSWORD)
    assert (await as_root("DELETE", path)).status_code == 204
    assert (await as_root("GET", "/users")).status_code == 401


async def test_two_admins_who_remove_each_other_at_once_leave_one(api: ApiUnderTest) -> None:
    ids = [(await make_user(api, name, role="admin"))["id"] for name in ("joe", "zoe")]
    tokens = [await token_of(api, name) for name in ("joe", "zoe")]
    own = (await api.http.get("/whoami")).json()["key"]["id"]
    assert (await api.http.delete(f"/keys/{own}")).status_code == 204
    answers = await asyncio.gather(
        *(
            api.anonymous.delete(f"/api/v1/users/{other}", headers=by(token))
            for token, other in zip(tokens, reversed(ids), strict=True)
        )
    )
    assert sorted(answer.status_code for answer in answers)[0] == 204
    assert sorted(answer.status_code for answer in answers)[1] in (401, 409)
    assert sorted([(await whoami(api, token)).status_code for token in tokens]) == [200, 401]


async def test_a_caller_that_was_demoted_changes_nothing_meanwhile(api: ApiUnderTest) -> None:
    """Another api process knows the old rights for some seconds more."""
    made = await make_user(api, "root", role="admin")
    token = await token_of(api, "root")
    services = api.process.services
    known = await services.callers.authenticate(f"Bearer {token}", "127.0.0.1")
    await api.http.patch(f"/users/{made['id']}", json={"role": "viewer"})
    with pytest.raises(UnauthenticatedError):
        await services.users.change(known, made["id"], role="admin")
