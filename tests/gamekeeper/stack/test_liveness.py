"""Frozen processes, real ones: told from those that are slow, held, or watched by nobody; and replaced."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gamekeeper.liveness import LIVENESS, address_of
from gamekeeper.processor_wait import ProcessorWait
from gamekeeper.stack import liveness as liveness_module
from gamekeeper.stack.layout import StackRecord, StateDir
from gamekeeper.stack.liveness import FROZEN_SECONDS, LivenessWatch
from gamekeeper.stack.process import ProcessSpec
from gamekeeper.stack.supervisor import Supervisor
from tests.hang import HANG_SECONDS

WAITS = "await asyncio.sleep(600)"
BLOCKS = "await asyncio.sleep(0.1); print('here', flush=True); time.sleep(600)"


def spec(work: str) -> ProcessSpec:
    code = (
        "import asyncio, time\nfrom gamekeeper.liveness import run_answering\n"
        f"async def work():\n    {work}\nrun_answering(work())"
    )
    root = str(Path(__file__).parents[3])
    return ProcessSpec("one", [sys.executable, "-c", code], {"PYTHONPATH": root}, answers=True)


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    made = StateDir(tmp_path / "state")
    made.prepare()
    return made


@pytest.fixture
def supervisor(state: StateDir) -> Iterator[Supervisor]:
    made = Supervisor(state, StackRecord())
    yield made
    made._bring_down(made._processes)


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while not what():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


class Clock:
    """A second for each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes the watches that tests make."""
    made: list[LivenessWatch] = []
    begin = LivenessWatch.__init__

    def keep(self: LivenessWatch, *given: Any, **named: Any) -> None:
        begin(self, *given, **named)
        made.append(self)

    monkeypatch.setattr(LivenessWatch, "__init__", keep)
    yield
    for watch in made:
        watch.close()


def watched(supervisor: Supervisor, work: str) -> tuple[psutil.Process, LivenessWatch]:
    """A process that has answered, and a watch with a clock of its own."""
    supervisor._add(spec(work))
    pid = supervisor._processes[0].pid
    assert pid is not None
    found = psutil.Process(pid)
    until(lambda: LIVENESS in found.environ())
    watch = LivenessWatch(found.environ()[LIVENESS], pid, has_answered=True, clock=Clock())

    def answers() -> bool:
        watch.look()
        return watch.silence == 0

    until(answers)
    return found, watch


def silences(watch: LivenessWatch, looks: int) -> list[bool]:
    found = []
    for _ in range(looks):
        watch.look()
        found.append(watch.is_frozen)
    return found


def test_a_stopped_process_is_frozen_after_its_time_and_not_before(supervisor: Supervisor) -> None:
    found, watch = watched(supervisor, WAITS)
    os.kill(found.pid, signal.SIGSTOP)
    until(lambda: found.status() == psutil.STATUS_STOPPED)
    watch.look()  # may still read the answer to the question before
    assert not any(silences(watch, int(FROZEN_SECONDS) - 2))
    assert silences(watch, 5)[-1]
    os.kill(found.pid, signal.SIGCONT)

    def is_back() -> bool:
        watch.look()
        return not watch.is_frozen

    until(is_back)


def test_a_process_whose_loop_is_blocked_is_frozen(supervisor: Supervisor) -> None:
    _, watch = watched(supervisor, BLOCKS)
    until(lambda: "here" in supervisor._processes[0].log_tail())
    assert silences(watch, int(FROZEN_SECONDS) + 3)[-1]


def test_a_process_that_a_debugger_or_a_disk_holds_is_not_frozen(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, watch = watched(supervisor, WAITS)
    os.kill(found.pid, signal.SIGSTOP)
    until(lambda: found.status() == psutil.STATUS_STOPPED)
    monkeypatch.setattr(liveness_module, "_HELD_STATES", ("T",))
    assert not any(silences(watch, 40))


def test_time_without_a_processor_does_not_count(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    found, watch = watched(supervisor, WAITS)
    os.kill(found.pid, signal.SIGSTOP)
    until(lambda: found.status() == psutil.STATUS_STOPPED)
    monkeypatch.setattr(ProcessorWait, "since_last", lambda _: 0.9)
    assert not any(silences(watch, 40))
    assert silences(watch, 100)[-1], "what is left of each second counts"


def test_a_supervisor_that_stood_still_blames_nobody(supervisor: Supervisor) -> None:
    found, _ = watched(supervisor, WAITS)
    clock = Clock()
    watch = LivenessWatch(found.environ()[LIVENESS], found.pid, has_answered=True, clock=clock)
    watch.look()
    clock.now += 3600  # its machine slept, or it was stopped
    watch.look()
    assert not watch.is_frozen


def test_a_frozen_process_is_replaced_and_the_record_tells_it(
    supervisor: Supervisor, state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness_module, "FROZEN_SECONDS", 0.5)
    supervisor._add(spec(BLOCKS))
    first = supervisor._processes[0].pid

    def is_replaced() -> bool:
        supervisor._look()
        return supervisor._processes[0].pid not in (None, first)

    until(is_replaced)
    kept = json.loads(state.record_file.read_text())["replacements"]["one"]
    assert (kept["count"], kept["silent_seconds"] > 0) == (1, True)
    log = (state.process_logs / "one.log").read_text()
    assert "most recent call first" in log, "its last words say what its threads did"


def test_a_process_that_answers_nobody_is_not_watched(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process of a version before."""
    monkeypatch.setattr(liveness_module, "FROZEN_SECONDS", 0.0)
    monkeypatch.setattr(liveness_module, "START_SECONDS", 0.0)
    supervisor._add(ProcessSpec("sleeper", ["sleep", "600"]))
    pid = supervisor._processes[0].pid
    for _ in range(3):
        supervisor._look()
    assert supervisor._processes[0].pid == pid


GREETS = """
import socket
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
while True:
    came, _ = listening.accept()
    assert came.recv(100).startswith(b"PRI * HTTP/2.0")
    came.sendall(b"0")
    came.close()
"""


def test_a_program_that_is_not_ours_is_watched_by_its_greeting(
    supervisor: Supervisor, state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor._add(ProcessSpec("foreign", [sys.executable, "-c", GREETS]))
    process = supervisor._processes[0]
    until(lambda: process.log_tail().strip().isdecimal())
    pid = process.pid
    assert pid is not None
    watch = LivenessWatch(int(process.log_tail()), pid, has_answered=True, clock=Clock())

    def answers() -> bool:
        watch.look()
        return watch.silence == 0

    until(answers)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    watch.look()  # may still read the answer to the question before
    assert not any(silences(watch, int(FROZEN_SECONDS) - 2)), "the kernel takes connections for one that is stopped"
    assert silences(watch, 5)[-1]
    os.kill(pid, signal.SIGCONT)
    until(answers)


def test_a_frozen_program_that_is_not_ours_is_replaced(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness_module, "FROZEN_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    code = GREETS.replace("0))", f"{port}))")
    supervisor._add(ProcessSpec("foreign", [sys.executable, "-c", code], http2_port=port))
    process = supervisor._processes[0]
    first = process.pid
    assert first is not None

    def answers() -> bool:
        supervisor._look()
        return process._liveness is not None and process._liveness._has_answered

    until(answers)
    os.kill(first, signal.SIGSTOP)

    def is_replaced() -> bool:
        supervisor._look()
        return process.pid not in (None, first)

    until(is_replaced)
    assert supervisor._record.replacements["foreign"].count == 1


def test_an_adopted_process_is_watched(supervisor: Supervisor, state: StateDir) -> None:
    watched(supervisor, WAITS)
    later = Supervisor(state, StackRecord())
    later._add(spec(WAITS))
    assert later._processes[0].is_adopted
    assert later._processes[0]._liveness is not None
    name = psutil.Process(later._processes[0].pid or 0).environ()[LIVENESS]
    assert later._processes[0]._liveness._address == address_of(name)
