"""This machine's own node: it is enrolled again when it has to be, and what is told of it is true now."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gamekeeper.stack.enrol import ensure_node
from gamekeeper.stack.layout import Ports, StackRecord, StateDir
from gamekeeper.stack.process import ManagedProcess, ProcessSpec
from gamekeeper.stack.status import stack_status
from gamekeeper.stack.supervisor import Supervisor
from tests.gamekeeper.stack.small_api import SmallApi, serving


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    made = StateDir(tmp_path / "state")
    made.prepare()
    return made


@pytest.fixture
def api() -> Iterator[SmallApi]:
    with serving() as found:
        yield found


@pytest.fixture
def record(state: StateDir, api: SmallApi) -> StackRecord:
    ports = Ports(rest=api.port, grpc=api.port, gateway=api.port, temporal=api.port, temporal_ui=api.port)
    made = StackRecord(ports=ports, node="vm")
    state.save(made)
    state.ensure_admin_key()
    return made


def identity_of(state: StateDir) -> Path:
    path = state.agent_dir("vm") / "identity.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    return path


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        ("", ["", "/vm/enrolment-tokens"]),  # it was removed
        ("never_seen", ["/vm/enrolment-tokens"]),  # it was removed, and made again
        ("online", []),
        ("offline", []),
    ],
)
def test_an_identity_of_a_removed_node_gives_way_to_a_token(
    state: StateDir, record: StackRecord, api: SmallApi, status: str, asked: list[str]
) -> None:
    identity = identity_of(state)
    if status:
        api.add("vm", status)
    ensure_node(state, record, "vm")
    assert api.asked == asked
    assert identity.exists() is not bool(asked)
    token = identity.with_name("token")
    assert (token.read_text() if token.exists() else "") == (f"token {len(asked)}" if asked else "")


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"WorkUnreachable": "Temporal can't be reached: refused"}, "Temporal can't be reached: refused"),
        ({"DiskPressure": "92 % full"}, ""),
        ({}, ""),
    ],
)
def test_an_agent_that_takes_no_work_is_not_well(
    state: StateDir, record: StackRecord, api: SmallApi, conditions: dict[str, str], message: str
) -> None:
    api.add("vm", "online", conditions)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    names = ("temporal", "api", "gateway", "control_worker", "agent-vm")
    living = [ManagedProcess(ProcessSpec(name, command), state.run_dir, state.process_logs) for name in names]
    try:
        for process in living:
            process.ensure()
        found = stack_status(state)
    finally:
        for process in living:
            process.stop()
    agent = found["agents"][0]
    assert (agent["health"], agent["message"]) == ("unhealthy" if message else "ok", message)
    assert found["health"] == "unhealthy", "there is no supervisor"


def test_a_trouble_of_the_start_is_over_when_the_node_is_there(
    state: StateDir, record: StackRecord, api: SmallApi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    record.trouble = "node vm is not online yet"
    supervisor = Supervisor(state, record)
    for status, trouble in (("never_seen", "node vm is not online yet"), ("online", "")):
        api.add("vm", status)
        supervisor._look_at_node()
        supervisor._save(ready=True)
        assert state.load().trouble == trouble
    api.nodes.clear()
    supervisor._look_at_node()
    told = [item.getMessage() for item in caplog.records if "is online" in item.getMessage()]
    assert told == ["node vm is online"]
