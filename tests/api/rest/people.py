"""Users who sign in over REST: as a program, with a token, and as a browser, with a cookie."""

from __future__ import annotations

from typing import Any

import httpx

from tests.fixtures.api import ApiUnderTest
from tests.fixtures.declared import check_declared

PASSWORD, NEW_PASSWORD = "correct horse battery", "another long password"
ORIGIN = "http://localhost"
COOKIE = "gk_session"


async def make_user(api: ApiUnderTest, name: str = "mia", role: str = "operator", **fields: Any) -> dict[str, Any]:
    """One who may sign in with PASSWORD."""
    body = {"name": name, "role": role, "password": PASSWORD, "must_change": False} | fields
    answer = await api.http.post("/users", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def sign_in(api: ApiUnderTest, name: str = "mia", password: str = PASSWORD, **fields: Any) -> httpx.Response:
    body = {"name": name, "password": password, "keeps": "token"} | fields
    return await api.anonymous.post("/api/v1/sign-in", json=body)


async def token_of(api: ApiUnderTest, name: str = "mia", password: str = PASSWORD) -> str:
    answer = await sign_in(api, name, password)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


def client(api: ApiUnderTest, base: str = ORIGIN, address: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
    """A client of its own, with cookies of its own."""
    transport = httpx.ASGITransport(api.process.app, raise_app_exceptions=False, client=(address, 123))
    return httpx.AsyncClient(
        transport=transport, base_url=f"{base}/api/v1", headers=headers, event_hooks={"response": [check_declared]}
    )


def by(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def store_pipeline(api: ApiUnderTest, token: str) -> httpx.Response:
    spec = {"name": "hello", "steps": [{"name": "say", "container": {"image": "image"}}]}
    return await api.anonymous.post("/api/v1/pipelines", json={"spec": spec}, headers=by(token))


async def whoami(api: ApiUnderTest, token: str) -> httpx.Response:
    return await api.anonymous.get("/api/v1/whoami", headers=by(token))


async def events(api: ApiUnderTest, kind: str) -> list[dict[str, Any]]:
    return list((await api.http.get("/events", params={"kind": kind})).json()["items"])
