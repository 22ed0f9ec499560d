"""The environment of a stack's processes: the way to Temporal is told to those alone that go there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gamekeeper.stack import plan
from gamekeeper.stack.layout import Ports, StackRecord, StateDir

GIVEN = {"TEMPORAL_API_KEY": "secret", "TEMPORAL_NAMESPACE": "games", "TEMPORAL_TLS": "true"}


def environments(state: StateDir, temporal: str) -> dict[str, dict[str, str]]:
    ports = Ports(rest=1, grpc=2, gateway=3, temporal=4, temporal_ui=5)
    record = StackRecord(ports=ports, node="vm", temporal=temporal)
    specs = [*plan.control_plane(state, record), plan.agent(state, record, "vm")]
    found = {spec.name: dict(spec.environment) for spec in specs}
    return {
        name: {key: text for key, text in env.items() if key.startswith("TEMPORAL_")} for name, env in found.items()
    }


def test_variables_of_temporal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TEMPORAL_")]:
        monkeypatch.delenv(name)
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    state = StateDir(tmp_path)
    outside = environments(state, "temporal.example.com:7233")
    assert outside == {"api": GIVEN, "gateway": GIVEN, "control_worker": GIVEN, "agent-vm": {}}
    embedded = environments(state, "")
    own = {"TEMPORAL_NAMESPACE": "games", "TEMPORAL_CONFIG_FILE": os.devnull}
    assert embedded == {"temporal": {}, "api": own, "gateway": own, "control_worker": own, "agent-vm": {}}
