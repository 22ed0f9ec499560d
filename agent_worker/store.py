"""SQLite on the agent's own disk, for the journal and the spool: each call short, from any thread, one at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gamekeeper.errors import UnavailableError

# A long write-ahead log, because most of what is written is deleted before it is written back.
_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "wal_autocheckpoint=2000")


class Store:
    """One file; ``transaction()`` gives its connection and commits. Raises UnavailableError like that one."""

    def __init__(self, path: Path, schema: str, page_bytes: int = 4096) -> None:
        """A new file has pages of ``page_bytes``: each that a transaction touches is written whole."""
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            for pragma in (f"page_size={page_bytes}", *_PRAGMAS):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.executescript(schema)
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError(f"{path} can't be opened: {error}", hint=f"free space in {path.parent}") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Raises UnavailableError that names the file when its disk is full or does not take the write."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._roll_back()
                raise UnavailableError(
                    f"{self.path} does not take a write: {error}", hint=f"free space in {self.path.parent}"
                ) from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        with self._lock:
            self._connection.close()
