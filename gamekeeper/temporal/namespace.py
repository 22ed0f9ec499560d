"""The namespace that all our work is in: made where it is not there, else left as it is.

Temporal's frontends each keep a list of namespaces, and learn of a new one some seconds later. So whoever comes first
waits until calls about the namespace pass, and whoever comes later waits for whoever makes it.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    RegisterNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from gamekeeper.backoff import Backoff
from gamekeeper.errors import GamekeeperError, InvalidError, UnauthenticatedError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.temporal import queues
from gamekeeper.temporal.goaway import past_goaway

log = get_logger(__name__)

VISIBLE_SECONDS = 60.0  # a frontend of old asks for the list every 10 s
_CALL = timedelta(seconds=5)
_NO_RIGHT = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED)


async def ensure_namespace(client: Client, retention_days: int) -> None:
    """Registers the client's namespace where it is not there, and returns when calls about it pass.

    Idempotent. Raises InvalidError with the command to be given where we have no right to register it,
    UnauthenticatedError where we may not even see it, UnavailableError when Temporal does not answer.
    """
    try:
        if await _is_there(client, retention_days):
            return
        await _register(client, retention_days)
    except RPCError as error:
        raise _other(client, error) from error
    await wait_for_namespace(client)


async def wait_for_namespace(client: Client, seconds: float = VISIBLE_SECONDS) -> None:
    """Returns when calls about the client's namespace pass. Raises as ``ensure_namespace``, and UnavailableError after
    ``seconds``."""
    deadline = asyncio.get_running_loop().time() + seconds
    backoff = Backoff(initial=0.1, maximum=1.0)
    queue = TaskQueue(name=queues.CONTROL_PLANE)
    asked = DescribeTaskQueueRequest(
        namespace=client.namespace, task_queue=queue, task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
    )
    while True:
        try:
            await past_goaway(lambda: client.workflow_service.describe_task_queue(asked, timeout=_CALL))
            return
        except RPCError as error:
            if error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED):
                raise _not_ours(client, error) from error
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise _other(client, error) from error
        if asyncio.get_running_loop().time() > deadline:
            raise UnavailableError(
                f"Temporal has no namespace {client.namespace}", hint="the api makes it: see the api's log"
            )
        if backoff.failures == 5:
            log.info("waiting for the namespace %s", client.namespace)
        await asyncio.sleep(backoff.next_delay())


async def _is_there(client: Client, retention_days: int) -> bool:
    try:
        asked = DescribeNamespaceRequest(namespace=client.namespace)
        found = await past_goaway(lambda: client.workflow_service.describe_namespace(asked, timeout=_CALL))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        if error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED):
            raise _not_ours(client, error) from error
        raise
    kept = found.config.workflow_execution_retention_ttl.ToTimedelta()
    if kept != timedelta(days=retention_days):
        log.info(
            "the namespace %s keeps histories for %g days, not for the %d of GAMEKEEPER_TEMPORAL_RETENTION_DAYS; it is "
            "left as it is",
            client.namespace,
            kept / timedelta(days=1),
            retention_days,
        )
    return True


async def _register(client: Client, retention_days: int) -> None:
    request = RegisterNamespaceRequest(namespace=client.namespace, description="runs of Gamekeeper")
    request.workflow_execution_retention_period.FromTimedelta(timedelta(days=retention_days))
    try:
        await past_goaway(lambda: client.workflow_service.register_namespace(request, timeout=_CALL))
    except RPCError as error:
        if error.status in _NO_RIGHT:
            raise InvalidError(
                f"Temporal has no namespace {client.namespace}, and refuses to let us make it: {error.message}",
                hint=f"make it: {_command(client, retention_days)} (on Temporal Cloud: in its web UI, or by tcld)",
            ) from error
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
    else:
        log.info("registered the namespace %s, which keeps histories for %d days", client.namespace, retention_days)


def _command(client: Client, retention_days: int) -> str:
    address = client.service_client.config.target_host
    return (
        f"temporal operator namespace create --address {address} --namespace {client.namespace} "
        f"--retention {retention_days}d"
    )


def _not_ours(client: Client, error: RPCError) -> GamekeeperError:
    return UnauthenticatedError(
        f"Temporal does not let us into the namespace {client.namespace}: {error.message}",
        hint="check TEMPORAL_NAMESPACE, and the rights of TEMPORAL_API_KEY or of the client certificate",
    )


def _other(client: Client, error: RPCError) -> GamekeeperError:
    if error.status is RPCStatusCode.INVALID_ARGUMENT:
        name = client.namespace if len(client.namespace) < 100 else f"{client.namespace[:100]}..."
        return InvalidError(f'Temporal takes no namespace "{name}": {error.message}', hint="check TEMPORAL_NAMESPACE")
    return UnavailableError(f"Temporal does not answer: {error.message}")
