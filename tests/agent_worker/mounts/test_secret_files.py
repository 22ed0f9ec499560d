"""Files of secrets stand in memory alone, and only root looks into them."""

from __future__ import annotations

import os
import stat
import subprocess
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent_worker.mounts import secret_files
from agent_worker.mounts.engine_view import EngineView
from agent_worker.mounts.secret_files import SECRETS_FOLDER, SecretFile, SecretFiles
from agent_worker.mounts.system_calls import is_in_memory
from gamekeeper.errors import SecretError

ENGINE = "unix:///var/run/docker.sock"


@pytest.fixture
async def files(test_image: str) -> AsyncIterator[SecretFiles]:
    """Those of a node of its own; the image is there when Docker is."""
    node = f"files-{uuid.uuid4().hex[:6]}"
    view = EngineView(ENGINE)
    files = SecretFiles(node, view)
    yield files
    for name in await files.held():
        await files.release(name)
    view.close()
    assert not Path(SECRETS_FOLDER, node).exists()


def base_of(files: SecretFiles) -> Path:
    return Path(files.path("x", 0)).parent.parent


async def test_they_are_in_memory_with_their_owners_and_modes(files: SecretFiles) -> None:
    await files.write("one", [SecretFile(b"a", 0o440, 1000, 1001), SecretFile(b"b\0\xff", 0o400, 0, 0)])
    first, second = (os.stat(files.path("one", index)) for index in range(2))
    assert (first.st_uid, first.st_gid, stat.S_IMODE(first.st_mode)) == (1000, 1001, 0o440)
    assert (second.st_uid, stat.S_IMODE(second.st_mode)) == (0, 0o400)
    assert await files.read("one", 2) == [b"a", b"b\0\xff"]
    for folder in (base_of(files), base_of(files) / "one"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        opened = os.open(folder, os.O_RDONLY)
        assert is_in_memory(opened)
        os.close(opened)
    options = subprocess.run(["findmnt", "-no", "OPTIONS", base_of(files)], capture_output=True, check=True).stdout
    assert {b"nosuid", b"nodev", b"noexec"} <= set(options.strip().split(b","))


async def test_a_second_agent_finds_them_and_mounts_nothing_over_them(files: SecretFiles) -> None:
    await files.write("one", [SecretFile(b"a", 0o444, 0, 0)])
    view = EngineView(ENGINE)
    other = SecretFiles(base_of(files).name, view)
    await other.write("two", [SecretFile(b"b", 0o444, 0, 0)])
    assert await other.held() == ["one", "two"]
    assert await other.read("one", 1) == [b"a"]
    await other.release("one")
    assert await files.held() == ["two"]
    view.close()


async def test_a_newer_value_comes_as_a_new_file(files: SecretFiles) -> None:
    """One that a container still has open stays as it is."""
    await files.write("one", [SecretFile(b"old", 0o444, 0, 0)])
    with open(files.path("one", 0), "rb") as opened:
        await files.write("one", [SecretFile(b"newer", 0o444, 0, 0)])
        assert opened.read() == b"old"
    assert await files.read("one", 1) == [b"newer"]
    assert os.listdir(base_of(files) / "one") == ["0"]


async def test_what_is_gone_is_released_and_read_in_peace(files: SecretFiles) -> None:
    await files.release("nothing")
    assert await files.read("nothing", 3) == []
    assert await files.held() == []


async def test_the_last_one_takes_the_file_system_along(files: SecretFiles) -> None:
    await files.write("one", [SecretFile(b"a", 0o444, 0, 0)])
    assert os.path.ismount(base_of(files))
    await files.release("one")
    assert not base_of(files).exists()


async def test_a_place_that_is_on_a_disk_takes_none(files: SecretFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_files, "mount_in_memory", lambda target, size: None)
    with pytest.raises(SecretError, match="is no file system in memory of the agent's own") as caught:
        await files.write("one", [SecretFile(b"a", 0o444, 0, 0)])
    assert "give it as a variable" in caught.value.hint
    assert not (base_of(files) / "one").exists()
    base_of(files).rmdir()


async def test_an_agent_that_may_not_see_the_engines_mounts_says_so() -> None:
    view = EngineView("tcp://192.0.2.1:2375")
    with pytest.raises(SecretError, match="this node can hold no secrets as files: Docker is at tcp"):
        await SecretFiles("node-1", view).write("one", [SecretFile(b"a", 0o444, 0, 0)])
    view.close()
