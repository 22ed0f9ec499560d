"""Causes and what they take with them: a node that is away is one alarm, and what is on it is unknown, as children."""

from __future__ import annotations

from collections import Counter

from gamekeeper.control_plane.alarm.scene import Scene
from gamekeeper.control_plane.alarm.standing import CHILD, CLEARED, Standing
from gamekeeper.db.models import AlarmRow
from gamekeeper.domain.alarm.judge import Move
from gamekeeper.domain.alarm.state import AlarmState
from gamekeeper.domain.instance.state import Desired

MAX_CHILDREN = 1000  # of one cause; its message has the number of all


def join_families(standing: Standing, scene: Scene) -> None:
    parents = _parents(standing, scene)
    is_child: set[str] = set()
    count: Counter[str] = Counter()
    for facts in scene.observed.facts:
        subject = facts.subject
        parent = parents.get(subject.node) if subject.kind == "instance" else None
        if parent is None or not facts.is_away or facts.values.get("instance.desired") != Desired.RUNNING:
            continue
        count[parent.id] += 1
        if count[parent.id] > MAX_CHILDREN:
            continue
        rule = scene.rules[parent.rule]
        words = f"unknown while {subject.node} is away"
        row = standing.of(rule.id, subject).get(CHILD)
        if row is None:
            row = standing.move(rule, subject, Move(CHILD, AlarmState.NO_DATA, words))
        if row is not None:
            row.parent = parent.id
            is_child.add(row.id)
    _let_go(standing, parents, is_child)


def _parents(standing: Standing, scene: Scene) -> dict[str, AlarmRow]:
    """The alarm of each node that is away, by a rule about its status."""
    found: dict[str, AlarmRow] = {}
    for row in standing.raised():
        rule = scene.rules.get(row.rule)
        if rule is not None and rule.is_of_node_status and row.kind == "node":
            found.setdefault(row.object_id, row)
    return found


def _let_go(standing: Standing, parents: dict[str, AlarmRow], is_child: set[str]) -> None:
    """Children of what is over are over as well, and alarms of their own stand for themselves again."""
    for row in standing.all():
        if row.detail == CHILD and row.kind == "instance":
            if row.id not in is_child:
                standing.close(row, CLEARED)
            continue
        parent = parents.get(row.node) if row.kind == "instance" and row.state == AlarmState.NO_DATA else None
        wanted = parent.id if parent else None
        if row.parent != wanted:
            row.parent = wanted
            standing.changes += 1
