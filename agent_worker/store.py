"""SQLite on the agent's own disk, for the journals and the spool: each call short, from any thread, one at a time.

A machine that loses its power may leave a file that can't be read any more. An agent that refused to start for it
would leave its node without any care, so such a file is set aside, and another one begun: what it held is learnt anew
from the engine and the control plane.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gamekeeper.errors import UnavailableError
from gamekeeper.logging import get_logger

log = get_logger(__name__)

# A long write-ahead log, because most of what is written is deleted before it is written back.
_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "wal_autocheckpoint=2000")
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_CHECKED_BYTES = 64 * 1024**2  # a look at all of a larger file would hold up the start; its damage is found when read


class Store:
    """One file; ``transaction()`` gives its connection and commits. Raises UnavailableError like that one.

    ``begun_anew`` is called when a damaged file was set aside later than at the start.
    """

    def __init__(
        self, path: Path, schema: str, page_bytes: int = 4096, begun_anew: Callable[[], None] = lambda: None
    ) -> None:
        """A new file has pages of ``page_bytes``: each that a transaction touches is written whole."""
        self.path = path
        self._schema = schema
        self._page_bytes = page_bytes
        self._begun_anew = begun_anew
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._open()
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError(f"{path} can't be opened: {error}", hint=f"free space in {path.parent}") from error

    def _open(self) -> sqlite3.Connection:
        """Raises sqlite3.Error and OSError."""
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._set_aside(error)
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        try:
            for pragma in (f"page_size={self._page_bytes}", *_PRAGMAS):
                connection.execute(f"PRAGMA {pragma}")
            if self.path.stat().st_size <= _CHECKED_BYTES:
                _check(connection)
            connection.executescript(self._schema)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self, error: sqlite3.Error) -> None:
        """The newest damaged file is kept, for whoever wants to look into it."""
        aside = self.path.with_name(f"{self.path.name}.damaged")
        log.error("%s is damaged (%s): it is kept as %s, and another one is begun", self.path, error, aside.name)
        for end in ("-wal", "-shm"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        self.path.replace(aside)

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """A ``durable`` one outlives a power cut once it is over, for the price of a wait for the disk; the newest of
        the others may be gone then. Raises UnavailableError that names the file when its disk is full or does not take
        the write, or when the file was damaged and had to be begun anew."""
        with self._lock:
            try:
                self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._roll_back()
                if _is_damage(error):
                    self._begin_anew(error)
                    raise UnavailableError(f"{self.path} is damaged, and is begun anew: {error}") from error
                raise UnavailableError(
                    f"{self.path} does not take a write: {error}", hint=f"free space in {self.path.parent}"
                ) from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _begin_anew(self, error: sqlite3.Error) -> None:
        self._connection.close()
        with suppress(sqlite3.Error, OSError):  # the next call tells of it
            self._set_aside(error)
            self._connection = self._connect()
            self._begun_anew()

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _check(connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        error = sqlite3.DatabaseError(found)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _is_damage(error: sqlite3.Error) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _DAMAGED
