"""The sign-in over REST: what it lets in, what it says, and what it costs others."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest

from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.session import SessionRepository
from gamekeeper.db.repositories.user import UserRepository
from tests.api.rest.people import (
    NEW_PASSWORD,
    PASSWORD,
    by,
    client,
    events,
    make_user,
    sign_in,
    store_pipeline,
    token_of,
    whoami,
)
from tests.fixtures.api import ApiUnderTest


async def test_a_user_signs_in_and_out(api: ApiUnderTest) -> None:
    made = await make_user(api)
    answer = await sign_in(api, name="MIA")
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert (found["user"], found["user_id"], found["csrf_token"]) == ("mia", made["id"], "")
    assert found["token"].startswith("gks_")
    assert "set-cookie" not in answer.headers
    who = (await whoami(api, found["token"])).json()
    assert (who["actor"], who["key"], who["session_id"]) == ("user:mia", None, found["session_id"])
    assert (who["user"]["name"], who["csrf_token"]) == ("mia", "")
    out = await api.anonymous.post("/api/v1/sign-out", headers=by(found["token"]))
    assert (out.status_code, out.json()) == (200, {"provider_url": ""})
    refused = await whoami(api, found["token"])
    assert (refused.status_code, refused.json()["code"]) == (401, "session_ended")
    told = [(item["kind"], item["actor"], item["reason"]) for item in await events(api, "session")]
    assert told == [("session.ended", "user:mia", "signed_out"), ("session.begun", "user:mia", "")]
    assert (await events(api, "session.begun"))[0]["data"]["address"] == "127.0.0.1"


async def test_what_a_user_does_is_told_of_it(api: ApiUnderTest) -> None:
    await make_user(api, role="developer")
    token = await token_of(api)
    answer = await store_pipeline(api, token)
    assert answer.status_code == 201, answer.text
    told = (await events(api, "pipeline.stored"))[0]
    assert (told["actor"], "by_key" in told["data"]) == ("user:mia", False)
    refused = await api.anonymous.get("/api/v1/users", headers=by(token))
    assert (refused.status_code, refused.json()["detail"]) == (403, 'the user "mia" (developer) lacks the verb "admin"')


@pytest.mark.parametrize(
    ("name", "password"),
    [("mia", "wrong password"), ("nobody", PASSWORD), ("", PASSWORD), ("mia", ""), ("m\u0131a", PASSWORD)],
)
async def test_a_wrong_one_hears_the_same_of_everybody(api: ApiUnderTest, name: str, password: str) -> None:
    await make_user(api)
    answer = await sign_in(api, name, password)
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_password")
    assert answer.json()["detail"] == "the name or the password is wrong"
    told = (await events(api, "sign_in"))[0]
    assert (told["actor"], told["reason"], told["message"]) == (
        "anonymous",
        "wrong_password",
        "mia" if name == "mia" else "",
    )
    assert told["data"]["address"] == "127.0.0.1"
    if password:
        assert password not in str(await events(api, "sign_in"))


async def test_a_service_has_no_password(api: ApiUnderTest) -> None:
    made = await api.http.post("/users", json={"name": "backup", "kind": "service"})
    assert (made.status_code, made.json()["one_time_password"]) == (201, "")
    assert (await sign_in(api, "backup", "")).status_code == 401
    with_one = await api.http.post("/users", json={"name": "other", "kind": "service", "password": PASSWORD})
    assert with_one.status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "mia"},
        {"name": "mia", "password": 5},
        {"name": ["mia"], "password": PASSWORD},
        {"name": "mia", "password": PASSWORD, "admin": True},
        {"name": "x" * 300, "password": PASSWORD},
        {"name": "mia", "password": "x" * 2000},
        {"name": "mia", "password": PASSWORD, "keeps": "everything"},
    ],
)
async def test_what_is_no_sign_in_is_refused(api: ApiUnderTest, body: dict[str, Any]) -> None:
    answer = await api.anonymous.post("/api/v1/sign-in", json=body)
    assert answer.status_code == 422
    assert PASSWORD not in answer.text


async def test_text_that_is_none_is_refused(api: ApiUnderTest) -> None:
    for name in ("\\ud800", "a\\u0000b"):
        body = f'{{"name": "{name}", "password": "0123456789ab"}}'
        answer = await api.anonymous.post("/api/v1/sign-in", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 401, 422), answer.text


async def test_a_one_time_password_is_replaced_at_the_first_sign_in(api: ApiUnderTest) -> None:
    made = (await api.http.post("/users", json={"name": "mia"})).json()
    once = made["one_time_password"]
    needed = await sign_in(api, password=once)
    assert (needed.status_code, needed.json()["code"]) == (401, "password_change_needed")
    short = await sign_in(api, password=once, new_password="short")
    assert (short.status_code, "10 characters" in short.json()["detail"]) == (422, True)
    same = await sign_in(api, password=once, new_password=once)
    assert same.status_code == 401
    assert (await sign_in(api, password=once, new_password=NEW_PASSWORD)).status_code == 200
    assert (await sign_in(api, password=once, new_password=PASSWORD)).status_code == 401
    assert (await sign_in(api, password=NEW_PASSWORD)).status_code == 200
    found = (await api.http.get(f"/users/{made['id']}")).json()
    assert (found["must_change"], found["password_until"]) == (False, None)
    again = await sign_in(api, password=NEW_PASSWORD, new_password=PASSWORD)
    assert again.status_code == 422


async def test_a_one_time_password_runs_out(api: ApiUnderTest) -> None:
    made = (await api.http.post("/users", json={"name": "mia"})).json()
    async with api.database.write() as session:
        (await UserRepository(session).get(made["id"])).password_until = utc_now()
    answer = await sign_in(api, password=made["one_time_password"], new_password=NEW_PASSWORD)
    assert (answer.status_code, answer.json()["code"]) == (401, "password_expired")


def stop_clock(api: ApiUnderTest) -> None:
    """No wait ends while a slow machine hashes."""
    now = time.monotonic()
    api.process.services.sign_ins._rates._clock = lambda: now


async def test_wrong_passwords_wait_and_lock_nobody_out(api: ApiUnderTest) -> None:
    """A stranger guesses until it has to wait; who has signed in from elsewhere before does not."""
    stop_clock(api)
    await make_user(api)
    async with client(api, address="198.51.100.1") as home, client(api, address="203.0.113.9") as stranger:
        good = {"name": "mia", "password": PASSWORD, "keeps": "token"}
        assert (await home.post("/sign-in", json=good)).status_code == 200
        statuses = [
            (await stranger.post("/sign-in", json=good | {"password": f"guess number {number}"})).status_code
            for number in range(8)
        ]
        assert 429 in statuses
        refused = await stranger.post("/sign-in", json=good)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert (await home.post("/sign-in", json=good)).status_code == 200
    assert len(await events(api, "sign_in.failed")) <= 5


async def test_a_flood_of_sign_ins_stops_nobody_else(api: ApiUnderTest) -> None:
    stop_clock(api)
    await make_user(api)
    async with client(api, address="203.0.113.9") as stranger:
        flood = [
            asyncio.ensure_future(stranger.post("/sign-in", json={"name": f"user-{n}", "password": "0123456789"}))
            for n in range(100)
        ]
        await asyncio.sleep(0)
        assert (await api.http.get("/nodes")).status_code == 200
        assert not all(task.done() for task in flood)
        answers = [answer.status_code for answer in await asyncio.gather(*flood)]
    assert set(answers) <= {401, 429}
    assert answers.count(401) <= 30


async def test_a_session_runs_out(api: ApiUnderTest) -> None:
    """By its age, and by not being used."""
    await make_user(api)
    idle, old = (await sign_in(api)).json(), (await sign_in(api)).json()
    terms = api.process.services.sessions.terms
    async with api.database.write() as session:
        sessions = SessionRepository(session)
        for found, field, age in ((idle, "last_used_at", terms.idle), (old, "created_at", terms.longest)):
            row = await sessions.find(found["session_id"])
            setattr(row, field, utc_now() - age - timedelta(seconds=1))
    assert [(await whoami(api, found["token"])).status_code for found in (idle, old)] == [401, 401]
    listed = await api.http.get("/sessions", params={"user": "all"})
    assert [item["state"] for item in listed.json()["items"]] == ["expired", "expired"]


async def test_a_token_that_is_none_opens_nothing(api: ApiUnderTest) -> None:
    await make_user(api)
    token = await token_of(api)
    for wrong in ("gks_", token[:-1], token + "x", token.replace("gks_", "gk_"), "gks_" + "x" * 43):
        assert (await whoami(api, wrong)).status_code == 401
