"""The admin key of a start: one that has ended gives way to a new one in its file."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from api.given_key import ensure_given_key
from api.services.access.changing import Changes
from api.services.access.key_ring import KeyRing
from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.errors import InvalidError, UnauthenticatedError
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest

GIVEN = "gk_given-key-of-at-least-32-characters"


async def end(api: ApiUnderTest, secret: str) -> None:
    keys, ring = api.process.services.callers, api.process.services.key_ring
    ended = await keys.authenticate(f"Bearer {secret}", "")
    await ring.revoke(await keys.authenticate(f"Bearer {ADMIN_KEY}", ""), ended.id)


async def opens(api: ApiUnderTest, secret: str) -> bool:
    answer = await api.anonymous.get("/api/v1/whoami", headers={"Authorization": f"Bearer {secret}"})
    return answer.status_code == 200


async def test_a_revoked_key_gives_way_to_a_new_one_in_its_file(
    api: ApiUnderTest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ring, file = api.process.services.key_ring, tmp_path / "admin.key"
    file.write_text(GIVEN + "\n")
    await ensure_given_key(ring, "", file)
    await ensure_given_key(ring, "", file)
    assert (file.read_text(), await opens(api, GIVEN)) == (GIVEN + "\n", True)
    await end(api, GIVEN)
    await ensure_given_key(ring, "", file)
    fresh = file.read_text().strip()
    assert (await opens(api, fresh), await opens(api, GIVEN)) == (True, False)
    assert file.stat().st_mode & 0o777 == 0o600
    assert f"a new one is there now: {file}" in caplog.text or f"admin key in {file} was revoked" in caplog.text
    assert fresh not in caplog.text


async def test_a_secret_that_was_rotated_out_gives_way_as_well(api: ApiUnderTest, tmp_path: Path) -> None:
    ring, file = api.process.services.key_ring, tmp_path / "admin.key"
    file.write_text(GIVEN)
    await ensure_given_key(ring, "", file)
    own = await api.process.services.callers.authenticate(f"Bearer {GIVEN}", "")
    await ring.rotate(own, own.id, timedelta())
    await ensure_given_key(ring, "", file)
    assert file.read_text() != GIVEN
    assert await opens(api, file.read_text().strip())


async def test_a_revoked_key_of_the_environment_stays_so(api: ApiUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    ring = api.process.services.key_ring
    await ensure_given_key(ring, GIVEN, None)
    await end(api, GIVEN)
    await ensure_given_key(ring, GIVEN, None)
    assert not await opens(api, GIVEN)
    assert "give another one" in caplog.text


async def test_a_short_key_is_refused(api: ApiUnderTest) -> None:
    with pytest.raises(InvalidError, match="shorter than 32"):
        await ensure_given_key(api.process.services.key_ring, "short", None)


async def test_a_file_without_a_key_gets_one(api: ApiUnderTest, tmp_path: Path) -> None:
    file = tmp_path / "admin.key"
    file.write_text("\n")
    await ensure_given_key(api.process.services.key_ring, "", file)
    assert await opens(api, file.read_text().strip())


async def test_a_file_that_can_not_be_read_is_told(api: ApiUnderTest, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff" * 64)
    for file in (tmp_path, tmp_path / "binary"):
        with pytest.raises(InvalidError, match="can't be read"):
            await ensure_given_key(api.process.services.key_ring, "", file)


@pytest.mark.parametrize("key", ["a" * 64, "0123456789abcdef 0123456789abcdef", "пароль-пароль-пароль-пароль-пароль"])
async def test_a_key_that_could_be_guessed_or_not_sent_is_refused(api: ApiUnderTest, tmp_path: Path, key: str) -> None:
    ring, file = api.process.services.key_ring, tmp_path / "admin.key"
    with pytest.raises(InvalidError, match="GAMEKEEPER_ADMIN_KEY") as of_environment:
        await ensure_given_key(ring, key, None)
    file.write_text(key)
    with pytest.raises(InvalidError, match=str(file)) as of_file:
        await ensure_given_key(ring, "", file)
    assert key not in f"{of_environment.value}{of_file.value}"
    assert file.read_text() == key


async def test_spaces_around_a_key_do_not_count(api: ApiUnderTest) -> None:
    await ensure_given_key(api.process.services.key_ring, f" {GIVEN}\n", None)
    assert await opens(api, GIVEN)


async def test_starts_that_share_a_file_make_one_key(api: ApiUnderTest, database_url: str, tmp_path: Path) -> None:
    """A good key that is in no file would be nobody's, and would let the last one of somebody be revoked."""
    other, file = Database(database_url), tmp_path / "admin.key"
    file.write_text(GIVEN)
    await ensure_given_key(api.process.services.key_ring, "", file)
    await end(api, GIVEN)
    await asyncio.gather(
        ensure_given_key(api.process.services.key_ring, "", file),
        ensure_given_key(KeyRing(other, Changes(other, lambda: None)), "", file),
    )
    await other.close()
    assert await opens(api, file.read_text().strip())
    good = [item["name"] for item in (await api.http.get("/keys")).json()["items"] if item["state"] == "good"]
    assert sorted(good) == ["admin", "admin-2"]


async def test_a_start_that_leaves_nobody_in_says_so(
    api: ApiUnderTest, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ring, missing = api.process.services.key_ring, tmp_path / "missing.key"
    await ensure_given_key(ring, "", missing)
    assert "nobody can call" not in caplog.text
    own = await api.process.services.callers.authenticate(f"Bearer {ADMIN_KEY}", "")
    async with database.write() as session:
        await KeyRepository(session).delete([own.id])
    await ensure_given_key(ring, "", missing)
    assert "nobody can call" in caplog.text


async def test_no_key_makes_none(api: ApiUnderTest) -> None:
    before = (await api.http.get("/keys")).json()
    await ensure_given_key(api.process.services.key_ring, "", None)
    assert (await api.http.get("/keys")).json()["items"][0]["id"] == before["items"][0]["id"]
    with pytest.raises(UnauthenticatedError):
        await api.process.services.callers.authenticate("Bearer ", "")
