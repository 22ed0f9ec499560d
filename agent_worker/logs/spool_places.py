"""The place at which the server's copy of a log stands, as far as the spool knows. Callers hold a transaction.

A spool gives a log that is new to it the numbers from 1 on, and says so with each chunk (``follows``) until the server
has acknowledged one. A server that has the log already, because the spool before was lost or an answer to it, tells
where it stands; what waits of the log is then numbered anew, without what the server has.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from agent_worker.logs.known_lines import Item, KnownLines
from agent_worker.logs.spool_chunks import delete, fill_hole, items_of, keep_items, records_of
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.log.log_place import LogPlace, digest_of

SCHEMA = "CREATE TABLE IF NOT EXISTS places (key TEXT PRIMARY KEY, follows INTEGER, known TEXT NOT NULL);"
NEW = "new"  # in the place of known lines: none can come, a container begins behind all that the server has
SERVER_LOST = "the control plane lost them"


def begin(db: sqlite3.Connection, key: ContainerKey) -> None:
    """Of a log that this spool has not seen before."""
    db.execute("INSERT OR IGNORE INTO places VALUES (?, 0, '')", (str(key),))


def confirm(db: sqlite3.Connection, key: ContainerKey) -> None:
    """The server has taken what follows."""
    db.execute("UPDATE places SET follows = NULL WHERE key = ?", (str(key),))


def fresh(db: sqlite3.Connection, key: ContainerKey, items: Sequence[Item]) -> Sequence[Item]:
    """The items without those that the server had before this spool."""
    if (known := _known(db, key)) is None:
        return items
    items = known.fresh(items)
    _note(db, key, known)
    return items


def begin_container(db: sqlite3.Connection, key: ContainerKey) -> None:
    """A new container goes on with a log: what an earlier one lacks is not its loss, once that is told."""
    if db.execute("SELECT 1 FROM logs WHERE key = ?", (str(key),)).fetchone() is None:
        db.execute("INSERT OR REPLACE INTO places VALUES (?, 0, ?)", (str(key), NEW))
    elif (known := _known(db, key)) is not None and known.is_passed:
        db.execute("UPDATE places SET known = '' WHERE key = ?", (str(key),))


def forget(db: sqlite3.Connection, key: ContainerKey) -> None:
    db.execute("DELETE FROM places WHERE key = ?", (str(key),))


def stand(db: sqlite3.Connection, key: ContainerKey, place: LogPlace) -> int:
    """Puts what waits of a log behind the server's ``place``; by how much it has grown. Does nothing when the log
    stands there already, or was acknowledged meanwhile."""
    row = db.execute("SELECT follows, known FROM places WHERE key = ?", (str(key),)).fetchone()
    if row is None or row[0] in (None, place.last_seq):
        return 0
    db.execute("UPDATE logs SET acked = ? WHERE key = ?", (place.last_seq, str(key)))
    if _is_own(db, key, place):  # this spool has sent it, and the answer was lost
        confirm(db, key)
        return -delete(db, "key = ? AND last_seq <= ?", (str(key), place.last_seq))
    db.execute("UPDATE places SET follows = ? WHERE key = ?", (place.last_seq, str(key)))
    if place.last_seq < row[0]:
        return fill_hole(db, key, place.last_seq, SERVER_LOST)
    return _number_anew(db, key, place.last_seq, KnownLines(0, False) if row[1] == NEW else KnownLines.up_to(place))


def _is_own(db: sqlite3.Connection, key: ContainerKey, place: LogPlace) -> bool:
    query = "SELECT batch FROM chunks WHERE key = ? AND last_seq = ?"
    row = db.execute(query, (str(key), place.last_seq)).fetchone()
    return row is not None and digest_of(records_of(row[0])[-1]) == place.digest


def _number_anew(db: sqlite3.Connection, key: ContainerKey, last_seq: int, known: KnownLines) -> int:
    seq, grown = last_seq + 1, 0
    ids = [row[0] for row in db.execute("SELECT id FROM chunks WHERE key = ? ORDER BY id", (str(key),))]
    for number in ids:
        batch = db.execute("SELECT batch FROM chunks WHERE id = ?", (number,)).fetchone()[0]
        grown -= delete(db, "id = ?", (number,))
        seq, added = keep_items(db, key, seq, known.fresh(items_of(batch)))
        grown += added
    db.execute("UPDATE logs SET next_seq = ? WHERE key = ?", (seq, str(key)))
    _note(db, key, known)
    return grown


def _known(db: sqlite3.Connection, key: ContainerKey) -> KnownLines | None:
    row = db.execute("SELECT known FROM places WHERE key = ?", (str(key),)).fetchone()
    return KnownLines.decode(row[0]) if row is not None and row[0] not in ("", NEW) else None


def _note(db: sqlite3.Connection, key: ContainerKey, known: KnownLines) -> None:
    text = "" if known.is_over else known.encode()
    db.execute("UPDATE places SET known = ? WHERE key = ?", (text, str(key)))
