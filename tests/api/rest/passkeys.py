"""Passkeys over REST: a user's browser that adds them and signs in by them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.api.rest.people import ORIGIN, PASSWORD, client
from tests.fakes.passkeys import Browser
from tests.fixtures.api import ApiUnderTest


class Person:
    """Somebody at a browser of their own."""

    def __init__(self, http: httpx.AsyncClient, name: str) -> None:
        self.http = http
        self.name = name
        self.browser = Browser()

    async def sign_in(self, password: str = PASSWORD) -> httpx.Response:
        """By the password. What writes from then on has the session's CSRF token."""
        return self._signed_in(await self.http.post("/sign-in", json={"name": self.name, "password": password}))

    async def options(self, **proof: Any) -> httpx.Response:
        return await self.http.post("/users/me/passkeys/options", json=proof or {"password": PASSWORD})

    async def add(self, name: str = "laptop", **proof: Any) -> httpx.Response:
        options = await self.options(**proof)
        assert options.status_code == 200, options.text
        return await self.confirm(options.json(), name)

    async def confirm(self, options: dict[str, Any], name: str = "laptop", **fields: Any) -> httpx.Response:
        answer = {"name": name, "ticket": options["ticket"], "credential": self.browser.create(options["public_key"])}
        return await self.http.post("/users/me/passkeys", json=answer | fields)

    async def remove(self, passkey_id: str, **proof: Any) -> httpx.Response:
        return await self.http.post(f"/users/me/passkeys/{passkey_id}/remove", json=proof or {"password": PASSWORD})

    async def proof(self) -> dict[str, Any]:
        made = await self.http.post("/users/me/passkeys/proof-options")
        assert made.status_code == 200, made.text
        options = made.json()
        return {"ticket": options["ticket"], "credential": self.browser.get(options["public_key"])}

    async def begin(self, name: str = "") -> dict[str, Any]:
        made = await self.http.post("/sign-in/passkey/options", json={"name": name} if name else {})
        assert made.status_code == 200, made.text
        return dict(made.json())

    async def finish(self, options: dict[str, Any], browser: Browser | None = None, **fields: Any) -> httpx.Response:
        credential = (browser or self.browser).get(options["public_key"])
        body = {"ticket": options["ticket"], "credential": credential} | fields
        return self._signed_in(await self.http.post("/sign-in/passkey", json=body))

    async def sign_in_by_passkey(self, name: str = "", browser: Browser | None = None) -> httpx.Response:
        return await self.finish(await self.begin(name), browser)

    def _signed_in(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code == 200:
            self.http.headers["x-csrf-token"] = answer.json()["csrf_token"]
        return answer


@asynccontextmanager
async def person(api: ApiUnderTest, name: str = "mia", address: str = "127.0.0.1") -> AsyncIterator[Person]:
    async with client(api, ORIGIN, address) as http:
        yield Person(http, name)


@asynccontextmanager
async def with_passkey(api: ApiUnderTest, name: str = "mia") -> AsyncIterator[Person]:
    """Somebody who is signed in by a password, and has one passkey."""
    async with person(api, name) as made:
        assert (await made.sign_in()).status_code == 200
        added = await made.add()
        assert added.status_code == 201, added.text
        yield made
