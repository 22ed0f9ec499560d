"""The admin key of a start: one that has ended gives way to a new one in its file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from api.given_key import ensure_given_key
from gamekeeper.errors import InvalidError, UnauthenticatedError
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest

GIVEN = "gk_given-key-of-at-least-32-characters"


async def end(api: ApiUnderTest, secret: str) -> None:
    keys, ring = api.process.services.keys, api.process.services.key_ring
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
    own = await api.process.services.keys.authenticate(f"Bearer {GIVEN}", "")
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


async def test_no_key_makes_none(api: ApiUnderTest) -> None:
    before = (await api.http.get("/keys")).json()
    await ensure_given_key(api.process.services.key_ring, "", None)
    assert (await api.http.get("/keys")).json()["items"][0]["id"] == before["items"][0]["id"]
    with pytest.raises(UnauthenticatedError):
        await api.process.services.keys.authenticate("Bearer ", "")
