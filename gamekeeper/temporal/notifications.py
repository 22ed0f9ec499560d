"""Starts the workflow of a notification, which sends it: once for each, however often it is asked for."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from gamekeeper.errors import UnavailableError
from gamekeeper.temporal import queues, workflow_names
from gamekeeper.temporal.ids import notification_workflow_id

LIMIT = timedelta(seconds=5)  # of a call: a round of judging waits for it


class NotificationWorkflows:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def start(self, notification_id: str, summary: str) -> None:
        """Idempotent. Raises UnavailableError."""
        try:
            await self._client.start_workflow(
                workflow_names.NOTIFICATION,
                notification_id,
                id=notification_workflow_id(notification_id),
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                task_queue=queues.CONTROL_PLANE,
                static_summary=summary,
                rpc_timeout=LIMIT,
            )
        except WorkflowAlreadyStartedError:
            return
        except RPCError as error:
            raise UnavailableError(f"Temporal does not answer: {error.message}") from error
