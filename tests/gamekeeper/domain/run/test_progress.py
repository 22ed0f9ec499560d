"""The rules of a run's steps, without Temporal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gamekeeper.domain.language.graph import Ancestors, find_cycle
from gamekeeper.domain.run.limits import MAX_MESSAGE, MAX_RENDERED, MAX_SNAPSHOT, encoded_size
from gamekeeper.domain.run.progress import RunProgress, may_retry, retry_delay
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import Reason, StepResult, StepState, StepStatus, observed_state
from gamekeeper.errors import InvalidError
from tests.factories import make_pipeline

F = StepState.FAILED
OK = StepResult(state=StepState.SUCCEEDED, exit_code=0)
FAILED = StepResult(state=StepState.FAILED, reason=Reason.EXIT_CODE, exit_code=3)


def progress_of(*steps: dict[str, Any], **fields: Any) -> RunProgress:
    return RunProgress("run", make_pipeline(*steps, **fields))


def test_a_step_starts_when_what_it_needs_ended_well() -> None:
    progress = progress_of({"name": "a"}, {"name": "b"})
    progress.finish("a", OK)
    assert progress.decide("b") is None


def test_many_large_outputs_are_told_in_pieces_that_fit_and_none_twice() -> None:
    names = [f"a{index}" for index in range(60)]
    progress = progress_of(*[{"name": name, "needs": [], "outputs": ["x"]} for name in names])
    progress.take_changes()
    for name in names:
        progress.finish(name, OK.model_copy(update={"outputs": {"x": "y" * 60_000}}))
    pieces = []
    while progress.has_changes:
        pieces.append(progress.take_changes())
    assert len(pieces) > 60 * 60_000 // MAX_SNAPSHOT
    assert all(encoded_size([status.outputs for status in piece]) <= MAX_SNAPSHOT for piece in pieces)
    assert [status.name for piece in pieces for status in piece] == names


def test_a_failure_skips_what_needs_it_and_what_needs_that() -> None:
    progress = progress_of({"name": "a"}, {"name": "b"}, {"name": "c"})
    progress.finish("a", FAILED)
    for name in ("b", "c"):
        result = progress.decide(name)
        assert result is not None
        assert (result.state, result.reason) == (StepState.SKIPPED, Reason.UPSTREAM)
        progress.finish(name, result)
    assert progress.outcome() is RunState.FAILED


def test_a_step_skipped_by_its_own_if_holds_up_nobody() -> None:
    progress = progress_of({"name": "a", "if": "false"}, {"name": "b"})
    result = progress.decide("a")
    assert result is not None
    assert result.reason is Reason.CONDITION
    progress.finish("a", result)
    assert progress.decide("b") is None
    assert progress.outcome() is RunState.SUCCEEDED


def test_continue_on_error_forgives() -> None:
    progress = progress_of({"name": "a", "continue_on_error": True}, {"name": "b"})
    progress.finish("a", FAILED)
    assert progress.decide("b") is None
    assert progress.outcome() is RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("condition", "after", "starts"),
    [
        ("failure()", FAILED, True),
        ("failure()", OK, False),
        ("always()", FAILED, True),
        ("success()", FAILED, False),
        ("steps.a.exit_code == 3 && failure()", FAILED, True),
        ("steps.a.exit_code == 3", FAILED, False),
        ("steps.a.status == 'succeeded'", OK, True),
        ("cancelled()", OK, False),
    ],
)
def test_conditions(condition: str, after: StepResult, starts: bool) -> None:
    progress = progress_of({"name": "a"}, {"name": "b", "if": condition})
    progress.finish("a", after)
    assert (progress.decide("b") is None) is starts


@pytest.mark.parametrize("condition", ["steps.a.exit_code", "steps.a.outputs.x + 1 > 0"])
def test_a_condition_that_fails_is_an_error_of_its_step(condition: str) -> None:
    progress = progress_of({"name": "a", "outputs": ["x"]}, {"name": "b", "if": condition})
    progress.finish("a", OK)
    result = progress.decide("b")
    assert result is not None
    assert (result.state, result.reason) == (StepState.ERROR, Reason.INTERNAL)
    assert result.message.startswith("if")


def test_a_list_reaches_a_command_as_json() -> None:
    container = {"image": "image", "commands": ['echo "${{ from_json(steps.a.outputs.x) }}"'], "environment": {"N": 5}}
    progress = progress_of({"name": "a", "outputs": ["x"]}, {"name": "b", "container": container})
    progress.finish("a", OK.model_copy(update={"outputs": {"x": '[1, "b"]'}}))
    assert progress.render_container("b").environment == {"GAMEKEEPER_EXPR_1": '[1,"b"]', "N": "5"}


def test_finally_reads_how_the_run_ended() -> None:
    progress = progress_of(
        {"name": "a"},
        finally_=[{"name": "z", "container": {"image": "i", "hostname": "${{ run.status }}-${{ steps.a.exit_code }}"}}],
    )
    progress.finish("a", FAILED)
    assert progress.decide("z") is None
    assert progress.render_container("z").hostname == "failed-3"
    progress.stopped = Reason.USER
    assert progress.render_container("z").hostname == "canceled-3"


def test_changes_are_handed_out_once() -> None:
    progress = progress_of({"name": "a"}, {"name": "b"})
    assert [status.name for status in progress.take_changes()] == ["a", "b"]
    assert not progress.has_changes
    progress.finish("b", OK)
    assert [status.name for status in progress.take_changes()] == ["b"]


def test_a_state_that_the_read_model_is_to_know_is_a_change_though_no_step_has_one() -> None:
    progress = progress_of({"name": "a"})
    progress.take_changes()
    progress.enter(RunState.RUNNING)
    assert progress.has_changes
    assert progress.state is RunState.RUNNING
    assert progress.take_changes() == []
    assert not progress.has_changes


def test_a_new_try_has_nothing_of_the_last_one() -> None:
    progress, now = progress_of({"name": "a", "outputs": ["x"]}), datetime(2026, 1, 31, tzinfo=UTC)
    ended = {"started_at": now, "finished_at": now, "container_id": "c", "digest": "d", "ports": ["80"]}
    progress.finish("a", FAILED.model_copy(update={"message": "m", "outputs": {"x": "y"}, **ended}))
    progress.begin_try("a", 2, waits_until=None)
    bare = StepStatus(name="a", position=0, type="job", node="node-1", state=StepState.STARTING, try_=2)
    assert progress.statuses["a"] == bare
    progress.begin_try("a", 3, waits_until=now)
    waiting = {"state": StepState.WAITING_NODE, "try_": 3, "deadline_at": now}
    assert progress.statuses["a"] == bare.model_copy(update=waiting)
    progress.finish("a", OK)
    assert progress.statuses["a"].deadline_at is None


def test_a_failure_is_known_until_its_step_is_tried_again() -> None:
    progress = progress_of({"name": "a"}, {"name": "b", "needs": []}, {"name": "c", "needs": []})
    assert progress.first_failure() is None
    progress.finish("c", FAILED)
    progress.finish("b", FAILED)
    assert progress.first_failure() is progress.statuses["b"]
    progress.begin_try("b", 2, waits_until=None)
    assert progress.first_failure() is progress.statuses["c"]
    assert progress.outcome() is RunState.FAILED
    assert not progress.all_ended
    for name in ("a", "b", "c"):
        progress.finish(name, OK)
    assert progress.all_ended
    assert progress.outcome() is RunState.SUCCEEDED
    progress.stopped = Reason.TIMEOUT
    assert progress.outcome() is RunState.FAILED


def test_a_long_message_is_cut_when_it_comes_in() -> None:
    progress = progress_of({"name": "a"})
    progress.finish("a", FAILED.model_copy(update={"message": "x" * (MAX_MESSAGE + 1)}))
    assert len(progress.statuses["a"].message) == MAX_MESSAGE


def test_a_network_is_for_the_nodes_that_have_a_service() -> None:
    progress = progress_of({"name": "a", "node": "other"}, {"name": "b", "type": "service", "node": "with"})
    assert (progress.needs_network("with"), progress.needs_network("other")) == (True, False)


def test_a_container_that_grows_too_large_is_refused() -> None:
    container = {"image": "image", "environment": {"X": "${{ steps.a.outputs.x }}"}}
    progress = progress_of({"name": "a", "outputs": ["x"]}, {"name": "b", "container": container})
    progress.finish("a", OK.model_copy(update={"outputs": {"x": "y" * MAX_RENDERED}}))
    with pytest.raises(InvalidError, match="the container is too large"):
        progress.render_container("b")


def test_what_a_step_did_not_give_is_null_and_what_it_gave_is_not() -> None:
    progress = progress_of({"name": "a", "outputs": ["x", "y"]}, {"name": "b"}, {"name": "c", "needs": []})
    progress.finish("a", FAILED.model_copy(update={"outputs": {"y": "1"}}))
    values = progress.values("b")
    assert values.steps == {"a": {"status": "failed", "exit_code": 3, "outputs": {"x": None, "y": "1"}, "ports": {}}}
    assert values.status == {"success": False, "failure": True, "cancelled": False, "always": True}
    assert progress.values("c").status["success"]
    progress.stopped = Reason.USER
    assert progress.values("b").status == {"success": False, "failure": False, "cancelled": True, "always": True}


@pytest.mark.parametrize(
    ("retry", "result", "tries", "again"),
    [
        ({"attempts": 3}, FAILED, 1, True),
        ({"attempts": 3}, FAILED, 3, False),
        ({"attempts": 3}, OK, 1, False),
        ({"attempts": 3, "on": ["timeout"]}, FAILED, 1, False),
        ({"attempts": 3, "exit_codes": [75]}, FAILED, 1, False),
        ({"attempts": 3, "exit_codes": [3]}, FAILED, 1, True),
        ({"attempts": 3}, StepResult(state=StepState.FAILED, reason=Reason.POLICY), 1, False),
        ({"attempts": 3}, StepResult(state=StepState.ERROR, reason=Reason.AGENT_LOST), 1, True),
        ({"attempts": 3}, StepResult(state=StepState.CANCELED, reason=Reason.USER), 1, False),
        ({"attempts": 3, "on": ["oom"]}, StepResult(state=F, reason=Reason.OOM), 1, True),
        (
            {"attempts": 3, "on": ["oom"], "exit_codes": [1]},
            StepResult(state=F, reason=Reason.OOM, exit_code=9),
            1,
            True,
        ),
        ({"attempts": 3}, StepResult(state=F), 1, False),
        ({"attempts": 3}, FAILED, 2, True),
    ],
)
def test_retry_by_cause(retry: dict[str, Any], result: StepResult, tries: int, again: bool) -> None:
    step = make_pipeline({"name": "a", "retry": retry}).steps[0]
    assert may_retry(step, result, tries) is again


def test_retry_delay_grows_to_its_bound() -> None:
    step = make_pipeline({"name": "a", "retry": {"backoff": "2s", "factor": 3, "max_backoff": "10s"}}).steps[0]
    assert [retry_delay(step, tries) for tries in (1, 2, 3, 99)] == [2, 6, 10, 10]


def test_graph() -> None:
    needs = {"a": [], "b": ["a"], "c": ["b"], "d": ["a", "c"]}
    assert find_cycle(needs) is None
    assert Ancestors(needs).of("d") == {"a", "b", "c"}
    assert find_cycle({str(n): [str(n + 1)] for n in range(10_000)}) is None
    cycle = find_cycle({str(n): [str((n + 1) % 5000)] for n in range(5000)})
    assert cycle is not None
    assert len(cycle) == 5001


@pytest.mark.parametrize(
    ("owned", "phase", "shown"),
    [
        (StepState.STARTING, StepState.RUNNING, StepState.RUNNING),
        (StepState.WAITING_NODE, StepState.RUNNING, StepState.RUNNING),
        (StepState.STARTING, None, StepState.STARTING),
        (StepState.SUCCEEDED, StepState.RUNNING, StepState.SUCCEEDED),
        (StepState.PENDING, StepState.RUNNING, StepState.PENDING),
        (StepState.STARTING, StepState.FAILED, StepState.STARTING),
    ],
)
def test_observed_state(owned: StepState, phase: StepState | None, shown: StepState) -> None:
    assert observed_state(owned, phase) is shown


def test_the_table_for_the_temporal_ui_is_bounded() -> None:
    progress = progress_of(*[{"name": f"s{index}"} for index in range(500)])
    assert len(progress.markdown().splitlines()) == 202


def test_the_table_for_the_temporal_ui_has_cells_below_their_step() -> None:
    progress = progress_of({"name": "m", "matrix": {"n": [1, 2]}}, {"name": "z"})
    progress.expand("m")
    progress.finish("z", FAILED.model_copy(update={"message": "said a|b\nand more"}))
    rows = [[cell.strip() for cell in row.split(" | ")] for row in progress.markdown().splitlines()[2:]]
    assert [row[0] for row in rows] == ["| m", "| m.0", "| m.1", "| z"]
    assert rows[-1][-1].startswith("said a\\|b and more")


def test_the_table_for_the_temporal_ui_tells_the_try_and_why_a_step_ended() -> None:
    progress = progress_of({"name": "a"}, {"name": "b"})
    progress.begin_try("a", 2, waits_until=None)
    progress.finish("a", FAILED)
    rows = [[cell.strip(" |\u00a0") for cell in row.split(" | ")] for row in progress.markdown().splitlines()[2:]]
    assert rows == [["a", "failed", "node-1", "2", "exit_code"], ["b", "pending", "node-1", "", ""]]


def test_a_step_that_a_user_skips_has_ended_well() -> None:
    progress = progress_of({"name": "a"}, {"name": "b"})
    progress.finish("a", StepResult(state=StepState.SKIPPED, reason=Reason.USER))
    assert progress.decide("b") is None
    assert progress.outcome() is RunState.SUCCEEDED
