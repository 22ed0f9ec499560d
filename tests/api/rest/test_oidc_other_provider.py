"""The sign-in by a provider that somebody else has written (oidc-provider-mock, on Authlib's server), on loopback."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from temporalio.client import Client

from gamekeeper.db.engine import Database
from gamekeeper.stack.ports import free_port
from tests.api.rest.oidc_people import ROLES, MakeApi, apis, only_user
from tests.api.rest.people import client
from tests.hang import HANG_SECONDS

CLAIMS = {"sub": "s-1", "preferred_username": "mia", "name": "Mia M", "groups": ["staff"]}


@pytest.fixture
async def issuer() -> AsyncIterator[str]:
    """Of a process of its own: what it does inside is no matter of these tests."""
    port = free_port("127.0.0.1")
    words = ("--host", "127.0.0.1", "--port", str(port), "--require-nonce", "true", "--user-claims", json.dumps(CLAIMS))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "oidc_provider_mock", *words, stdout=DEVNULL, stderr=DEVNULL
    )
    made = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(HANG_SECONDS), httpx.AsyncClient(timeout=None) as http:
            while process.returncode is None:
                with suppress(httpx.TransportError):
                    await http.get(made)
                    break
                await asyncio.sleep(0.02)
        yield made
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def make(
    database: Database, database_url: str, temporal_client: Client, tmp_path: Path
) -> AsyncIterator[MakeApi]:
    async with apis(database, database_url, temporal_client, tmp_path) as made:
        yield made


async def test_somebody_signs_in_and_out(make: MakeApi, issuer: str) -> None:
    settings = {"oidc_issuer": issuer, "oidc_client_id": "gamekeeper", "oidc_client_secret": "a secret"}
    settings |= {"oidc_public_url": "http://localhost"}
    api = await make(**settings, oidc_makes_users=True, oidc_roles=ROLES, oidc_seconds=30)
    async with client(api) as browser, httpx.AsyncClient(timeout=None) as at_provider:
        begun = await browser.get("/sign-in/oidc", params={"return_to": "/nodes"})
        shown = await at_provider.get(begun.headers["location"])
        assert (shown.status_code, "s-1" in shown.text) == (200, True)
        allowed = await at_provider.post(begun.headers["location"], data={"sub": "s-1"})
        assert allowed.headers["location"].startswith("http://localhost/api/v1/sign-in/oidc/callback?")
        back = await browser.get("/sign-in/oidc/callback", params=dict(httpx.URL(allowed.headers["location"]).params))
        assert (back.status_code, back.headers.get("location")) == (303, "/nodes"), back.text
        who = (await browser.get("/whoami")).json()
        assert (who["actor"], who["user"]["role"], who["user"]["display_name"]) == ("user:mia", "operator", "Mia M")
        out = await browser.post("/sign-out", headers={"X-CSRF-Token": who["csrf_token"]})
        page = await at_provider.get(out.json()["provider_url"])
        assert (page.status_code, "http://localhost/" in page.text) == (200, True)
    assert (await only_user(api))["created_by"] == "oidc"
