"""Facts: all that the read model knows now of the objects that rules are about. One query for each kind of object."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.alarm.metrics import AlarmMetrics
from gamekeeper.db.models import InstanceRow, NodeRow, RunRow, ServerFactRow
from gamekeeper.db.readable import ODD_ROWS, column, readable
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind
from gamekeeper.domain.alarm.subject import SERVER, Facts, Subject, Value
from gamekeeper.domain.node.metric import NODE_METRICS
from gamekeeper.domain.node.node import NodeStatus
from gamekeeper.domain.run.run import RunState
from gamekeeper.supervised import Supervised

LIVE_RUNS = (RunState.QUEUED.value, RunState.RUNNING.value, RunState.PAUSED.value)
MAX_RUNS = 20_000
SERVER_FACTS_FRESH = timedelta(minutes=10)
_REACHABLE = frozenset(status.value for status in NodeStatus if status.reachable)


class AlarmFacts:
    """A signal without a value is not known. Instances of a node that can't be asked are away, whatever they told."""

    def __init__(self, session: AsyncSession, metrics: AlarmMetrics, now: datetime) -> None:
        self._session = session
        self._metrics = metrics
        self._now = now

    async def all(self) -> tuple[list[Facts], dict[str, Target]]:
        """The facts of everything, and the nodes by their ids."""
        await self._metrics.read(self._session, self._now)
        nodes = await self._nodes()
        reachable = {facts.subject.id for facts in nodes if facts.values.get("node.status") in _REACHABLE}
        found = [*nodes, *await self._instances(reachable), *await self._runs(), *await self._server()]
        return found, {facts.subject.id: facts.subject.target for facts in nodes}

    async def nodes(self) -> dict[str, Target]:
        """The nodes alone, for what is muted by them."""
        rows, _ = await readable(self._session, _columns(NodeRow.id, NodeRow.labels), column(NodeRow.id))
        return {row.id: Target(ObjectKind.NODE, row.id, row.labels or {}) for row in rows}

    async def _nodes(self) -> list[Facts]:
        query = _columns(
            NodeRow.id, NodeRow.status, NodeRow.mode, NodeRow.conditions, NodeRow.labels, NodeRow.last_seen_at
        )
        return await self._known("node", query, column(NodeRow.id), self._node)

    async def _known(
        self, kind: str, query: Any, key: InstrumentedAttribute[Any], facts: Callable[[Row[Any]], Facts]
    ) -> list[Facts]:
        """The facts of each row. Nothing is known of an object whose row can't be read, and its alarms stay."""
        rows, ids = await readable(self._session, query, key)
        odd: Supervised = self._session.info[ODD_ROWS]
        found = {}
        for row in rows:
            try:
                found[row.id] = facts(row)
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                odd.skipped(f"{key.class_.__tablename__} {row.id}", error)
        return [found.get(one) or Facts(Subject(kind, one), is_away=True) for one in ids]

    def _node(self, row: Row[Any]) -> Facts:
        key = f"node:{row.id}"
        values: dict[str, Value] = {"node.status": row.status, "node.mode": row.mode}
        words: dict[str, str] = {}
        since: dict[str, datetime] = {}
        if row.last_seen_at:
            since["node.status"] = row.last_seen_at
            words["node.status"] = (
                f"node.status is {row.status}, last heard of {row.last_seen_at:%Y-%m-%d %H:%M:%S} UTC"
            )
        if row.status in _REACHABLE:
            standing = {item["type"]: item.get("reason", "") for item in row.conditions if _is_condition(item)}
            values["node.condition"] = frozenset(standing)
            words |= {f"node.condition.{name}": f"{name}: {reason}" for name, reason in standing.items()}
            values |= self._node_metrics(key)
        return Facts(Subject("node", row.id, row.id, labels=row.labels or {}), values, words, since)

    def _node_metrics(self, key: str) -> dict[str, Value]:
        newest = self._metrics.newest(key, self._now)
        values: dict[str, Value] = {f"node.{name}": newest[name] for name in NODE_METRICS if name in newest}
        used, free = newest.get("memory_used_bytes"), newest.get("memory_available_bytes")
        if used is not None and free is not None and used + free > 0:
            values["node.memory_used_percent"] = 100 * used / (used + free)
        full_in = self._metrics.disk_full_in(key)
        return values if full_in is None else values | {"node.disk_full_in": full_in}

    async def _instances(self, reachable: Collection[str]) -> list[Facts]:
        query = _columns(
            *(InstanceRow.id, InstanceRow.node_id, InstanceRow.labels, InstanceRow.desired, InstanceRow.state),
            *(InstanceRow.reason, InstanceRow.message, InstanceRow.since, InstanceRow.crash_count),
        ).where(col(InstanceRow.deleted_at).is_(None))
        return await self._known(
            "instance", query, column(InstanceRow.id), lambda row: self._instance(row, row.node_id in reachable)
        )

    def _instance(self, row: Row[Any], is_there: bool) -> Facts:
        subject = Subject("instance", row.id, row.node_id, labels=row.labels or {})
        values: dict[str, Value] = {"instance.desired": row.desired}
        if not is_there:
            return Facts(subject, values, is_away=True)
        values |= {"instance.state": row.state, "instance.reason": row.reason or "none"}
        values["instance.crash_count"] = float(row.crash_count)
        told = row.message.strip().splitlines()[-1:] if row.message else []
        words = {"instance.state": ": ".join([f"it is {row.state}", *told])}
        newest = self._metrics.newest(f"instance:{row.id}", self._now)
        if newest:
            values |= _container(newest)
        return Facts(subject, values, words, {"instance.state": row.since})

    async def _runs(self) -> list[Facts]:
        query = (
            _columns(RunRow.id, RunRow.pipeline, RunRow.state, RunRow.labels, RunRow.created_at, RunRow.started_at)
            .where(col(RunRow.state).in_(LIVE_RUNS), col(RunRow.parent_run).is_(None))
            .limit(MAX_RUNS)
        )
        return await self._known("run", query, column(RunRow.id), self._run)

    def _run(self, row: Row[Any]) -> Facts:
        subject = Subject("run", row.id, pipeline=row.pipeline, run=row.id, labels=row.labels or {})
        values: dict[str, Value] = {"run.state": row.state, "run.queued_for": 0.0, "run.running_for": 0.0}
        begun = row.started_at or row.created_at
        name = "run.running_for" if row.started_at else "run.queued_for"
        values[name] = max(0.0, (self._now - begun).total_seconds())
        return Facts(subject, values, {}, {name: begun})

    async def _server(self) -> Iterable[Facts]:
        rows, _ = await readable(self._session, select(ServerFactRow), column(ServerFactRow.name))
        fresh = [row for row in rows if self._now - row.at < SERVER_FACTS_FRESH]
        return [
            Facts(SERVER, {row.name: row.value for row in fresh}, {row.name: row.words for row in fresh if row.words})
        ]


def _columns(*wanted: Any) -> Any:
    return select(*wanted)


def _is_condition(item: object) -> bool:
    return isinstance(item, dict) and "type" in item


def _container(newest: dict[str, float]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    if (cpu := newest.get("cpu_percent")) is not None:
        values["instance.cpu_percent"] = cpu
    if (used := newest.get("memory_working_set_bytes")) is not None:
        values["instance.memory_bytes"] = used
        if limit := newest.get("memory_limit_bytes"):
            values["instance.memory_of_limit_percent"] = 100 * used / limit
    return values


def target_of(kind: str, object_id: str, pipeline: str, labels: dict[str, str]) -> Target:
    """The object of an alarm's row, as selectors see it."""
    if kind in ("run", "pipeline"):
        return Target(ObjectKind.PIPELINE, pipeline, labels)
    return Target(ObjectKind(kind), object_id, labels)
