"""The node link beyond presence: inventory, metrics, conditions, subscription, versions, and what liars send."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from agent_worker.node_link.servers import parse_servers
from gamekeeper.domain.node.condition import Vitals
from gamekeeper.domain.node.metric import NODE_METRICS, ordered
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.raw_agent import RawAgent, code_of
from tests.hang import HANG_SECONDS


async def until(found: Callable[[], Awaitable[Any]]) -> Any:
    """The first true answer."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            if value := await found():
                return value
            await asyncio.sleep(0.05)


async def node(api: ApiUnderTest) -> dict[str, Any]:
    found: dict[str, Any] = (await api.http.get("/nodes/node-1")).json()
    return found


async def kinds(api: ApiUnderTest, subject: str) -> list[str]:
    """The kinds of events of a subject, oldest first."""
    items = (await api.http.get("/events", params={"kind": subject, "limit": 500})).json()["items"]
    return [item["kind"] for item in reversed(items)]


async def test_an_agent_reports_its_machine_and_what_it_does(api: ApiUnderTest) -> None:
    await api.add_node()
    agent = await api.start_agent()
    agent.telemetry.period = 0.1
    inventory = await until(lambda: _get(api, "inventory"))
    assert inventory["disks"]
    assert inventory["facts"]["cpu_model"] == "test cpu"
    assert (await node(api))["capacity"]["gpus"] == len(inventory["gpus"])
    now = time.time()

    async def points() -> Any:
        parameters: dict[str, float] = {"from": now - 60, "to": now + 60, "step": 1}
        return (await api.http.get("/nodes/node-1/metrics", params=parameters)).json()["points"]

    found = await until(points)
    assert found[-1]["values"]["memory_used_bytes"] > 0
    assert 'gamekeeper_node_load_1{node="node-1"}' in (await api.anonymous.get("/metrics")).text


async def _get(api: ApiUnderTest, name: str) -> Any:
    return (await node(api))[name]


async def test_a_step_has_metrics_of_its_own(api: ApiUnderTest) -> None:
    await api.add_node()
    agent = await api.start_agent()
    await api.start_control_worker()
    agent.telemetry.period = 0.1
    container = {"image": "image", "environment": {"DUMMY_SLEEP": "30"}}
    run = await api.submit({"name": "work", "container": container})

    async def points() -> Any:
        answer = await api.http.get(f"/runs/{run['id']}/steps/work/metrics", params={"step": 5})
        return answer.json().get("points")

    found = await until(points)
    assert found[0]["values"]["pids"] == 12
    await api.http.post(f"/runs/{run['id']}/cancel")
    await api.until_run(run["id"], "canceled")
    assert (await api.http.get(f"/runs/{run['id']}/steps/none/metrics")).status_code == 404


async def test_conditions_come_and_go_by_themselves(api: ApiUnderTest) -> None:
    await api.add_node()
    agent = await api.start_agent()
    told = Vitals(docker_error="Docker Engine at /nowhere does not answer")
    object.__setattr__(agent.link._introduction, "vitals", lambda: told)
    conditions = await until(lambda: _get(api, "conditions"))
    assert [(item["type"], item["reason"]) for item in conditions] == [("DockerUnresponsive", told.docker_error)]
    object.__setattr__(agent.link._introduction, "vitals", Vitals)

    async def healthy() -> bool:
        return not (await node(api))["conditions"]

    await until(healthy)
    found = [kind for kind in await kinds(api, "node") if "condition" in kind]
    assert found == ["node.condition_raised", "node.condition_cleared"]


async def test_a_changed_machine_is_an_event_and_refresh_asks_for_it(api: ApiUnderTest) -> None:
    await api.add_node()
    assert (await api.http.post("/nodes/node-1/refresh")).status_code == 409
    agent = await api.start_agent()
    before = await until(lambda: _get(api, "inventory"))
    gather = agent.inventory._gather

    async def with_more_swap() -> Any:
        return (await gather()).model_copy(update={"swap_bytes": before["swap_bytes"] + 1})

    agent.inventory._gather = with_more_swap
    await asyncio.wait_for(_subscribed(agent), HANG_SECONDS)
    assert (await api.http.post("/nodes/node-1/refresh")).status_code == 202

    async def changed() -> Any:
        return (await api.http.get("/events", params={"kind": "node.inventory_changed"})).json()["items"]

    assert (await until(changed))[0]["message"] == "swap_bytes"


async def _subscribed(agent: Any) -> None:
    """The subscription is up when the session's own event has come by it, or was there before."""
    while not agent.link.connected.is_set():
        await asyncio.sleep(0.02)


async def test_capacity_can_be_overridden(api: ApiUnderTest) -> None:
    await api.add_node()
    answer = await api.http.patch("/nodes/node-1", json={"capacity_override": {"cpus": 3}})
    assert answer.json()["capacity"]["cpus"] == 3
    assert (await api.http.patch("/nodes/node-1", json={"capacity_override": {"cpus": -1}})).status_code == 422
    await api.http.patch("/nodes/node-1", json={"capacity_override": {}})
    assert "cpus" not in (await node(api))["capacity"]


async def test_an_agent_resumes_its_events(api: ApiUnderTest) -> None:
    await api.add_node()
    agent = await api.start_agent()
    seq_file = agent.subscription._seq_file

    async def seen() -> bool:
        """A new agent hears from its first subscription on, so there must be something new."""
        await api.http.patch("/nodes/node-1", json={"description": str(time.time())})
        return seq_file.exists()

    await until(seen)
    newest = (await api.http.get("/events?limit=1&kind=node.edited")).json()["items"][0]["seq"]
    pushes = [push async for push in _some(agent, newest - 1, 1)]
    assert [push.event.seq for push in pushes] == [newest]
    assert pushes[0].event.actor == "key:admin"


async def _some(agent: Any, after: int, count: int) -> Any:
    async for push in agent.link.calls.subscribe(after):
        yield push
        count -= 1
        if count == 0:
            return


@pytest.mark.parametrize("version", [0, 2, 4])
async def test_other_versions_are_refused_with_both_numbers(raw: RawAgent, version: int) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=rf"version {version}, this side 3 to 3"):
        await raw.hello(protocol_version=version)


async def metrics(*batches: pb.MetricsBatch) -> Any:
    for batch in batches:
        yield batch


async def test_a_clock_one_hour_off_is_a_condition_and_spoils_no_metric(api: ApiUnderTest, raw: RawAgent) -> None:
    call = await raw.hello()
    off = 3_600_000_000_000
    for sign in (1, -1):
        beat = pb.Heartbeat(seq=1, sent_ns=time.time_ns() + sign * off, clock_offset_ns=sign * off, round_trip_ns=1000)
        await call.write(pb.AgentMessage(heartbeat=beat))
        assert (await call.read()).heartbeat_ack.hlc >> 16 <= time.time() * 1000 + 1000
        conditions = await until(lambda: _get(api, "conditions"))
        assert [item["type"] for item in conditions] == ["ClockSkew"]
    values = ordered(NODE_METRICS, {"cpu_percent": 1})
    samples = [pb.Sample(at_ms=at, values=values) for at in (0, int(time.time() * 1000) + 3_700_000, 2**62)]
    answer = await raw.dial.bulk.ReportMetrics(metrics(pb.MetricsBatch(samples=samples)), metadata=raw.metadata)
    assert answer.accepted == 0


async def test_liars_are_refused_by_the_right_code(raw: RawAgent) -> None:
    _session = await raw.hello()
    key = pb.ContainerKey(run_id="../../etc", step="x")
    bad = pb.MetricsBatch(samples=[pb.Sample(at_ms=int(time.time() * 1000), key=key, values=[1.0])])
    invalid, precondition = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION
    assert await code_of(raw.dial.bulk.ReportMetrics(metrics(bad), metadata=raw.metadata)) is invalid
    long = pb.MetricsBatch(samples=[pb.Sample(at_ms=int(time.time() * 1000), values=[1.0] * 65)])
    assert await code_of(raw.dial.bulk.ReportMetrics(metrics(long), metadata=raw.metadata)) is invalid
    many = pb.Inventory(disks=[pb.Disk(mount="/")] * 501)
    assert await code_of(raw.dial.control.ReportInventory(many, metadata=raw.metadata)) is invalid
    raw.epoch += 1
    assert await code_of(raw.dial.control.ReportInventory(pb.Inventory(), metadata=raw.metadata)) is precondition
    huge = pb.Inventory(problem="x" * 5_000_000)
    assert await code_of(raw.dial.control.ReportInventory(huge, metadata=raw.metadata)) is (
        grpc.StatusCode.RESOURCE_EXHAUSTED
    )


async def test_streams_opened_and_reset_in_a_loop_leave_nothing(api: ApiUnderTest, raw: RawAgent) -> None:
    _session = await raw.hello()
    before = len(asyncio.all_tasks())
    for _ in range(100):
        call = raw.dial.control.Subscribe(pb.SubscribeRequest(), metadata=raw.metadata)
        call.cancel()
        upload = raw.dial.bulk.ReportMetrics(metadata=raw.metadata)
        await upload.write(pb.MetricsBatch())
        upload.cancel()

    async def settled() -> bool:
        return len(asyncio.all_tasks()) <= before + 5

    await until(settled)
    assert not api.process.services.events._followers


async def test_the_agent_outlives_streams_that_are_cut(api: ApiUnderTest) -> None:
    await api.add_node()
    agent = await api.start_agent()
    agent.telemetry.period = 0.1
    await until(lambda: _get(api, "inventory"))
    epoch = agent.link.calls.epoch
    await api.process.link_server.stop(0)
    async with asyncio.timeout(HANG_SECONDS):
        while agent.link.connected.is_set():
            await asyncio.sleep(0.05)
    assert [task for task in api._tasks if task.done()] == []
    assert agent.link.calls.epoch == epoch


async def test_the_next_server_is_tried_when_one_is_silent(api: ApiUnderTest) -> None:
    await api.add_node()
    identity = await api.enrol()
    agent = api.make_agent(identity)
    agent.link._servers = parse_servers("127.0.0.9,127.0.0.1")  # nobody listens on the first
    agent.link.redial()
    api.background(agent.link.run_forever())
    await asyncio.wait_for(agent.link.connected.wait(), HANG_SECONDS)
    assert agent.link.server == api.link_address
    await agent.link.close()


async def test_a_subscription_ends_with_its_session(api: ApiUnderTest, raw: RawAgent) -> None:
    """Also where the connection holds, as after a silence of the api."""
    session = await raw.hello()
    old: Any = raw.dial.control.Subscribe(pb.SubscribeRequest(), metadata=raw.metadata)
    live = api.process.presence.session("node-1")
    assert live is not None
    assert api.process.presence.ask_for_reports("node-1")
    assert (await old.read()).WhichOneof("body") == "directive"  # it is there
    session.cancel()

    async def until_its_end() -> None:
        while await old.read() is not grpc.aio.EOF:
            pass

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(until_its_end(), HANG_SECONDS)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
