"""The sign-in of programs by an OpenID provider, the ways that a page offers, and the sign-out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from temporalio.client import Client

from gamekeeper.db.engine import Database
from gamekeeper.db.models import OidcCodeRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.pkce import challenge_of, new_verifier
from tests.api.rest.oidc_people import ROLES, Browser, MakeApi, apis, only_user
from tests.api.rest.people import by, client, make_user, token_of, whoami
from tests.fakes.oidc_provider import DISCOVERY, FakeOidcProvider, Raw, fake_oidc_provider
from tests.fixtures.api import ApiUnderTest


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


async def program(api: ApiUnderTest, provider: FakeOidcProvider, **claims: Any) -> tuple[str, dict[str, str]]:
    """The verifier of a program, and what its browser brings to it."""
    verifier, browser = new_verifier(), Browser(api, provider)
    url = await browser.begin(port=45_678, challenge=challenge_of(verifier))
    claims = {"preferred_username": "mia", "groups": ["staff"]} | claims
    answer = await browser.come_back(provider.sign_in(url, **claims))
    assert (answer.status_code, "gk_session" in browser.http.cookies) == (303, False), answer.text
    to = answer.headers["location"]
    assert to.startswith("http://127.0.0.1:45678/?challenge=" + challenge_of(verifier))
    return verifier, dict(httpx.URL(to).params)


async def test_a_program_fetches_its_session_once(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    verifier, found = await program(api, provider)
    redeem = {"code": found["code"], "verifier": verifier}
    answer = await api.anonymous.post("/api/v1/sign-in/oidc", json=redeem)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert (answer.json()["user"], answer.json()["csrf_token"]) == ("mia", "")
    assert (await whoami(api, answer.json()["token"])).json()["actor"] == "user:mia"
    again = await api.anonymous.post("/api/v1/sign-in/oidc", json=redeem)
    assert (again.status_code, again.json()["code"]) == (401, "oidc_not_begun")


@pytest.mark.parametrize("how", ["disabled", "password", "unlinked"])
async def test_a_code_ends_with_the_sessions_of_its_user(
    api: ApiUnderTest, provider: FakeOidcProvider, how: str
) -> None:
    verifier, found = await program(api, provider)
    path = f"/users/{(await only_user(api))['id']}"
    if how == "disabled":
        for state in ("disabled", "active"):
            assert (await api.http.patch(path, json={"state": state})).status_code == 200
    elif how == "password":
        assert (await api.http.post(f"{path}/password-reset")).status_code == 200
    else:
        identity = (await api.http.get(f"{path}/identities")).json()["items"][0]
        assert (await api.http.delete(f"{path}/identities/{identity['id']}")).status_code == 204
    late = await api.anonymous.post("/api/v1/sign-in/oidc", json={"code": found["code"], "verifier": verifier})
    assert (late.status_code, late.json()["code"]) == (401, "oidc_not_begun")


async def test_a_code_is_of_no_use_to_others(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    verifier, found = await program(api, provider)
    stolen = {"code": found["code"], "verifier": new_verifier()}
    assert (await api.anonymous.post("/api/v1/sign-in/oidc", json=stolen)).status_code == 401
    burnt = await api.anonymous.post("/api/v1/sign-in/oidc", json=stolen | {"verifier": verifier})
    assert burnt.status_code == 401
    verifier, found = await program(api, provider)
    async with api.database.write() as session:
        await session.exec(update(OidcCodeRow).values(created_at=utc_now() - timedelta(minutes=3)))
    late = await api.anonymous.post("/api/v1/sign-in/oidc", json={"code": found["code"], "verifier": verifier})
    assert late.status_code == 401


async def test_a_user_disabled_between_gets_no_session(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    verifier, found = await program(api, provider)
    await api.http.patch(f"/users/{(await only_user(api))['id']}", json={"state": "disabled"})
    answer = await api.anonymous.post("/api/v1/sign-in/oidc", json={"code": found["code"], "verifier": verifier})
    assert answer.status_code == 401


async def test_a_program_hears_why_not(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    _, found = await program(api, provider, groups=["cooks"])
    assert ("code" in found, found["error"].startswith("none of your groups at the provider")) == (False, True)


@pytest.mark.parametrize(
    "query",
    [
        {"port": 45_678},
        {"challenge": "x" * 43},
        {"port": 80, "challenge": "x" * 43},
        {"port": 70_000, "challenge": "x" * 43},
        {"port": 45_678, "challenge": "x" * 42},
        {"port": 45_678, "challenge": "\u00e9" * 43},
        {"port": 45_678, "challenge": "x" * 43, "host": "evil.example"},
    ],
)
async def test_what_no_program_asks(api: ApiUnderTest, provider: FakeOidcProvider, query: dict[str, Any]) -> None:
    assert (await Browser(api, provider).http.get("/sign-in/oidc", params=query)).status_code == 422


@pytest.mark.parametrize("body", [{}, {"code": "x"}, {"code": 5, "verifier": "x"}, {"code": "x" * 129, "verifier": ""}])
async def test_what_redeems_nothing(api: ApiUnderTest, body: dict[str, Any]) -> None:
    assert (await api.anonymous.post("/api/v1/sign-in/oidc", json=body)).status_code == 422


async def test_ways_to_sign_in(make: MakeApi, provider: FakeOidcProvider) -> None:
    without = await make()
    ways = {way["kind"]: way for way in (await without.anonymous.get("/api/v1/sign-in")).json()["ways"]}
    assert ("oidc" in ways, ways["password"]) == (False, {"kind": "password", "title": "", "url": ""})
    for answer in (
        await without.anonymous.get("/api/v1/sign-in/oidc"),
        await without.anonymous.get("/api/v1/sign-in/oidc/callback"),
        await without.anonymous.post("/api/v1/sign-in/oidc", json={"code": "x", "verifier": "y"}),
    ):
        assert (answer.status_code, "no sign-in by a provider" in answer.json()["detail"]) == (404, True)
    made = await make_user(without)
    linked = await without.http.post(f"/users/{made['id']}/identities", json={"subject": "s"})
    assert (linked.status_code, "GAMEKEEPER_OIDC_ISSUER" in linked.json()["hint"]) == (422, True)
    api = await make(**provider.settings(oidc_button="Ask the guild"))
    answer = (await api.anonymous.get("/api/v1/sign-in")).json()
    way = {"kind": "oidc", "title": "Ask the guild", "url": "http://localhost/api/v1/sign-in/oidc"}
    assert way in answer["ways"]
    assert provider.asked == []
    assert provider.issuer not in str(answer)


async def test_a_sign_out_leads_to_the_provider(api: ApiUnderTest, provider: FakeOidcProvider) -> None:
    browser = Browser(api, provider)
    await browser.sign_in()
    csrf = (await browser.whoami())["csrf_token"]
    out = await browser.http.post("/sign-out", headers={"X-CSRF-Token": csrf})
    assert out.status_code == 200, out.text
    assert out.json()["provider_url"].startswith(
        f"{provider.issuer}/end?client_id=gamekeeper&post_logout_redirect_uri="
    )
    assert (await browser.http.get("/whoami")).status_code == 401
    await make_user(api, "joe")
    own = await api.anonymous.post("/api/v1/sign-out", headers=by(await token_of(api, "joe")))
    assert own.json() == {"provider_url": ""}


async def test_a_sign_out_does_not_wait_for_a_provider_that_is_away(make: MakeApi, provider: FakeOidcProvider) -> None:
    settings = provider.settings(oidc_makes_users=True, oidc_roles=ROLES)
    browser = Browser(await make(**settings), provider)
    await browser.sign_in()
    later = await make(**settings)  # it has not asked the provider yet
    provider.raw[DISCOVERY] = Raw(b"", 500)
    cookies = {"gk_session": str(browser.http.cookies.get("gk_session"))}
    async with client(later) as page:
        page.cookies.update(cookies)
        csrf = (await page.get("/whoami")).json()["csrf_token"]
        out = await page.post("/sign-out", headers={"X-CSRF-Token": csrf})
    assert (out.status_code, out.json()) == (200, {"provider_url": ""})
