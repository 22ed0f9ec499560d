"""SQL of nodes, their enrolment tokens, and the containers they report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, update
from sqlalchemy.orm import load_only
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.labels import has_label
from gamekeeper.db.models import ContainerRow, EnrolmentTokenRow, NodeRow, RunRow, StepRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.readable import column, one_readable, readable
from gamekeeper.db.repositories.page import Page, decode_cursor, read_page
from gamekeeper.db.scope import NODES, RUNS, narrowed
from gamekeeper.domain.access.access import ALL_NODES, ALL_PIPELINES, Scope
from gamekeeper.domain.language.step import Lifetime, StepType
from gamekeeper.domain.node.capacity import BOUNDS
from gamekeeper.domain.node.node import NodeMode, NodeStatus, NodeView
from gamekeeper.domain.run.run import FINAL_RUN_STATES
from gamekeeper.domain.run.step import FINAL_STATES, StepState
from gamekeeper.errors import NotFoundError

_PAGE = 200


class NodeRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, node_id: str) -> NodeRow | None:
        return await one_readable(self._session.get(NodeRow, node_id), f"node {node_id}")

    async def find_locked(self, node_id: str) -> NodeRow | None:
        """A node whose key and generation nobody else changes until this transaction ends."""
        locked = self._session.get(NodeRow, node_id, with_for_update=True)
        return await one_readable(locked, f"node {node_id}")

    async def get_locked(self, node_id: str) -> NodeRow:
        return _there(await self.find_locked(node_id), node_id)

    async def get(self, node_id: str) -> NodeRow:
        return _there(await self.find(node_id), node_id)

    async def find_many(self, node_ids: Sequence[str], scope: Scope = ALL_NODES) -> list[NodeRow]:
        query = narrowed(select(NodeRow).where(col(NodeRow.id).in_(node_ids)), scope, NODES)
        return list((await self._session.exec(query)).all())

    async def statuses_of(self, node_ids: Sequence[str]) -> list[NodeRow]:
        """The nodes with their status, and when they were last seen. Nothing else of them is read."""
        told = [column(name) for name in (NodeRow.id, NodeRow.status, NodeRow.last_seen_at)]
        query = select(NodeRow).where(col(NodeRow.id).in_(node_ids)).options(load_only(*told, raiseload=True))
        return list((await self._session.exec(query)).all())

    async def ids(self, scope: Scope = ALL_NODES) -> list[str]:
        query = narrowed(select(NodeRow.id), scope, NODES).order_by(NodeRow.id)
        return list((await self._session.exec(query.limit(_PAGE))).all())

    async def only_id(self) -> str | None:
        """The node of a fleet of one; None for any other fleet."""
        ids = (await self._session.exec(select(NodeRow.id).limit(2))).all()
        return ids[0] if len(ids) == 1 else None

    async def by_key_hash(self, key_hash: str) -> NodeRow | None:
        return (await self._session.exec(select(NodeRow).where(NodeRow.key_hash == key_hash))).first()

    async def page(
        self,
        *,
        status: str | None,
        mode: str | None,
        label: tuple[str, str] | None,
        scope: Scope,
        cursor: str | None,
        limit: int,
    ) -> Page[NodeRow]:
        query = narrowed(select(NodeRow), scope, NODES).order_by(NodeRow.id)
        if status:
            query = query.where(NodeRow.status == status)
        if mode:
            query = query.where(NodeRow.mode == mode)
        if label:
            query = query.where(has_label(col(NodeRow.labels), *label))
        if cursor:
            query = query.where(col(NodeRow.id) > decode_cursor(cursor))
        return await read_page(self._session, query, column(NodeRow.id), limit)

    def add(self, row: NodeRow) -> None:
        self._session.add(row)

    async def delete(self, row: NodeRow) -> None:
        await self._session.delete(row)

    async def statuses(self) -> dict[str, str]:
        """The status of every node by its id. Like the next ones it reads no column that an odd row could spoil."""
        return dict((await self._session.exec(select(NodeRow.id, NodeRow.status))).all())

    async def newest_seen(self) -> datetime | None:
        """The time at which any node was last heard, to within some seconds."""
        return (await self._session.exec(select(func.max(NodeRow.last_seen_at)))).one()

    async def key_hashes(self) -> dict[str, str]:
        """Ids by the hash of their key."""
        found = await self._session.exec(select(NodeRow.key_hash, NodeRow.id).where(col(NodeRow.key_hash).is_not(None)))
        return {key_hash: node_id for key_hash, node_id in found.all() if key_hash is not None}

    async def generations(self) -> dict[str, int]:
        """The generation of every node that has a key."""
        found = await self._session.exec(
            select(NodeRow.id, NodeRow.generation).where(col(NodeRow.key_hash).is_not(None))
        )
        return dict(found.all())

    async def without_certificates(self) -> list[str]:
        """Nodes that have a key, and never had a certificate: their agents are of a version that knew none."""
        query = select(NodeRow.id).where(col(NodeRow.key_hash).is_not(None), NodeRow.generation == 0)
        return list((await self._session.exec(query)).all())

    async def set_statuses(self, statuses: Mapping[str, NodeStatus]) -> set[str]:
        """Writes them; the ids of those nodes that are there."""
        found: set[str] = set()
        for status in set(statuses.values()):
            ids = [node_id for node_id, wanted in statuses.items() if wanted is status]
            statement = update(NodeRow).where(col(NodeRow.id).in_(ids)).values(status=status.value)
            found.update((await self._session.exec(statement.returning(col(NodeRow.id)))).scalars())
        return found

    async def conditions(self) -> dict[str, list[Any]]:
        """The conditions of every node by its id."""
        found = await self._session.exec(select(NodeRow.id, NodeRow.conditions))
        return {node_id: list(conditions) for node_id, conditions in found.all()}

    async def set_seen(self, node_ids: Sequence[str], at: datetime) -> None:
        """Writes the time of the last heartbeats in one statement."""
        if node_ids:
            await self._session.exec(update(NodeRow).where(col(NodeRow.id).in_(node_ids)).values(last_seen_at=at))

    async def live_steps(self, node_id: str) -> list[StepRow]:
        final = [state.value for state in FINAL_STATES] + [StepState.PENDING.value]
        query = select(StepRow).where(StepRow.node_id == node_id, col(StepRow.state).not_in(final))
        return list((await self._session.exec(query)).all())

    async def works(self, node_id: str) -> list[str]:
        """The work of the node: its running steps, and services of runs that go on, as ``RUN/STEP``."""
        working = [state.value for state in (StepState.PULLING, StepState.STARTING, StepState.RUNNING)]
        steps = select(StepRow.run_id, StepRow.name).where(
            StepRow.node_id == node_id, StepRow.type != StepType.APPROVAL.value
        )
        runs = (await self._session.exec(steps.where(col(StepRow.state).in_(working)))).all()
        serves = (
            steps.join(RunRow, col(RunRow.id) == StepRow.run_id)
            .join(ContainerRow, (col(ContainerRow.run_id) == StepRow.run_id) & (col(ContainerRow.step) == StepRow.name))
            .where(StepRow.type == StepType.SERVICE.value, StepRow.state == StepState.SUCCEEDED.value)
            .where(col(RunRow.state).not_in([state.value for state in FINAL_RUN_STATES]))
            .where(ContainerRow.node_id == node_id, ContainerRow.lifetime == Lifetime.RUN.value)
        )
        found = {*runs, *(await self._session.exec(serves)).all()}
        return sorted(f"{run_id}/{name}" for run_id, name in found)

    async def draining(self) -> list[str]:
        query = select(NodeRow.id).where(col(NodeRow.drain_until).is_not(None)).order_by(NodeRow.id)
        return list((await self._session.exec(query)).all())

    async def staying_containers(self, node_id: str) -> list[str]:
        """Names of the node's containers that are to stay after their steps: services that outlive their runs, and
        services of runs that go on elsewhere. Each is as the node last told of it."""
        serves_on = (
            select(StepRow.name)
            .join(RunRow, col(RunRow.id) == StepRow.run_id)
            .where(StepRow.run_id == ContainerRow.run_id, StepRow.name == ContainerRow.step)
            .where(StepRow.type == StepType.SERVICE.value, StepRow.state == StepState.SUCCEEDED.value)
            .where(col(RunRow.state).not_in([state.value for state in FINAL_RUN_STATES]))
            .exists()
        )
        outlives = col(ContainerRow.lifetime) == Lifetime.NODE.value
        query = select(ContainerRow.name, ContainerRow.run_id, ContainerRow.step).where(
            ContainerRow.node_id == node_id, outlives | serves_on
        )
        live = {(step.run_id, step.name) for step in await self.live_steps(node_id)}
        found = (await self._session.exec(query.order_by(ContainerRow.name))).all()
        return [name for name, run_id, step in found if (run_id, step) not in live]

    async def runs_touching(self, node_id: str) -> list[str]:
        """Ids of runs with a step on the node that has not ended."""
        final = [state.value for state in FINAL_STATES]
        query = select(StepRow.run_id).where(StepRow.node_id == node_id, col(StepRow.state).not_in(final)).distinct()
        return list((await self._session.exec(query)).all())

    async def joined(self) -> Mapping[str, datetime | None]:
        """The nodes that have a key, in order of their ids, and when each was last seen."""
        wanted = select(NodeRow.id, NodeRow.last_seen_at).where(col(NodeRow.key_hash).is_not(None))
        found = await self._session.exec(wanted.order_by(NodeRow.id))
        return dict(found.all())

    def add_token(self, row: EnrolmentTokenRow) -> None:
        self._session.add(row)

    async def void_tokens(self, node_id: str) -> None:
        """Makes the node's unspent tokens void."""
        tokens = update(EnrolmentTokenRow).where(col(EnrolmentTokenRow.node_id) == node_id)
        await self._session.exec(tokens.where(col(EnrolmentTokenRow.used_at).is_(None)).values(used_at=utc_now()))

    async def use_token(self, token_hash: str) -> EnrolmentTokenRow | None:
        """Spends a token: of two callers at once, one gets it. None for one that is unknown, spent or expired."""
        now = utc_now()
        spent = await self._session.exec(
            update(EnrolmentTokenRow)
            .where(
                col(EnrolmentTokenRow.token_hash) == token_hash,
                col(EnrolmentTokenRow.used_at).is_(None),
                col(EnrolmentTokenRow.expires_at) > now,
            )
            .values(used_at=now)
            .returning(EnrolmentTokenRow)
        )
        return spent.scalars().first()

    async def containers(self, node_id: str, of_runs: Scope = ALL_PIPELINES) -> list[ContainerRow]:
        query = select(ContainerRow).where(ContainerRow.node_id == node_id).order_by(ContainerRow.name)
        if not of_runs.is_everything:
            query = query.where(col(ContainerRow.run_id).in_(narrowed(select(RunRow.id), of_runs, RUNS)))
        return (await readable(self._session, query, column(ContainerRow.id)))[0]

    async def replace_containers(self, node_id: str, rows: Sequence[ContainerRow]) -> None:
        await self._session.exec(delete(ContainerRow).where(col(ContainerRow.node_id) == node_id))
        self._session.add_all(rows)


def _there(row: NodeRow | None, node_id: str) -> NodeRow:
    if row is None:
        raise NotFoundError(f'there is no node "{node_id}"', hint="gamekeeper node ls lists them")
    return row


def node_view(row: NodeRow) -> NodeView:
    limits = bool(BOUNDS & row.capacity_override.keys())
    return NodeView(id=row.id, mode=NodeMode(row.mode), status=NodeStatus(row.status), has_limits=limits)
