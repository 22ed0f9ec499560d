"""Groups that bounded callers share with nobody: of runs, whose slots and cancels reach others, and of instances."""

from __future__ import annotations

from typing import Any

from gamekeeper.db.models import InstanceRevisionRow, RunRow
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.run import RunRepository
from tests.api.rest.test_grants import CONTAINER, STEP, add_instance, add_run, pipeline
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.guests import Guest, a_guest

RED = "00000000000000aa"


async def a_developer(api: ApiUnderTest) -> Guest:
    """It may bring along and run whatever begins with ``mine-``, on every node."""
    guest = await a_guest(api)
    await guest.may("developer", kind="pipeline", ids=["mine-*"])
    await guest.may("run", kind="node")
    return guest


def in_group(name: str, group: str, on_busy: str = "queue") -> dict[str, Any]:
    body = pipeline(name)
    body["spec"]["concurrency"] = {"group": group, "on_busy": on_busy}
    return body


async def run_row(api: ApiUnderTest, run_id: str) -> RunRow:
    async with api.database.read() as session:
        return await RunRepository(session).get(run_id)


async def test_a_group_of_others_runs_is_not_joined(api: ApiUnderTest) -> None:
    """By ``cancel_old`` one would end what one may not even see, by ``queue`` and ``reject`` hold it up."""
    await api.add_node()
    await add_run(api, RED, "red", "deploy")
    guest = await a_developer(api)
    assert (await guest.http.post("/pipelines", json=in_group("mine-b", "deploy", "cancel_old"))).status_code == 201
    for body in (
        *(in_group("mine-a", "deploy", on_busy) for on_busy in ("queue", "reject", "cancel_old")),
        {"pipeline": "mine-b"},
    ):
        refused = await guest.http.post("/runs", json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), refused.text
        assert "somebody else" in refused.json()["detail"]
        assert RED not in refused.text
    assert (await run_row(api, RED)).cancel_reason is None
    first = await guest.http.post("/runs", json=in_group("mine-a", "ours"))
    assert first.status_code == 201, first.text
    second = await guest.http.post("/runs", json=in_group("mine-b", "ours", "cancel_old"))
    assert second.status_code == 201, second.text
    superseded = await run_row(api, first.json()["id"])
    assert superseded.superseded_by == second.json()["id"]


async def test_a_stored_pipeline_joins_the_group_that_its_author_meant(api: ApiUnderTest) -> None:
    """It was stored by somebody without bounds. Of others' runs in it no more is told than that they are there."""
    await api.add_node()
    await add_run(api, RED, "red", "deploy")
    assert (await api.http.post("/pipelines", json=in_group("shared", "deploy", "reject"))).status_code == 201
    guest = await a_guest(api)
    await guest.may("run", kind="pipeline", ids=["shared"])
    busy = await guest.http.post("/runs", json={"pipeline": "shared"})
    assert (busy.status_code, busy.json()["detail"]) == (409, 'group "deploy" is busy with a run')
    by_admin = await api.http.post("/runs", json={"pipeline": "shared"})
    assert by_admin.json()["detail"] == f'group "deploy" is busy with run {RED}'


async def in_instance_group(api: ApiUnderTest, instance: str, revision: int, group: str | None) -> None:
    """Adds a revision in the group, which is the current one."""
    async with api.database.write() as session:
        row = await InstanceRepository(session).get(instance)
        row.revision, row.group = revision, group or ""
        spec = {"container": CONTAINER, "group": group}
        session.add(InstanceRevisionRow(instance_id=instance, revision=revision, spec=spec))


async def test_no_rollback_into_a_group_of_others_instances(api: ApiUnderTest) -> None:
    await api.add_node()
    for name in ("mine-1", "others"):
        await add_instance(api, name)
    for revision, group in ((2, "shop"), (3, None)):
        await in_instance_group(api, "mine-1", revision, group)
    await in_instance_group(api, "others", 2, "shop")
    guest = await a_guest(api)
    await guest.may("developer", kind="instance", ids=["mine-*"])
    for body in ({}, {"revision": 2}):
        refused = await guest.http.post("/instances/mine-1/rollback", json=body)
        assert refused.status_code == 403, refused.text
        assert 'the group "shop" has instances that' in refused.json()["detail"]
    current = await guest.http.post("/instances/mine-1/rollback", json={"revision": 3})
    assert current.status_code == 409, current.text


async def test_no_step_into_a_group_of_others_instances(api: ApiUnderTest) -> None:
    """Instances of a pipeline's runs are in a group of its name."""
    await api.add_node()
    await add_instance(api, "others")
    await in_instance_group(api, "others", 2, "mine-a")
    guest = await a_developer(api)
    body = pipeline("mine-a", steps=[STEP | {"type": "service", "lifetime": "node"}])
    refused = await guest.http.post("/runs", json=body)
    assert refused.status_code == 422, refused.text
    assert [problem["code"] for problem in refused.json()["problems"]] == ["group_taken"]
    taken_over = await guest.http.post("/runs", json=body | {"spec": body["spec"] | {"name": "mine-b"}})
    assert taken_over.status_code == 201, taken_over.text
