"""A process tells systemd that it has begun, that its loop turns, and that it ends. systemd is a socket here."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gamekeeper.systemd import BEATS, NOTIFY_SOCKET, WATCHDOG_PID, WATCHDOG_USEC
from tests.hang import HANG_SECONDS

LIMIT_SECONDS = 0.4
SILENCE_SECONDS = LIMIT_SECONDS * 3
CODE = """
import asyncio, os, sys, time
from gamekeeper.liveness import run_answering
async def work():
    print([name for name in os.environ if name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")], flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    time.sleep(float(sys.argv[1]))
run_answering(work())
"""


class Watched:
    """A process that systemd watches; ``told`` is what it said last."""

    def __init__(self, folder: Path, seconds: float, **more: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.socket.settimeout(HANG_SECONDS)
        given = {NOTIFY_SOCKET: str(folder / "notify"), WATCHDOG_USEC: str(int(LIMIT_SECONDS * 1e6))}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CODE, str(seconds)],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | given | more,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def told(self) -> str:
        return self.socket.recv(100).decode()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def is_silent(self) -> bool:
        """True when nothing comes in the time in which systemd would end it."""
        self.socket.settimeout(SILENCE_SECONDS)
        deadline = time.monotonic() + HANG_SECONDS
        while time.monotonic() < deadline:
            try:
                self.told()
            except TimeoutError:
                return True
        return False

    def close(self) -> None:
        self.socket.close()
        self.process.kill()
        self.process.communicate()


Begin = Callable[..., Watched]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    made: list[Watched] = []

    def one(seconds: float = 0, **more: str) -> Watched:
        made.append(Watched(tmp_path, seconds, **more))
        return made[-1]

    yield one
    for watched in made:
        watched.close()


def test_it_begins_beats_and_ends(begin: Begin) -> None:
    watched = begin()
    assert [watched.told() for _ in range(1 + BEATS)] == ["READY=1", *["WATCHDOG=1"] * BEATS]
    assert watched.process.stdout is not None
    assert watched.process.stdout.readline() == "[]\n", "its children have nothing to tell"
    watched.go_on()
    while (told := watched.told()) == "WATCHDOG=1":
        pass
    assert told == "STOPPING=1"
    assert watched.process.wait(HANG_SECONDS) == 0


def test_one_that_is_stopped_is_silent(begin: Begin) -> None:
    watched = begin()
    assert watched.told() == "READY=1"
    watched.process.send_signal(signal.SIGSTOP)
    found = psutil.Process(watched.process.pid)
    deadline = time.monotonic() + HANG_SECONDS
    while found.status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < deadline, "not in time"
    assert watched.is_silent()


def test_one_whose_loop_is_blocked_is_silent_and_its_last_words_say_where(begin: Begin) -> None:
    watched = begin(600)
    assert watched.told() == "READY=1"
    watched.go_on()
    assert watched.is_silent()
    watched.process.send_signal(signal.SIGABRT)  # as systemd does
    _, words = watched.process.communicate(timeout=HANG_SECONDS)
    assert watched.process.returncode == -signal.SIGABRT
    assert "most recent call first" in words
    assert "in work" in words


def test_without_a_watchdog_it_tells_only_that_it_has_begun(begin: Begin) -> None:
    watched = begin(**{WATCHDOG_USEC: ""})
    assert watched.told() == "READY=1"
    watched.go_on()
    assert watched.told() == "STOPPING=1"


def test_the_watchdog_of_another_process_is_none_of_its_business(begin: Begin) -> None:
    watched = begin(**{WATCHDOG_PID: "1"})
    watched.go_on()
    assert watched.process.wait(HANG_SECONDS) == 0
    watched.socket.settimeout(0)
    with pytest.raises(BlockingIOError):
        watched.told()
