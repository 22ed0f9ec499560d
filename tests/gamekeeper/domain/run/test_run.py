"""Messages between the API, the workflow and the read model."""

from __future__ import annotations

import pytest

from gamekeeper.domain.run.run import RunInput, RunSnapshot, RunState
from gamekeeper.domain.run.step import StepState, StepStatus
from tests.factories import make_pipeline


@pytest.mark.parametrize("state", RunState)
def test_final_states_are_those_that_nothing_follows(state: RunState) -> None:
    assert state.is_final is (state in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED))


def test_a_run_of_an_old_history_goes_on_as_it_began() -> None:
    old = {"run_id": "run", "pipeline": make_pipeline({"name": "a"})}
    assert RunInput.model_validate(old).behaviour == 1
    assert RunInput.model_validate(old | {"engine": 2}).behaviour == 2


@pytest.mark.parametrize(("message", "kept"), [("\x00", "its message could not be kept"), ("", "")])
def test_a_bare_snapshot_has_the_states_and_nothing_that_a_step_brought_in(message: str, kept: str) -> None:
    step = StepStatus(
        name="a",
        position=0,
        type="job",
        node="n",
        state=StepState.FAILED,
        exit_code=3,
        message="\x00",
        outputs={"x": "\x00"},
        ports=["80:\x00"],
    )
    snapshot = RunSnapshot(run_id="run", version=4, state=RunState.FAILED, message=message, steps=[step])
    bare = snapshot.bare()
    assert (bare.version, bare.state, bare.message) == (4, RunState.FAILED, kept)
    (status,) = bare.steps
    assert (status.state, status.exit_code, status.outputs, status.ports) == (StepState.FAILED, 3, {}, [])
    assert status.message == "its message and outputs could not be kept"
    assert "\\u0000" not in bare.model_dump_json()
