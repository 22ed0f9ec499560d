"""Scopes in SQL: the rows that somebody may see, or do something to, as ``gamekeeper.domain.access`` says it of one.

Every list is narrowed before it is cut into pages: a page that is narrowed afterwards tells by its length how much
there is of others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, false, func, or_, true
from sqlmodel import col
from sqlmodel.sql.expression import SelectOfScalar

from gamekeeper.db.labels import has_any_label, has_label
from gamekeeper.db.models import InstanceRow, NodeRow, PipelineRow, RunRow
from gamekeeper.domain.access.access import Scope
from gamekeeper.domain.access.selector import ANY_END, Selector

Row = TypeVar("Row")


@dataclass(frozen=True)
class Columns:
    """The columns, or expressions, that hold what a selector looks at; ``owner`` is None where nothing is owned."""

    id: Any
    labels: Any
    owner: Any = None


NODES = Columns(col(NodeRow.id), col(NodeRow.labels))
PIPELINES = Columns(col(PipelineRow.name), col(PipelineRow.labels))
RUNS = Columns(col(RunRow.pipeline), col(RunRow.labels))
INSTANCES = Columns(col(InstanceRow.id), col(InstanceRow.labels), col(InstanceRow.owner))


def narrowed(query: SelectOfScalar[Row], scope: Scope, columns: Columns) -> SelectOfScalar[Row]:
    """The query without the rows outside of the scope. For who may see all it stays as it is."""
    return query if scope.is_everything else query.where(within(scope, columns))


def within(scope: Scope, columns: Columns) -> ColumnElement[bool]:
    if scope.is_everything:
        return true()
    if scope.is_nothing:
        return false()
    return or_(*_merged(scope, columns))


def _merged(scope: Scope, columns: Columns) -> Iterator[ColumnElement[bool]]:
    """Conditions of which one has to hold. Selectors of ids alone are one of them, and so are those of one label alone,
    as most are: somebody with a hundred grants reads a list about as fast as somebody with one."""
    ids, labels = dict[str, None](), dict[tuple[str, str], None]()
    for selector in scope.selectors:
        if selector.ids and not (selector.labels or selector.is_own):
            ids |= dict.fromkeys(selector.ids)
        elif len(selector.labels) == 1 and not (selector.ids or selector.is_own):
            labels |= dict.fromkeys(selector.labels)
        else:
            yield _fits(selector, scope.holder, columns)
    if ids:
        yield _has_id(tuple(ids), columns.id)
    if labels:
        yield has_any_label(columns.labels, labels)


def _fits(selector: Selector, holder: str, columns: Columns) -> ColumnElement[bool]:
    found: list[ColumnElement[bool]] = [has_label(columns.labels, key, value) for key, value in selector.labels]
    if selector.ids:
        found.append(_has_id(selector.ids, columns.id))
    if selector.is_own:
        found.append(columns.owner == holder if columns.owner is not None and holder else false())
    return and_(*found) if found else true()


def _has_id(ids: tuple[str, ...], column: Any) -> ColumnElement[bool]:
    """By parts of the text, and not by LIKE: SQLite's takes capitals for small letters."""
    whole = [given for given in ids if not given.endswith(ANY_END)]
    begun = [given.removesuffix(ANY_END) for given in ids if given.endswith(ANY_END)]
    found: list[ColumnElement[bool]] = [func.substr(column, 1, len(begin)) == begin for begin in begun]
    return or_(*found, column.in_(whole)) if whole else or_(*found)
