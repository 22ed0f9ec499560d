"""The network that a container joins, and what its agent is told when a service has come up."""

from __future__ import annotations

import time
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.node.context import NodeContext
from activities.node.step.steps import StepActivities
from agent_worker.dummy_engine import DummyEngine
from gamekeeper.domain.language.step import Lifetime
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.run.step import Reason, StepState
from gamekeeper.ports.container_engine import NameTakenError, NewContainer
from tests.activities.node.dummy_node import Node
from tests.factories import make_container, make_step_input
from tests.fakes.node_agent import FakeContainers, FakeInputs, FakeJournal, FakePhases, FakeStepLogs


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


@pytest.mark.parametrize(
    ("image", "policy", "pulls"),
    [
        ("image", "missing", 0),
        ("image", "always", 1),
        ("image", "never", 0),
        ("missing", "missing", 1),
        ("missing", "never", 0),
    ],
)
async def test_an_image_is_pulled_as_the_step_asks(image: str, policy: str, pulls: int) -> None:
    node = Node()
    result = await node.job(make_step_input(container=make_container(image=image, pull_policy=policy)))
    assert (result.state is StepState.SUCCEEDED) is (image == "image")
    assert node.phases.messages.count(f"pulling {image}") == pulls


@pytest.mark.parametrize(
    ("fields", "kind", "lifetime", "workspace"),
    [
        ({}, "job", "run", True),
        ({"service": True}, "service", "run", True),
        ({"service": True, "lifetime": Lifetime.RUN}, "service", "run", True),
        ({"service": True, "lifetime": Lifetime.NODE}, "service", "node", False),
        ({"service": True, "lifetime": Lifetime.NODE, "network": True}, "service", "node", False),
    ],
)
async def test_a_container_says_whose_it_is(fields: dict[str, Any], kind: str, lifetime: str, workspace: bool) -> None:
    node, step = Node(FakeJournal(at=time.time())), make_step_input(**fields, outputs=["x"] if not fields else [])
    await (node.service if fields else node.job)(step)
    made = node.engine._by_id[(await node.only()).id]
    owner = made.new.owner
    assert (owner.key, owner.node, owner.pipeline) == (step.key, step.node, step.pipeline)
    assert (owner.kind, owner.lifetime, owner.deadline) == (kind, lifetime, node.journal.at + step.timeout)
    assert made.workspace == (f"gk-{step.key.run_id}" if workspace else "")
    assert (made.has_output_file, made.new.has_outputs) == (not fields, not fields)
    assert made.new.alias == step.key.step
    assert await node.engine.list_run_resources() == ([step.key.run_id] if workspace or step.network else [])
    assert (node.logs.until_removed, node.logs.one_file) == (lifetime == "node", kind == "job")


async def test_the_policy_is_judged_by_the_node_again() -> None:
    node, policy = Node(), NodePolicy()
    context = NodeContext(node.engine, node.journal, node.logs, node.phases, FakeContainers(), policy, FakeInputs())
    step = make_step_input(container=make_container(volumes=["/etc:/x"]))
    result = await ActivityEnvironment().run(StepActivities(context).run_job, step)
    assert (result.state, result.reason) == (StepState.FAILED, Reason.POLICY)
    assert "host path /etc is not in the policy" in result.message
    assert await node.engine.list_owned() == []


class TakenEngine(DummyEngine):
    """An engine in which somebody else has made the container, a moment before; ``gone`` when it went again."""

    gone = False

    async def create(self, new: NewContainer) -> str:
        if not self.gone:
            await super().create(new)
        raise NameTakenError(new.owner.key.container_name)


@pytest.mark.parametrize("gone", [False, True])
async def test_a_container_that_another_delivery_has_made_is_this_ones_too(gone: bool) -> None:
    node, step = Node(), make_step_input()
    engine = TakenEngine("node-1")
    engine.gone = gone
    context = NodeContext(engine, node.journal, node.logs, node.phases, FakeContainers(), NodePolicy(), FakeInputs())
    running = ActivityEnvironment().run(StepActivities(context).run_job, step)
    if gone:
        with pytest.raises(ApplicationError, match="vanished while it was looked for") as caught:
            await running
        assert not caught.value.non_retryable
    else:
        assert (await running).state is StepState.SUCCEEDED


async def test_the_control_plane_hears_at_once_of_a_service_that_came_up() -> None:
    containers = FakeContainers()
    context = NodeContext(
        DummyEngine("node-1"),
        FakeJournal(),
        FakeStepLogs(),
        FakePhases(),
        containers,
        NodePolicy(),
        FakeInputs(),
        heartbeat_seconds=0.05,
    )
    step = make_step_input(container=make_container(stop_grace_period="1s"), service=True)
    result = await ActivityEnvironment().run(StepActivities(context).start_service, step)
    assert result.state is StepState.SUCCEEDED
    assert containers.changes == 2  # when it began, and when it had held
