"""No value of one step can break the workflow of its run: it is that step's error, and the finally steps run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from control_worker.bootstrap import DEADLOCK_SECONDS, patient
from gamekeeper.domain.run.limits import MAX_COMMANDS, MAX_RENDERED, MAX_SHOWN_OUTPUTS
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import Reason, StepState
from tests.factories import make_pipeline
from tests.hang import HANG_SECONDS
from tests.workflows.conftest import ControlPlane, ended
from tests.workflows.test_pipeline import K, S, step
from workflows.run.pipeline import PipelineWorkflow

ERROR = StepState.ERROR
LONG = "y" * 12_000
CELLS = 150


def giving(times: int) -> dict[str, Any]:
    """A dummy container that gives out ``times`` times 12,000 characters, which it gets from step "seed"."""
    return {"step_output": "o=" + "${{ steps.seed.outputs.x }}" * times}


def seed() -> dict[str, Any]:
    return step("seed", dummy={"step_output": f"x={LONG}"}, outputs=["x"])


def reading(expression: str) -> dict[str, Any]:
    return {"environment": {"READ": f"${{{{ {expression} }}}}"}}


async def test_outputs_too_large_to_be_read_together_are_an_error_of_their_reader(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    states = await control_plane.run(
        seed(),
        step("m", matrix={"n": list(range(40))}, outputs=["o"], dummy=giving(5)),
        step("reader", container=reading("steps.m.outputs.o")),
        step("after"),
        finally_=[step("z", container=reading("size(steps.m.outputs.o)"))],
    )
    wanted = {"seed": S, "m": S, "reader": ERROR, "after": K, "z": S}
    assert {name: states[name] for name in wanted} == wanted
    assert "is too large" in control_plane.store.last("reader").message
    matrix = control_plane.store.last("m")
    assert matrix.outputs == {}
    assert "shown at the cells alone" in matrix.message
    assert all(len(control_plane.store.last(f"m.{cell}").outputs["o"]) == 60_000 for cell in range(40))
    assert 40 * 60_000 > MAX_SHOWN_OUTPUTS
    assert control_plane.store.snapshots[-1].state is RunState.FAILED


async def test_control_characters_count_as_what_they_take_in_a_message(control_plane: ControlPlane) -> None:
    """Each takes six bytes: measured as text, a snapshot of these would be far over what Temporal takes."""
    await control_plane.start_node()
    x = step("seed", dummy={"step_output": "x=" + "\x01" * 2_500}, outputs=["x"])
    cells = step("m", matrix={"n": list(range(60))}, outputs=["o"], dummy=giving(8))
    states = await control_plane.run(x, cells, finally_=[step("z")])
    assert (states["m"], states["z"]) == (S, S)


async def test_steps_that_are_too_large_together_start_one_portion_after_another(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    wide = [step(f"w{index}", ["seed"], container=reading("steps.seed.outputs.x + " * 9 + "''")) for index in range(48)]
    handle = await control_plane.submit(seed(), *wide)
    assert await ended(handle) == "completed"
    assert set(control_plane.states().values()) == {S}
    sizes: dict[int, int] = {}
    async for event in handle.fetch_history_events():
        scheduled = event.activity_task_scheduled_event_attributes
        if scheduled.activity_id.startswith("w"):
            task = scheduled.workflow_task_completed_event_id
            sizes[task] = sizes.get(task, 0) + len(scheduled.input.payloads[0].data)
    assert sum(sizes.values()) > 2 * MAX_COMMANDS
    assert max(sizes.values()) <= MAX_COMMANDS + MAX_RENDERED


@pytest.mark.parametrize(
    ("expression", "read"),
    [
        ("duration(steps.seed.outputs.x)", "300s"),
        ("[duration(steps.seed.outputs.x)]", '["300s"]'),
        ("timestamp('2026-01-31T12:00:00Z') + duration(steps.seed.outputs.x)", "2026-01-31T12:05:00Z"),
        ("{steps.seed.outputs.x: 1}", '{"5m":1}'),
        ("bytes(steps.seed.outputs.x)", None),
        ("1.0 / (size(steps.seed.outputs.x) == 2 ? 0.0 : 1.0)", None),
        ("from_json('[NaN' + (steps.seed.outputs.x == '' ? '' : ']'))", None),
        ("from_json('{' + steps.seed.outputs.x)", None),
        ("steps.seed.outputs.x.missing", None),
    ],
)
async def test_an_expression_of_an_odd_type_is_text_or_an_error_of_its_step(
    control_plane: ControlPlane, expression: str, read: str | None
) -> None:
    await control_plane.start_node()
    states = await control_plane.run(
        step("seed", dummy={"step_output": "x=5m"}, outputs=["x"]),
        step("b", container=reading(expression)),
        finally_=[step("z")],
    )
    assert states == {"seed": S, "b": S if read else ERROR, "z": S}
    if read:
        (info,) = await control_plane.engine.list_owned(step="b")
        assert control_plane.engine._by_id[info.id].new.spec.environment["READ"] == read
    else:
        assert control_plane.store.last("b").message


@pytest.mark.parametrize(
    "args",
    [
        {"a": "${{ [steps.seed.outputs.x, steps.seed.outputs.x].map(x, x + x + x + x + x + x + x) }}"},
        {"a": "${{ from_json(steps.seed.outputs.deep) }}"},  # no payload has room for that many levels
    ],
    ids=["large", "deep"],
)
async def test_a_call_whose_arguments_no_payload_takes_is_an_error_of_its_step(
    control_plane: ControlPlane, args: dict[str, str]
) -> None:
    control_plane.intake.pipelines["inner"] = lambda call: make_pipeline(step("x"), node=control_plane.node)
    await control_plane.start_node()
    deep = "[" * 400 + "]" * 400
    call = {"name": "c", "type": "pipeline", "pipeline": {"name": "inner", "args": args}}
    states = await control_plane.run(
        step("seed", dummy={"step_output": f"x={LONG};deep={deep}"}, outputs=["x", "deep"]),
        call,
        finally_=[step("z")],
    )
    assert states == {"seed": S, "c": ERROR, "z": S}
    assert control_plane.store.last("c").reason is Reason.INTERNAL


async def test_a_cell_that_is_too_large_is_an_error_of_its_matrix(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    matrix = {"n": "${{ [steps.seed.outputs.x + steps.seed.outputs.x] }}"}
    states = await control_plane.run(seed(), step("m", matrix=matrix), finally_=[step("z")])
    assert states == {"seed": S, "m": ERROR, "z": S}
    assert "too large" in control_plane.store.last("m").message


async def test_large_results_of_many_steps_that_end_together(control_plane: ControlPlane) -> None:
    """They wait in Temporal for the end of a workflow task, and are written together: over 4 MB by far."""
    await control_plane.start_node()
    cells = step("m", matrix={"n": list(range(CELLS))}, outputs=["o"], dummy=giving(5) | {"sleep": 60})
    handle = await control_plane.submit(seed(), cells, finally_=[step("z")])
    async with asyncio.timeout(HANG_SECONDS):
        while len(await control_plane.engine.list_owned()) < 1 + CELLS:
            await asyncio.sleep(0.02)
    for cell in range(CELLS):
        control_plane.engine.finish(f"m.{cell}")
    assert await ended(handle) == "completed"
    assert control_plane.states()["z"] is S


async def test_a_long_message_is_cut(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    text = "no " * 5_000
    await control_plane.run(step("a", dummy={"start_error": text}), finally_=[step("z")])
    assert 0 < len(control_plane.store.last("a").message) <= 2_000
    assert len(control_plane.store.snapshots[-1].message) <= 2_000


async def test_what_no_database_takes_costs_a_step_its_message_and_not_the_run_its_end(
    control_plane: ControlPlane,
) -> None:
    control_plane.store.refused_text = "unheard of"
    await control_plane.start_node()
    states = await control_plane.run(
        step("a", dummy={"step_output": "x=unheard of"}, outputs=["x"]),
        step("b", container=reading("steps.a.outputs.x")),
        step("c", dummy={"start_error": "unheard of"}),
        finally_=[step("z")],
    )
    assert (states["a"], states["b"], states["z"]) == (S, S, S)
    assert control_plane.store.last("a").message == "its message and outputs could not be kept"
    last = control_plane.store.snapshots[-1]
    assert (last.state, last.message) == (RunState.FAILED, "its message could not be kept")


async def test_a_slow_machine_is_no_deadlock(temporal_client: Client) -> None:
    worker = Worker(temporal_client, task_queue="nobody", workflows=[PipelineWorkflow])
    kept = worker._workflow_worker
    assert kept is not None
    assert kept._deadlock_timeout_seconds == 2, "the SDK keeps it elsewhere now"
    assert patient(worker) is worker
    assert kept._deadlock_timeout_seconds == DEADLOCK_SECONDS
