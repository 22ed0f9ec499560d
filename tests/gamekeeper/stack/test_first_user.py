"""The first user that a start makes, by a real api."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from gamekeeper.errors import UnavailableError
from gamekeeper.stack.first_user import make_first_user
from gamekeeper.stack.layout import Ports, StackRecord, StateDir
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest


@pytest.fixture
async def place(api: ApiUnderTest, tmp_path: Path) -> tuple[StateDir, StackRecord]:
    await api.serve_rest()
    state = StateDir(tmp_path / "state")
    state.prepare()
    state.key_file.write_text(ADMIN_KEY)
    return state, StackRecord(ports=Ports(rest=api.rest_port, grpc=1, temporal=2, temporal_ui=3))


async def test_the_first_user_is_made_once(api: ApiUnderTest, place: tuple[StateDir, StackRecord]) -> None:
    password = await asyncio.to_thread(make_first_user, *place)
    body = {"name": "admin", "password": password, "keeps": "token"}
    signed_in = await api.anonymous.post("/api/v1/sign-in", json=body)
    assert signed_in.status_code == 200, signed_in.text
    users = (await api.http.get("/users")).json()["items"]
    assert [(user["name"], user["role"], user["must_change"]) for user in users] == [("admin", "admin", False)]
    assert await asyncio.to_thread(make_first_user, *place) == ""
    assert (await api.http.delete(f"/users/{users[0]['id']}")).status_code == httpx.codes.NO_CONTENT
    assert await asyncio.to_thread(make_first_user, *place) == ""  # whoever was removed stays so


async def test_where_there_is_a_user_none_is_made(api: ApiUnderTest, place: tuple[StateDir, StackRecord]) -> None:
    assert (await api.http.post("/users", json={"name": "mia"})).status_code == 201
    assert await asyncio.to_thread(make_first_user, *place) == ""
    assert len((await api.http.get("/users")).json()["items"]) == 1


async def test_a_key_that_has_ended_makes_none(api: ApiUnderTest, place: tuple[StateDir, StackRecord]) -> None:
    place[0].key_file.write_text("gk_another-key-of-at-least-32-characters")
    with pytest.raises(UnavailableError, match="401"):
        await asyncio.to_thread(make_first_user, *place)
    assert not place[0].first_user_file.exists()
