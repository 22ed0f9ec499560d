"""The activity that ensures the instance of a step."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.control_plane.instance_ensure import InstanceEnsureActivities
from gamekeeper.disk import full_disk
from gamekeeper.domain.instance.ensure import EnsureInstance, spec_of
from gamekeeper.domain.instance.state import InstanceReason, InstanceState
from gamekeeper.domain.language.resolved import ResolvedInstance
from gamekeeper.domain.run.step import Reason, StepResult, StepState
from gamekeeper.errors import ConflictError, InvalidError, NotFoundError, UnavailableError
from tests.factories import make_container, make_key
from tests.fakes.instance_ensurer import FakeInstances


def asked(**fields: Any) -> EnsureInstance:
    instance = ResolvedInstance(id="arena")
    usual = {"key": make_key(step="server"), "pipeline": "deploy", "node": "node-1", "within": 60.0}
    spec = spec_of(make_container(), instance, "server", 60)
    return EnsureInstance(**(usual | {"instance": instance, "spec": spec} | fields))


async def ensure(instances: FakeInstances, what: EnsureInstance, late: timedelta = timedelta()) -> StepResult:
    environment = ActivityEnvironment()
    info = ActivityEnvironment.default_info()
    environment.info = type(info)(**(vars(info) | {"started_time": info.scheduled_time + late}))
    result: StepResult = await environment.run(InstanceEnsureActivities(instances, 0.01).ensure, what)
    return result


async def test_a_ready_revision_is_a_success() -> None:
    instances = FakeInstances()
    found = await ensure(instances, asked())
    assert (found.state, found.container_id, found.ports) == (StepState.SUCCEEDED, "c1", ["8303->8303/udp"])


async def test_the_same_try_makes_one_revision_and_the_next_try_another() -> None:
    instances, what = FakeInstances(), asked()
    first, again = await ensure(instances, what), await ensure(instances, what)
    other = await ensure(instances, asked())
    assert [found.outputs["revision"] for found in (first, again, other)] == [1, 1, 2]


async def test_a_revision_that_does_not_get_ready_is_a_result() -> None:
    instances = FakeInstances()
    instances.outcome = {"state": InstanceState.CRASH_LOOP, "reason": InstanceReason.OOM, "reverted": True}
    found = await ensure(instances, asked())
    assert (found.state, found.reason) == (StepState.FAILED, Reason.OOM)
    assert "the revision before it is back" in found.message


@pytest.mark.parametrize("error", [ConflictError("taken"), NotFoundError("no node"), InvalidError("wrong")])
async def test_a_refusal_is_final(error: Exception) -> None:
    instances = FakeInstances()
    instances.refusal = error  # type: ignore[assignment]
    with pytest.raises(ApplicationError, match=str(error)) as refused:
        await ensure(instances, asked())
    assert refused.value.non_retryable


async def test_a_database_that_is_away_is_asked_again() -> None:
    instances = FakeInstances()
    instances.refusal = UnavailableError("away")
    with pytest.raises(UnavailableError):
        await ensure(instances, asked())


async def test_a_server_without_room_takes_no_longer_than_the_step_has() -> None:
    instances = FakeInstances()
    instances.refusal = full_disk("no new work is taken: the disk of /x is nearly full")
    with pytest.raises(UnavailableError):
        await ensure(instances, asked(), late=timedelta(seconds=59))
    found = await ensure(instances, asked(), late=timedelta(seconds=61))
    assert (found.state, found.reason) == (StepState.FAILED, Reason.TIMEOUT)
    assert found.message == (
        "instance arena was not made within 1m: no new work is taken: the disk of /x is nearly full"
    )


async def test_it_waits_for_its_turn() -> None:
    instances = FakeInstances()
    instances.busy = 2
    assert (await ensure(instances, asked())).state is StepState.SUCCEEDED
    assert instances.busy == 0


async def test_the_time_of_earlier_deliveries_counts() -> None:
    instances = FakeInstances()
    instances.may_end.clear()
    found = await ensure(instances, asked(), late=timedelta(seconds=61))
    assert (found.state, found.reason) == (StepState.FAILED, Reason.TIMEOUT)
    assert "was not ready within 1m: it is starting" in found.message


async def test_a_cancel_ends_the_wait() -> None:
    instances = FakeInstances()
    instances.may_end.clear()
    environment = ActivityEnvironment()
    running = asyncio.create_task(environment.run(InstanceEnsureActivities(instances, 0.01).ensure, asked()))
    await instances.changing.wait()
    environment.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_the_start_is_enough_where_no_more_is_asked_for() -> None:
    instances = FakeInstances()
    instances.may_end.clear()
    found = await ensure(instances, asked(until_started=True))
    assert (found.state, found.container_id) == (StepState.RUNNING, "c1")


async def test_what_never_starts_has_the_end_of_its_change() -> None:
    instances = FakeInstances()
    instances.starts, instances.outcome = False, {"state": InstanceState.FAILED, "reason": InstanceReason.POLICY}
    found = await ensure(instances, asked(until_started=True))
    assert (found.state, found.reason) == (StepState.FAILED, Reason.POLICY)
