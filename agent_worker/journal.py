"""The journal of the agent: the deliveries that it took, the containers that it started, and results not told yet.

Task tokens survive a kill. On the next start each is failed with an immediate retry, so that Temporal hands the step
out again within a third of a second, and the step attaches to its container; without it the step would wait for the
heartbeat timeout. Where the result is here already, it is told instead.
"""

from __future__ import annotations

import time
from pathlib import Path

from agent_worker.store import Store
from gamekeeper.domain.container.container_key import ContainerKey, StepKey
from gamekeeper.errors import UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.ports.node_agent import Begun
from gamekeeper.temporal.signed_inputs import SIGNED_SECONDS

log = get_logger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (token BLOB PRIMARY KEY, key TEXT NOT NULL, returned_at REAL);
CREATE TABLE IF NOT EXISTS tries (key TEXT PRIMARY KEY, begun_at REAL NOT NULL, container_id TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS answers (token BLOB PRIMARY KEY, result TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS spent (key TEXT PRIMARY KEY, until REAL NOT NULL);
CREATE TABLE IF NOT EXISTS faults (key TEXT PRIMARY KEY, count INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS returned_deliveries ON deliveries (returned_at) WHERE returned_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS spent_by_end ON spent (until);
"""
_TRY = """SELECT begun_at, container_id, text, until FROM tries
          LEFT JOIN faults USING (key) LEFT JOIN spent USING (key) WHERE key = ?"""
_UNANSWERED = "SELECT token FROM deliveries WHERE token NOT IN (SELECT token FROM answers)"
ANSWER_GRACE_SECONDS = 60.0
SPENT_SECONDS = SIGNED_SECONDS + 86_400.0  # longer than any delivery of it can be good


class SqliteJournal:
    """Journal on a file. ``clock`` gives Unix seconds."""

    def __init__(self, path: Path) -> None:
        self._store = Store(path, _SCHEMA)

    def begin(self, key: StepKey, task_token: bytes) -> Begun:
        """A try that is known here goes on when the disk is full: then a kill of the agent costs it the heartbeat
        timeout, and nothing else. A new one must be recorded. Raises UnavailableError."""
        now = time.time()
        try:
            with self._store.transaction() as db:
                db.execute("DELETE FROM deliveries WHERE returned_at < ?", (now - ANSWER_GRACE_SECONDS,))
                db.execute("INSERT OR REPLACE INTO deliveries VALUES (?, ?, NULL)", (task_token, str(key)))
                new = db.execute("INSERT OR IGNORE INTO tries (key, begun_at) VALUES (?, ?)", (str(key), now)).rowcount
                row = db.execute(_TRY, (str(key),)).fetchone()
        except UnavailableError as error:
            with self._store.transaction() as db:
                row, new = db.execute(_TRY, (str(key),)).fetchone(), 0
            if row is None:
                raise
            log.warning("a delivery of step %s is not journaled: %s", key, error)
        return Begun(at=row[0], container_id=row[1], fault=row[2] or "", again=not new, is_over=bool(row[3]))

    def took(self, key: ContainerKey, task_token: bytes) -> None:
        """A delivery of something that is no step: its work has a journal of its own."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM deliveries WHERE returned_at < ?", (time.time() - ANSWER_GRACE_SECONDS,))
            db.execute("INSERT OR REPLACE INTO deliveries VALUES (?, ?, NULL)", (task_token, str(key)))

    def record_container(self, key: StepKey, container_id: str) -> None:
        with self._store.transaction() as db:
            db.execute("UPDATE tries SET container_id = ? WHERE key = ?", (container_id, str(key)))

    def record_fault(self, key: StepKey, text: str) -> int:
        with self._store.transaction() as db:
            db.execute("UPDATE tries SET container_id = '' WHERE key = ?", (str(key),))
            db.execute("INSERT OR IGNORE INTO faults VALUES (?, 0, '')", (str(key),))
            db.execute("UPDATE faults SET count = count + 1, text = ? WHERE key = ?", (text, str(key)))
            count = db.execute("SELECT count FROM faults WHERE key = ?", (str(key),)).fetchone()[0]
        return int(count)

    def returned(self, task_token: bytes) -> None:
        with self._store.transaction() as db:
            db.execute("UPDATE deliveries SET returned_at = ? WHERE token = ?", (time.time(), task_token))

    def keep_answer(self, task_token: bytes, result: str) -> None:
        """Keeps a result that Temporal could not be told yet."""
        with self._store.transaction() as db:
            db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (task_token, result))

    def answered(self, task_token: bytes) -> None:
        """Temporal knows the result of a delivery, or has no use for it any more."""
        with self._store.transaction() as db:
            for table in ("answers", "deliveries"):
                db.execute(f"DELETE FROM {table} WHERE token = ?", (task_token,))

    def kept_answers(self) -> dict[bytes, str]:
        """The results that an earlier process could not tell. They stay until they are ``answered``."""
        with self._store.transaction() as db:
            return dict(db.execute("SELECT token, result FROM answers").fetchall())

    def take_tokens(self) -> list[bytes]:
        """The tokens of deliveries that an earlier process took and may not have answered, removed from here; without
        those whose results are kept. On a full disk they stay: to answer one twice does no harm."""
        with self._store.transaction() as db:
            tokens = [row[0] for row in db.execute(_UNANSWERED)]
        try:
            with self._store.transaction() as db:
                db.execute("DELETE FROM deliveries")
        except UnavailableError as error:
            log.warning("old deliveries stay in the journal: %s", error)
        return tokens

    def is_live(self, key: StepKey) -> bool:
        """True while a delivery of the try goes on here."""
        with self._store.transaction() as db:
            query = "SELECT 1 FROM deliveries WHERE key = ? AND returned_at IS NULL"
            return db.execute(query, (str(key),)).fetchone() is not None

    def idle_tries(self, begun_before: float) -> list[StepKey]:
        """Tries that were first seen before that Unix time and have no delivery here, the oldest first."""
        with self._store.transaction() as db:
            query = """SELECT key FROM tries WHERE begun_at < ?
                       AND key NOT IN (SELECT key FROM deliveries WHERE returned_at IS NULL) ORDER BY begun_at"""
            return [StepKey.parse(row[0]) for row in db.execute(query, (begun_before,))]

    def forget(self, key: StepKey) -> None:
        """The try is over and its outcome known to the control plane. That it had a container is known for as long as
        somebody could repeat its delivery."""
        now = time.time()
        with self._store.transaction() as db:
            db.execute("DELETE FROM spent WHERE until < ?", (now,))
            db.execute(
                "INSERT OR IGNORE INTO spent SELECT key, ? FROM tries WHERE key = ? AND container_id != ''",
                (now + SPENT_SECONDS, str(key)),
            )
            db.execute("DELETE FROM tries WHERE key = ?", (str(key),))
            db.execute("DELETE FROM faults WHERE key = ?", (str(key),))

    def close(self) -> None:
        self._store.close()
