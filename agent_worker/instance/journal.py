"""The keeper's journal: the newest order of each instance, what is remembered of it, and how it was told last.

The order is on disk before anything is done by it, also for a machine that loses its power. The rest is written as it
changes; on a full disk it stays in memory, because what runs must go on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_worker.store import Store
from gamekeeper.domain.instance.memory import Memory
from gamekeeper.domain.instance.order import InstanceOrder, InstanceStatus
from gamekeeper.errors import UnavailableError
from gamekeeper.logging import get_logger

log = get_logger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS instances (
    id TEXT PRIMARY KEY, serial INTEGER NOT NULL, given TEXT NOT NULL, before TEXT, memory TEXT NOT NULL, status TEXT
);
CREATE TABLE IF NOT EXISTS tombstones (id TEXT PRIMARY KEY, serial INTEGER NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""
TOMBSTONE_SECONDS = 40 * 86_400.0  # longer than any order can be given again
_SEQS_AHEAD = 1000  # numbers are taken from the disk by the thousand


@dataclass
class Record:
    """One instance. ``before`` is the order of the revision that goes on where this order's can't be made."""

    order: InstanceOrder
    before: InstanceOrder | None
    memory: Memory
    status: InstanceStatus | None = None

    @property
    def kept(self) -> InstanceOrder:
        """The order that is kept up."""
        return self.before if self.memory.fall is not None and self.before is not None else self.order


class KeeperJournal:
    def __init__(self, path: Path) -> None:
        self._store = Store(path, _SCHEMA)
        self._seq = self._taken = 0

    def load(self) -> dict[str, Record]:
        """All records. One that can't be read is told and left out; its containers go on."""
        found: dict[str, Record] = {}
        with self._store.transaction() as db:
            rows = db.execute("SELECT id, given, before, memory, status FROM instances").fetchall()
        for name, given, before, memory, status in rows:
            try:
                found[name] = Record(
                    InstanceOrder.model_validate_json(given),
                    InstanceOrder.model_validate_json(before) if before else None,
                    Memory.model_validate_json(memory),
                    InstanceStatus.model_validate_json(status) if status else None,
                )
            except ValueError as error:
                log.error("instance %s is not kept: its record can't be read: %s", name, error)
        return found

    def next_seq(self) -> int:
        """A number that no change had before, also after a kill.

        They begin at the clock's microseconds, of which there are more than changes. So they rise from agent to agent
        on a full disk as well, and on a disk that somebody has emptied: an agent that began at 1 again would be taken
        for out of date, and nothing that it tells would be seen.
        """
        if self._seq >= self._taken:
            self._seq = max(self._seq, time.time_ns() // 1_000)
            try:
                self._take_seqs()
            except UnavailableError as error:
                self._taken = self._seq + _SEQS_AHEAD  # then the disk is asked again
                log.warning("the keeper's numbers are not kept: %s", error)
        self._seq += 1
        return self._seq

    def _take_seqs(self) -> None:
        with self._store.transaction() as db:
            db.execute("INSERT OR IGNORE INTO counters VALUES ('seq', 0)")
            taken = int(db.execute("SELECT value FROM counters WHERE name = 'seq'").fetchone()[0])
            self._seq = max(self._seq, taken)
            self._taken = self._seq + _SEQS_AHEAD
            db.execute("UPDATE counters SET value = ? WHERE name = 'seq'", (self._taken,))

    def keep_order(self, record: Record) -> None:
        """Raises UnavailableError where the disk does not take it."""
        before = record.before.model_dump_json() if record.before else None
        values = (record.order.instance, record.order.serial, record.order.model_dump_json(), before)
        with self._store.transaction(durable=True) as db:
            db.execute(
                """INSERT INTO instances (id, serial, given, before, memory) VALUES (?, ?, ?, ?, ?)
                   ON CONFLICT (id) DO UPDATE SET serial = excluded.serial, given = excluded.given,
                   before = excluded.before, memory = excluded.memory""",
                (*values, record.memory.model_dump_json()),
            )

    def keep_memory(self, instance: str, serial: int, memory: Memory) -> None:
        """Keeps the memory under an order; nothing where a newer one has come meanwhile."""
        self._best_effort(
            "UPDATE instances SET memory = ? WHERE id = ? AND serial = ?", (memory.model_dump_json(), instance, serial)
        )

    def keep_status(self, status: InstanceStatus) -> None:
        self._best_effort("UPDATE instances SET status = ? WHERE id = ?", (status.model_dump_json(), status.instance))

    def bury(self, instance: str, serial: int) -> None:
        """Forgets all of a removed instance but its serial, so that no older order makes it again. Raises
        UnavailableError."""
        with self._store.transaction(durable=True) as db:
            db.execute("DELETE FROM tombstones WHERE at < ?", (time.time() - TOMBSTONE_SECONDS,))
            db.execute("INSERT OR REPLACE INTO tombstones VALUES (?, ?, ?)", (instance, serial, time.time()))
            db.execute("DELETE FROM instances WHERE id = ?", (instance,))

    def buried(self, instance: str) -> int:
        """The serial of an instance that was removed; 0 of one that is not known."""
        with self._store.transaction() as db:
            row = db.execute("SELECT serial FROM tombstones WHERE id = ?", (instance,)).fetchone()
        return int(row[0]) if row else 0

    def _best_effort(self, statement: str, values: Sequence[object]) -> None:
        try:
            with self._store.transaction() as db:
                db.execute(statement, tuple(values))
        except UnavailableError as error:
            log.warning("the keeper's journal lags behind: %s", error)

    def close(self) -> None:
        self._store.close()
