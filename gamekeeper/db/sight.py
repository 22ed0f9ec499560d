"""Sight in SQL: the events that somebody may see, as ``gamekeeper.domain.access.sight`` says it of one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, false, not_, or_, true
from sqlalchemy import select as sql_select
from sqlalchemy.orm import aliased
from sqlmodel import col

from gamekeeper.db.models import EventRow, InstanceRow, NodeRow, PipelineRow, RunRow
from gamekeeper.db.scope import INSTANCES, NODES, RUNS, Columns, within
from gamekeeper.domain.access.access import Scope
from gamekeeper.domain.access.sight import OF_PEOPLE, OF_PIPELINES, Sight
from gamekeeper.domain.access.target import SERVER

_INSTANCE, _RUN, _NODE = col(EventRow.instance), col(EventRow.run), col(EventRow.node)


def seen_by(sight: Sight) -> ColumnElement[bool]:
    if sight.is_everything:
        return true()
    of_people = _is_of(OF_PEOPLE)
    own = [col(EventRow.data)[name].as_string() == value for name, value in sight.own_data]
    people = true() if sight.knows_people else or_(false(), *own)
    placed = true() if sight.is_every_object else _placed(sight)
    return or_(and_(of_people, people), and_(not_(of_people), placed))


def _placed(sight: Sight) -> ColumnElement[bool]:
    named = col(EventRow.data)["pipeline"].as_string()
    of_pipeline = and_(_is_of(OF_PIPELINES), named != "")
    nowhere = and_(_INSTANCE == "", _RUN == "", _NODE == "")
    return or_(
        and_(_INSTANCE != "", is_in(sight.instances, _INSTANCE, col(InstanceRow.id), INSTANCES)),
        and_(_INSTANCE == "", _RUN != "", is_in(sight.pipelines, _RUN, col(RunRow.id), RUNS)),
        and_(_INSTANCE == "", _RUN == "", _NODE != "", is_in(sight.nodes, _NODE, col(NodeRow.id), NODES)),
        and_(nowhere, of_pipeline, is_stored(sight.pipelines, named)),
        and_(nowhere, of_pipeline.is_not(True), true() if sight.server.covers(SERVER) else false()),
    )


def _is_of(subjects: tuple[str, ...]) -> ColumnElement[bool]:
    return or_(*[col(EventRow.kind).startswith(f"{subject}.", autoescape=True) for subject in subjects])


def is_in(scope: Scope, named: Any, key: Any, columns: Columns) -> ColumnElement[bool]:
    if scope.is_everything:
        return true()
    if scope.is_nothing:
        return false()
    found: ColumnElement[bool] = named.in_(sql_select(key).where(within(scope, columns)))
    return found


def is_stored(scope: Scope, named: Any) -> ColumnElement[bool]:
    """By the newest version of the pipeline that is not deleted."""
    if scope.is_everything or scope.is_nothing:
        return true() if scope.is_everything else false()
    row, newer = aliased(PipelineRow), aliased(PipelineRow)
    is_newer = and_(col(newer.name) == row.name, col(newer.version) > row.version, col(newer.deleted_at).is_(None))
    newest = ~sql_select(col(newer.version)).where(is_newer).exists()
    columns = Columns(col(row.name), col(row.labels))
    stored = sql_select(col(row.name)).where(col(row.deleted_at).is_(None), newest, within(scope, columns))
    found: ColumnElement[bool] = named.in_(stored)
    return found
