"""The file of the master keys: made once, shared, and told by its name when it is lost or wrong."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gamekeeper.errors import ConflictError, UnavailableError
from gamekeeper.sealing.key_file import MAX_KEYS, KeyFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "secrets.key"


async def test_it_is_made_once_and_for_its_owner_alone(path: Path) -> None:
    first, second = KeyFile(path), KeyFile(path)
    await asyncio.gather(first.ensure(()), second.ensure(()))
    assert path.stat().st_mode & 0o777 == 0o600
    made = path.read_bytes()
    await first.ensure(())
    assert path.read_bytes() == made
    assert await first.current() == await second.current()
    assert base_key(path) not in repr(first.__dict__)


def base_key(path: Path) -> str:
    return str(next(iter(json.loads(path.read_text())["keys"].values()))["key"])


async def test_a_lost_file_is_not_replaced_while_rows_need_it(path: Path) -> None:
    keys = KeyFile(path)
    with pytest.raises(ConflictError, match=r"secrets\.key, the file .* is not there.*restore it from a backup"):
        await keys.ensure({"mk-1"})
    assert not path.exists()
    with pytest.raises(ConflictError, match="is not there"):
        await keys.wrap(b"k" * 32, b"")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        "not json",
        '{"current": "a", "keys": {}}',
        '{"current": "a", "keys": {"a": {"key": "AAAA"}}}',
        '{"current": "a", "keys": {"a": {"key": "ä"}}}',
        '{"current": "a", "keys": {"a": "AAAA"}}',
        '{"current": ["a"], "keys": {"a": {"key": "AAAA"}}}',
        "\xff\xfe",
    ],
)
async def test_a_file_with_something_else_is_told_by_its_name(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text, encoding="latin-1")
    for call in (KeyFile(path).current(), KeyFile(path).ensure(()), KeyFile(path).rotate()):
        with pytest.raises(ConflictError, match=r"secrets\.key does not hold the master keys.*restore it"):
            await call
    assert path.read_text(encoding="latin-1") == text


async def test_a_file_that_is_a_folder_is_told(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(ConflictError, match="can't be read"):
        await KeyFile(path).current()


async def test_the_keys_of_another_file_do_not_open(path: Path, tmp_path: Path) -> None:
    keys, other = KeyFile(path), KeyFile(tmp_path / "other.key")
    await keys.ensure(())
    await other.ensure(())
    wrapped = await keys.wrap(b"k" * 32, b"context")
    with pytest.raises(ConflictError, match=r"is not in .*other\.key; restore it"):
        await other.unwrap(wrapped, b"context")


async def test_a_rotation_is_seen_by_others_and_keeps_what_was(path: Path) -> None:
    keys, other = KeyFile(path), KeyFile(path)
    await keys.ensure(())
    wrapped = await other.wrap(b"k" * 32, b"context")
    new = await keys.rotate()
    assert new != wrapped.key_id
    assert await other.current() == new
    assert await other.unwrap(wrapped, b"context") == b"k" * 32
    assert await keys.keep_only({wrapped.key_id}) == []
    assert await keys.keep_only(()) == [wrapped.key_id]
    assert await keys.keep_only(()) == []
    assert await other.current() == new


async def test_keys_do_not_pile_up(path: Path) -> None:
    keys = KeyFile(path)
    await keys.ensure(())
    for _ in range(MAX_KEYS - 1):
        await keys.rotate()
    with pytest.raises(ConflictError, match=f"holds {MAX_KEYS} keys"):
        await keys.rotate()


async def test_rotations_at_the_same_time_lose_no_key(path: Path) -> None:
    await KeyFile(path).ensure(())
    made = await asyncio.gather(*(KeyFile(path).rotate() for _ in range(4)))
    found = json.loads(path.read_text())
    assert set(made) < found["keys"].keys()
    assert len(found["keys"]) == 5
    assert found["current"] in made


async def test_a_file_that_nobody_may_write_is_still_read(path: Path) -> None:
    """As a Docker secret is mounted: what reads goes on, and a rotation says what is in its way."""
    keys = KeyFile(path)
    await keys.ensure(())
    wrapped = await keys.wrap(b"k" * 32, b"")
    (path.parent / "secrets.key.lock").unlink()
    (path.parent / "secrets.key.lock").mkdir()
    with pytest.raises(UnavailableError, match=r"secrets\.key\.lock can't be written"):
        await keys.rotate()
    assert await keys.unwrap(wrapped, b"") == b"k" * 32
