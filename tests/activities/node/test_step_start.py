"""The network that a container joins, and what its agent is told when a service has come up."""

from __future__ import annotations

import pytest
from temporalio.testing import ActivityEnvironment

from activities.node.context import NodeContext
from activities.node.step.steps import StepActivities
from agent_worker.dummy_engine import DummyEngine
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.run.step import StepState
from tests.activities.node.dummy_node import Node
from tests.factories import make_container, make_step_input
from tests.fakes.node_agent import FakeContainers, FakeJournal, FakePhases, FakeStepLogs


@pytest.mark.parametrize(
    ("mode", "is_asked_for", "joins"), [(None, True, True), ("none", True, False), (None, False, False)]
)
async def test_the_network_of_the_run_is_joined_unless_the_step_has_another(
    mode: str | None, is_asked_for: bool, joins: bool
) -> None:
    node = Node()
    step = make_step_input(container=make_container(network_mode=mode), network=is_asked_for)
    assert (await node.job(step)).state is StepState.SUCCEEDED
    new = node.engine._by_id[(await node.only()).id].new
    assert new.network == (f"gk-{step.key.run_id}" if joins else None)


async def test_the_control_plane_hears_at_once_of_a_service_that_came_up() -> None:
    containers = FakeContainers()
    context = NodeContext(
        DummyEngine("node-1"),
        FakeJournal(),
        FakeStepLogs(),
        FakePhases(),
        containers,
        NodePolicy(),
        heartbeat_seconds=0.05,
    )
    step = make_step_input(container=make_container(stop_grace_period="1s"), service=True)
    result = await ActivityEnvironment().run(StepActivities(context).start_service, step)
    assert result.state is StepState.SUCCEEDED
    assert containers.changes == 2  # when it began, and when it had held
