"""``user passkey`` against a real api; a browser in software adds them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api.rest.passkeys import with_passkey
from tests.api.rest.people import PASSWORD, make_user, token_of
from tests.fakes.passkeys import Browser
from tests.fixtures.api import ApiUnderTest
from tests.gamekeeper.cli.conftest import Command


@pytest.fixture
async def typed(api: ApiUnderTest, tmp_path: Path) -> Command:
    await next(loop for loop in api.process.loops if loop.care.name == "secret_keys").work()  # makes the first key
    await api.serve_rest()
    return Command(api, tmp_path)


async def test_passkeys_are_listed_and_removed(api: ApiUnderTest, typed: Command) -> None:
    await make_user(api)
    async with with_passkey(api) as mia:
        mia.browser = Browser()
        assert (await mia.add("phone")).status_code == 201
        own = ("--api-key", await token_of(api), "user", "passkey")
        assert [line.split()[1] for line in (await typed(*own, "ls")).lines] == ["NAME", "laptop", "phone"]
        found = json.loads((await typed("user", "passkey", "ls", "--user", "mia", "--json")).out)
        assert [(item["name"], item["rp_id"]) for item in found] == [("laptop", "localhost"), ("phone", "localhost")]
        assert (await typed(*own, "rm", "tablet")).code == 4
        assert [(await typed(*own, "rm", *words)).code for words in ((), ("--all",), ("phone", "--all"))] == [2, 2, 2]
        refused = await typed(*own, "rm", "--password-stdin", "phone", given=b"wrong\n")
        assert (refused.code, "the password is wrong" in refused.err) == (2, True)
        removed = await typed(*own, "rm", "--password-stdin", "PHONE", given=f"{PASSWORD}\n".encode())
        assert removed.lines == ["removed phone"], removed.err
        assert (await typed("user", "passkey", "rm", "--user", "mia", found[0]["id"])).lines == ["removed laptop"]
        assert (await typed("user", "passkey", "ls")).code == 2  # the key of a test is nobody's
        await mia.sign_in()
        assert (await mia.add("again")).status_code == 201
        reset = await typed("user", "password", "mia", "--remove-passkeys")
        assert reset.code == 0, reset.err
        assert json.loads((await typed("user", "passkey", "ls", "--user", "mia", "--json")).out) == []
        assert (await typed("user", "passkey", "rm", "--user", "mia", "--all")).code == 0
