"""One node's certificate with another node's names, on every call: nothing of the other node is read or changed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from temporalio.client import Client

from api.services.node.console import Console
from gamekeeper.certificates.node_name import read_node
from gamekeeper.db.models import InstanceRow, RunRow, StepRow
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.domain.container.container_key import InstanceKey, StepKey
from gamekeeper.domain.run.console import ConsoleRequest, ConsoleSize
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import StepState
from gamekeeper.rpc.convert import key_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.certificates import NODE_CSR
from tests.fixtures.raw_agent import RawAgent, code_of

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # no matter of the database

RUN = "f" * 32
KEY = StepKey(run_id=RUN, step="work", try_=1)
INSTANCE = InstanceKey(instance="arena", revision=1)
METHODS = list(pb.DESCRIPTOR.services_by_name["NodeLink"].methods)


@pytest.fixture
async def temporal_client() -> Client:
    """No work is done here, so no Temporal server is needed."""
    return await Client.connect("127.0.0.1:1", lazy=True)


@dataclass
class TwoNodes:
    """Node a, which speaks, and node b, which has a service of run ``RUN``. Of that run node a has a step, too."""

    api: ApiUnderTest
    a: RawAgent
    session: Any

    async def of_b(self) -> dict[str, Any]:
        """All that is known of node b and its step."""
        get = self.api.http.get
        found: dict[str, Any] = {}
        for path in ("/nodes/b", "/nodes/b/containers", f"/runs/{RUN}", f"/runs/{RUN}/steps/work/logs"):
            found[path] = (await get(path)).text
        metrics = await get(f"/runs/{RUN}/steps/work/metrics", params={"step": 5})
        events = (await get("/events", params={"limit": 500})).json()["items"]
        found["events"] = [item for item in events if item["run"] == RUN or item["node"] == "b"]
        async with self.api.database.read() as session:
            instance = (await InstanceRepository(session).find_many(["arena"]))["arena"].model_dump()
        return found | {"metrics": metrics.json()["points"], "instance": instance}


@pytest.fixture
async def two(api: ApiUnderTest) -> AsyncIterator[TwoNodes]:
    for node in ("a", "b"):
        await api.add_node(node)
    agents = {node: RawAgent(api, await api.enrol(node)) for node in ("a", "b")}
    sessions = {node: await agent.hello() for node, agent in agents.items()}
    async with api.database.write() as session:
        session.add(RunRow(id=RUN, pipeline="p", state=RunState.RUNNING.value))
        await session.flush()
        up: dict[str, Any] = {"type": "service", "state": StepState.SUCCEEDED.value, "try_number": 1}
        session.add(StepRow(run_id=RUN, name="work", node_id="b", **up))
        session.add(StepRow(run_id=RUN, name="own", node_id="a", **up))
        session.add(InstanceRow(id="arena", node_id="b", state="ready"))
    own = pb.Container(id="b-1", name="b-1", key=key_to_pb(KEY), status="running")
    await agents["b"].dial.control.ReportContainers(
        pb.ReportContainersRequest(containers=[own]), metadata=agents["b"].metadata
    )
    yield TwoNodes(api, agents["a"], sessions["a"])
    for agent in agents.values():
        await agent.dial.close()


async def once(message: Any) -> AsyncIterator[Any]:
    yield message


async def session(two: TwoNodes) -> None:
    phase = pb.StepPhase(key=key_to_pb(KEY), phase="running", message="forged", container_id="forged")
    await two.session.write(pb.AgentMessage(step_phase=phase))
    await two.session.write(pb.AgentMessage(heartbeat=pb.Heartbeat(seq=1)))
    assert (await two.session.read()).heartbeat_ack.seq == 1


async def renew(two: TwoNodes) -> None:
    request = pb.RenewCertificateRequest(csr=NODE_CSR)
    answer = await two.a.dial.control.RenewCertificate(request, metadata=two.a.metadata)
    assert read_node(answer.certificate.encode()).node_id == "a"


async def inventory(two: TwoNodes) -> None:
    told = pb.Inventory(facts=pb.Facts(hostname="b"), problem="forged")
    await two.a.dial.control.ReportInventory(told, metadata=two.a.metadata)


async def subscribe(two: TwoNodes) -> None:
    call: Any = two.a.dial.control.Subscribe(pb.SubscribeRequest(after_seq=1), metadata=two.a.metadata)
    await two.api.http.patch("/nodes/b", json={"description": "of b"})
    await two.api.http.patch("/nodes/a", json={"description": "of a"})
    told = [(await call.read()).event]
    while told[-1].kind != "node.edited":
        told.append((await call.read()).event)
    edits = (await two.api.http.get("/events", params={"kind": "node.edited", "node": "a"})).json()["items"]
    assert [event.seq for event in told if event.kind == "node.edited"] == [item["seq"] for item in edits]
    assert not [event for event in told if event.run_id == RUN]
    call.cancel()
    await two.api.http.patch("/nodes/b", json={"description": ""})


async def metrics(two: TwoNodes) -> None:
    now = int(time.time() * 1000)
    samples = [pb.Sample(at_ms=now, key=key_to_pb(key), values=[99.0]) for key in (KEY, INSTANCE)]
    batches = once(pb.MetricsBatch(samples=samples))
    assert (await two.a.dial.bulk.ReportMetrics(batches, metadata=two.a.metadata)).accepted == 0


async def containers(two: TwoNodes) -> None:
    forged = pb.Container(id="a-1", name="a-1", key=key_to_pb(KEY), status="exited", ended=True, restart_count=7)
    control, request = two.a.dial.control, pb.ReportContainersRequest(containers=[forged], tries=[key_to_pb(KEY)])
    for told in (request, pb.ReportContainersRequest()):
        await control.ReportContainers(told, metadata=two.a.metadata)
    unknown = (await two.api.http.get("/events", params={"kind": "container.unknown"})).json()["items"]
    assert [(item["node"], item["run"]) for item in unknown] == [("a", "")]


async def instances(two: TwoNodes) -> None:
    told: dict[str, Any] = {
        "serial": 9,
        "revision": 1,
        "desired": "removed",
        "state": "deleted",
        "since_ms": 1,
        "seq": 99,
    }
    request = pb.ReportInstancesRequest(instances=[pb.InstanceStatus(instance="arena", **told)], complete=True)
    answer = await two.a.dial.control.ReportInstances(request, metadata=two.a.metadata)
    assert list(answer.remove) == []


async def secrets(two: TwoNodes) -> None:
    """Neither of the other node's, nor of its own run, where it is told nothing but that."""
    for key in (KEY, INSTANCE, StepKey(run_id=RUN, step="own", try_=1)):
        request = pb.GiveSecretsRequest(key=key_to_pb(key), names=["s3-key"])
        call = two.a.dial.control.GiveSecrets(request, metadata=two.a.metadata)
        assert await code_of(call) is grpc.StatusCode.PERMISSION_DENIED


async def resources(two: TwoNodes) -> None:
    """Of a run that has no step on node a not even its state is told."""
    async with two.api.database.write() as session:
        session.add(RunRow(id="e" * 32, pipeline="p", state=RunState.SUCCEEDED.value))
    request = pb.ReportContainersRequest(run_resources=["e" * 32, RUN])
    answer = await two.a.dial.control.ReportContainers(request, metadata=two.a.metadata)
    assert (list(answer.ended_runs), list(answer.unknown_runs)) == ([], ["e" * 32])


async def logs(two: TwoNodes) -> None:
    for key in (KEY, INSTANCE):
        batches = once(pb.LogBatch(key=key_to_pb(key), records=[pb.LogRecord(seq=1, stream=1, data=b"forged")]))
        answer = await two.a.dial.bulk.UploadLogs(batches, metadata=two.a.metadata)
        assert "is not on node a" in answer.acks[0].refused


async def console(two: TwoNodes) -> None:
    request = ConsoleRequest("secret", KEY, ("sh",), tty=False, size=ConsoleSize(80, 24))
    two.api.process.services.consoles._open["secret"] = Console(request, "b")
    call = two.a.dial.bulk.Console(once(pb.ConsoleOutput(console_id="secret")), metadata=two.a.metadata)
    assert await code_of(anext(aiter(call))) is grpc.StatusCode.NOT_FOUND
    held = two.api.process.services.consoles._open.pop("secret")
    assert not held.joined.is_set()
    held.close()


TRIED: dict[str, list[Callable[[TwoNodes], Awaitable[None]]]] = {
    "Session": [session],
    "RenewCertificate": [renew],
    "ReportInventory": [inventory],
    "Subscribe": [subscribe],
    "ReportMetrics": [metrics],
    "ReportContainers": [containers, resources],
    "ReportInstances": [instances],
    "GiveSecrets": [secrets],
    "UploadLogs": [logs],
    "Console": [console],
}


@pytest.mark.parametrize("name", [method.name for method in METHODS])
async def test_no_call_reaches_what_is_another_nodes(two: TwoNodes, name: str) -> None:
    """A call without a row in the table fails."""
    before = await two.of_b()
    for tried in TRIED[name]:
        await tried(two)
    await two.api.process.services.metrics.save()
    after = await two.of_b()
    changed = {what for what in before if before[what] != after[what]}
    if name == "Subscribe":  # the test itself edits node b there
        changed -= {"/nodes/b", "events"}
    assert changed == set()


async def test_a_removed_node_gets_no_call_over_a_connection_that_it_still_has(
    api: ApiUnderTest, raw: RawAgent
) -> None:
    held = await raw.hello()
    assert (await api.http.delete("/nodes/node-1")).status_code == 204
    assert await held.code() is grpc.StatusCode.UNAUTHENTICATED
    found = {}
    for method in METHODS:
        given = once(_empty(method)) if method.client_streaming else _empty(method)
        call = getattr(raw.dial.control, method.name)(given, metadata=raw.metadata)
        found[method.name] = await code_of(anext(aiter(call)) if method.server_streaming else call)
    assert found == {method.name: grpc.StatusCode.UNAUTHENTICATED for method in METHODS}


def _empty(method: Any) -> Any:
    return getattr(pb, method.input_type.name)()
