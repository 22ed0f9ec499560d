"""The log spool: lines on the agent's disk, numbered, until the control plane has acknowledged them.

Lines are stored packed, in chunks that are already the messages to send. Each chunk is written together with the
cursor of what was read from the container, so that after a kill reading resumes exactly behind it.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_worker.logs.log_cursor import LogCursor
from agent_worker.store import Store
from gamekeeper.domain.container.container_key import ContainerKey, parse_key
from gamekeeper.domain.log.log import LogEnd, LogGap, LogLine, LogRecord, LogStream
from gamekeeper.domain.log.log_pack import LinePacker
from gamekeeper.errors import UnavailableError
from gamekeeper.rpc.convert import key_to_pb, record_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb

_SCHEMA = """
CREATE TABLE IF NOT EXISTS logs (
    key TEXT PRIMARY KEY, next_seq INTEGER NOT NULL, acked INTEGER NOT NULL, ended INTEGER NOT NULL,
    refused TEXT NOT NULL, cursor TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS chunks (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
    batch BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS chunks_by_key ON chunks (key, last_seq);
"""
_KNOWN = "INSERT OR IGNORE INTO logs VALUES (?, 1, 0, 0, '', '{}')"
CHUNK_BYTES = 256 * 1024
LIMIT_BYTES = 4 * 1024**3
PAGE_BYTES = 16 * 1024  # for large messages
RESERVE_BYTES = 64 * 1024 * 1024  # acknowledging needs room too, so a full disk must not be filled by us


@dataclass(frozen=True)
class Chunk:
    """One message to send, encoded."""

    key: ContainerKey
    first_seq: int
    last_seq: int
    batch: bytes


class Spool:
    """``has_data`` is set whenever something may wait to be sent; ``held_bytes`` is how much does."""

    def __init__(self, path: Path, reserve_bytes: int = RESERVE_BYTES, limit_bytes: int = LIMIT_BYTES) -> None:
        self._store = Store(path, _SCHEMA, PAGE_BYTES, self._lost_all)
        self._reserve = reserve_bytes
        self._limit = limit_bytes
        self._counting = threading.Lock()
        try:
            self.held_bytes = self._sum()
        except UnavailableError:  # of a damaged file, which is begun anew
            self.held_bytes = self._sum()
        self.has_data = threading.Event()
        self.has_data.set()

    def _sum(self) -> int:
        with self._store.transaction() as db:
            return int(db.execute("SELECT coalesce(sum(length(batch)), 0) FROM chunks").fetchone()[0])

    def _lost_all(self) -> None:
        self.held_bytes = 0

    def open(self, key: ContainerKey) -> LogCursor | None:
        """The cursor to go on reading from; None when the log has its end already."""
        with self._store.transaction() as db:
            cursor = _open(db, key)
        return None if cursor is None else LogCursor.decode(cursor)

    def open_again(self, key: ContainerKey, *, new_container: bool) -> None:
        """Opens a log that has ended, for more of its container or for a new one. Its numbers go on."""
        with self._store.transaction() as db:
            db.execute("UPDATE logs SET ended = 0 WHERE key = ?", (str(key),))
            if new_container:
                db.execute("UPDATE logs SET cursor = '{}' WHERE key = ?", (str(key),))

    def open_keys(self) -> list[ContainerKey]:
        """The logs that have no end yet."""
        with self._store.transaction() as db:
            return [parse_key(row[0]) for row in db.execute("SELECT key FROM logs WHERE NOT ended ORDER BY key")]

    def append(self, key: ContainerKey, lines: Sequence[LogLine], cursor: LogCursor, gap: str = "") -> None:
        """Numbers and keeps the lines, and with them the cursor. Raises UnavailableError on a full disk.

        ``gap`` says why lines are missing before these, if any come; the gap takes a number of its own. Of a log that
        is refused only the cursor moves: its container may write for weeks, and must not take the others' room.
        """
        self._check_room()
        items = [(line.stream, line.ts_ns, line.data) for line in lines]
        if gap:
            items.insert(0, (LogStream.GAP, lines[0].ts_ns if lines else cursor.newest_ns, gap.encode()))
        with self._store.transaction() as db:
            added = _append(db, key, items, cursor.encode(), ended=False)
        self._holds_more(added)

    def _check_room(self) -> None:
        """Raises UnavailableError. Lines then wait in the engine, which keeps the newest of each log: a loss there is
        found, and recorded."""
        if self.held_bytes >= self._limit:
            megabytes = f"{self.held_bytes / 1e6:.0f} MB wait to be sent, {self._limit / 1e6:.0f} MB may"
            hint = "GAMEKEEPER_AGENT_SPOOL_BYTES; the condition LogQuota or the server's disk says why none are taken"
            raise UnavailableError(f"the spool of logs is full ({megabytes})", hint=hint)
        folder = self._store.path.parent
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:
            raise UnavailableError(f"the disk of {folder} can't be asked for room: {error.strerror}") from error
        if free < self._reserve:
            megabytes = f"{free / 1e6:.0f} MB left, {self._reserve / 1e6:.0f} MB are kept free"
            raise UnavailableError(f"the disk of {folder} is full ({megabytes})", hint=f"free space in {folder}")

    def end(self, key: ContainerKey, end: LogEnd, ts_ns: int) -> None:
        """Closes the log; does nothing when it is closed."""
        with self._store.transaction() as db:
            if _open(db, key) is None:
                return
            added = _append(db, key, [(LogStream.END, ts_ns, end.encode())], None, ended=True)
        self._holds_more(added)

    def _holds_more(self, added: int) -> None:
        """To be called when the change is committed: a disk that is full takes none of it back."""
        with self._counting:
            self.held_bytes += added
        if added > 0:
            self.has_data.set()

    def pending(self, limit_bytes: int) -> list[Chunk]:
        """The oldest chunks to send, at least one when there is any."""
        self.has_data.clear()
        chunks, held = [], 0
        query = """SELECT chunks.key, first_seq, last_seq, batch FROM chunks JOIN logs ON logs.key = chunks.key
                   WHERE logs.refused = '' ORDER BY chunks.id LIMIT 500"""
        with self._store.transaction() as db:
            for key, first, last, batch in db.execute(query):
                chunks.append(Chunk(parse_key(key), first, last, batch))
                held += len(batch)
                if held >= limit_bytes:
                    break
        return chunks

    def acknowledge(self, acked: Mapping[ContainerKey, int]) -> set[ContainerKey]:
        """The control plane keeps everything of these logs up to their numbers. Returns those of which nothing is left
        to do."""
        settled, deleted = set(), 0
        with self._store.transaction() as db:
            for key, seq in acked.items():
                db.execute("UPDATE logs SET acked = max(acked, ?) WHERE key = ?", (seq, str(key)))
                deleted += _delete(db, "key = ? AND last_seq <= ?", (str(key), seq))
                if _is_settled(db, key):
                    settled.add(key)
        self._holds_more(-deleted)
        return settled

    def fill_hole(self, key: ContainerKey, server_seq: int, reason: str) -> None:
        """Records a gap before the oldest chunk, for lines that the server has lost and the spool no longer has."""
        with self._store.transaction() as db:
            row = db.execute("SELECT min(first_seq) FROM chunks WHERE key = ?", (str(key),)).fetchone()
            if row[0] is None or row[0] <= server_seq + 1:
                return
            last = row[0] - 1
            data = LogGap(server_seq + 1, last, reason).encode()
            batch = _batch(key, LogRecord(last, LogStream.GAP, 0, data))
            first_id = db.execute("SELECT min(id) FROM chunks").fetchone()[0]
            db.execute(
                "INSERT INTO chunks VALUES (?, ?, ?, ?, ?)",
                (first_id - 1, str(key), server_seq + 1, last, batch),
            )
        self._holds_more(len(batch))

    def refuse(self, key: ContainerKey, reason: str) -> None:
        """The server will never take this log: what waits of it goes, and no more is kept."""
        with self._store.transaction() as db:
            db.execute("UPDATE logs SET refused = ? WHERE key = ?", (reason or "refused", str(key)))
            deleted = _delete(db, "key = ?", (str(key),))
        self._holds_more(-deleted)

    def settled_keys(self) -> list[ContainerKey]:
        """The logs of which nothing is left to do."""
        query = "SELECT key FROM logs WHERE refused != '' OR (ended AND acked >= next_seq - 1)"
        with self._store.transaction() as db:
            return [parse_key(row[0]) for row in db.execute(query)]

    def is_settled(self, key: ContainerKey) -> bool:
        """True when nothing of the log is left to do: it is acknowledged to its end, or refused. A log that is not
        here was never read."""
        with self._store.transaction() as db:
            return _is_settled(db, key)

    def forget(self, key: ContainerKey) -> None:
        with self._store.transaction() as db:
            deleted = _delete(db, "key = ?", (str(key),))
            db.execute("DELETE FROM logs WHERE key = ?", (str(key),))
        self._holds_more(-deleted)

    def close(self) -> None:
        self._store.close()


def _open(db: sqlite3.Connection, key: ContainerKey) -> str | None:
    """The cursor of a log, a new one where there was none; None when it has its end."""
    db.execute(_KNOWN, (str(key),))
    ended, cursor = db.execute("SELECT ended, cursor FROM logs WHERE key = ?", (str(key),)).fetchone()
    return None if ended else str(cursor)


def _is_settled(db: sqlite3.Connection, key: ContainerKey) -> bool:
    row = db.execute("SELECT ended, acked, next_seq, refused FROM logs WHERE key = ?", (str(key),)).fetchone()
    return row is not None and (bool(row[3]) or (bool(row[0]) and row[1] >= row[2] - 1))


def _delete(db: sqlite3.Connection, where: str, values: tuple[object, ...]) -> int:
    """The size of the deleted chunks."""
    size = db.execute(f"SELECT coalesce(sum(length(batch)), 0) FROM chunks WHERE {where}", values).fetchone()[0]
    db.execute(f"DELETE FROM chunks WHERE {where}", values)
    return int(size)


def _append(
    db: sqlite3.Connection,
    key: ContainerKey,
    items: Sequence[tuple[LogStream, int, bytes]],
    cursor: str | None,
    *,
    ended: bool,
) -> int:
    """Numbers and keeps the items; the size of what is kept."""
    added = 0
    db.execute(_KNOWN, (str(key),))  # the file may have been begun anew since the log was opened
    seq, refused = db.execute("SELECT next_seq, refused FROM logs WHERE key = ?", (str(key),)).fetchone()
    for record in _pack(seq, items):
        added += 0 if refused else _insert(db, key, seq, record)
        seq = record.seq + 1
    db.execute(
        "UPDATE logs SET next_seq = ?, cursor = coalesce(?, cursor), ended = max(ended, ?) WHERE key = ?",
        (seq, cursor, ended, str(key)),
    )
    return added


def _pack(seq: int, items: Sequence[tuple[LogStream, int, bytes]]) -> Iterator[LogRecord]:
    """Numbers the items from ``seq`` on; the lines among them go together, up to ``CHUNK_BYTES``."""
    lines = LinePacker()
    for stream, ts_ns, data in items:
        if stream in (LogStream.GAP, LogStream.END):
            if lines.size:
                yield lines.record(seq - 1)
                lines = LinePacker()
            yield LogRecord(
                seq, stream, ts_ns, LogGap(seq, seq, data.decode()).encode() if stream is LogStream.GAP else data
            )
        else:
            lines.add(stream, ts_ns, data)
            if lines.size >= CHUNK_BYTES:
                yield lines.record(seq)
                lines = LinePacker()
        seq += 1
    if lines.size:
        yield lines.record(seq - 1)


def _insert(db: sqlite3.Connection, key: ContainerKey, first: int, record: LogRecord) -> int:
    """The size of the inserted chunks."""
    batch = _batch(key, record)
    db.execute(
        "INSERT INTO chunks (key, first_seq, last_seq, batch) VALUES (?, ?, ?, ?)",
        (str(key), first, record.seq, batch),
    )
    return len(batch)


def _batch(key: ContainerKey, record: LogRecord) -> bytes:
    return pb.LogBatch(key=key_to_pb(key), records=[record_to_pb(record)]).SerializeToString()
