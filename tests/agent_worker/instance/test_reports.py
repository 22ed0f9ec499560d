"""Each change is told in its order, all of them after a Welcome, and what the server has deleted goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from agent_worker.instance.reports import InstanceReports
from gamekeeper.domain.instance.state import Desired, InstanceState
from gamekeeper.errors import UnavailableError
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.agent_worker.instance.node import KeptNode
from tests.hang import HANG_SECONDS


class FakeLink:
    """A link whose server keeps what it is told, and answers with ``remove``."""

    def __init__(self) -> None:
        self.calls = self
        self.connected = asyncio.Event()
        self.connected.set()
        self.requests: list[pb.ReportInstancesRequest] = []
        self.remove: list[str] = []
        self.is_away = False

    async def report_instances(self, request: pb.ReportInstancesRequest) -> pb.ReportInstancesResponse:
        if self.is_away:
            raise UnavailableError("the server is away")
        self.requests.append(request)
        return pb.ReportInstancesResponse(remove=self.remove)

    def told(self) -> list[str]:
        return [status.state for request in self.requests if not request.complete for status in request.instances]


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()


@pytest.fixture
async def reports(node: KeptNode, link: FakeLink) -> AsyncIterator[InstanceReports]:
    made = InstanceReports(cast(Any, link), node.keeper)
    node.on_told = made.told
    running = asyncio.create_task(made.run_forever())
    yield made
    running.cancel()


async def until(link: FakeLink, count: int) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while len(link.told()) < count:
            await asyncio.sleep(0.01)


async def test_changes_are_told_in_their_order(node: KeptNode, link: FakeLink, reports: InstanceReports) -> None:
    assert reports is not None
    await node.order()
    await until(link, 3)
    assert link.told() == ["preparing", "starting", "ready"]
    numbers = [status.seq for request in link.requests for status in request.instances if not request.complete]
    assert numbers == sorted(set(numbers))


async def test_what_was_not_heard_is_told_again(node: KeptNode, link: FakeLink, reports: InstanceReports) -> None:
    link.is_away = True
    await node.order()
    link.is_away = False
    reports.ask()
    await until(link, 3)
    async with asyncio.timeout(HANG_SECONDS):
        while not link.requests[-1].complete:
            await asyncio.sleep(0.01)
    assert [status.state for status in link.requests[-1].instances] == ["ready"]


async def test_all_are_told_only_after_the_journal_was_read(node: KeptNode, link: FakeLink) -> None:
    """A report of nothing would say that all are lost."""
    await node.order()
    await node.kill()
    node.open()
    reports = asyncio.create_task(InstanceReports(cast(Any, link), node.keeper)._tell())
    for _ in range(10):
        await asyncio.sleep(0)
    assert link.requests == []
    node.run()
    await reports
    assert [status.instance for status in link.requests[-1].instances] == [node.instance]


async def test_what_the_server_deleted_goes(node: KeptNode, link: FakeLink, reports: InstanceReports) -> None:
    await node.order()
    link.remove = [node.instance]
    reports.ask()
    await node.until_state(InstanceState.DELETED)
    async with asyncio.timeout(HANG_SECONDS):
        while node.keeper.keeps(node.instance):
            await asyncio.sleep(0.01)
    assert await node.engine.list_instances() == []


async def test_a_removed_instance_is_buried_and_may_be_asked_for_again(
    node: KeptNode, link: FakeLink, reports: InstanceReports
) -> None:
    assert reports is not None
    await node.order()
    order = node.next_order(Desired.REMOVED)
    await node.keeper.carry_out(order)
    await until(link, 5)
    async with asyncio.timeout(HANG_SECONDS):
        while node.keeper.keeps(node.instance):
            await asyncio.sleep(0.01)
        again = await node.keeper.carry_out(order)
    assert again.status.state is InstanceState.DELETED


async def test_the_answer_to_a_removal_leaves_the_next_order_alone(node: KeptNode) -> None:
    """It may come after the next order was taken, and before that one has told anything."""
    await node.order()
    removed = await node.order(Desired.REMOVED)
    order = node.next_order(revision=2)
    new = asyncio.create_task(node.keeper.carry_out(order))
    while node.keeper._kept["game"].record.order.serial != order.serial:
        await asyncio.sleep(0)
    await node.keeper.bury("game", removed.status.serial)
    async with asyncio.timeout(HANG_SECONDS):
        assert (await new).is_ready
    await node.keeper.remove("game", removed.status.serial)
    assert (await node.order(revision=2)).is_ready
    assert node.states.count("deleted") == 1
