"""Talks to Temporal about instances: starts their workflows and gives them what somebody asks for.

By the names of messages alone, so that api and control worker can both do it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from gamekeeper.domain.instance.control import (
    ActionEnd,
    ChangeRequest,
    Expiry,
    InstanceLife,
    PowerRequest,
    RemoveRequest,
)
from gamekeeper.domain.node.node import NodeView
from gamekeeper.errors import GamekeeperError, NotFoundError
from gamekeeper.temporal import queues, workflow_names
from gamekeeper.temporal.asking import UPDATE_LIMIT, asking
from gamekeeper.temporal.ids import instance_workflow_id

CLOCKS = timedelta(minutes=1)  # how far Temporal's clock may be from ours


class InstanceWorkflows:
    """Calls raise ConflictError in the workflow's own words, NotFoundError where none goes on, UnavailableError."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def start(self, life: InstanceLife) -> None:
        """Starts the workflow, unless it goes on already. That of an earlier instance of the id, which was deleted, is
        ended, also where it was about to: it hears of nothing that is meant for the new one."""
        try:
            await self._start(life)
        except WorkflowAlreadyStartedError as error:
            if await self._ends_earlier(life, error.run_id):
                with suppress(WorkflowAlreadyStartedError):  # somebody else began it meanwhile
                    await self._start(life)

    async def _start(self, life: InstanceLife) -> None:
        async with asking(f"instance {life.instance}"):
            await self._client.start_workflow(
                workflow_names.INSTANCE,
                life,
                id=instance_workflow_id(life.instance),
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                task_queue=queues.CONTROL_PLANE,
                static_summary=f"instance {life.instance} on {life.node}",
            )

    async def _ends_earlier(self, life: InstanceLife, run_id: str | None) -> bool:
        """False where the run that goes on is of this instance. Else it is over, and none that was begun since."""
        run = self._client.get_workflow_handle(instance_workflow_id(life.instance), run_id=run_id)
        with suppress(NotFoundError):  # it ended by itself
            async with asking(f"instance {life.instance}"):
                first = await anext(run.fetch_history_events(page_size=1))
                if not await self._is_of_earlier(first, life):
                    return False
                await run.terminate(reason="there is a new instance of this id")
        return True

    async def _is_of_earlier(self, first: HistoryEvent, life: InstanceLife) -> bool:
        """True for the first event of a run of an instance that was made before. Its argument tells; one of the time
        before that does not, and then its beginning does, by another clock."""
        if life.made is None:
            return False
        theirs = await self._made(first)
        return theirs < life.made if theirs is not None else first.event_time.ToDatetime(UTC) < life.made - CLOCKS

    async def _made(self, first: HistoryEvent) -> datetime | None:
        """None where it does not tell, or can't be read any more."""
        payloads = first.workflow_execution_started_event_attributes.input.payloads
        try:
            lives: list[InstanceLife] = await self._client.data_converter.decode(payloads, [InstanceLife])
            return lives[0].made
        except (IndexError, ValueError, RuntimeError, GamekeeperError):
            return None

    async def power(self, instance: str, request: PowerRequest, key: str | None = None) -> ActionEnd:
        """Answers when the action has begun. The same ``key`` is the same request, of this action."""
        return await self._update(instance, "power", request, key and f"{request.action}:{key}")

    async def change(self, instance: str, request: ChangeRequest, key: str | None = None) -> ActionEnd:
        """Answers when the action has begun, or, where the request waits for it, at its end. The wait has no limit."""
        kind = "update" if request.spec else "rollback"
        key = key and f"{kind}:{key}"
        return await self._update(instance, "change", request, key, None if request.waits else UPDATE_LIMIT)

    async def remove(self, instance: str, request: RemoveRequest, key: str | None = None) -> ActionEnd:
        return await self._update(instance, "remove", request, key and f"remove:{key}")

    async def _update(
        self, instance: str, name: str, request: Any, key: str | None, limit: timedelta | None = UPDATE_LIMIT
    ) -> ActionEnd:
        async with asking(f"instance {instance}"):
            handle = self._client.get_workflow_handle(instance_workflow_id(instance))
            found: ActionEnd = await handle.execute_update(
                name, request, id=key, rpc_timeout=limit, result_type=ActionEnd
            )
            return found

    async def tell_node(self, instance: str, node: NodeView) -> None:
        await self._signal(instance, "node_changed", node)

    async def reconcile(self, instance: str) -> None:
        await self._signal(instance, "reconcile")

    async def begin_anew(self, instance: str) -> None:
        """Has the workflow go over to a new history once it has nothing to do. Nothing is left to do where none is."""
        with suppress(NotFoundError):
            await self._signal(instance, "begin_anew")

    async def expire_at(self, instance: str, moment: datetime | None) -> None:
        await self._signal(instance, "expire_at", Expiry(at=moment))

    async def _signal(self, instance: str, name: str, *arguments: Any) -> None:
        async with asking(f"instance {instance}"):
            await self._client.get_workflow_handle(instance_workflow_id(instance)).signal(name, *arguments)

    async def goes_on(self, instance: str) -> bool:
        """True while a workflow of the instance is there. Raises UnavailableError."""
        try:
            async with asking(f"instance {instance}"):
                described = await self._client.get_workflow_handle(instance_workflow_id(instance)).describe()
        except NotFoundError:
            return False
        return described.close_time is None
