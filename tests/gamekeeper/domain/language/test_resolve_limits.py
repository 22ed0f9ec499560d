"""Values at the edges of what a call and a step may say, and the choice between a step's own word and a default."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.domain.language.resolve import Call, resolve
from gamekeeper.domain.language.source import Document
from gamekeeper.errors import SpecError
from tests.factories import make_pipeline


def test_values_at_their_limits_are_taken() -> None:
    args: dict[str, Any] = {
        "low": {"type": "integer", "min": 3},
        "high": {"type": "number", "max": 1.5},
        "truth": {"type": "boolean", "min": 5},
        "choice": {"type": "integer", "enum": ["1", 2]},
        "shape": {"pattern": "b$"},
        "nothing": {"required": False},
    }
    given = {"low": "3", "high": 1.5, "truth": "true", "choice": 1, "shape": "a" * 5000 + "b"}
    resolved = make_pipeline({"name": "a"}, args=args, given=given)
    assert resolved.args == given | {"low": 3, "truth": True, "nothing": None}


def test_an_environment_value_that_may_be_left_out_is_empty() -> None:
    envs = {"A": {"required": False}, "B": {"default": "b"}, "C": None}
    assert make_pipeline({"name": "a"}, envs=envs).envs == {"A": "", "B": "b", "C": ""}


STEPS_THAT_CANNOT_BE = [
    ({"priority": 101}, "101; use 0 to 100"),
    ({"priority": -1}, "-1; use 0 to 100"),
    ({"matrix": {"x": [1]}, "max_parallel": 0}, "0; use 1 to 256"),
    ({"matrix": {"x": [1]}, "max_parallel": 257}, "257; use 1 to 256"),
    ({"on_failure": "hold 169h"}, "hold is longer than the limit of 7d"),
    ({"on_failure": "hold 0s"}, "is no time at all"),
    ({"retry": {"attempts": "${{ args.many }}"}}, "101; use 1 to 100"),
    ({"retry": {"attempts": "${{ args.many - 101 }}"}}, "0; use 1 to 100"),
    ({"priority": "${{ args.many == 101 }}"}, "a boolean; use 0 to 100"),
    ({"continue_on_error": "${{ args.many }}"}, "must be true or false, got 101"),
    ({"timeout": "${{ args.text }}"}, "is not a duration"),
    ({"if": "args.text + 1 == 2"}, "failed"),
    ({"node": "${{ args.text + 1 }}"}, "failed"),
    ({"container": {"image": "image", "hostname": "${{ args.text + 1 }}"}}, "failed"),
]


@pytest.mark.parametrize(("fields", "message"), STEPS_THAT_CANNOT_BE, ids=[case[1] for case in STEPS_THAT_CANNOT_BE])
def test_a_step_that_cannot_be_is_refused_by_its_key(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        make_pipeline({"name": "a"} | fields, args={"many": 101, "text": "x"})
    (problem,) = caught.value.problems
    assert message in problem.message
    assert problem.path.startswith(f"steps[0].{next(key for key in reversed(fields) if key != 'matrix')}")


def test_steps_at_their_limits_are_taken() -> None:
    resolved = make_pipeline(
        {"name": "a", "priority": 0, "on_failure": "hold 168h", "retry": {"attempts": 100, "exit_codes": [0, 75]}},
        {"name": "b", "priority": 100, "matrix": {"x": [1]}, "max_parallel": 256, "retry": {}},
        {"name": "c", "matrix": {"x": [1]}, "max_parallel": 1, "retry": {"attempts": "${{ args.one }}"}},
        args={"one": 1},
        concurrency={"group": "x" * 200, "limit": 10_000, "on_busy": "reject"},
    )
    first, second, third = resolved.steps
    assert (first.priority, first.hold, first.retry.attempts, first.retry.exit_codes) == (0, 604_800, 100, [0, 75])
    assert (second.priority, second.max_parallel, second.retry.attempts) == (100, 256, 2)
    assert (third.priority, third.max_parallel, third.fail_fast, third.retry.attempts) == (50, 1, True, 1)
    assert resolved.concurrency is not None
    assert resolved.concurrency.model_dump() == {"group": "x" * 200, "limit": 10_000, "on_busy": "reject"}


@pytest.mark.parametrize(
    ("version", "is_taken"), [(1, True), (0, False), (2**31 - 1, True), (2**31, False), ("${{ args.many }}", True)]
)
def test_the_versions_that_a_call_may_name(version: int | str, is_taken: bool) -> None:
    step = {"name": "s", "type": "pipeline", "pipeline": {"name": "other", "version": version}}
    if is_taken:
        call = make_pipeline(step, args={"many": 101}).steps[0].call
        assert call is not None
        assert call.version == (101 if isinstance(version, str) else version)
    else:
        with pytest.raises(SpecError, match="use 1 to 2147483647"):
            make_pipeline(step)


def test_a_call_takes_its_limits_from_the_defaults_and_its_own_words_first() -> None:
    call = {"type": "pipeline", "pipeline": {"name": "other"}}
    defaults = {"timeout": "1h", "retry": {"attempts": 3}}
    own = {"name": "b", "timeout": "2h", "retry": {"attempts": 4}}
    first, second = make_pipeline({"name": "a"} | call, own | call, defaults=defaults).steps
    assert (first.timeout, first.retry.attempts) == (3600, 3)
    assert (second.timeout, second.retry.attempts) == (7200, 4)


def test_the_time_limits_of_steps_that_name_none() -> None:
    call = {"name": "call", "type": "pipeline", "pipeline": {"name": "other"}}
    approval = {"name": "ask", "type": "approval", "approval": {"message": "go?"}}
    resolved = make_pipeline(
        {"name": "job"}, {"name": "service", "type": "service"}, call, approval, finally_=[{"name": "last"}]
    )
    hours = {step.name: step.timeout / 3600 for step in resolved.all_steps()}
    assert hours == {"job": 6, "service": 1 / 6, "last": 1 / 6, "call": 7 * 24, "ask": 24}
    assert resolved.timeout is None
    assert make_pipeline({"name": "a"}, timeout="2h").timeout == 7200


@pytest.mark.parametrize(
    ("own", "called_with", "default", "chosen"),
    [(None, None, None, None), ("a", "b", "c", "a"), (None, "b", "c", "b"), (None, None, "c", "c")],
)
def test_a_call_hands_on_its_node(own: str | None, called_with: str | None, default: str | None, chosen: str) -> None:
    step = {"name": "s", "type": "pipeline", "pipeline": {"name": "other"}} | ({"node": own} if own else {})
    document = Document({"name": "x", "steps": [step], "defaults": {"node": default} if default else {}})
    call = resolve(document, Call(node=called_with)).steps[0].call
    assert call is not None
    assert call.node == chosen


def test_a_call_is_resolved_with_its_version_and_its_values() -> None:
    called = {"name": "other", "version": 3, "args": {"x": "${{ args.n }}", "y": "${{ run.status }}"}, "envs": {"A": 1}}
    step = make_pipeline({"name": "s", "type": "pipeline", "pipeline": called}, args={"n": 5}).steps[0]
    assert (step.node, step.container) == ("", None)
    assert step.call is not None
    assert step.call.model_dump(exclude={"node"}) == {
        "name": "other",
        "version": 3,
        "args": {"x": 5, "y": "${{ run.status }}"},
        "envs": {"A": "1"},
    }
    bare = make_pipeline({"name": "s", "type": "pipeline", "pipeline": {"name": "other"}}).steps[0].call
    assert bare is not None
    assert (bare.version, bare.args, bare.envs) == (None, {}, {})


@pytest.mark.parametrize(
    ("own", "default", "forgives"),
    [
        (None, None, False),
        (None, True, True),
        (None, False, False),
        (False, True, False),
        (True, False, True),
        ("${{ args.yes }}", None, True),
    ],
)
def test_a_steps_own_word_on_errors_stands_before_the_defaults(own: Any, default: Any, forgives: bool) -> None:
    step = {"name": "a"} | ({} if own is None else {"continue_on_error": own})
    defaults = {} if default is None else {"continue_on_error": default}
    assert make_pipeline(step, defaults=defaults, args={"yes": True}).steps[0].continue_on_error is forgives


@pytest.mark.parametrize(
    ("condition", "kept"),
    [("${{ args.yes }}", "true"), (" !args.yes ", "false"), ("always()", "always()"), (None, None)],
)
def test_a_condition_that_is_known_now_is_decided_now(condition: str | None, kept: str | None) -> None:
    step = {"name": "a"} | ({"if": condition} if condition else {})
    assert make_pipeline(step, args={"yes": True}).steps[0].if_ == kept


def test_an_approval_is_asked_for_on_no_node() -> None:
    approval = {"message": "map ${{ args.map }}?", "expires": "1h"}
    step = make_pipeline({"name": "ask", "type": "approval", "approval": approval}, args={"map": "dm1"}).steps[0]
    assert (step.node, step.container, step.timeout) == ("", None, 3600)
    assert step.approval is not None
    assert (step.approval.message, step.approval.expires) == ("map dm1?", 3600)
