"""The first start that knows proofs: what began before goes on, and what begins afterwards needs them."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

from temporalio.client import Client, ScheduleActionStartWorkflow

from api.services.run.earlier_work import take_over_earlier_work
from api.services.run.schedule import ScheduleCall, ScheduleService
from gamekeeper.db.repositories.instance_schedule import InstanceScheduleRepository
from gamekeeper.temporal import queues
from gamekeeper.temporal.ids import instance_schedule_id
from gamekeeper.temporal.proofs import PROOF, WorkKey
from tests.api.rest.test_run_control import step
from tests.factories import EVERYTHING
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.temporal import with_codec
from tests.hang import HANG_SECONDS


async def is_proven(client: Client, schedule: str) -> bool:
    """The proof is inside of what is encrypted."""
    action = (await client.get_schedule_handle(schedule).describe()).schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    codec = client.data_converter.payload_codec
    assert codec is not None
    (payload,) = await codec.decode(action.args)
    return PROOF in payload.metadata


async def test_earlier_work_is_taken_over(api: ApiUnderTest) -> None:
    old = with_codec(api.client, None)
    pipeline, running = f"p-{uuid.uuid4().hex[:8]}", f"run/{uuid.uuid4().hex}"
    spec = {"name": pipeline, "schedule": [{"cron": "0 5 1 1 *"}], "steps": [step("a")]}
    await api.add_node()
    assert (await api.http.post("/pipelines", json={"spec": spec})).status_code == 201
    (schedule,) = await ScheduleService(api.database, old, 20).apply(pipeline, ScheduleCall(node="node-1"), EVERYTHING)
    handle = await old.start_workflow("PipelineWorkflow", "x", id=running, task_queue=queues.CONTROL_PLANE)
    async with asyncio.timeout(HANG_SECONDS):
        while not [found async for found in old.list_workflows(f"WorkflowId='{running}'")]:
            await asyncio.sleep(0.05)
    key = WorkKey(api.folder / "ca" / "steps" / "work.key")
    assert not key.is_complete
    schedules = api.process.services.schedules
    before = await schedules.get(schedule.id)
    await take_over_earlier_work(api.client, schedules, api.process.services.instances.schedules, key)
    assert key.is_complete
    assert running in key.earlier()
    assert await schedules.get(schedule.id) == before
    assert await is_proven(api.client, schedule.id)
    await handle.terminate()
    await take_over_earlier_work(api.client, schedules, api.process.services.instances.schedules, key)
    assert running in key.earlier()  # once is enough: later ones need a proof
    await schedules.delete(schedule.id)


async def test_schedules_of_instances_are_proven_by_a_new_key(api: ApiUnderTest) -> None:
    """The file with the key was lost: Temporal's schedules carry proofs by the old one."""
    await api.add_node()
    body = {
        "id": "arena",
        "container": {"image": "a"},
        "schedules": [{"name": "n", "cron": "@yearly", "action": "stop"}],
    }
    assert (await api.http.post("/instances", json=body)).status_code == 201
    kept, old = api.process.services.instances, with_codec(api.client, None)
    client = kept.schedules._calls._client
    kept.schedules._calls._client = old
    await api.http.post("/instances/arena/schedules/n/pause")
    kept.schedules._calls._client = client
    name = instance_schedule_id("arena", "n")
    assert not await is_proven(client, name)
    key = WorkKey(api.folder / "ca" / "steps" / "work.key")
    await take_over_earlier_work(api.client, api.process.services.schedules, kept.schedules, key)
    async with api.database.write() as session:
        (await InstanceScheduleRepository(session).get("arena", "n")).updated_at -= timedelta(minutes=1)
    await kept.schedule_reconciler.reconcile()
    assert await is_proven(client, name)
    await api.http.delete("/instances/arena/schedules/n")
