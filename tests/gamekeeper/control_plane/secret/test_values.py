"""Values of secrets for steps and instances, on SQLite and PostgreSQL: who gets them, and what is noted."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from gamekeeper.actor import set_actor
from gamekeeper.control_plane.secret.values import MAX_NAMES, OutsideStores, StoredSecretValues
from gamekeeper.db.engine import Database
from gamekeeper.db.models import EventRow, SecretRow, SecretVersionRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.domain.secret.reference import Reference
from gamekeeper.domain.secret.scope import EVERYTHING, SecretScope
from gamekeeper.domain.secret.use import SecretUse, UserKind
from gamekeeper.domain.secret.value import SecretValue
from gamekeeper.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, UnavailableError
from gamekeeper.ports.secret_values import SecretValues
from gamekeeper.sealing.envelope import Place, seal
from gamekeeper.sealing.key_file import KeyFile

STEP = SecretUse(UserKind.RUN_STEP, pipeline="deploy", step="build", run="r1", node="gpu-1")
CANARY = b"canary-91c4"


class Clock:
    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        return self.now


class Shelf:
    """A store of somebody else."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.read_paths: list[str] = []

    async def read(self, reference: Reference) -> SecretValue:
        self.read_paths.append(str(reference))
        if self.error is not None:
            raise self.error
        return SecretValue(CANARY)


@pytest.fixture
async def keys(tmp_path: Path) -> KeyFile:
    made = KeyFile(tmp_path / "secrets.key")
    await made.ensure(())
    return made


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stored(database: Database, keys: KeyFile, shelf: Shelf, clock: Clock) -> StoredSecretValues:
    return StoredSecretValues(database, keys, OutsideStores(vault=shelf), clock)


async def add(
    database: Database,
    keys: KeyFile,
    name: str,
    value: bytes = CANARY,
    scope: SecretScope = EVERYTHING,
    **version: Any,
) -> None:
    row = SecretRow(name=name, current=1, scope=scope.model_dump())
    if "reference" not in version:
        sealed = await seal(keys, value, Place(row.id, name, 1))
        version |= {"key_id": sealed.key.key_id, "wrapped_key": sealed.key.data, "data": sealed.data}
    async with database.write() as session:
        session.add(row)
        await session.flush()
        session.add(SecretVersionRow(secret_name=name, number=1, **version))


async def told(database: Database) -> list[EventRow]:
    async with database.read() as session:
        return list((await session.exec(select(EventRow).order_by(col(EventRow.seq)))).all())


async def row_of(database: Database, name: str) -> SecretRow:
    async with database.read() as session:
        found = await session.get(SecretRow, name)
    assert found is not None
    return found


async def test_a_value_is_given_and_the_use_is_noted(
    database: Database, keys: KeyFile, stored: SecretValues, clock: Clock
) -> None:
    set_actor("agent:gpu-1")
    await add(database, keys, "s3-key")
    await add(database, keys, "binary", b"\0\xff")
    assert await stored.values(["s3-key", "binary", "s3-key"], STEP) == {"s3-key": CANARY, "binary": b"\0\xff"}
    assert await stored.values([], STEP) == {}
    (event,) = await told(database)
    assert (event.kind, event.actor, event.node, event.run, event.step) == (
        "secret.read",
        "agent:gpu-1",
        "gpu-1",
        "r1",
        "build",
    )
    assert event.data == {"secrets": ["binary", "s3-key"], "pipeline": "deploy"}
    row = await row_of(database, "s3-key")
    assert row.last_used_at == clock.now
    assert row.last_used_by == 'step "build" of pipeline "deploy" on node "gpu-1"'


async def test_the_same_use_is_noted_once_a_minute_and_another_ones_at_once(
    database: Database, keys: KeyFile, stored: SecretValues, clock: Clock
) -> None:
    await add(database, keys, "s3-key")
    begun = clock.now
    for _ in range(3):
        await stored.values(["s3-key"], STEP)
        clock.now += timedelta(seconds=10)
    assert len(await told(database)) == 1
    assert (await row_of(database, "s3-key")).last_used_at == begun
    await stored.values(
        ["s3-key"], SecretUse(UserKind.RUN_STEP, pipeline="deploy", step="build", run="r2", node="gpu-1")
    )
    assert len(await told(database)) == 2
    clock.now = begun + timedelta(minutes=1)
    await stored.values(["s3-key"], STEP)
    assert len(await told(database)) == 3
    assert (await row_of(database, "s3-key")).last_used_at == clock.now


async def test_who_may_not_have_one_of_them_gets_none(database: Database, keys: KeyFile, stored: SecretValues) -> None:
    await add(database, keys, "open")
    await add(database, keys, "closed", scope=SecretScope(pipelines=["deploy"], nodes=["edge-*"]))
    await add(database, keys, "nobodys", scope=SecretScope())
    with pytest.raises(ForbiddenError, match=r'"closed" may not be had by step "build" .* on node "gpu-1"; an admin'):
        await stored.values(["open", "closed"], STEP)
    with pytest.raises(ForbiddenError, match='"nobodys" may not be had'):
        await stored.values(["nobodys"], STEP)
    with pytest.raises(NotFoundError, match='there is no secret "missing"; gamekeeper secret set missing'):
        await stored.values(["missing", "open"], STEP)
    with pytest.raises(ForbiddenError, match='"open" may not be had'):
        await stored.values(["open"], SecretUse(UserKind.RUN_STEP, pipeline="deploy"))
    assert await told(database) == []


async def test_a_submission_is_told_what_would_be_refused(
    database: Database, keys: KeyFile, stored: SecretValues
) -> None:
    await add(database, keys, "open")
    await add(database, keys, "placed", scope=SecretScope(pipelines=["deploy"], nodes=["edge-*"]))
    await add(database, keys, "others", scope=SecretScope(pipelines=["other"]))
    names = ["open", "placed", "others", "missing"]
    unplaced = SecretUse(UserKind.RUN_STEP, pipeline="deploy")
    found = await stored.troubles(names, unplaced)
    assert {name: type(error) for name, error in found.items()} == {"others": ForbiddenError, "missing": NotFoundError}
    assert set(await stored.troubles(names, STEP)) == {"placed", "others", "missing"}


async def test_a_row_that_was_put_in_the_place_of_another_is_not_opened(
    database: Database, keys: KeyFile, stored: SecretValues
) -> None:
    await add(database, keys, "mine")
    await add(database, keys, "theirs")
    async with database.write() as session:
        mine, theirs = [await session.get(SecretVersionRow, (name, 1)) for name in ("mine", "theirs")]
        assert mine is not None
        assert theirs is not None
        mine.data, mine.wrapped_key = theirs.data, theirs.wrapped_key
    with pytest.raises(ConflictError, match=r'the secret "mine" can\'t be had: the master key'):
        await stored.values(["mine"], STEP)
    assert await stored.values(["theirs"], STEP) == {"theirs": CANARY}


async def test_a_secret_that_was_made_again_does_not_open_what_was_before(
    database: Database, keys: KeyFile, stored: SecretValues
) -> None:
    await add(database, keys, "mine")
    async with database.write() as session:
        row = await session.get(SecretRow, "mine")
        assert row is not None
        row.id = "another"
    with pytest.raises(ConflictError, match="does not open it"):
        await stored.values(["mine"], STEP)


async def test_a_lost_key_file_is_told_by_its_name(
    database: Database, keys: KeyFile, stored: SecretValues, tmp_path: Path
) -> None:
    await add(database, keys, "s3-key")
    (tmp_path / "secrets.key").rename(tmp_path / "elsewhere")
    with pytest.raises(ConflictError, match=r'"s3-key" can\'t be had: .*secrets\.key, the file .* restore it'):
        await stored.values(["s3-key"], STEP)
    (tmp_path / "elsewhere").rename(tmp_path / "secrets.key")
    assert await stored.values(["s3-key"], STEP) == {"s3-key": CANARY}


async def test_a_version_that_is_gone_is_told(database: Database, keys: KeyFile, stored: SecretValues) -> None:
    await add(database, keys, "gone", destroyed_at=utc_now())
    with pytest.raises(ConflictError, match="current version is not there; gamekeeper secret set gone"):
        await stored.values(["gone"], STEP)


async def test_a_row_of_a_newer_version_is_told(database: Database, keys: KeyFile, stored: SecretValues) -> None:
    await add(database, keys, "newer")
    async with database.write() as session:
        row = await session.get(SecretRow, "newer")
        assert row is not None
        row.scope = {"continents": ["*"]}
    with pytest.raises(ConflictError, match='the scope of the secret "newer" can\'t be read by this version'):
        await stored.values(["newer"], STEP)


async def test_a_value_of_another_store(database: Database, keys: KeyFile, stored: SecretValues, shelf: Shelf) -> None:
    await add(database, keys, "theirs", reference={"vault": {"path": "app/db", "key": "password"}})
    await add(database, keys, "nowhere", reference={"file": {"path": "db"}})
    await add(database, keys, "odd", reference={"cloud": {}})
    assert await stored.values(["theirs"], STEP) == {"theirs": CANARY}
    assert shelf.read_paths == ["vault:app/db#password"]
    with pytest.raises(ConflictError, match="the api knows none; give the api GAMEKEEPER_SECRETS_DIR"):
        await stored.values(["nowhere"], STEP)
    with pytest.raises(ConflictError, match='the reference of the secret "odd" can\'t be read'):
        await stored.values(["odd"], STEP)
    shelf.error = UnavailableError("it does not answer", hint="look there")
    with pytest.raises(UnavailableError, match='the secret "theirs" can\'t be had: it does not answer; look there'):
        await stored.values(["theirs"], STEP)
    shelf.error = NotFoundError("there is no such path")
    with pytest.raises(ConflictError, match="there is no such path"):
        await stored.values(["theirs"], STEP)


async def test_a_refused_user_reaches_no_other_store(
    database: Database, keys: KeyFile, stored: SecretValues, shelf: Shelf
) -> None:
    reference = {"vault": {"path": "app/db", "key": "password"}}
    await add(database, keys, "theirs", scope=SecretScope(pipelines=["other"]), reference=reference)
    with pytest.raises(ForbiddenError):
        await stored.values(["theirs"], STEP)
    assert shelf.read_paths == []


async def test_a_database_that_takes_no_writes_keeps_nobody_from_a_value(
    database: Database, keys: KeyFile, stored: StoredSecretValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(database, keys, "s3-key")

    def full() -> None:
        raise UnavailableError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(database, "write", full)
        assert await stored.values(["s3-key"], STEP) == {"s3-key": CANARY}
    assert stored.care.failures == 1
    assert await told(database) == []
    await stored.values(["s3-key"], STEP)
    assert len(await told(database)) == 1, "it is noted once the database takes writes again"


async def test_many_users_of_the_same_secrets_at_once_are_all_noted(
    database: Database, keys: KeyFile, stored: StoredSecretValues
) -> None:
    names = [f"s{number}" for number in range(12)]
    for name in names:
        await add(database, keys, name)
    uses = [SecretUse(UserKind.RUN_STEP, pipeline="deploy", run=f"r{number}", node="gpu-1") for number in range(12)]
    found = await asyncio.gather(*(stored.values(names, use) for use in uses))
    assert found == [dict.fromkeys(names, CANARY)] * 12
    assert stored.care.failures == 0
    assert sorted(event.run for event in await told(database)) == sorted(use.run for use in uses)


async def test_many_at_once(database: Database, keys: KeyFile, stored: SecretValues) -> None:
    await add(database, keys, "s3-key")
    found = await asyncio.gather(*(stored.values(["s3-key"], STEP) for _ in range(20)))
    assert found == [{"s3-key": CANARY}] * 20
    with pytest.raises(InvalidError, match="the limit is 200"):
        await stored.values([str(number) for number in range(MAX_NAMES + 1)], STEP)
