"""One round of judging, over rows in memory: what becomes of each alarm. The caller commits it whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from gamekeeper.control_plane.alarm.facts import target_of
from gamekeeper.control_plane.alarm.families import join_families
from gamekeeper.control_plane.alarm.happened import Happened
from gamekeeper.control_plane.alarm.scene import Scene
from gamekeeper.control_plane.alarm.standing import CHILD, CLEARED, EXPIRED, GONE, RULE, Standing
from gamekeeper.db.models import AlarmRow
from gamekeeper.db.models.columns import storable
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.alarm.judge import Move, Stand, judge
from gamekeeper.domain.alarm.rule import ReadRule
from gamekeeper.domain.alarm.state import AlarmState
from gamekeeper.domain.alarm.subject import Facts


class Round:
    """``standing`` has the outcome. Nothing of it depends on anything but the scene and the time, so it can be done
    once to see whether there is something to write, and once more under the lock. One that ``only_looks`` may raise
    ChangedError."""

    def __init__(self, scene: Scene, now: datetime, *, only_looks: bool = False) -> None:
        self._scene = scene
        self._now = now
        self.standing = Standing(scene.live, now, taken=scene.taken, only_looks=only_looks)

    def run(self) -> None:
        self._judge()
        for happened in self._scene.observed.happened:
            self._take(happened)
        self._expire()
        if self._scene.observed.is_whole:
            join_families(self.standing, self._scene)
        self._mute()

    def _judge(self) -> None:
        by_subject: dict[str, list[ReadRule]] = defaultdict(list)
        for rule in self._scene.rules.values():
            if rule.when is not None:
                by_subject[rule.when.subject].append(rule)
        looked_at = set()
        for facts in self._scene.observed.facts:
            subject, target = facts.subject, facts.subject.target
            looked_at.add((subject.kind, subject.id))
            for rule in by_subject[subject.kind]:
                if rule.covers(target):
                    self._judge_one(rule, facts)
                else:
                    self._end(rule, facts)
        if self._scene.observed.is_whole:
            self._end_gone(looked_at)

    def _judge_one(self, rule: ReadRule, facts: Facts) -> None:
        rows = self.standing.of(rule.id, facts.subject)
        stands = {name: Stand(AlarmState(row.state), row.changed_at) for name, row in rows.items()} if rows else {}
        for move in list(judge(rule, facts, stands, self._now)):
            self.standing.move(rule, facts.subject, move)

    def _end(self, rule: ReadRule, facts: Facts) -> None:
        for row in list(self.standing.of(rule.id, facts.subject).values()):
            self.standing.close(row, RULE)

    def _end_gone(self, looked_at: set[tuple[str, str]]) -> None:
        """Ends alarms whose object, or whose rule, is there no more."""
        for row in self.standing.all():
            rule = self._scene.rules.get(row.rule)
            if rule is None:
                self.standing.close(row, RULE)
            elif rule.when is not None and row.detail != CHILD and (row.kind, row.object_id) not in looked_at:
                self.standing.close(row, GONE)

    def _take(self, happened: Happened) -> None:
        for rule in self._scene.rules.values():
            if happened.kind in rule.ends_with:
                for row in list(self.standing.of(rule.id, happened.subject).values()):
                    self.standing.close(row, CLEARED)
            is_meant = happened.kind in rule.events and (not rule.reasons or happened.reason in rule.reasons)
            if is_meant and rule.covers(happened.subject.target):
                self._raise(rule, happened)

    def _raise(self, rule: ReadRule, happened: Happened) -> None:
        words = happened.message.strip().splitlines()[-1:] or [happened.reason or happened.kind]
        row = self.standing.of(rule.id, happened.subject).get("")
        if row is not None:
            row.count, row.last_at, row.summary = row.count + 1, happened.at, storable(words[0])[:500]
            row.run = happened.subject.run or row.run
            self.standing.changes += 1
            return
        self.standing.move(rule, happened.subject, Move("", AlarmState.OPEN, words[0][:500], happened.at))

    def _expire(self) -> None:
        for row in self.standing.all():
            rule = self._scene.rules.get(row.rule)
            if (
                rule is not None
                and rule.when is None
                and (row.last_at or row.created_at) + rule.close_after < self._now
            ):
                self.standing.close(row, EXPIRED)

    def _mute(self) -> None:
        for row in self.standing.raised():
            words = self._muted_by(row)
            if row.muted != words:
                row.muted = words
                self.standing.changes += 1

    def _muted_by(self, row: AlarmRow) -> str:
        if not self._scene.mutes:
            return ""
        targets = targets_of(row, self._scene.observed.nodes)
        return next((mute.name for mute in self._scene.mutes if mute.mutes(row.rule, targets)), "")


def targets_of(row: AlarmRow, nodes: Mapping[str, Target]) -> tuple[Target, ...]:
    """The object of an alarm, and the node that it is on."""
    own = target_of(row.kind, row.object_id, row.pipeline, row.labels)
    node = nodes.get(row.node) if row.kind != "node" else None
    return (own, node) if node is not None else (own,)
