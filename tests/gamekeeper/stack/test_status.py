"""The exit code of ``gamekeeper status``, which scripts and monitoring go by."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gamekeeper.cli.app import build
from gamekeeper.stack.layout import Ports, StackRecord, StateDir
from gamekeeper.stack.process import ManagedProcess, ProcessSpec
from gamekeeper.stack.status import PROCESSES
from tests.gamekeeper.stack.small_api import SmallApi, serving

EARLIER = "agent-earlier"  # of a node that the stack no longer has


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    made = StateDir(tmp_path / "state")
    made.prepare()
    return made


@pytest.fixture
def api(state: StateDir) -> Iterator[SmallApi]:
    with serving() as found:
        ports = Ports(rest=found.port, grpc=found.port, gateway=found.port, temporal=found.port, temporal_ui=found.port)
        state.save(StackRecord(ports=ports, node="vm"))
        state.ensure_admin_key()
        found.add("vm", "online")
        yield found


@pytest.fixture
def living(state: StateDir) -> Iterator[dict[str, ManagedProcess]]:
    """All processes of a stack with a node, and the lock of an agent that ended long ago."""
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    names = (*PROCESSES, "agent-vm", EARLIER)
    found = {name: ManagedProcess(ProcessSpec(name, command), state.run_dir, state.process_logs) for name in names}
    try:
        for process in found.values():
            process.ensure()
        found[EARLIER].stop()
        yield found
    finally:
        for process in found.values():
            process.stop()


def told(state: StateDir) -> tuple[int, str]:
    """The exit code, the same whatever the output is, and the health of the whole."""
    as_json = CliRunner().invoke(build(), ["--state-dir", str(state.root), "status", "--json"])
    plain = CliRunner().invoke(build(), ["--state-dir", str(state.root), "status"])
    assert plain.exit_code == as_json.exit_code
    return plain.exit_code, json.loads(as_json.stdout)["health"]


def test_all_is_well(state: StateDir, api: SmallApi, living: dict[str, ManagedProcess]) -> None:
    assert told(state) == (0, "ok")


def test_a_part_is_down_and_a_part_is_unhealthy(
    state: StateDir, api: SmallApi, living: dict[str, ManagedProcess]
) -> None:
    api.add("vm", "offline")
    assert told(state) == (1, "unhealthy")
    api.add("vm", "online")
    living["control_worker"].stop()
    assert told(state) == (1, "unhealthy")


def test_all_is_down(state: StateDir) -> None:
    assert told(state) == (3, "down"), "where no stack was ever started"
    state.save(StackRecord(ports=Ports(rest=1, grpc=1, gateway=1, temporal=1, temporal_ui=1), node="vm"))
    assert told(state) == (3, "down")
