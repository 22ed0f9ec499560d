"""Power actions on instances, their revisions, and their removal. Each updates the instance's workflow.

The workflow decides and its validators refuse, so two actions at once have one winner.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gamekeeper.actor import acting, current_actor
from gamekeeper.control_plane.instance.accept import InstanceAcceptance
from gamekeeper.control_plane.instance.may_make import check_group
from gamekeeper.control_plane.instance.plan import InstanceSubmission, plan_revision
from gamekeeper.db.engine import Database
from gamekeeper.db.models import InstanceRevisionRow, InstanceRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.access.access import Access
from gamekeeper.domain.instance.control import ActionEnd, Asker, ChangeRequest, PowerAction, PowerRequest, RemoveRequest
from gamekeeper.domain.instance.revision_diff import changes
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired
from gamekeeper.domain.language.step import Strategy
from gamekeeper.errors import ConflictError, NotFoundError
from gamekeeper.temporal.instance_workflows import InstanceWorkflows


@dataclass(frozen=True)
class Revision:
    """``changes`` are those since the revision before it."""

    row: InstanceRevisionRow
    spec: InstanceSpec
    is_current: bool
    changes: Sequence[str]


class InstancePowerService:
    """Every method raises NotFoundError, ConflictError with the workflow's own words, UnavailableError."""

    def __init__(self, database: Database, workflows: InstanceWorkflows) -> None:
        self._database = database
        self._workflows = workflows
        self._acceptance = InstanceAcceptance(database)

    async def power(self, instance_id: str, action: PowerAction, reason: str, key: str | None) -> None:
        row, is_there = await self._find(instance_id)
        if not is_there:
            raise ConflictError(
                f'the node "{row.node_id}" of instance "{instance_id}" was removed',
                hint="let it join again, or remove the instance",
            )
        if action in (PowerAction.START, PowerAction.RESTART) and row.expires_at and row.expires_at <= utc_now():
            raise ConflictError(
                f'the time of instance "{instance_id}" ran out, so it would be stopped again at once',
                hint=f"give it more: gamekeeper instance edit {instance_id} --expires 2h, or never",
            )
        request = PowerRequest(action=action, by=current_actor(), asker=_asker(), reason=reason)
        await self._calling(instance_id, lambda: self._workflows.power(instance_id, request, key))

    async def update(
        self,
        instance_id: str,
        submission: InstanceSubmission,
        access: Access,
        *,
        auto_revert: bool,
        strategy: Strategy,
    ) -> None:
        """Makes the next revision. Raises SpecError with every problem, ConflictError for no change or no room."""
        async with self._database.read() as session:
            instances = InstanceRepository(session)
            row = await instances.get(instance_id)
            before = InstanceSpec.model_validate((await instances.get_revision(instance_id, row.revision)).spec)
            beside = strategy is Strategy.BLUE_GREEN and row.desired == Desired.RUNNING
            spec = await plan_revision(session, submission, row, before, beside=beside)
            if spec.group != before.group:
                await check_group(session, access, spec.group or "")
        request = ChangeRequest(
            spec=spec, auto_revert=auto_revert, strategy=strategy, by=current_actor(), asker=_asker()
        )
        key = submission.idempotency_key
        await self._calling(instance_id, lambda: self._workflows.change(instance_id, request, key))

    async def rollback(
        self,
        instance_id: str,
        revision: int | None,
        access: Access,
        *,
        auto_revert: bool,
        strategy: Strategy = Strategy.RECREATE,
        key: str | None = None,
    ) -> None:
        """Takes an older revision. Raises ForbiddenError for one of a group that has others' instances by now."""
        async with self._database.read() as session:
            instances = InstanceRepository(session)
            row = await instances.get(instance_id)
            if revision == row.revision:
                raise ConflictError(f'instance "{instance_id}" is at revision {revision} already')
            revision = revision or await instances.revision_before(instance_id, row.revision)
            older = await instances.find_revision(instance_id, revision) if revision is not None else None
            if older is not None:  # of one that is not there the workflow says so
                group = InstanceSpec.model_validate(older.spec).group or ""
                if group != row.group:
                    await check_group(session, access, group)
        request = ChangeRequest(
            revision=revision, auto_revert=auto_revert, strategy=strategy, by=current_actor(), asker=_asker()
        )
        await self._calling(instance_id, lambda: self._workflows.change(instance_id, request, key))

    async def remove(self, instance_id: str, *, volumes: bool, reason: str = "") -> None:
        await self._find(instance_id)
        request = RemoveRequest(volumes=volumes, by=current_actor(), asker=_asker(), reason=reason)
        await self._calling(instance_id, lambda: self._workflows.remove(instance_id, request))

    async def _find(self, instance_id: str) -> tuple[InstanceRow, bool]:
        """The instance, and whether its node is there."""
        async with self._database.read() as session:
            row = await InstanceRepository(session).get(instance_id)
            return row, await NodeRepository(session).find(row.node_id) is not None

    async def _calling(self, instance_id: str, call: Callable[[], Awaitable[ActionEnd]]) -> None:
        """Calls the workflow; where none goes on, it is begun again from the row first."""
        try:
            await call()
        except NotFoundError:
            life = await self._acceptance.find(instance_id)
            if life is None:
                raise
            await self._workflows.start(life)
            await call()

    async def revisions(self, instance_id: str, *, before: int | None, limit: int) -> list[Revision]:
        """The newest revisions older than ``before``, newest first."""
        async with self._database.read() as session:
            instances = InstanceRepository(session)
            row = await instances.get(instance_id)
            found = await instances.revisions(instance_id, before, limit + 1)
        specs = [InstanceSpec.model_validate(revision.spec) for revision in found]
        made = []
        for index, revision in enumerate(found[:limit]):
            told = changes(specs[index + 1], specs[index]) if index + 1 < len(specs) else []
            made.append(Revision(revision, specs[index], revision.revision == row.revision, told))
        return made

    async def revision(self, instance_id: str, number: int, against: int | None) -> Revision:
        """One revision, with its changes since the one before it or since ``against``."""
        async with self._database.read() as session:
            instances = InstanceRepository(session)
            row = await instances.get(instance_id)
            found = await instances.get_revision(instance_id, number)
            other = against if against is not None else await instances.revision_before(instance_id, number)
            base = await instances.get_revision(instance_id, other) if other is not None else None
        spec = InstanceSpec.model_validate(found.spec)
        told = changes(InstanceSpec.model_validate(base.spec), spec) if base is not None else []
        return Revision(found, spec, number == row.revision, told)


def _asker() -> Asker:
    actor = acting()
    return Asker(id=actor.id, address=actor.address)
