"""SQL of the objects that access is asked about: their names, labels and owners, and nothing else of their rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import exists, not_
from sqlalchemy import select as sql_select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import EventRow, InstanceRow, NodeRow, PipelineRow, RunRow
from gamekeeper.db.scope import INSTANCES, PIPELINES, RUNS, within
from gamekeeper.domain.access.access import Scope
from gamekeeper.domain.access.sight import Known, pipeline_of
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind


class TargetRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def node(self, node_id: str) -> Target | None:
        return (await self.nodes([node_id])).get(node_id)

    async def instance(self, instance_id: str) -> Target | None:
        """None for one that was deleted."""
        query = _instances().where(col(InstanceRow.id) == instance_id, col(InstanceRow.deleted_at).is_(None))
        return next(iter((await self._read(query, ObjectKind.INSTANCE)).values()), None)

    async def instance_before(self, instance_id: str) -> Target | None:
        """The instance that has the id, or had it last: its logs, events and volumes are under that id."""
        return (await self.instances([instance_id])).get(instance_id)

    async def run(self, run_id: str) -> Target | None:
        return (await self.runs([run_id])).get(run_id)

    async def pipeline(self, name: str) -> Target | None:
        """The stored pipeline, with the labels of its newest version."""
        return (await self.pipelines([name])).get(name)

    async def nodes(self, ids: Collection[str]) -> dict[str, Target]:
        query = sql_select(col(NodeRow.id), col(NodeRow.id), col(NodeRow.labels)).where(col(NodeRow.id).in_(ids))
        return await self._read(query, ObjectKind.NODE)

    async def instances(self, ids: Collection[str]) -> dict[str, Target]:
        """Deleted ones as well: what is told of them is told of somebody's."""
        return await self._read(_instances().where(col(InstanceRow.id).in_(ids)), ObjectKind.INSTANCE)

    async def runs(self, ids: Collection[str]) -> dict[str, Target]:
        """By the ids of the runs."""
        query = sql_select(col(RunRow.id), col(RunRow.pipeline), col(RunRow.labels)).where(col(RunRow.id).in_(ids))
        return await self._read(query, ObjectKind.PIPELINE)

    async def pipelines(self, names: Collection[str]) -> dict[str, Target]:
        query = sql_select(col(PipelineRow.name), col(PipelineRow.name), col(PipelineRow.labels)).where(
            col(PipelineRow.name).in_(names), col(PipelineRow.deleted_at).is_(None)
        )
        return await self._read(query.order_by(col(PipelineRow.version)), ObjectKind.PIPELINE)  # the newest comes last

    async def known(self, events: Collection[EventRow]) -> Known:
        """The objects that events name."""
        return Known(
            nodes=await self.nodes({event.node for event in events} - {""}),
            runs=await self.runs({event.run for event in events} - {""}),
            instances=await self.instances({event.instance for event in events} - {""}),
            pipelines=await self.pipelines({pipeline_of(event) for event in events} - {""}),
        )

    async def is_of_others(self, pipeline: str, scope: Scope) -> bool:
        """True where the name is that of a stored pipeline, or of runs, outside of the scope: their volumes are under
        that name too."""
        stored = exists().where(col(PipelineRow.name) == pipeline, not_(within(scope, PIPELINES)))
        runs = exists().where(col(RunRow.pipeline) == pipeline, not_(within(scope, RUNS)))
        return bool((await (await self._session.connection()).execute(sql_select(stored | runs))).scalar())

    async def group_has_others(self, group: str, scope: Scope, pipeline: str = "") -> bool:
        """True where an instance outside of the scope is in the group, whose members reach one another. Those that runs
        of the ``pipeline`` made are no others."""
        others = exists().where(
            col(InstanceRow.group) == group, col(InstanceRow.deleted_at).is_(None), not_(within(scope, INSTANCES))
        )
        if pipeline:
            others = others.where(col(InstanceRow.pipeline) != pipeline)
        return bool((await (await self._session.connection()).execute(sql_select(others))).scalar())

    async def _read(self, query: Any, kind: ObjectKind) -> dict[str, Target]:
        rows = await (await self._session.connection()).execute(query)
        return {row[0]: Target(kind, row[1], row[2] or {}, row[3] if len(row) > 3 else "") for row in rows}


def _instances() -> Any:
    return sql_select(col(InstanceRow.id), col(InstanceRow.id), col(InstanceRow.labels), col(InstanceRow.owner))


def target_of(row: InstanceRow) -> Target:
    return Target(ObjectKind.INSTANCE, row.id, row.labels, row.owner)
