"""The workflow of a message on the real Temporal server: brought once, tried again, or given up."""

from __future__ import annotations

import asyncio
import uuid

from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.control_plane.notify import NotifyActivities
from gamekeeper.errors import MessageRefusedError, UnavailableError
from gamekeeper.temporal import queues
from gamekeeper.temporal.ids import notification_workflow_id
from gamekeeper.temporal.notifications import NotificationWorkflows
from tests.fakes.notifier import FakeOutbox
from tests.hang import HANG_SECONDS
from workflows import ALL_WORKFLOWS


async def sent(client: Client, outbox: FakeOutbox, notification: str, starts: int = 1) -> str:
    """The outcome of the workflow, which is asked for ``starts`` times."""
    made = NotifyActivities(outbox)
    worker = Worker(
        client,
        task_queue=queues.CONTROL_PLANE,
        workflows=ALL_WORKFLOWS,
        activities=[made.deliver, made.give_up],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with asyncio.timeout(HANG_SECONDS), worker:
        for _ in range(starts):
            await NotificationWorkflows(client).start(notification, "a test")
        handle = client.get_workflow_handle(notification_workflow_id(notification), result_type=str)
        return str(await handle.result())


async def test_a_message_is_brought_once_however_often_it_is_asked_for(temporal_server: WorkflowEnvironment) -> None:
    outbox, name = FakeOutbox(), uuid.uuid4().hex
    assert await sent(temporal_server.client, outbox, name, starts=3) == "sent"
    assert await sent(temporal_server.client, outbox, name) == "sent"
    assert outbox.delivered == [name]


async def test_a_failure_that_may_pass_is_tried_again(temporal_server: WorkflowEnvironment) -> None:
    outbox, name = FakeOutbox(UnavailableError("HTTP 500")), uuid.uuid4().hex
    assert await sent(temporal_server.client, outbox, name) == "sent"
    assert (outbox.delivered, outbox.given_up) == ([name], {})


async def test_a_refusal_is_final_and_its_words_are_kept(temporal_server: WorkflowEnvironment) -> None:
    outbox, name = FakeOutbox(MessageRefusedError("HTTP 302: a redirect")), uuid.uuid4().hex
    assert await sent(temporal_server.client, outbox, name) == "failed"
    assert outbox.given_up == {name: "HTTP 302: a redirect"}
