"""Runs every scenario of this folder."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
import yaml
from temporalio.client import WorkflowHandle

from gamekeeper.domain.run.control import ApprovalAnswer, HoldAction, HoldAnswer, StepCancel
from gamekeeper.domain.run.step import StepState
from tests.fixtures.stack import Stack
from tests.hang import HANG_SECONDS
from tests.scenarios.scenario import Action, Scenario, When, check, check_names, load, names
from tests.workflows.conftest import ControlPlane, control_plane, ended
from workflows import PipelineWorkflow

__all__ = ["control_plane"]

BY = "key:tester"
OF_ENGINE = {engine: [name for name in names() if load(name).engine == engine] for engine in ("dummy", "docker")}


@pytest.mark.parametrize("name", OF_ENGINE["dummy"])
async def test_with_a_dummy_engine(control_plane: ControlPlane, name: str) -> None:
    scenario = load(name)
    await control_plane.start_node()
    fields = dict(scenario.pipeline)
    handle = await control_plane.submit(*fields.pop("steps"), finally_=fields.pop("finally", []), **fields)
    for action in scenario.do:
        await come(control_plane, action.when)
        await do(control_plane, handle, action)
    await ended(handle)
    check(scenario.expected.run, control_plane.store.snapshots[-1].model_dump(mode="json"), "the run")
    rows = {
        name: control_plane.store.last(name).model_dump(mode="json", by_alias=True) for name in control_plane.states()
    }
    check_names(scenario.expected, rows)
    for step, outcome in scenario.expected.steps.items():
        check(outcome, rows[step], step)
        assert not outcome.log, "a dummy writes no log"
        if outcome.given is not None:
            given = await given_to(control_plane, step)
            assert {key: given[key] for key in outcome.given} == outcome.given, step


async def come(plane: ControlPlane, when: When) -> None:
    """Waits for a moment. That a container runs is told by its engine: no agent tells the mirror in these runs."""
    assert not when.says, "a dummy writes no log"
    async with asyncio.timeout(HANG_SECONDS):
        while not any(status.state == when.state for status in plane.store.history(when.step)):
            if when.state == StepState.RUNNING and await plane.engine.list_owned(step=when.step):
                return await plane.until_started(when.step)
            await asyncio.sleep(0.02)


async def given_to(plane: ControlPlane, step: str) -> dict[str, str]:
    (info,) = await plane.engine.list_owned(step=step)
    return plane.engine._by_id[info.id].orders


async def do(plane: ControlPlane, handle: WorkflowHandle[PipelineWorkflow, Any], action: Action) -> None:
    match action.what:
        case "cancel", reason:
            await handle.cancel(reason=reason)
        case "cancel_step", step:
            await handle.execute_update(PipelineWorkflow.cancel_step, StepCancel(step=step, by=BY))
        case "finish", step:
            plane.engine.finish(step)
        case ("approve" | "reject") as answer, step:
            said = ApprovalAnswer(step=step, approved=answer == "approve", by=BY)
            await handle.execute_update(PipelineWorkflow.answer_approval, said)
        case ("retry" | "skip" | "fail") as answer, step:
            decided = HoldAnswer(step=step, action=HoldAction(answer), by=BY)
            await handle.execute_update(PipelineWorkflow.answer_hold, decided)
        case what, _:
            pytest.fail(f"a dummy engine can't {what}")


@pytest.mark.parametrize("name", OF_ENGINE["docker"])
def test_on_a_whole_stack(stack: Stack, name: str) -> None:
    scenario = load(name)
    run_id = stack.submit(yaml.safe_dump(scenario.pipeline).replace("IMAGE", stack.image))
    for action in scenario.do:
        stack.until(partial(happened, stack, run_id, action.when))
        act(stack, run_id, action)
    run = stack.until_ended(run_id)
    check(scenario.expected.run, run, "the run")
    rows = {row["name"]: row for row in run["steps"]}
    check_names(scenario.expected, rows)
    for step, outcome in scenario.expected.steps.items():
        check(outcome, rows[step], step)
        assert outcome.given is None, "Docker does not tell what a container was given; write it to the log"
        if outcome.log:
            stack.until(partial(happened, stack, run_id, When(step=step, says=outcome.log)))


def happened(stack: Stack, run_id: str, when: When) -> bool:
    if when.says:
        return when.says in stack.log(run_id, when.step)
    return bool(stack.step(run_id, when.step)["state"] == when.state)


def act(stack: Stack, run_id: str, action: Action) -> None:
    match action.what:
        case "cancel", reason:
            stack.command("runs", "cancel", run_id, "--reason", reason)
        case "cancel_step", step:
            stack.command("runs", "cancel", run_id, "--step", step)
        case ("approve" | "reject" | "retry" | "skip" | "fail") as answer, step:
            stack.command("runs", answer, run_id, step)
        case "finish", step:  # its command waits for this file, so that nobody guesses how long it has to last
            container = stack.docker.containers.get(stack.step(run_id, step)["container"])
            assert container.exec_run(["touch", "/tmp/end"]).exit_code == 0
        case "kill", part:
            stack.kill(part)
        case what, _:
            pytest.fail(f"a whole stack can't {what}")


@pytest.mark.parametrize("name", names())
def test_its_file_can_be_read(name: str) -> None:
    scenario: Scenario = load(name)
    assert scenario.shows
    assert all(action.what for action in scenario.do)
