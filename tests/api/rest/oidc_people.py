"""People who sign in over REST by an OpenID provider, each with a browser of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from temporalio.client import Client

from gamekeeper.db.engine import Database
from tests.api.rest.people import client
from tests.fakes.oidc_provider import FakeOidcProvider
from tests.fixtures.api import ApiUnderTest, make_api

ROLES = {"staff": "operator", "owners": "admin"}
MakeApi = Callable[..., Awaitable[ApiUnderTest]]


class Browser:
    """``http`` has the cookies."""

    def __init__(self, api: ApiUnderTest, provider: FakeOidcProvider, base: str = "http://localhost") -> None:
        self.provider = provider
        self.http: httpx.AsyncClient = client(api, base)

    async def begin(self, **query: Any) -> str:
        """The provider's address."""
        answer = await self.http.get("/sign-in/oidc", params=query)
        assert (answer.status_code, answer.headers["cache-control"]) == (303, "no-store"), answer.text
        return answer.headers["location"]

    async def come_back(self, back: dict[str, str]) -> httpx.Response:
        return await self.http.get("/sign-in/oidc/callback", params=back)

    async def sign_in(self, subject: str = "s-1", **claims: Any) -> httpx.Response:
        claims = {"preferred_username": "mia", "groups": ["staff"]} | claims
        return await self.come_back(self.provider.sign_in(await self.begin(), subject, **claims))

    async def whoami(self) -> dict[str, Any]:
        return dict((await self.http.get("/whoami")).json())


@asynccontextmanager
async def apis(database: Database, url: str, temporal: Client, folder: Path) -> AsyncIterator[MakeApi]:
    """Makes apis on one database, each with its settings."""
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> ApiUnderTest:
            made = await make_api(database, url, temporal, folder, **settings)
            stack.push_async_callback(made.process.link_server.stop, 0)
            stack.push_async_callback(made.close)
            for loop in made.process.loops:
                if loop.care.name == "revoked_keys":
                    made.adopt(loop.start())
            return made

        yield make


async def only_user(api: ApiUnderTest, name: str = "mia") -> dict[str, Any]:
    found = [user for user in (await api.http.get("/users")).json()["items"] if user["name"] == name]
    assert len(found) == 1, found
    return dict(found[0])
