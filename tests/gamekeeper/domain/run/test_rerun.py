"""Which results of an ended run stand in a rerun of it."""

from __future__ import annotations

import pytest

from gamekeeper.domain.run.rerun import ALL, FAILED, steps_to_carry
from gamekeeper.domain.run.step import Reason, StepState, StepStatus
from gamekeeper.errors import InvalidError
from tests.factories import make_pipeline

PIPELINE = make_pipeline(
    {"name": "cache", "type": "service", "lifetime": "run", "needs": []},
    {"name": "a", "needs": ["cache"]},
    {"name": "b", "needs": ["a"]},
    {"name": "c", "needs": ["b"]},
    {"name": "d", "needs": []},
    {"name": "e", "needs": ["d"]},
    finally_=[{"name": "z"}],
)


def ended(**states: StepState) -> dict[str, StepStatus]:
    names = {step.name: StepState.SUCCEEDED for step in PIPELINE.steps} | states
    return {
        name: StepStatus(name=name, position=0, type="job", node="n", state=state, reason=Reason.UPSTREAM, try_=1)
        for name, state in names.items()
    }


F, K = StepState.FAILED, StepState.SKIPPED


@pytest.mark.parametrize(
    ("states", "start", "carried"),
    [
        ({"b": F, "c": K}, FAILED, {"a", "d", "e"}),
        ({"e": F}, FAILED, {"cache", "a", "b", "c", "d"}),
        ({}, FAILED, {"cache", "a", "b", "c", "d", "e"}),
        ({}, "c", {"a", "b", "d", "e"}),
        ({"e": F}, "b", {"a", "d"}),
        ({"b": F, "c": K}, ALL, set()),
    ],
)
def test_carried(states: dict[str, StepState], start: str, carried: set[str]) -> None:
    assert steps_to_carry(PIPELINE, ended(**states), start) == carried


def test_a_step_that_is_not_there() -> None:
    with pytest.raises(InvalidError, match="begin at"):
        steps_to_carry(PIPELINE, ended(), "nothing")
