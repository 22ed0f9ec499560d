"""Needs that are met by the start of a service, without Temporal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gamekeeper.domain.run.progress import RunProgress
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import Reason, StepResult, StepState
from tests.factories import make_pipeline

STARTED_AT = datetime(2026, 11, 1, tzinfo=UTC)
RUNS = StepResult(state=StepState.RUNNING, container_id="c1", started_at=STARTED_AT, ports=["8303/udp"])
UNHEALTHY = StepResult(state=StepState.FAILED, reason=Reason.UNHEALTHY)
HEALTHY = StepResult(state=StepState.SUCCEEDED)
UP = {"type": "service", "lifetime": "run"}


def made(word: str = "started", condition: str | None = None) -> RunProgress:
    """``b`` needs the service, and ``c`` needs ``b``."""
    needing = {"name": "b", "needs": {"router": word}} | ({"if": condition} if condition else {})
    last = {"name": "c", "needs": ["b"], "if": "success()"}
    progress = RunProgress("run", make_pipeline({"name": "router"} | UP, needing, last))
    progress.begin_try("router", 1, waits_until=None)
    return progress


def test_only_what_somebody_waits_for_is_told() -> None:
    assert made("started").start_is_awaited("router")
    assert not made("healthy").start_is_awaited("router")
    assert not made("started").start_is_awaited("b")


def test_a_start_is_told_with_the_facts_of_its_container() -> None:
    progress = made()
    progress.take_changes()
    progress.start("router", RUNS)
    (told,) = progress.take_changes()
    assert (told.state, told.container_id, told.started_at) == (StepState.RUNNING, "c1", STARTED_AT)
    assert told.ports == ["8303/udp"]


@pytest.mark.parametrize(
    ("seen", "has_started", "decided"),
    [
        ([], False, None),
        ([RUNS], True, None),
        ([RUNS, HEALTHY], True, None),
        ([RUNS, UNHEALTHY], True, StepState.SKIPPED),
        ([UNHEALTHY], True, StepState.SKIPPED),
        ([StepResult(state=StepState.SKIPPED, reason=Reason.CONDITION)], True, None),
        ([StepResult(state=StepState.CANCELED)], True, StepState.SKIPPED),
    ],
)
def test_a_dependent_goes_on_at_the_start(seen: list[StepResult], has_started: bool, decided: StepState | None) -> None:
    progress = made()
    for result in seen:
        (progress.finish if result.state.is_final else progress.start)("router", result)
    assert progress.has_started("router") is has_started
    if has_started:
        outcome = progress.decide("b")
        assert (outcome and outcome.state) is decided


def test_a_further_try_has_not_started_yet() -> None:
    progress = made()
    progress.start("router", RUNS)
    progress.begin_try("router", 2, waits_until=None)
    assert not progress.has_started("router")


@pytest.mark.parametrize(
    ("condition", "starts"),
    [("success()", True), ("failure()", False), ("steps.router.status == 'running'", True), ("always()", True)],
)
def test_a_service_that_is_not_healthy_yet_is_no_failure(condition: str, starts: bool) -> None:
    progress = made(condition=condition)
    progress.start("router", RUNS)
    assert (progress.decide("b") is None) is starts


def test_its_failure_is_one_for_those_that_come_later() -> None:
    progress = made()
    progress.start("router", RUNS)
    assert progress.decide("b") is None
    progress.finish("b", HEALTHY)
    assert progress.decide("c") is None
    progress.finish("router", UNHEALTHY)
    result = progress.decide("c")
    assert result is not None
    assert (result.state, progress.outcome()) == (StepState.SKIPPED, RunState.FAILED)
