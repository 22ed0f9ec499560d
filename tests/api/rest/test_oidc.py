"""The sign-in by an OpenID provider, over REST: whom it lets in, as whom, and what it leaves alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource
from sqlalchemy import update
from temporalio.client import Client

from gamekeeper.db.engine import Database
from gamekeeper.db.models import OidcAttemptRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.stack.ports import free_port
from tests.api.rest.oidc_people import ROLES, Browser, MakeApi, apis, only_user
from tests.api.rest.people import PASSWORD, by, client, events, make_user, sign_in, token_of, whoami
from tests.fakes.oidc_provider import TOKEN, FakeOidcProvider, Raw, fake_oidc_provider, rsa_key
from tests.fixtures.api import ApiUnderTest
from tests.hang import HANG_SECONDS

HTML = {"accept": "text/html,application/xhtml+xml"}


@pytest.fixture
async def provider() -> AsyncIterator[FakeOidcProvider]:
    async with fake_oidc_provider() as made:
        yield made


@pytest.fixture
async def make(
    database: Database, database_url: str, temporal_client: Client, tmp_path: Path
) -> AsyncIterator[MakeApi]:
    async with apis(database, database_url, temporal_client, tmp_path) as made:
        yield made


@pytest.fixture
async def api(make: MakeApi, provider: FakeOidcProvider) -> ApiUnderTest:
    """One that takes whoever is in a group, and makes users."""
    return await make(**provider.settings(oidc_makes_users=True, oidc_roles=ROLES, oidc_seconds=30))


async def test_somebody_signs_in_twice(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    browser = Browser(api, provider)
    begun = await browser.http.get("/sign-in/oidc", params={"return_to": "/nodes?status=online"})
    cookie = begun.headers["set-cookie"].lower()
    assert "gk_oidc=" in cookie
    assert all(part in cookie for part in ("httponly", "samesite=lax", "path=/", "max-age=600"))
    claims: dict[str, Any] = {"preferred_username": "Mia", "name": "Mia M\x07", "groups": ["staff", "cooks"]}
    back = await browser.come_back(provider.sign_in(begun.headers["location"], **claims))
    assert (back.status_code, back.headers["location"]) == (303, "/nodes?status=online")
    assert all(part in back.headers["set-cookie"].lower() for part in ("gk_session=", "httponly", "samesite=strict"))
    who = await browser.whoami()
    assert (who["actor"], who["user"]["role"], who["user"]["display_name"]) == ("user:Mia", "operator", "Mia M")
    again = Browser(api, provider)
    assert (await again.sign_in(preferred_username="renamed", name="Other")).status_code == 303
    assert (await again.whoami())["user"]["id"] == who["user"]["id"]
    user = await only_user(api, "Mia")
    assert (user["created_by"], user["must_change"], user["password_until"]) == ("oidc", False, None)
    identity = (await api.http.get(f"/users/{user['id']}/identities")).json()["items"][0]
    assert (identity["issuer"], identity["subject"], identity["name"]) == (provider.issuer, "s-1", "renamed")
    made, begun_event = (await events(api, "user.made"))[0], (await events(api, "session.begun"))[-1]
    assert (made["actor"], made["data"]["role"], made["data"]["issuer"]) == ("user:Mia", "operator", provider.issuer)
    assert (begun_event["data"]["how"], begun_event["data"]["address"]) == ("oidc", "127.0.0.1")


async def test_who_came_by_the_provider_has_no_password(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    await Browser(api, provider).sign_in()
    for password in ("", PASSWORD):
        assert (await sign_in(api, "mia", password)).status_code == 401


async def test_a_sign_in_is_of_one_browser_and_taken_once(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    browser, stranger = Browser(api, provider), Browser(api, provider)
    back = provider.sign_in(await browser.begin(), preferred_username="mia", groups=["staff"])
    await stranger.begin()
    refused = await stranger.come_back(back)
    assert (refused.status_code, refused.json()["code"]) == (401, "oidc_not_begun")
    assert TOKEN not in provider.asked
    assert (await browser.come_back(back)).status_code == 303
    again = await browser.come_back(back)
    assert (again.status_code, again.json()["code"], "set-cookie" in again.headers) == (401, "oidc_not_begun", False)
    assert provider.asked.count(TOKEN) == 1
    for wrong in ({}, {"state": "x"}, {"state": "x", "code": "y"}, {"code": back["code"]}):
        assert (await browser.come_back(wrong)).status_code == 401


async def test_two_tabs_of_a_browser_sign_in(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    browser = Browser(api, provider)
    backs = [provider.sign_in(await browser.begin(), preferred_username="mia", groups=["staff"]) for _ in range(2)]
    assert [(await browser.come_back(back)).status_code for back in backs] == [303, 303]
    sessions = (await api.http.get("/sessions", params={"user": "all"})).json()["items"]
    assert sorted(session["state"] for session in sessions) == ["ended", "open"]


async def test_a_code_does_not_fit_another_sign_in(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    """A code that a thief put into its own sign-in, or the person's: neither verifier nor nonce are those of it."""
    browser, thief = Browser(api, provider), Browser(api, provider)
    stolen = provider.sign_in(await browser.begin(), preferred_username="mia", groups=["staff"])
    own = provider.sign_in(await thief.begin(), "s-thief", preferred_username="thief", groups=["staff"])
    refused = await thief.come_back(own | {"code": stolen["code"]})
    assert (refused.status_code, refused.json()["code"]) == (401, "oidc_refused")


async def test_a_sign_in_that_took_too_long(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    browser = Browser(api, provider)
    back = provider.sign_in(await browser.begin(), preferred_username="mia", groups=["staff"])
    async with api.database.write() as session:
        await session.exec(update(OidcAttemptRow).values(created_at=utc_now() - timedelta(minutes=11)))
    assert (await browser.come_back(back)).json()["code"] == "oidc_not_begun"


@pytest.mark.parametrize(
    "path", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "", "/a b", "/\u00e9", "/\n/evil"]
)
async def test_a_browser_ends_at_no_other_site(api: ApiUnderTest, provider: FakeOidcProvider, path: str) -> None:
    answer = await Browser(api, provider).http.get("/sign-in/oidc", params={"return_to": path})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_an_earlier_session_of_the_browser_ends(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    await make_user(api, "joe")
    browser = Browser(api, provider)
    assert (await browser.http.post("/sign-in", json={"name": "joe", "password": PASSWORD})).status_code == 200
    url = await browser.begin()
    before = str(browser.http.cookies.get("gk_session"))
    browser.http.cookies.delete("gk_session")  # it is strict: a browser that comes from elsewhere does not send it
    assert (
        await browser.come_back(provider.sign_in(url, preferred_username="mia", groups=["staff"]))
    ).status_code == 303
    assert (await whoami(api, before)).status_code == 401


async def test_nobody_is_made_where_an_admin_links(make: MakeApi, provider: FakeOidcProvider) -> None:
    api = await make(**provider.settings())
    browser = Browser(api, provider)
    refused = await browser.sign_in()
    assert (refused.status_code, refused.json()["code"]) == (403, "oidc_unknown")
    assert "gamekeeper identity link USER SUBJECT" in refused.json()["hint"]
    told = (await events(api, "sign_in"))[0]
    assert (told["reason"], told["data"]["subject"], told["data"]["issuer"]) == ("oidc_unknown", "s-1", provider.issuer)
    mia, joe = await make_user(api, "mia", role="viewer"), await make_user(api, "joe")
    linked = await api.http.post(f"/users/{mia['id']}/identities", json={"subject": "s-1"})
    assert linked.status_code == 201, linked.text
    twice = await api.http.post(f"/users/{joe['id']}/identities", json={"subject": "s-1"})
    assert (twice.status_code, twice.json()["detail"]) == (409, 'this subject is linked to "mia"')
    assert (await browser.sign_in(preferred_username="joe", groups=["owners"])).status_code == 303
    assert (await browser.whoami())["user"] == (await api.http.get(f"/users/{mia['id']}")).json()
    assert (await browser.whoami())["user"]["role"] == "viewer"  # nothing maps groups here
    token = await token_of(api)
    path = f"/users/{mia['id']}/identities/{linked.json()['id']}"
    assert (await api.http.delete(path.replace(mia["id"], joe["id"]))).status_code == 404
    assert (await api.http.delete(path)).status_code == 204
    assert (await browser.http.get("/whoami")).status_code == 401
    assert (await whoami(api, token)).status_code == 200  # that session is of the password
    assert (await browser.sign_in()).json()["code"] == "oidc_unknown"
    for kind in ("user.linked", "user.unlinked"):
        assert [(event["actor"], event["data"]["subject"]) for event in await events(api, kind)] == [
            ("key:admin", "s-1")
        ]


async def test_links_are_for_admins_and_persons(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    made = await make_user(api)
    token = await token_of(api)
    path = f"/api/v1/users/{made['id']}/identities"
    assert (await api.anonymous.post(path, json={"subject": "s"}, headers=by(token))).status_code == 403
    assert (await api.anonymous.get(path, headers=by(token))).status_code == 403
    service = (await api.http.post("/users", json={"name": "backup", "kind": "service"})).json()
    assert (await api.http.post(f"/users/{service['id']}/identities", json={"subject": "s"})).status_code == 422
    for subject in ("", "x" * 256, "m\u00eda", 5):
        assert (await api.http.post(f"/users/{made['id']}/identities", json={"subject": subject})).status_code == 422
    for number in range(10):
        answer = await api.http.post(f"/users/{made['id']}/identities", json={"subject": f"s-{number}"})
        assert answer.status_code == 201
    assert (await api.http.post(f"/users/{made['id']}/identities", json={"subject": "more"})).status_code == 409
    assert (await api.http.delete(f"/users/{made['id']}")).status_code == 204
    assert (await Browser(api, provider).sign_in("s-1", preferred_username="somebody")).status_code == 303


@pytest.mark.parametrize("name", ["mia", "MIA", "m\u0456a", "\uff4dia"])
async def test_a_name_takes_over_nobody(api: ApiUnderTest, provider: FakeOidcProvider, name: str) -> None:
    made = await make_user(api)
    browser = Browser(api, provider)
    claims: dict[str, Any] = {"preferred_username": name, "email": "mia@example.org", "email_verified": True}
    refused = await browser.sign_in(**claims)
    assert (refused.status_code, refused.json()["code"]) == (409, "oidc_name_taken")
    assert (await browser.http.get("/whoami")).status_code == 401
    assert (await api.http.get(f"/users/{made['id']}/identities")).json()["items"] == []
    assert len((await api.http.get("/users")).json()["items"]) == 1
    assert (await sign_in(api)).status_code == 200


@pytest.mark.parametrize("name", ["two words", "gk_something", "a:b", "x" * 64, "", None, 5, "\u202eaim", "a\udc00"])
async def test_a_name_that_is_none(api: ApiUnderTest, provider: FakeOidcProvider, name: Any) -> None:
    provider.userinfo = {"preferred_username": name}
    refused = await Browser(api, provider).sign_in(preferred_username=None)
    assert (refused.status_code, refused.json()["code"]) == (403, "oidc_no_name"), refused.text
    assert (await api.http.get("/users")).json()["items"] == []


async def test_groups_give_the_role_at_each_sign_in(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    browser = Browser(api, provider)
    seen = []
    for groups in (["staff"], ["cooks", "owners", "staff"], "staff"):
        assert (await browser.sign_in(groups=groups)).status_code == 303
        seen.append((await browser.whoami())["user"]["role"])
    assert seen == ["operator", "admin", "operator"]
    told = (await events(api, "user.changed"))[0]
    assert (told["actor"], told["data"]["changes"]) == ("user:mia", {"role": ["admin", "operator"]})


@pytest.mark.parametrize("groups", [[], None, ["cooks"], ["Staff"], [["staff"]], [5]])
async def test_no_group_lets_nobody_in(api: ApiUnderTest, provider: FakeOidcProvider, groups: Any) -> None:
    refused = await Browser(api, provider).sign_in(groups=groups)
    assert (refused.status_code, refused.json()["code"]) == (403, "oidc_no_group")
    assert (await api.http.get("/users")).json()["items"] == []


async def test_who_leaves_all_groups_is_out(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    browser, other = Browser(api, provider), Browser(api, provider)
    await browser.sign_in()
    user = await only_user(api)
    assert (await other.sign_in(groups=["cooks"])).json()["code"] == "oidc_no_group"
    assert (await browser.http.get("/whoami")).status_code == 401
    ended = (await events(api, "session.ended"))[0]
    assert (ended["reason"], ended["data"]["user"]) == ("oidc_no_group", user["id"])
    assert (await events(api, "sign_in"))[0]["message"] == "mia"


async def test_a_role_for_all_others(make: MakeApi, provider: FakeOidcProvider) -> None:
    settings = {"oidc_makes_users": True, "oidc_roles": ROLES, "oidc_role_otherwise": "guest"}
    api = await make(**provider.settings(**settings))
    browser = Browser(api, provider)
    for groups, role in ((["owners"], "admin"), (["cooks"], "guest")):
        assert (await browser.sign_in(groups=groups)).status_code == 303
        assert (await browser.whoami())["user"]["role"] == role


async def test_without_groups_roles_are_our_own_matter(make: MakeApi, provider: FakeOidcProvider) -> None:
    api = await make(**provider.settings(oidc_makes_users=True, oidc_role_otherwise="viewer"))
    browser = Browser(api, provider)
    await browser.sign_in()
    user = await only_user(api)
    assert user["role"] == "viewer"
    await api.http.patch(f"/users/{user['id']}", json={"role": "developer"})
    await browser.sign_in(groups=["owners"])
    assert (await browser.whoami())["user"]["role"] == "developer"


async def test_what_goes_on_by_an_earlier_role_ends(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    await api.serve_rest()
    browser = Browser(api, provider)
    await browser.sign_in()
    url = f"http://{api.rest_address}/api/v1/events?follow=true"
    headers = by(str(browser.http.cookies.get("gk_session")))
    async with (
        asyncio.timeout(HANG_SECONDS),
        httpx.AsyncClient(timeout=None) as http,
        http.stream("GET", url, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        await Browser(api, provider).sign_in(groups=["owners"])
        last = [event async for event in EventSource(answer).aiter_sse()][-1]
    assert (last.event, json.loads(last.data)["status"]) == ("refused", 401)


async def test_the_last_admin_stays_one(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    """Whoever has a password, and lets others in when the provider is away."""
    root = await make_user(api, "root", role="admin")
    token = await token_of(api, "root")
    await api.http.post(f"/users/{root['id']}/identities", json={"subject": "s-root"})
    own = (await api.http.get("/whoami")).json()["key"]["id"]
    assert (await api.http.delete(f"/keys/{own}")).status_code == 204
    refused = await Browser(api, provider).sign_in("s-root", groups=["staff"])
    assert (refused.status_code, "the last who may let others in" in refused.json()["detail"]) == (409, True)
    assert (await whoami(api, token)).json()["user"]["role"] == "admin"
    await Browser(api, provider).sign_in("s-2", preferred_username="joe", groups=["owners"])
    again = await Browser(api, provider).sign_in("s-root", groups=["staff"])
    assert again.status_code == 409  # joe comes by the provider alone


async def test_a_disabled_user_stays_so(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    browser = Browser(api, provider)
    await browser.sign_in()
    user = await only_user(api)
    await api.http.patch(f"/users/{user['id']}", json={"state": "disabled"})
    refused = await browser.sign_in(groups=["owners"])
    assert (refused.status_code, refused.json()["detail"]) == (403, 'the user "mia" is disabled')
    found = await only_user(api)
    assert (found["state"], found["role"]) == ("disabled", "operator")
    assert (await events(api, "sign_in"))[0]["reason"] == "disabled"


async def test_many_first_sign_ins_at_once_make_one_user(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    answers = await asyncio.gather(*(Browser(api, provider).sign_in() for _ in range(5)))
    assert [answer.status_code for answer in answers] == [303] * 5
    await only_user(api)


async def test_a_provider_that_is_away_stops_no_password(make: MakeApi) -> None:
    gone = {"oidc_issuer": f"http://127.0.0.1:{free_port('127.0.0.1')}", "oidc_client_id": "x"}
    api = await make(**gone, oidc_public_url="http://localhost")
    await make_user(api)
    async with client(api) as page:
        answer = await page.get("/sign-in/oidc")
        assert (answer.status_code, answer.json()["code"]) == (503, "oidc_away")
        for_people = await page.get("/sign-in/oidc", headers=HTML)
        assert (for_people.status_code, for_people.headers["content-type"]) == (503, "text/html; charset=utf-8")
        assert "can&#x27;t be reached: ConnectError" in for_people.text
    assert (await events(api, "sign_in"))[0]["reason"] == "oidc_away"
    assert (await sign_in(api)).status_code == 200


@pytest.mark.parametrize(
    ("lie", "status", "code"),
    [
        ({"claims": {"iss": "https://evil.example"}}, 401, "oidc_not_proven"),
        ({"claims": {"nonce": "another"}}, 401, "oidc_not_proven"),
        ({"claims": {"exp": 1}}, 401, "oidc_not_proven"),
        ({"key": rsa_key("stranger")}, 401, "oidc_not_proven"),
        ({"raw": {TOKEN: Raw.of({"error": "invalid_grant"}, 400)}}, 401, "oidc_refused"),
        ({"raw": {TOKEN: Raw(b"x" * 1_000_000)}}, 503, "oidc_away"),
        ({"raw": {TOKEN: Raw(b"", 307, {"Location": "/token2"})}}, 503, "oidc_away"),
    ],
)
async def test_a_provider_that_lies_lets_nobody_in(
    api: ApiUnderTest, provider: FakeOidcProvider, lie: dict[str, Any], status: int, code: str
) -> None:
    for name, value in lie.items():
        setattr(provider, name, value)
    browser = Browser(api, provider)
    refused = await browser.sign_in()
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert "gk_session" not in browser.http.cookies
    assert (await api.http.get("/users")).json()["items"] == []
    told = (await events(api, "sign_in"))[0]
    assert (told["actor"], told["reason"], told["data"]["address"]) == ("anonymous", code, "127.0.0.1")


async def test_a_person_hears_in_a_page_why_not(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    browser = Browser(api, provider)
    back = {"state": provider.sign_in(await browser.begin())["state"], "error": "access_denied"}
    answer = await browser.http.get("/sign-in/oidc/callback", params=back | {"error_description": "<b>"}, headers=HTML)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "The provider let nobody in (access_denied)." in answer.text
    assert "<b>" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert (await events(api, "sign_in"))[0]["reason"] == "oidc_refused"


async def test_events_and_rows_hold_no_secret(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    browser = Browser(api, provider)
    back = provider.sign_in(await browser.begin(), preferred_username="mia", groups=["staff"])
    async with api.database.read() as session:
        rows = str((await session.exec(OidcAttemptRow.__table__.select())).all())  # type: ignore[attr-defined]
    assert back["state"] not in rows
    assert str(browser.http.cookies.get("gk_oidc")) not in rows
    await browser.come_back(back)
    told = str((await api.http.get("/events")).json())
    assert not [secret for secret in (*back.values(), provider.settings()["oidc_client_secret"]) if secret in told]
    async with api.database.read() as session:
        assert (await session.exec(OidcAttemptRow.__table__.select())).all() == []  # type: ignore[attr-defined]


async def test_over_https_cookies_are_for_that_host_alone(make: MakeApi, provider: FakeOidcProvider) -> None:
    """Also behind a proxy, where we see plain HTTP: the address that was set tells."""
    settings = {"oidc_public_url": "https://gk.example/", "oidc_makes_users": True, "oidc_roles": ROLES}
    api = await make(**provider.settings(**settings))
    async with client(api, "http://gk.example") as page:
        begun = await page.get("/sign-in/oidc")
        cookie = begun.headers["set-cookie"]
        assert cookie.startswith("__Host-gk_oidc=")
        assert "; Secure" in cookie
        back = provider.sign_in(begun.headers["location"], preferred_username="mia", groups=["staff"])
        of_a_neighbour = {"Cookie": cookie.partition(";")[0].removeprefix("__Host-")}
        refused = await page.get("/sign-in/oidc/callback", params=back, headers=of_a_neighbour)
        assert (refused.status_code, refused.json()["code"]) == (401, "oidc_not_begun")
        headers = {"Cookie": cookie.partition(";")[0]}
        answer = await page.get("/sign-in/oidc/callback", params=back, headers=headers)
        assert (answer.status_code, answer.headers["set-cookie"].startswith("__Host-gk_session=")) == (303, True)


async def test_many_from_one_address_have_to_wait(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    browser = Browser(api, provider)
    statuses = [(await browser.http.get("/sign-in/oidc")).status_code for _ in range(100)]
    assert (statuses[0], 429 in statuses) == (303, True)
    async with client(api, address="10.1.2.3") as other:
        assert (await other.get("/sign-in/oidc")).status_code == 303


async def test_made_up_returns_take_nobodys_sign_ins(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    """Any page can send a browser to the address of return, with words and cookies that are none of ours."""
    good = "x" * 43
    async with client(api) as page:
        for number in range(100):
            state, cookie = (good, "short") if number % 2 else ("short", good)
            back = await page.get(
                "/sign-in/oidc/callback", params={"state": state, "code": "c"}, headers={"Cookie": f"gk_oidc={cookie}"}
            )
            assert (back.status_code, back.json()["code"]) == (401, "oidc_not_begun")
    assert (await Browser(api, provider).sign_in()).status_code == 303
