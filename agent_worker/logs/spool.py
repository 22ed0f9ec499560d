"""The log spool: lines on the agent's disk, numbered, until the control plane has acknowledged them.

Lines are stored packed, in chunks that are already the messages to send. Each chunk is written together with the
cursor of what was read from the container, so that after a kill reading resumes exactly behind it.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_worker.logs import spool_places as places
from agent_worker.logs.known_lines import Item
from agent_worker.logs.log_cursor import LogCursor
from agent_worker.logs.spool_chunks import delete, fill_hole, keep_items
from agent_worker.store import Store
from gamekeeper.domain.container.container_key import ContainerKey, parse_key
from gamekeeper.domain.log.log import LogEnd, LogLine, LogStream
from gamekeeper.domain.log.log_place import LogPlace
from gamekeeper.errors import ConflictError, UnavailableError
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
LIMIT_BYTES = 4 * 1024**3
PAGE_BYTES = 16 * 1024  # for large messages
RESERVE_BYTES = 64 * 1024 * 1024  # acknowledging needs room too, so a full disk must not be filled by us


@dataclass(frozen=True)
class Chunk:
    """One message to send. ``follows`` is told with it until the server has taken one of its log. ``life`` is that of
    the file that it is from: each begins its numbers anew."""

    key: ContainerKey
    first_seq: int
    last_seq: int
    batch: bytes
    follows: int | None
    life: int

    @property
    def message(self) -> bytes:
        """Encoded: fields may stand behind each other."""
        return self.batch + (b"" if self.follows is None else pb.LogBatch(follows=self.follows).SerializeToString())


class Spool:
    """``has_data`` is set whenever something may wait to be sent; ``held_bytes`` is how much does."""

    def __init__(self, path: Path, reserve_bytes: int = RESERVE_BYTES, limit_bytes: int = LIMIT_BYTES) -> None:
        self._life = 0
        self._store = Store(path, _SCHEMA + places.SCHEMA, PAGE_BYTES, self._lost_all)
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
        self._life += 1

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
                places.begin_container(db, key)

    def open_keys(self) -> list[ContainerKey]:
        """The logs that have no end yet."""
        with self._store.transaction() as db:
            return [parse_key(row[0]) for row in db.execute("SELECT key FROM logs WHERE NOT ended ORDER BY key")]

    def append(self, key: ContainerKey, lines: Sequence[LogLine], cursor: LogCursor, gap: str = "") -> None:
        """Numbers and keeps the lines, and with them the cursor. Raises UnavailableError on a full disk, ConflictError
        when the file was begun anew since the log was opened: its cursor has passed lines that are lost here.

        ``gap`` says why lines are missing before these, if any come; the gap takes a number of its own. Of a log that
        is refused only the cursor moves: its container may write for weeks, and must not take the others' room.
        """
        self._check_room()
        items: list[Item] = [(line.stream, line.ts_ns, line.data) for line in lines]
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
        """Closes the log; does nothing when it is closed. Raises ConflictError like ``append``."""
        with self._store.transaction() as db:
            if _has_ended(db, key):
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
        query = """SELECT chunks.key, first_seq, last_seq, batch, follows FROM chunks JOIN logs ON logs.key = chunks.key
                   LEFT JOIN places ON places.key = chunks.key WHERE logs.refused = '' ORDER BY chunks.id LIMIT 500"""
        with self._store.transaction() as db:
            for key, first, last, batch, follows in db.execute(query):
                chunks.append(Chunk(parse_key(key), first, last, batch, follows, self._life))
                held += len(batch)
                if held >= limit_bytes:
                    break
        return chunks

    def acknowledge(self, acked: Mapping[ContainerKey, int], life: int) -> set[ContainerKey]:
        """The control plane keeps everything of these logs up to their numbers. Returns those of which nothing is left
        to do. Does nothing when another file was begun since the chunks of ``life`` were sent."""
        settled, deleted = set(), 0
        with self._store.transaction() as db:
            for key, seq in acked.items() if life == self._life else ():
                db.execute("UPDATE logs SET acked = max(acked, ?) WHERE key = ?", (seq, str(key)))
                places.confirm(db, key)
                deleted += delete(db, "key = ? AND last_seq <= ?", (str(key), seq))
                if _is_settled(db, key):
                    settled.add(key)
        self._holds_more(-deleted)
        return settled

    def fill_hole(self, key: ContainerKey, server_seq: int) -> None:
        """Records a gap before the oldest chunk, for lines that the server has lost and the spool no longer has."""
        with self._store.transaction() as db:
            added = fill_hole(db, key, server_seq, places.SERVER_LOST)
        self._holds_more(added)

    def stand_behind(self, key: ContainerKey, place: LogPlace, life: int) -> bool:
        """The server has another part of the log than this spool thought, and so has taken nothing: what waits goes on
        behind that part. True when nothing of the log is left to do. Like ``acknowledge`` with another ``life``."""
        added = 0
        with self._store.transaction() as db:
            if life == self._life:
                added = places.stand(db, key, place)
            settled = _is_settled(db, key)
        self._holds_more(added)
        return settled

    def refuse(self, key: ContainerKey, reason: str) -> None:
        """The server will never take this log: what waits of it goes, and no more is kept."""
        with self._store.transaction() as db:
            db.execute("UPDATE logs SET refused = ? WHERE key = ?", (reason or "refused", str(key)))
            deleted = delete(db, "key = ?", (str(key),))
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
            deleted = delete(db, "key = ?", (str(key),))
            db.execute("DELETE FROM logs WHERE key = ?", (str(key),))
            places.forget(db, key)
        self._holds_more(-deleted)

    def close(self) -> None:
        self._store.close()


def _open(db: sqlite3.Connection, key: ContainerKey) -> str | None:
    """The cursor of a log, a new one where there was none; None when it has its end."""
    if db.execute("INSERT OR IGNORE INTO logs VALUES (?, 1, 0, 0, '', '{}')", (str(key),)).rowcount:
        places.begin(db, key)
    ended, cursor = db.execute("SELECT ended, cursor FROM logs WHERE key = ?", (str(key),)).fetchone()
    return None if ended else str(cursor)


def _has_ended(db: sqlite3.Connection, key: ContainerKey) -> bool:
    row = db.execute("SELECT ended FROM logs WHERE key = ?", (str(key),)).fetchone()
    return row is not None and bool(row[0])


def _is_settled(db: sqlite3.Connection, key: ContainerKey) -> bool:
    row = db.execute("SELECT ended, acked, next_seq, refused FROM logs WHERE key = ?", (str(key),)).fetchone()
    return row is not None and (bool(row[3]) or (bool(row[0]) and row[1] >= row[2] - 1))


def _append(
    db: sqlite3.Connection,
    key: ContainerKey,
    items: Sequence[Item],
    cursor: str | None,
    *,
    ended: bool,
) -> int:
    """Numbers and keeps the items; the size of what is kept."""
    row = db.execute("SELECT next_seq, refused FROM logs WHERE key = ?", (str(key),)).fetchone()
    if row is None:
        raise ConflictError(f"the log of {key} was opened in a spool that is lost; it is read anew")
    seq, added = row[0], 0
    if not row[1]:
        seq, added = keep_items(db, key, seq, places.fresh(db, key, items))
    db.execute(
        "UPDATE logs SET next_seq = ?, cursor = coalesce(?, cursor), ended = max(ended, ?) WHERE key = ?",
        (seq, cursor, ended, str(key)),
    )
    return added
