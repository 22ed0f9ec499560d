"""Accepts instances: a plan becomes a row with its first revision, in one transaction. Whoever asked starts the
workflow from the row; the reconciler does it where they died."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.instance.may_make import check_may_make
from gamekeeper.control_plane.instance.plan import InstancePlan, InstanceSubmission, placed, plan_instance
from gamekeeper.control_plane.instance.quota import within_quota
from gamekeeper.control_plane.instance.schedule import set_schedule
from gamekeeper.control_plane.placement.holder_names import sight_of_run
from gamekeeper.control_plane.secret.naming import named_by
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import InstanceRevisionRow, InstanceRow
from gamekeeper.db.models.columns import storable, utc_now
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.secret_use import SecretUseRepository
from gamekeeper.domain.access.access import ALL_NODES, Access
from gamekeeper.domain.access.bounds import sight_bounds
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.instance.control import InstanceAction, InstanceLife
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceReason
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.errors import ConflictError


@dataclass(frozen=True)
class InstanceOrigin:
    """The origin of an instance: a person, or a step of a pipeline's run. ``access`` is what that person may do; None
    for a run, whose pipeline decides. The instance belongs to ``owner``."""

    by: str
    pipeline: str = ""
    step: str = ""
    run_id: str = ""
    owner: str = ""
    access: Access | None = None


@dataclass(frozen=True)
class AcceptedInstance:
    """``is_new`` is False for one that the same request made before."""

    row: InstanceRow
    life: InstanceLife
    is_new: bool


class InstanceAcceptance:
    """Makes an instance of a request, and makes one however often the request comes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, submission: InstanceSubmission, origin: InstanceOrigin) -> AcceptedInstance:
        """Raises SpecError with every problem, ConflictError for an id in use or a key of another request."""
        known = await self._known(submission, origin)
        if known is not None:
            return known
        return await self.accept_plan(await plan_instance(submission), origin, submission)

    async def accept_plan(
        self, plan: InstancePlan, origin: InstanceOrigin, submission: InstanceSubmission
    ) -> AcceptedInstance:
        """Accepts what is planned already. Raises as ``accept`` does."""
        try:
            async with self._database.write() as session:
                row = await self._write(session, plan, origin, submission)
        except ConflictError:
            known = await self._known(submission, origin)  # the same request came twice at once, and one row won
            if known is None:
                raise
            return known
        return AcceptedInstance(row, life_of(row, InstanceAction.CREATE), is_new=True)

    async def _write(
        self, session: AsyncSession, plan: InstancePlan, origin: InstanceOrigin, submission: InstanceSubmission
    ) -> InstanceRow:
        instances = InstanceRepository(session)
        allowed = ALL_NODES
        if origin.access is not None:
            await check_may_make(session, origin.access, plan)
            allowed, sight = origin.access.scope(Verb.RUN, ObjectKind.NODE), sight_bounds(origin.access)
        else:
            sight = await sight_of_run(session, origin.run_id)
        before = await instances.find_whatever(plan.id)
        if before is not None and before.deleted_at is None:
            hint = f"gamekeeper instance show {plan.id}; or update it"
            raise ConflictError(f'there is an instance "{plan.id}" already', hint=hint)
        owner = origin.owner or await instances.owner_of_run(origin.run_id)
        async with within_quota(session, owner, owner):
            place = await placed(session, plan, origin.pipeline, allowed, sight)
            row = await _row(instances, plan, place.node, origin, before)
            row.owner = owner
            row.idempotency_key, row.request_hash = submission.idempotency_key, submission.fingerprint
            instances.add(row)
            await session.flush()
        caller = await instances.caller_of(origin.by, origin.run_id)
        instances.add_revision(_revision(row, place.spec, origin, caller))
        names = named_by(place.spec.container)
        await SecretUseRepository(session).note_revision(row.id, row.revision, names)
        for schedule in plan.document.schedules:
            await set_schedule(session, row, schedule.name, schedule, origin.by)
        message = (
            f"by step {origin.step} of {origin.pipeline}" if origin.pipeline else f"image {plan.spec.container.image}"
        )
        event = Event(
            kind=EventKind.INSTANCE_CREATED, node=row.node_id, instance=row.id, run=origin.run_id, message=message
        )
        record(session, event.model_copy(update={"actor": origin.by}))
        return row

    async def _known(self, submission: InstanceSubmission, origin: InstanceOrigin) -> AcceptedInstance | None:
        key = submission.idempotency_key
        if key is None:
            return None
        async with self._database.read() as session:
            row = await InstanceRepository(session).by_idempotency_key(key)
        if row is None:
            return None
        if row.owner not in ("", origin.owner):
            raise ConflictError(f'Idempotency-Key "{key}" is that of somebody else', hint="use another key")
        if row.request_hash != submission.fingerprint:
            raise ConflictError(
                f'Idempotency-Key "{key}" belongs to instance {row.id} of another request',
                hint="use a new key for a new request",
            )
        return AcceptedInstance(row, life_of(row), is_new=False)

    async def find(self, instance_id: str) -> InstanceLife | None:
        """The argument of the workflow of an instance that has none."""
        async with self._database.read() as session:
            row = await InstanceRepository(session).find_whatever(instance_id)
        return life_of(row) if row is not None and row.deleted_at is None else None


async def _row(
    instances: InstanceRepository, plan: InstancePlan, node_id: str, origin: InstanceOrigin, before: InstanceRow | None
) -> InstanceRow:
    """A row for the plan. An id that was used before goes on with its numbers, for its node and its logs."""
    now, document = utc_now(), plan.document
    row = InstanceRow(
        id=plan.id,
        name=storable(document.name or plan.id)[:200],
        labels=dict(document.labels),
        node_id=node_id,
        group=plan.spec.group or "",
        desired=Desired(document.desired).value,
        revision=await instances.newest_revision(plan.id) + 1,
        operation=new_operation(InstanceAction.CREATE, origin.by, now),
        pipeline=origin.pipeline,
        step=origin.step,
        run_id=origin.run_id,
        created_by=origin.by,
        expires_at=now + parse_duration(document.expires) if document.expires else None,
        since=now,
        created_at=now,
        updated_at=now,
    )
    if before is None:
        return row
    kept = {"serial", "reported_serial", "version"} | ({"reported_seq"} if before.node_id == node_id else set())
    for name in InstanceRow.model_fields.keys() - kept:
        setattr(before, name, getattr(row, name))
    before.serial, before.version = max(before.serial, before.reported_serial), before.version + 1
    return before


def new_operation(action: InstanceAction, by: str, now: datetime) -> dict[str, object]:
    """The action that a new instance's workflow begins with."""
    return {"action": action.value, "by": by, "reason": "", "since": now.isoformat(), "serial": 1}


def _revision(row: InstanceRow, spec: InstanceSpec, origin: InstanceOrigin, caller: str) -> InstanceRevisionRow:
    return InstanceRevisionRow(
        instance_id=row.id,
        revision=row.revision,
        spec=spec.model_dump(mode="json", exclude_unset=True),
        run_id=origin.run_id,
        created_by=origin.by,
        caller=caller,
    )


def life_of(row: InstanceRow, first: InstanceAction | None = None) -> InstanceLife:
    """The argument of the instance's workflow. One that begins again has its newest order repeated."""
    adopted = (row.operation or {}).get("adopted")
    return InstanceLife(
        instance=row.id,
        node=row.node_id,
        pipeline=row.pipeline,
        serial=row.serial,
        revision=row.revision,
        desired=Desired(row.desired),
        held=InstanceReason(row.held) if row.held else None,
        expires_at=row.expires_at,
        first=first or _first(row),
        by=row.created_by,
        adopted=StepKey.parse(adopted) if adopted else None,
        made=row.created_at,
    )


def _first(row: InstanceRow) -> InstanceAction:
    if row.desired == Desired.REMOVED:
        return InstanceAction.REMOVE
    is_new = (row.operation or {}).get("action") == InstanceAction.CREATE
    return InstanceAction.CREATE if is_new else InstanceAction.REPEAT
