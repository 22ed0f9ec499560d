"""Steps that ensure an instance, in runs on a real Temporal server; the instances are in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gamekeeper.domain.instance.state import InstanceReason, InstanceState
from gamekeeper.domain.node.node import NodeMode, NodeStatus, NodeView
from gamekeeper.domain.run.step import Reason, StepState
from gamekeeper.errors import ConflictError
from tests.hang import HANG_SECONDS
from tests.workflows.conftest import ControlPlane, control_plane, ended
from tests.workflows.test_pipeline import step

__all__ = ["control_plane"]

ENSURES = 6


def arena(**fields: Any) -> dict[str, Any]:
    return step("arena", type="service", lifetime="node", **fields)


async def run(plane: ControlPlane, *steps: dict[str, Any], behaviour: int = ENSURES, **fields: Any) -> None:
    await plane.start_node()
    await ended(await plane.submit(*steps, behaviour=behaviour, **fields))


async def test_a_step_ensures_its_instance_and_starts_no_container_of_its_own(control_plane: ControlPlane) -> None:
    await run(control_plane, arena(), step("probe"), version=1)
    found = control_plane.store.last("arena")
    assert (found.state, found.container_id, found.digest) == (StepState.SUCCEEDED, "c1", "sha256:d")
    assert (found.ports, found.outputs) == (["8303->8303/udp"], {"instance": "test-arena", "revision": 1})
    (asked,) = control_plane.instances.asked
    assert (asked.instance.id, asked.node, asked.pipeline) == ("test-arena", control_plane.node, "test")
    assert (asked.spec.container.image, asked.spec.group, asked.spec.aliases) == ("image", "test", ["arena"])
    (probe,) = await control_plane.engine.list_owned()
    assert "-probe-" in probe.name


async def test_an_earlier_behaviour_goes_on_as_it_began(control_plane: ControlPlane) -> None:
    await run(control_plane, arena(), behaviour=ENSURES - 1)
    (container,) = await control_plane.engine.list_owned()
    assert "-arena-" in container.name
    assert control_plane.instances.asked == []


async def test_templates_that_read_steps_are_filled_in(control_plane: ControlPlane) -> None:
    container = {"image": "image", "environment": {"BUILD": "${{ steps.build.status }}"}}
    await run(control_plane, step("build"), arena(container=container), version=1)
    (asked,) = control_plane.instances.asked
    assert asked.spec.container.environment == {"BUILD": "succeeded"}


async def test_a_revision_that_does_not_get_ready_fails_the_step(control_plane: ControlPlane) -> None:
    control_plane.instances.outcome = {
        "state": InstanceState.CRASH_LOOP,
        "reason": InstanceReason.EXIT_CODE,
        "message": "it crashed 6 times; last lines: no such map",
        "reverted": True,
    }
    await run(control_plane, arena(), step("probe"))
    found = control_plane.store.last("arena")
    assert (found.state, found.reason) == (StepState.FAILED, Reason.EXIT_CODE)
    assert found.message.endswith("no such map; the revision before it is back")
    assert control_plane.store.last("probe").state is StepState.SKIPPED


async def test_each_further_try_is_a_revision_more(control_plane: ControlPlane) -> None:
    control_plane.instances.outcome = {"state": InstanceState.FAILED, "reason": InstanceReason.PULL_FAILED}
    await run(control_plane, arena(retry={"attempts": 2, "on": ["pull"], "backoff": "100ms"}))
    assert [asked.key.try_ for asked in control_plane.instances.asked] == [1, 2]
    assert control_plane.store.last("arena").outputs["revision"] == 2


async def test_a_refusal_is_the_error_of_its_step(control_plane: ControlPlane) -> None:
    control_plane.instances.refusal = ConflictError("instance test-arena belongs to pipeline other")
    await run(control_plane, arena())
    found = control_plane.store.last("arena")
    assert (found.state, found.message) == (StepState.ERROR, "instance test-arena belongs to pipeline other")


async def test_a_cancel_ends_the_wait_and_not_the_instance(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    control_plane.instances.may_end.clear()
    handle = await control_plane.submit(arena(), behaviour=ENSURES, finally_=[step("z")])
    await asyncio.wait_for(control_plane.instances.changing.wait(), HANG_SECONDS)
    await handle.cancel(reason="enough")
    assert await ended(handle) == "CancelledError"
    assert (control_plane.store.last("arena").state, control_plane.store.last("z").state) == (
        StepState.CANCELED,
        StepState.SUCCEEDED,
    )


@pytest.mark.parametrize("mode", [NodeMode.DISABLED, NodeMode.MAINTENANCE])
async def test_a_node_that_takes_nothing_is_asked_for_nothing(control_plane: ControlPlane, mode: NodeMode) -> None:
    view = NodeView(id=control_plane.node, status=NodeStatus.ONLINE, mode=mode)
    await ended(await control_plane.submit(arena(), behaviour=ENSURES, view=view, node_wait=0.2))
    assert control_plane.instances.asked == []
    assert control_plane.store.last("arena").state in (StepState.CANCELED, StepState.ERROR)


async def test_a_node_that_is_away_has_the_time_to_come_back(control_plane: ControlPlane) -> None:
    view = NodeView(id=control_plane.node, status=NodeStatus.OFFLINE)
    await run(control_plane, arena(timeout="60s"), view=view, node_wait=30.0)
    (asked,) = control_plane.instances.asked
    assert asked.within == 90
    states = [found.state for found in control_plane.store.history("arena")]
    assert StepState.WAITING_NODE in states


async def test_a_dependent_of_its_start_goes_on_before_it_is_ready(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    control_plane.instances.may_end.clear()
    router, probe = arena(), step("probe", needs={"arena": "started"})
    handle = await control_plane.submit(router, probe, behaviour=ENSURES)
    await control_plane.until("probe", StepState.SUCCEEDED)
    assert control_plane.store.last("arena").state is StepState.RUNNING
    control_plane.instances.may_end.set()
    assert await ended(handle) == "completed"
    assert control_plane.store.last("arena").state is StepState.SUCCEEDED
    assert {asked.key.try_ for asked in control_plane.instances.asked} == {1}
