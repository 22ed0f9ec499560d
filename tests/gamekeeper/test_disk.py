"""Room on the state directory's disk: by bytes and by inodes, in the status and in the log of the supervisor."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gamekeeper.disk import DiskFloor, disk_room
from gamekeeper.stack.layout import StackRecord, StateDir
from gamekeeper.stack.status import stack_status
from gamekeeper.stack.supervisor import Supervisor

Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a file system in memory with the given options."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with ExitStack() as stack:

        def make(options: str) -> Path:
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
            stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=True)
            return folder

        yield make


def test_a_disk_without_bytes_is_full_until_there_is_room(mount: Mount) -> None:
    folder = mount("size=4m")
    assert stack_status(StateDir(folder))["disk"]["health"] == "ok"
    (folder / "ballast").write_bytes(bytes(3 * 2**20 + 2**19))
    told = stack_status(StateDir(folder))["disk"]
    assert told["health"] == "full"
    assert told["path"] == str(folder)
    assert told["message"] == f"the disk of {folder} is full (0.5 of 4 MiB are free)"
    (folder / "ballast").unlink()
    assert stack_status(StateDir(folder))["disk"]["health"] == "ok"


def test_a_disk_without_inodes_is_full(mount: Mount) -> None:
    folder = mount("size=4m,nr_inodes=3")
    assert not disk_room(folder).is_full
    for name in ("a", "b"):
        (folder / name).touch()
    assert disk_room(folder).is_full


def test_a_state_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    told = stack_status(StateDir(tmp_path / "missing"))["disk"]
    assert told["health"] == "down"
    assert "No such file" in told["message"]


def test_the_supervisor_tells_a_full_disk_once_and_its_end_once(mount: Mount, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    state = StateDir(mount("size=4m,mode=0700"))
    state.prepare()
    supervisor = Supervisor(state, StackRecord())
    ballast = state.root / "ballast"
    ballast.write_bytes(bytes(3 * 2**20 + 2**19))
    supervisor._look()
    supervisor._look()
    ballast.unlink()
    supervisor._look()
    supervisor._look()
    told = [record.getMessage() for record in caplog.records if "room on disk" in record.getMessage()]
    assert [text.split(" (")[0] for text in told] == [
        f"room on disk: the disk of {state.root} is full",
        "room on disk: works again",
    ]


def test_a_floor_is_told_before_the_disk_is_full_and_small_disks_have_a_small_one(mount: Mount, tmp_path: Path) -> None:
    folder = mount("size=40m")
    floor = DiskFloor([tmp_path, folder / "not-there-yet"], free_bytes=2**30)
    own = DiskFloor([folder], free_bytes=2**20 * 8)
    (folder / "ballast").write_bytes(bytes(37 * 2**20))
    assert floor.trouble() == "", "three of forty MiB are more than a twentieth"
    assert own.trouble() == ""
    (folder / "more").write_bytes(bytes(3 * 2**19))
    free = f"the disk of {folder} is nearly full (2 of 40 MiB are free, and the rest is for what has to go on)"
    assert floor.trouble() == own.trouble() == free
    (folder / "all").write_bytes(bytes(2**20))
    assert floor.trouble() == f"the disk of {folder} is full (0.5 of 40 MiB are free)"
    assert DiskFloor([], 2**30).trouble() == ""


def test_a_floor_counts_inodes_and_says_with_a_copy_on_it(mount: Mount) -> None:
    """Small logs take the last inode of a disk that has room for years."""
    folder = mount("size=40m,nr_inodes=1000")
    floor = DiskFloor([folder], free_bytes=2**20)
    assert floor.trouble() == ""
    assert "nearly full (40 of 40 MiB are free" in floor.trouble(39 * 2**20 + 1)
    for number in range(960):
        (folder / str(number)).touch()
    assert "nearly full (39 of 1,000 inodes are free" in floor.trouble()
    assert DiskFloor([folder], free_bytes=0).trouble() == "", "no floor is no floor"
