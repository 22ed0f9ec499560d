"""Raises and clears node conditions from what nodes tell; each change is written and an event at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.node.condition import Condition, ConditionType, Vitals, judge
from gamekeeper.errors import NotFoundError

_NUMBER = re.compile(r"[0-9.]+")


class ConditionService:
    """Holds the standing conditions in memory, so that a healthy heartbeat costs no query. A reason of other words
    takes the place of that of a condition that stands, and is no event."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._standing: dict[str, dict[ConditionType, Condition]] = {}

    async def load(self) -> None:
        """Loads the standing conditions of all nodes at once. Agents of a version without certificates can't come and
        tell theirs, so their nodes get it here; it is cleared when they come."""
        async with self._database.read() as session:
            nodes = NodeRepository(session)
            found, unable = await nodes.conditions(), await nodes.without_certificates()
        self._standing = {node_id: _known(items) for node_id, items in found.items()}
        for node_id in unable:
            await self.observe(node_id, Vitals(had_no_certificate=True))

    async def observe(self, node_id: str, vitals: Vitals) -> None:
        """Judges by the known values; a condition whose value is not told stays as it is."""
        standing = await self._of(node_id)
        found = judge(vitals, frozenset(standing))
        holds = {kind: reason for kind, reason in found.items() if reason is not None}
        raised = {kind: reason for kind, reason in holds.items() if kind not in standing}
        cleared = [kind for kind, reason in found.items() if reason is None and kind in standing]
        retold = {
            kind: standing[kind].model_copy(update={"reason": reason})
            for kind, reason in holds.items()
            if kind in standing and not _same_words(reason, standing[kind].reason)
        }
        if raised or cleared or retold:
            await self._change(node_id, {**standing, **retold}, raised, cleared)

    async def _of(self, node_id: str) -> dict[ConditionType, Condition]:
        if node_id not in self._standing:
            async with self._database.read() as session:
                row = await NodeRepository(session).find(node_id)
            self._standing.setdefault(node_id, _known(row.conditions if row else []))
        return self._standing[node_id]

    async def _change(
        self,
        node_id: str,
        standing: Mapping[ConditionType, Condition],
        raised: Mapping[ConditionType, str],
        cleared: list[ConditionType],
    ) -> None:
        now = utc_now()
        after = {kind: item for kind, item in standing.items() if kind not in cleared}
        after |= {kind: Condition(type=kind, reason=reason, since=now) for kind, reason in raised.items()}
        try:
            async with self._database.write() as session:
                row = await NodeRepository(session).get(node_id)
                row.conditions = [item.model_dump(mode="json") for item in after.values()]
                for kind, reason in raised.items():
                    event = Event(kind=EventKind.NODE_CONDITION_RAISED, node=node_id, reason=kind.value, message=reason)
                    record(session, event)
                for kind in cleared:
                    record(session, Event(kind=EventKind.NODE_CONDITION_CLEARED, node=node_id, reason=kind.value))
        except NotFoundError:
            self._standing.pop(node_id, None)
            return
        self._standing[node_id] = after


def _same_words(one: str, other: str) -> bool:
    """True when two reasons differ by their numbers alone, which do so at every heartbeat."""
    return _NUMBER.sub("", one) == _NUMBER.sub("", other)


def _known(stored: list[Any]) -> dict[ConditionType, Condition]:
    """The standing conditions of a node. A newer version may have raised conditions that this one does not know."""
    found: dict[ConditionType, Condition] = {}
    for item in stored:
        with suppress(ValidationError):
            condition = Condition.model_validate(item)
            found[condition.type] = condition
    return found
