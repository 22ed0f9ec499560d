"""Closing the database: no connection stays open behind it, and none of its threads outlives it."""

import asyncio
import gc
import threading
import warnings

import pytest
from sqlalchemy import text

from gamekeeper.db import engine
from gamekeeper.db.engine import Database


async def select_one(database: Database) -> None:
    async with database.read() as session:
        await (await session.connection()).execute(text("SELECT 1"))


async def test_a_connection_that_comes_back_late_is_closed(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CLOSE_SECONDS", 0.01)
    database = Database(database_url)
    async with database.read() as session:
        await (await session.connection()).execute(text("SELECT 1"))
        await database.close()
    del database
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(warning.message) for warning in told] == []


async def test_no_thread_outlives_it_after_a_cancel(database_url: str) -> None:
    """The reader is cancelled after each number of turns of the event loop, so also while its connection opens."""
    for turns in range(1, 30):
        before = set(threading.enumerate())
        database = Database(database_url)
        reader = asyncio.create_task(select_one(database))
        for _ in range(turns):
            await asyncio.sleep(0)
        reader.cancel()
        await asyncio.wait([reader])
        await database.close()
        assert set(threading.enumerate()) <= before, f"cancelled after {turns} turns"
