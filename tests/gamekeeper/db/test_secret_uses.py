"""The users of a secret: open runs, and current revisions of instances, on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest
from sqlmodel import select

from gamekeeper.db.engine import Database
from gamekeeper.db.models import InstanceRow, RunRow, SecretUseRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.secret_use import SecretUseRepository
from gamekeeper.domain.run.run import RunState


@pytest.fixture
async def used(database: Database) -> Database:
    async with database.write() as session:
        session.add(RunRow(id="open", pipeline="p", state=RunState.RUNNING))
        session.add(RunRow(id="ended", pipeline="p", state=RunState.FAILED))
        session.add(InstanceRow(id="arena", node_id="n", revision=2))
        session.add(InstanceRow(id="gone", node_id="n", revision=1, deleted_at=utc_now()))
        uses = SecretUseRepository(session)
        for run in ("open", "ended"):
            await uses.note_run(run, ["s3-key", "other"])
        await uses.note_revision("arena", 1, ["old"])
        await uses.note_revision("arena", 2, ["s3-key"])
        await uses.note_revision("gone", 1, ["s3-key"])
    return database


async def users_of(database: Database, name: str, limit: int = 10) -> list[str]:
    async with database.read() as session:
        return await SecretUseRepository(session).of(name, limit)


async def test_open_runs_and_current_revisions_use_a_secret(used: Database) -> None:
    assert await users_of(used, "s3-key") == ["instance arena", "run open"]
    assert await users_of(used, "s3-key", limit=1) == ["instance arena"]
    assert await users_of(used, "old") == []
    assert await users_of(used, "nobodys") == []


async def test_an_instance_that_goes_back_to_a_revision_uses_its_secrets_again(used: Database) -> None:
    async with used.write() as session:
        row = await session.get(InstanceRow, "arena")
        assert row is not None
        row.revision = 1
    assert await users_of(used, "old") == ["instance arena"]
    assert await users_of(used, "s3-key") == ["run open"]


async def test_what_is_noted_again_takes_the_place_of_what_was(used: Database) -> None:
    async with used.write() as session:
        await SecretUseRepository(session).note_run("open", ["s3-key"])
        await SecretUseRepository(session).note_run("open", [])
    assert await users_of(used, "s3-key") == ["instance arena"]
    assert await users_of(used, "other") == []


async def test_what_has_ended_is_forgotten(used: Database) -> None:
    async with used.write() as session:
        await SecretUseRepository(session).forget_ended()
    async with used.read() as session:
        left = (await session.exec(select(SecretUseRow.owner).distinct())).all()
    assert set(left) == {"open", "arena"}
    assert await users_of(used, "old") == []
    assert await users_of(used, "s3-key") == ["instance arena", "run open"]
