"""The results of an ended run that stand in a rerun of it."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.domain.language.resolved import ResolvedPipeline
from gamekeeper.domain.run.rerun import ALL, FAILED, changed_steps, steps_to_carry
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


APPROVED = make_pipeline(
    {"name": "ask", "type": "approval", "approval": {"message": "go?"}, "needs": []},
    {"name": "check", "type": "pipeline", "pipeline": {"name": "checks"}, "needs": []},
    {"name": "early", "needs": []},
    {"name": "build", "needs": ["early"]},
    {"name": "deploy", "needs": ["ask", "check", "build"]},
    {"name": "tell", "needs": ["deploy"]},
)


def ended(pipeline: ResolvedPipeline = PIPELINE, /, **states: StepState) -> dict[str, StepStatus]:
    names = {step.name: StepState.SUCCEEDED for step in pipeline.steps} | states
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


CHANGED = [
    # the step, its values before and now -> is it another step now?
    ({"container": {"image": "game", "environment": {"MAP": "${{ args.map }}"}}}, True),
    ({"container": {"image": "game", "environment": {"MODE": "${{ args.mode }}"}}}, False),
    ({"container": {"image": "game", "command": ["run", "${{ steps.a.outputs.x + args.map }}"]}}, True),
    ({"if": "args.map == 'dm1'"}, True),
    ({"if": "args.map == 'dm2' || always()"}, True),
    ({"container": {"image": "game", "environment": {"X": "${{ steps.a.outputs.x + args.map }}"}}}, True),
    ({"container": {"image": "game", "environment": {"X": "${{ steps.a.outputs.x + args.mode }}"}}}, False),
    ({"container": {"image": "game", "environment": {"X": "${{ steps.a.outputs.x + 'args.map' }}"}}}, False),
    ({"container": {"image": "game", "environment": {"X": "${{ args[steps.a.outputs.x] }}"}}}, True),
    ({"container": {"image": "game", "environment": {"RUN": "${{ run.id }}"}}}, False),
    ({"matrix": {"map": ["${{ args.map }}", "dm3"]}}, True),
    ({"timeout": "${{ args.limit }}"}, False),
]


@pytest.mark.parametrize(("fields", "is_changed"), CHANGED)
def test_other_arguments_change_the_steps_that_read_them(fields: dict[str, Any], is_changed: bool) -> None:
    steps = [{"name": "a", "outputs": ["x"]}, {"name": "b", "needs": ["a"]} | fields]
    args = {"map": "dm1", "mode": "quick", "limit": "5m"}
    before, now = (make_pipeline(*steps, args=args, given={"map": name}) for name in ("dm1", "dm2"))
    assert changed_steps(before, now) == ({"b"} if is_changed else set())
    assert changed_steps(before, before) == set()


def test_what_other_arguments_change_is_done_again_with_all_that_needs_it() -> None:
    assert steps_to_carry(PIPELINE, ended(), FAILED, {"b"}) == {"a", "d", "e"}


@pytest.mark.parametrize(
    ("changed", "carried"),
    [
        (set(), {"ask", "check", "early", "build"}),
        ({"deploy"}, {"early", "build"}),
        ({"build"}, {"early"}),  # what is deployed is another thing then
        ({"tell"}, {"early", "build"}),
    ],
)
def test_an_approval_counts_for_what_it_was_given_for(changed: set[str], carried: set[str]) -> None:
    assert steps_to_carry(APPROVED, ended(APPROVED, deploy=F, tell=K), FAILED, changed) == carried


def test_an_approval_counts_where_nothing_after_it_changed() -> None:
    pipeline = make_pipeline(
        {"name": "ask", "type": "approval", "approval": {"message": "go?"}, "needs": []},
        {"name": "deploy", "needs": ["ask"]},
        {"name": "aside", "needs": []},
    )
    assert steps_to_carry(pipeline, ended(pipeline), FAILED, {"aside"}) == {"ask", "deploy"}
