"""The agent's SQLite files where the disk takes nothing: told by the file's name, never a bare error of SQLite."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_worker.store import Store
from gamekeeper.errors import UnavailableError

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
