"""The supervisor's own failures: told once, tried again, and never the end of what runs."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gamekeeper.errors import InvalidError, UnavailableError
from gamekeeper.exit_status import FAILED, MISCONFIGURED
from gamekeeper.stack import supervisor as supervisor_module
from gamekeeper.stack.layout import StackRecord, StateDir
from gamekeeper.stack.process import ManagedProcess, ProcessSpec
from gamekeeper.stack.supervisor import Supervisor
from gamekeeper.stack.troubles import Troubles
from tests.hang import HANG_SECONDS
from tests.told import told

SLEEPER = ProcessSpec("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"])


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


def forbid_record(state: StateDir) -> Path:
    """Stands in the way of the record's next write; the path to remove, for the way to be free again."""
    obstacle = state.record_file.with_name("stack.json.new")
    obstacle.mkdir()
    return obstacle


def pid_of(supervisor: Supervisor) -> int:
    pid = supervisor._processes[0].pid
    assert pid is not None
    return pid


def test_a_record_that_can_not_be_written_ends_nothing_and_is_written_later(
    supervisor: Supervisor, state: StateDir, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    obstacle = forbid_record(state)
    supervisor._add(SLEEPER)
    pid = pid_of(supervisor)
    supervisor._look()
    supervisor._look()
    assert psutil.pid_exists(pid)
    assert not state.record_file.exists()
    obstacle.rmdir()
    supervisor._look()
    assert json.loads(state.record_file.read_text())["pids"] == {"sleeper": pid}
    words = [text for text in told(caplog, logging.INFO) if "record of the stack" in text]
    assert len(words) == 2, words


def test_a_process_that_dies_meanwhile_is_started_again(
    supervisor: Supervisor, state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "FIRST_DELAY_SECONDS", 0.0)
    forbid_record(state)
    supervisor._add(SLEEPER)
    pid = pid_of(supervisor)
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [])
    supervisor._look()  # sees it dead
    supervisor._look()  # starts it
    assert pid_of(supervisor) != pid


def test_a_process_that_can_not_be_started_is_tried_again(
    supervisor: Supervisor, state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "FIRST_DELAY_SECONDS", 0.0)
    lock = state.run_dir / "sleeper.lock"
    lock.mkdir()
    supervisor._add(SLEEPER)
    supervisor._look()
    supervisor._look()
    assert not supervisor._processes[0].is_alive()
    lock.rmdir()
    supervisor._look()
    supervisor._look()
    assert supervisor._processes[0].is_alive()


def test_a_trouble_is_told_when_it_begins_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    troubles = Troubles()

    def fails() -> None:
        raise OSError("no room")

    assert [troubles.attempt("it", fails), troubles.attempt("it", fails)] == [False, False]
    assert troubles.attempt("it", lambda: None)
    assert troubles.attempt("it", lambda: None)
    assert told(caplog, logging.INFO) == ["it: no room; trying again", "it: works again"]


def ends(status: int) -> ProcessSpec:
    line = json.dumps({"level": "error", "message": "the key is wrong"})
    return ProcessSpec("wrong", [sys.executable, "-c", f"import sys; print({line!r}); sys.exit({status})"])


def never() -> None:
    raise UnavailableError("not there")


def test_a_process_that_can_not_be_started_as_it_is_configured_ends_the_start_with_its_words(
    supervisor: Supervisor,
) -> None:
    supervisor._add(ends(MISCONFIGURED))
    with pytest.raises(InvalidError, match="the key is wrong"):
        supervisor._wait(never, HANG_SECONDS)
    assert supervisor._processes[0].log_tail().count("the key is wrong") == 1, "it was not started again"


def test_a_process_that_fails_is_started_again(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "FIRST_DELAY_SECONDS", 0.0)
    supervisor._add(ends(FAILED))

    def twice() -> None:
        if supervisor._processes[0].log_tail().count("the key is wrong") < 2:
            never()

    supervisor._wait(twice, HANG_SECONDS)


def test_what_lives_is_not_ended_for_a_configuration_that_is_wrong_now(
    state: StateDir, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier supervisor's processes serve; giving up would leave them without one."""
    earlier = ManagedProcess(SLEEPER, state.run_dir, state.process_logs)
    earlier.ensure()
    supervisor._add(SLEEPER)
    supervisor._add(ends(MISCONFIGURED))
    looks = []

    def asked() -> None:
        looks.append(supervisor._processes[1].is_misconfigured)
        if not any(looks):
            never()

    supervisor._wait(asked, HANG_SECONDS)
    assert supervisor._processes[0].is_alive()
    earlier.stop()
