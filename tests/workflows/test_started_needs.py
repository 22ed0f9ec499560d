"""Steps that need a service to have started: they go on while it is not healthy yet."""

from __future__ import annotations

from typing import Any

from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from activities.node.step.steps import StepActivities
from gamekeeper.domain.run.control import StepCancel
from gamekeeper.domain.run.step import Reason, RunStepInput, StepResult, StepState
from gamekeeper.ports.container_engine import ContainerStatus
from tests.workflows.conftest import ControlPlane, ended
from tests.workflows.test_pipeline import step
from workflows import ALL_WORKFLOWS, PipelineWorkflow

S, F, C = StepState.SUCCEEDED, StepState.FAILED, StepState.CANCELED
CHECKED = {"healthcheck": {"test": ["CMD", "true"]}}
NEVER = 3600


def router(**fields: Any) -> dict[str, Any]:
    dummy = {"healthy_after": NEVER} | fields.pop("dummy", {})
    return step("router", type="service", lifetime="run", dummy=dummy, container=CHECKED, **fields)


class OlderActivities(StepActivities):
    """An agent that knows no ``until_started``."""

    @activity.defn(name="step.start_service")
    async def start_service(self, step: RunStepInput) -> StepResult:
        return await super().start_service(step.model_copy(update={"until_started": False}))


async def deliveries(handle: WorkflowHandle[Any, Any]) -> list[str]:
    """Ids of the activities on the node, in their order."""
    scheduled = [
        event.activity_task_scheduled_event_attributes
        async for event in handle.fetch_history_events()
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    return [item.activity_id for item in scheduled if item.activity_type.name.startswith("step.")]


async def replay(handle: WorkflowHandle[Any, Any]) -> None:
    replayer = Replayer(workflows=ALL_WORKFLOWS, data_converter=pydantic_data_converter)
    await replayer.replay_workflow(await handle.fetch_history())


async def test_a_dependent_goes_on_while_the_service_is_not_healthy(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(router(), step("a", {"router": "started"}), step("b", ["router"]))
    await control_plane.until("a", S)
    assert control_plane.store.last("router").state is StepState.RUNNING
    assert control_plane.store.last("router").container_id
    assert control_plane.store.last("b").state is StepState.PENDING
    await handle.execute_update(PipelineWorkflow.cancel_step, StepCancel(step="router", by="test"))
    assert await ended(handle) == "ApplicationError"
    assert control_plane.states() == {"router": C, "a": S, "b": StepState.SKIPPED}
    assert await deliveries(handle) == ["router.1", "router.1.healthy", "a.1"]
    (container,) = await control_plane.engine.list_owned(step="router")
    assert container.status is ContainerStatus.EXITED
    await replay(handle)


async def test_a_service_that_is_not_healthy_yet_is_no_failure(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    condition = {"if": "success() && steps.router.status == 'running'"}
    handle = await control_plane.submit(
        router(dummy={"healthy_after": 1}), step("a", {"router": "started"}, **condition), step("b", ["router"])
    )
    assert await ended(handle) == "completed"
    assert control_plane.states() == {"router": S, "a": S, "b": S}
    assert (await deliveries(handle))[-2:] == ["b.1", "router.stop"]
    await replay(handle)


async def test_others_pay_nothing_for_it(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(
        router(dummy={"healthy_after": 0}), step("a", ["router"]), step("b", {"router": "healthy"})
    )
    await ended(handle)
    assert sorted(await deliveries(handle)) == ["a.1", "b.1", "router.1", "router.stop"]


async def test_a_service_that_ends_fails_its_own_step_and_leaves_its_dependents_alone(
    control_plane: ControlPlane,
) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(
        router(dummy={"sleep": 600, "exit_code": 3}),
        step("a", {"router": "started"}, dummy={"sleep": 600}),
        step("gate", [], dummy={"sleep": 600}),
        step("late", {"router": "started", "gate": "succeeded"}),
    )
    await control_plane.until_started("a")
    control_plane.engine.finish("router")
    await control_plane.until("router", F)
    assert not control_plane.store.last("a").state.is_final
    control_plane.engine.finish("gate")
    await control_plane.until("late", StepState.SKIPPED)
    control_plane.engine.finish("a")
    assert await ended(handle) == "ApplicationError"
    assert control_plane.states() == {"router": F, "a": S, "gate": S, "late": StepState.SKIPPED}
    assert control_plane.store.last("late").reason is Reason.UPSTREAM
    await replay(handle)


async def test_a_service_that_never_starts_holds_its_dependent_back(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(
        router(dummy={"start_error": "no such file"}), step("a", {"router": "started"}), step("b", ["a"])
    )
    await ended(handle)
    assert control_plane.states() == {"router": F, "a": StepState.SKIPPED, "b": StepState.SKIPPED}
    assert await deliveries(handle) == ["router.1"]


async def test_a_further_try_starts_anew(control_plane: ControlPlane) -> None:
    """A dependent of the first try goes on; one that comes later waits for the start of the next try."""
    await control_plane.start_node()
    handle = await control_plane.submit(
        router(dummy={"sleep": 600}, retry={"attempts": 2, "backoff": "1ms"}),
        step("a", {"router": "started"}, dummy={"sleep": 600}),
        step("b", {"router": "started", "a": "succeeded"}),
    )
    await control_plane.until_started("a")
    control_plane.engine.finish("router")
    await control_plane.until_try("router", 2)
    control_plane.engine.finish("a")
    await control_plane.until("b", S)
    control_plane.engine.finish("router")
    await ended(handle)
    assert control_plane.states() == {"router": F, "a": S, "b": S}
    found = [name for name in await deliveries(handle) if name.startswith("router")]
    assert found == ["router.1", "router.1.healthy", "router.2", "router.2.healthy"]
    await replay(handle)


async def test_the_cells_of_a_matrix_go_on(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    handle = await control_plane.submit(
        router(), step("a", {"router": "started"}, matrix={"n": [0, 1]}), finally_=[step("z")], timeout="1h"
    )
    await control_plane.until("a", S)
    await handle.cancel()
    assert await ended(handle) == "CancelledError"
    assert control_plane.states() == {"router": C, "a": S, "a.0": S, "a.1": S, "z": S}
    await replay(handle)


async def test_a_node_that_waits_for_health_at_once_is_of_an_older_version(
    control_plane: ControlPlane,
) -> None:
    """The dependent then waits as long."""
    await control_plane.start_node(kind=OlderActivities)
    handle = await control_plane.submit(router(dummy={"healthy_after": 0.3}), step("a", {"router": "started"}))
    assert await ended(handle) == "completed"
    assert await deliveries(handle) == ["router.1", "a.1", "router.stop"]
    await replay(handle)
