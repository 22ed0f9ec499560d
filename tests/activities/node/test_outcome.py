"""The outcome of an ended container, row by row, with its words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.node.step.outcome import ended_outcome
from gamekeeper.domain.run.step import Reason, StepState
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus

BEGUN = datetime(2026, 1, 31, 12, tzinfo=UTC)
ENDED = BEGUN + timedelta(minutes=1)
S, F = StepState.SUCCEEDED, StepState.FAILED
OOM = "out of memory: raise deploy.resources.limits.memory"


def container(**fields: Any) -> ContainerInfo:
    ended = {"id": "c", "name": "n", "image": "i", "status": ContainerStatus.EXITED, "digest": "d", "ports": ("80",)}
    return ContainerInfo(**(ended | {"started_at": BEGUN, "finished_at": ENDED} | fields))


@pytest.mark.parametrize(
    ("fields", "service", "state", "reason", "message"),
    [
        ({"exit_code": 0}, False, S, None, ""),
        (
            {"exit_code": 0, "oom_killed": True},
            False,
            S,
            None,
            "a process in the container was killed for memory; it went on",
        ),
        ({"exit_code": 3}, False, F, Reason.EXIT_CODE, "exit code 3"),
        ({"exit_code": -1}, False, F, Reason.EXIT_CODE, "exit code -1"),
        ({"exit_code": 127, "error": "no such file"}, False, F, Reason.EXIT_CODE, "no such file"),
        ({"exit_code": 137, "oom_killed": True}, False, F, Reason.OOM, OOM),
        ({"exit_code": 0}, True, F, Reason.EXIT_CODE, "the service ended with exit code 0"),
        ({"exit_code": 0, "oom_killed": True}, True, F, Reason.EXIT_CODE, "the service ended with exit code 0"),
        ({"exit_code": 3, "error": "x"}, True, F, Reason.EXIT_CODE, "the service ended with exit code 3"),
        ({"exit_code": 137, "oom_killed": True}, True, F, Reason.OOM, OOM),
    ],
)
def test_ended(fields: dict[str, Any], service: bool, state: StepState, reason: Reason | None, message: str) -> None:
    outcome = ended_outcome(container(**fields), service=service)
    assert (outcome.state, outcome.reason, outcome.message) == (state, reason, message)
    assert (outcome.exit_code, outcome.container_id, outcome.digest) == (fields["exit_code"], "c", "d")
    assert (outcome.started_at, outcome.finished_at, outcome.ports) == (BEGUN, ENDED, ["80"])


def test_a_container_that_is_gone_has_no_outcome_of_its_own() -> None:
    outcome = ended_outcome(None, service=False)
    assert (outcome.state, outcome.reason) == (StepState.ERROR, Reason.INTERNAL)
    assert "removed by somebody else" in outcome.message


def test_one_that_did_not_end_has_no_exit_code() -> None:
    assert ended_outcome(container(exit_code=0, finished_at=None), service=False).exit_code is None
