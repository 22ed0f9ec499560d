"""Values of a folder of files, as Docker and Kubernetes mount them, and what such a folder may hold instead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gamekeeper.domain.secret.reference import FileReference, Reference
from gamekeeper.errors import ConflictError, ForbiddenError, GamekeeperError, NotFoundError
from gamekeeper.secret_stores.folder import FolderStore


def at(path: str) -> Reference:
    return Reference(file=FileReference(path=path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    (made / "team").mkdir(parents=True)
    (made / "db-password").write_bytes(b"canary\xff\n")
    (made / "team" / "key").write_text("deep")
    return made


async def test_the_bytes_of_a_file(folder: Path) -> None:
    store = FolderStore(folder)
    value = await store.read(at("db-password"))
    assert value == b"canary\xff\n"
    assert "canary" not in repr(value)
    assert await store.read(at("team/key")) == b"deep"
    (folder / "db-password").write_bytes(b"newer")
    assert await store.read(at("db-password")) == b"newer"


async def test_the_links_of_kubernetes(folder: Path) -> None:
    (folder / "..2026_01_31").mkdir()
    (folder / "..2026_01_31" / "token").write_text("first")
    (folder / "..data").symlink_to("..2026_01_31")
    (folder / "token").symlink_to("..data/token")
    assert await FolderStore(folder).read(at("token")) == b"first"


async def test_a_folder_behind_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert await FolderStore(tmp_path / "link").read(at("team/key")) == b"deep"


async def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("canary")
    (folder / "out").symlink_to(tmp_path / "outside")
    (folder / "up").symlink_to("..")
    for path in ("out", "up/outside"):
        with pytest.raises(ForbiddenError, match="leads out of the folder"):
            await FolderStore(folder).read(at(path))


async def test_what_is_no_value(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "empty").touch()
    (folder / "large").write_bytes(b"x" * 65_537)
    (folder / "largest").write_bytes(b"x" * 65_536)
    (folder / "circle").symlink_to("circle")
    expected: dict[str, tuple[type[GamekeeperError], str]] = {
        "missing": (NotFoundError, "there is no file .*missing; see GAMEKEEPER_SECRETS_DIR"),
        "db-password/x": (NotFoundError, "there is no file"),
        "team": (ConflictError, "is no file"),
        "pipe": (ConflictError, "is no file"),
        "empty": (ConflictError, "is empty"),
        "large": (ConflictError, "over the limit of 65,536 bytes"),
        "circle": (ConflictError, "can't be read"),
        "x" * 200: (NotFoundError, "there is no file"),
    }
    store = FolderStore(folder)
    for path, (error, words) in expected.items():
        with pytest.raises(error, match=words):
            await store.read(at(path))
    assert len(await store.read(at("largest"))) == 65_536


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        await FolderStore(tmp_path / "nowhere").read(at("a"))
