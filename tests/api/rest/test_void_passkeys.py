"""Passkeys of a host name that the server had before, and identities of another provider: none of them is a way in."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from gamekeeper.db.models import IdentityRow, PasskeyRow
from gamekeeper.db.repositories.user import UserRepository
from tests.api.rest.passkeys import with_passkey
from tests.api.rest.people import PASSWORD, make_user
from tests.fakes.passkeys import Browser
from tests.fixtures.api import ApiUnderTest


@pytest.fixture(autouse=True)
async def master_key(api: ApiUnderTest) -> None:
    """Made by the api's loop, soon after its start."""
    await next(loop for loop in api.process.loops if loop.care.name == "secret_keys").work()


async def make_void(api: ApiUnderTest, name: str = "laptop") -> None:
    async with api.database.write() as session:
        await session.exec(update(PasskeyRow).where(col(PasskeyRow.name) == name).values(rp_id="before.example"))


async def forget_password(api: ApiUnderTest, user: dict[str, Any]) -> None:
    async with api.database.write() as session:
        (await UserRepository(session).get(user["id"])).password_hash = ""


async def test_a_password_beside_void_passkeys_stays(api: ApiUnderTest) -> None:
    await make_user(api)
    async with with_passkey(api) as mia:
        await make_void(api)
        refused = await mia.http.post("/users/me/password/remove", json={"password": PASSWORD})
        assert (refused.status_code, refused.json()["code"]) == (409, "last_way_in")


async def test_void_passkeys_are_asked_for_no_proof(api: ApiUnderTest) -> None:
    """Whoever has but such ones proves it by a fresh sign-in, as by a link, and gets out of it."""
    made = await make_user(api)
    async with with_passkey(api) as mia:
        await make_void(api)
        await forget_password(api, made)
        assert (await mia.http.post("/users/me/passkeys/proof-options")).status_code == 409
        options = await mia.http.post("/users/me/passkeys/options", json={})
        assert options.status_code == 200, options.text
        mia.browser = Browser()
        assert (await mia.confirm(options.json(), "phone")).status_code == 201


async def test_the_last_passkey_that_opens_stays_and_void_ones_go(api: ApiUnderTest) -> None:
    made = await make_user(api)
    async with with_passkey(api) as mia:
        old, mia.browser = mia.browser, Browser()
        assert (await mia.add("phone")).status_code == 201
        await make_void(api)
        await forget_password(api, made)
        async with api.database.write() as session:
            session.add(IdentityRow(user_id=made["id"], issuer="https://before.example", subject="s-1"))
        ids = {item["name"]: item["id"] for item in (await mia.http.get("/users/me/passkeys")).json()["items"]}
        refused = await mia.remove(ids["phone"], passkey=await mia.proof())
        assert (refused.status_code, refused.json()["code"]) == (409, "last_way_in")
        assert (await mia.remove(ids["laptop"], passkey=await mia.proof())).status_code == 204
        assert (await mia.sign_in_by_passkey(browser=old)).status_code == 401
        assert (await mia.sign_in_by_passkey()).status_code == 200


async def test_an_admin_with_void_passkeys_lets_nobody_in(api: ApiUnderTest) -> None:
    await make_user(api, "root", role="admin")
    async with with_passkey(api, "root") as root:
        assert (await root.http.post("/users/me/password/remove", json={"password": PASSWORD})).status_code == 204
        await make_void(api)
        keys = (await api.http.get("/keys")).json()["items"]
        answers = [await root.http.delete(f"/keys/{key['id']}") for key in keys]
        assert [answer.status_code for answer in answers].count(409) == 1
        assert answers[-1].status_code == 409, "the last key stays"
