"""Writes the notifications of a round: rows of the outbox, in the transaction of the alarms that they tell of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from gamekeeper.control_plane.alarm.round import Round, targets_of
from gamekeeper.control_plane.alarm.scene import Scene
from gamekeeper.control_plane.alarm.standing import CHILD, EXPIRED
from gamekeeper.db.models import AlarmRow, NotificationRow
from gamekeeper.db.repositories.channel import GATHERING, WAITING
from gamekeeper.domain.alarm.channel import ReadChannel
from gamekeeper.domain.alarm.message import AlarmInWords
from gamekeeper.domain.alarm.notice import (
    DIGEST_WAIT,
    Known,
    Notice,
    NoticeKind,
    cleared_notices,
    plan,
    raised_notices,
)
from gamekeeper.domain.alarm.severity import Severity

KEPT_IN_DIGEST = 50
NAMES = 20


class Telling:
    """``new`` are rows to be added, ``changes`` counts all that was changed. Digests that wait no longer go out."""

    def __init__(self, scene: Scene, done: Round, now: datetime) -> None:
        self._scene = scene
        self._now = now
        self._raised = {row.id: row for row in done.standing.raised()}
        self._ended = {row.id: row for row in done.standing.ended if row.closed_reason != EXPIRED}
        self._digests = dict(scene.gathering)
        self._children = _names_of_children(self._raised.values())
        self.new: list[NotificationRow] = []
        self.changes = 0

    def run(self) -> None:
        known = {alarm_id: self._known(row) for alarm_id, row in self._raised.items()}
        ended = list(cleared_notices(self._scene.channels, [self._known(row) for row in self._ended.values()]))
        for channel in self._scene.channels.values():
            notices = raised_notices(channel, known, self._now)
            self._send(channel, [*notices, *(notice for notice in ended if notice.channel == channel.name)])
        for digest in self._digests.values():
            if digest.not_before is None or digest.not_before <= self._now:
                digest.state = WAITING
                self.changes += 1

    def _known(self, row: AlarmRow) -> Known:
        return Known(
            id=row.id,
            rule=row.rule,
            severity=Severity(row.severity),
            targets=targets_of(row, self._scene.observed.nodes),
            raised_at=row.raised_at or row.created_at,
            parent=row.parent,
            told=frozenset(row.told),
            is_muted=bool(row.muted),
            is_acknowledged=row.acknowledged_at is not None,
        )

    def _send(self, channel: ReadChannel, notices: list[Notice]) -> None:
        planned = plan(channel, notices, self._scene.late.get(channel.name, 0))
        for notice in planned.single:
            content = _content([self._words(alarm) for alarm in notice.alarms])
            self._add(NotificationRow(channel=channel.name, kind=notice.kind.value, content=content))
        if planned.together:
            alarms = [alarm for notice in planned.together for alarm in notice.alarms]
            self._gather(channel.name, [self._words(alarm) for alarm in alarms])
        for notice in notices:
            self._note(notice)

    def _add(self, row: NotificationRow) -> None:
        row.created_at = self._now
        self.new.append(row)
        self.changes += 1

    def _gather(self, channel: str, alarms: list[AlarmInWords]) -> None:
        digest = self._digests.get(channel)
        if digest is None:
            wait = self._now + DIGEST_WAIT
            digest = NotificationRow(channel=channel, kind=NoticeKind.DIGEST.value, state=GATHERING, not_before=wait)
            self._digests[channel] = digest
            self._add(digest)
        digest.content = _content(alarms, digest.content)
        self.changes += 1

    def _note(self, notice: Notice) -> None:
        if notice.kind is NoticeKind.CLEARED:
            return
        for alarm in notice.alarms:
            row = self._raised[alarm]
            row.told = [*row.told, notice.channel]

    def _words(self, alarm_id: str) -> AlarmInWords:
        row = self._raised.get(alarm_id) or self._ended[alarm_id]
        return in_words(row, self._children.get(row.id, ()))


def in_words(row: AlarmRow, children: Iterable[str] = ()) -> AlarmInWords:
    names = list(children)
    return AlarmInWords(
        id=row.id,
        rule=row.rule,
        name=row.name,
        severity=Severity(row.severity),
        kind=row.kind,
        object=row.object_id,
        node=row.node,
        run=row.run,
        summary=row.summary,
        note=row.note,
        since=row.since or row.raised_at or row.created_at,
        children=len(names),
        names=names[:NAMES],
        ended=row.closed_reason,
    )


def _names_of_children(rows: Iterable[AlarmRow]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.parent and row.detail == CHILD:
            found[row.parent].append(row.object_id)
    return {parent: sorted(names) for parent, names in found.items()}


def _content(alarms: list[AlarmInWords], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The words of a notification: all are counted, and the first are kept. JSON columns see a new value alone."""
    total = Counter(before.get("total", {}) if before else {}) + Counter(alarm.name for alarm in alarms)
    kept = list(before.get("alarms", ())) if before else []
    room = max(0, KEPT_IN_DIGEST - len(kept))
    kept += [alarm.model_dump(mode="json") for alarm in alarms[:room]]
    return {"alarms": kept, "total": dict(total)}
