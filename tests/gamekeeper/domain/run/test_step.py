"""The key of a try, and the steps that others may build on."""

from __future__ import annotations

import pytest

from gamekeeper.domain.container.container_key import MAX_TRY, StepKey
from gamekeeper.domain.language.step import Lifetime
from gamekeeper.domain.run.step import Reason, StepState, ended_well
from tests.factories import make_step_input

KEY = StepKey(run_id="run-1", step="build.12", try_=3)


def test_a_key_names_its_container_and_is_read_back() -> None:
    assert KEY.container_name == "gk-run-1-build.12-3"
    assert StepKey.parse(str(KEY)) == KEY
    assert {KEY: 1}[StepKey.parse("run-1/build.12/3")] == 1


@pytest.mark.parametrize(
    ("fields", "is_possible"),
    [
        ({}, True),
        ({"try_": 1}, True),
        ({"try_": MAX_TRY}, True),
        ({"try_": 0}, False),
        ({"try_": MAX_TRY + 1}, False),
        ({"run_id": "x" * 63, "step": "y" * 63 + ".123"}, True),
        ({"run_id": "x" * 64}, False),
        ({"run_id": "../x"}, False),
        ({"run_id": ""}, False),
        ({"step": "y" * 64}, False),
        ({"step": "a.1234"}, False),
        ({"step": "a/b"}, False),
        ({"step": ".."}, False),
    ],
)
def test_a_key_from_outside_is_one_that_a_workflow_can_have_made(fields: dict[str, object], is_possible: bool) -> None:
    assert KEY.model_copy(update=fields).is_possible is is_possible


@pytest.mark.parametrize(
    ("state", "reason", "forgives", "well"),
    [
        (StepState.SUCCEEDED, None, False, True),
        (StepState.SKIPPED, Reason.CONDITION, False, True),
        (StepState.SKIPPED, Reason.USER, False, True),
        (StepState.SKIPPED, Reason.UPSTREAM, False, False),
        (StepState.SKIPPED, Reason.UPSTREAM, True, False),
        (StepState.FAILED, Reason.EXIT_CODE, False, False),
        (StepState.FAILED, Reason.EXIT_CODE, True, True),
        (StepState.ERROR, Reason.INTERNAL, False, False),
        (StepState.ERROR, Reason.INTERNAL, True, True),
        (StepState.CANCELED, Reason.USER, True, False),
        (StepState.RUNNING, None, True, False),
    ],
)
def test_ended_well(state: StepState, reason: Reason | None, forgives: bool, well: bool) -> None:
    assert ended_well(state, reason, forgives) is well


@pytest.mark.parametrize(("lifetime", "outlives"), [(None, False), (Lifetime.RUN, False), (Lifetime.NODE, True)])
def test_a_service_of_its_node_outlives_its_run(lifetime: Lifetime | None, outlives: bool) -> None:
    assert make_step_input(lifetime=lifetime).outlives_run is outlives
