"""Refusals of the database become errors of ours: real ones of SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from gamekeeper.db import engine
from gamekeeper.db.engine import Database
from gamekeeper.db.migrate import upgrade
from gamekeeper.db.models import NodeRow
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.errors import UnavailableError
from tests.fixtures.database import TEMPLATE, execute
from tests.hang import HANG_SECONDS

on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


async def add(database: Database, name: str, description: str = "") -> None:
    async with database.write() as session:
        session.add(NodeRow(id=name, name=name, description=description))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


async def test_a_full_disk_of_sqlite_is_told_and_it_goes_on(small_disk: Path) -> None:
    url = f"sqlite+aiosqlite:///{small_disk}/gk.db"
    upgrade(url)
    database = Database(url)
    await database.ping()
    filler = fill(small_disk)
    with pytest.raises(UnavailableError, match="free space there") as caught:
        await add(database, "a", "x" * 100_000)
    assert caught.value.code == "disk_full"
    with pytest.raises(UnavailableError, match="is full"):
        await database.ping()
    filler.unlink()
    await database.ping()
    await add(database, "a", "x" * 100_000)
    await database.close()


async def test_a_disk_that_is_full_before_the_first_query_is_told_too(small_disk: Path) -> None:
    url = f"sqlite+aiosqlite:///{small_disk}/gk.db"
    upgrade(url)
    database = Database(url)
    async with database.read() as session:
        await (await session.connection()).execute(text("SELECT 1"))
    fill(small_disk)
    with pytest.raises(UnavailableError, match="disk I/O error") as caught:
        await add(database, "a", "x" * 100_000)
    assert caught.value.code == "disk_full"
    await database.close()


async def test_a_disk_that_is_almost_full_is_no_longer_well(small_disk: Path) -> None:
    url = f"sqlite+aiosqlite:///{small_disk}/gk.db"
    upgrade(url)
    database = Database(url)
    (small_disk / "filler").write_bytes(bytes(3 * 1024 * 1024))
    await add(database, "a")  # the last bytes may well do for a small one
    with pytest.raises(UnavailableError, match="and the database is on it"):
        await database.ping()
    await database.close()


@pytest.fixture
def small_server_disk(migrated_postgres: str) -> Iterator[tuple[str, Path]]:
    """The URL of a database in a tablespace of its own, and the folder of that."""
    folder, name = Path(tempfile.mkdtemp(prefix="gk-small-")), f"small_{secrets.token_hex(4)}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=0777", "tmpfs", str(folder)], check=True)
    (folder / "space").mkdir()
    shutil.chown(folder / "space", "postgres", "postgres")
    execute(migrated_postgres, f"CREATE TABLESPACE {name} LOCATION '{folder}/space'")
    execute(migrated_postgres, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} TABLESPACE {name}")
    yield f"postgresql+psycopg://gk@{migrated_postgres}/{name}", folder
    execute(migrated_postgres, f"DROP DATABASE {name} WITH (FORCE)")
    execute(migrated_postgres, f"DROP TABLESPACE {name}")
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


async def test_a_full_disk_of_postgresql_is_told_and_it_goes_on(small_server_disk: tuple[str, Path]) -> None:
    url, folder = small_server_disk
    database = Database(url)
    await database.ping()  # the first connection of a database writes a file, and on a full disk there would be none
    filler = fill(folder)

    async def add_many() -> None:
        for number in range(200):  # the first ones find room in what the server has allotted already
            await add(database, f"n{number}", secrets.token_hex(50_000))

    with pytest.raises(UnavailableError, match="free space there") as caught:
        await add_many()
    assert caught.value.code == "disk_full"
    async with database.read() as session:
        assert await NodeRepository(session).statuses() is not None
    filler.unlink()
    await add(database, "again", secrets.token_hex(50_000))
    await database.ping()
    await database.close()


@on_postgresql
async def test_a_server_that_takes_no_writes_is_away_until_it_does(
    database: Database, database_url: str, postgres_server: str
) -> None:
    name = database_url.rpartition("/")[2]
    execute(postgres_server, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(UnavailableError, match="read-only"):
        await add(database, "a")
    with pytest.raises(UnavailableError, match="read-only"):
        await database.ping()
    await database._engine.dispose()  # as its connections are renewed with time
    execute(postgres_server, f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    await database.ping()
    await add(database, "a")


@on_postgresql
async def test_a_server_that_ends_the_connection_is_away(database: Database) -> None:
    with pytest.raises(UnavailableError):
        async with database.write() as session:
            await (await session.connection()).execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    await add(database, "a")


async def test_a_pool_that_is_used_up_is_a_passing_trouble(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database._pool, "_timeout", 0.05)
    release = asyncio.Event()

    async def hold() -> None:
        async with database.read() as session:
            await session.connection()
            await release.wait()

    held = [asyncio.create_task(hold()) for _ in range(40)]
    done, _ = await asyncio.wait(held, return_when=asyncio.FIRST_EXCEPTION)
    release.set()
    errors = [task.exception() for task in done]
    await asyncio.gather(*held, return_exceptions=True)
    assert errors
    assert {type(error) for error in errors} == {UnavailableError}


async def rename(database: Database, name: str) -> None:
    async with database.write() as session:
        (await NodeRepository(session).get("n")).name = name


async def test_a_lock_that_nobody_gives_back_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await add(database, "n")
    holds, let_go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with database.write() as session:
            (await NodeRepository(session).get("n")).name = "held"
            await session.flush()
            holds.set()
            await let_go.wait()

    holder = asyncio.create_task(hold())
    await asyncio.wait_for(holds.wait(), HANG_SECONDS)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "ANSWER_SECONDS", 0.05)
        with pytest.raises(UnavailableError, match="the database did not answer"):
            await rename(database, "other")
    let_go.set()
    await holder
    await rename(database, "other")
    async with database.read() as session:
        assert (await NodeRepository(session).get("n")).name == "other"


@on_postgresql
async def test_a_server_that_stands_still_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of the one connection that is open is stopped; it would hold up its caller for ever."""
    async with database.read() as session:
        pid = (await (await session.connection()).execute(text("SELECT pg_backend_pid()"))).scalar_one()
    os.kill(pid, signal.SIGSTOP)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(engine, "ANSWER_SECONDS", 0.05)
            with pytest.raises(UnavailableError, match="the database did not answer"):
                await asyncio.wait_for(add(database, "n"), HANG_SECONDS)
    finally:
        os.kill(pid, signal.SIGCONT)
    await add(database, "n")


async def test_a_time_limit_of_the_caller_is_its_own(database: Database) -> None:
    with pytest.raises(TimeoutError):
        async with database.read():
            raise TimeoutError
