"""A small file is the old one or the new one, whatever stands in the way."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gamekeeper.errors import UnavailableError
from gamekeeper.whole_file import write_whole


def test_a_file_is_private_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "key"
    write_whole(path, "old")
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["key"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    write_whole(path, "old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UnavailableError, match=r"key can't be written: No space left on device"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["key"]
