"""Ensures instances for the steps of runs: made where there is none, else given their next revision."""

from __future__ import annotations

import asyncio

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.backoff import jittered
from gamekeeper.control_plane.instance.accept import InstanceAcceptance, InstanceOrigin
from gamekeeper.control_plane.instance.plan import InstancePlan, InstanceSubmission
from gamekeeper.control_plane.instance.taken import check_is_free
from gamekeeper.control_plane.server_room import server_trouble
from gamekeeper.db.engine import Database
from gamekeeper.db.models import InstanceRevisionRow, InstanceRow
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.disk import full_disk
from gamekeeper.domain.instance.control import ActionEnd, ChangeRequest
from gamekeeper.domain.instance.document import InstanceDocument
from gamekeeper.domain.instance.ensure import EnsureInstance
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import InstanceReason, InstanceState
from gamekeeper.domain.language.given_port import given_numbers
from gamekeeper.domain.language.source import Document
from gamekeeper.domain.node.node import NodeStatus
from gamekeeper.errors import ConflictError, InvalidError, NotFoundError
from gamekeeper.temporal.instance_workflows import InstanceWorkflows

LOOK_SECONDS = 0.5


class SqlInstanceEnsurer:
    """InstanceEnsurer on the database and the workflows of instances."""

    def __init__(self, database: Database, workflows: InstanceWorkflows) -> None:
        self._database = database
        self._workflows = workflows
        self._acceptance = InstanceAcceptance(database)

    async def accept(self, asked: EnsureInstance) -> None:
        """Raises UnavailableError while a disk of the server is nearly full: the step waits, as its run goes on.

        The next revision of one that is there is no new work."""
        async with self._database.read() as session:
            row = await _there(session, asked)
            trouble = await server_trouble(session) if row is None else ""
        if row is not None:
            check_is_free(row, asked.pipeline, asked.node)
            return
        if trouble:
            raise full_disk(f"no new work is taken: {trouble}")
        document = InstanceDocument(id=asked.instance.id, node=asked.node)
        plan = InstancePlan(asked.instance.id, document, asked.spec, Document(None))
        origin = InstanceOrigin(by=asked.by, pipeline=asked.pipeline, step=asked.key.step, run_id=asked.key.run_id)
        submission = InstanceSubmission(idempotency_key=asked.by, fingerprint=asked.by)
        await self._acceptance.accept_plan(plan, origin, submission)

    async def change(self, asked: EnsureInstance) -> ActionEnd:
        made = await self._made(asked)
        if made is None:
            end = await self._ask(asked)
            made = await self._made(asked)
        else:
            await self._begun(asked.instance.id)
            end = await self._settled(asked.instance.id, made.revision)
        return _with_ports(end, made)

    async def _made(self, asked: EnsureInstance) -> InstanceRevisionRow | None:
        """The revision that this try made before, as the first of its instance or the next; None for none."""
        async with self._database.read() as session:
            return await InstanceRepository(session).made_by(asked.by, asked.key.run_id)

    async def _ask(self, asked: EnsureInstance) -> ActionEnd:
        request = ChangeRequest(
            spec=asked.spec,
            auto_revert=asked.instance.auto_revert,
            strategy=asked.instance.strategy,
            waits=True,
            starts=True,
            by=asked.by,
            run_id=asked.key.run_id,
            step=asked.key.step,
        )
        try:
            return await self._workflows.change(asked.instance.id, request, asked.by)
        except NotFoundError:
            await self._begun(asked.instance.id)
            return await self._workflows.change(asked.instance.id, request, asked.by)
        except ConflictError as error:
            if error.code != ConflictError.kind:  # not for now, but for good
                raise InvalidError(error.message, hint=error.hint) from error
            raise

    async def _begun(self, instance: str) -> None:
        """Sees to it that the workflow of the instance goes on. Raises NotFoundError for one that is gone."""
        life = await self._acceptance.find(instance)
        if life is None:
            raise NotFoundError(f'instance "{instance}" was removed meanwhile')
        await self._workflows.start(life)

    async def _settled(self, instance: str, revision: int) -> ActionEnd:
        """Waits for the end of what goes on. The row is all that tells of a change whose answer was lost."""
        while True:
            async with self._database.read() as session:
                row = await InstanceRepository(session).get(instance)
            if row.operation is None and InstanceState(row.state).is_settled:
                return _end(row, revision)
            await asyncio.sleep(jittered(LOOK_SECONDS))

    async def started(self, asked: EnsureInstance) -> ActionEnd | None:
        async with self._database.read() as session:
            instances = InstanceRepository(session)
            made = await instances.made_by(asked.by, asked.key.run_id)
            row = await instances.find_whatever(asked.instance.id)
        if made is None or row is None or row.running_revision != made.revision:
            return None
        return _with_ports(_end(row, made.revision), made) if InstanceState(row.state).is_up else None

    async def seen(self, instance: str) -> str:
        async with self._database.read() as session:
            row = await InstanceRepository(session).find_whatever(instance)
            node = await NodeRepository(session).find(row.node_id) if row is not None else None
        if row is None:
            return ""
        if node is not None and not NodeStatus(node.status).reachable:
            return f"node {node.id} is {node.status}"
        return f"it is {row.state}" + (f", {row.message}" if row.message else "")


async def _there(session: AsyncSession, asked: EnsureInstance) -> InstanceRow | None:
    row = await InstanceRepository(session).find_whatever(asked.instance.id)
    return row if row is not None and row.deleted_at is None else None


def _with_ports(end: ActionEnd, made: InstanceRevisionRow | None) -> ActionEnd:
    """The end with the numbers that the revision was given."""
    if made is None or made.revision != end.revision:
        return end
    given = given_numbers(InstanceSpec.model_validate(made.spec).container)
    return end.model_copy(update={"named_ports": given})


def _end(row: InstanceRow, revision: int) -> ActionEnd:
    """The end of the change to ``revision`` as its row tells it now."""
    told = {"serial": row.serial, "revision": revision, "message": row.message}
    if row.revision != revision:
        return ActionEnd(**told, state=InstanceState.FAILED, reason=InstanceReason.REVERTED, reverted=True)
    return ActionEnd(
        **told,
        state=InstanceState(row.state),
        is_ready=row.state == InstanceState.READY and row.running_revision == revision,
        reason=InstanceReason(row.reason) if row.reason else None,
        container_id=row.container_id,
        digest=row.digest,
        ports=list(row.ports),
    )
