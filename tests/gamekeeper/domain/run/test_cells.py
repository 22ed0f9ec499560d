"""The cells of a matrix as steps of a run: how they come about, and what they make of their step."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.domain.run.limits import MAX_CELL, MAX_SHOWN_OUTPUTS
from gamekeeper.domain.run.progress import RunProgress
from gamekeeper.domain.run.step import Reason, StepResult, StepState, StepStatus
from gamekeeper.errors import InvalidError
from tests.factories import make_pipeline

OK = StepResult(state=StepState.SUCCEEDED, exit_code=0)
FAILED = StepResult(state=StepState.FAILED, reason=Reason.EXIT_CODE, exit_code=3, message="exit code 3")
CANCELED = StepResult(state=StepState.CANCELED, reason=Reason.USER, message="stopped")
SKIPPED = StepResult(state=StepState.SKIPPED, reason=Reason.CONDITION)
PIPELINE = make_pipeline(
    {"name": "before"},
    {"name": "m", "matrix": {"n": [1, 2, 3]}, "outputs": ["x"]},
    {"name": "after"},
)


def expanded() -> RunProgress:
    progress = RunProgress("run", PIPELINE)
    progress.finish("before", OK)
    progress.take_changes()
    assert progress.expand("m") == progress.cells("m") == ["m.0", "m.1", "m.2"]
    return progress


def test_cells_are_steps_that_need_what_their_step_needs() -> None:
    progress = expanded()
    assert progress.cells("before") == []
    assert [status.name for status in progress.take_changes()] == ["m.0", "m.1", "m.2"]
    last = progress.statuses["m.2"]
    assert (last.cell_of, last.cell, last.matrix, last.message) == ("m", 2, {"n": 3}, "n=3")
    assert progress.values("m.2").matrix == {"n": 3}
    assert progress.decide("m.2") is None
    assert progress.values("m.2").steps.keys() == {"before"}


@pytest.mark.parametrize(
    ("results", "state", "reason", "message"),
    [
        ([OK, OK, OK], StepState.SUCCEEDED, None, ""),
        ([OK, SKIPPED, OK], StepState.SUCCEEDED, None, ""),
        ([OK, FAILED, OK], StepState.FAILED, Reason.EXIT_CODE, "1 of 3 cells; m.1 (n=2): exit code 3"),
        ([CANCELED, OK, FAILED], StepState.FAILED, Reason.EXIT_CODE, "2 of 3 cells; m.2 (n=3): exit code 3"),
        ([OK, CANCELED, CANCELED], StepState.CANCELED, Reason.USER, "2 of 3 cells; m.1 (n=2): stopped"),
    ],
)
def test_a_matrix_ends_as_its_worst_cell(
    results: list[StepResult], state: StepState, reason: Reason | None, message: str
) -> None:
    progress = expanded()
    for cell, result in zip(progress.cells("m"), results, strict=True):
        progress.finish(cell, result)
    result = progress.matrix_result("m")
    assert (result.state, result.reason, result.message) == (state, reason, message)


def test_the_outputs_of_a_matrix_are_lists_with_null_for_a_cell_that_gave_none() -> None:
    progress = expanded()
    progress.finish("m.0", OK.model_copy(update={"outputs": {"x": "a"}}))
    progress.finish("m.1", FAILED)
    progress.finish("m.2", OK.model_copy(update={"outputs": {"x": "c"}}))
    assert progress.matrix_result("m").outputs == {"x": ["a", None, "c"]}


def test_a_cell_that_is_too_large_is_refused_by_its_name() -> None:
    matrix = {"n": ["${{ from_json(steps.before.outputs.list) }}"]}
    pipeline = make_pipeline({"name": "before", "outputs": ["list"]}, {"name": "m", "matrix": matrix})
    progress = RunProgress("run", pipeline)
    progress.finish("before", OK.model_copy(update={"outputs": {"list": '"' + "y" * MAX_CELL + '"'}}))
    with pytest.raises(InvalidError, match=r"the cell n=y{78} is too large"):
        progress.expand("m")


def carried(**fields: Any) -> StepStatus:
    return StepStatus(**{"position": 1, "type": "job", "node": "node-1", "state": StepState.SUCCEEDED, **fields})


def test_a_carried_matrix_has_its_cells_and_the_outputs_that_were_too_many_to_be_shown() -> None:
    cells = [
        carried(name=f"m.{index}", cell_of="m", cell=index, matrix={"n": index + 1}, outputs={"x": f"v{index}"})
        for index in range(3)
    ]
    progress = RunProgress("run", PIPELINE, [carried(name="before"), carried(name="m"), *cells])
    assert progress.cells("m") == ["m.0", "m.1", "m.2"]
    assert progress.values("after").steps["m"]["outputs"] == {"x": ["v0", "v1", "v2"]}
    assert not progress.all_ended
    progress.finish("after", OK)
    assert progress.all_ended


@pytest.mark.parametrize(
    ("status", "outputs"),
    [
        (carried(name="m", outputs={"x": ["kept"]}), {"x": ["kept"]}),
        (carried(name="m", state=StepState.PENDING), {"x": None}),
    ],
)
def test_a_carried_matrix_keeps_the_outputs_that_it_has(status: StepStatus, outputs: dict[str, Any]) -> None:
    cell = carried(name="m.0", cell_of="m", cell=0, outputs={"x": "of the cell"})
    progress = RunProgress("run", PIPELINE, [status, cell])
    assert progress.values("after").steps["m"]["outputs"] == outputs


@pytest.mark.parametrize("message", ["", "one cell failed"])
def test_outputs_that_are_too_many_are_shown_at_the_cells_alone(message: str) -> None:
    progress = expanded()
    large = {"x": ["y" * MAX_SHOWN_OUTPUTS]}
    progress.take_changes()
    progress.finish("m", OK.model_copy(update={"outputs": large, "message": message}))
    (shown,) = progress.take_changes()
    assert shown.outputs == {}
    assert shown.message.startswith(f"{message}; outputs of" if message else "outputs of")
    assert "262,1" in shown.message
    assert progress.values("after").steps["m"]["outputs"] == large


def test_outputs_up_to_the_limit_are_shown() -> None:
    progress = expanded()
    progress.take_changes()
    fitting = {"x": "y" * (MAX_SHOWN_OUTPUTS - len('{"x":""}'))}
    progress.finish("m", OK.model_copy(update={"outputs": fitting}))
    assert progress.take_changes()[0].outputs == fitting
    progress.finish("m", OK.model_copy(update={"outputs": {"x": fitting["x"] + "y"}}))
    assert progress.take_changes()[0].outputs == {}
