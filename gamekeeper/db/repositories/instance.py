"""SQL of instances and their revisions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, func, or_
from sqlalchemy import select as sql_select
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from gamekeeper.db.labels import has_label
from gamekeeper.db.models import ContainerRow, InstanceRevisionRow, InstanceRow, NodeRow, RunRow, StepRow
from gamekeeper.db.readable import column, one_readable
from gamekeeper.db.repositories.page import Page, decode_cursor, read_page
from gamekeeper.db.scope import INSTANCES, narrowed
from gamekeeper.domain.access.access import Scope
from gamekeeper.domain.container.container_key import InstanceKey, StepKey
from gamekeeper.domain.instance.instance_filter import InstanceFilter
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.language.step import Lifetime, StepType
from gamekeeper.domain.node.node import NodeMode, NodeStatus
from gamekeeper.domain.run.step import StepState
from gamekeeper.errors import NotFoundError

ADOPTED_BY = "system"  # the maker of revisions that are services of the time before instances
_BATCH = 500
_REACHABLE = [status.value for status in NodeStatus if status.reachable]


class InstanceRepository:
    """A deleted instance keeps its row. ``find_whatever`` and ``find_many`` see it, and nothing else does."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, instance_id: str) -> InstanceRow:
        return _there(await self.find_whatever(instance_id), instance_id)

    async def get_locked(self, instance_id: str) -> InstanceRow:
        """An instance that nobody else changes until this transaction ends."""
        locked = self._session.get(InstanceRow, instance_id, with_for_update=True)
        return _there(await one_readable(locked, f"instance {instance_id}"), instance_id)

    async def find_whatever(self, instance_id: str) -> InstanceRow | None:
        """The row, and that of a deleted instance as well."""
        return await one_readable(self._session.get(InstanceRow, instance_id), f"instance {instance_id}")

    async def find_many(self, instance_ids: Sequence[str]) -> dict[str, InstanceRow]:
        """Those that there are, deleted ones as well."""
        rows = await self._session.exec(select(InstanceRow).where(col(InstanceRow.id).in_(instance_ids)))
        return {row.id: row for row in rows.all()}

    async def by_idempotency_key(self, key: str) -> InstanceRow | None:
        query = select(InstanceRow).where(InstanceRow.idempotency_key == key, col(InstanceRow.deleted_at).is_(None))
        return (await self._session.exec(query)).first()

    async def page(self, wanted: InstanceFilter, *, scope: Scope, cursor: str | None, limit: int) -> Page[InstanceRow]:
        query = select(InstanceRow).where(col(InstanceRow.deleted_at).is_(None)).order_by(InstanceRow.id)
        query = narrowed(query, scope, INSTANCES)
        for name in ("node_id", "pipeline", "group"):
            if (value := getattr(wanted, name)) is not None:
                query = query.where(getattr(InstanceRow, name) == value)
        if wanted.label:
            query = query.where(has_label(col(InstanceRow.labels), *wanted.label))
        if wanted.id_prefix:
            query = query.where(col(InstanceRow.id).startswith(wanted.id_prefix, autoescape=True))
        if wanted.states:
            query = query.where(or_(*(_shows(state) for state in wanted.states)))
        if cursor:
            query = query.where(col(InstanceRow.id) > decode_cursor(cursor))
        return await read_page(self._session, query, column(InstanceRow.id), limit)

    async def nodes_of(self, instance_ids: Collection[str]) -> dict[str, str]:
        """The node of each of the instances that there are."""
        if not instance_ids:
            return {}
        query = select(InstanceRow.id, InstanceRow.node_id).where(col(InstanceRow.id).in_(sorted(instance_ids)))
        return dict((await self._session.exec(query)).all())

    async def made_revisions(self, keys: Collection[InstanceKey]) -> set[tuple[str, int]]:
        """The revisions among these that there are, by instance and number."""
        row = InstanceRevisionRow
        ids, numbers = {key.instance for key in keys}, {key.revision for key in keys}
        query = select(row.instance_id, row.revision).where(
            col(row.instance_id).in_(ids), col(row.revision).in_(numbers)
        )
        return set((await self._session.exec(query)).all())

    async def on_node(self, node_id: str) -> list[str]:
        """The instances of the node that are not deleted."""
        row = InstanceRow
        query = select(row.id).where(row.node_id == node_id, col(row.deleted_at).is_(None)).order_by(row.id)
        return list((await self._session.exec(query)).all())

    def add(self, row: InstanceRow) -> None:
        self._session.add(row)

    def add_revision(self, row: InstanceRevisionRow) -> None:
        self._session.add(row)

    async def newest_revision(self, instance_id: str) -> int:
        """0 for an instance that never had one."""
        query = select(func.max(InstanceRevisionRow.revision)).where(InstanceRevisionRow.instance_id == instance_id)
        return (await self._session.exec(query)).one() or 0

    async def revision_before(self, instance_id: str, revision: int) -> int | None:
        """The number of the newest revision that is older than ``revision``."""
        query = select(func.max(InstanceRevisionRow.revision)).where(
            InstanceRevisionRow.instance_id == instance_id, col(InstanceRevisionRow.revision) < revision
        )
        return (await self._session.exec(query)).one()

    async def find_revision(self, instance_id: str, revision: int) -> InstanceRevisionRow | None:
        found = self._session.get(InstanceRevisionRow, (instance_id, revision))
        return await one_readable(found, f"revision {revision} of instance {instance_id}")

    async def get_revision(self, instance_id: str, revision: int) -> InstanceRevisionRow:
        found = await self.find_revision(instance_id, revision)
        if found is None:
            hint = f"gamekeeper instance revisions {instance_id}"
            raise NotFoundError(f'instance "{instance_id}" has no revision {revision}', hint=hint)
        return found

    async def revisions(self, instance_id: str, before: int | None, limit: int) -> list[InstanceRevisionRow]:
        """The newest revisions, of those that are older than ``before``, newest first."""
        query = select(InstanceRevisionRow).where(InstanceRevisionRow.instance_id == instance_id)
        if before is not None:
            query = query.where(col(InstanceRevisionRow.revision) < before)
        query = query.order_by(col(InstanceRevisionRow.revision).desc()).limit(limit)
        return list((await self._session.exec(query)).all())

    async def revision_numbers(self, instance_id: str) -> list[int]:
        query = select(InstanceRevisionRow.revision).where(InstanceRevisionRow.instance_id == instance_id)
        return list((await self._session.exec(query.order_by(col(InstanceRevisionRow.revision)))).all())

    async def of_step(self, step: StepRow) -> InstanceRow | None:
        """The instance that a step ensures, whichever revision it has by now; None for none, or one that is gone."""
        named = step.outputs.get("instance") if step.type == StepType.SERVICE else None
        is_its_own = InstanceRow.id == named if isinstance(named, str) else InstanceRow.run_id == step.run_id
        query = select(InstanceRow).where(InstanceRow.step == step.name, is_its_own)
        return (await self._session.exec(query.where(col(InstanceRow.deleted_at).is_(None)))).first()

    async def adopted(self, instance_id: str) -> tuple[int, StepKey] | None:
        """The revision that was adopted, and the step whose service it was; None where it was made as an instance, or
        its run is gone."""
        made, step = InstanceRevisionRow, StepRow
        query = (
            select(made.revision, step.run_id, step.name, step.try_number)
            .join(InstanceRow, col(InstanceRow.id) == made.instance_id)
            .join(step, and_(col(step.run_id) == made.run_id, col(step.name) == InstanceRow.step))
            .where(made.instance_id == instance_id, made.created_by == ADOPTED_BY, made.run_id != "")
        )
        found = (await self._session.exec(query)).first()
        return (found[0], StepKey(run_id=found[1], step=found[2], try_=found[3])) if found is not None else None

    async def caller_of(self, maker: str, run_id: str) -> str:
        """The actor behind the maker of a revision: of a run's step the one who asked for the run."""
        if not run_id:
            return maker
        found = await self._session.exec(select(RunRow.caller).where(RunRow.id == run_id))
        return found.first() or ""

    async def owner_of_run(self, run_id: str) -> str:
        """The owner of a run, who owns the instances that it makes; empty for none."""
        found = await self._session.exec(select(RunRow.owner).where(RunRow.id == run_id))
        return found.first() or ""

    async def made_by(self, maker: str, run_id: str) -> InstanceRevisionRow | None:
        """The newest revision that a try of a step made; None for none."""
        query = select(InstanceRevisionRow).where(
            InstanceRevisionRow.run_id == run_id, InstanceRevisionRow.created_by == maker
        )
        return (await self._session.exec(query.order_by(col(InstanceRevisionRow.revision).desc()))).first()

    async def unadopted(self) -> list[ContainerRow]:
        """Running containers of services that outlive their runs, of whose tries no revision was made."""
        revision = (
            select(InstanceRevisionRow.revision)
            .join(InstanceRow, col(InstanceRow.id) == InstanceRevisionRow.instance_id)
            .where(InstanceRevisionRow.run_id == ContainerRow.run_id, InstanceRow.step == ContainerRow.step)
        )
        step = and_(
            col(StepRow.run_id) == ContainerRow.run_id,
            col(StepRow.name) == ContainerRow.step,
            col(StepRow.node_id) == ContainerRow.node_id,
            col(StepRow.try_number) == ContainerRow.try_number,
        )
        query = (
            select(ContainerRow)
            .join(StepRow, step)
            .where(ContainerRow.lifetime == Lifetime.NODE.value, ContainerRow.status == "running")
            .where(StepRow.type == StepType.SERVICE.value, StepRow.state == StepState.SUCCEEDED.value)
            .where(~revision.exists())
        )
        return list((await self._session.exec(query.order_by(ContainerRow.name).limit(_BATCH))).all())

    async def images(self, first: str, last: str) -> dict[str, str]:
        """The image of the current revision of each instance between two ids. Nothing else of a revision is read."""
        image = col(InstanceRevisionRow.spec)["container"]["image"].as_string()
        current = and_(
            col(InstanceRevisionRow.instance_id) == InstanceRow.id,
            col(InstanceRevisionRow.revision) == InstanceRow.revision,
        )
        query = sql_select(col(InstanceRow.id), image).join(InstanceRevisionRow, current)
        query = query.where(col(InstanceRow.id) >= first, col(InstanceRow.id) <= last)
        return {found: text or "" for found, text in await (await self._session.connection()).execute(query)}

    async def unstarted(self, created_before: datetime) -> list[str]:
        """Ids of those whose workflow Temporal has not taken."""
        query = select(InstanceRow.id).where(
            col(InstanceRow.started_workflow).is_(False),
            col(InstanceRow.deleted_at).is_(None),
            col(InstanceRow.updated_at) < created_before,
        )
        return list((await self._session.exec(query.order_by(InstanceRow.id).limit(500))).all())

    async def rows_on(self, node_id: str) -> dict[str, InstanceRow]:
        """The instances of the node that are not deleted."""
        query = _present().where(InstanceRow.node_id == node_id)
        return {row.id: row for row in (await self._session.exec(query)).all()}

    async def ids_after(self, instance_id: str, limit: int) -> list[str]:
        """Ids of those whose workflow was started, in their order."""
        query = select(InstanceRow.id).where(
            col(InstanceRow.id) > instance_id,
            col(InstanceRow.deleted_at).is_(None),
            col(InstanceRow.started_workflow).is_(True),
        )
        return list((await self._session.exec(query.order_by(InstanceRow.id).limit(limit))).all())

    async def expired(self, before: datetime) -> list[InstanceRow]:
        """Those that run although their time was over before ``before``."""
        query = _present().where(InstanceRow.desired == Desired.RUNNING.value)
        return list((await self._session.exec(query.where(col(InstanceRow.expires_at) < before))).all())

    async def differing(self, before: datetime) -> list[InstanceRow]:
        """Those of which a node that is there has not had the newest order since ``before``. One that it refused for
        good is none of them."""
        refused = InstanceReason.INTERNAL.value
        query = _present().where(
            InstanceRow.reported_serial != InstanceRow.serial,
            col(InstanceRow.updated_at) < before,
            col(InstanceRow.reason).is_distinct_from(refused),
            _is_reachable(),
        )
        return list((await self._session.exec(query.limit(_BATCH))).all())

    async def out_of_step(self, node_id: str | None = None) -> list[InstanceRow]:
        """Those that should run and do although their node is disabled, or stand although it is active."""
        query = (
            _present()
            .join(NodeRow, col(NodeRow.id) == InstanceRow.node_id)
            .where(InstanceRow.desired == Desired.RUNNING.value)
            .where(
                or_(
                    and_(col(NodeRow.mode) == NodeMode.DISABLED.value, col(InstanceRow.held).is_(None)),
                    and_(col(NodeRow.mode) == NodeMode.ACTIVE.value, col(InstanceRow.held).is_not(None)),
                )
            )
        )
        if node_id is not None:
            query = query.where(InstanceRow.node_id == node_id)
        return list((await self._session.exec(query)).all())

    async def stranded(self, node_id: str | None = None) -> list[InstanceRow]:
        """Those whose node is none any more."""
        query = _present().where(col(InstanceRow.node_id).not_in(select(NodeRow.id)))
        if node_id is not None:
            query = query.where(InstanceRow.node_id == node_id)
        return list((await self._session.exec(query.limit(_BATCH))).all())

    async def count_by_state(self) -> dict[str, int]:
        """Instances that are there, by the state that a reader is shown."""
        shown = case((_shows(InstanceState.UNKNOWN), InstanceState.UNKNOWN.value), else_=col(InstanceRow.state))
        states = sql_select(shown.label("state")).where(col(InstanceRow.deleted_at).is_(None)).subquery()
        query = sql_select(states.c.state, func.count().label("number")).group_by(states.c.state)
        rows = await (await self._session.connection()).execute(query)
        return {row.state: row.number for row in rows}


def _present() -> SelectOfScalar[InstanceRow]:
    return select(InstanceRow).where(col(InstanceRow.deleted_at).is_(None)).order_by(InstanceRow.id)


def _is_reachable() -> ColumnElement[bool]:
    return col(InstanceRow.node_id).in_(select(NodeRow.id).where(col(NodeRow.status).in_(_REACHABLE)))


def _there(row: InstanceRow | None, instance_id: str) -> InstanceRow:
    if row is None or row.deleted_at is not None:
        raise NotFoundError(f'there is no instance "{instance_id}"', hint="gamekeeper instance ls lists them")
    return row


def _shows(state: InstanceState) -> ColumnElement[bool]:
    """True for an instance that a reader is shown in this state: one whose node is away is unknown."""
    reachable = _is_reachable()
    fresh = col(InstanceRow.state) == InstanceState.CREATING.value
    if state is InstanceState.UNKNOWN:
        return and_(~reachable, ~fresh)
    return and_(col(InstanceRow.state) == state.value, or_(reachable, fresh))
