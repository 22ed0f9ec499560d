"""The activity hands a good order to the keeper, and an unsigned one to nobody."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.node.instance.instances import InstanceActivities
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.instance.order import InstanceOrder, InstanceOutcome, InstanceStatus
from gamekeeper.domain.instance.schedule import ConsoleLine
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceState
from gamekeeper.errors import ConflictError, PolicyError
from tests.fakes.node_agent import FakeInputs


class Deliveries:
    def __init__(self) -> None:
        self.taken: list[str] = []

    def took(self, key: ContainerKey, task_token: bytes) -> None:
        self.taken.append(f"{key} {len(task_token) > 0}")

    def returned(self, task_token: bytes) -> None:
        return None


class Keeper:
    def __init__(self) -> None:
        self.orders: list[InstanceOrder] = []
        self.lines: list[str] = []

    async def carry_out(self, order: InstanceOrder) -> InstanceOutcome:
        self.orders.append(order)
        if order.serial == 0:
            raise PolicyError("an older order")
        status = InstanceStatus(
            instance=order.instance,
            serial=order.serial,
            revision=order.revision,
            desired=order.desired,
            state=InstanceState.READY,
            since=datetime.now(UTC),
        )
        return InstanceOutcome(status=status, revision=order.revision)

    async def type_in(self, line: ConsoleLine) -> None:
        if line.number == 0:
            raise ConflictError("its console takes no input")
        self.lines.append(line.text)


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


def new_order(serial: int = 1) -> InstanceOrder:
    spec = InstanceSpec.model_validate({"container": {"image": "i"}})
    return InstanceOrder(instance="game", node="node-1", serial=serial, desired=Desired.RUNNING, revision=1, spec=spec)


async def test_the_keeper_gets_the_order(keeper: Keeper) -> None:
    deliveries = Deliveries()
    activities = InstanceActivities(keeper, FakeInputs(), deliveries, 1)
    outcome = await ActivityEnvironment().run(activities.carry_out, new_order())
    assert outcome.is_ready
    assert deliveries.taken == ["i:game/1 True"]


async def test_an_unsigned_order_reaches_nobody(keeper: Keeper) -> None:
    inputs = FakeInputs()
    inputs.why = "it is not signed"
    activities = InstanceActivities(keeper, inputs, Deliveries(), 1)
    with pytest.raises(ApplicationError, match="the node refuses the order: it is not signed") as caught:
        await ActivityEnvironment().run(activities.carry_out, new_order())
    assert caught.value.non_retryable
    assert keeper.orders == []


async def test_an_older_order_is_not_tried_again(keeper: Keeper) -> None:
    activities = InstanceActivities(keeper, FakeInputs(), Deliveries(), 1)
    with pytest.raises(ApplicationError) as caught:
        await ActivityEnvironment().run(activities.carry_out, new_order(0))
    assert caught.value.non_retryable


def new_line(number: int = 1) -> ConsoleLine:
    return ConsoleLine(instance="game", node="node-1", schedule="warn", number=number, text="say soon")


async def test_the_keeper_types_a_line(keeper: Keeper) -> None:
    activities = InstanceActivities(keeper, FakeInputs(), Deliveries(), 1)
    await ActivityEnvironment().run(activities.type_in, new_line())
    assert keeper.lines == ["say soon"]


async def test_an_unsigned_line_reaches_nobody(keeper: Keeper) -> None:
    inputs = FakeInputs()
    inputs.why = "it is not signed"
    activities = InstanceActivities(keeper, inputs, Deliveries(), 1)
    with pytest.raises(ApplicationError, match="the node refuses the line: it is not signed") as caught:
        await ActivityEnvironment().run(activities.type_in, new_line())
    assert caught.value.non_retryable
    assert keeper.lines == []


async def test_a_line_that_was_begun_is_not_tried_again(keeper: Keeper) -> None:
    activities = InstanceActivities(keeper, FakeInputs(), Deliveries(), 1)
    with pytest.raises(ApplicationError, match="takes no input") as caught:
        await ActivityEnvironment().run(activities.type_in, new_line(0))
    assert caught.value.non_retryable
