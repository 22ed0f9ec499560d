"""Records the histories that ``test_replay.py`` replays: python -m tests.workflows.record_histories VERSION [NAME ...]

Run once for each released version of a workflow; what is recorded stays, and every later version must replay it. With
names it writes those alone: of paths that came between two versions.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Collection
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.control_plane.instance_ensure import InstanceEnsureActivities
from activities.control_plane.intake import IntakeActivities
from activities.control_plane.notify import NotifyActivities
from activities.control_plane.rooms import RoomActivities
from activities.control_plane.runs import RunActivities
from gamekeeper.control_plane.intake.accept import RunAcceptance
from gamekeeper.control_plane.intake.for_workflows import SqlRunIntake
from gamekeeper.control_plane.intake.plan import RunPlanner
from gamekeeper.control_plane.intake.submission import Origin, Submission
from gamekeeper.db.engine import Database
from gamekeeper.db.migrate import upgrade
from gamekeeper.db.models import NodeRow, PipelineRow
from gamekeeper.db.run_store import SqlRunStore
from gamekeeper.domain.run.control import ApprovalAnswer, HoldAction, HoldAnswer, PauseRequest, StepCancel
from gamekeeper.domain.run.run import RunResult, Supersession
from gamekeeper.domain.run.schedule import ScheduledRun, ScheduleSpec, ScheduleTerms
from gamekeeper.errors import MessageRefusedError
from gamekeeper.temporal import queues
from gamekeeper.temporal.dev_server import dynamic_config_args, find_binary
from gamekeeper.temporal.ids import notification_workflow_id, run_workflow_id
from gamekeeper.temporal.notifications import NotificationWorkflows
from gamekeeper.temporal.search_attributes import SearchAttributes
from tests.fakes.notifier import FakeOutbox
from tests.workflows.conftest import ControlPlane, ended
from tests.workflows.instance.recorded import recorded_instances
from tests.workflows.test_instance_steps import arena
from tests.workflows.test_pipeline import step
from workflows import ALL_WORKFLOWS, PipelineWorkflow, ScheduledRunWorkflow

FOLDER = Path(__file__).parent / "histories"


async def record(version: str, names: Collection[str] = ()) -> None:
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=find_binary(),
        dev_server_extra_args=dynamic_config_args(),
        data_converter=pydantic_data_converter,
    )
    attributes = SearchAttributes(environment.client)
    await attributes.ensure()
    plane = ControlPlane(environment.client, queues.CONTROL_PLANE)
    folder = tempfile.TemporaryDirectory()
    url = f"sqlite+aiosqlite:///{folder.name}/gk.db"
    await asyncio.to_thread(upgrade, url)
    database = Database(url)
    runs = RunActivities(SqlRunStore(database), plane.rooms)
    intake = IntakeActivities(SqlRunIntake(database), attributes.are_there)
    notices = NotifyActivities(FakeOutbox(MessageRefusedError("HTTP 404")))
    async with AsyncExitStack() as stack, plane.stack:
        stack.push_async_callback(database.close)
        worker = Worker(
            environment.client,
            task_queue=queues.CONTROL_PLANE,
            workflows=ALL_WORKFLOWS,
            activities=[
                *(runs.write_snapshot, runs.find_node),
                *(intake.accept_call, intake.accept_scheduled, intake.load),
                *(intake.enter_group, intake.next_in_line),
                InstanceEnsureActivities(plane.instances, 0.2).ensure,
                RoomActivities(plane.rooms).take,
                *(notices.deliver, notices.give_up),
            ],
        )
        await stack.enter_async_context(worker)
        await plane.start_node()
        handles = await started_from_rows(plane, database)
        handles |= await submitted(plane)
        await asyncio.sleep(1)
        await talk(handles)
        handles["called"] = await child_of(plane, handles["call"])
        await kept(version, handles, names)
        await kept(version, await notified(environment.client), names)
    await kept(version, await recorded_instances(environment.client), names)
    await environment.shutdown()


async def kept(version: str, handles: dict[str, WorkflowHandle[Any, Any]], names: Collection[str]) -> None:
    """Writes the histories, once they have ended."""
    for name, handle in handles.items():
        if names and name not in names:
            continue
        await ended(handle)
        text = (await handle.fetch_history()).to_json()
        text = re.sub(r'"stackTrace": "(?:[^"\\]|\\.)*"', '"stackTrace": ""', text)  # paths of the recorder's machine
        (FOLDER / f"{version}-{name}.json").write_text(text)


async def notified(client: Client) -> dict[str, WorkflowHandle[Any, Any]]:
    """A message that its receiver refuses, and one that it takes."""
    found: dict[str, WorkflowHandle[Any, Any]] = {}
    for name in ("notification-refused", "notification"):
        await NotificationWorkflows(client).start(name, "a message")
        found[name] = client.get_workflow_handle(notification_workflow_id(name))
        await ended(found[name])
    return found


async def child_of(
    plane: ControlPlane, handle: WorkflowHandle[Any, RunResult]
) -> WorkflowHandle[PipelineWorkflow, RunResult]:
    """The run that the last step was."""
    await ended(handle)
    run_id = (await handle.query(PipelineWorkflow.get_steps))[-1].outputs["run"]
    return plane.client.get_workflow_handle_for(PipelineWorkflow.run, run_workflow_id(str(run_id)))


async def submitted(plane: ControlPlane) -> dict[str, WorkflowHandle[Any, RunResult]]:
    return {
        "branches": await plane.submit(step("a"), step("b", ["a"]), step("c", ["a"]), step("d", ["b", "c"])),
        "failure": await plane.submit(
            step("a", dummy={"exit_code": 3}, retry={"attempts": 2, "backoff": "50ms"}), finally_=[step("z")]
        ),
        "service": await plane.submit(step("db", type="service", lifetime="run"), step("a", dummy={"sleep": 0.2})),
        "started": await plane.submit(
            step(
                "router",
                type="service",
                lifetime="run",
                dummy={"healthy_after": 0.5},
                container={"healthcheck": {"test": ["CMD", "true"]}},
            ),
            step("a", {"router": "started"}),
        ),
        "ensures": await plane.submit(arena(), step("a", {"arena": "started"}), step("b", {"arena": "healthy"})),
        "ensures-blue-green": await plane.submit(arena(strategy="blue_green"), step("a")),
        "time-limit": await plane.submit(step("a", dummy={"sleep": 30}), timeout="300ms"),
        "cancel": await plane.submit(step("a", dummy={"sleep": 30}), finally_=[step("z")]),
        "late-cancel": await plane.submit(step("a"), finally_=[step("z", dummy={"sleep": 4})]),
        "matrix": await plane.submit(
            step("list", dummy={"step_output": "all=[0, 1, 2]"}, outputs=["all"]),
            step(
                "each",
                matrix={"n": "${{ from_json(steps.list.outputs.all) }}"},
                max_parallel=2,
                dummy={"exit_code": "${{ matrix.n }}", "sleep": 0.1},
            ),
        ),
        "approval": await plane.submit({"name": "ask", "type": "approval", "approval": {"message": "go?"}}, step("a")),
        "unanswered": await plane.submit(
            {"name": "ask", "type": "approval", "approval": {"message": "go?", "expires": "300ms"}}, step("a")
        ),
        "hold": await plane.submit(step("a", dummy={"exit_code": 3}, on_failure="hold 1h"), step("b")),
        "pause": await plane.submit(step("a", dummy={"sleep": 3}), step("b")),
        "step-cancel": await plane.submit(step("a", dummy={"sleep": 30}), step("b", [])),
    }


async def started_from_rows(plane: ControlPlane, database: Database) -> dict[str, WorkflowHandle[Any, RunResult]]:
    """Runs that others start, and those that wait for one another."""
    inner = {"name": "inner", "steps": [step("x", dummy={"sleep": 0.1})]}
    async with database.write() as session:
        session.add(NodeRow(id=plane.node, name=plane.node))
        session.add(PipelineRow(name="inner", version=1, source=json.dumps(inner)))
    call = {"name": "b", "type": "pipeline", "pipeline": {"name": "inner"}}
    group = {"concurrency": {"group": "g"}}
    newer = {"concurrency": {"group": "g", "on_busy": "cancel_old"}}
    handles: dict[str, WorkflowHandle[Any, RunResult]] = {
        "call": await accepted(plane, database, {"name": "call", "steps": [step("a"), call]}),
        "group-first": await accepted(plane, database, {"name": "g", "steps": [step("a", dummy={"sleep": 4})]} | group),
        "group-next": await accepted(plane, database, {"name": "g", "steps": [step("a")]} | group),
        "group-superseded": await accepted(plane, database, {"name": "g", "steps": [step("a")]} | group),
        "scheduled": await plane.client.start_workflow(
            ScheduledRunWorkflow.run,
            ScheduleTerms(
                spec=ScheduleSpec(cron="@daily", timezone="UTC", overlap="skip", catch_up=60),
                runs=ScheduledRun(schedule="inner-0", pipeline="inner", node=plane.node, node_wait=30),
            ),
            id="schedule/inner-0",
            task_queue=plane.queue,
        ),
    }
    await asyncio.sleep(0.5)
    await handles["group-superseded"].signal(PipelineWorkflow.superseded, Supersession(by_run="1"))
    await handles["group-superseded"].cancel(reason="superseded by run 1")
    handles["group-newer"] = await accepted(plane, database, {"name": "g", "steps": [step("a")]} | newer)
    return handles


async def accepted(plane: ControlPlane, database: Database, spec: dict[str, Any]) -> WorkflowHandle[Any, RunResult]:
    acceptance = RunAcceptance(database, RunPlanner(database))
    made = await acceptance.accept(Submission(spec=spec, node=plane.node), Origin(), node_wait=30)
    return await plane.client.start_workflow(
        PipelineWorkflow.run, made.run, id=run_workflow_id(made.run.run_id), task_queue=plane.queue
    )


async def talk(handles: dict[str, WorkflowHandle[Any, RunResult]]) -> None:
    """Says users' words to the runs."""
    by = "key:recorder"
    await handles["cancel"].cancel(reason="recorded")
    await handles["late-cancel"].cancel(reason="recorded while finally runs")
    yes = ApprovalAnswer(step="ask", approved=True, by=by, comment="go")
    await handles["approval"].execute_update(PipelineWorkflow.answer_approval, yes)
    await handles["pause"].execute_update(PipelineWorkflow.set_paused, PauseRequest(paused=True, by=by))
    await handles["step-cancel"].execute_update(PipelineWorkflow.cancel_step, StepCancel(step="a", by=by))
    for action in (HoldAction.RETRY, HoldAction.SKIP):
        await handles["hold"].execute_update(PipelineWorkflow.answer_hold, HoldAnswer(step="a", action=action, by=by))
        await asyncio.sleep(1)
    await handles["pause"].execute_update(PipelineWorkflow.set_paused, PauseRequest(paused=False, by=by))


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1], sys.argv[2:]))
