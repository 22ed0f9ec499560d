"""One process of the stack: adopted, replaced, and started without a log where there can be none."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gamekeeper.stack.process import ManagedProcess, ProcessSpec
from tests.hang import HANG_SECONDS

SLEEPS = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
Make = Callable[..., ManagedProcess]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    (tmp_path / "run").mkdir()
    (tmp_path / "logs").mkdir()
    made: list[ManagedProcess] = []

    def process(log_dir: str = "logs", **environment: str) -> ManagedProcess:
        spec = ProcessSpec("sleeper", SLEEPS, environment)
        made.append(ManagedProcess(spec, tmp_path / "run", tmp_path / log_dir))
        return made[-1]

    yield process
    for process_ in made:
        process_.stop()


def test_a_living_process_is_adopted_when_it_was_started_the_same_way(make: Make) -> None:
    first, second = make(A="1"), make(A="1")
    assert first.ensure()
    assert not second.ensure()
    assert second.is_adopted
    assert second.pid == first.pid


def test_a_living_process_that_was_started_differently_is_replaced(make: Make) -> None:
    first, second = make(A="1"), make(A="2")
    first.ensure()
    pid = first.pid
    assert second.ensure()
    assert not second.is_adopted
    assert second.pid != pid
    assert not first.is_alive()


def test_adopting_and_starting_write_nothing_into_the_lock(make: Make, tmp_path: Path) -> None:
    make().ensure()
    make().ensure()
    assert (tmp_path / "run" / "sleeper.lock").stat().st_size == 0


def test_a_process_whose_log_can_not_be_made_runs_without_one(make: Make) -> None:
    process = make(log_dir="missing")
    assert process.ensure()
    assert process.is_alive()
    assert process.log_tail() == ""


def test_variables_of_temporal_are_inherited_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_API_KEY", "secret")
    show = [sys.executable, "-c", "import os; print(sorted(k for k in os.environ if k.startswith('TEMPORAL_')))"]
    process = ManagedProcess(ProcessSpec("shows", show, {"TEMPORAL_NAMESPACE": "games"}), tmp_path, tmp_path)
    process.ensure()
    assert process._child is not None
    process._child.wait(HANG_SECONDS)
    assert process.log_tail() == "['TEMPORAL_NAMESPACE']"


def test_a_frozen_process_hears_that_it_is_to_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    process = ManagedProcess(ProcessSpec("frozen", ["sleep", "600"]), tmp_path, tmp_path)
    process.ensure()
    assert process._child is not None
    os.kill(process._child.pid, signal.SIGSTOP)
    process.stop()
    assert not process.is_alive()
    assert "killing it" not in caplog.text
