"""Services of the time before instances become instances, without being touched."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from api.services.instance import reconcile
from gamekeeper.control_plane.instance.adoption import InstanceAdoption
from gamekeeper.db.models import ContainerRow, RunRow, StepRow
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.domain.container.container_key import InstanceKey, StepKey
from gamekeeper.domain.language.step import Lifetime, StepType
from gamekeeper.domain.log.log import LogRecord, LogStream
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import StepState
from tests.api.rest.test_instance import Answer, idle, keeper
from tests.api.rest.test_instance_on_a_node import lines_of
from tests.factories import make_pipeline
from tests.fakes.instance_keeper import FakeKeeper
from tests.fixtures.api import ApiUnderTest

__all__ = ["keeper"]

RUN = "abc123"


@pytest.fixture(autouse=True)
def runs_make_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "BEHAVIOUR", reconcile.WITH_INSTANCES)


async def old_service(api: ApiUnderTest, **fields: Any) -> None:
    """A service as a run of an older version left it, and as its node tells of it."""
    container = {
        "image": "db:1",
        "ports": ["5432:5432"],
        "environment": {"A": "1", "B": "${{ steps.seed.outputs.x }}"},
        "volumes": ["data:/data"],
        "restart": "unless-stopped",  # what services that named none were given
    }
    resolved = make_pipeline(
        {"name": "seed", "outputs": ["x"]},
        {"name": "db", "type": "service", "lifetime": "node", "container": container, "needs": ["seed"]},
        name="shop",
    )
    async with api.database.write() as session:
        run = RunRow(id=RUN, pipeline="shop", state=RunState.SUCCEEDED, resolved=resolved.model_dump(mode="json"))
        session.add(run)
        await session.flush()
        step: dict[str, Any] = {
            "state": StepState.SUCCEEDED,
            "type": StepType.SERVICE,
            "try_number": 2,
            "container_id": "c1",
        }
        session.add(StepRow(run_id=RUN, name="db", node_id="node-1", **(step | fields)))
        session.add(
            ContainerRow(
                node_id="node-1",
                id="c1",
                name=f"gk-{RUN}-db-2",
                image="db:1",
                status="running",
                run_id=RUN,
                step="db",
                try_number=2,
                pipeline="shop",
                lifetime=Lifetime.NODE,
            )
        )


async def agent_is_new(api: ApiUnderTest) -> None:
    """The node's agent tells of its instances: there are none."""
    await api.process.services.instances.reports.observe("node-1", [], complete=True)


async def listed(api: ApiUnderTest) -> list[Answer]:
    items: list[Answer] = (await api.http.get("/instances")).json()["items"]
    return items


async def test_a_service_of_an_older_run_is_adopted_once(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await old_service(api)
    await api.process.instances.reconcile()
    assert await listed(api) == []  # an agent of before would refuse the order
    await agent_is_new(api)
    for _ in range(2):
        await api.process.instances.reconcile()
    found = await idle(api, "shop-db")
    assert (found["state"], found["pipeline"], found["step"], found["run"]) == ("ready", "shop", "db", RUN)
    (order,) = keeper.orders
    assert order.adopted == StepKey(run_id=RUN, step="db", try_=2)
    spec = order.spec
    assert (spec.container.image, spec.restart.policy, spec.container.restart) == ("db:1", "always", "no")
    assert (spec.container.environment["A"], "B" in spec.container.environment) == ("1", False)
    assert spec.container.volumes == ["gk-p-shop-data:/data"]
    assert len(await listed(api)) == 1


async def test_the_log_that_stays_with_its_step_is_read_as_the_instances(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    """No line is lost to a reader, who need not know what it was before."""
    await old_service(api)
    await agent_is_new(api)
    await api.process.instances.reconcile()
    await idle(api, "shop-db")
    await api.http.post("/instances/shop-db/update", json={"container": {"image": "db:2"}})
    await idle(api, "shop-db")
    files = api.process.services.instances.logs._logs
    second = 10**9
    lines = [LogRecord(seq, LogStream.STDOUT, seq * second, line) for seq, line in ((1, b"one\n"), (2, b"two\n"))]
    await files.append(StepKey(run_id=RUN, step="db", try_=2), lines)
    later = LogRecord(1, LogStream.STDOUT, 10 * second, b"three\n")
    await files.append(InstanceKey(instance="shop-db", revision=2), [later])
    path = "/instances/shop-db/logs"
    assert (await api.http.get(path)).text == "one\ntwo\nthree\n"
    assert (await api.http.get(path, params={"tail": 2})).text == "two\nthree\n"
    assert (await api.http.get(path, params={"revision": 1})).text == "one\ntwo\n"
    events = lines_of((await api.http.get(path, params={"lines": True})).text)
    assert [(event.get("text"), event.get("revision")) for event in events[:-1]] == [
        ("one\n", 1),
        ("two\n", 1),
        ("three\n", 2),
    ]
    for index, left in enumerate((["two\n", "three\n"], ["three\n"], [])):
        headers = {"Last-Event-ID": events[index]["id"]}
        resumed = await api.http.get(path, params={"lines": True}, headers=headers)
        assert [event.get("text") for event in lines_of(resumed.text)[:-1]] == left


async def test_what_is_up_no_more_is_left_alone(api: ApiUnderTest, keeper: FakeKeeper) -> None:
    await old_service(api, state=StepState.FAILED)
    await agent_is_new(api)
    await api.process.instances.reconcile()
    assert await listed(api) == []


async def test_an_adoption_whose_workflow_was_not_started_is_no_second_container(
    api: ApiUnderTest, keeper: FakeKeeper
) -> None:
    """The api died between the rows and Temporal: what starts the workflow then knows the container as well."""
    await old_service(api)
    adoption = InstanceAdoption(api.database)
    (container,) = await adoption.waiting()
    await adoption.adopt(container)
    async with api.database.write() as session:
        (await InstanceRepository(session).get("shop-db")).updated_at -= timedelta(minutes=1)
    await api.process.instances.reconcile()
    assert (await keeper.until_ordered(1)).adopted == StepKey(run_id=RUN, step="db", try_=2)
