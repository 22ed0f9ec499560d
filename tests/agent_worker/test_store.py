"""The agent's SQLite files where the disk takes nothing, or has spoiled them: told by the file's name, never a bare
error of SQLite, and no reason for an agent not to begin."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent_worker import store as stores
from agent_worker.logs.log_cursor import LogCursor
from agent_worker.logs.spool import Spool
from agent_worker.store import Store
from gamekeeper.domain.log.log import LogLine, LogStream
from gamekeeper.errors import ConflictError, UnavailableError
from tests.factories import make_key

SCHEMA = "CREATE TABLE IF NOT EXISTS texts (text TEXT);"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_store_that_can_not_be_opened_names_its_file(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space left"):
        ballast.write_bytes(bytes(2**20))
    with pytest.raises(UnavailableError, match=r"journal\.db can't be opened"):
        Store(small_disk / "journal.db", SCHEMA)
    ballast.unlink()
    Store(small_disk / "journal.db", SCHEMA).close()


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match=r"journal\.db can't be opened"):
        Store(tmp_path / "file" / "journal.db", SCHEMA)


PAGE = 4096
TEXTS = [f"{number} " + "x" * 100 for number in range(400)]  # some pages of them


def filled(path: Path) -> Path:
    store = Store(path, SCHEMA)
    with store.transaction() as db:
        db.executemany("INSERT INTO texts VALUES (?)", [(text,) for text in TEXTS])
        db.execute("PRAGMA user_version = 7")
    store.close()
    return path


def texts(store: Store) -> list[str]:
    with store.transaction() as db:
        return [row[0] for row in db.execute("SELECT text FROM texts")]


def spoil(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * PAGE)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[: 3 * PAGE + 100]),
    "not SQLite's": lambda path: path.write_bytes(bytes(5 * PAGE)),
    "a spoiled head": lambda path: spoil(path, 0),
    "a torn page": lambda path: spoil(path, 4 * PAGE),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    path = filled(tmp_path / "journal.db")
    damage(path)
    spoiled = path.read_bytes()
    store = Store(path, SCHEMA)
    assert texts(store) == []
    with store.transaction() as db:
        db.execute("INSERT INTO texts VALUES ('new')")
    store.close()
    assert (tmp_path / "journal.db.damaged").read_bytes() == spoiled
    again = Store(path, SCHEMA)
    assert texts(again) == ["new"]
    again.close()


def test_an_empty_file_and_a_torn_log_of_writes_are_no_damage(tmp_path: Path) -> None:
    """SQLite goes on from the newest that is whole."""
    path = filled(tmp_path / "journal.db")
    path.with_name("journal.db-wal").write_bytes(b"\x37\x7f\x06\x82" + bytes(10_000))
    store = Store(path, SCHEMA)
    assert texts(store) == TEXTS
    store.close()
    (tmp_path / "empty.db").touch()
    empty = Store(tmp_path / "empty.db", SCHEMA)
    assert texts(empty) == []
    empty.close()
    assert not list(tmp_path.glob("*.damaged"))


def test_damage_that_is_found_later_costs_one_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a file that is too large to be looked through at the start."""
    monkeypatch.setattr(stores, "_CHECKED_BYTES", 0)
    path, begun_anew = filled(tmp_path / "journal.db"), []
    spoil(path, 4 * PAGE)
    store = Store(path, SCHEMA, begun_anew=lambda: begun_anew.append(True))
    with pytest.raises(UnavailableError, match=r"journal\.db is damaged"):
        texts(store)
    assert texts(store) == []
    assert begun_anew == [True]
    store.close()


def test_a_damaged_spool_takes_lines_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a log that was opened before are read anew."""
    monkeypatch.setattr(stores, "_CHECKED_BYTES", 0)
    path = tmp_path / "spool.db"
    key, lines = make_key(), [LogLine(LogStream.STDOUT, n, b"x" * 100) for n in range(2000)]
    spool = Spool(path)
    cursor = spool.open(key)
    assert cursor is not None
    for _ in range(5):
        spool.append(key, lines, cursor)
    spool.close()
    for page in range(4, path.stat().st_size // 16384):
        spoil(path, page * 16384)
    spool = Spool(path)
    assert spool.held_bytes == 0
    with pytest.raises(ConflictError, match="it is read anew"):
        spool.append(key, lines[:1], cursor)
    assert spool.open(key) == LogCursor()
    spool.append(key, lines[:1], cursor)
    assert [(chunk.first_seq, chunk.last_seq) for chunk in spool.pending(2**20)] == [(1, 1)]
    spool.close()
