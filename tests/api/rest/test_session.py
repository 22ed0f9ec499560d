"""Sessions over REST: listed and ended, and those of browsers with what a foreign page may not do by them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.api.rest.people import COOKIE, ORIGIN, PASSWORD, by, client, make_user, sign_in, token_of, whoami
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.websocket import websocket

FOREIGN = "https://evil.example"


@asynccontextmanager
async def browser(api: ApiUnderTest, base: str = ORIGIN) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """A browser that has signed in as mia, and the CSRF token of its page."""
    async with client(api, base) as made:
        answer = await made.post("/sign-in", json={"name": "mia", "password": PASSWORD}, headers={"origin": base})
        assert answer.status_code == 200, answer.text
        assert answer.json()["token"] == ""
        yield made, str(answer.json()["csrf_token"])


async def test_a_browser_has_a_cookie_that_no_page_reads(api: ApiUnderTest) -> None:
    await make_user(api, role="admin")
    async with client(api) as page:
        answer = await page.post("/sign-in", json={"name": "mia", "password": PASSWORD})
        cookie = answer.headers["set-cookie"].lower()
        assert cookie.startswith(f"{COOKIE}=gks_")
        assert {"httponly", "samesite=strict", "path=/"} <= {part.strip() for part in cookie.split(";")}
        assert "domain" not in cookie
        who = (await page.get("/whoami")).json()
        assert (who["actor"], who["csrf_token"]) == ("user:mia", answer.json()["csrf_token"])
        token = {"X-CSRF-Token": who["csrf_token"], "Origin": ORIGIN}
        assert (await page.post("/nodes", json={"id": "n-1"}, headers=token)).status_code == 201
        out = await page.post("/sign-out", headers=token)
        assert (out.status_code, "max-age=0" in out.headers["set-cookie"].lower()) == (200, True)
        assert COOKIE not in page.cookies


@pytest.mark.parametrize("base", ["https://gk.example", "https://gk.example:7380", "https://localhost"])
async def test_over_https_the_cookie_is_bound_to_the_host(api: ApiUnderTest, base: str) -> None:
    await make_user(api)
    async with browser(api, base) as (page, _):
        assert list(page.cookies) == ["__Host-gk_session"]
        answer = await page.post("/sign-in", json={"name": "mia", "password": PASSWORD})
        assert "secure" in answer.headers["set-cookie"].lower()
        assert (await page.get("/whoami")).status_code == 200


async def test_a_proxy_with_tls_is_seen_by_the_page(api: ApiUnderTest) -> None:
    """The api itself serves plain HTTP behind it."""
    await make_user(api)
    async with client(api, "http://gk.example") as page:
        body = {"name": "mia", "password": PASSWORD}
        answer = await page.post("/sign-in", json=body, headers={"origin": "https://gk.example"})
        assert answer.headers["set-cookie"].startswith("__Host-gk_session=")
        plain = await page.post("/sign-in", json=body, headers={"origin": "http://gk.example"})
        assert (plain.status_code, plain.json()["code"]) == (422, "plain_http")
        assert (await page.post("/sign-in", json=body | {"keeps": "token"})).status_code == 200


async def test_the_plain_cookie_counts_on_loopback_alone(api: ApiUnderTest) -> None:
    await make_user(api)
    token = await token_of(api)
    for base, status in (("http://localhost", 200), ("http://127.0.0.1:7380", 200), ("https://gk.example", 401)):
        async with client(api, base, cookie=f"{COOKIE}={token}") as page:
            assert (await page.get("/whoami")).status_code == status
    async with client(api, "https://gk.example", cookie=f"other=1; bad; =x; __Host-gk_session={token}") as page:
        assert (await page.get("/whoami")).status_code == 200


async def test_what_writes_by_a_cookie_needs_the_token_of_its_session(api: ApiUnderTest) -> None:
    await make_user(api, role="admin")
    async with browser(api) as (page, csrf), browser(api) as (_, others_csrf):
        for wrong in (None, "", "x" * 64, others_csrf, csrf[:-1], csrf.upper(), "\u00fc".encode()):
            headers: Any = {} if wrong is None else {"X-CSRF-Token": wrong}
            answer = await page.post("/nodes", json={"id": "n-1"}, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "csrf"), wrong
            for method in ("PATCH", "DELETE"):
                assert (await page.request(method, "/nodes/n-1", headers=headers)).status_code == 403
        assert (await page.get("/nodes")).json()["items"] == []
        assert (await page.post("/nodes", json={"id": "n-1"}, headers={"X-CSRF-Token": csrf})).status_code == 201


@pytest.mark.parametrize(
    "origin",
    [
        FOREIGN,
        "null",
        "",
        "http://localhost.evil.example",
        "http://localhost:81",
        "https://localhost:8443",
        "http://user@evil.example",
        "http://[",
        "file://",
        "http://",
        "\u00fc".encode().decode("latin-1"),
    ],
)
async def test_a_foreign_page_gets_in_by_no_cookie(api: ApiUnderTest, origin: str) -> None:
    await make_user(api, role="admin")
    async with browser(api) as (page, csrf):
        headers: Any = {"origin": origin.encode("latin-1"), "X-CSRF-Token": csrf}
        for answer in (
            await page.post("/nodes", json={"id": "n-1"}, headers=headers),
            await page.get("/nodes", headers=headers),
            await page.post("/sign-in", json={"name": "mia", "password": PASSWORD}, headers=headers),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "origin")
        assert (await page.get("/nodes", headers={"origin": ORIGIN})).status_code == 200
        assert (await page.get("/nodes", headers={"origin": f"{ORIGIN}:80"})).status_code == 200


async def test_a_key_needs_no_origin_of_ours(api: ApiUnderTest) -> None:
    answer = await api.http.post("/nodes", json={"id": "n-1"}, headers={"origin": FOREIGN})
    assert answer.status_code == 201


@pytest.mark.parametrize(("origin", "is_let_in"), [(ORIGIN, True), (FOREIGN, False), ("null", False), (None, False)])
async def test_a_websocket_by_a_cookie_comes_from_our_own_page(
    api: ApiUnderTest, origin: str | None, is_let_in: bool
) -> None:
    await make_user(api, role="admin")
    token = await token_of(api)
    headers = {"host": "localhost", "cookie": f"{COOKIE}={token}"} | ({"origin": origin} if origin else {})
    path = "/api/v1/runs/0000000000000000/steps/work/attach"
    async with websocket(api.process.app, path, [], "", headers=headers) as console:
        said = await console.receive()
    assert isinstance(said, tuple)
    assert said[0] == (4404 if is_let_in else 4403)  # there is no such run


async def test_a_sign_in_begins_a_new_session_and_ends_the_one_before(api: ApiUnderTest) -> None:
    """A cookie that somebody else had put there (session fixation) is of no use to them."""
    await make_user(api)
    await make_user(api, "eve")
    planted = await token_of(api, "eve")
    async with client(api, cookie=f"{COOKIE}={planted}") as page:
        answer = await page.post("/sign-in", json={"name": "mia", "password": PASSWORD})
        fresh = answer.cookies[COOKIE]
    assert fresh != planted
    assert (await whoami(api, planted)).status_code == 401
    assert (await whoami(api, fresh)).json()["actor"] == "user:mia"


@pytest.mark.parametrize("cookie", ["gk_session=made-up", "gk_session=", "gk_session=gks_" + "x" * 43])
async def test_a_cookie_that_is_no_session_opens_nothing(api: ApiUnderTest, cookie: str) -> None:
    await make_user(api)
    async with client(api, cookie=cookie) as page:
        assert (await page.get("/whoami")).status_code == 401
        answer = await page.post("/sign-in", json={"name": "mia", "password": PASSWORD})
        assert answer.status_code == 200


async def test_an_ended_session_is_no_key_for_anybody_who_copied_it(api: ApiUnderTest) -> None:
    await make_user(api)
    async with browser(api) as (page, csrf):
        stolen = page.cookies[COOKIE]
        assert (await whoami(api, stolen)).status_code == 200
        assert (await page.post("/sign-out", headers={"X-CSRF-Token": csrf})).status_code == 200
    async with client(api, cookie=f"{COOKIE}={stolen}") as thief:
        assert (await thief.get("/whoami")).status_code == 401
        assert (await thief.post("/sign-out", headers={"X-CSRF-Token": csrf})).status_code == 401


async def test_sessions_are_listed_and_ended(api: ApiUnderTest) -> None:
    mia, joe = await make_user(api), await make_user(api, "joe")
    one, other, joes = (await sign_in(api)).json(), (await sign_in(api)).json(), (await sign_in(api, "joe")).json()

    async def asked(path: str, token: str, method: str = "GET") -> httpx.Response:
        return await api.anonymous.request(method, f"/api/v1{path}", headers=by(token))

    listed = (await asked("/sessions", one["token"])).json()["items"]
    assert {item["id"]: item["is_this"] for item in listed} == {one["session_id"]: True, other["session_id"]: False}
    assert {(item["user"], item["how"], item["address"]) for item in listed} == {("mia", "password", "127.0.0.1")}
    assert "gks_" not in str(listed)
    for of, status in (("all", 403), (joe["id"], 403), (mia["id"], 200)):
        assert (await asked(f"/sessions?user={of}", one["token"])).status_code == status
    assert (await asked(f"/sessions/{joes['session_id']}", one["token"], "DELETE")).status_code == 404
    assert (await asked(f"/sessions/{other['session_id']}", one["token"], "DELETE")).status_code == 204
    assert [(await whoami(api, found["token"])).status_code for found in (one, other, joes)] == [200, 401, 200]
    assert len((await api.http.get("/sessions", params={"user": "all"})).json()["items"]) == 3
    for _ in range(2):
        assert (await api.http.delete(f"/sessions/{joes['session_id']}")).status_code == 204
    assert (await whoami(api, joes["token"])).status_code == 401
    assert (await api.http.delete("/sessions/nothing")).status_code == 404
    assert (await api.http.get("/sessions")).status_code == 422  # a key has none
    assert (await api.http.post("/sign-out")).status_code == 422


async def test_a_user_has_a_hundred_sessions_at_most(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.services.access.session.MAX_OPEN", 3)
    await make_user(api)
    tokens = [await token_of(api) for _ in range(4)]
    assert [(await whoami(api, token)).status_code for token in tokens] == [401, 200, 200, 200]
