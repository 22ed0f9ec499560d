"""Links that sign in once: who makes them and where, whom they let in, and that each is good once and for a while."""

from __future__ import annotations

import time
from types import SimpleNamespace

import httpx
import pytest

from api.services.access import sign_in_link
from tests.api.rest.people import COOKIE, ORIGIN, by, client, events, make_user, token_of
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest

LINKS, SIGN_IN = "/sign-in-links", "/sign-in/link"


async def a_link(api: ApiUnderTest, **body: str) -> str:
    answer = await api.http.post(LINKS, json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["link"])


async def test_it_signs_in_once_and_its_session_is_the_users(api: ApiUnderTest) -> None:
    await make_user(api, role="operator")
    link = await a_link(api, user="Mia")
    async with client(api, Origin=ORIGIN) as browser:
        begun = await browser.post(SIGN_IN, json={"link": link})
        assert (begun.status_code, begun.json()["user"], begun.json()["token"]) == (200, "mia", "")
        assert "HttpOnly" in begun.headers["set-cookie"]
        assert COOKIE in browser.cookies
        who = (await browser.get("/whoami")).json()
        assert (who["actor"], who["csrf_token"]) == ("user:mia", begun.json()["csrf_token"])
    async with client(api, Origin=ORIGIN) as another:
        again = await another.post(SIGN_IN, json={"link": link})
        assert (again.status_code, again.json()["code"]) == (401, "link_spent")
    assert [event["message"] for event in await events(api, "sign_in.link_made")] == ["mia"]
    assert [event["data"]["how"] for event in await events(api, "session.begun")] == ["link"]
    assert link not in str(await events(api, "sign_in")) + str(await events(api, "session"))


async def test_where_nobody_is_the_first_admin_is_made(api: ApiUnderTest) -> None:
    for _ in range(2):
        async with client(api) as browser:
            assert (await browser.post(SIGN_IN, json={"link": await a_link(api)})).json()["user"] == "admin"
            assert (await browser.get("/whoami")).json()["user"]["role"] == "admin"
    await make_user(api, "eve", role="admin")
    answer = await api.http.post(LINKS, json={})
    assert (answer.status_code, answer.json()["detail"]) == (422, "there is not just one admin")


async def test_an_old_link_and_the_oldest_of_many_open_nothing(
    api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_user(api)
    links = [await a_link(api, user="mia") for _ in range(sign_in_link.MOST_OPEN + 1)]
    async with client(api) as browser:
        assert (await browser.post(SIGN_IN, json={"link": links[0]})).status_code == 401
        assert (await browser.post(SIGN_IN, json={"link": links[1]})).status_code == 200
        late = time.monotonic() + sign_in_link.LIFETIME.total_seconds() + 60
        monkeypatch.setattr("api.services.access.sign_in_link.time", SimpleNamespace(monotonic=lambda: late))
        assert (await browser.post(SIGN_IN, json={"link": links[2]})).status_code == 401


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("192.0.2.7", {}),
        ("127.0.0.1", {"Host": "gamekeeper.example"}),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.7"}),
    ],
)
async def test_from_elsewhere_none_is_made(api: ApiUnderTest, address: str, headers: dict[str, str]) -> None:
    key = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with client(api, address=address, **key, **headers) as far:
        answer = await far.post(LINKS, json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_here")


async def test_who_may_not_make_one(api: ApiUnderTest) -> None:
    await make_user(api, "olga", role="operator")
    token = await token_of(api, "olga")
    answer = await api.anonymous.post(f"/api/v1{LINKS}", json={}, headers=by(token))
    assert answer.status_code == 403
    assert (await api.anonymous.post(f"/api/v1{LINKS}", json={})).status_code == 401
    assert (await api.http.post(LINKS, json={"user": "nobody"})).status_code == 404
    await api.http.post("/users", json={"name": "robot", "kind": "service"})
    assert (await api.http.post(LINKS, json={"user": "robot"})).status_code == 422


async def test_a_page_of_another_site_can_not_use_one(api: ApiUnderTest) -> None:
    await make_user(api)
    link = await a_link(api, user="mia")
    async with client(api, Origin="https://evil.example") as browser:
        assert (await browser.post(SIGN_IN, json={"link": link})).status_code == 403
    async with client(api, Origin=ORIGIN) as browser:  # it is not spent by that
        assert (await browser.post(SIGN_IN, json={"link": link})).status_code == 200


async def test_a_disabled_user_stays_out(api: ApiUnderTest) -> None:
    user = await make_user(api)
    link = await a_link(api, user="mia")
    await api.http.patch(f"/users/{user['id']}", json={"state": "disabled"})
    answer: httpx.Response
    async with client(api) as browser:
        answer = await browser.post(SIGN_IN, json={"link": link})
    assert answer.status_code == 403
