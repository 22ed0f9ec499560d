"""A whole stack on a disk that gets full under load, and has room again.

Everything is on that disk: the databases of the control plane and of Temporal, the step logs, the agent's journal and
spool, the process logs and the supervisor's record.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

import pytest

from tests.fixtures.stack import GAMEKEEPER, Stack, node_id

DISK_MIB = 192  # the agent's spool leaves 64 MiB of it free
LASTING = ("supervisor", "api", "control_worker", "agent")


class SmallDisk:
    """A file system in memory. ``fill`` leaves not one byte, ``empty`` gives all of it back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0700", "tmpfs", str(path)], check=True)

    def fill(self, leave_mib: int = 0) -> None:
        """Leaves ``leave_mib`` free: none at all, or so much that the next write has room."""
        with open(self._ballast, "ab", buffering=0) as file:
            if leave_mib:
                file.write(bytes(shutil.disk_usage(self.path).free - leave_mib * 2**20))
                return
            for size in (2**20, 2**12, 1):
                while _is_written(file, size):
                    pass

    def empty(self) -> None:
        self._ballast.unlink()

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)


def _is_written(file: FileIO, size: int) -> bool:
    try:
        return file.write(bytes(size)) == size
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    made = SmallDisk(tmp_path / "state")
    yield made
    made.unmount()


@pytest.fixture
def stack(disk: SmallDisk, test_image: str) -> Iterator[Stack]:
    made = Stack(disk.path, test_image)
    made.node = node_id("small-disk")
    made.up()
    yield made
    with suppress(FileNotFoundError):
        disk.empty()
    made.destroy()


class Load:
    """Runs that are submitted one after another until it is stopped; those that a full disk refuses don't count."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self.accepted: list[str] = []
        self._thread = threading.Thread(target=self._submit)
        self._file = stack.write(
            f"name: short\nsteps:\n  - {{name: a, container: {{image: '{stack.image}', commands: [echo done]}}}}\n",
            "short.yaml",
        )

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _submit(self) -> None:
        while not self._stop.is_set():
            done = self._stack.command("run", self._file, "--node", self._stack.node, "--json", check=False)
            if done.returncode == 0:
                self.accepted.append(json.loads(done.stdout)["id"])


def counting(image: str) -> str:
    return f"""
name: counting
steps:
  - name: a
    container:
      image: {image}
      commands: ['n=0; while [ ! -e /tmp/end ]; do n=$((n+1)); echo line $n; sleep 0.1; done']
"""


def test_a_full_disk_is_lived_through_and_told(stack: Stack, disk: SmallDisk) -> None:
    lasting = stack.submit(counting(stack.image))
    stack.until(lambda: stack.step(lasting, "a")["state"] == "running")
    before = pids(stack)
    with Load(stack) as load:
        stack.until(lambda: len(load.accepted) >= 3)
        disk.fill(leave_mib=DISK_MIB // 20)
        stack.until(lambda: "DiskPressure" in conditions(stack))
        disk.fill()
        found = stack.until(lambda: (status := stack.status())["disk"]["health"] == "full" and status)
        assert found["disk"]["path"] == str(disk.path)
        told = stack.command("status", check=False)
        assert (f"the disk of {disk.path} is full" in told.stdout, told.returncode) == (True, 1)
        stack.kill("control_worker")
        stack.until(lambda: stack.status()["control_worker"]["pid"] not in (None, before["control_worker"]))
        after = before | {"control_worker": stack.pid("control_worker")}
        assert pids(stack) == after
        assert recorded_pid(stack) == before["control_worker"], "the supervisor could write: the disk was not full"
        disk.empty()
        stack.until(lambda: stack.status()["disk"]["health"] == "ok")
        stack.until(lambda: recorded_pid(stack) == after["control_worker"])
        count = len(load.accepted)
        stack.until(lambda: len(load.accepted) >= count + 2)
    for run_id in load.accepted:
        assert stack.until_ended(run_id)["state"] == "succeeded"
    assert counted_to_the_end(stack, lasting) == "succeeded"
    assert pids(stack) == after
    stack.until(lambda: "DiskPressure" not in conditions(stack))
    assert supervisor_log(stack).count("room on disk: works again") == 1
    assert_no_traceback(disk)


def test_whoever_dies_on_a_full_disk_comes_back_with_the_room(stack: Stack, disk: SmallDisk) -> None:
    lasting = stack.submit(counting(stack.image))
    stack.until(lambda: stack.step(lasting, "a")["state"] == "running")
    disk.fill()
    for part in ("temporal", "api", "agent"):
        stack.kill(part)
    living = stack.pid("control_worker")
    os.kill(stack.pid("supervisor"), signal.SIGKILL)
    stack.until(lambda: stack.status()["supervisor"]["pid"] is None)
    upping = subprocess.Popen([GAMEKEEPER, "--state-dir", str(disk.path), "up", "--detach", "--node", stack.node])
    stack.until(lambda: stack.status()["supervisor"]["pid"])
    assert stack.pid("control_worker") == living
    disk.empty()
    assert upping.wait(120) == 0
    assert stack.pid("control_worker") == living
    stack.until(lambda: [agent["health"] for agent in stack.status()["agents"]] == ["ok"])
    assert counted_to_the_end(stack, lasting) == "succeeded"
    assert_no_traceback(disk)


def recorded_pid(stack: Stack) -> int:
    return int(json.loads((stack.state_dir / "stack.json").read_text())["pids"]["control_worker"])


def pids(stack: Stack) -> dict[str, int]:
    return {name: stack.pid(name) for name in LASTING}


def conditions(stack: Stack) -> list[str]:
    return [condition["type"] for condition in stack.json("node", "show", stack.node)["conditions"]]


def counted_to_the_end(stack: Stack, run_id: str) -> str:
    """The state of the run that counts, ended by its own decision; its log has every line once."""
    stack.containers(run_id)[0].exec_run(["touch", "/tmp/end"])
    state = str(stack.until_ended(run_id)["state"])
    lines = [line for line in stack.log(run_id, "a").splitlines() if line.startswith("line ")]
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    return state


def assert_no_traceback(disk: SmallDisk) -> None:
    for file in (disk.path / "process-logs").glob("*.log"):
        told = [line for line in file.read_text().splitlines() if "Traceback" in line]
        assert not told, f"{file}: {json.dumps(told[0])[-4000:]}"


def supervisor_log(stack: Stack) -> str:
    return (stack.state_dir / "process-logs" / "supervisor.log").read_text()
