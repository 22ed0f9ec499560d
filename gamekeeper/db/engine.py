"""Connects to the database and draws the transaction boundary: repositories never commit, this does.

On SQLite a writing transaction begins IMMEDIATE: one that reads first and writes later would otherwise be refused
in the middle ("database is locked"), whatever the busy timeout.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.event_log import append_pending
from gamekeeper.db.readable import ODD_ROWS
from gamekeeper.db.sqlite import SqliteConnections, configure, sync_log
from gamekeeper.disk import full_disk, nearest_room
from gamekeeper.domain.event.hlc import HybridClock
from gamekeeper.errors import ConflictError, InvalidError, UnavailableError
from gamekeeper.supervised import Supervised

T = TypeVar("T")

SQLITE_CONNECTIONS = 8
CLOSE_SECONDS = 5.0
ANSWER_SECONDS = 60.0  # of a whole transaction; the largest, sums of metrics, take some seconds
DISK_FULL = "53100"  # SQLSTATE


class Database:
    """``read()`` and ``write()`` give a session each; leaving ``write()`` without an error commits it.

    ``odd_rows`` counts the rows that were left out because they can't be read."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._folder = Path(self.url.database or "").absolute().parent if self.is_sqlite else None
        self._opened = SqliteConnections()
        self._engine = _create_engine(url, self._opened if self.is_sqlite else None)
        self._writing = self._engine.execution_options(gamekeeper_writes=True)
        # SQLite has one writer; queueing here is fair, and its own busy handler is not.
        self._one_writer = asyncio.Lock() if self.is_sqlite else None
        self._refused_writes = False
        self.clock = HybridClock()
        self.told: Counter[str] = Counter()  # events of this process, by actor
        self.odd_rows = Supervised("odd_rows")

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        async with _bounded():
            with _translated(self._folder):
                async with self._session(self._engine) as session:
                    yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """Raises ConflictError for a row that exists, InvalidError for a value that no row can hold, and
        UnavailableError when the database is away, full, or too slow to answer."""
        try:
            async with _bounded(), self._one_writer or nullcontext(), self._transaction() as session:
                yield session
        except UnavailableError:
            self._refused_writes = True
            raise
        self._refused_writes = False

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncSession]:
        with _translated(self._folder):
            async with self._session(self._writing) as session, session.begin():
                yield session
                await append_pending(session, self.clock, self.told, takes_lock=not self.is_sqlite)

    def _session(self, engine: AsyncEngine) -> AsyncSession:
        return AsyncSession(engine, expire_on_commit=False, info={ODD_ROWS: self.odd_rows})

    async def ping(self) -> None:
        """Raises UnavailableError unless the database can be read, and can be written as far as is known."""
        async with self.read() as session:
            await (await session.connection()).execute(text("SELECT version_num FROM alembic_version"))
        if self._folder is not None and (room := nearest_room(self._folder)).is_full:
            raise full_disk(f"{room}, and the database is on it")
        if self._refused_writes:  # nobody else may be writing, who would notice that it takes writes again
            async with self.write() as session:
                await (await session.connection()).execute(text("UPDATE alembic_version SET version_num = version_num"))

    async def sync(self) -> None:
        """Returns when all that was committed outlives a power cut. A server's database does that by itself."""
        if self._folder is not None:
            await asyncio.to_thread(sync_log, Path(self.url.database or ""))

    async def close(self) -> None:
        """Waits a moment for queries that outlive their callers. A connection that comes back later is closed then."""
        await _until(lambda: not self._pool.checkedout())
        event.listen(self._engine.sync_engine, "checkin", _close_late)
        await self._engine.dispose()
        await _until(lambda: self._opened.has_ended)

    @property
    def _pool(self) -> AsyncAdaptedQueuePool:
        pool = self._engine.pool
        assert isinstance(pool, AsyncAdaptedQueuePool)
        return pool


def _close_late(_connection: Any, record: ConnectionPoolEntry) -> None:
    """The pool has ended and would forget it, open as it is."""
    record.invalidate()


async def _until(is_done: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + CLOSE_SECONDS
    while not is_done() and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.01)


@asynccontextmanager
async def _bounded() -> AsyncIterator[None]:
    """A server that was stopped, or a lock that nobody gives back, would hold up its callers for ever."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise UnavailableError(f"the database did not answer in {ANSWER_SECONDS:.0f} s", hint="try again") from error


class _translated:
    """The database's errors as ours, once. ``folder`` is that of SQLite's file, None for a server's database."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, IntegrityError):
            raise ConflictError("it exists already, or something still refers to it") from error
        if isinstance(error, DataError):
            raise InvalidError(f"the database takes no such value: {str(error.orig).splitlines()[0]}") from error
        if isinstance(error, PoolTimeoutError):
            text = "the database is too slow: all connections to it are taken"
            raise UnavailableError(text, hint="try again") from error
        if isinstance(error, DBAPIError) and _is_away(error):
            detail = (str(error.orig).splitlines() or [type(error.orig).__name__])[0]
            if _is_full(error, self._folder):
                raise full_disk(f"the database does not take the request: {detail}") from error
            raise UnavailableError(f"the database does not take the request: {detail}", hint="try again") from error


def _is_away(error: DBAPIError) -> bool:
    """True for what passes by itself or by the operator's help: locks, a lost or read-only server, a full disk, a file
    that can't be read. What the statement itself did wrong stays an unexpected error."""
    passing = isinstance(error, OperationalError | InternalError | InterfaceError)
    return passing or error.connection_invalidated or type(error) is DatabaseError


def _is_full(error: DBAPIError, folder: Path | None) -> bool:
    """SQLite calls a full disk by its name only where it writes its main file; elsewhere it is a "disk I/O error"."""
    if folder is not None and "locked" not in str(error.orig):
        return "disk is full" in str(error.orig) or nearest_room(folder).is_full
    return getattr(error.orig, "sqlstate", None) == DISK_FULL


def _create_engine(url: str, sqlite: SqliteConnections | None) -> AsyncEngine:
    if sqlite is None:
        return create_async_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=10)
    opens = {"async_creator_fn": sqlite.open}
    engine = create_async_engine(url, pool_size=SQLITE_CONNECTIONS, max_overflow=0, connect_args=opens)
    event.listen(engine.sync_engine, "connect", configure)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("gamekeeper_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
