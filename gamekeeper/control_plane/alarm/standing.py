"""The alarms that stand while a round goes on: found by rule and object, begun, moved and ended."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from gamekeeper.db.models import AlarmRow
from gamekeeper.db.models.columns import storable
from gamekeeper.domain.alarm.judge import Move
from gamekeeper.domain.alarm.rule import ReadRule
from gamekeeper.domain.alarm.state import AlarmState
from gamekeeper.domain.alarm.subject import Subject
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind

CLEARED, GONE, RULE, EXPIRED = "cleared", "gone", "rule", "expired"
CHILD = "node"  # the detail of an alarm that stands for its node's
Key = tuple[str, str, str]


class ChangedError(Exception):
    """Ends a round that only looks: there is something to write, and the rest is found when it is written."""


class Standing:
    """``new`` and ``dropped`` are to be added and removed, ``ended`` were closed in this round; ``events`` tell of it
    all. ``changes`` counts what the database has to hear of."""

    def __init__(
        self, rows: Iterable[AlarmRow], now: datetime, *, taken: Collection[str] = (), only_looks: bool = False
    ) -> None:
        self._taken = taken
        self._now = now
        self._only_looks = only_looks
        self._found: dict[Key, dict[str, AlarmRow]] = defaultdict(dict)
        for row in rows:
            self._found[row.rule, row.kind, row.object_id][row.detail] = row
        self.new: list[AlarmRow] = []
        self.dropped: list[AlarmRow] = []
        self.ended: list[AlarmRow] = []
        self.events: list[Event] = []
        self.changes = 0

    def of(self, rule: str, subject: Subject) -> Mapping[str, AlarmRow]:
        return self._found.get((rule, subject.kind, subject.id), {})

    def all(self) -> list[AlarmRow]:
        return [row for rows in self._found.values() for row in rows.values()]

    def raised(self) -> list[AlarmRow]:
        return [row for row in self.all() if AlarmState(row.state).is_raised]

    def move(self, rule: ReadRule, subject: Subject, move: Move) -> AlarmRow | None:
        """Carries a move out; the row, None where none stands."""
        row = self.of(rule.id, subject).get(move.detail)
        if move.after is None:
            if row is not None:
                self._forget(row)
                self.dropped.append(row)
                self.changes += 1
            return None
        if move.after is AlarmState.CLOSED:
            if row is not None:
                self.close(row, CLEARED)
            return None
        if row is None:
            key = "|".join((rule.id, subject.kind, subject.id, move.detail))[:300]
            if key in self._taken:  # it stands, and can't be read
                return None
            row = self._begin(rule, subject, move, key)
        elif move.after is not AlarmState.NO_DATA and move.summary:
            row.summary = storable(move.summary)
        self._enter(row, move.after)
        return row

    def _begin(self, rule: ReadRule, subject: Subject, move: Move, key: str) -> AlarmRow:
        if self._only_looks:
            raise ChangedError
        row = AlarmRow(
            id=secrets.token_hex(8),
            live_key=key,
            rule=rule.id,
            name=storable(rule.name),
            severity=rule.severity.value,
            state="",
            kind=subject.kind,
            object_id=subject.id,
            detail=move.detail,
            node=subject.node,
            pipeline=subject.pipeline,
            run=subject.run,
            labels=dict(subject.labels),
            summary=storable(move.summary),
            note=storable(rule.note),
            since=move.since or self._now,
            created_at=self._now,
            last_at=self._now,
            changed_at=self._now,
            told=[],  # a default that is made by a call costs more than all of the row
        )
        self.new.append(row)
        self._found[row.rule, row.kind, row.object_id][row.detail] = row
        return row

    def _enter(self, row: AlarmRow, state: AlarmState) -> None:
        if row.state == state.value:
            return
        row.state, row.changed_at = state.value, self._now
        self.changes += 1
        if state.is_raised and row.raised_at is None:
            row.raised_at = self._now
            if row.detail != CHILD:  # its cause is told
                self._tell(EventKind.ALARM_RAISED, row)

    def close(self, row: AlarmRow, reason: str) -> None:
        """One that nobody was told of leaves no trace."""
        self._forget(row)
        self.changes += 1
        if row.raised_at is None:
            self.dropped.append(row)
            return
        row.state, row.live_key = AlarmState.CLOSED.value, None
        row.changed_at = row.closed_at = self._now
        row.closed_reason = reason
        self.ended.append(row)
        if row.detail != CHILD:
            self._tell(EventKind.ALARM_CLEARED, row, reason)

    def _forget(self, row: AlarmRow) -> None:
        self._found[row.rule, row.kind, row.object_id].pop(row.detail, None)

    def _tell(self, kind: EventKind, row: AlarmRow, reason: str = "") -> None:
        self.events.append(alarm_event(kind, row, reason))


def alarm_event(kind: EventKind, row: AlarmRow, reason: str = "") -> Event:
    return Event(
        kind=kind,
        node=row.node,
        run=row.run,
        instance=row.object_id if row.kind == "instance" else "",
        reason=reason,
        message=f"{row.name}: {row.summary}",
        data={"alarm": row.id, "rule": row.rule, "severity": row.severity, "pipeline": row.pipeline},
    )
