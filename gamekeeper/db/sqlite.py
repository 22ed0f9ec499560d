"""Opens SQLite's connections and knows their threads. A thread outlives a caller that was cancelled, and it can't
report to an event loop that is closed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any
from weakref import WeakSet

import aiosqlite

BUSY_TIMEOUT_MS = 10_000


class SqliteConnections:
    def __init__(self) -> None:
        self._threads = WeakSet[Thread]()

    def open(self, *arguments: Any, **options: Any) -> aiosqlite.Connection:
        """The driver's connection, which opens when it is awaited."""
        connection = aiosqlite.connect(*arguments, **options)
        connection._thread.daemon = True  # SQLAlchemy's own way of opening: a process ends though a query goes on
        self._threads.add(connection._thread)
        return connection

    @property
    def has_ended(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)


def sync_log(database: Path) -> None:
    """Brings all that was committed to the disk. Commits alone are written there seldom, and a power cut takes back the
    newest; a checkpoint syncs what it takes out of the log. The database's own file is left alone: to close it here
    would end the locks of this process."""
    with suppress(FileNotFoundError), database.with_name(f"{database.name}-wal").open("rb") as log:
        os.fsync(log.fileno())


def configure(connection: Any, _record: Any) -> None:
    """For the pool's ``connect`` event."""
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
