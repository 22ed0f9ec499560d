"""The rotation of the master keys, on SQLite and PostgreSQL: whole through a kill at any moment, and beside writers."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

import pytest
from sqlmodel import select

from api.services.secret import key_rotation
from api.services.secret.key_rotation import KeyRotation
from api.services.secret.secret import SecretChange, SecretService
from gamekeeper.control_plane.secret.values import OutsideStores, StoredSecretValues
from gamekeeper.db.engine import Database
from gamekeeper.db.models import SecretVersionRow
from gamekeeper.db.repositories.secret import SecretRepository
from gamekeeper.domain.secret.reference import FileReference, Reference
from gamekeeper.domain.secret.scope import EVERYTHING
from gamekeeper.domain.secret.use import SecretUse, UserKind
from gamekeeper.domain.secret.value import SecretValue
from gamekeeper.errors import ConflictError, UnavailableError
from gamekeeper.sealing.key_file import KeyFile

USE = SecretUse(UserKind.RUN_STEP, pipeline="p", node="n")
NAMES = [f"s{number}" for number in range(7)]


class Killed(Exception):
    """The process ends here."""


class MortalKeys(KeyFile):
    """The process ends at the so many-th wrap, or before keys are forgotten."""

    wraps_left = 10**6
    may_forget = True

    async def wrap(self, data_key: bytes, context: bytes):  # type: ignore[no-untyped-def]
        if self.wraps_left == 0:
            raise Killed
        self.wraps_left -= 1
        return await super().wrap(data_key, context)

    async def keep_only(self, needed: Collection[str]) -> list[str]:
        if not self.may_forget:
            raise Killed
        return await super().keep_only(needed)


@pytest.fixture
def keys(tmp_path: Path) -> MortalKeys:
    return MortalKeys(tmp_path / "secrets.key")


@pytest.fixture
def secrets(database: Database, keys: KeyFile) -> SecretService:
    return SecretService(database, keys)


@pytest.fixture
def rotation(database: Database, keys: KeyFile, monkeypatch: pytest.MonkeyPatch) -> KeyRotation:
    monkeypatch.setattr(key_rotation, "BATCH", 2)
    return KeyRotation(database, keys)


async def fill(secrets: SecretService) -> None:
    for name in NAMES:
        for text in ("old", "new"):
            await secrets.set(name, SecretChange(SecretValue(f"{text}-{name}".encode()), EVERYTHING), None)


async def check_all_open(database: Database, keys: KeyFile) -> None:
    values = await StoredSecretValues(database, keys, OutsideStores()).values(NAMES, USE)
    assert values == {name: f"new-{name}".encode() for name in NAMES}


async def key_ids(database: Database) -> set[str]:
    async with database.read() as session:
        return await SecretRepository(session).key_ids()


async def test_all_versions_come_under_the_new_key_and_the_earlier_one_goes(
    database: Database, secrets: SecretService, keys: MortalKeys, rotation: KeyRotation
) -> None:
    await fill(secrets)
    await secrets.set("theirs", SecretChange(Reference(file=FileReference(path="a"))), None)
    before = await keys.current()
    done = await rotation.rotate()
    assert (done.rewrapped, done.left, done.forgotten) == (2 * len(NAMES), [], [before])
    assert await key_ids(database) == {done.key_id} != {before}
    await check_all_open(database, keys)
    await secrets.restore("s1", 1, None)
    again = await rotation.rotate()
    assert (again.rewrapped, again.forgotten) == (2 * len(NAMES) + 1, [done.key_id])


async def test_a_rotation_without_secrets(keys: MortalKeys, rotation: KeyRotation) -> None:
    first = await rotation.rotate()
    assert (first.rewrapped, first.left) == (0, [])
    assert await keys.current() == first.key_id


@pytest.mark.parametrize("wraps", [0, 1, 2, 3, 13])
async def test_a_kill_in_the_middle_loses_nothing_and_the_next_round_goes_on(
    database: Database, secrets: SecretService, keys: MortalKeys, rotation: KeyRotation, wraps: int
) -> None:
    await fill(secrets)
    keys.wraps_left = wraps
    with pytest.raises(Killed):
        await rotation.rotate()
    await check_all_open(database, keys)
    keys.wraps_left = 10**6
    await rotation.go_on()
    assert await key_ids(database) == {await keys.current()}
    assert await keys.keep_only(()) == [], "the earlier key is gone"
    await check_all_open(database, keys)


async def test_a_kill_before_the_earlier_key_is_forgotten(
    database: Database, secrets: SecretService, keys: MortalKeys, rotation: KeyRotation
) -> None:
    await fill(secrets)
    keys.may_forget = False
    with pytest.raises(Killed):
        await rotation.rotate()
    await check_all_open(database, keys)
    keys.may_forget = True
    await rotation.go_on()
    assert await keys.keep_only(()) == []
    await check_all_open(database, keys)


async def test_writers_beside_a_rotation_lose_nothing(
    database: Database, secrets: SecretService, keys: MortalKeys, rotation: KeyRotation
) -> None:
    await fill(secrets)
    other = SecretService(database, KeyFile(keys._path))

    async def write() -> None:
        for number in range(6):
            await other.set(f"w{number}", SecretChange(SecretValue(b"x"), EVERYTHING), None)

    await asyncio.gather(write(), rotation.rotate(), KeyRotation(database, KeyFile(keys._path)).rotate())
    await rotation.go_on()
    values = StoredSecretValues(database, KeyFile(keys._path), OutsideStores())
    assert await values.values([f"w{number}" for number in range(6)], USE) == {f"w{n}": b"x" for n in range(6)}
    await check_all_open(database, keys)
    assert await key_ids(database) == {await keys.current()}


async def test_a_version_that_no_key_opens_keeps_no_other_from_its_new_key(
    database: Database, secrets: SecretService, keys: MortalKeys, rotation: KeyRotation
) -> None:
    await fill(secrets)
    async with database.write() as session:
        row = await session.get(SecretVersionRow, ("s3", 1))
        assert row is not None
        row.wrapped_key = b"\0" * 60
    done = await rotation.rotate()
    assert (done.rewrapped, done.left, done.forgotten) == (2 * len(NAMES) - 1, ["s3 version 1"], [])
    await check_all_open(database, keys)
    await secrets.destroy("s3", 1, None)
    assert len((await rotation.rotate()).forgotten) == 2


async def test_a_round_makes_the_first_key_and_tells_of_a_lost_one(
    database: Database, secrets: SecretService, keys: MortalKeys, rotation: KeyRotation, tmp_path: Path
) -> None:
    await rotation.go_on()
    assert (tmp_path / "secrets.key").stat().st_mode & 0o777 == 0o600
    await fill(secrets)
    (tmp_path / "secrets.key").unlink()
    with pytest.raises(ConflictError, match=r"secrets\.key, the file .* is not there; restore it"):
        await rotation.go_on()
    assert not (tmp_path / "secrets.key").exists()


async def test_a_full_disk_leaves_the_keys_of_before(
    database: Database, secrets: SecretService, keys: MortalKeys, rotation: KeyRotation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(secrets)
    before = await keys.current()

    def full(path: Path, text: str) -> None:
        raise UnavailableError(f"{path} can't be written: No space left on device", hint="free space there")

    with monkeypatch.context() as patched:
        patched.setattr("gamekeeper.sealing.key_file.write_whole", full)
        with pytest.raises(UnavailableError, match="No space left"):
            await rotation.rotate()
    assert await keys.current() == before
    await check_all_open(database, keys)
    async with database.read() as session:
        told = (await session.exec(select(SecretVersionRow.key_id).distinct())).all()
    assert list(told) == [before]
