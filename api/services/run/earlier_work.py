"""Work that began before there were proofs (``gamekeeper.temporal.proofs``): at the first start that knows them."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.service import RPCError

from api.services.instance.schedule import InstanceScheduleService
from api.services.run.schedule import ScheduleService
from gamekeeper.errors import UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.temporal.proofs import WorkKey

log = get_logger(__name__)


async def take_over_earlier_work(
    client: Client, schedules: ScheduleService, of_instances: InstanceScheduleService, key: WorkKey
) -> None:
    """Proves the schedules that stand, and notes the workflows that go on. Until then the control worker waits.

    The schedules come first: one that fires in between is noted. Idempotent. Raises UnavailableError.
    """
    if key.is_complete:
        return
    await schedules.prove_all()
    await of_instances.prove_all()
    try:
        going_on = [found.id async for found in client.list_workflows("ExecutionStatus='Running'")]
    except RPCError as error:
        raise UnavailableError(f"Temporal does not list its workflows: {error.message}") from error
    if going_on:
        log.info("%d workflows began before work was proven; they go on as they are", len(going_on))
    key.write_earlier(going_on)
