"""Brings the database to this version's schema, and tells others when it is there."""

from __future__ import annotations

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from gamekeeper.backoff import Backoff
from gamekeeper.errors import UnavailableError
from gamekeeper.logging import get_logger

log = get_logger(__name__)

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK_KEY = 4_207_001  # any number, the same in every api process


def sync_url(url: str) -> str:
    """Alembic works synchronously; psycopg serves both ways, SQLite changes its driver."""
    return url.replace("sqlite+aiosqlite", "sqlite")


def alembic_config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def upgrade(url: str) -> None:
    """Idempotent; on PostgreSQL two api processes that start together take turns.

    Raises UnavailableError when the database is away or full.
    """
    engine = create_engine(sync_url(url))
    try:
        with engine.begin() as connection:
            if make_url(url).get_backend_name() == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"))
            command.upgrade(alembic_config(connection), "head")
    except OperationalError as error:
        detail = str(error.orig).splitlines()[0]
        raise UnavailableError(f"the database does not take its schema: {detail}", hint="try again") from error
    finally:
        engine.dispose()


def is_current(url: str) -> bool:
    """True when the schema is this version's. Raises when the database does not answer."""
    engine = create_engine(sync_url(url))
    try:
        with engine.connect() as connection:
            revision = MigrationContext.configure(connection).get_current_revision()
            return revision == ScriptDirectory.from_config(alembic_config(connection)).get_current_head()
    finally:
        engine.dispose()


async def wait_until_current(url: str) -> None:
    """The api process migrates the database; until it has, there is nothing for other processes to read."""
    backoff = Backoff(initial=0.1, maximum=2)
    while True:
        try:
            if await asyncio.to_thread(is_current, url):
                return
            log.info("waiting for the api process to migrate the database")
        except (SQLAlchemyError, OSError) as error:
            log.warning("the database does not answer yet: %s", str(error).splitlines()[0])
        await asyncio.sleep(backoff.next_delay())
