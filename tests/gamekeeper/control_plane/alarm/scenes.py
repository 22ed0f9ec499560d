"""A fleet of rows, a clock that is set by hand, and rounds of judging over them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import col, select

from gamekeeper.control_plane.alarm.rounds import WHOLE, AlarmRounds
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import AlarmRow, ChannelRow, EventRow, InstanceRow, NodeRow, NotificationRow, RunRow
from gamekeeper.domain.alarm.channel import ChannelSpec
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind

BEGIN = datetime(2026, 11, 2, 3, 0, tzinfo=UTC)


class Scene:
    """``rounds`` judge by ``now``, which ``later`` moves on."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = BEGIN
        self.rounds = AlarmRounds(database, lambda: self.now, monotonic=lambda: 0.0)

    async def later(self, seconds: float) -> None:
        """The time goes on, and everything is looked at."""
        self.now += timedelta(seconds=seconds)
        await self.look()

    async def look(self) -> None:
        self.now += WHOLE
        await self.rounds.look()

    async def add(self, *rows: Any) -> None:
        async with self.database.write() as session:
            session.add_all(rows)

    async def add_node(self, node: str, **fields: Any) -> None:
        await self.add(NodeRow(**{"id": node, "name": node, "status": "online"} | fields))

    async def add_instance(self, instance: str, node: str, **fields: Any) -> None:
        row: dict[str, Any] = {"id": instance, "node_id": node, "state": "ready", "started_workflow": True}
        row["since"] = self.now
        await self.add(InstanceRow(**row | fields))

    async def add_run(self, run: str, pipeline: str = "nightly", **fields: Any) -> None:
        row: dict[str, Any] = {"id": run, "pipeline": pipeline, "state": "running", "created_at": self.now}
        await self.add(RunRow(**row | fields))

    async def add_channel(self, name: str = "hook", **fields: Any) -> None:
        spec = ChannelSpec.model_validate({"type": "webhook"} | fields)
        await self.add(ChannelRow(name=name, spec=spec.model_dump(mode="json")))

    async def set(self, table: Any, key: str, **fields: Any) -> None:
        async with self.database.write() as session:
            row = await session.get(table, key)
            for name, value in fields.items():
                setattr(row, name, value)

    async def happens(self, kind: EventKind, **fields: Any) -> None:
        async with self.database.write() as session:
            record(session, Event(kind=kind, **fields))

    async def alarms(self, *, live: bool = True) -> Sequence[AlarmRow]:
        query = select(AlarmRow).order_by(AlarmRow.rule, AlarmRow.kind, AlarmRow.object_id, AlarmRow.detail)
        if live:
            query = query.where(col(AlarmRow.live_key).is_not(None))
        async with self.database.read() as session:
            return (await session.exec(query)).all()

    async def states(self) -> list[tuple[str, str, str]]:
        return [(row.rule, row.object_id, row.state) for row in await self.alarms()]

    async def notices(self, channel: str = "hook") -> list[NotificationRow]:
        query = select(NotificationRow).where(NotificationRow.channel == channel)
        async with self.database.read() as session:
            return list((await session.exec(query.order_by(col(NotificationRow.created_at)))).all())

    async def told(self, channel: str = "hook") -> list[tuple[str, list[str]]]:
        """The kind of each notice, with the objects that it is about."""
        found = await self.notices(channel)
        return [(row.kind, [alarm["object"] for alarm in row.content["alarms"]]) for row in found]

    async def events(self, subject: str = "alarm") -> list[tuple[str, str]]:
        query = select(EventRow).where(col(EventRow.kind).startswith(f"{subject}.")).order_by(col(EventRow.seq))
        async with self.database.read() as session:
            return [(row.kind, row.reason) for row in (await session.exec(query)).all()]
