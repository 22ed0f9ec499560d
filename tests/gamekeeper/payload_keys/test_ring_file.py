"""The file of the ring: made once, changed by one writer at a time, whole whatever happens."""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gamekeeper.errors import InvalidError, UnavailableError
from gamekeeper.payload_keys.ring import PayloadRing
from gamekeeper.payload_keys.ring_file import RingFile, new_key
from tests.hang import HANG_SECONDS


def rotated(ring: PayloadRing) -> PayloadRing:
    now = datetime.now(UTC)
    newest = max(key.writes_from for key in ring.keys)
    return ring.with_key(new_key(max(now, newest + timedelta(microseconds=1)), now))


def test_it_is_made_once_for_its_user_alone(tmp_path: Path) -> None:
    file = RingFile(tmp_path / "keys" / "payloads.key")
    file.ensure()
    made = file.read()
    file.ensure()
    assert file.read() == made
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys" / "payloads.key.lock").stat().st_mode & 0o777 == 0o600
    writing = made.writer(datetime.now(UTC))
    assert writing == made.keys[0]


def test_an_upgrade_has_time_to_replace_all_processes(tmp_path: Path) -> None:
    file = RingFile(tmp_path / "payloads.key")
    file.ensure(in_clear_for=timedelta(minutes=5))
    made, now = file.read(), datetime.now(UTC)
    assert made.writer(now) is None
    assert made.writer(now + timedelta(minutes=6)) == made.keys[0]


def test_two_keys_are_never_alike(tmp_path: Path) -> None:
    file = RingFile(tmp_path / "payloads.key")
    file.ensure()
    for _ in range(20):
        changed = file.change(rotated)
    assert len({key.id for key in changed.keys}) == len({key.secret for key in changed.keys}) == 21
    assert file.read() == changed


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff\xfe", b'{"keys": []}', b"[" * 100_000, b"x" * 100_000])
def test_a_file_that_is_none_is_told_without_its_text(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "payloads.key"
    path.write_bytes(text)
    with pytest.raises(InvalidError, match=r"payloads\.key") as caught:
        RingFile(path).read()
    assert len(str(caught.value)) < 400


def test_a_spoiled_secret_is_not_told(tmp_path: Path) -> None:
    file = RingFile(tmp_path / "payloads.key")
    file.ensure()
    secret = file.read().keys[0].secret
    file.path.write_text(file.path.read_text().replace(secret, secret[:20]))
    with pytest.raises(InvalidError) as caught:
        file.read()
    assert secret[:8] not in str(caught.value)
    assert caught.value.__cause__ is None, "the library's own error shows what it read"


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="restore it from a backup"):
        RingFile(tmp_path / "payloads.key").read()


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("not a folder")
    with pytest.raises(UnavailableError, match=r"payloads\.key"):
        RingFile(tmp_path / "keys" / "payloads.key").ensure()


def test_writers_take_turns(tmp_path: Path) -> None:
    """Two api processes rotate at once: no key of either is lost."""
    file = RingFile(tmp_path / "payloads.key")
    file.ensure()
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_rotate, args=(str(file.path), 10)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(HANG_SECONDS)
        assert writer.exitcode == 0
    assert len(file.read().keys) == 31


def test_a_kill_in_the_middle_of_a_rotation_leaves_a_whole_ring(tmp_path: Path) -> None:
    """And the lock goes with the process: the next writer does not wait."""
    file = RingFile(tmp_path / "payloads.key")
    file.ensure()
    first = file.read().keys[0]
    context = multiprocessing.get_context("spawn")
    for _ in range(5):
        before = len(file.read().keys)
        writer = context.Process(target=_rotate, args=(str(file.path), 15))
        writer.start()
        assert writer.pid is not None
        while len(file.read().keys) < before + 2 and writer.is_alive():
            pass
        os.kill(writer.pid, signal.SIGKILL)
        writer.join(HANG_SECONDS)
        assert file.read().keys[0] == first
    assert len(file.change(rotated).keys) > 1


def _rotate(path: str, times: int) -> None:
    for _ in range(times):
        RingFile(Path(path)).change(rotated)
