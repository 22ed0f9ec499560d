"""The agent's own mounts of host folders: what they show, from which mounts they are made, and how they end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent_worker.mounts.engine_view import EngineView
from agent_worker.mounts.held_folders import HeldFolders
from gamekeeper.domain.node.host_folder import HostFolder
from gamekeeper.errors import InvalidError, PolicyError
from tests.fixtures.swapping import swapping

ENGINE = "unix:///var/run/docker.sock"
TRIES = 1000


@pytest.fixture
async def held(test_image: str) -> AsyncIterator[HeldFolders]:
    """Those of a node of its own; the image is there when Docker is."""
    view = EngineView(ENGINE)
    held = HeldFolders(f"test-{uuid.uuid4().hex[:8]}", view)
    yield held
    for name in await held.held():
        await held.release(name)
    view.close()
    with suppress(FileNotFoundError):
        Path(held.path("x", 0)).parent.parent.rmdir()


def folder(path: Path, *, writable: bool = True) -> HostFolder:
    return HostFolder(str(path), "/x", writable)


async def test_no_link_is_held_in_a_thousand_races(held: HeldFolders, tmp_path: Path) -> None:
    secret, source = tmp_path / "secret", tmp_path / "d"
    secret.mkdir()
    source.mkdir()
    right, held_it = source.stat().st_ino, 0
    with swapping(source, secret):
        for _ in range(TRIES):
            with suppress(PolicyError):
                await held.hold("c", [folder(source)])
                assert os.stat(held.path("c", 0)).st_ino == right
                held_it += 1
    assert 0 < held_it < TRIES, "both a folder and a link have to be met"


async def test_a_link_on_the_way_is_named(held: HeldFolders, tmp_path: Path) -> None:
    (tmp_path / "real" / "d").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(PolicyError, match=f"{tmp_path}/link is a link; write the path that it leads to"):
        await held.hold("c", [folder(tmp_path / "link" / "d")])
    assert await held.held() == []


async def test_what_is_mounted_below_is_there_and_stays_when_it_is_released(held: HeldFolders, tmp_path: Path) -> None:
    disk = tmp_path / "games" / "disk"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(disk)], check=True)
    try:
        (disk / "save").write_text("1")
        subprocess.run(["mount", "--make-rshared", str(disk)], check=True)
        await held.hold("c", [folder(tmp_path / "games")])
        assert Path(held.path("c", 0), "disk", "save").read_text() == "1"
        await held.release("c")
        assert (disk / "save").read_text() == "1"
        assert (await held.held()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


async def test_an_agent_with_mounts_of_its_own_mounts_where_docker_looks(held: HeldFolders, tmp_path: Path) -> None:
    """As in a container, or under systemd's ProtectSystem. It sees a folder that its own mounts hide."""
    source = tmp_path / "d"
    source.mkdir()
    (source / "word").write_text("mine")
    program = (
        "import asyncio, subprocess\n"
        "from agent_worker.mounts.engine_view import EngineView\n"
        "from agent_worker.mounts.held_folders import HeldFolders\n"
        "from gamekeeper.domain.node.host_folder import HostFolder\n"
        f"subprocess.run(['mount', '-t', 'tmpfs', 'none', {str(tmp_path)!r}], check=True)\n"
        f"view = EngineView({ENGINE!r})\n"
        f"held = HeldFolders({Path(held.path('c', 0)).parts[-3]!r}, view)\n"
        f"asyncio.run(held.hold('c', [HostFolder({str(source)!r}, '/x', True)]))\n"
        "view.close()\n"
    )
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", program]
    await asyncio.to_thread(subprocess.run, command, check=True, timeout=60)
    assert await held.held() == ["c"]  # the process is gone, the mount is not
    assert Path(held.path("c", 0), "word").read_text() == "mine"


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:2375", "npipe:////./pipe/docker_engine"])
async def test_an_engine_elsewhere_gets_no_host_path(address: str, tmp_path: Path) -> None:
    view = EngineView(address)
    with pytest.raises(InvalidError, match="no host path can be mounted on this node"):
        await HeldFolders("node", view).hold("c", [folder(tmp_path)])
    view.close()
